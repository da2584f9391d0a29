// Two results side by side: what is matched, what is told apart, and what is said against it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { compareResults, judgementOf, tookTurns } from "../../bench/compare/compare.js";
import { configurationKey, configurationName } from "../../bench/compare/configurations.js";
import { comparisonMarkdown, renderComparison } from "../../bench/compare/render.js";
import { DEFAULT_SETTINGS } from "../../bench/harness/axes.js";
import { perCommit } from "../../bench/harness/run-variant.js";
import type { Result } from "../../bench/report/result-schema.js";
import { normals } from "../../bench/stats/family.js";
import { Prng } from "../../src/base/prng.js";
import { tempDir } from "../temp-dir.js";
import { type Outcome, sampleResult, sampleRun } from "./sample-result.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** One run a round; the machine drifts by `drift` a round, on both sides alike. */
function result(speed: number, rounds: number, outcome: Partial<Outcome> = {}): Result {
  const made = sampleResult([{ settings: {}, proposalsPerS: 1 }]);
  const runs = Array.from({ length: rounds }, (_, round) => {
    const proposalsPerS = speed * (1 + 0.2 * (round % 3));
    return { ...sampleRun(0, { settings: {}, p50: 1000 / speed, ...outcome, proposalsPerS }), round };
  });
  return { ...made, runs, verdict: "" };
}

const NAMES = { base: "a.json", head: "b.json" };

test("a difference is found over rounds, though the machine drifts more than it", () => {
  const [match] = compareResults(result(1000, 8), result(1100, 8), true).matches;
  const [throughput, p50] = match.figures;
  assert.ok(Math.abs(throughput.ratio!.estimate - 1.1) < 1e-9);
  assert.equal(throughput.ratio!.rounds, 8);
  const text = renderComparison(compareResults(result(1000, 8), result(1100, 8), true), NAMES);
  assert.match(text, /throughput +.*1\.100× \(1\.100 to 1\.100\): better/);
  assert.match(text, /p50 +.*: better/);
  assert.match(text, /^throughput +better in 1 of 1 configuration\n/, "the answer comes first");
  assert.equal(p50.better, "lower");
});

test("no difference is said to be none, and too few rounds to be too few", () => {
  const same = renderComparison(compareResults(result(1000, 8), result(1000, 8), true), NAMES);
  assert.match(same, /throughput .*1\.000× .*: no difference found/);
  const few = renderComparison(compareResults(result(1000, 1), result(1500, 1), true), NAMES);
  assert.match(
    few,
    /1\.500×: 1 pair, too few to tell \(it takes 3 at the least\)/,
    "no interval of one pair",
  );
  assert.match(few, /^throughput +too few pairs to tell in 1 of 1 configuration\n/);
  const markdown = comparisonMarkdown(compareResults(result(1000, 8), result(900, 8), true), NAMES);
  assert.match(markdown, /^- throughput: worse in 1 of 1 configuration\n- p50: /);
});

test("configurations are matched by settings, wherever they stand; the rest is listed", () => {
  const two = (inFlights: number[]): Result => ({
    ...sampleResult(inFlights.map((inFlight) => ({ settings: { inFlight }, proposalsPerS: inFlight * 100 }))),
    verdict: "",
  });
  const { matches, onlyBase, onlyHead } = compareResults(two([1, 64]), two([64, 256]), true);
  assert.deepEqual(
    matches.map(({ settings }) => settings.inFlight),
    [64],
  );
  assert.match(onlyBase.join(), /1 in flight/);
  assert.match(onlyHead.join(), /256 in flight/);
  const nothing = compareResults(two([1]), two([2]), true);
  assert.match(renderComparison(nothing, NAMES), /no configuration in common/);
  assert.match(comparisonMarkdown(nothing, NAMES), /only in head: .*2 in flight/);
});

test("raftmark compare: results with nothing in common are refused in one sentence, one result twice is called that", (t) => {
  const dir = tempDir(t);
  const [one, other] = [1, 64].map((inFlight) => {
    const path = join(dir, `${inFlight}.json`);
    const made = { ...sampleResult([{ settings: { inFlight }, proposalsPerS: 100 }]), verdict: "" };
    writeFileSync(path, JSON.stringify(made));
    return path;
  });
  const run = (...words: string[]) =>
    spawnSync(process.execPath, [MAIN, "compare", ...words], { encoding: "utf8" });
  const refused = run(one, other);
  assert.equal(refused.status, 2);
  assert.equal(refused.stdout, "");
  assert.match(
    refused.stderr,
    /have no configuration in common \(.*1 in flight.*; .*64 in flight.*\): there is nothing/,
  );
  assert.equal(refused.stderr.trim().split("\n").length, 1, "one sentence");
  const twice = run(one, one);
  assert.equal(twice.status, 0);
  assert.match(twice.stdout, /the two are the same result/);
});

test("how far judgements hold together is said, and few rounds judge nothing", () => {
  const text = renderComparison(compareResults(result(1000, 8), result(1001, 8), true), NAMES);
  assert.match(text, /at 95 % each of \d+ figures is judged by itself: of equals, about one figure in 20/);
  const few = renderComparison(compareResults(result(1000, 2), result(1001, 2), true), NAMES);
  assert.doesNotMatch(few, /each of \d+ figures/);
});

test("void runs are left out with their partners, and counted", () => {
  const base = result(1000, 8);
  const head = result(1000, 8);
  head.runs[3] = { ...head.runs[3], proposalsPerS: 5, void: ["logs: wrong"] };
  const [match] = compareResults(base, head, true).matches;
  assert.equal(match.voids, 1);
  assert.equal(match.figures[0].ratio!.rounds, 7);
  assert.match(renderComparison(compareResults(base, head, true), NAMES), /1 void run was left out/);
});

test("where no round counts on both sides there are no figures, and no zeros", () => {
  const why = ["other programs took 60 % of the CPU"];
  const comparison = compareResults(result(1000, 4), result(1000, 4, { disturbed: why }), true);
  const text = renderComparison(comparison, NAMES);
  assert.match(text, /^ {2}throughput +no pair of undisturbed runs +not comparable$/m);
  assert.match(
    comparisonMarkdown(comparison, NAMES),
    /^\| throughput, proposals\/s \| – \| – \| no pair of undisturbed runs \|$/m,
  );
  assert.doesNotMatch(text, /\b0 to 0\b/);
  const void_ = compareResults(result(1000, 4), result(1000, 4, { void: ["logs: wrong"] }), true);
  assert.match(renderComparison(void_, NAMES), /throughput +no pair of runs that count +not comparable/);
});

test("disturbed runs are left out with their partners, and counted, be there no others", () => {
  const why = ["other programs took 60 % of the CPU"];
  const head = result(2000, 8);
  head.runs[3] = { ...head.runs[3], proposalsPerS: 5, disturbed: why };
  const [match] = compareResults(result(1000, 8), head, true).matches;
  assert.equal(match.figures[0].ratio!.rounds, 7);
  head.runs = head.runs.map((run) => ({ ...run, disturbed: why, otherCpuShare: 0.12 }));
  const comparison = compareResults(result(1000, 8), head, true);
  assert.equal(comparison.matches[0].figures[0].ratio, null);
  assert.match(renderComparison(comparison, NAMES), /8 disturbed runs were left out/);
  assert.match(comparison.warnings.join(), /other programs took up to 12 % of the CPU during head/);
});

test("warnings: other machine, other Node, other window, not alternating, disturbed, interrupted", () => {
  const base = result(1000, 2);
  const head = { ...result(1000, 2, { otherCpuShare: 0.4 }), interrupted: true };
  head.environment = { ...head.environment, node: "v22.1.0", cpu: "another" };
  head.options = { ...head.options, durationMs: 5000 };
  const { warnings } = compareResults(base, head, false);
  const all = warnings.join("\n");
  const expected = [
    /one after the other/,
    /Node differs: v20\.0\.0 and v22\.1\.0/,
    /CPU differs: sample CPU and another/,
    /window \(ms\) differs: 1000 and 5000/,
    /40 % of the CPU during head/,
    /head was interrupted/,
  ];
  for (const text of expected) assert.match(all, text);
  assert.deepEqual(compareResults(base, base, true).warnings, []);
});

test("counters stand side by side, what only this scenario measures too", () => {
  const base = result(1000, 6);
  const head = result(1000, 6);
  const measure = (value: number) => ({ gap: { value, unit: "ms", better: "lower" as const, meaning: "" } });
  base.runs = base.runs.map((run) => ({ ...run, measures: measure(100) }));
  head.runs = head.runs.map((run) => ({
    ...run,
    measures: measure(200),
    perCommit: { ...run.perCommit, messages: 0.2 },
  }));
  const text = renderComparison(compareResults(base, head, true), NAMES);
  assert.match(text, /gap +100\.?0* to 200 ms +2\.000× .*: worse/);
  assert.match(text, /per commit: .*messages 0\.100 to 0\.200/);
  assert.doesNotMatch(text, /bytes of heap/);
  assert.match(
    comparisonMarkdown(compareResults(base, head, true), NAMES),
    /\| messages per commit \| 0\.100 \| 0\.200/,
  );
});

test("a counter that only one side keeps is shown, and as not kept by the other", () => {
  const old = result(1000, 6);
  old.runs = old.runs.map((run) => ({ ...run, perCommit: { ...run.perCommit, walBytes: null } }));
  const comparison = compareResults(old, result(1000, 6), true);
  assert.match(renderComparison(comparison, NAMES), /per commit: .*bytes logged not kept to \d/);
  assert.match(
    comparisonMarkdown(comparison, NAMES),
    /\| bytes logged per commit \| – \| \d+ \| base does not keep it \|/,
  );
  const counters = { messagesSent: 30, walBytes: 600, turns: 3 };
  const node = (leader: boolean, more: object = {}) => ({ leader, counters: { ...counters, ...more } });
  const each = perCommit([node(true), node(false, { walBytes: undefined })], 2, 10);
  assert.deepEqual([each.messages, each.walBytes, each.turns, each.frames], [6, null, 0.3, null]);
  assert.equal(perCommit([node(true)], 2, 10).messages, null, "a node is gone, and its counts with it");
});

test("of equals at nine loads, at most one table in 20 calls a throughput better or worse", () => {
  const seed = 5;
  const normal = normals(new Prng(seed));
  const tables = 200;
  let named = 0;
  for (let table = 0; table < tables; table++) {
    const of = (): Result => {
      const loads = Array.from({ length: 9 }, (_, i) => ({
        settings: { inFlight: 2 ** i },
        proposalsPerS: 1,
      }));
      const runs = loads.flatMap((outcome, position) =>
        Array.from({ length: 6 }, (_, round) => {
          const proposalsPerS = 1000 * Math.exp(0.1 * normal());
          return { ...sampleRun(position, { ...outcome, proposalsPerS }), round };
        }),
      );
      return { ...sampleResult(loads), runs, verdict: "" };
    };
    const { matches } = compareResults(of(), of(), true);
    if (matches.some(({ figures }) => /better|worse/.test(judgementOf(figures[0], true)))) named++;
  }
  // Three deviations above 5 % of 200.
  assert.ok(named <= 19, `${named} of ${tables}, seed ${seed}`);
});

test("two that took no turns are shown and not judged, and what would be is said", () => {
  const seed = 11;
  const normal = normals(new Prng(seed));
  for (let session = 0; session < 50; session++) {
    const of = () => {
      const made = result(1000 * Math.exp(0.08 * normal()), 8);
      const runs = made.runs.map((run) => ({
        ...run,
        proposalsPerS: run.proposalsPerS * Math.exp(0.06 * normal()),
      }));
      return { ...made, runs };
    };
    const comparison = compareResults(of(), of(), false);
    for (const text of [renderComparison(comparison, NAMES), comparisonMarkdown(comparison, NAMES)]) {
      assert.doesNotMatch(
        text,
        /: (better|worse)|(better|worse) in|95 %|one in 20/,
        `seed ${seed}, ${session}`,
      );
      assert.match(text, /throughput.* \d\.\d{3}×: not judged/);
      assert.match(text, /one after the other.* REV1 REV2 lets two revisions take turns/);
    }
  }
});

test("files of one raftmark compare took turns, those of two did not", () => {
  const at = (minute: number, changes: Partial<Result> = {}): Result => ({
    ...result(1000, 8),
    command: "raftmark compare main worktree",
    startedAt: new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString(),
    elapsedMs: 5 * 60_000,
    ...changes,
  });
  assert.equal(tookTurns(at(0), at(1)), true);
  assert.equal(tookTurns(at(0), at(11)), false, "the same command line, later");
  assert.equal(tookTurns(at(0), at(0)), false, "one file");
  assert.equal(tookTurns(at(0), at(1, { command: "raftmark compare v1 worktree" })), false);
  const bench = { command: "raftmark bench" };
  assert.equal(tookTurns(at(0, bench), at(1, bench)), false);
});

test("a configuration's key does not depend on the order of a file; its name leaves defaults out", () => {
  const reversed = Object.fromEntries(Object.entries(DEFAULT_SETTINGS).reverse()) as typeof DEFAULT_SETTINGS;
  assert.equal(configurationKey(reversed), configurationKey(DEFAULT_SETTINGS));
  assert.equal(configurationName(DEFAULT_SETTINGS), "fsync, pool-wasm, 1024 in flight, 256 B, 3 nodes");
  assert.match(configurationName({ ...DEFAULT_SETTINGS, rate: 5000 }), /5,000\/s offered/);
});
