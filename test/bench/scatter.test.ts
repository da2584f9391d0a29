// What the scatter of runs is laid to: made-up tables of which it is known.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Run } from "../../bench/report/result-schema.js";
import { scatterText } from "../../bench/report/scatter-text.js";
import { normals } from "../../bench/stats/family.js";
import { rowsOf } from "../../bench/stats/rows.js";
import { type Scatter, scatterOf } from "../../bench/stats/scatter.js";
import { Prng } from "../../src/base/prng.js";
import { sampleRun } from "./sample-result.js";

const SEED = 5;
const STEPS = 10;

interface Deviations {
  readonly round: number;
  readonly birth: number;
  /** Of a window's mean. */
  readonly window: number;
}

function runsOf({ round, birth, window }: Deviations, rounds = 60, seed = SEED): Run[] {
  const normal = normals(new Prng(seed));
  const common = Array.from({ length: rounds }, () => round * normal());
  return [0, 1, 2, 3].flatMap((position) =>
    common.map((minute, i) => {
      const level = 1000 * Math.exp(minute + birth * normal());
      const applied = Array.from({ length: STEPS }, () => level * (1 + window * Math.sqrt(STEPS) * normal()));
      const done = applied.reduce((sum, value) => sum + value, 0);
      const run = sampleRun(position, { settings: {}, proposalsPerS: done });
      return { ...run, round: i, series: { stepMs: 100, applied } };
    }),
  );
}

function near(found: Scatter | null, parts: Deviations): void {
  assert.ok(found !== null);
  const total = parts.round ** 2 + parts.birth ** 2 + parts.window ** 2;
  assert.ok(Math.abs(found.deviation / Math.sqrt(total) - 1) < 0.2, `deviation ${found.deviation}`);
  for (const name of ["round", "birth", "window"] as const)
    assert.ok(Math.abs(found[name] - parts[name] ** 2 / total) < 0.15, `${name} ${found[name]}`);
}

test("each part of the variance is laid to what made it", () => {
  for (const parts of [
    { round: 0.1, birth: 0, window: 0 },
    { round: 0, birth: 0.1, window: 0 },
    { round: 0, birth: 0, window: 0.1 },
    { round: 0.06, birth: 0.06, window: 0.06 },
  ])
    near(scatterOf(rowsOf({ runs: runsOf(parts) })), parts);
});

test("of too few rounds, of runs that do not count and of short windows nothing is said", () => {
  const parts = { round: 0.1, birth: 0.1, window: 0.1 };
  assert.equal(scatterText({ runs: runsOf(parts, 2) }), null);
  const disturbed = runsOf(parts, 4).map((run) => (run.round < 2 ? { ...run, disturbed: ["others"] } : run));
  assert.equal(scatterText({ runs: disturbed }), null);
  const short = runsOf(parts, 4).map((run) => ({ ...run, windowMs: 300 }));
  assert.equal(scatterText({ runs: short }), null);
  assert.match(
    scatterText({ runs: runsOf(parts, 4) }) ?? "",
    /^runs of one configuration differ by [\d.]+ % \(standard deviation\); of that variance \d+ % \(about \d+ % to \d+ %\) is common to what runs in turn/,
  );
});

test("the share that is told of rounds has an interval that holds the truth, of few rounds too", () => {
  for (const rounds of [4, 8]) {
    let missed = 0;
    const tables = 200;
    for (let seed = 1; seed <= tables; seed++) {
      const runs = runsOf({ round: 0.1, birth: 0.1, window: 0.001 }, rounds, seed);
      const { low, high } = scatterOf(rowsOf({ runs }))!.roundRange;
      if (low > 0.5 || high < 0.5) missed++;
    }
    // Three deviations above 5 % of 200, and 2 % for the approximation.
    assert.ok(missed <= 23, `${missed} of ${tables} with ${rounds} rounds, seeds from 1`);
  }
});
