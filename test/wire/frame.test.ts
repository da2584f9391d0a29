import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c } from "../../src/base/crc32c.js";
import {
  Entry,
  Message,
  type MessageType,
  MsgApp,
  MsgAppResp,
  MsgForgetLeader,
  MsgHup,
  MsgReadIndex,
  MsgSnap,
  MsgTransferLeader,
} from "../../src/raft/raftpb/index.js";
import { FRAME_ENTRIES_MAX, FRAME_MESSAGES_MAX } from "../../src/wire/frame.js";
import {
  FRAME_HEADER_BYTES,
  FrameAdded,
  FrameFull,
  FrameReader,
  FrameTooLarge,
  FrameWriter,
  type WireRefusal,
} from "../../src/wire/index.js";
import { appMessage, check, isWireType, LOCAL_TYPES, messageArbitrary, ofNoRun } from "./random.js";

const FILE = "wire/frame.test";
const LIMITS = { targetBytes: 1 << 20, maxBytes: 1 << 24 };

function writerOf(from = 1, clusterId = 77, limits = LIMITS): FrameWriter {
  return new FrameWriter({ clusterId, from, crc32c, ...limits });
}

function readerOf(self = 2, clusterId = 77): FrameReader {
  return new FrameReader({ clusterId, self, crc32c });
}

function frameOf(messages: readonly Message[], group = 0, writer = writerOf()): Uint8Array {
  writer.rewind();
  writer.begin(group);
  for (const message of messages) assert.equal(writer.add(message), FrameAdded);
  return writer.finish().slice();
}

/** Recomputes the CRC after `change`, so that what lies below it is reached. */
function resealed(frame: Uint8Array, change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = frame.slice();
  change(bytes);
  new DataView(bytes.buffer).setUint32(bytes.length - 4, crc32c(0, bytes.subarray(0, -4)), true);
  return bytes;
}

function refusal(bytes: Uint8Array, sender = 1, reader = readerOf()): WireRefusal | null {
  const into: Message[] = [];
  const result = reader.read(bytes, sender, into);
  if (result !== null) assert.equal(into.length, 0, "messages of a refused frame were handed over");
  return result;
}

function plain(type: MessageType, from = 1, to = 2): Message {
  return Object.assign(new Message(type), { from, to });
}

test("frames carry their messages, in order, with their group", () => {
  check(
    FILE,
    fc.property(
      fc.array(messageArbitrary(1, 2), { minLength: 1, maxLength: 8 }),
      fc.maxSafeNat(),
      (messages, group) => {
        const reader = readerOf();
        const into: Message[] = [];
        assert.equal(reader.read(frameOf(messages, group), 1, into), null);
        assert.deepEqual(into.map(ofNoRun), messages);
        assert.equal(reader.group, group);
      },
    ),
  );
});

test("several frames of one turn: shared entries give the same frame as fresh ones", () => {
  const writer = writerOf();
  const first = appMessage(2, 64, 256);
  const second = Object.assign(new Message(MsgApp), first, { to: 3 });
  const small = appMessage(3, 1, 10);
  for (let turn = 0; turn < 3; turn++) {
    writer.rewind();
    const frames = [[first, plain(MsgAppResp)], [small, second, second, plain(MsgAppResp)], [second]].map(
      (batch) => {
        writer.begin(9);
        for (const message of batch) writer.add(message);
        return writer.finish().slice();
      },
    );
    assert.deepEqual(frames[0], frameOf([first, plain(MsgAppResp)], 9));
    assert.deepEqual(frames[2], frameOf([second], 9));
    assert.equal(refusal(frames[0]!), null);
    // The last two messages of the second frame are to different nodes; only its CRC and bounds matter here.
    const view = new DataView(frames[1]!.buffer);
    assert.equal(view.getUint32(frames[1]!.length - 4, true), crc32c(0, frames[1]!.subarray(0, -4)));
  }
});

test("a frame stops at its target, one message may exceed it, and nothing the limit", () => {
  const writer = writerOf(1, 77, { targetBytes: 4096, maxBytes: 65536 });
  writer.begin(0);
  assert.equal(writer.add(appMessage(2, 3, 1000)), FrameAdded);
  assert.equal(writer.add(appMessage(2, 2, 1000)), FrameFull);
  assert.equal(refusal(writer.finish()), null);
  writer.begin(0);
  assert.equal(writer.add(appMessage(2, 20, 1000)), FrameAdded);
  assert.equal(writer.add(plain(MsgAppResp)), FrameFull);
  assert.ok(writer.finish().length > 4096);
  writer.begin(0);
  assert.equal(writer.add(appMessage(2, 66, 1000)), FrameTooLarge);
  assert.equal(writer.messages, 0);
  assert.equal(writer.add(plain(MsgAppResp)), FrameAdded);
  assert.equal(refusal(writer.finish()), null);
});

test("each thing wrong with an envelope has its refusal", () => {
  const frame = frameOf([plain(MsgAppResp), plain(MsgAppResp)]);
  const set = (at: number, value: number) => resealed(frame, (bytes) => void (bytes[at] = value));
  assert.equal(refusal(frame), null);
  assert.equal(refusal(new Uint8Array(0)), "length");
  assert.equal(refusal(frame.subarray(0, 43)), "length");
  assert.equal(refusal(frame.subarray(0, frame.length - 1)), "length");
  assert.equal(refusal(set(0, 1)), "magic");
  assert.equal(refusal(set(4, 2)), "version");
  assert.equal(refusal(set(5, 1)), "flags");
  assert.equal(refusal(set(7, 1)), "flags");
  assert.equal(refusal(set(8, 78)), "cluster");
  assert.equal(refusal(set(15, 1)), "cluster");
  assert.equal(refusal(set(23, 1)), "unsafe-integer");
  assert.equal(refusal(set(24, 3)), "sender");
  assert.equal(refusal(set(32, 0)), "count");
  assert.equal(refusal(set(32, 1)), "count");
  assert.equal(refusal(set(32, 3)), "count");
  assert.equal(refusal(set(35, 255)), "count");
  assert.equal(refusal(set(36, 0)), "length");
  assert.equal(refusal(set(FRAME_HEADER_BYTES, 250)), "length");
  assert.equal(refusal(set(FRAME_HEADER_BYTES, 19)), "message");
  const flipped = frame.slice();
  flipped[50]! ^= 1;
  assert.equal(refusal(flipped), "crc");
  assert.equal(refusal(frame, 1, readerOf(3)), "receiver");
  assert.equal(refusal(frame, 3), "sender");
});

test("messages name their sender, but for those that followers pass on", () => {
  for (let type = MsgHup as number; type <= MsgForgetLeader; type++) {
    const foreign = plain(type as MessageType, 3);
    const forwarded = type === MsgReadIndex || type === MsgTransferLeader;
    const expected = !isWireType(type) ? "type" : forwarded ? null : "sender";
    assert.equal(refusal(frameOf([plain(MsgAppResp), foreign])), expected, `type ${type}`);
  }
});

test("types that stay in a node are refused", () => {
  for (const type of LOCAL_TYPES) assert.equal(refusal(frameOf([plain(type as MessageType)])), "type");
});

test("cut, flipped and shuffled frames are refused, sealed again or not", () => {
  const mutation = fc.record({
    at: fc.nat(),
    xor: fc.integer({ min: 1, max: 255 }),
    to: fc.nat(),
    cut: fc.nat(),
  });
  const messages = fc.array(messageArbitrary(1, 2), { minLength: 1, maxLength: 4 });
  check(
    FILE,
    fc.property(messages, mutation, fc.boolean(), (batch, { at, xor, to, cut }, reseal) => {
      const frame = frameOf(batch);
      const damage = (bytes: Uint8Array): void => {
        bytes[at % bytes.length]! ^= xor;
        if (to % 2 === 0) bytes.copyWithin(to % bytes.length, at % bytes.length, (at % bytes.length) + 9);
      };
      const whole = frame.slice();
      damage(whole);
      const changed = Buffer.compare(whole, frame) !== 0;
      if (changed) assert.notEqual(refusal(whole), null, "a damaged frame was taken");
      assert.notEqual(refusal(frame.subarray(0, cut % frame.length)), null, "a cut frame was taken");
      // With a good CRC over damage anything may come out, but nothing may be thrown.
      if (reseal) readerOf().read(resealed(frame, damage), 1, []);
    }),
    1000,
  );
});

/** A sealed frame with this body, which may be anything. */
function frameWith(count: number, body: Uint8Array): Uint8Array {
  const head = frameOf([plain(MsgApp)]).subarray(0, FRAME_HEADER_BYTES);
  return resealed(Buffer.concat([head, body, new Uint8Array(4)]), (bytes) => {
    const view = new DataView(bytes.buffer);
    view.setUint32(32, count, true);
    view.setUint32(36, body.length, true);
  });
}

/** One message, with its length before it: type, to 2, from 1, and `rest`. */
function framed(type: number, rest: Uint8Array): Buffer {
  const message = Buffer.concat([Uint8Array.of(0x08, type, 0x10, 2, 0x18, 1), rest]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(message.length);
  return Buffer.concat([length, message]);
}

function repeated(piece: readonly number[], times: number): Uint8Array {
  const bytes = Buffer.alloc(piece.length * times);
  return bytes.fill(Uint8Array.from(piece));
}

/** A field of bytes. */
function field(tag: number, bytes: Uint8Array): Buffer {
  const length: number[] = [];
  let rest = bytes.length;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Uint8Array.of(tag, ...length, rest), bytes]);
}

test("a frame whose bytes stand for many times their size is refused before they do", () => {
  const MiB = 1 << 20;
  const voters = field(0x4a, field(0x12, field(0x0a, repeated([0x08, 1], 8 * MiB))));
  const packed = field(0x4a, field(0x12, field(0x0a, field(0x0a, repeated([1], 8 * MiB)))));
  const bombs: [string, Uint8Array][] = [
    ["empty entries", frameWith(1, framed(MsgApp, repeated([0x3a, 0], 8 * MiB)))],
    ["entries of empty data", frameWith(1, framed(MsgApp, repeated([0x3a, 2, 0x22, 0], 4 * MiB)))],
    [
      "entries in many messages",
      frameWith(
        64,
        Buffer.concat(Array.from({ length: 64 }, () => framed(MsgApp, repeated([0x3a, 0], 1e5)))),
      ),
    ],
    ["messages", frameWith(MiB, repeated([...framed(MsgAppResp, new Uint8Array(0))], MiB))],
    ["members", frameWith(1, framed(MsgSnap, voters))],
    ["packed members", frameWith(1, framed(MsgSnap, packed))],
  ];
  for (const [what, frame] of bombs) {
    const before = process.memoryUsage();
    assert.equal(refusal(frame), "count", what);
    const after = process.memoryUsage();
    // All of them as objects would be half a gigabyte or more.
    const grown = after.heapUsed + after.external - before.heapUsed - before.external;
    assert.ok(grown < 150 * MiB, `${what}: ${grown} bytes`);
  }
});

test("the writer begins another frame where the reader would refuse one for what it holds", () => {
  const writer = writerOf(1, 77, { targetBytes: 1 << 26, maxBytes: 1 << 26 });
  writer.begin(0);
  for (let i = 0; i < FRAME_MESSAGES_MAX; i++) assert.equal(writer.add(plain(MsgAppResp)), FrameAdded);
  assert.equal(writer.add(plain(MsgAppResp)), FrameFull);
  assert.equal(refusal(writer.finish().slice()), null);
  const append = plain(MsgApp);
  append.entries = new Array(FRAME_ENTRIES_MAX / 2).fill(new Entry(0, 1, 1, new Uint8Array(0)));
  writer.rewind();
  writer.begin(0);
  assert.deepEqual([writer.add(append), writer.add(append), writer.add(append)], [0, 0, FrameFull]);
  assert.equal(refusal(writer.finish().slice()), null);
  append.entries = new Array(FRAME_ENTRIES_MAX + 1).fill(append.entries[0]);
  writer.begin(0);
  assert.equal(writer.add(append), FrameTooLarge);
});

test("any bytes under a sound envelope are refused or taken, and never thrown at the caller", () => {
  const tags = [
    0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x3a, 0x40, 0x4a, 0x50, 0x58, 0x62, 0x68, 0x72, 0x0b, 0x7f,
  ];
  const piece = fc.oneof(
    fc.tuple(fc.constantFrom(...tags), fc.constantFrom(0, 1, 2, 3, 5, 127)).map((pair) => [...pair]),
    fc.constantFrom(
      [0x3a, 255, 255, 255, 255, 15],
      [0x4a, 3, 0x12, 0x81, 0],
      [0x62, 255, 255, 127],
      [0x10, 2],
    ),
    fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 12 }),
  );
  const body = fc.array(piece, { maxLength: 60 }).map((pieces) => Uint8Array.from(pieces.flat()));
  const counts = fc.constantFrom(0, 1, 2, 3, 65_536, 2 ** 32 - 1);
  check(
    FILE,
    fc.property(
      body,
      counts,
      fc.constantFrom(MsgApp, MsgAppResp, MsgSnap, MsgReadIndex),
      (rest, count, type) => {
        refusal(frameWith(1, framed(type, rest)));
        refusal(frameWith(count, rest));
      },
    ),
    2000,
  );
});
