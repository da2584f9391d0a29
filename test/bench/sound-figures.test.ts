// No figure of a run is NaN or infinite, whatever befell it: such a run is void, says which, and is written all the same.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { ratePerS, withSoundFigures } from "../../bench/harness/sound-figures.js";
import { readResult } from "../../bench/report/read-result.js";
import type { Run } from "../../bench/report/result-schema.js";
import { verdict } from "../../bench/report/verdict.js";
import { writeResult } from "../../bench/report/write-result.js";
import { tempDir } from "../temp-dir.js";
import { sampleResult, sampleRun } from "./sample-result.js";

const FINE = sampleRun(0, { settings: {}, proposalsPerS: 1000 });

test("a rate is a number also where there was no time", () => {
  assert.equal(ratePerS(0, 0), 0);
  assert.equal(ratePerS(64, 0), 0);
  assert.equal(ratePerS(64, 500), 128);
});

test("a figure that is no number voids its run, and the result can be written and read", async (t) => {
  const nodes = FINE.nodes.map((node) => ({ ...node, loopActiveShare: Number.NaN }));
  const broken: Run = { ...FINE, proposalsPerS: Number.NaN, payloadBytesPerS: Infinity, nodes };
  const run = withSoundFigures(broken);
  const path = join(tempDir(t), "result.json");
  const result = { ...sampleResult([]), runs: [run], verdict: "" };
  await writeResult(result, path);
  const [read] = (await readResult(path)).runs;
  assert.equal(read.proposalsPerS, 0);
  assert.match(read.void.at(-1)!, /^it has figures that are no numbers: proposalsPerS, payloadBytesPerS/);
});

test("sound figures stay as they are; a measure that is no number was not taken, and the verdict is silent of it", () => {
  assert.deepEqual(withSoundFigures(FINE), FINE);
  const measure = (value: number) => ({ value, unit: "ms", better: "lower" as const, meaning: "" });
  const measures = { snapshotMs: measure(12), rateMeanwhile: measure(Number.NaN) };
  const settings = { ...FINE.settings, event: "snapshots" as const };
  const run = withSoundFigures({ ...FINE, settings, measures });
  assert.deepEqual(Object.keys(run.measures), ["snapshotMs"]);
  assert.deepEqual(run.void, []);
  assert.equal(verdict({ ...sampleResult([]), runs: [run] }), "A snapshot takes 12.0 ms.");
});
