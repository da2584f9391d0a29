// The WASM codec against its plain twin: same memory in, same memory out, byte for byte, for encoding and scanning,
// on good and on damaged input.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NO_DATA } from "../../../src/base/bytes.js";
import { crc32cRange } from "../../../src/base/crc32c.js";
import { Prng } from "../../../src/base/prng.js";
import { Entry, type EntryType, Message, MsgApp } from "../../../src/raft/raftpb/index.js";
import type { Codec } from "../../../src/wal/format/codec.js";
import { createJsCodec } from "../../../src/wal/format/codec-js.js";
import { bindWasmCodec, createWasmMemory, wasmModule } from "../../../src/wal/format/codec-wasm.js";
import { crc32c } from "../../../src/wal/format/crc32c.js";
import * as L from "../../../src/wal/format/layout.js";
import { encodeEntry, encodeHardState, FrameBuilder } from "../../../src/wal/format/record.js";
import { RingProducer } from "../../../src/wal/write/ring.js";
import { ByteWriter, decodeMessage, encodeMessage } from "../../../src/wire/index.js";
import { checkProperty } from "../../property.js";
import { asRun } from "../helpers.js";

const RING_BYTES = 16384;
const OUT = L.RING + RING_BYTES;
const OUT_BYTES = 65536;
const BYTES = OUT + OUT_BYTES + 64;

interface Twin {
  codec: Codec;
  ring: RingProducer;
}

function twin(codec: Codec): Twin {
  reset(codec, RING_BYTES);
  return { codec, ring: new RingProducer(codec.memory, RING_BYTES) };
}

function reset(codec: Codec, ringBytes: number): void {
  const { u8, u32 } = codec.memory;
  u8.fill(0, L.CONTROL);
  u32[L.ENC_RING_BASE >>> 2] = L.RING;
  u32[L.ENC_RING_MASK >>> 2] = ringBytes - 1;
  u32[L.ENC_POINTS_BASE >>> 2] = L.POINTS;
  u32[L.ENC_POINTS_MASK >>> 2] = L.POINTS_MAX - 1;
  u32[L.ENC_FORCE_POINT >>> 2] = 1;
}

const js = createJsCodec(new SharedArrayBuffer(BYTES));
const wasm = bindWasmCodec(wasmModule(), createWasmMemory(BYTES));

function assertSameMemory(what: string): void {
  const a = Buffer.from(js.memory.buffer, L.CONTROL, BYTES - 64 - L.CONTROL);
  const b = Buffer.from(wasm.memory.buffer, L.CONTROL, BYTES - 64 - L.CONTROL);
  if (a.equals(b)) return;
  let at = 0;
  while (a[at] === b[at]) at++;
  assert.fail(`${what}: memories differ first at ${L.CONTROL + at}: js ${a[at]}, wasm ${b[at]}`);
}

const u53 = fc.oneof(fc.maxSafeNat(), fc.nat(300), fc.constantFrom(127, 128, 2 ** 31, 2 ** 32, 2 ** 53 - 1));
const size = fc.oneof(fc.nat(40), fc.nat(600), fc.constantFrom(0, 127, 128, 450, 4000));
const item = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("entry" as const),
      type: fc.nat(2),
      term: u53,
      index: u53,
      size,
      nil: fc.boolean(),
      fill: fc.nat(255),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("run" as const),
      term: u53,
      index: fc.oneof(fc.nat(300), fc.constantFrom(125, 16382, 2 ** 21 - 2, 2 ** 32 - 2, 2 ** 49 - 2)),
      sizes: fc.array(size, { minLength: 1, maxLength: 6 }),
      skip: fc.nat(7),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("state" as const), term: u53, vote: u53, commit: u53 }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("snapshot" as const),
      term: u53,
      index: u53,
      size: fc.oneof(fc.nat(40), fc.nat(600)),
      fill: fc.nat(255),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("take" as const),
      cap: fc.nat(20000),
      segment: fc.nat(40000),
      points: fc.nat(6),
    }),
  },
);
type Item = typeof item extends fc.Arbitrary<infer T> ? T : never;

function data(size: number, fill: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (fill + i * 31) & 0xff;
  return bytes;
}

/** Entries that lie encoded behind one another, from byte `skip` of a buffer on. */
function run(term: number, index: number, sizes: readonly number[], skip = 0): Entry[] {
  const w = new ByteWriter(64);
  const m = new Message(MsgApp);
  m.to = 1;
  m.entries = sizes.map((size, i) => new Entry(0, term, index + i, data(size, i)));
  encodeMessage(w, m, null);
  const bytes = new Uint8Array(skip + w.pos);
  bytes.set(w.bytes.subarray(0, w.pos), skip);
  return decodeMessage(bytes, skip, bytes.length).entries;
}

test("a run, wherever the encoder stops in it, is framed as its entries by themselves", () => {
  const sizes = [1, 0, 127, 128, 300, 5, 2000];
  const entries = run(3, 2 ** 21 - 3, sizes);
  const frames = new FrameBuilder(0);
  for (const entry of entries) frames.record(2, encodeEntry(entry));
  const expected = Buffer.from(frames.take());
  for (const codec of [js, wasm]) {
    for (let cap = 0; cap <= expected.length + 64; cap += 50) {
      const { ring } = twin(codec);
      const { u8, u32, f64 } = codec.memory;
      assert.ok(ring.pushRun(entries[0], entries[entries.length - 1]));
      ring.publish();
      const tail = u32[L.WORD_TAIL];
      const chunks: Uint8Array[] = [];
      do {
        const bytes = codec.encodeBatch(OUT, OUT, tail, OUT + cap, OUT + OUT_BYTES, 1);
        chunks.push(u8.slice(OUT, OUT + bytes));
      } while (u32[L.ENC_STOP >>> 2] === L.STOP_CAP);
      assert.equal(u32[L.ENC_STOP >>> 2], L.STOP_DRAINED);
      assert.deepEqual(Buffer.concat(chunks), expected, `cap ${cap}`);
      assert.equal(u32[L.ENC_HEAD >>> 2], tail);
      assert.equal(f64[L.ENC_LAST_INDEX >>> 3], entries[entries.length - 1].index);
      assert.equal(f64[L.ENC_ENTRIES >>> 3], entries.length);
    }
  }
});

test("encodeBatch: WASM and TypeScript leave the same memory", (t) => {
  const property = fc.property(fc.array(item, { maxLength: 80 }), (items: Item[]) => {
    const a = twin(js);
    const b = twin(wasm);
    let seq = 0;
    for (const it of items) {
      if (it.kind === "entry") {
        const bytes = it.nil ? NO_DATA : data(it.size, it.fill);
        const entry = new Entry(it.type as EntryType, it.term, it.index, bytes);
        assert.equal(a.ring.pushEntry(entry, false), b.ring.pushEntry(entry, false));
      } else if (it.kind === "run") {
        const entries = run(it.term, it.index, it.sizes, it.skip);
        const last = entries[entries.length - 1];
        assert.equal(a.ring.pushRun(entries[0], last), b.ring.pushRun(entries[0], last));
      } else if (it.kind === "state") {
        assert.equal(a.ring.pushState(it), b.ring.pushState(it));
      } else if (it.kind === "snapshot") {
        const record = data(it.size, it.fill);
        const pushed = a.ring.pushSnapshot(it.term, it.index, record);
        assert.equal(pushed, b.ring.pushSnapshot(it.term, it.index, record));
      } else {
        assert.equal(a.ring.pushEnd(++seq), b.ring.pushEnd(seq));
        a.ring.publish();
        b.ring.publish();
        takeBoth(OUT + it.cap, OUT + it.segment, it.points);
      }
    }
    a.ring.publish();
    b.ring.publish();
    takeBoth(OUT + OUT_BYTES, OUT + OUT_BYTES, L.POINTS_MAX);
  });
  checkProperty(t, import.meta.url, property, 150);
});

function takeBoth(cap: number, segment: number, points: number): Uint8Array {
  const tail = js.memory.u32[L.WORD_TAIL];
  const results = [js, wasm].map((codec) => {
    const bytes = codec.encodeBatch(OUT, OUT, tail, cap, segment, points);
    codec.memory.u32[L.WORD_HEAD] = codec.memory.u32[L.ENC_HEAD >>> 2];
    return bytes;
  });
  assert.equal(results[0], results[1]);
  // The encoder may clear up to 8 bytes behind its last frame.
  for (const codec of [js, wasm]) codec.memory.u8.fill(0, OUT + results[0]);
  assertSameMemory("encodeBatch");
  return js.memory.u8.slice(OUT, OUT + results[0]!);
}

/** Entries as they come of a leader: indexes without a gap, terms that do not fall. */
function successive(prng: Prng, first: number, term: number, count: number): Entry[] {
  let of = term;
  return Array.from({ length: count }, (_, i) => {
    if (prng.below(20) === 0 && of < Number.MAX_SAFE_INTEGER) of++;
    const length = prng.below(prng.below(10) === 0 ? 3000 : 300);
    return new Entry(prng.below(3) as EntryType, of, first + i, data(length, prng.below(256)));
  });
}

test("runs are framed as the record builder frames their entries, wherever a batch has to stop", (t) => {
  const starts = fc.constantFrom(1, 120, 16_380, 2 ** 21 - 5, 2 ** 28 - 5, 2 ** 32 - 5, 2 ** 53 - 500);
  const terms = fc.constantFrom(1, 127, 16_383, 2 ** 31 - 1, 2 ** 32 - 1, 2 ** 35, 2 ** 53 - 1);
  const property = fc.property(fc.nat(), starts, terms, (draw, start, firstTerm) => {
    const prng = new Prng(draw);
    const [a, b] = [twin(js), twin(wasm)];
    const frames = new FrameBuilder(0);
    const chunks: Uint8Array[] = [];
    let index = start;
    let term = firstTerm;
    // Several times around the ring.
    for (let appends = 0; appends < 12; appends++) {
      const entries = asRun(successive(prng, index, term, 1 + prng.below(30)));
      for (const each of entries) frames.record(2, encodeEntry(each));
      ({ index, term } = entries[entries.length - 1]!);
      index++;
      for (let at = 0; at < entries.length; ) {
        const end = a.ring.pieceEnd(entries, at);
        const pushed = a.ring.pushRun(entries[at]!, entries[end - 1]!);
        assert.equal(b.ring.pushRun(entries[at]!, entries[end - 1]!), pushed);
        if (pushed) at = end;
        a.ring.publish();
        b.ring.publish();
        if (!pushed || prng.below(3) === 0) chunks.push(someOfBoth(prng));
      }
    }
    const all = OUT + OUT_BYTES;
    chunks.push(takeBoth(all, all, L.POINTS_MAX));
    assert.equal(js.memory.u32[L.ENC_STOP >>> 2], L.STOP_DRAINED);
    assert.deepEqual(Buffer.concat(chunks), Buffer.from(frames.take()));
  });
  checkProperty(t, import.meta.url, property, 100);
});

/** Takes a batch of a few entries, or of none, for any reason that there is to stop. */
function someOfBoth(prng: Prng): Uint8Array {
  const limits = [OUT + OUT_BYTES, OUT + OUT_BYTES, L.POINTS_MAX];
  const which = prng.below(4);
  if (which < 2) limits[which] = OUT + prng.below(5000);
  else if (which === 2) limits[which] = prng.below(3);
  return takeBoth(limits[0]!, limits[1]!, limits[2]!);
}

test("a batch that is encoded in parts is the same", (t) => {
  const sizes = fc.array(fc.tuple(size, fc.boolean()), { maxLength: 12 });
  const property = fc.property(sizes, fc.nat(8000), (entries, cap) => {
    const whole = twin(js);
    const parted = twin(wasm);
    const { u32 } = wasm.memory;
    u32[L.ENC_STOP >>> 2] = L.STOP_DRAINED;
    let bytes = 0;
    for (const [i, [length, ends]] of entries.entries()) {
      // A gap now and then, for a point of the index.
      const one = new Entry(0, 1, i * 2 - (i % 3), data(length, i));
      if (!whole.ring.pushEntry(one, false)) break;
      parted.ring.pushEntry(one, false);
      parted.ring.publish();
      const tail = u32[L.WORD_TAIL];
      if (!ends || u32[L.ENC_STOP >>> 2] !== L.STOP_DRAINED) continue;
      bytes = wasm.encodeBatch(OUT, OUT + bytes, tail, OUT + cap, OUT + OUT_BYTES, L.POINTS_MAX);
    }
    whole.ring.publish();
    const tail = u32[L.WORD_TAIL];
    const all = [OUT + cap, OUT + OUT_BYTES, L.POINTS_MAX] as const;
    bytes = wasm.encodeBatch(OUT, OUT + bytes, tail, ...all);
    assert.equal(bytes, js.encodeBatch(OUT, OUT, tail, ...all));
    for (const codec of [js, wasm]) codec.memory.u8.fill(0, OUT + bytes);
    assertSameMemory("in parts");
  });
  checkProperty(t, import.meta.url, property, 300);
});

test("every data size around the edges of varints and padding is framed as the record builder frames it", () => {
  for (const codec of [js, wasm]) {
    const { ring } = twin(codec);
    const frames = new FrameBuilder(0);
    const sizes = [...Array(80).keys(), 100, 126, 127, 128, 129, 511, 512, 513, 3000, 4095, 4096];
    const chunks: Uint8Array[] = [];
    sizes.forEach((n, i) => {
      const entry = new Entry((i % 3) as EntryType, 2 ** (i % 53), i * 2 ** 20 + 1, data(n, i));
      assert.ok(ring.pushEntry(entry, false));
      frames.record(2, encodeEntry(entry));
      const state = { term: i, vote: 2 ** (i % 53), commit: i * 1000 };
      assert.ok(ring.pushState(state));
      frames.record(3, encodeHardState(state));
      assert.ok(ring.pushSnapshot(1, i, data(n % 600, i)));
      frames.record(5, data(n % 600, i));
      chunks.push(take(codec, ring));
    });
    assert.deepEqual(Buffer.concat(chunks), Buffer.from(frames.take()));
  }
});

function take(codec: Codec, ring: RingProducer): Uint8Array {
  ring.publish();
  const { u8, u32 } = codec.memory;
  const limit = OUT + OUT_BYTES;
  const bytes = codec.encodeBatch(OUT, OUT, u32[L.WORD_TAIL], limit, limit, L.POINTS_MAX);
  assert.equal(u32[L.ENC_STOP >>> 2], L.STOP_DRAINED);
  u32[L.WORD_HEAD] = u32[L.ENC_HEAD >>> 2];
  return u8.slice(OUT, OUT + bytes);
}

test("scan: WASM and TypeScript agree on good and on damaged segments", (t) => {
  const flips = fc.array(fc.tuple(fc.nat(1 << 20), fc.nat(255)), { maxLength: 3 });
  const property = fc.property(fc.integer({ min: 1, max: 2 ** 31 }), flips, (draw, damage) => {
    const segment = someSegment(draw);
    for (const [at, value] of damage) segment[at % segment.length] = value;
    const outcomes = [js, wasm].map((codec) => scanAll(codec, segment));
    assert.deepEqual(outcomes[1], outcomes[0]);
    assertSameMemory("scan");
  });
  checkProperty(t, import.meta.url, property, 200);
});

function someSegment(draw: number): Uint8Array {
  const frames = new FrameBuilder(0);
  frames.record(4, null);
  frames.record(1, data(draw % 20, 1));
  for (let i = 1; i < 20; i++) {
    frames.record(2, encodeEntry(new Entry(0, 1 + (i >>> 3), i, data((draw * i) % 700, i))));
    if (i % 3 === 0) frames.record(3, encodeHardState({ term: 1, vote: draw, commit: i }));
  }
  frames.record(5, Uint8Array.of(8, 0, 16, 0));
  const bytes = frames.take();
  const segment = new Uint8Array(bytes.length + (draw % 3) * 8);
  segment.set(bytes);
  return segment;
}

function scanAll(codec: Codec, segment: Uint8Array): number[] {
  reset(codec, RING_BYTES);
  const { u8, u32 } = codec.memory;
  u8.set(segment, L.RING);
  u32[L.SCAN_POS >>> 2] = L.RING;
  u32[L.SCAN_BASE >>> 2] = L.RING;
  u32[L.SCAN_POINTS_BASE >>> 2] = L.POINTS;
  u32[L.SCAN_POINTS_CAP >>> 2] = 3;
  u32[L.SCAN_FORCE_POINT >>> 2] = 1;
  const outcome: number[] = [];
  for (;;) {
    const result = codec.scan(L.RING + segment.length);
    outcome.push(result, u32[L.SCAN_POS >>> 2]);
    if (result === L.SCAN_POINTS_FULL) u32[L.SCAN_POINTS >>> 2] = 0;
    else if (result === L.SCAN_SPECIAL) outcome.push(u32[L.SCAN_TYPE >>> 2]);
    else return outcome;
  }
}

test("CRC-32C: check value, all lengths, seeds, and in pieces", () => {
  const check = Buffer.from("123456789");
  assert.equal(crc32c(0, check), 0xe3069283);
  const bytes = data(5000, 3);
  wasm.memory.u8.set(bytes, OUT);
  for (let n = 0; n < 5000; n = n < 300 ? n + 1 : n + 97) {
    const expected = crc32cRange(n * 7919, bytes, 0, n);
    assert.equal(wasm.crc32c(n * 7919, OUT, n), expected);
    assert.equal(crc32c(n * 7919, bytes.subarray(0, n)), expected);
    assert.equal(crc32c(crc32c(0, bytes.subarray(0, n)), bytes.subarray(n)), crc32c(0, bytes));
  }
  const long = data(200_000, 9);
  assert.equal(crc32c(1, long), crc32cRange(1, long, 0, long.length));
});

test("CRC-32C: WASM and TypeScript agree for any length, alignment and seed", (t) => {
  const bytes = 300_000;
  const codec = bindWasmCodec(wasmModule(), createWasmMemory(L.RING + bytes));
  const { u8 } = codec.memory;
  const random = new Prng(1);
  for (let at = L.RING; at < u8.length; at++) u8[at] = random.nextU32();
  for (let n = 0; n <= 2048; n++) {
    for (let at = L.RING; at < L.RING + 16; at++) {
      const from = Math.imul(n + at, 0x9e3779b1) >>> 0;
      assert.equal(codec.crc32c(from, at, n), crc32cRange(from, u8, at, at + n), `${n} bytes at ${at}`);
    }
  }
  // Lengths near those where the method changes: 16, 144, 1536, pieces of 16 KiB behind 272 bytes.
  const length = fc.oneof(
    fc.nat(900),
    fc.nat(40_000),
    fc.nat(bytes - 64),
    fc
      .tuple(fc.constantFrom(16, 144, 1536, 16_384 + 272, 32_768 + 272), fc.integer({ min: -17, max: 17 }))
      .map(([near, off]) => Math.max(0, near + off)),
  );
  const seed = fc.oneof(fc.constantFrom(0, 0xffffffff), fc.nat(0xffffffff));
  const property = fc.property(seed, fc.nat(40), length, (from, offset, n) => {
    const at = L.RING + offset;
    assert.equal(codec.crc32c(from, at, n), crc32cRange(from, u8, at, at + n));
  });
  checkProperty(t, import.meta.url, property, 2000);
});
