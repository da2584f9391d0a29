// `raftmark compare`: two result files, or two revisions that take turns, side by side. A report, not a gate: its exit
// code says whether it could compare, not what it found.
import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { alternate, killBenchesNow } from "../../bench/compare/alternate.js";
import { type Comparison, compareResults, tookTurns } from "../../bench/compare/compare.js";
import { comparisonMarkdown, type Names, renderComparison } from "../../bench/compare/render.js";
import { type Tree, Trees, WORKTREE } from "../../bench/compare/trees.js";
import { AXES, AXIS_NAMES, type AxisName, allowedText } from "../../bench/harness/axes.js";
import { BenchError, EXIT_CODES } from "../../bench/harness/bench-error.js";
import { readResult } from "../../bench/report/read-result.js";
import type { Result } from "../../bench/report/result-schema.js";
import { checkWritable, namedPath, writeResult } from "../../bench/report/write-result.js";
import { PAIRS_MIN } from "../../bench/stats/intervals.js";
import { planOf } from "./bench-command.js";
import { untilInterrupted } from "./interrupt.js";
import { commandLineOf, wholeNumber } from "./words.js";

type Words = Readonly<Partial<Record<AxisName, string>>> & {
  readonly scenario: string;
  readonly format: string;
  readonly rounds?: string;
  readonly seed?: string;
  readonly quick?: true;
  readonly duration?: string;
  readonly warmup?: string;
  readonly dir?: string;
};

const FORMATS = ["text", "markdown"];
const ROUNDS_MAX = 100;
const SIDES = ["base", "head"] as const;
/** There is no option for where results go. */
const RUN_ELSEWHERE = "it goes below the current directory, so run this in another one";

export function compareCommand(): Command {
  const command = new Command("compare")
    .summary("two results, or two revisions taking turns, side by side")
    .description(
      "Compares two result files configuration by configuration: ratios of throughput and latency, and what a commit " +
        "costs; measured one after the other, they have the machine's drift in them, and are not judged. Given two " +
        "revisions instead, it builds both, lets their engines take turns under this raftmark's bench, and judges " +
        "that, by 95 % intervals over paired rounds, which hold for all configurations of a figure together.",
    )
    .argument("<base>", "a result file, or a revision of this repository")
    .argument("<head>", `the same; ${WORKTREE} is the current files as built`)
    .option("--format <format>", `what is printed: ${FORMATS.join(", ")}`, "text")
    .optionsGroup("For two revisions, what is run:")
    .option("--scenario <name>", "what to run", "canonical")
    .option("--rounds <number>", `pairs of each configuration (default: ${PAIRS_MIN})`)
    .option("--quick", "fewer values, short windows")
    .option("--duration <time>", "how long each configuration is measured")
    .option("--warmup <time>", "how long it is loaded before that at most")
    .option("--seed <number>", "seeds the order (default: drawn)")
    .option("--dir <path>", "where the nodes keep their data")
    .optionsGroup("For two revisions, the axes of raftmark bench:");
  for (const name of AXIS_NAMES) {
    const { flag, help } = AXES[name];
    command.option(`--${flag} <values>`, `${help} (${allowedText(name)})`);
  }
  return command
    .addHelpText("after", EXAMPLES)
    .action(async (base: string, head: string, words: Words, self: Command) => {
      const given = self.options.filter(
        (option) => self.getOptionValueSource(option.attributeName()) === "cli",
      );
      const flags = given.map(({ long }) => long ?? "");
      process.exitCode = await compare(base, head, words, commandLineOf(self), flags);
    });
}

const EXAMPLES = `
Examples:
  raftmark compare before.json after.json
  raftmark compare main worktree --in-flight 1024 --writer pool-wasm
  raftmark compare v1.0.0 HEAD --scenario durability --quick --format markdown

Exit codes: 0 compared, whatever was found; 1 a bench failed on the way, or void runs leave nothing; 2 bad usage, a
result that cannot be used, two results without a configuration in common, a revision that is not there or does not build,
or current files that dist was not built from; 130 Ctrl-C. That, and a bench that fails, keeps the rounds that are done.`;

/** Compares and returns the exit code. Throws BenchError. */
async function compare(
  base: string,
  head: string,
  words: Words,
  command: string,
  flags: readonly string[],
): Promise<number> {
  if (!FORMATS.includes(words.format)) {
    throw new BenchError("usage", `--format: "${words.format}" is not one of ${FORMATS.join(", ")}.`);
  }
  if (isFile(base) || isFile(head)) {
    const idle = flags.filter((flag) => flag !== "--format");
    if (idle.length > 0) throw doNothing(idle, isFile(base) ? base : head);
    const [one, other] = [await usable(base), await usable(head)];
    const comparison = compareResults(one, other, tookTurns(one, other));
    if (comparison.matches.length === 0) throw nothingInCommon(comparison, { base, head });
    show(comparison, { base, head }, words);
    return 0;
  }
  return compareRevisions(base, head, words, command);
}

function doNothing(flags: readonly string[], file: string): BenchError {
  const text = `${flags.join(", ")}: for two revisions, which are run; ${file} is a result, and was. Leave ${flags.length === 1 ? "it" : "them"} out.`;
  return new BenchError("usage", text);
}

/** Named like a result or lying there: no revision. */
function isFile(word: string): boolean {
  return word.endsWith(".json") || existsSync(word);
}

async function usable(path: string): Promise<Result> {
  const result = await readResult(path);
  const bad = result.runs.find((run) => run.void.length > 0);
  if (bad !== undefined && result.runs.every((run) => run.void.length > 0)) {
    throw new BenchError(
      "usage",
      `${path} holds void runs only (${bad.void[0]}): there is nothing to compare.`,
    );
  }
  if (result.runs.length === 0)
    throw new BenchError("usage", `${path} holds no run: there is nothing to compare.`);
  return result;
}

async function compareRevisions(base: string, head: string, words: Words, command: string): Promise<number> {
  const { rounds, seed, benchWords } = revisionWords(words, command);
  const { results, ended } = await untilInterrupted(async (signal) => {
    const trees = await Trees.open(signal);
    const dir = await mkdtemp(join(tmpdir(), "raftmark-compare-"));
    process.once("exit", killBenchesNow);
    try {
      for (const revision of [base, head]) await trees.check(revision);
      await checkKeepable(words.scenario);
      const built: Tree[] = [];
      for (const revision of [base, head]) {
        say(`building ${revision}`);
        const tree = await trees.build(revision);
        say(`  dependencies ${tree.dependencies}`);
        built.push(tree);
      }
      const plan = { base: built[0], head: built[1], rounds, seed, benchWords, command, dir };
      return await alternate(plan, signal, (round, name) => {
        say(`round ${round + 1} of ${rounds}: ${name} (${name === "base" ? base : head})`);
      });
    } finally {
      process.removeListener("exit", killBenchesNow);
      await rm(dir, { recursive: true, force: true });
      await trees.remove();
    }
  });
  let kept = true;
  let isCompared = false;
  if (results !== null) {
    const comparison = compareResults(results.base, results.head, true);
    show(comparison, { base, head }, words);
    kept = await keep(results);
    // Disturbed runs are for the reader to make again; of void ones nothing was measured.
    isCompared = comparison.matches.some(
      ({ figures, voids }) => voids === 0 || figures.some((figure) => figure.base !== null),
    );
  }
  if (ended === null) return kept ? (isCompared ? 0 : EXIT_CODES.failed) : EXIT_CODES.environment;
  // Whoever pressed Ctrl-C knows why it ended, if there is something to show.
  if (results !== null && ended instanceof BenchError && ended.kind !== "failed") return ended.exitCode;
  throw ended;
}

/** Checks the words before anything is built, and hands them on as they are. */
function revisionWords(
  words: Words,
  command: string,
): { rounds: number; seed: number; benchWords: string[] } {
  const { scenario, quick, duration, warmup, dir } = words;
  planOf(
    scenario,
    { ...words, rounds: undefined, seed: undefined, order: "random", format: undefined } as never,
    command,
  );
  const rounds = words.rounds === undefined ? PAIRS_MIN : wholeNumber("rounds", words.rounds, 1, ROUNDS_MAX);
  const seed =
    words.seed === undefined ? randomInt(2 ** 32) : wholeNumber("seed", words.seed, 0, 2 ** 32 - 1);
  const given = (flag: string, value: string | undefined) =>
    value === undefined ? [] : [`--${flag}`, value];
  const benchWords = [
    scenario,
    ...(quick === true ? ["--quick"] : []),
    ...given("duration", duration),
    ...given("warmup", warmup),
    ...given("dir", dir),
    ...AXIS_NAMES.flatMap((name) => given(AXES[name].flag, words[name])),
  ];
  return { rounds, seed, benchWords };
}

/** Whether `keep` will find a place, asked before the minutes that it takes to have something. Throws BenchError. */
async function checkKeepable(scenario: string): Promise<void> {
  const like = { startedAt: new Date().toISOString(), scenario: { name: scenario } };
  for (const name of SIDES) await checkWritable(namedPath(like, `-${name}`), RUN_ELSEWHERE);
}

/** Writes both, whatever becomes of the other; says where, or why not. Returns whether both are written. */
async function keep(results: Readonly<Record<(typeof SIDES)[number], Result>>): Promise<boolean> {
  let kept = true;
  for (const name of SIDES) {
    try {
      say(`Result of ${name}: ${await writeResult(results[name], undefined, `-${name}`, RUN_ELSEWHERE)}`);
    } catch (error) {
      if (!(error instanceof BenchError)) throw error;
      say(`raftmark: ${name}: ${error.message}`);
      kept = false;
    }
  }
  return kept;
}

/** Which configurations each has, as far as a sentence can say. */
function nothingInCommon({ onlyBase, onlyHead }: Comparison, { base, head }: Names): BenchError {
  const told = (names: readonly string[]) =>
    names.length === 1 ? names[0] : `${names[0]} and ${names.length - 1} more`;
  const text =
    `${base} and ${head} have no configuration in common (${told(onlyBase)}; ${told(onlyHead)}): there is nothing to ` +
    "compare; run both with the same axes.";
  return new BenchError("usage", text);
}

function show(comparison: Comparison, names: Names, { format }: Words): void {
  const render = format === "markdown" ? comparisonMarkdown : renderComparison;
  process.stdout.write(render(comparison, names));
}

/** Progress goes to stderr. */
function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
