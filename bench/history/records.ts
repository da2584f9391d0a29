// The history file: one JSON line an accepted run, each run once, in the order in which they were added. Reads, checks
// and appends; what a line comes from is a bench result or a gate.
import { existsSync } from "node:fs";
import { appendFile, open } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { configurationName } from "../compare/configurations.js";
import { IN_FLIGHT } from "../gate/run-gate.js";
import type { GateFacts } from "../gate/summary.js";
import { DEFAULT_SETTINGS } from "../harness/axes.js";
import { BenchError, codeOf, messageOf } from "../harness/bench-error.js";
import { makeDirs } from "../harness/make-dirs.js";
import { readText } from "../report/read-text.js";
import type { Result } from "../report/result-schema.js";
import { cpuUsPerCommit, rowsOf, soundRuns, validRuns } from "../stats/rows.js";

export const DEFAULT_HISTORY = join("results", "history.ndjson");
const HISTORY_VERSION = 1;
const NEWLINE = 0x0a;

const Figure = z.object({
  configuration: z.string().describe("every setting in words: lines of one configuration make one curve"),
  proposalsPerS: z.number().positive(),
  p50Ms: z.number().nullable(),
  p99Ms: z.number().nullable(),
  cpuMsPerThousand: z.number().nullable().describe("CPU of all nodes for a thousand commits"),
});

export const HistoryRecord = z.object({
  historyVersion: z.literal(HISTORY_VERSION),
  source: z.enum(["bench", "gate"]),
  at: z
    .string()
    .refine((at) => Number.isFinite(Date.parse(at)), "it is no date")
    .describe("when the run began, ISO 8601"),
  commit: z.string().nullable(),
  dirty: z.boolean().nullable(),
  machine: z
    .string()
    .describe("with its Node.js and file system: figures of different ones are different curves"),
  command: z.string(),
  figures: z.array(Figure).min(1),
});
export type HistoryRecord = z.output<typeof HistoryRecord>;

/** A line for an accepted result. Throws BenchError (usage) if it is not: void, interrupted, empty. */
export function recordOfResult(result: Result, name: string): HistoryRecord {
  const refuse = (why: string) =>
    new BenchError("usage", `${name} is not added: ${why}. The history holds accepted runs alone.`);
  const bad = result.runs.find((run) => run.void.length > 0);
  if (bad !== undefined) throw refuse(`row ${bad.position + 1} is void (${bad.void[0]})`);
  if (result.interrupted) throw refuse("its run was interrupted");
  if (result.runs.length === 0) throw refuse("it holds no run");
  const still = rowsOf(result).find(({ proposalsPerS }) => proposalsPerS?.estimate === 0);
  if (still !== undefined) throw refuse(`row ${still.position + 1} committed nothing (0 proposals/s)`);
  const disturbed = rowsOf(result).find(({ runs }) => soundRuns(runs).length === 0);
  if (disturbed !== undefined) throw refuse(`every run of row ${disturbed.position + 1} was disturbed`);
  const { environment } = result;
  const figures = rowsOf(result).map(({ settings, runs, proposalsPerS, latencyMs }) => {
    const valid = validRuns(runs);
    return {
      // Its short windows have a level of their own.
      configuration: `${result.options.quick ? "quick: " : ""}${configurationName(settings)}`,
      proposalsPerS: proposalsPerS!.estimate,
      p50Ms: latencyMs!.p50,
      p99Ms: latencyMs!.p99,
      cpuMsPerThousand: cpuUsPerCommit(valid),
    };
  });
  const { commit, dirty } = environment;
  const { command, startedAt: at } = result;
  const machine = machineOf(environment);
  return { historyVersion: HISTORY_VERSION, source: "bench", at, commit, dirty, machine, command, figures };
}

/** Head's figures of a gate that is open. */
export function recordOfGate({ judgement, head, environment, command }: GateFacts, at: Date): HistoryRecord {
  const figures = IN_FLIGHT.map((inFlight) => {
    const found = judgement.findings.filter((finding) => finding.inFlight === inFlight);
    const of = (measure: string) => found.find((finding) => finding.measure === measure)?.head ?? 0;
    return {
      configuration: `gate: ${configurationName({ ...DEFAULT_SETTINGS, inFlight })}`,
      proposalsPerS: of("throughput"),
      p50Ms: null,
      p99Ms: null,
      cpuMsPerThousand: of("cpu"),
    };
  });
  return {
    historyVersion: HISTORY_VERSION,
    source: "gate",
    at: at.toISOString(),
    commit: head.commit,
    dirty: head.dirty,
    machine: machineOf(environment),
    command,
    figures,
  };
}

type Machine = Pick<Result["environment"], "cpu" | "cores" | "node"> & {
  readonly fileSystem: Pick<Result["environment"]["fileSystem"], "type">;
};

function machineOf({ cpu, cores, node, fileSystem }: Machine): string {
  return `${cpu}, ${cores} cores, Node ${node}, ${fileSystem.type}`;
}

/** Adds one line, and the file if there is none. False: the run is in it already. Throws BenchError. */
export async function appendRecord(path: string, record: HistoryRecord): Promise<boolean> {
  const parsed = HistoryRecord.safeParse(record);
  // What a raftmark measured is one; a file that was edited need not be.
  if (!parsed.success) throw new BenchError("usage", `the run is not added: ${faultOf(parsed.error)}.`);
  const key = runKey(record);
  if (existsSync(path) && (await readHistory(path)).some((other) => runKey(other) === key)) return false;
  const line = `${JSON.stringify(parsed.data)}\n`;
  try {
    await makeDirs(dirname(resolve(path)));
    await appendFile(path, (await endsWithinLine(path)) ? `\n${line}` : line);
    return true;
  } catch (cause) {
    const why = codeOf(cause) || messageOf(cause);
    throw new BenchError("environment", `cannot add to ${path} (${why}).`, cause);
  }
}

/** Editors and merges leave a last line without its end; what is added would run on in it. */
async function endsWithinLine(path: string): Promise<boolean> {
  if (!existsSync(path)) return false;
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const { bytesRead, buffer } = await file.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1));
    return bytesRead === 1 && buffer[0] !== NEWLINE;
  } finally {
    await file.close();
  }
}

/** Equal for two records of one run: no two begin in the same millisecond on one machine and measure the same. */
function runKey({ source, at, machine, command, figures }: HistoryRecord): string {
  return JSON.stringify([source, at, machine, command, figures]);
}

/** Every run once, in the order of the lines. Throws BenchError (usage) naming each bad line by its number. */
export async function readHistory(path: string): Promise<HistoryRecord[]> {
  const text = await readText(path).catch((cause) => {
    const why = codeOf(cause);
    const cure = "add an accepted run with raftmark history add RESULT";
    throw new BenchError("usage", `cannot read ${path} (${why}): ${cure}.`, cause);
  });
  const records: HistoryRecord[] = [];
  const faults: string[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const parsed = parseLine(line);
    if (typeof parsed === "string") faults.push(`line ${i + 1}: ${parsed}`);
    else records.push(parsed);
  }
  if (faults.length > 0) {
    const cure = "mend or remove what is named, every other line is good";
    throw new BenchError("usage", `${path} is damaged: ${faults.join("; ")}. Please ${cure}.`);
  }
  // A file put together from two, or by an older raftmark, may tell of a run twice.
  const runs = new Map(records.map((record) => [runKey(record), record]));
  return [...runs.values()];
}

/** A record, or why it is none. */
function parseLine(line: string): HistoryRecord | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return "not JSON";
  }
  const parsed = HistoryRecord.safeParse(value);
  return parsed.success ? parsed.data : faultOf(parsed.error);
}

function faultOf({ issues: [{ path, message }] }: z.ZodError): string {
  return `${z.core.toDotPath(path) || "the line"}: ${message}`;
}
