// Latency counts against the dumb twin: sort all samples and pick.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeFromCompressedBase64, encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { LatencyCounts, percentileMs, toHistogram, UNITS_PER_MS } from "../../bench/harness/latency.js";
import { Prng } from "../../src/base/prng.js";

const PERCENTILES = [1, 25, 50, 75, 90, 99, 99.9, 99.99, 100];

function naive(sortedMs: readonly number[], percentile: number): number {
  return sortedMs[Math.max(0, Math.ceil((percentile / 100) * sortedMs.length) - 1)];
}

/** Samples over six orders of magnitude, as latencies are: 0.3 us to 7 minutes. */
function samples(seed: number, count: number): number[] {
  const prng = new Prng(seed);
  return Array.from({ length: count }, () => 2 ** (prng.below(30_000_000) / 1_000_000) / 3000);
}

test("percentiles are those of a naive sort, within a thousandth", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const all = samples(seed, 1 + seed * 517);
    const counts = new LatencyCounts();
    for (const ms of all) counts.record(ms);
    const histogram = toHistogram(counts);
    all.sort((a, b) => a - b);
    for (const percentile of PERCENTILES) {
      const expected = naive(all, percentile);
      const found = percentileMs(histogram, percentile);
      const tolerance = expected / 1000 + 1 / UNITS_PER_MS;
      assert.ok(
        Math.abs(found - expected) <= tolerance,
        `seed ${seed}, p${percentile}: ${found}, not ${expected}`,
      );
    }
    assert.equal(counts.max, Math.round(all[all.length - 1] * UNITS_PER_MS));
    assert.equal(histogram.totalCount, all.length);
  }
});

test("every bucket is one of HdrHistogram's: counting there gives the same", () => {
  const direct = toHistogram(new LatencyCounts());
  const counts = new LatencyCounts();
  for (const ms of samples(99, 20_000)) {
    counts.record(ms);
    direct.recordValue(Math.round(ms * UNITS_PER_MS));
  }
  const converted = toHistogram(counts);
  for (const percentile of PERCENTILES) {
    assert.equal(converted.getValueAtPercentile(percentile), direct.getValueAtPercentile(percentile));
  }
});

test("no percentile is above the maximum, although its bucket reaches further", () => {
  const prng = new Prng(4);
  for (let i = 0; i < 200; i++) {
    const counts = new LatencyCounts();
    counts.record(2 ** (prng.below(30_000_000) / 1_000_000) / 3000);
    const max = counts.max / UNITS_PER_MS;
    for (const percentile of [50, 99.9, 100]) {
      assert.equal(percentileMs(toHistogram(counts), percentile), max);
      assert.equal(percentileMs(toHistogram(LatencyCounts.of({ ...counts })), percentile), max);
    }
  }
});

test("a histogram survives being stored", () => {
  const counts = new LatencyCounts();
  for (const ms of samples(5, 1000)) counts.record(ms);
  const histogram = toHistogram(counts);
  const restored = decodeFromCompressedBase64(encodeIntoCompressedBase64(histogram), 64);
  assert.equal(restored.totalCount, histogram.totalCount);
  for (const percentile of PERCENTILES) {
    assert.equal(restored.getValueAtPercentile(percentile), histogram.getValueAtPercentile(percentile));
  }
});

test("what cannot be a latency is counted at the edges and never lost", () => {
  const counts = new LatencyCounts();
  for (const ms of [0, -1, Number.NaN, 1e12]) counts.record(ms);
  assert.equal(counts.total, 4);
  assert.equal(toHistogram(counts).totalCount, 4);
  assert.equal(counts.max, 2 ** 32 - 1);
});
