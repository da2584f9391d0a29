// Checks the segments of a log, several at a time on a pool of its own, or one after the other in this thread.
import { Piscina } from "piscina";
import { checkSegment, type SegmentReport } from "../wal/check-segment.js";
import type { CheckResult, CheckTask } from "./check-worker.js";
import { endPool } from "./end-pool.js";

const POLL_MS = 100;

/**
 * Reports in the order of `names`. `progress` is told of all bytes checked so far. Rejects with the system's error
 * (its `code` set) if a segment cannot be read.
 */
export async function checkSegments(
  dir: string,
  names: readonly string[],
  threads: number,
  progress: (bytes: number) => void,
): Promise<SegmentReport[]> {
  if (threads === 1) {
    let done = 0;
    return names.map((name) =>
      checkSegment(dir, name, (bytes) => {
        done += bytes;
        progress(done);
      }),
    );
  }
  const done = new SharedArrayBuffer(8);
  const counter = new BigInt64Array(done);
  const poll = setInterval(() => progress(Number(Atomics.load(counter, 0))), POLL_MS);
  const pool = new Piscina({
    filename: new URL("./check-worker.js", import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    idleTimeout: Number.POSITIVE_INFINITY,
    recordTiming: false,
    workerHistogram: false,
  });
  try {
    const tasks = names.map((name): Promise<CheckResult> => {
      const task: CheckTask = { dir, name, done };
      return pool.run(task, { name: "runCheck" });
    });
    return (await Promise.all(tasks)).map((result) => {
      if ("code" in result) throw Object.assign(new Error(result.message), { code: result.code });
      return result;
    });
  } finally {
    clearInterval(poll);
    await endPool(pool, threads);
  }
}
