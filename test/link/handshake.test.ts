// The handshake against bytes that nobody who has the key sends: cut, flipped, shuffled, random. Each step answers with
// a code, and throws nothing: it runs inside callbacks of uWebSockets.js, which dies of an exception.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AcceptorHandshake, DialerHandshake, HANDSHAKE_VERSION } from "../../src/link/handshake.js";
import { LaneBulk } from "../../src/link/lanes.js";
import { check } from "../wire/random.js";

const KEY = new Uint8Array(32).fill(7);
const identity = (id: number) => ({ id, clusterId: 7, key: KEY, incarnation: id, frameTags: true });
const HELLO = Uint8Array.of(1, 2, 3);

interface Damage {
  readonly at: number;
  readonly xor: number;
  readonly cut: number;
  readonly junk: Uint8Array;
}

const damages: fc.Arbitrary<Damage> = fc.record({
  at: fc.nat(2000),
  xor: fc.integer({ min: 0, max: 255 }),
  cut: fc.oneof(fc.constant(5000), fc.nat(200)),
  junk: fc.oneof(fc.constant(new Uint8Array(0)), fc.uint8Array({ maxLength: 300 })),
});

/** A copy of `bytes`, changed. */
function damaged(bytes: Uint8Array, { at, xor, cut, junk }: Damage): Uint8Array {
  const copy = bytes.slice();
  copy[at % copy.length]! ^= xor;
  return Buffer.concat([copy.subarray(0, cut), junk]);
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

test("whatever comes at whichever step is answered with a code", () => {
  check(
    "link/handshake.test",
    fc.property(fc.integer({ min: 1, max: 5 }), damages, (stage, damage) => {
      const acceptor = new AcceptorHandshake(identity(1));
      const dialer = new DialerHandshake(identity(2), 1, LaneBulk);
      // What arrives instead of `bytes` at the stage that is being damaged.
      const wire = (at: number, bytes: Uint8Array): Uint8Array =>
        at === stage ? damaged(bytes, damage) : bytes;
      const challenge = acceptor.challenge();
      const arrived = wire(1, challenge);
      const answer = dialer.answer(arrived, HELLO);
      // A nonce is as good as another one: only the proof of it tells.
      if (answer.code !== 0) return;
      const proof = wire(2, answer.answer);
      const proved = acceptor.verify(proof);
      if (!same(arrived, challenge) || !same(proof, answer.answer)) {
        assert.notEqual(proved.code, 0, "a damaged challenge or proof was taken");
        return;
      }
      assert.equal(proved.code, 0);
      const sealed = stage === 5 ? acceptor.refuse(2, 4009, "no") : acceptor.accept(HELLO);
      const accept = stage === 5 ? wire(5, sealed) : wire(3, sealed);
      const verdict = dialer.verify(accept);
      if (!same(accept, sealed)) {
        assert.notEqual(verdict.code, 0);
        assert.ok(!verdict.byPeer, "a damaged message was believed to be the peer's refusal");
        return;
      }
      if (stage === 5) return;
      assert.equal(verdict.code, 0);
      const welcome = dialer.welcome();
      const last = wire(4, welcome);
      assert.equal(acceptor.finish(last).code === 0, same(last, welcome));
    }),
    3000,
  );
});

test("random bytes at every step are answered with a code", () => {
  const head = Uint8Array.of(0x52, 0x46, 0x4d, 0x48);
  const bytes = fc
    .tuple(fc.boolean(), fc.integer({ min: 0, max: 6 }), fc.uint8Array({ maxLength: 1400 }))
    .map(([plain, kind, rest]) =>
      plain ? rest : Buffer.concat([head, Uint8Array.of(HANDSHAKE_VERSION, kind), rest]),
    );
  check(
    "link/handshake.test",
    fc.property(bytes, (junk) => {
      const acceptor = new AcceptorHandshake(identity(1));
      acceptor.challenge();
      assert.notEqual(acceptor.verify(junk).code, 0);
      const dialer = new DialerHandshake(identity(2), 1, LaneBulk);
      assert.equal(dialer.answer(new AcceptorHandshake(identity(1)).challenge(), HELLO).code, 0);
      assert.notEqual(dialer.verify(junk).code, 0);
      new DialerHandshake(identity(2), 1, LaneBulk).answer(junk, HELLO);
    }),
    2000,
  );
});
