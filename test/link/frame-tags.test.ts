import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createCipheriv } from "node:crypto";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.js";
import { descriptorLimit } from "../../src/link/descriptors.js";
import { FrameTags, TAG_KEY_BYTES } from "../../src/link/frame-tags.js";
import { AcceptorHandshake, DialerHandshake, type Identity } from "../../src/link/handshake.js";
import { CloseBadTag, createUwsLink, type LinkRefusal, type UwsLink } from "../../src/link/index.js";
import { FRAME_TAG_BYTES } from "../../src/wire/index.js";
import { type Carry, Relay } from "../relay.js";
import { append, Ear, response } from "./ear.js";

const KEY = new Uint8Array(TAG_KEY_BYTES).map((_, i) => i * 5 + (i >> 6) + 1);
/** Around a block of the polynomial, a unit of NH, and what is copied at a time. */
const LENGTHS = [0, 1, 15, 16, 17, 100, 1023, 1024, 1025, 2048, 10_000, 65_535, 65_536, 65_537, 300_000];

function tagged(tags: FrameTags, length: number): Uint8Array {
  const bytes = new Uint8Array(length + FRAME_TAG_BYTES).map((_, i) => i * 7);
  tags.tag(bytes, 0, length);
  tags.sent();
  return bytes;
}

const MASK64 = 2n ** 64n - 1n;
const MASK128 = 2n ** 128n - 1n;
const P = 2n ** 130n - 5n;

function number(bytes: Uint8Array): bigint {
  return [...bytes].reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function number16(value: bigint): Buffer {
  return Buffer.from(Array.from({ length: 16 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n)));
}

/** RFC 8439, section 2.5, by big numbers: blocks of 16 bytes, or less in the last, under r and s. */
function poly1305(r: Uint8Array, s: Uint8Array, blocks: readonly Uint8Array[]): Buffer {
  const clamped = number(r) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  const sum = blocks.reduce((h, b) => ((h + number(b) + 2n ** BigInt(8 * b.length)) * clamped) % P, 0n);
  return number16((sum + number(s)) & MASK128);
}

/** NH with 4 passes as NHPoly1305 has it, by big numbers: 32 bytes of up to 1024. */
function nh(key: Uint8Array, unit: Uint8Array): Buffer {
  const message = Buffer.alloc(Math.ceil(unit.length / 16) * 16);
  message.set(unit);
  const k = Buffer.from(key);
  const word = (at: number, pass: number): bigint =>
    BigInt((message.readUInt32LE(at) + k.readUInt32LE(at + 16 * pass)) % 2 ** 32);
  const sums = [0, 1, 2, 3].map((pass) => {
    let sum = 0n;
    for (let at = 0; at < message.length; at += 16)
      sum += word(at, pass) * word(at + 8, pass) + word(at + 4, pass) * word(at + 12, pass);
    return number16(sum & MASK64).subarray(0, 8);
  });
  return Buffer.concat(sums);
}

test("the reference's polynomial is Poly1305 (RFC 8439, 2.5.2)", () => {
  const key = Buffer.from("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b", "hex");
  const text = Buffer.from("Cryptographic Forum Research Group");
  const blocks = [text.subarray(0, 16), text.subarray(16, 32), text.subarray(32)];
  const tag = poly1305(key.subarray(0, 16), key.subarray(16), blocks);
  assert.equal(tag.toString("hex"), "a8061dc1305136c6c22b8baf0c0127a9");
});

test("a tag is Poly1305 of the units' NH and the length, under AES of the frame's place", () => {
  const tags = new FrameTags(KEY);
  const place = Buffer.alloc(16);
  // More frames than the cipher makes pads of at a time.
  for (let count = 0; count < 520; count++) {
    const length = LENGTHS[count % 260] ?? count % 61;
    const frame = tagged(tags, length);
    const bytes = frame.subarray(0, length);
    const units = Array.from({ length: Math.ceil(length / 1024) }, (_, i) =>
      nh(KEY.subarray(0, 1072), bytes.subarray(i * 1024, (i + 1) * 1024)),
    );
    const blocks = units.flatMap((unit) => [unit.subarray(0, 16), unit.subarray(16)]);
    blocks.push(number16(BigInt(length)));
    place.writeUInt32BE(count, 12);
    const pad = createCipheriv("aes-256-ecb", KEY.subarray(1088), null).update(place);
    const expected = poly1305(KEY.subarray(1072, 1088), pad, blocks);
    assert.deepEqual(Buffer.from(frame.subarray(length)), expected, `${length} bytes`);
  }
});

test("hashes at the edges of the field: ones everywhere, in key and frame", () => {
  for (const fill of [0x00, 0xff, 0x80]) {
    const key = new Uint8Array(TAG_KEY_BYTES).fill(fill);
    for (const byte of [0x00, 0xff]) {
      for (const length of [16, 1024, 4096]) {
        const bytes = new Uint8Array(length + FRAME_TAG_BYTES).fill(byte);
        new FrameTags(key).tag(bytes, 0, length);
        const units = Array.from({ length: Math.ceil(length / 1024) }, (_, i) =>
          nh(key.subarray(0, 1072), bytes.subarray(i * 1024, Math.min(length, (i + 1) * 1024))),
        );
        const blocks = units.flatMap((unit) => [unit.subarray(0, 16), unit.subarray(16)]);
        blocks.push(number16(BigInt(length)));
        const pad = createCipheriv("aes-256-ecb", key.subarray(1088), null).update(Buffer.alloc(16));
        const expected = poly1305(key.subarray(1072, 1088), pad, blocks);
        assert.deepEqual(Buffer.from(bytes.subarray(length)), expected, `${fill} ${byte} ${length}`);
      }
    }
  }
});

test("what was changed, repeated, left out or moved has not the next tag", () => {
  for (const length of LENGTHS) {
    const sender = new FrameTags(KEY);
    const first = tagged(sender, length);
    const second = tagged(sender, length);
    const third = tagged(sender, length);
    const receiver = new FrameTags(KEY);
    assert.ok(!receiver.check(second), "one was left out");
    assert.ok(receiver.check(first));
    assert.ok(!receiver.check(first), "repeated");
    assert.ok(!receiver.check(third), "moved");
    for (let at = 0; at < second.length; at += Math.max(1, second.length >> 5)) {
      const changed = second.slice();
      changed[at]! ^= 1;
      assert.ok(!receiver.check(changed), `byte ${at} of ${second.length}`);
    }
    assert.ok(!receiver.check(second.subarray(0, -1)), "cut");
    assert.ok(receiver.check(second));
    assert.ok(receiver.check(third));
  }
});

test("the same frame dropped and sent again counts once", () => {
  const sender = new FrameTags(KEY);
  const bytes = new Uint8Array(100 + FRAME_TAG_BYTES);
  sender.tag(bytes, 0, 100);
  const again = tagged(sender, 50);
  assert.ok(new FrameTags(KEY).check(again));
});

const NOTHING = new Uint8Array(0);
const identity = (id: number, frameTags: boolean): Identity => ({
  id,
  clusterId: 1,
  key: new Uint8Array(32).fill(7),
  incarnation: id,
  frameTags,
});

/** The keys both sides have after a handshake in which `onPath` changes what it likes; null: it failed. */
function keysAfter(
  dialerTags: boolean,
  acceptorTags: boolean,
  onPath: (kind: string, bytes: Uint8Array) => void,
) {
  const acceptor = new AcceptorHandshake(identity(1, acceptorTags));
  const dialer = new DialerHandshake(identity(2, dialerTags), 1);
  const challenge = acceptor.challenge().slice();
  onPath("challenge", challenge);
  const proof = dialer.answer(challenge, NOTHING);
  if (proof.code !== 0) return null;
  const proofBytes = proof.answer.slice();
  onPath("proof", proofBytes);
  if (acceptor.verify(proofBytes).code !== 0) return null;
  const accept = acceptor.accept(NOTHING).slice();
  const acceptorKey = acceptor.tagKey();
  onPath("accept", accept);
  if (dialer.verify(accept).code !== 0) return null;
  const dialerKey = dialer.tagKey();
  if (acceptor.finish(dialer.welcome()).code !== 0) return null;
  return [acceptorKey, dialerKey] as const;
}

test("frames are tagged if either side wants it, under a key of the connection, and nobody on the path can change that", () => {
  const nothing = (): void => {};
  assert.deepEqual(keysAfter(false, false, nothing), [null, null]);
  const seen = new Set<string>();
  for (const [dialerTags, acceptorTags] of [
    [true, true],
    [true, false],
    [false, true],
  ] as const) {
    const keys = keysAfter(dialerTags, acceptorTags, nothing);
    assert.equal(keys?.[0]?.length, TAG_KEY_BYTES);
    assert.deepEqual(keys[0], keys[1]);
    seen.add(Buffer.from(keys[0]!).toString("hex"));
    for (const kind of ["challenge", "proof", "accept"]) {
      const flip = (of: string, bytes: Uint8Array): void => {
        if (of === kind) bytes[7]! ^= 1;
      };
      assert.equal(keysAfter(dialerTags, acceptorTags, flip), null, kind);
    }
  }
  assert.equal(seen.size, 3);
});

test("a handshake with any byte changed, cut, repeated or made up comes to nothing, and nothing is thrown", (t) => {
  const seed = Number(process.env["SEED"] ?? 14);
  t.diagnostic(`SEED=${seed} node --test dist/test/link/frame-tags.test.js`);
  const prng = new Prng(seed);
  for (let run = 0; run < 300; run++) {
    for (const kind of ["challenge", "proof", "accept"]) {
      const flip = (of: string, bytes: Uint8Array): void => {
        if (of === kind) bytes[prng.below(bytes.length)]! ^= 1 + prng.below(255);
      };
      assert.equal(keysAfter(true, true, flip), null, `${kind}, run ${run}`);
    }
    const length = prng.below(1200);
    const junk = new Uint8Array(length).map(() => prng.below(256));
    // A head that is right, before bytes that are not: kinds, lengths and all.
    if (length > 32 && prng.below(2) === 0)
      junk.set(new AcceptorHandshake(identity(1, true)).challenge().subarray(0, 32));
    if (length > 32) junk[5] = prng.below(7);
    const acceptor = new AcceptorHandshake(identity(1, true));
    acceptor.challenge();
    assert.notEqual(acceptor.verify(junk).code, 0);
    assert.notEqual(acceptor.finish(junk).code, 0);
    const dialer = new DialerHandshake(identity(2, true), 1);
    assert.notEqual(dialer.verify(junk).code, 0);
    if (length !== 64) assert.notEqual(dialer.answer(junk, NOTHING).code, 0);
  }
});

/** Frames of the server pass `change`, once it is there. */
interface OnPath {
  change: ((frame: Buffer, head: Buffer) => Buffer) | null;
}

/** Knows WebSocket frames of the server's side: what it lets pass unchanged is byte for byte the same. */
function byFrames(path: OnPath): Carry {
  return (up, down) => {
    let rest = Buffer.alloc(0);
    let upgraded = false;
    up.on("data", (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      if (!upgraded) {
        const end = rest.indexOf("\r\n\r\n");
        if (end < 0) return;
        upgraded = true;
        down.write(rest.subarray(0, end + 4));
        rest = rest.subarray(end + 4);
      }
      for (;;) {
        if (rest.length < 2) return;
        const short = rest[1]! & 127;
        const headBytes = short === 127 ? 10 : short === 126 ? 4 : 2;
        if (rest.length < headBytes) return;
        const length =
          short === 127 ? Number(rest.readBigUInt64BE(2)) : short === 126 ? rest.readUInt16BE(2) : short;
        if (rest.length < headBytes + length) return;
        const head = rest.subarray(0, headBytes);
        const frame = Buffer.from(rest.subarray(headBytes, headBytes + length));
        rest = rest.subarray(headBytes + length);
        const isRaft = frame.toString("latin1", 0, 4) !== "RFMH";
        if (path.change !== null && isRaft) down.write(path.change(frame, head));
        else down.write(Buffer.concat([head, frame]));
      }
    });
  };
}

const attacks: Record<string, () => (frame: Buffer, head: Buffer) => Buffer> = {
  altered: () => (frame, head) => {
    frame[frame.length - 25]! ^= 1;
    return Buffer.concat([head, frame]);
  },
  repeated: () => (frame, head) => Buffer.concat([head, frame, head, frame]),
  "left out": () => {
    let seen = 0;
    return (frame, head) => (seen++ === 1 ? Buffer.alloc(0) : Buffer.concat([head, frame]));
  },
  reordered: () => {
    let kept: Buffer | null = null;
    return (frame, head) => {
      const whole = Buffer.concat([head, frame]);
      if (kept === null) {
        kept = whole;
        return Buffer.alloc(0);
      }
      return Buffer.concat([whole, kept]);
    };
  },
};

for (const [name, attack] of Object.entries(attacks)) {
  for (const large of [false, true]) {
    test(`a frame ${name} on its way (${large ? "large" : "small"}) closes the connection, and nothing gets through`, async (t) => {
      const refusals: LinkRefusal[] = [];
      const ears = { 1: new Ear(), 2: new Ear() };
      Object.assign(ears[2], {
        onRefused: (refusal: LinkRefusal) => {
          refusals.push(refusal);
          ears[2].changed();
        },
      });
      const make = (id: 1 | 2): UwsLink => {
        const link = createUwsLink({
          id,
          clusterId: 1,
          listen: "127.0.0.1:0",
          peers: {},
          secret: "s",
        });
        t.after(() => link.close());
        return link;
      };
      const one = make(1);
      const two = make(2);
      await one.start(ears[1]);
      await two.start(ears[2]);
      const path: OnPath = { change: null };
      const relay = await Relay.listen(one.port, undefined, byFrames(path));
      t.after(() => relay.close());
      one.setPeer(2, `127.0.0.1:${two.port}`);
      two.setPeer(1, `127.0.0.1:${relay.port}`);
      await ears[1].until(() => ears[1].peers.includes("+2"));
      const data = new Uint8Array(large ? 50_000 : 10);
      const send = (index: number): void => one.send(0, [append(1, 2, index, data)]);
      send(0);
      await ears[2].until(() => ears[2].messages.length === 1);

      path.change = attack();
      for (let index = 1; index <= 3; index++) send(index);
      await ears[2].until(() => refusals.length > 0);
      path.change = null;
      assert.deepEqual({ code: refusals[0]!.code, by: refusals[0]!.by }, { code: CloseBadTag, by: "self" });
      assert.ok(two.stats().framesRefused! > 0, "not counted");
      // What came before stands; what was attacked, and all behind it, did not get through.
      const through = ears[2].messages.map((message) => message.index);
      assert.deepEqual(through, [...Array(through.length).keys()]);
      assert.ok(through.length < 4, `${through}`);

      await ears[1].until(() => ears[1].peers.filter((peer) => peer === "+2").length === 2);
      one.send(0, [append(1, 2, 100, data), response(1, 2, 101)]);
      await ears[2].until(() => ears[2].messages.some((message) => message.index === 100));
    });
  }
}

test("no file descriptor left: the first connection's tags are made all the same", {
  skip: descriptorLimit() === 0 && "the system does not tell of descriptors",
}, () => {
  const script = `
    import { openSync } from "node:fs";
    import { FrameTags, TAG_KEY_BYTES } from ${JSON.stringify(new URL("../../src/link/frame-tags.js", import.meta.url).href)};
    let code = "";
    while (code === "") {
      try { openSync("/dev/null"); } catch (error) { code = error.code; }
    }
    new FrameTags(new Uint8Array(TAG_KEY_BYTES)).tag(new Uint8Array(100), 0, 50);
    process.stdout.write(code);
  `;
  const args = ["-c", 'ulimit -n 100; exec "$0" --input-type=module -e "$1"', process.execPath, script];
  const { stdout, stderr } = spawnSync("sh", args, { encoding: "utf8" });
  assert.equal(stdout, "EMFILE", stderr);
});
