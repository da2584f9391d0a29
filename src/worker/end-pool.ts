// Ending a pool of threads in order. Node 20 aborts the process if a worker is ended while it still loads modules, so
// all of them meet in a task first. Every module that a pool runs exports `runMeeting`.
import type { Piscina } from "piscina";

/** Ends `pool`, which has exactly `threads` threads and nothing left to do. */
export async function endPool(pool: Piscina, threads: number): Promise<void> {
  const arrivals = new Int32Array(new SharedArrayBuffer(4));
  const meeting = { arrivals, threads };
  await Promise.all(Array.from({ length: threads }, () => pool.run(meeting, { name: "runMeeting" })));
  await pool.destroy();
}

/** Ends when all threads of the pool are in it, so that all are known to have started. */
export function runMeeting(task: { arrivals: Int32Array; threads: number }): void {
  let arrived = Atomics.add(task.arrivals, 0, 1) + 1;
  Atomics.notify(task.arrivals, 0);
  while (arrived < task.threads) {
    Atomics.wait(task.arrivals, 0, arrived);
    arrived = Atomics.load(task.arrivals, 0);
  }
}
