// The line under the table that says where the time goes.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Run, Waterfall } from "../../bench/report/result-schema.js";
import { waterfallText } from "../../bench/report/waterfall-text.js";
import { sampleRun } from "./sample-result.js";

function traced(proposalsPerS: number, means: Record<string, number>, reasons: string[] = []): Run {
  const of = (mean: number) => ({ mean, p50: mean, p90: mean, p99: mean });
  const total = Object.values(means).reduce((sum, mean) => sum + mean, 0);
  const stages = Object.entries(means).map(([name, mean]) => ({ name, meaning: name, us: of(mean) }));
  const waterfall: Waterfall = { sampled: 10, followerLast: 0.5, totalUs: of(total), stages, beside: [] };
  return { ...sampleRun(0, { settings: {}, proposalsPerS, void: reasons }), waterfall };
}

test("stages in order with their shares; small ones together", () => {
  const run = traced(100, { queued: 480, stepped: 10, "own disk": 3000, quorum: 20, resolve: 490 });
  assert.equal(
    waterfallText([run]),
    "where a commit's 4.00 ms go: queued 12 %, own disk 75 %, resolve 12 %, the rest 1 %",
  );
});

test("of several runs the fastest that counts; nothing without a traced one", () => {
  const slow = traced(100, { queued: 1000 });
  const fast = traced(200, { apply: 2000 });
  const fastest = traced(300, { resolve: 3000 }, ["lost its quorum"]);
  assert.equal(waterfallText([slow, fast, fastest]), "where a commit's 2.00 ms go: apply 100 %");
  assert.equal(waterfallText([sampleRun(0, { settings: {}, proposalsPerS: 1 })]), null);
});
