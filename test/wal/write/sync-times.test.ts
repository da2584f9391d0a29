// The histogram of how long batches took to become durable.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryOver } from "../../../src/wal/format/codec.js";
import * as L from "../../../src/wal/format/layout.js";
import { noteSync, readSyncTimes, SYNC_BOUNDS_S } from "../../../src/wal/write/sync-times.js";
import { tempDir } from "../../temp-dir.js";
import { durable, entry, open, options, WRITERS } from "../helpers.js";

test("the buckets are etcd's, and three finer ones; a bound is in its bucket, and nothing else is written", () => {
  const etcd = Array.from({ length: 14 }, (_, i) => 0.001 * 2 ** i);
  assert.deepEqual(SYNC_BOUNDS_S.slice(3), etcd);
  assert.deepEqual(SYNC_BOUNDS_S.slice(0, 3), [0.000125, 0.00025, 0.0005]);
  const memory = memoryOver(new ArrayBuffer(L.RING));
  SYNC_BOUNDS_S.forEach((bound, i) => {
    for (let n = 0; n <= i; n++) noteSync(memory, bound * 1000);
  });
  noteSync(memory, 0);
  noteSync(memory, 8192.1);
  const { counts, bounds, sum } = readSyncTimes(memory);
  assert.equal(bounds, SYNC_BOUNDS_S);
  assert.deepEqual(counts, [2, ...SYNC_BOUNDS_S.slice(1).map((_, i) => i + 2), 1]);
  const all = SYNC_BOUNDS_S.reduce((total, bound, i) => total + bound * (i + 1), 8.1921);
  assert.ok(Math.abs(sum - all) < 1e-9);
  const end = L.STAT_SYNC_COUNTS + (SYNC_BOUNDS_S.length + 1) * 8;
  assert.ok(end <= L.ENC, "the table reaches into the encoder's state");
  assert.ok(memory.u8.subarray(0, L.STAT_SYNC_MS).every((byte) => byte === 0));
  assert.ok(memory.u8.subarray(end).every((byte) => byte === 0));
});

for (const writer of WRITERS) {
  test(`${writer}: every durable write is in it, and takes no longer than the log has been open`, async (t) => {
    const begun = performance.now();
    // The largest goes another way than through the ring, and the segments are cut meanwhile.
    const wal = await open(t, options(tempDir(t), { writer, durability: "fdatasync" }));
    for (let index = 1; index <= 20; index++)
      await durable(wal, wal.append(null, [entry(index, 1, index === 9 ? 30_000 : 9_000)]));
    const { counts, sum } = wal.syncTimes();
    assert.equal(
      counts.reduce((total, count) => total + count, 0),
      wal.stats().syncs,
    );
    assert.ok(wal.stats().syncs >= 20);
    assert.ok(sum > 0 && sum * 1000 <= performance.now() - begun, `${sum} s`);
  });
}

test("a log that is not made durable has nothing in it", async (t) => {
  const wal = await open(t, options(tempDir(t), { durability: "none" }));
  await durable(wal, wal.append(null, [entry(1)]));
  assert.deepEqual(new Set(wal.syncTimes().counts), new Set([0]));
});

test("the ring's depth: what was appended and not written, and nothing when it is", async (t) => {
  const wal = await open(t, options(tempDir(t), { writer: "inline-js" }));
  assert.equal(wal.stats().ringBytes, 0);
  assert.equal(wal.stats().ringBytesMax, 16 << 10);
  // The writer takes the first at once, the second in its next batch.
  wal.append(null, [entry(1, 1, 1000)]);
  const seq = wal.append(null, [entry(2, 1, 1000)]);
  const { ringBytes } = wal.stats();
  assert.ok(ringBytes >= 1000 && ringBytes < 1100, `${ringBytes}`);
  await durable(wal, seq);
  assert.equal(wal.stats().ringBytes, 0);
});
