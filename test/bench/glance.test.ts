// The answer at first glance: short lines, no surer than the rounds allow, and the load generator's lag judged.
import assert from "node:assert/strict";
import { test } from "node:test";
import { lagText, worstLagText } from "../../bench/report/generator-lag.js";
import { glanceOf } from "../../bench/report/glance.js";
import { SCENARIOS } from "../../bench/scenarios/all.js";
import { scenarioResult } from "./sample-page.js";
import { sampleResult, sampleRun } from "./sample-result.js";

/** Rounds of two writers, with a known difference and 1 % of noise. */
function writers(factor: number, rounds: number) {
  const result = sampleResult([
    { settings: { writer: "inline-js" }, proposalsPerS: 1 },
    { settings: { writer: "pool-wasm" }, proposalsPerS: 1 },
  ]);
  const runs = Array.from({ length: rounds }, (_, round) =>
    [1000, 1000 * factor].map((level, position) => ({
      ...sampleRun(position, {
        settings: result.runs[position].settings,
        proposalsPerS: level * (1 + 0.01 * ((round * 7 + position * 3) % 5)),
        p50: 10,
      }),
      round,
    })),
  ).flat();
  return { ...result, runs };
}

const textOf = (result: Parameters<typeof glanceOf>[0]) =>
  Object.fromEntries(glanceOf(result).map(({ label, text }) => [label, text]));

test("what is proven is recommended, what is only seen is not", () => {
  const sure = textOf(writers(1.5, 6));
  assert.equal(sure["Run"], "pool-wasm: it beats inline-js.");
  assert.match(sure["How sure"], /^95 % \(6 rounds\)\. Highest seen: 1,5\d\d proposals/);
  const open = textOf(writers(1.5, 1));
  assert.match(open["Run"], /^nothing can be recommended yet: pool-wasm was seen at 1\.\d+× of inline-js/);
  assert.match(open["How sure"], /^not at all after one round: it takes at least 3, --rounds 3\./);
  assert.match(sure["Limit"], /^nothing was seen saturated/);
});

test("every scenario has its two or three lines, and none says 1 rounds", () => {
  for (const scenario of SCENARIOS) {
    for (const rounds of [1, 2]) {
      const lines = glanceOf(scenarioResult(scenario, rounds));
      assert.ok(lines.length >= 2 && lines.length <= 3, `${scenario.name}: ${lines.length} lines`);
      const text = lines.map((line) => line.text).join(" ");
      assert.doesNotMatch(
        text,
        /\b1 (rounds|proposals|configurations)\b|NaN|undefined|Infinity/,
        scenario.name,
      );
    }
  }
});

test("the load generator's lag is judged by the latencies it is a part of", () => {
  const run = sampleRun(0, { settings: {}, proposalsPerS: 100, p50: 10 });
  const lag = (lagP50Us: number, lagP99Us: number) => ({
    ...run,
    generator: { lagP50Us, lagP99Us, lagMaxUs: 1 },
  });
  assert.equal(lagText(lag(40, 40)), "late by 0.4 % of the latencies: harmless");
  assert.equal(lagText(lag(0, 0)), "late by 0 % of the latencies: harmless");
  assert.equal(lagText(lag(1, 0)), "late by less than 0.1 % of the latencies: harmless");
  assert.equal(lagText(lag(1000, 0)), "late by 10 % of the latencies: small");
  const late = worstLagText([lag(40, 0), lag(4000, 0)]);
  assert.match(
    late,
    /^the load generator was late by 40 % of the latencies: large \(the worst run\); it waits for/,
  );
  const open = { ...lag(40, 10_000), load: { ...run.load, kind: "open" as const } };
  assert.equal(lagText(open), "late by 50 % of the latencies: large");
});
