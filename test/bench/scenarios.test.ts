// Every scenario at its smoke values, in real processes, truth check included. Absolute figures are not looked at.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type BenchPlan, type Observer, runBench } from "../../bench/harness/run-bench.js";
import { Result } from "../../bench/report/result-schema.js";
import { SCENARIOS } from "../../bench/scenarios/all.js";
import { planOf } from "../../src/cli/bench-command.js";
import { scratchDir } from "../process/support.js";

const scratch = scratchDir("scenarios");
after(() => scratch.remove());

const SILENT: Observer = {
  begun() {},
  loading() {},
  phase() {},
  progress() {},
  done() {},
  repeating() {},
  unweighed() {},
  leftOut() {},
  gaveUp() {},
  broken() {},
  ending() {},
};
/** What each scenario with measures of its own must tell, in every run that its event or reads belong to. */
const MEASURES: Readonly<Record<string, readonly string[]>> = {
  "leader-loss": ["newLeaderMs", "firstCommitMs", "outageMs", "rejoinedMs", "askedAgain", "acknowledgedLost"],
  restart: ["logMB", "openMs", "openGBPerS", "caughtUpMs"],
  "catch-up": [
    "behindMB",
    "catchUpMs",
    "catchUpMBPerS",
    "rateWhileAway",
    "rateWhileOpening",
    "rateWhileCatchingUp",
  ],
  "member-change": ["behindMB", "addMs", "catchUpMs", "changeMs", "rateMeanwhile"],
  "snapshot-under-load": [
    "snapshotMs",
    "snapshotMBPerS",
    "rateMeanwhile",
    "p99MeanwhileMs",
    "p99OtherwiseMs",
  ],
  "mixed-reads": ["readsPerS", "readP50Ms", "readP99Ms"],
};

/** Leaders that lost the lead: where a machine or its disk stands still for a second, and only there. */
const LOST_LEAD = /RAFT_NOT_LEADER|RAFT_LEADERSHIP_LOST|lost the lead/;
const TRIES_MAX = 3;

/** Of a machine that goes on all the while. */
async function resultOf(plan: BenchPlan): Promise<Result> {
  for (let tries = 1; ; tries++) {
    const result = Result.parse(await runBench(plan, SILENT, new AbortController().signal));
    const reasons = result.runs.flatMap((run) => run.void);
    if (tries === TRIES_MAX || !reasons.some((reason) => LOST_LEAD.test(reason))) return result;
  }
}

for (const { name } of SCENARIOS) {
  test(`${name} at smoke values`, async () => {
    // The default comparison's smoke is a rough answer for people, with the longest windows of all.
    const shorter = name === "canonical" ? { duration: "200ms", warmup: "100ms" } : {};
    const words = { quick: true, order: "random", seed: "7", dir: scratch.path, ...shorter } as const;
    const plan = planOf(name, words, `raftmark bench ${name} --quick`);
    const result = await resultOf(plan);
    assert.equal(result.interrupted, false);
    assert.ok(result.nullRun !== null && result.nullRun.proposalsPerS > 0);
    assert.ok(result.nullRun.generatorUs! > 0 && result.nullRun.hashUs! > 0);
    for (const run of result.runs) {
      const where = `${name}, row ${run.position + 1}`;
      assert.deepEqual(run.void, [], where);
      assert.ok(run.done > 0, where);
      // Of who was removed, too.
      const logs = run.settings.nodes + (run.settings.event === "replace-member" ? 1 : 0);
      assert.equal(run.truth?.logsRead, logs, where);
      assert.ok((run.truth?.ackedChecked ?? 0) >= run.done, where);
      for (const measure of MEASURES[name] ?? [])
        assert.ok(measure in run.measures, `${where}: no ${measure}`);
      if (run.settings.event === "kill-leader") assert.equal(run.measures["acknowledgedLost"].value, 0);
      if (run.settings.event === "pause-follower") assert.ok(run.measures["pausedMs"].value > 0);
    }
    assert.match(result.verdict, /\S.*\.$/);
  });
}
