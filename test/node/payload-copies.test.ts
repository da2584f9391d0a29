import assert from "node:assert/strict";
import { test } from "node:test";
import { bytePoolTesting } from "../../src/base/byte-pool.js";
import { Prng } from "../../src/base/prng.js";
import { PayloadCopies, type PayloadCopy } from "../../src/node/payload-copies.js";
import { Entry, EntryNormal, Message, MsgApp, runEnd } from "../../src/raft/raftpb/index.js";
import { ByteWriter, encodeMessage } from "../../src/wire/index.js";

function encoded(entries: Entry[]): Uint8Array {
  const writer = new ByteWriter(64);
  encodeMessage(writer, Object.assign(new Message(MsgApp), { to: 1, entries }), null);
  return writer.bytes.slice(0, writer.pos);
}

function copyOf(copies: PayloadCopies, bytes: Uint8Array): PayloadCopy {
  copies.copy(bytes);
  return { ...copies.last };
}

test("a batch is one run a slab, and the bytes are the callers' as they were", () => {
  const prng = new Prng(3);
  for (const first of [1, 120, 16_380, 2 ** 21 - 5, 2 ** 28 - 5, 2 ** 32 - 5]) {
    const copies = new PayloadCopies();
    copies.expect(3, first);
    const payloads = Array.from({ length: 400 }, (_, i) =>
      new Uint8Array(i === 200 ? 70_000 : 1 + prng.below(400)).fill(i),
    );
    const made = payloads.map((bytes) => {
      const copy = copyOf(copies, bytes);
      bytes.fill(0xee);
      return copy;
    });
    const entries = copies.entries(made, 400, 3, first);
    const expected = payloads.map(
      (bytes, i) => new Entry(EntryNormal, 3, first + i, new Uint8Array(bytes.length).fill(i)),
    );
    assert.deepEqual(encoded(entries), encoded(expected));
    for (const [i, { data }] of entries.entries()) assert.deepEqual(data, expected[i].data);
    let runs = 0;
    for (let at = 0; at < entries.length; at = runEnd(entries, at)) runs++;
    // Two or three slabs, the large one by itself, and what is behind it.
    assert.ok(runs <= 5, `${runs} runs`);
  }
});

test("entries that came to other places than was expected, and with gaps between them, hold the same data", () => {
  const copies = new PayloadCopies();
  copies.expect(1, 126);
  const made = [1, 2, 3, 4, 5, 6].map((i) => copyOf(copies, new Uint8Array(i).fill(i)));
  // The third was aborted.
  made.splice(2, 1);
  const entries = copies.entries(made, made.length, 128, 127);
  assert.deepEqual(
    entries.map(({ term, index, data }) => [term, index, ...data]),
    [
      [128, 127, 1],
      [128, 128, 2, 2],
      [128, 129, 4, 4, 4, 4],
      [128, 130, 5, 5, 5, 5, 5],
      [128, 131, 6, 6, 6, 6, 6, 6],
    ],
  );
  const again = copies.entries(made, made.length, 1, 127);
  const alone = again.map(({ type, term, index, data }) => new Entry(type, term, index, data));
  assert.deepEqual(encoded(again), encoded(alone));
});

test("what is applied gives its memory back, slab by slab, and a large one by itself; nothing that waits is written over", async (t) => {
  bytePoolTesting.poison = true;
  t.after(() => {
    bytePoolTesting.poison = false;
  });
  const prng = new Prng(7);
  const copies = new PayloadCopies();
  const buffers = new Set<ArrayBufferLike>();
  const waiting: { copy: PayloadCopy; byte: number }[] = [];
  for (let step = 0; step < 3000; step++) {
    const size = prng.below(20) === 0 ? 8192 + prng.below(60_000) : 1 + prng.below(2000);
    const byte = prng.below(256);
    waiting.push({ copy: copyOf(copies, new Uint8Array(size).fill(byte)), byte });
    buffers.add(waiting[waiting.length - 1].copy.slab.bytes.buffer);
    // Some become no entry.
    if (prng.below(30) === 0) waiting.splice(prng.below(waiting.length), 1);
    while (waiting.length > 100) {
      // What was sent to another leader and came back is applied behind what came later.
      const { copy, byte } = waiting.splice(prng.below(20) === 0 ? prng.below(100) : 0, 1)[0]!;
      const { slab, start, size } = copy;
      assert.ok(
        slab.bytes.subarray(start, start + size).every((each) => each === byte),
        `step ${step}`,
      );
      slab.letGo();
    }
    if (prng.below(3) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(buffers.size < 100, `${buffers.size} buffers`);
});
