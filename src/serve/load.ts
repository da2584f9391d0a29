// What the service counts of its requests: how many, and how long they took, in buckets that only ever grow, so that
// readings of several nodes can be added and two readings subtracted.

/** A reading: requests by how long they took, in the buckets of BUCKET_MS, and those that failed. */
export interface RequestCounts {
  readonly counts: readonly number[];
  readonly totalMs: number;
  readonly failed: number;
}

const BUCKETS = 76;
const FIRST_MS = 0.05;
/** Upper bounds of the buckets, in ms: from 0.05 by fourth roots of two to 22 s. The last one has what is longer, too. */
export const BUCKET_MS: readonly number[] = Array.from(
  { length: BUCKETS },
  (_, i) => FIRST_MS * 2 ** (i / 4),
);

export class RequestLoad {
  private readonly counts = new Array<number>(BUCKETS).fill(0);
  private totalMs = 0;
  private failed = 0;

  /** A request that was answered with what it asked for, after `ms`. */
  answered(ms: number): void {
    const bucket = Math.ceil(4 * Math.log2(Math.max(ms, FIRST_MS) / FIRST_MS));
    this.counts[Math.min(bucket, BUCKETS - 1)]++;
    this.totalMs += ms;
  }

  /** One that could not be: a status of 500 and more. */
  refused(): void {
    this.failed++;
  }

  read(): RequestCounts {
    return { counts: [...this.counts], totalMs: this.totalMs, failed: this.failed };
  }
}
