// Scans the segments of a log on a pool of its own, which lives as long as the recovery: one task a segment. Main thread.
import { setImmediate } from "node:timers/promises";
import { Piscina } from "piscina";
import { assert } from "../base/assert.js";
import { wasmModule } from "../wal/codec-wasm.js";
import type { ScanTask, SegmentScan } from "../wal/scan-segment.js";
import { endPool } from "./end-pool.js";

export interface PoolScanTask extends ScanTask {
  /** Null: scan with the TypeScript codec. */
  module: object | null;
}

/** An error object would lose its code on the way. */
export type PoolScan = SegmentScan | { code: string; message: string };

/** The scans in the order of `tasks`. Leaving the loop early ends the rest. */
export async function* scanOnPool(
  tasks: readonly ScanTask[],
  threads: number,
  js: boolean,
): AsyncGenerator<SegmentScan, void, void> {
  assert(threads > 0, "no threads to scan on");
  const pool = new Piscina({
    filename: new URL("./scan-worker.js", import.meta.url).href,
    // The tasks start the others, one a turn: starting a thread holds this one for some milliseconds.
    minThreads: 1,
    maxThreads: threads,
    idleTimeout: Number.POSITIVE_INFINITY,
    recordTiming: false,
    workerHistogram: false,
  });
  const module = js ? null : wasmModule();
  const scans: Promise<PoolScan>[] = [];
  // A few ahead of the one waited for: enough to keep every thread busy, little to wait for if the log is damaged.
  const runUpTo = (count: number): void => {
    while (scans.length < Math.min(count, tasks.length)) {
      const task: PoolScanTask = { ...tasks[scans.length]!, module };
      const scan = pool.run(task, { name: "runScan" }) as Promise<PoolScan>;
      scan.catch(() => {});
      scans.push(scan);
    }
  };
  try {
    for (let count = 1; count < threads; count++) {
      await setImmediate();
      runUpTo(count);
    }
    for (let at = 0; at < tasks.length; at++) {
      runUpTo(at + 2 * threads);
      const scan = await scans[at]!;
      if ("message" in scan) throw Object.assign(new Error(scan.message), { code: scan.code });
      yield scan;
    }
  } finally {
    await Promise.allSettled(scans);
    await endPool(pool, threads);
  }
}
