// Rows: rounds of one configuration together, and histograms merged exactly.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { LatencyCounts, percentileMs, toHistogram, UNITS_PER_MS } from "../../bench/harness/latency.js";
import type { Run } from "../../bench/report/result-schema.js";
import { mergeHistograms, rowsOf } from "../../bench/stats/rows.js";
import { Prng } from "../../src/base/prng.js";
import { sampleRun } from "./sample-result.js";

function stored(counts: LatencyCounts): Run["histogram"] {
  const encoding = "HdrHistogram V2, compressed, base64" as const;
  return { unitUs: 0.1, encoding, data: encodeIntoCompressedBase64(toHistogram(counts)) };
}

test("merged histograms are the one that recorded everything, whatever each held", () => {
  const prng = new Prng(9);
  for (const parts of [1, 2, 5]) {
    const all = new LatencyCounts();
    const pieces = Array.from({ length: parts }, (_, part) => {
      const counts = new LatencyCounts();
      const samples = part === 1 ? 0 : 3000; // One run without a sample must not matter.
      for (let i = 0; i < samples; i++) {
        const ms = 2 ** (prng.below(30_000_000) / 1_000_000 / (part + 1)) / 3000;
        counts.record(ms);
        all.record(ms);
      }
      return stored(counts);
    });
    const merged = mergeHistograms(pieces);
    assert.equal(merged.totalCount, all.total);
    const expected = toHistogram(all);
    for (let percentile = 0; percentile <= 100; percentile += 0.05) {
      assert.equal(
        percentileMs(merged, percentile, all.max / UNITS_PER_MS),
        percentileMs(expected, percentile),
        `p${percentile}`,
      );
    }
  }
});

test("a row is the median of its rounds with all their samples; void runs are counted and left out", () => {
  const runs = [
    { ...sampleRun(1, { settings: { inFlight: 64 }, proposalsPerS: 900, p50: 9 }), round: 0 },
    { ...sampleRun(0, { settings: {}, proposalsPerS: 300, p50: 1 }), round: 2 },
    { ...sampleRun(0, { settings: {}, proposalsPerS: 100, p50: 3 }), round: 0 },
    { ...sampleRun(0, { settings: {}, proposalsPerS: 9999, void: ["wrong"] }), round: 3 },
    { ...sampleRun(0, { settings: {}, proposalsPerS: 200, p50: 2 }), round: 1 },
  ];
  const rows = rowsOf({ runs });
  assert.deepEqual(
    rows.map(({ position, voids }) => [position, voids]),
    [
      [0, 1],
      [1, 0],
    ],
  );
  assert.deepEqual(
    rows[0].runs.map(({ round }) => round),
    [0, 1, 2, 3],
  );
  assert.equal(rows[0].proposalsPerS?.estimate, 200);
  assert.ok(rows[0].proposalsPerS!.low >= 100 && rows[0].proposalsPerS!.high <= 300);
  assert.ok(Math.abs(rows[0].latencyMs!.p50 - 2) < 0.01);
  assert.equal(rows[0].latencyMs!.mean, 2);
  assert.equal(rows[0].latencyMs!.max, 15);
  assert.equal(rows[1].settings.inFlight, 64);
});

test("no percentile of a row is above its maximum, although a bucket reaches further", () => {
  const counts = new LatencyCounts();
  counts.record(300.0001);
  const max = counts.max / UNITS_PER_MS;
  const run = sampleRun(0, { settings: {}, proposalsPerS: 100, p50: 1 });
  const one = { ...run, histogram: stored(counts), latencyMs: { ...run.latencyMs, max } };
  const { latencyMs } = rowsOf({ runs: [one, { ...one, round: 1 }] })[0];
  assert.equal(latencyMs?.p99_9, max);
  assert.equal(latencyMs?.max, max);
});

test("a configuration of void runs alone has no figures", () => {
  const [row] = rowsOf({ runs: [sampleRun(0, { settings: {}, proposalsPerS: 1, void: ["no quorum"] })] });
  assert.equal(row.proposalsPerS, null);
  assert.equal(row.latencyMs, null);
  assert.equal(row.voids, 1);
});
