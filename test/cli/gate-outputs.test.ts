// What the gate writes for other tools: each place by itself, tried before, and none that decides the judgement.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, test } from "node:test";
import type { Judgement } from "../../bench/gate/judge.js";
import { BenchError, type BenchErrorKind } from "../../bench/harness/bench-error.js";
import { checkOutputs, exitCodeOf, outputsOf, writeOutputs } from "../../src/cli/gate-outputs.js";
import { tempDir } from "../temp-dir.js";

const scratch = tempDir();
let dir = "";
let folders = 0;
beforeEach(() => {
  dir = join(scratch, String(++folders));
  mkdirSync(dir);
});

const told = { markdown: "### the gate\n", facts: null };

test("one output that cannot be written leaves the others, and is told by option and path", async () => {
  const step = join(dir, "step.md");
  writeFileSync(step, "before\n");
  const outputs = outputsOf({ summary: "/dev/full", benchmarkDir: dir }, step, join(dir, "history"));
  await checkOutputs(outputs);
  const faults = await writeOutputs(outputs, told);
  assert.deepEqual(faults, ["cannot write what --summary asks for to /dev/full (ENOSPC)."]);
  assert.equal(readFileSync(step, "utf8"), "before\n### the gate\n");
  const other = await writeOutputs(outputsOf({ summary: step }, "/dev/full", ""), told);
  assert.deepEqual(other, ["cannot write what GITHUB_STEP_SUMMARY asks for to /dev/full (ENOSPC)."]);
  assert.equal(readFileSync(step, "utf8"), told.markdown);
});

test("a closed gate is exit code 1, whatever ended it or could not be written; an open one is not in order then", () => {
  const code = (state: Judgement["state"], kind: BenchErrorKind | null, faults: string[] = []) =>
    exitCodeOf({ state, cut: kind === null ? null : new BenchError(kind, "") }, faults);
  assert.deepEqual(
    [code("closed", null), code("closed", null, ["x"]), code("closed", "unmeasured")],
    [1, 1, 1],
  );
  assert.deepEqual([code("open", null), code("open", null, ["x"])], [0, 2]);
  assert.deepEqual([code("open", "unmeasured"), code("open", "environment", ["x"])], [2, 2]);
  assert.deepEqual([code("open", "interrupted"), code("open", "terminated")], [130, 143]);
  assert.deepEqual([code("unmeasured", null), code("unmeasured", "interrupted")], [2, 130]);
  assert.equal(code("closed", "interrupted"), 1);
});

test("what cannot be written is found before anything is measured; what can is as it was", async () => {
  const file = join(dir, "file");
  writeFileSync(file, "a file");
  const below = join(file, "below");
  const cases = [
    [outputsOf({ summary: below }, undefined, ""), /--summary asks for to .*below \(ENOTDIR\)/],
    [outputsOf({ summary: dir }, undefined, ""), /--summary asks for to .* \(EISDIR\)/],
    [
      outputsOf({ benchmarkDir: file }, undefined, ""),
      /--benchmark-dir asks for to .*throughput\.json \(ENOTDIR\)/,
    ],
    [outputsOf({}, below, ""), /GITHUB_STEP_SUMMARY asks for to .*below \(ENOTDIR\)/],
    [outputsOf({ record: true }, undefined, below), /--record asks for to .*below \(ENOTDIR\)/],
    [outputsOf({ record: true }, undefined, file), /--record asks for to .*line 1: not JSON/],
  ] as const;
  for (const [outputs, sentence] of cases) {
    await assert.rejects(checkOutputs(outputs), (error) => {
      assert.ok(error instanceof BenchError && error.exitCode === 2, String(error));
      assert.match(error.message, sentence);
      return true;
    });
  }
  const all = outputsOf(
    { summary: file, benchmarkDir: join(dir, "new"), record: true },
    join(dir, "step"),
    join(dir, "history"),
  );
  await checkOutputs(all);
  assert.equal(readFileSync(file, "utf8"), "a file");
  assert.deepEqual(readdirSync(dir), ["file"]);
});
