// One clock for all threads and processes of a machine: CLOCK_MONOTONIC in microseconds, for measurements that span
// them. performance.now() counts from another moment in each process; the difference is found once a thread.
import { performance } from "node:perf_hooks";

/** From performance.now() of this thread to the machine's clock, in microseconds; exact to the 0.1 µs it was read in. */
const OFFSET_US = measureOffset();

/** Microseconds since some moment in the past, the same for every process on this machine. */
// hot
export function monotonicUs(): number {
  return performance.now() * 1000 + OFFSET_US;
}

/** The reading between whose neighbours the least time passed. */
function measureOffset(): number {
  let closest = Number.POSITIVE_INFINITY;
  let offset = 0;
  for (let i = 0; i < 64; i++) {
    const before = performance.now();
    const [seconds, nanoseconds] = process.hrtime();
    const after = performance.now();
    if (after - before >= closest) continue;
    closest = after - before;
    offset = seconds * 1e6 + nanoseconds / 1e3 - ((before + after) / 2) * 1000;
  }
  return offset;
}
