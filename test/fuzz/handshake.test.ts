// The handshake. Whoever lacks the key comes to nothing, whatever they do to its messages; whoever has it may be an older
// or a later version, or wrong: what it seals is answered with a code, and the hello that it shows breaks nobody.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import type { Prng } from "../../src/base/prng.js";
import { AcceptorHandshake, DialerHandshake, type Step } from "../../src/link/handshake.js";
import { LaneBulk, LaneExpress } from "../../src/link/lanes.js";
import { HELLO_BYTES_MAX } from "../../src/link/link.js";
import { chance, changed, isSame, pick, randomBytes } from "./bytes.js";
import { fuzz } from "./harness.js";

const KEY = new Uint8Array(32).fill(7);
const MAC_BYTES = 32;

function identity(prng: Prng, id: number) {
  return { id, clusterId: 7, key: KEY, incarnation: prng.nextU32(), frameTags: chance(prng, 0.5) };
}

function hello(prng: Prng): Uint8Array {
  return randomBytes(prng, pick(prng, [0, 1, 33, 41, HELLO_BYTES_MAX]));
}

/** Codes are what a connection can be closed with; texts are the other side's. */
function checkStep(step: Step): Step {
  assert.ok(step.code === 0 || (step.code >= 4000 && step.code <= 4999), `code ${step.code}`);
  assert.equal(typeof step.reason, "string");
  assert.ok(step.lane === LaneBulk || step.lane === LaneExpress);
  return step;
}

/** What the other side of a connection gets of each message. */
type Path = (stage: number, role: "dialer" | "acceptor", bytes: Uint8Array) => Uint8Array;

/** Plays a handshake over `path`; whether both sides took it for good. What both then know must be the same. */
function play(prng: Prng, path: Path): boolean {
  const acceptor = new AcceptorHandshake(identity(prng, 1));
  const dialer = new DialerHandshake(identity(prng, 2), 1, pick(prng, [LaneBulk, LaneExpress]));
  const shown = [hello(prng), hello(prng)] as const;
  const answer = checkStep(dialer.answer(path(1, "acceptor", acceptor.challenge()), shown[1]));
  if (answer.code !== 0) return false;
  const proved = checkStep(acceptor.verify(path(2, "dialer", answer.answer)));
  if (proved.code !== 0) return false;
  const accept = acceptor.accept(shown[0]);
  const keys = [acceptor.tagKey(), null];
  const verdict = checkStep(dialer.verify(path(3, "acceptor", accept)));
  if (verdict.code !== 0) return false;
  keys[1] = dialer.tagKey();
  const last = checkStep(acceptor.finish(path(4, "dialer", dialer.welcome())));
  if (last.code !== 0) return false;
  assert.ok(isSame(proved.hello, shown[1]) && isSame(verdict.hello, shown[0]), "another hello arrived");
  assert.deepEqual(keys[0], keys[1], "two keys for one connection");
  return true;
}

fuzz({
  url: import.meta.url,
  name: "without the key nothing that is changed on the way is taken",
  cases: 400,
  reaches: ["refused", "as sent"],
  run(prng, note) {
    const stage = 1 + prng.below(4);
    const sent: Uint8Array[] = [];
    let isChanged = false;
    const isGood = play(prng, (at, _role, bytes) => {
      const other = sent.length === 0 ? bytes : pick(prng, sent);
      sent.push(bytes.slice());
      if (at !== stage) return bytes;
      const arrives = chance(prng, 0.1) ? other : changed(prng, bytes, other);
      isChanged = !isSame(arrives, bytes);
      return arrives;
    });
    assert.equal(isGood, !isChanged);
    note(isGood ? "as sent" : "refused");
  },
});

fuzz({
  url: import.meta.url,
  name: "what somebody with the key seals is answered with a code",
  cases: 400,
  reaches: ["refused", "taken"],
  run(prng, note) {
    const stage = 2 + prng.below(3);
    // Each side's messages as the sender made them and as they arrive differ; the MAC covers what its reader has.
    const read: Uint8Array[] = [];
    let isGood = true;
    try {
      isGood = play(prng, (at, role, bytes) => {
        let arrives: Uint8Array = bytes;
        if (at === stage) {
          arrives = changed(prng, bytes.subarray(0, bytes.length - MAC_BYTES), pick(prng, [bytes, ...read]));
          const hmac = createHmac("sha256", KEY).update(`raftmark link ${role}\0`);
          for (const part of read) hmac.update(part);
          arrives = Buffer.concat([arrives, hmac.update(arrives).digest()]);
        }
        read.push(arrives.slice());
        return arrives;
      });
    } catch (error) {
      // The reader took another hello than its sender meant, which the sender's next message shows.
      if (!(error instanceof assert.AssertionError) || error.message !== "another hello arrived") throw error;
    }
    note(isGood ? "taken" : "refused");
  },
});
