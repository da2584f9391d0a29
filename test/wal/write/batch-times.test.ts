// When batches were encoded and durable, as the main thread learns it: from every kind of writer, and through the ring.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryOver } from "../../../src/wal/format/codec.js";
import * as L from "../../../src/wal/format/layout.js";
import type { Wal } from "../../../src/wal/index.js";
import { BatchTimer, BatchTimes } from "../../../src/wal/write/batch-times.js";
import { monotonicUs } from "../../../src/wal/write/monotonic.js";
import { tempDir } from "../../temp-dir.js";
import { entry, open, options, WRITERS } from "../helpers.js";

function durable(wal: Wal, seq: number): Promise<void> {
  return new Promise((resolve, reject) => {
    wal.onDurable = (reached) => {
      if (reached >= seq) resolve();
    };
    wal.onFault = reject;
  });
}

for (const writer of WRITERS) {
  test(`${writer}: an append's times lie between handing over and being told, on one clock`, async (t) => {
    const wal = await open(t, options(tempDir(t), { writer }));
    wal.batchTimes.enable();
    let syncs = wal.batchTimes.syncs;
    for (let index = 1; index <= 20; index++) {
      const handedUs = monotonicUs();
      const seq = wal.append(null, [entry(index)]);
      await durable(wal, seq);
      const time = wal.batchTimes.find(seq);
      assert.ok(time, `append ${seq}`);
      const order = [handedUs, time.encodeStartUs, time.encodeEndUs, time.durableUs, monotonicUs()];
      assert.deepEqual(
        order,
        [...order].sort((a, b) => a - b),
      );
      assert.ok(time.syncs > syncs, "its durable write is counted");
      syncs = time.syncs;
    }
  });

  test(`${writer}: nothing is noted unless asked for`, async (t) => {
    const wal = await open(t, options(tempDir(t), { writer }));
    const seq = wal.append(null, [entry(1)]);
    await durable(wal, seq);
    assert.equal(wal.batchTimes.find(seq), null);
  });
}

test("an append is found in the first batch that reaches it; what was written over is not made up", () => {
  const memory = memoryOver(new ArrayBuffer(L.RING));
  const timer = new BatchTimer(memory);
  const times = new BatchTimes(memory);
  times.enable();
  const batch = (seq: number, syncs: number) => {
    memory.f64[L.STAT_SYNCS / 8] = syncs;
    timer.begin();
    timer.encoded();
    timer.durable(seq);
  };
  batch(3, 1);
  batch(5, 2);
  assert.equal(times.find(1)?.syncs, 1);
  assert.equal(times.find(3)?.syncs, 1);
  assert.equal(times.find(4)?.syncs, 2);
  assert.equal(times.find(6), null);
  for (let i = 0; i < 2 * L.TIMES_MAX; i++) batch(6 + i, 3 + i);
  assert.equal(times.find(6), null);
  const last = 5 + 2 * L.TIMES_MAX;
  assert.equal(times.find(last)?.syncs, last - 3);
});

test("the times lie behind the points and before the ring", () => {
  assert.ok(L.TIMES >= L.POINTS + L.POINTS_MAX * L.POINT_BYTES);
  assert.ok(L.TIMES + L.TIMES_MAX * L.TIME_BYTES <= L.RING);
});
