// Checks the segments of a log, several at a time on a pool of its own, or one after the other in this thread.
import { checkSegment, type SegmentReport } from "../inspect/check-segment.js";
import type { CheckResult, CheckTask } from "./check-worker.js";
import { ThreadPool } from "./thread-pool.js";

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
  const pool = new ThreadPool("./check-worker.js", threads);
  try {
    const tasks = names.map((name): Promise<CheckResult> => {
      const task: CheckTask = { dir, name, done };
      return pool.run("runCheck", task);
    });
    return (await Promise.all(tasks)).map((result) => {
      if ("code" in result) throw Object.assign(new Error(result.message), { code: result.code });
      return result;
    });
  } finally {
    clearInterval(poll);
    await pool.end();
  }
}
