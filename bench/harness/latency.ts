// Latencies as counts: HdrHistogram's buckets at three significant digits, filled by a few integer operations on the
// load's hot path and turned into an HdrHistogram outside it. A value is in units of 0.1 us.
import { build, type Histogram } from "hdr-histogram-js";
import { assert } from "../../src/base/assert.js";

/** Units a millisecond: a latency of 1 ms is 10,000. */
export const UNITS_PER_MS = 10_000;

const SUB_BUCKET_BITS = 11;
const SUB_BUCKETS = 1 << SUB_BUCKET_BITS;
const HALF = SUB_BUCKETS >>> 1;
const VALUE_MAX = 0xffffffff;
const BUCKETS = (32 - SUB_BUCKET_BITS) * HALF + SUB_BUCKETS;

/** Plain data: it is sent from process to process. */
type Recorded = Pick<LatencyCounts, "counts" | "total" | "max" | "sum">;

/** Values 0 .. 2^32-1 (7 minutes) within 0.1 %; larger ones count as the largest. */
export class LatencyCounts {
  readonly counts: Float64Array;
  total = 0;
  /** Exact, not a bucket's. */
  max = 0;
  sum = 0;

  constructor(counts: Float64Array = new Float64Array(BUCKETS)) {
    assert(counts.length === BUCKETS, "counts of another histogram");
    this.counts = counts;
  }

  /** As they were when their fields were sent from another process. */
  static of({ counts, total, max, sum }: Recorded): LatencyCounts {
    return Object.assign(new LatencyCounts(counts), { total, max, sum });
  }

  /** Takes in what another recorded. */
  add({ counts, total, max, sum }: Recorded): void {
    if (total === 0) return;
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.counts[bucket] += counts[bucket];
    this.total += total;
    this.sum += sum;
    this.max = Math.max(this.max, max);
  }

  /** Percentile (0 .. 100) in milliseconds; null where nothing was recorded. */
  percentileMs(percentile: number): number | null {
    if (this.total === 0) return null;
    const wanted = Math.ceil((this.total * percentile) / 100);
    let seen = 0;
    let bucket = -1;
    while (seen < wanted) seen += this.counts[++bucket];
    return Math.min(highestIn(bucket), this.max) / UNITS_PER_MS;
  }

  clear(): void {
    if (this.total === 0) return;
    this.counts.fill(0);
    this.total = 0;
    this.max = 0;
    this.sum = 0;
  }

  // hot
  record(ms: number): void {
    let value = Math.round(ms * UNITS_PER_MS);
    if (value > VALUE_MAX) value = VALUE_MAX;
    else if (!(value >= 0)) value = 0;
    this.counts[bucketOf(value)]++;
    this.total++;
    this.sum += value;
    if (value > this.max) this.max = value;
  }
}

// hot
function bucketOf(value: number): number {
  const shift = 32 - SUB_BUCKET_BITS - Math.clz32(value);
  return shift <= 0 ? value : shift * HALF + (value >>> shift);
}

/** The largest value that falls into `bucket`; what HdrHistogram reports for it too. */
function highestIn(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket;
  const shift = Math.floor(bucket / HALF) - 1;
  const sub = bucket - shift * HALF;
  return (sub + 1) * 2 ** shift - 1;
}

/** The same distribution as an HdrHistogram (0.1 us units), for percentiles, merging and storing; its maxValue is exact. */
export function toHistogram(latencies: LatencyCounts): Histogram {
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 2 ** 32,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 64,
  });
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const count = latencies.counts[bucket];
    if (count > 0) histogram.recordValueWithCount(Math.min(highestIn(bucket), latencies.max), count);
  }
  assert(histogram.totalCount === latencies.total, "the histogram holds every sample");
  return histogram;
}

/**
 * Milliseconds at `percentile` (0 .. 100): the largest that its bucket could hold, and never above `maxMs`. A histogram
 * that was stored knows its maximum within a bucket only; whoever knows it exactly gives it.
 */
export function percentileMs(
  histogram: Histogram,
  percentile: number,
  maxMs = histogram.maxValue / UNITS_PER_MS,
): number {
  return Math.min(histogram.getValueAtPercentile(percentile) / UNITS_PER_MS, maxMs);
}
