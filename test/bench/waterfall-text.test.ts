// The line under the table that says where the time goes.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Run, Waterfall } from "../../bench/report/result-schema.js";
import { mainStages, typicalRun, waterfallText } from "../../bench/report/waterfall-text.js";
import { sampleRun } from "./sample-result.js";

function traced(
  proposalsPerS: number,
  means: Record<string, number>,
  reasons: string[] = [],
  sampled = 50,
): Run {
  const of = (mean: number) => ({ mean, p50: mean, p90: mean, p99: mean });
  const total = Object.values(means).reduce((sum, mean) => sum + mean, 0);
  const stages = Object.entries(means).map(([name, mean]) => ({ name, us: of(mean) }));
  const waterfall: Waterfall = { sampled, followerLast: 0.5, totalUs: of(total), stages, beside: [] };
  return { ...sampleRun(0, { settings: {}, proposalsPerS, void: reasons }), waterfall };
}

const name = () => "pool-wasm";

test("stages in order with their shares; the short ones together, so that at most eight need a hue", () => {
  const means = {
    queued: 480,
    a: 10,
    b: 11,
    c: 12,
    "own disk": 3000,
    d: 90,
    e: 91,
    f: 92,
    g: 93,
    resolve: 121,
  };
  const run = traced(100, means);
  assert.deepEqual(mainStages([run.waterfall!]), ["queued", "own disk", "d", "e", "f", "g", "resolve"]);
  assert.equal(
    waterfallText({ runs: [run] }, name),
    "Where a commit's 4.00 ms go (pool-wasm; the mean of 50 that were followed): queued 12 %, own disk 75 %, d 2 %, e 2 %, f 2 %, g 2 %, resolve 3 %, " +
      "3 short stages 1 %",
  );
});

test("of the fastest configuration the median run, as on the page; nothing without a traced one", () => {
  const rounds = [
    traced(100, { queued: 1000 }),
    traced(200, { apply: 2000 }),
    traced(300, { resolve: 3000 }),
  ];
  const runs = rounds.map((run, round) => ({ ...run, round }));
  assert.equal(
    waterfallText({ runs }, name),
    "Where a commit's 2.00 ms go (pool-wasm, the run with the median throughput; the mean of 50 that were followed): apply 100 %",
  );
  assert.equal(typicalRun({ runs }), runs[1]);
  assert.equal(waterfallText({ runs: [traced(300, { resolve: 3000 }, ["lost its quorum"])] }, name), null);
  assert.equal(
    waterfallText({ runs: [traced(300, { resolve: 3000 }, [], 3)] }, name),
    null,
    "three say little",
  );
  assert.equal(waterfallText({ runs: [sampleRun(0, { settings: {}, proposalsPerS: 1 })] }, name), null);
});
