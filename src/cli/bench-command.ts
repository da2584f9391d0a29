// `raftmark bench`: words of the command line to a plan, the plan to a run, the run to a table, a sentence and a file.

import { randomInt } from "node:crypto";
import { Command } from "commander";
import pc from "picocolors";
import {
  AXES,
  AXIS_NAMES,
  type AxisName,
  type AxisValues,
  allowedText,
  parseAxis,
} from "../../bench/harness/axes.js";
import { BenchError } from "../../bench/harness/bench-error.js";
import { type BenchPlan, runBench } from "../../bench/harness/run-bench.js";
import {
  describe,
  expand,
  type Load,
  resolveAxes,
  type Scenario,
  varyingAxes,
} from "../../bench/harness/scenario.js";
import { worstLagText } from "../../bench/report/generator-lag.js";
import { glanceOf } from "../../bench/report/glance.js";
import { resultMarkdown } from "../../bench/report/markdown.js";
import { diskNameText, nodeText } from "../../bench/report/node-text.js";
import { grouped } from "../../bench/report/numbers.js";
import { ownWeightText } from "../../bench/report/own-weight.js";
import { type Output, Progress } from "../../bench/report/progress.js";
import type { Result } from "../../bench/report/result-schema.js";
import { scatterText } from "../../bench/report/scatter-text.js";
import { constants, type Paint, PLAIN, renderMeanings, renderTable } from "../../bench/report/table.js";
import { waterfallText } from "../../bench/report/waterfall-text.js";
import { checkWritable, defaultPath, writeResult } from "../../bench/report/write-result.js";
import { SCENARIOS } from "../../bench/scenarios/all.js";
import { didYouMean } from "../base/suggest.js";
import { benchTarget } from "./bench-target.js";
import { benchWalCommand } from "./bench-wal.js";
import { untilInterrupted } from "./interrupt.js";
import { commandLineOf, parseDuration, wholeNumber } from "./words.js";

/** Options as commander hands them over: every one a word, or absent. */
type Words = Readonly<Partial<Record<AxisName, string>>> & {
  readonly quick?: true;
  readonly duration?: string;
  readonly warmup?: string;
  readonly dir?: string;
  readonly keep?: true;
  readonly out?: string;
  readonly json?: true;
  readonly format?: string;
  readonly list?: true;
  readonly rounds?: string;
  readonly order: string;
  readonly seed?: string;
  readonly basePort?: string;
  readonly target?: string;
  readonly clients?: string;
};

const FORMATS = ["table", "markdown", "json"] as const;
type Format = (typeof FORMATS)[number];
const ORDERS = ["table", "random"] as const;
const DEFAULT_SCENARIO = "canonical";
const ROUNDS_MAX = 100;
const DURATION_MIN_MS = 100;
const DURATION_MAX_MS = 60 * 60_000;

export function benchCommand(): Command {
  const command = new Command("bench")
    .summary("run a real cluster on this machine and compare configurations")
    .description(
      "Starts a Raft cluster (one process per node, loopback, real files), loads it with proposals and compares " +
        "configurations side by side: first which one to run, how sure that is and what limits it, then the figures. " +
        "A run counts only if reopening the logs proves that every acknowledged proposal is durable on a quorum; " +
        "otherwise it is void. How long it will take is told at the start: under five minutes without any option, " +
        "some ten seconds with --quick.",
    )
    .argument("[scenario]", "what to ask; --list explains each", DEFAULT_SCENARIO)
    .option("--list", "every scenario: its question, what it does, what it takes")
    .option("--quick", "a rough answer: fewer values, short windows, one round")
    .optionsGroup("Axes, each with one value or several, like 64,1024; all are crossed:");
  for (const name of AXIS_NAMES) {
    const { flag, help } = AXES[name];
    command.option(`--${flag} <values>`, `${help} (${allowedText(name)})`);
  }
  return command
    .enablePositionalOptions()
    .addCommand(benchWalCommand())
    .optionsGroup("How it is measured:")
    .option("--duration <time>", "how long each configuration is measured, like 5s or 500ms")
    .option("--warmup <time>", "how long it is loaded before that at most; it ends when the rate is stable")
    .option("--rounds <number>", "how often each configuration runs, in fresh processes")
    .option("--order <order>", "within a round, as in the table or at random: table, random", "random")
    .option(
      "--seed <number>",
      "seeds election timeouts and the random order (default: drawn, and in the result)",
    )
    .optionsGroup("A cluster that runs already:")
    .option(
      "--target <addresses>",
      "loads these nodes of `raftmark serve` over HTTP, like 127.0.0.1:8081,127.0.0.1:8082, and starts none",
    )
    .option("--clients <number>", "from so many processes (default: 2)")
    .optionsGroup("Where, and what is kept:")
    .option("--base-port <port>", "nodes listen on this port and the next ones (default: free ports)")
    .option(
      "--dir <path>",
      "where the nodes keep their data (default: ./.raftmark, or the temporary directory)",
    )
    .option("--keep", "keep the data and name its place")
    .option("--out <file>", "where the result goes (default: results/local/<time>-<scenario>.json)")
    .option("--format <format>", "what is printed: table, markdown or json; the last two alone on stdout")
    .option("--json", "the same as --format json")
    .addHelpText("after", EXAMPLES)
    .action(async (scenario: string, words: Words, self: Command) => {
      process.exitCode = await bench(scenario, words, commandLineOf(self));
    });
}

const EXAMPLES = `
Examples:
  raftmark bench                                   the writers at three loads, in less than five minutes
  raftmark bench --list                            every question it has an answer to
  raftmark bench --quick                           the same question, roughly
  raftmark bench --writer pool-wasm --in-flight 1024 --entry-bytes 256,4096
                                                   one writer, two entry sizes
  raftmark bench --durability fsync,none           what durability costs
  raftmark bench --node own,26 --rounds 6          this Node.js against another, which npx fetches
  raftmark bench offered-load --rate 1000,20000    latency against load, open loop
  raftmark bench leader-loss --tick-ms 20          kill -9 of the leader under load
  raftmark bench --target 127.0.0.1:8081,127.0.0.1:8082,127.0.0.1:8083 --in-flight 64
                                                   a cluster of raftmark serve that runs already
  raftmark bench --quick --json | jq '.runs[].proposalsPerS'

Exit codes: 0 all runs count; 1 a run is void or failed; 2 bad usage or environment; 130 Ctrl-C. Ctrl-C
keeps the runs that are done and writes them, marked as interrupted.`;

/** Runs the bench and returns the exit code. Throws BenchError. */
async function bench(scenarioName: string, words: Words, command: string): Promise<number> {
  if (words.list === true) {
    process.stdout.write(listText());
    return 0;
  }
  const format = formatOf(words);
  if (words.target !== undefined) return ofTarget(scenarioName, words, command, format);
  if (words.clients !== undefined)
    throw new BenchError("usage", "--clients are those of a cluster that runs already: give --target too.");
  const plan = planOf(scenarioName, words, command);
  const startedAt = new Date().toISOString();
  const out = outputFor(format !== "table");
  const progress = new Progress(out);
  let ended: BenchError | null = null;
  const result = await untilInterrupted(async (signal, allow) => {
    progress.onEnding = allow;
    try {
      await checkWritable(words.out ?? defaultPath({ startedAt, scenario: plan.scenario }));
      signal.throwIfAborted();
      const made = await runBench(plan, progress, signal);
      if (signal.aborted) ended = signal.reason as BenchError;
      return made;
    } finally {
      progress.end();
    }
  });
  let path: string | null = null;
  let unwritten: unknown = null;
  try {
    path = await writeResult(result, words.out);
  } catch (error) {
    unwritten = error; // What took minutes to measure is shown before it is said that it could not be kept.
  }
  show(result, plan, path, out);
  if (format === "json") process.stdout.write(`${JSON.stringify(result)}\n`);
  if (format === "markdown") process.stdout.write(resultMarkdown(result));
  if (unwritten !== null) throw unwritten;
  if (progress.fault !== null) throw progress.fault;
  if (ended !== null) return (ended as BenchError).exitCode;
  return result.runs.every((run) => run.void.length === 0) ? 0 : 1;
}

/** What means something where the cluster runs already, and is none of the harness's. */
const OF_TARGET: readonly string[] = [
  "target",
  "clients",
  "inFlight",
  "entryBytes",
  "readsPerWrite",
  "quick",
  "duration",
  "warmup",
  "out",
  "json",
  "format",
  "order",
];

function ofTarget(scenarioName: string, words: Words, command: string, format: Format): Promise<number> {
  if (scenarioName !== DEFAULT_SCENARIO)
    throw new BenchError("usage", `--target loads what runs already: leave "${scenarioName}" out.`);
  const idle = Object.keys(words).find((name) => !OF_TARGET.includes(name));
  if (idle !== undefined) {
    const flag =
      idle in AXES ? AXES[idle as AxisName].flag : idle.replaceAll(/[A-Z]/g, (up) => `-${up.toLowerCase()}`);
    const text = `--${flag} does nothing with --target: the cluster runs already, as it was started; leave it out.`;
    throw new BenchError("usage", text);
  }
  if (format === "markdown")
    throw new BenchError("usage", "--format markdown is not there for --target: it has table and json.");
  const given = { ...words, target: words.target!, json: format === "json" };
  return benchTarget(given, command, outputFor(format !== "table"));
}

/** One paragraph a scenario. */
function listText(): string {
  const paragraphs = SCENARIOS.map(({ name, question, explains, axes }) => {
    const values = Object.entries(axes.full).map(
      ([axis, list]) => `--${AXES[axis as AxisName].flag} ${list.join(",")}`,
    );
    return `${name}\n  ${question}\n${wrapped(explains)}\n  ${values.join(" ")}\n`;
  });
  return `${paragraphs.join("\n")}\nEvery axis can be given other values, and any other axis crossed with them: raftmark bench --help\n`;
}

const LIST_WIDTH = 100;

function wrapped(text: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines[lines.length - 1];
    if (line.length + word.length + 2 > LIST_WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.map((line) => `  ${line}`).join("\n");
}

function formatOf({ json, format }: Words): Format {
  if (format === undefined) return json === true ? "json" : "table";
  const named = oneOf("format", format, FORMATS);
  if (json !== true || named === "json") return named;
  throw new BenchError("usage", `--json and --format ${named} ask for two things: give one of them.`);
}

function oneOf<T extends string>(flag: string, word: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === word);
  if (found !== undefined) return found;
  const hint = didYouMean(word, allowed);
  throw new BenchError("usage", `--${flag}: "${word}" is not one of ${allowed.join(", ")}.${hint}`);
}

/** Words to a plan; refuses before anything is started. Exported for tests. */
export function planOf(scenarioName: string, words: Words, command: string): BenchPlan {
  const scenario = scenarioOf(scenarioName);
  const quick = words.quick === true;
  const given: Partial<Record<AxisName, readonly (string | number)[]>> = {};
  for (const name of AXIS_NAMES) {
    const text = words[name];
    if (text !== undefined) given[name] = parseAxis(name, text);
  }
  const planned: Load = quick ? scenario.load.smoke : scenario.load.full;
  const { duration, warmup } = words;
  const order = oneOf("order", words.order, ORDERS);
  const axes = resolveAxes(scenario, quick, given as Partial<AxisValues>);
  expand(axes);
  return {
    scenario,
    quick,
    axes,
    load: {
      warmupMs: warmup === undefined ? planned.warmupMs : parseDuration("warmup", warmup, 0, DURATION_MAX_MS),
      durationMs:
        duration === undefined
          ? planned.durationMs
          : parseDuration("duration", duration, DURATION_MIN_MS, DURATION_MAX_MS),
      ...roundsOf(words, planned),
    },
    order,
    seed: words.seed === undefined ? randomInt(2 ** 32) : wholeNumber("seed", words.seed, 0, 2 ** 32 - 1),
    basePort: words.basePort === undefined ? 0 : wholeNumber("base-port", words.basePort, 1024, 65_500),
    dir: words.dir ?? null,
    keep: words.keep === true,
    command,
  };
}

/** Rounds that were asked for are all run. */
function roundsOf({ rounds }: Words, planned: Load): Pick<Load, "rounds" | "withinMs"> {
  if (rounds === undefined) return { rounds: planned.rounds, withinMs: planned.withinMs ?? 0 };
  return { rounds: wholeNumber("rounds", rounds, 1, ROUNDS_MAX), withinMs: 0 };
}

function scenarioOf(name: string): Scenario {
  const found = SCENARIOS.find((scenario) => scenario.name === name);
  if (found !== undefined) return found;
  const names = SCENARIOS.map((scenario) => scenario.name);
  throw new BenchError(
    "usage",
    `there is no scenario "${name}": there is ${names.join(", ")}.${didYouMean(name, names)}`,
  );
}

function outputFor(aside: boolean): Output {
  const stream = aside ? process.stderr : process.stdout;
  const colours = stream.isTTY === true && pc.isColorSupported;
  const paint: Paint = colours ? pc.createColors(true) : PLAIN;
  const ci = process.env["CI"] !== undefined && process.env["CI"] !== "" && process.env["CI"] !== "false";
  return { stream, live: stream.isTTY === true && !ci, paint };
}

const INTERRUPTED = "Interrupted: the runs that were done are in the result, which is marked as such.";

/** How long a window is that an event ends. */
const LENGTHS: readonly [events: readonly string[], text: string][] = [
  [["restart"], "until the log had its size"],
  [["catch-up", "replace-member"], "until it was over"],
];

/** How it was loaded: "1.5 s each in 3 rounds after a warm-up of 0.5 to 1 s; latency from propose() to ...". */
function loadText({ runs, options }: Result): string {
  const seconds = (ms: number) => `${Math.round(ms / 100) / 10}`;
  const warmups = runs.map(({ warmup }) => warmup.ms);
  const [least, most] = [Math.min(...warmups), Math.max(...warmups)].map(seconds);
  const unstable = runs.filter(({ warmup }) => !warmup.stable).length;
  const length = LENGTHS.find(([events]) => runs.some(({ settings }) => events.includes(settings.event)));
  const rounds = options.rounds > 1 ? ` in ${options.rounds} rounds` : "";
  const from = runs.some(({ load }) => load.kind === "open") ? "when a proposal was due" : "propose()";
  const where = runs.some((run) => run.load.from === "client")
    ? "applied on the leader and answered"
    : "applied on the leader";
  return (
    `${length?.[1] ?? `${seconds(options.durationMs)} s each`}${rounds} after a warm-up of ` +
    `${least === most ? "" : `${least} to `}${most} s (the rate was stable then in ${runs.length - unstable} of ${runs.length}); latency from ${from} to ${where}`
  );
}

/** What the harness itself costs: its lag, and its load on an engine that does nothing. */
function harnessText(result: Result): string {
  const { runs, nullRun } = result;
  const weight = ownWeightText(result);
  const nothing =
    nullRun === null
      ? ""
      : `; the same load on an engine that does nothing: ${grouped(nullRun.proposalsPerS)}/s, p99 ${nullRun.p99Us} µs`;
  return `${worstLagText(runs)}${nothing}${weight === "" ? "" : `; ${weight}`}`;
}

function show(result: Result, plan: BenchPlan, path: string | null, { stream, paint }: Output): void {
  const say = (text: string) => stream.write(`${text}\n`);
  const { environment, diskProbe } = result;
  // The answer first: who reads no further has it.
  say("");
  for (const { label, text } of glanceOf(result)) say(`${paint.bold(`${label}:`.padEnd(10))}${text}`);
  say(`\n${renderTable(result, paint)}`);
  const measures = renderMeanings(result, paint);
  if (measures !== "") say(measures);
  say(paint.dim(`${constants(plan.axes)}; ${loadText(result)}`));
  say(paint.dim(harnessText(result)));
  const scatter = scatterText(result);
  if (scatter !== null) say(paint.dim(scatter));
  say(
    paint.dim(
      `${environment.cpu}, ${environment.cores} cores, ${environment.kernel}, Node ${nodeText(result)}; ` +
        `${diskNameText(environment)}: a durable 4 KiB write takes ` +
        `${diskProbe.p50Us} µs (p99 ${diskProbe.p99Us} µs)${diskProbe.direct ? ", the file system takes direct writes" : ""}; ${environment.link}`,
    ),
  );
  say(`\n${result.verdict}`);
  const waterfall = waterfallText(result, ({ settings }) => describe(settings, varyingAxes(plan.axes)));
  if (waterfall !== null) say(waterfall);
  for (const run of result.runs) {
    const round = result.options.rounds > 1 ? `, round ${run.round + 1}` : "";
    for (const reason of run.void) say(paint.red(`void, row ${run.position + 1}${round}: ${reason}`));
  }
  const checked = result.runs.reduce((sum, run) => sum + (run.truth?.ackedChecked ?? 0), 0);
  const voids = result.runs.filter((run) => run.void.length > 0).length;
  if (voids === 0)
    say(
      `Checked on disk: ${grouped(checked)} acknowledged proposals, all on a quorum; all logs and states agree.`,
    );
  else {
    const what =
      voids === 1 ? "1 run is void: its figures prove" : `${voids} runs are void: their figures prove`;
    const text = `Of ${result.runs.length}, ${what} nothing, and are left out. Run again with --keep to keep the logs.`;
    say(paint.red(text));
  }
  if (result.interrupted) say(paint.red(INTERRUPTED));
  if (plan.keep) say(`Data kept in ${result.options.dir}`);
  if (path !== null) say(`Result: ${path}`);
}
