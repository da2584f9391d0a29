// Visits to a cluster add up to one window, and what happened between them is in none of its figures.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LatencyCounts } from "../../bench/harness/latency.js";
import type { LoadResult, ReplyOf } from "../../bench/harness/protocol.js";
import { mergedEdges, mergedLoads } from "../../bench/harness/visits.js";
import { COUNTERS } from "./sample-result.js";

type Sample = ReplyOf<"sample">;

/** Everything counted is `at`, in a process of two threads. */
function sample(at: number): Sample {
  const counters = [...COUNTERS, "framesRefused", "snapshotsRefused"];
  const metrics = { ...Object.fromEntries(counters.map((name) => [name, at])), link: "ws" };
  return {
    atMs: at,
    clockUs: at * 1000,
    cpuUserMs: at,
    cpuSystemMs: at,
    machineBusyMs: at,
    machineStolenMs: at,
    threads: [
      { tid: 1, main: true, cpuMs: at },
      { tid: 2, main: false, cpuMs: at },
    ],
    loopActiveMs: at,
    loopDelayP50Ms: 1,
    loopDelayP99Ms: 2,
    loopDelayMaxMs: at,
    rssBytes: at,
    allocatedBytes: at,
    metrics: metrics as Sample["metrics"],
  };
}

function load(from: number, to: number, latencyMs: number): LoadResult {
  const latencies = new LatencyCounts();
  for (let i = 0; i < 10; i++) latencies.record(latencyMs);
  const { counts, total, max, sum } = latencies;
  return {
    done: 10,
    due: null,
    windowMs: to - from,
    latencies: { counts, total, max, sum },
    reads: { counts: new LatencyCounts().counts, total: 0, max: 0, sum: 0 },
    readsDone: 0,
    series: [4, 6],
    seriesDue: [5, 5],
    seriesP99Ms: [latencyMs, null],
    warmup: { ms: 50, stable: false },
    generator: { lagP50Us: from, lagP99Us: from, lagMaxUs: from },
    acked: 12,
    failed: from === 0 ? { OVERLOAD: 1 } : {},
    firstFailure: from === 0 ? "too many" : null,
    unanswered: 0,
    failover: null,
    before: sample(from),
    after: sample(to),
  };
}

test("what was sampled at the edges is the sum of the differences within", () => {
  const { before, after } = mergedEdges([
    { before: sample(0), after: sample(200) },
    { before: sample(1000), after: sample(1200) },
    { before: sample(5000), after: sample(5100) },
  ]);
  assert.equal(after.atMs - before.atMs, 500);
  assert.equal(after.cpuUserMs - before.cpuUserMs, 500);
  assert.equal(after.machineBusyMs - before.machineBusyMs, 500);
  assert.equal(after.allocatedBytes - before.allocatedBytes, 500);
  assert.equal(after.metrics.walSyncs - before.metrics.walSyncs, 500);
  assert.deepEqual(
    after.threads.map(({ cpuMs }, i) => cpuMs - before.threads[i].cpuMs),
    [500, 500],
  );
  assert.equal(after.metrics.link, "ws");
  assert.equal(after.loopDelayMaxMs, 5100);
  assert.equal(after.rssBytes, 5100);
});

test("counts, histograms and series are those of all visits; one visit is itself", () => {
  const visits = [load(0, 200, 1), load(1000, 1200, 2), load(2000, 2200, 8)];
  const merged = mergedLoads(visits);
  assert.equal(merged.done, 30);
  assert.equal(merged.acked, 36);
  assert.equal(merged.windowMs, 600);
  assert.equal(merged.latencies.total, 30);
  assert.equal(merged.latencies.max, 80_000);
  assert.equal(merged.latencies.sum, 1_100_000);
  assert.deepEqual(merged.series, [4, 6, 4, 6, 4, 6]);
  assert.deepEqual(merged.seriesDue, [5, 5, 5, 5, 5, 5]);
  assert.deepEqual(merged.failed, { OVERLOAD: 1 });
  assert.equal(merged.firstFailure, "too many");
  assert.deepEqual(merged.warmup, { ms: 150, stable: true });
  assert.deepEqual(merged.generator, { lagP50Us: 1000, lagP99Us: 2000, lagMaxUs: 2000 });
  assert.equal(merged.after!.atMs - merged.before!.atMs, 600);
  assert.equal(visits[0].latencies.total, 10, "a visit is not changed");
  assert.equal(mergedLoads(visits.slice(0, 1)), visits[0]);
});
