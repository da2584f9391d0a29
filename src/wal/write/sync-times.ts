// How long the writer's batches took to become durable: a histogram in the writer's memory, which any thread reads. One
// search of a short table a batch; nothing is allocated.
import type { CodecMemory } from "../format/codec.js";
import * as L from "../format/layout.js";

/**
 * Upper bounds of the buckets, in seconds: those of etcd's etcd_disk_wal_fsync_duration_seconds (from 1 ms, doubling, 14 of
 * them), and three finer ones below, for disks that are faster than that. What is above the last goes into one more.
 */
export const SYNC_BOUNDS_S: readonly number[] = Array.from({ length: 17 }, (_, i) => 0.001 * 2 ** (i - 3));
const BOUNDS_MS = Float64Array.from(SYNC_BOUNDS_S, (bound) => bound * 1000);
const COUNTS = L.STAT_SYNC_COUNTS / 8;

/** Durations, counted by their length. */
export interface DurationHistogram {
  /** Upper bounds of the buckets, in seconds, ascending; an observation that equals one is in its bucket. */
  readonly bounds: readonly number[];
  /** Observations in each bucket alone, not those below too; one more than bounds: what is above the last. */
  readonly counts: readonly number[];
  /** Of all observations, in seconds. */
  readonly sum: number;
}

/** The writer's side: a batch became durable. */
// hot
export function noteSync({ f64 }: CodecMemory, ms: number): void {
  let bucket = 0;
  while (bucket < BOUNDS_MS.length && ms > BOUNDS_MS[bucket]) bucket++;
  f64[COUNTS + bucket]++;
  f64[L.STAT_SYNC_MS / 8] += ms;
}

/** Any thread's side. */
export function readSyncTimes({ f64 }: CodecMemory): DurationHistogram {
  return {
    bounds: SYNC_BOUNDS_S,
    counts: [...f64.subarray(COUNTS, COUNTS + SYNC_BOUNDS_S.length + 1)],
    sum: f64[L.STAT_SYNC_MS / 8] / 1000,
  };
}
