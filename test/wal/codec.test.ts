// The codec in WebAssembly and its plain twin: the same bytes for the same ring records, whatever they are.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { NO_DATA } from "../../src/base/bytes.js";
import { crc32c } from "../../src/base/crc32c.js";
import { Entry, type EntryType, type HardState } from "../../src/raft/index.js";
import { Batcher } from "../../src/wal/batcher.js";
import { allocateMemory, type Codec } from "../../src/wal/codec.js";
import { createJsCodec } from "../../src/wal/codec-js.js";
import { createWasmCodec } from "../../src/wal/codec-wasm.js";
import { decodeEntry, FrameCursor, FrameEnd, FrameOk } from "../../src/wal/frames.js";
import * as layout from "../../src/wal/layout.js";
import { RingProducer } from "../../src/wal/ring.js";
import { checkProperty } from "../property.js";

const RING_BYTES = 1 << 18;
const OUT_BYTES = 1 << 19;

interface Append {
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
}

interface Encoded {
  readonly bytes: Uint8Array;
  readonly state: Uint8Array;
  readonly points: Uint8Array;
}

function encodeWith(create: (memory: WebAssembly.Memory) => Codec, appends: readonly Append[]): Encoded {
  const memory = allocateMemory(layout.RING + RING_BYTES + OUT_BYTES);
  const ring = new RingProducer(memory, RING_BYTES);
  const batcher = new Batcher(
    { memory, ringBytes: RING_BYTES, outBytes: OUT_BYTES },
    create(memory),
    OUT_BYTES,
  );
  for (const [i, append] of appends.entries()) ring.push(i + 1, append.hardState, append.entries, true);
  batcher.take();
  const all = batcher.bytes;
  return {
    bytes: all.slice(batcher.out, batcher.out + batcher.pendingBytes),
    state: all.slice(layout.STATE, layout.STATE + 72),
    points: all.slice(layout.POINTS, layout.POINTS + layout.POINTS_MAX * 16),
  };
}

const index = fc.oneof(
  fc.nat(300),
  fc.constantFrom(2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1),
  fc.maxSafeNat(),
);
const data = fc.oneof(
  fc.constant(NO_DATA),
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ minLength: 100, maxLength: 700 }),
);
const entry = fc
  .tuple(fc.constantFrom<EntryType>(0, 1, 2), index, index, data)
  .map(([type, term, at, bytes]) => new Entry(type, term, at, bytes));
const hardState = fc.record({ term: index, vote: index, commit: index });
const append = fc.record({ hardState: fc.option(hardState), entries: fc.array(entry, { maxLength: 12 }) });

test("WebAssembly and TypeScript encode random batches to identical bytes", (t) => {
  const same = fc.property(fc.array(append, { maxLength: 12 }), (appends) => {
    assert.deepEqual(encodeWith(createWasmCodec, appends), encodeWith(createJsCodec, appends));
  });
  checkProperty(t, import.meta.url, same, 200);
});

test("what was encoded reads back as it was", (t) => {
  const same = fc.property(fc.array(append, { maxLength: 8 }), (appends) => {
    const { bytes } = encodeWith(createWasmCodec, appends);
    const cursor = new FrameCursor(bytes, 0, bytes.length);
    const entries: Entry[] = [];
    let crc = 0;
    let result = cursor.next();
    for (; result === FrameOk; result = cursor.next()) {
      assert.equal(cursor.offset % 8, 0, "a frame begins on a multiple of 8");
      crc = crc32c(crc, bytes.subarray(cursor.dataStart, cursor.dataEnd));
      assert.equal(cursor.crc, crc);
      if (cursor.type === 2) entries.push(decodeEntry(bytes, cursor.dataStart, cursor.dataEnd)!);
    }
    assert.equal(result, FrameEnd);
    const put = appends.flatMap((one) => one.entries);
    assert.deepEqual(entries, put);
    for (let i = 0; i < put.length; i++) assert.equal(entries[i].data === NO_DATA, put[i].data === NO_DATA);
  });
  checkProperty(t, import.meta.url, same, 200);
});

test("CRC-32C of both codecs is the known one, for every length up to 100 and any split", () => {
  const memory = allocateMemory(layout.RING + 65536);
  const wasm = createWasmCodec(memory);
  const bytes = new Uint8Array(memory.buffer, layout.RING, 4096);
  bytes.set(new TextEncoder().encode("123456789"));
  assert.equal(wasm.crc32c(0, layout.RING, 9), 0xe3069283);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 7 + (i >> 3)) & 255;
  for (let length = 0; length <= 100; length++) {
    const whole = wasm.crc32c(0, layout.RING + 3, length);
    assert.equal(whole, crc32c(0, bytes.subarray(3, 3 + length)));
    const half = Math.floor(length / 2);
    const first = wasm.crc32c(0, layout.RING + 3, half);
    assert.equal(wasm.crc32c(first, layout.RING + 3 + half, length - half), whole);
  }
});

test("the layout of the shared memory is the same in AssemblyScript and TypeScript", () => {
  const path = fileURLToPath(new URL("../../../assembly/layout.ts", import.meta.url));
  const declared = [...readFileSync(path, "utf8").matchAll(/^export const (\w+): \w+ = (.+);$/gm)];
  assert.ok(declared.length > 15, "the pattern no longer finds the constants");
  const host = layout as unknown as Record<string, number>;
  for (const [, name, value] of declared) {
    const sum = value.split("+").reduce((total, term) => total + (host[term.trim()] ?? Number(term)), 0);
    assert.equal(host[name], sum, name);
  }
});
