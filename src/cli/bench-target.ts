// `raftmark bench --target`: words of the command line to a plan for a cluster that runs already, the plan to a run, the run to
// a table and a file.
import { randomBytes } from "node:crypto";
import { BenchError } from "../../bench/harness/bench-error.js";
import type { Output } from "../../bench/report/progress.js";
import { checkWritable, defaultPath, writeTo } from "../../bench/report/write-result.js";
import { runTarget, type TargetPlan, type TargetRow, type TargetRun } from "../../bench/target/run-target.js";
import { parseTarget, type Target } from "../../bench/target/target-client.js";
import { VALUE_BYTES_MIN } from "../../bench/target/target-load.js";
import { targetText } from "../../bench/target/target-text.js";
import { untilInterrupted } from "./interrupt.js";
import { parseDuration } from "./words.js";

/** Options of `raftmark bench` that mean something here, as words. */
export interface TargetWords {
  readonly target: string;
  readonly clients?: string;
  readonly inFlight?: string;
  readonly entryBytes?: string;
  readonly readsPerWrite?: string;
  readonly quick?: true;
  readonly duration?: string;
  readonly warmup?: string;
  readonly out?: string;
  readonly json: boolean;
}

const CLIENTS_MAX = 64;
const IN_FLIGHT_MAX = 4096;
/** The service's own default limit. */
const VALUE_BYTES_MAX = 1 << 20;
const READS_MAX = 1000;
const DURATION_MIN_MS = 100;
const DURATION_MAX_MS = 60 * 60_000;

/** Words to a plan; refuses before anything is started. Exported for tests. */
export function targetPlanOf(words: TargetWords, command: string): TargetPlan {
  const { quick = false } = words;
  const inFlights = numbers("in-flight", words.inFlight ?? (quick ? "16" : "1,16,64"), 1, IN_FLIGHT_MAX);
  const sizes = numbers("entry-bytes", words.entryBytes ?? "256", VALUE_BYTES_MIN, VALUE_BYTES_MAX);
  const reads = numbers("reads-per-write", words.readsPerWrite ?? "0", 0, READS_MAX);
  const rows = sizes.flatMap((valueBytes) =>
    reads.flatMap((readsPerWrite) =>
      inFlights.map((inFlight): TargetRow => ({ inFlight, valueBytes, readsPerWrite })),
    ),
  );
  const time = (flag: string, word: string | undefined, planned: number, least: number): number =>
    word === undefined ? planned : parseDuration(flag, word, least, DURATION_MAX_MS);
  return {
    targets: targetsOf(words.target),
    rows,
    clients: numbers("clients", words.clients ?? "2", 1, CLIENTS_MAX)[0]!,
    warmupMs: time("warmup", words.warmup, quick ? 300 : 1000, 0),
    durationMs: time("duration", words.duration, quick ? 1000 : 5000, DURATION_MIN_MS),
    run: randomBytes(4).toString("hex"),
    command,
  };
}

function targetsOf(text: string): Target[] {
  return text.split(",").map((word) => {
    const target = parseTarget(word.trim());
    if (target !== null) return target;
    const what = "the address at which a node of `raftmark serve` answers clients, like 127.0.0.1:8081";
    throw new BenchError(
      "usage",
      `--target: "${word}" is not allowed: it takes ${what}; several with commas.`,
    );
  });
}

function numbers(flag: string, text: string, min: number, max: number): number[] {
  return text.split(",").map((word) => {
    const value = Number(word);
    if (/^\d+$/.test(word) && value >= min && value <= max) return value;
    const range = `whole numbers from ${min} to ${max}`;
    throw new BenchError("usage", `--${flag}: "${word}" is not allowed with --target: it takes ${range}.`);
  });
}

/** Runs the load and returns the exit code. Throws BenchError. */
export async function benchTarget(words: TargetWords, command: string, out: Output): Promise<number> {
  const plan = targetPlanOf(words, command);
  const startedAt = new Date().toISOString();
  const scenario = { name: "target" };
  await checkWritable(words.out ?? defaultPath({ startedAt, scenario }));
  const { stream, paint } = out;
  const say = (text: string): void => void stream.write(`${paint.dim(text)}\n`);
  const { result, cut } = await untilInterrupted((signal) => runTarget(plan, say, signal));
  stream.write(`\n${targetText(result, paint)}`);
  if (words.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  // What took minutes to measure is shown before it may turn out that it cannot be kept.
  const text = `${JSON.stringify(result, null, 2)}\n`;
  const path = await writeTo(words.out, text, defaultPath({ startedAt, scenario }));
  stream.write(`Result: ${path}\n`);
  // Whoever pressed Ctrl-C knows why it ended.
  if (cut?.kind === "failed") throw cut;
  if (cut !== null) return cut.exitCode;
  const isSound = ({ findings, unread, writes }: TargetRun) =>
    findings.length === 0 && unread.length === 0 && writes > 0;
  return result.runs.every(isSound) ? 0 : 1;
}
