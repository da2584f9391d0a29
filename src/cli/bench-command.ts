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
import { expand, type Load, resolveAxes, type Scenario } from "../../bench/harness/scenario.js";
import { didYouMean } from "../../bench/harness/suggest.js";
import { type Output, Progress } from "../../bench/report/progress.js";
import type { Result } from "../../bench/report/result-schema.js";
import { constants, type Paint, PLAIN, renderTable } from "../../bench/report/table.js";
import { waterfallText } from "../../bench/report/waterfall-text.js";
import { defaultPath, writeResult } from "../../bench/report/write-result.js";
import { SCENARIOS } from "../../bench/scenarios/all.js";
import { parseDuration } from "./durations.js";
import { untilInterrupted } from "./interrupt.js";

/** Options as commander hands them over: every one a word, or absent. */
type Words = Readonly<Partial<Record<AxisName, string>>> & {
  readonly quick?: true;
  readonly duration?: string;
  readonly warmup?: string;
  readonly dir?: string;
  readonly keep?: true;
  readonly out?: string;
  readonly json?: true;
  readonly order: string;
  readonly seed?: string;
  readonly basePort?: string;
};

const DURATION_MIN_MS = 100;
const DURATION_MAX_MS = 60 * 60_000;

export function benchCommand(): Command {
  const command = new Command("bench")
    .summary("run a real cluster on this machine and compare configurations")
    .description(
      "Starts a Raft cluster (one process per node, loopback, real files), loads it with proposals and compares " +
        "configurations side by side. Axes take several values and are crossed. A run counts only if reopening the " +
        "logs proves that every acknowledged proposal is durable on a quorum; otherwise it is void.",
    )
    .argument("[scenario]", `what to ask: ${SCENARIOS.map(({ name }) => name).join(", ")}`, "canonical")
    .option("--quick", "a rough answer in less than 30 s");
  for (const name of AXIS_NAMES) {
    const { flag, help } = AXES[name];
    command.option(`--${flag} <values>`, `${help} (${allowedText(name)})`);
  }
  return command
    .option("--duration <time>", "how long each configuration is measured, like 5s or 500ms")
    .option("--warmup <time>", "how long it is loaded before that")
    .option("--order <order>", "run configurations as in the table, or at random: table, random", "table")
    .option(
      "--seed <number>",
      "seeds election timeouts and the random order (default: drawn, and in the result)",
    )
    .option("--base-port <port>", "nodes listen on this port and the next ones (default: free ports)")
    .option(
      "--dir <path>",
      "where the nodes keep their data (default: ./.raftmark, or the temporary directory)",
    )
    .option("--keep", "keep the data and name its place")
    .option("--out <file>", "where the result goes (default: results/local/<time>-<scenario>.json)")
    .option("--json", "print the result as JSON on stdout; progress goes to stderr")
    .addHelpText("after", EXAMPLES)
    .action(async (scenario: string, words: Words, self: Command) => {
      process.exitCode = await bench(scenario, words, commandLine(self));
    });
}

const EXAMPLES = `
Examples:
  raftmark bench                                   the writers at three loads, in about two minutes
  raftmark bench --quick                           the same question, roughly
  raftmark bench --writer pool-wasm --in-flight 1024 --entry-bytes 256,4096
                                                   one writer, two entry sizes
  raftmark bench --durability fsync,none           what durability costs
  raftmark bench --nodes 1,3,5 --duration 2s       what replication costs
  raftmark bench --quick --json | jq .runs[].proposalsPerS

Exit codes: 0 all runs count; 1 a run is void or failed; 2 bad usage or environment; 130 Ctrl-C.`;

function commandLine(command: Command): string {
  const args =
    command.parent === null ? [] : (command.parent as Command & { rawArgs: string[] }).rawArgs.slice(2);
  return ["raftmark", ...args].join(" ");
}

/** Runs the bench and returns the exit code. Throws BenchError. */
async function bench(scenarioName: string, words: Words, command: string): Promise<number> {
  const plan = planOf(scenarioName, words, command);
  const out = outputFor(words.json === true);
  const progress = new Progress(out);
  const result = await untilInterrupted(async (signal) => {
    try {
      return await runBench(plan, progress, signal);
    } finally {
      progress.end();
    }
  });
  const path = await writeResult(result, words.out ?? defaultPath(result));
  show(result, plan, path, out);
  if (words.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
  return result.runs.every((run) => run.void.length === 0) ? 0 : 1;
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
  const { duration, warmup, order } = words;
  if (order !== "table" && order !== "random") {
    throw new BenchError(
      "usage",
      `--order: "${order}" is not one of table, random.${didYouMean(order, ["table", "random"])}`,
    );
  }
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
    },
    order,
    seed: words.seed === undefined ? randomInt(2 ** 32) : wholeNumber("seed", words.seed, 0, 2 ** 32 - 1),
    basePort: words.basePort === undefined ? 0 : wholeNumber("base-port", words.basePort, 1024, 65_500),
    dir: words.dir ?? null,
    keep: words.keep === true,
    command,
  };
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

function wholeNumber(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new BenchError(
    "usage",
    `--${flag}: "${text}" is not allowed: it takes a whole number from ${min} to ${max}.`,
  );
}

function outputFor(json: boolean): Output {
  const stream = json ? process.stderr : process.stdout;
  const colours = stream.isTTY === true && pc.isColorSupported;
  const paint: Paint = colours ? pc.createColors(true) : PLAIN;
  const ci = process.env["CI"] !== undefined && process.env["CI"] !== "" && process.env["CI"] !== "false";
  return { stream, live: stream.isTTY === true && !ci, paint };
}

function show(result: Result, plan: BenchPlan, path: string, { stream, paint }: Output): void {
  const say = (text: string) => stream.write(`${text}\n`);
  const { environment, diskProbe } = result;
  say(`\n${renderTable(result, paint)}`);
  say(
    paint.dim(
      `${constants(plan.axes)}; ${plan.load.durationMs / 1000} s each after ${plan.load.warmupMs / 1000} s of warm-up; ` +
        `latency from propose() to applied on the leader`,
    ),
  );
  say(
    paint.dim(
      `${environment.cpu}, ${environment.cores} cores, ${environment.kernel}, Node ${environment.node}; ` +
        `${environment.fileSystem.type} on ${environment.fileSystem.device}: a durable 4 KiB write takes ` +
        `${diskProbe.p50Us} µs (p99 ${diskProbe.p99Us} µs); ${environment.link}`,
    ),
  );
  say(`\n${paint.bold(result.verdict)}`);
  const waterfall = waterfallText(result.runs);
  if (waterfall !== null) say(waterfall);
  for (const run of result.runs) {
    for (const reason of run.void) say(paint.red(`void, row ${run.position + 1}: ${reason}`));
  }
  const checked = result.runs.reduce((sum, run) => sum + (run.truth?.ackedChecked ?? 0), 0);
  const sound = result.runs.every((run) => run.void.length === 0);
  if (sound)
    say(
      `Checked on disk: ${checked.toLocaleString("en-US")} acknowledged proposals, all on a quorum; all logs and states agree.`,
    );
  else say(paint.red("The run is void: its figures prove nothing. Run again with --keep to keep the logs."));
  if (plan.keep) say(`Data kept in ${result.options.dir}`);
  say(`Result: ${path}`);
}
