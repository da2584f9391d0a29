// `raftmark gate` (`npm run bench:ci`): is head slower than base? Words to a plan, two trees to a judgement, that to a
// summary, files for other tools and an exit code.
import { randomInt } from "node:crypto";
import { Command } from "commander";
import { Trees, WORKTREE } from "../../bench/compare/trees.js";
import { GATE_PAIRS_MIN, LOOK_CONFIDENCE, MEASURES, pairedRatio } from "../../bench/gate/judge.js";
import { PAIRS_FACTOR_MAX, type Sample } from "../../bench/gate/pairs.js";
import { estimateGateMs, GATE_DEFAULTS, type GatePlan, runGate } from "../../bench/gate/run-gate.js";
import { differingParts, enginePartsOf } from "../../bench/gate/same-engine.js";
import {
  type GateFacts,
  gateMarkdown,
  sameEngineMarkdown,
  type Unfinished,
} from "../../bench/gate/summary.js";
import { notMeasured } from "../../bench/gate/troubles.js";
import { BenchError } from "../../bench/harness/bench-error.js";
import { DEFAULT_HISTORY } from "../../bench/history/records.js";
import { roughly } from "../../bench/report/numbers.js";
import {
  checkOutputs,
  type Ending,
  exitCodeOf,
  type Output,
  type OutputWords,
  outputsOf,
  type Told,
  writeOutputs,
} from "./gate-outputs.js";
import { untilInterrupted } from "./interrupt.js";
import { commandLineOf, wholeNumber } from "./words.js";

interface Words extends OutputWords {
  readonly base: string;
  readonly head: string;
  readonly tolerance?: string;
  readonly pairs?: string;
  readonly seed?: string;
  readonly dir?: string;
}

const PAIRS_MAX = 100;

export function gateCommand(): Command {
  const { pairs, tolerance } = GATE_DEFAULTS;
  return new Command("gate")
    .summary("for CI: is head slower than base? exit code 1 only if that is sure")
    .description(
      "Builds both revisions, counts what a commit costs in each (messages, durable writes, bytes: hard limits), and " +
        "measures throughput and CPU in pairs of fresh clusters that take turns. Fails only if a whole " +
        `${LOOK_CONFIDENCE * 100} % interval of head/base lies beyond the tolerance (an error of 5 % for the whole gate), if a counter ` +
        "went up, or if a run of head is void. What cannot be measured " +
        "is tried again, and is no failure. Where the engine is the same in both, nothing is measured. It takes two " +
        "minutes after building, and up to ten where noise leaves the answer open.",
    )
    .requiredOption("--base <revision>", "what head is compared with: a commit, branch or tag")
    .option("--head <revision>", `a revision, or ${WORKTREE}: the current files as built`, WORKTREE)
    .option("--tolerance <percent>", `a loss up to here is accepted (default: ${tolerance * 100}%)`)
    .option(
      "--pairs <number>",
      `pairs of fresh clusters, up to ${PAIRS_FACTOR_MAX} times as many if noise leaves it open (default: ${pairs})`,
    )
    .option("--seed <number>", "seeds order and elections (default: drawn, and in the summary)")
    .option("--summary <file>", "the summary goes there too; also to $GITHUB_STEP_SUMMARY where it is set")
    .option("--benchmark-dir <dir>", "throughput.json and cost.json for github-action-benchmark go there")
    .option(
      "--dir <path>",
      "where the nodes keep their data (default: ./.raftmark, or the temporary directory)",
    )
    .option("--record", `add head's figures to ${DEFAULT_HISTORY} if the gate is open`)
    .addHelpText("after", EXAMPLES)
    .action(async (words: Words, self: Command) => {
      process.exitCode = await gate(words, commandLineOf(self));
    });
}

const EXAMPLES = `
Examples:
  npm run bench:ci -- --base origin/main           the current files against the branch they will go to
  raftmark gate --base v1.2.0 --head main          two revisions
  raftmark gate --base HEAD~1 --tolerance 3% --pairs 16

Exit codes: 0 not slower for sure, or nothing differs that runs in the engine; 1 slower, a counter went up, or the logs of
head's runs do not prove what it acknowledged; 2 could not be measured (windows in which neither side commits, clusters that do not
come up, an error of the gate's own, each tried again first; the logs of a run of base), bad usage, a revision that is not there or does not
build, current files that dist was not built from, or files asked for that cannot be written; 130 Ctrl-C. What ends it in
the middle leaves the pairs that are done without a verdict on speed; what was counted by then closes it still (1).`;

/** Runs the gate and returns the exit code. Throws BenchError, never one with exit code 1: that is a judgement. */
async function gate(words: Words, command: string): Promise<number> {
  const plan = gatePlanOf(words);
  const outputs = outputsOf(words, process.env["GITHUB_STEP_SUMMARY"], DEFAULT_HISTORY);
  await checkOutputs(outputs);
  const outcome = await untilInterrupted((signal) => judged(words, plan, command, signal)).catch((error) => {
    throw notMeasured(error);
  });
  if ("same" in outcome) {
    sayUnwritten(words);
    const markdown = sameEngineMarkdown(outcome.base, outcome.head, outcome.same);
    return publish({ markdown, facts: null, cut: null, state: "open" }, outputs);
  }
  const { facts, cut } = outcome;
  const { state } = facts.judgement;
  return publish({ markdown: gateMarkdown(facts), facts: cut === null ? facts : null, cut, state }, outputs);
}

/** Tells all there is to tell, and returns the exit code. */
async function publish(told: Told & Ending, outputs: readonly Output[]): Promise<number> {
  const faults = await writeOutputs(outputs, told);
  if (told.cut !== null) faults.unshift(told.cut.message);
  for (const fault of faults) say(`raftmark: ${fault}`);
  // Last, and with the code known: stdout may be full, too, and that ends the process.
  process.exitCode = exitCodeOf(told, faults);
  process.stdout.write(told.markdown);
  return process.exitCode;
}

/** Whoever reads the files next would otherwise look for them, or take older ones for these. */
function sayUnwritten({ benchmarkDir, record }: Words): void {
  const asked = [
    ...(benchmarkDir === undefined ? [] : ["--benchmark-dir"]),
    ...(record === true ? ["--record"] : []),
  ];
  if (asked.length > 0) say(`nothing was measured, so nothing is written for ${asked.join(" and ")}`);
}

/** What was measured; `cut`: why it is not all that was to be. */
interface Measured {
  readonly facts: GateFacts;
  readonly cut: BenchError | null;
}

/** Nothing differs: so many parts were compared. */
interface SameEngine extends Pick<GateFacts, "base" | "head"> {
  readonly same: number;
}

async function judged(
  words: Words,
  plan: Omit<GatePlan, "base" | "head">,
  command: string,
  signal: AbortSignal,
): Promise<Measured | SameEngine> {
  const trees = await Trees.open(signal);
  try {
    for (const revision of [words.base, words.head]) await trees.check(revision);
    say(`building ${words.base} and ${words.head}`);
    const base = await trees.build(words.base);
    const head = await trees.build(words.head);
    const [baseParts, headParts] = [await enginePartsOf(base.dir), await enginePartsOf(head.dir)];
    const differing = differingParts(baseParts, headParts);
    if (differing.length === 0) return { same: headParts.size, base, head };
    say(differingText(differing));
    const least = roughly(estimateGateMs(plan));
    say(
      `about ${least}, up to ${PAIRS_FACTOR_MAX} times that if noise leaves it open: counting, then ${plan.pairs} pairs of clusters`,
    );
    const begun = performance.now();
    const observer = {
      counted: () => say("counted"),
      pair: sayPair,
      trouble: (text: string) => say(`trouble: ${text}`),
    };
    const outcome = await runGate({ ...plan, base: base.dir, head: head.dir }, observer, signal);
    const elapsedMs = performance.now() - begun;
    const { seed, windows } = plan;
    const pairs = new Set(outcome.samples.map(({ pair }) => pair)).size;
    const { environment, troubles } = outcome;
    const cut = outcome.cut as BenchError | null;
    const facts = {
      base,
      head,
      judgement: outcome,
      troubles,
      environment,
      command,
      seed,
      pairs,
      windows,
      elapsedMs,
      ...(cut === null ? {} : { unfinished: unfinishedBy(cut, plan.pairs) }),
    };
    return { facts, cut };
  } finally {
    await trees.remove();
  }
}

function unfinishedBy({ message }: BenchError, pairsAsked: number): Unfinished {
  const why = `${message[0].toUpperCase()}${message.slice(1)}`;
  return { why, pairsAsked, pairsMax: pairsAsked * PAIRS_FACTOR_MAX };
}

/** So many of what differs are named. */
const NAMED_MAX = 5;

function differingText(names: readonly string[]): string {
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : "";
  return `of what runs in the engine, ${names.length} differ: ${names.slice(0, NAMED_MAX).join(", ")}${more}`;
}

/** Words to a plan; refuses before anything is built. Exported for tests. */
export function gatePlanOf(words: Words): Omit<GatePlan, "base" | "head"> {
  return {
    ...GATE_DEFAULTS,
    tolerance: words.tolerance === undefined ? GATE_DEFAULTS.tolerance : parsePercent(words.tolerance),
    pairs: words.pairs === undefined ? GATE_DEFAULTS.pairs : parsePairs(words.pairs),
    seed: words.seed === undefined ? randomInt(2 ** 32) : wholeNumber("seed", words.seed, 0, 2 ** 32 - 1),
    headEnv: {},
    dir: words.dir ?? null,
  };
}

function parsePercent(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s?%$/.exec(text);
  const value = match === null ? Number.NaN : Number(match[1]) / 100;
  if (value >= 0 && value <= 0.5) return value;
  const hint = /^\d+(\.\d+)?$/.test(text) ? ` Did you mean ${text}%?` : "";
  const what = "it takes a percentage from 0% to 50%, like 5%";
  throw new BenchError("usage", `--tolerance: "${text}" is not allowed: ${what}.${hint}`);
}

function parsePairs(text: string): number {
  const why = `; of fewer pairs none could close it at ${LOOK_CONFIDENCE * 100} %, however slow head is`;
  return wholeNumber("pairs", text, GATE_PAIRS_MIN, PAIRS_MAX, why);
}

/** Progress goes to stderr, so that stdout is the summary alone. */
function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function sayPair(pair: number, samples: readonly Sample[]): void {
  const loads = [...new Set(samples.map(({ inFlight }) => inFlight))];
  const texts = loads.map((inFlight) => {
    const at = samples.filter((sample) => sample.inFlight === inFlight);
    const ratio = (of: (typeof MEASURES)["cpu"]["of"]) => pairedRatio(at, of).estimate.toFixed(2);
    return `${inFlight} in flight: throughput ${ratio(MEASURES.throughput.of)}, CPU ${ratio(MEASURES.cpu.of)}`;
  });
  say(`pair ${pair + 1}, head/base: ${texts.join("; ")}`);
}
