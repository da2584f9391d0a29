// Where the gate writes besides stdout, for other tools. Each place is tried before anything is measured, and written by
// itself: one that cannot be written takes neither the others' text nor the judgement with it.
import { appendFile, open, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Judgement } from "../../bench/gate/judge.js";
import { benchmarkEntries, type GateFacts } from "../../bench/gate/summary.js";
import { BenchError, codeOf, EXIT_CODES, messageOf } from "../../bench/harness/bench-error.js";
import { makeDirs } from "../../bench/harness/make-dirs.js";
import { appendRecord, readHistory, recordOfGate } from "../../bench/history/records.js";
import { checkWritable, writeWhole } from "../../bench/report/write-result.js";

/** What the gate has to say. */
export interface Told {
  readonly markdown: string;
  /** Null: there are no figures, as nothing was measured, or not to its end. */
  readonly facts: GateFacts | null;
}

export interface Output {
  /** As the user asked for it: "--summary". */
  readonly option: string;
  readonly path: string;
  /** Whether it can be written; leaves what is there as it is. Rejects if not. */
  check(): Promise<void>;
  write(told: Told): Promise<unknown>;
}

export interface OutputWords {
  readonly summary?: string;
  readonly benchmarkDir?: string;
  readonly record?: true;
}

export function outputsOf(words: OutputWords, stepSummary: string | undefined, history: string): Output[] {
  const { summary, benchmarkDir, record } = words;
  const outputs: Output[] = [];
  if (summary !== undefined) outputs.push(whole("--summary", summary, ({ markdown }) => markdown));
  if (stepSummary !== undefined && stepSummary !== "")
    outputs.push(
      appended("GITHUB_STEP_SUMMARY", stepSummary, ({ markdown }) => appendFile(stepSummary, markdown)),
    );
  if (benchmarkDir !== undefined) {
    for (const [name, kind] of [
      ["throughput", "bigger"],
      ["cost", "smaller"],
    ] as const) {
      const path = join(benchmarkDir, `${name}.json`);
      const entries = ({ judgement }: GateFacts) => benchmarkEntries(judgement)[kind];
      const text = ({ facts }: Told) =>
        facts === null ? null : `${JSON.stringify(entries(facts), null, 2)}\n`;
      outputs.push(whole("--benchmark-dir", path, text));
    }
  }
  if (record === true) outputs.push(recorded(history));
  return outputs;
}

/** A file of its own. `textOf` null: nothing is written. */
function whole(option: string, path: string, textOf: (told: Told) => string | null): Output {
  const write = async (told: Told) => {
    const text = textOf(told);
    if (text !== null) await writeWhole(text, path);
  };
  return { option, path, check: () => checkWritable(path), write };
}

/** A file that others write to, too. */
function appended(option: string, path: string, write: Output["write"]): Output {
  const check = async () => {
    const found = await stat(path).catch(() => null);
    if (found !== null && !found.isFile() && !found.isDirectory()) return; // A device, or a pipe, which may have no reader yet.
    await makeDirs(dirname(resolve(path)));
    await (await open(path, "a")).close();
    if (found === null) await rm(path);
  };
  return { option, path, check, write };
}

/** Figures of a gate that is open. */
function recorded(path: string): Output {
  const write = async ({ facts }: Told) => {
    if (facts?.judgement.state === "open") await appendRecord(path, recordOfGate(facts, new Date()));
  };
  const { check, ...rest } = appended("--record", path, write);
  const both = async () => {
    await check();
    if ((await stat(path).catch(() => null)) !== null) await readHistory(path);
  };
  return { ...rest, check: both };
}

/** Throws BenchError (environment) for the first that cannot be written. */
export async function checkOutputs(outputs: readonly Output[]): Promise<void> {
  for (const output of outputs) {
    await output.check().catch((cause: unknown) => {
      throw new BenchError(
        "environment",
        `${cannotWrite(output, cause)}: choose another place, or leave it out.`,
        cause,
      );
    });
  }
}

/** Writes each of `outputs`; returns a sentence for each that could not be written. */
export async function writeOutputs(outputs: readonly Output[], told: Told): Promise<string[]> {
  const faults: string[] = [];
  for (const output of outputs) {
    await output.write(told).catch((cause: unknown) => faults.push(`${cannotWrite(output, cause)}.`));
  }
  return faults;
}

function cannotWrite({ option, path }: Output, error: unknown): string {
  const why =
    codeOf(error) ||
    codeOf((error as { cause?: unknown } | null)?.cause) ||
    messageOf(error).replace(/\.$/, "");
  return `cannot write what ${option} asks for to ${path} (${why})`;
}

export interface Ending extends Pick<Judgement, "state"> {
  /** What ended it before it was over. */
  readonly cut: BenchError | null;
}

/** Closed is closed, whatever ended it or could not be written; an open gate whose files are missing is not in order. */
export function exitCodeOf({ state, cut }: Ending, faults: readonly string[]): number {
  if (state === "closed") return EXIT_CODES.failed;
  if (cut !== null) return cut.exitCode;
  if (state === "unmeasured") return EXIT_CODES.unmeasured;
  return faults.length > 0 ? EXIT_CODES.environment : 0;
}
