import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeMessageProto, encodeMessageProto } from "../../bench/micro/proto.js";
import { NO_DATA } from "../../src/base/bytes.js";
import { putVarint, varintSize } from "../../src/base/varint.js";
import { Entry, EntryNormal, Message, MsgApp, NO_ENTRIES, runEnd } from "../../src/raft/raftpb/index.js";
import {
  ByteWriter,
  decodeMessage,
  EntriesCache,
  encodeMessage,
  messageBytesMax,
  WireError,
  type WireRefusal,
} from "../../src/wire/index.js";
import { appMessage, check, messageArbitrary, ofNoRun, uint } from "./random.js";

const FILE = "wire/codec.test";

function encode(message: Message, cache: EntriesCache | null = null): Uint8Array {
  const writer = new ByteWriter(16);
  encodeMessage(writer, message, cache);
  return writer.bytes.slice(0, writer.pos);
}

function decode(bytes: Uint8Array): Message {
  return decodeMessage(bytes, 0, bytes.length);
}

function refusal(bytes: Uint8Array): WireRefusal | null {
  try {
    decode(bytes);
    return null;
  } catch (error) {
    assert.ok(error instanceof WireError, `not a WireError: ${error}`);
    return error.refusal;
  }
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return bytes;
}

/** A Message with only field 4, term. */
const withTerm = (value: bigint): Uint8Array => Uint8Array.from([0x20, ...varint(value)]);

test("the lean encoder writes protobufjs's bytes", () => {
  check(
    FILE,
    fc.property(messageArbitrary(1, 2), (message) => {
      assert.deepEqual(Buffer.from(encode(message)), Buffer.from(encodeMessageProto(message)));
      assert.ok(messageBytesMax(message) >= encode(message).length, "messageBytesMax is below the length");
    }),
  );
});

test("the lean decoder reads what both encoders write, and protobufjs reads the lean encoder's", () => {
  check(
    FILE,
    fc.property(messageArbitrary(1, 2), (message) => {
      assert.deepEqual(ofNoRun(decode(encode(message))), message);
      assert.deepEqual(decodeMessageProto(encode(message)), message);
      assert.deepEqual(ofNoRun(decode(Buffer.from(encodeMessageProto(message)))), message);
    }),
  );
});

test("entries whose bytes are ours are one run, and go on as the same bytes", () => {
  const message = appMessage(2, 40, 100);
  const bytes = encode(message);
  const { entries } = decode(bytes);
  assert.equal(runEnd(entries, 0), 40);
  assert.notEqual(entries[0]!.at, -1);
  for (const [i, { data }] of entries.entries()) assert.deepEqual(data, message.entries[i]!.data);
  const some = Object.assign(new Message(MsgApp), message, { entries: entries.slice(3, 17) });
  const same = Object.assign(new Message(MsgApp), message, { entries: message.entries.slice(3, 17) });
  assert.deepEqual(encode(some), encode(same));
});

test("an entry in other bytes than ours means the same, and is of no run", () => {
  const usual = [0x08, 0, 0x10, 5, 0x18, 7, 0x22, 2, 0xaa, 0xbb];
  const others = [
    [0x08, 0, 0x10, 0x85, 0, 0x18, 7, 0x22, 2, 0xaa, 0xbb],
    [0x10, 5, 0x08, 0, 0x18, 7, 0x22, 2, 0xaa, 0xbb],
    [0x08, 0, 0x10, 5, 0x18, 7, 0x22, 0x82, 0, 0xaa, 0xbb],
    [0x08, 0, 0x10, 5, 0x18, 9, 0x18, 7, 0x22, 2, 0xaa, 0xbb],
    [0x08, 0, 0x10, 5, 0x18, 7, 0x22, 2, 0xaa, 0xbb, 0x28, 1],
  ];
  const plain = new Entry(EntryNormal, 5, 7, Uint8Array.from([0xaa, 0xbb]));
  for (const other of others) {
    const field = [0x3a, usual.length, ...usual];
    const { entries } = decode(Uint8Array.from([...field, 0x3a, other.length, ...other, ...field, ...field]));
    assert.deepEqual(
      entries.map(({ at }) => at !== -1),
      [true, false, true, true],
    );
    assert.deepEqual(entries[1], plain);
    // Not together with the first, from which it is parted.
    assert.equal(runEnd(entries, 2), 4);
    assert.notEqual(entries[0]!.bytes, entries[2]!.bytes);
  }
});

test("absent data is NO_DATA, and empty data is not", () => {
  const message = appMessage(2, 2, 0);
  for (const [i, data] of [NO_DATA, new Uint8Array(0)].entries()) {
    const { type, term, index } = message.entries[i]!;
    message.entries[i] = new Entry(type, term, index, data);
  }
  const decoded = decode(encode(message));
  assert.equal(decoded.entries[0]!.data, NO_DATA);
  assert.notEqual(decoded.entries[1]!.data, NO_DATA);
  assert.equal(decoded.entries[1]!.data.length, 0);
  assert.equal(decoded.context, NO_DATA);
});

test("fields may be missing, in any order, and unknown", () => {
  assert.deepEqual(decode(new Uint8Array(0)), new Message(0));
  assert.equal(decode(new Uint8Array(0)).entries, NO_ENTRIES);
  const unknown = [
    0x78, 0x05, 0x81, 0x01, 1, 2, 3, 4, 5, 6, 7, 8, 0x8a, 0x01, 2, 9, 9, 0x95, 0x01, 1, 2, 3, 4,
  ];
  const bytes = Uint8Array.from([0x50, 1, ...unknown, 0x20, 9, 0x08, 4, 0x3a, 4, 0x18, 7, 0x10, 6]);
  const message = decode(bytes);
  assert.equal(message.type, 4);
  assert.equal(message.term, 9);
  assert.equal(message.reject, true);
  assert.equal(message.entries[0]!.index, 7);
  assert.deepEqual(message, decodeMessageProto(bytes));
});

test("entries in any encoding mean what protobufjs reads in them, and go on in ours", () => {
  // A varint, and with as many needless bytes as may be.
  const long = (value: number, needless: number): number[] => {
    const bytes = varint(BigInt(value));
    for (let i = 0; i < needless; i++) bytes[bytes.push(0) - 2]! |= 0x80;
    return bytes;
  };
  const seldom = fc.oneof({ weight: 12, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 2 }));
  const anEntry = fc
    .record({
      numbers: fc.tuple(fc.nat(2), uint, uint),
      data: fc.uint8Array({ maxLength: 200 }),
      needless: fc.tuple(seldom, seldom, seldom, seldom, seldom),
      order: fc.oneof(fc.constant<number[]>([0, 1, 2, 3]), fc.array(fc.nat(3), { maxLength: 6 })),
      before: fc.constantFrom([], [], [], [0x20, 7], [0xfa, 0x01, 1, 9]),
    })
    .map(({ numbers, data, needless, order, before }) => {
      const fields = numbers.map((value, i) => [8 * i + 8, ...long(value, needless[i]!)]);
      fields.push([0x22, ...long(data.length, needless[3]), ...data]);
      const bytes = order.flatMap((which) => fields[which]!);
      return [...before, 0x3a, ...long(bytes.length, needless[4]), ...bytes];
    });
  check(
    FILE,
    fc.property(fc.array(anEntry, { maxLength: 8 }), fc.nat(8), (entries, from) => {
      const bytes = Uint8Array.from([0x08, 3, 0x10, 2, 0x18, 1, ...entries.flat()]);
      const message = decode(bytes);
      const known = decodeMessageProto(bytes);
      assert.deepEqual(ofNoRun(message), known);
      message.entries = message.entries.slice(from);
      known.entries = known.entries.slice(from);
      assert.deepEqual(Buffer.from(encode(message)), Buffer.from(encodeMessageProto(known)));
    }),
  );
});

test("a snapshot in any encoding means what protobufjs reads in it", () => {
  const field = (tag: number, ...bytes: number[]): number[] => [tag, bytes.length, ...bytes];
  const confStates = [
    [0x08, 1, 0x08, 2, 0x10, 3, 0x18, 4, 0x20, 5, 0x28, 1],
    [...field(0x0a, 1, 0x82, 0x01), 0x08, 3, 0x28, 1, ...field(0x12, 9), ...field(0x22)],
    [0x32, 1, 7, 0x28, 0, 0x18, 6],
  ].map((bytes) => field(0x0a, ...bytes));
  const metadatas = [
    [...confStates[0]!, 0x10, 7, 0x18, 2],
    [0x18, 2, ...confStates[1]!, ...confStates[2]!, 0x10, 9, 0x22, 0],
    [...confStates[2]!, 0x18, 5],
  ].map((bytes) => field(0x12, ...bytes));
  for (const snapshot of [
    [],
    [0x0a, 2, 8, 9],
    [...metadatas[0]!, 0x0a, 0],
    [0x0a, 1, 1, ...metadatas[1]!, 0x1a, 1, 0],
    // One that comes in parts.
    [...metadatas[0]!, ...metadatas[2]!, ...metadatas[1]!],
  ]) {
    const bytes = Uint8Array.from([0x08, 7, ...field(0x4a, ...snapshot)]);
    assert.deepEqual(decode(bytes), decodeMessageProto(bytes), `${snapshot}`);
  }
  const refused = (...metadata: number[]) =>
    refusal(Uint8Array.from(field(0x4a, ...field(0x12, ...metadata))));
  assert.equal(refused(0x0a, 2, 0x0a, 1), "message");
  assert.equal(refused(...field(0x0a, 0x0a, 1, 0x80)), "message");
  assert.equal(refused(...field(0x0a, 0x29, 1)), "message");
  assert.equal(refused(0x12, 0), "message");
  assert.equal(refused(0x10, ...varint(2n ** 53n)), "unsafe-integer");
});

test("varints: edges, and random values against BigInt", () => {
  const same = (value: number): void => {
    const bytes = new Uint8Array(12);
    const end = putVarint(bytes, 0, value);
    assert.deepEqual([...bytes.subarray(0, end)], varint(BigInt(value)), `varint of ${value}`);
    assert.equal(varintSize(value), end, `length of ${value}`);
    assert.equal(decode(withTerm(BigInt(value))).term, value);
  };
  for (const bits of [7, 14, 21, 28, 31, 32, 33, 35, 42, 49, 52]) {
    same(2 ** bits - 1);
    same(2 ** bits);
    same(2 ** bits + 1);
  }
  same(Number.MAX_SAFE_INTEGER);
  check(FILE, fc.property(uint, same));
});

test("integers above 2^53-1 are refused, by both codecs", () => {
  for (const value of [2n ** 53n, 2n ** 53n + 1n, 2n ** 56n, 2n ** 63n, 2n ** 64n - 1n]) {
    assert.equal(refusal(withTerm(value)), "unsafe-integer", `${value}`);
    assert.throws(() => decodeMessageProto(withTerm(value)), WireError);
  }
  // A varint of 11 bytes, and one that does not end.
  assert.equal(refusal(Uint8Array.from([0x20, ...Array(10).fill(0x80), 0])), "message");
  assert.equal(refusal(Uint8Array.from([0x20, 0x80])), "message");
  // Small, with needless bytes: legal.
  assert.equal(
    decode(Uint8Array.from([0x20, 0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0])).term,
    5,
  );
});

test("unknown types, responses, groups and wrong wire types are refused", () => {
  assert.equal(refusal(Uint8Array.from([0x08, 24])), "type");
  assert.equal(refusal(Uint8Array.from([0x3a, 2, 0x08, 3])), "type");
  assert.equal(refusal(Uint8Array.from([0x72, 2, 0x08, 4])), "message");
  assert.equal(refusal(Uint8Array.from([0x7b, 0x7c])), "message");
  assert.equal(refusal(Uint8Array.from([0x22, 1, 0])), "message");
  assert.equal(refusal(Uint8Array.from([0x3a, 9, 0x10, 1])), "message");
  assert.equal(refusal(Uint8Array.from([0x4a, 2, 0x12, 9])), "message");
});

test("cut, flipped and shuffled messages are refused or decoded, and nothing else", () => {
  const mutation = fc.record({ at: fc.nat(), bit: fc.nat(7), cut: fc.nat(), swap: fc.nat() });
  check(
    FILE,
    fc.property(
      messageArbitrary(1, 2),
      fc.array(mutation, { minLength: 1, maxLength: 3 }),
      (message, mutations) => {
        let bytes = encode(message);
        for (const { at, bit, cut, swap } of mutations) {
          const i = at % bytes.length;
          bytes[i]! ^= 1 << bit;
          const j = swap % bytes.length;
          [bytes[i], bytes[j]] = [bytes[j]!, bytes[i]!];
          if (cut % 3 === 0) bytes = bytes.slice(0, 1 + (cut % bytes.length));
        }
        refusal(bytes);
      },
    ),
    1000,
  );
});

test("entries from the cache are the bytes of a fresh encoding", () => {
  const cache = new EntriesCache();
  const writer = new ByteWriter(16);
  const first = appMessage(2, 64, 256, 2 ** 31 - 30);
  const second = Object.assign(new Message(3), first, {
    to: 3,
    commit: 2 ** 40,
    entries: [...first.entries],
  });
  const other = appMessage(3, 64, 256, 2 ** 31 + 34);
  const prefix = Object.assign(new Message(3), first, { to: 4, entries: first.entries.slice(0, 63) });
  for (let turn = 0; turn < 3; turn++) {
    writer.pos = 0;
    cache.clear();
    for (const message of [first, second, other, prefix, second]) {
      const start = writer.pos;
      const block = encodeMessage(writer, message, cache);
      const fresh = encode(message);
      assert.deepEqual(Buffer.from(writer.bytes.slice(start, writer.pos)), Buffer.from(fresh));
      const length = block!.end - block!.start;
      assert.deepEqual(
        writer.bytes.slice(writer.entriesEnd - length, writer.entriesEnd),
        writer.bytes.slice(block!.start, block!.end),
      );
    }
  }
});

test("a full cache only encodes again", () => {
  const cache = new EntriesCache();
  const writer = new ByteWriter(16);
  for (let i = 0; i < 40; i++) {
    const message = appMessage(2, 3, 10, i * 3);
    const start = writer.pos;
    encodeMessage(writer, message, cache);
    assert.deepEqual(ofNoRun(decodeMessage(writer.bytes, start, writer.pos)), message);
  }
});
