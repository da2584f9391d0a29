// A whole bench: every variant of a scenario in turn, and the result made of their runs. Owns the run directory.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Result, type Run, SCHEMA_VERSION } from "../report/result-schema.js";
import { verdict } from "../report/verdict.js";
import type { AxisValues, Settings } from "./axes.js";
import { BenchError } from "./bench-error.js";
import { cpuTaken, DiskWatch } from "./disturbance.js";
import { probeDisk, readEnvironment } from "./environment.js";
import { nullRun } from "./null-run.js";
import { KEEP_MARK, type RunDir } from "./run-dir.js";
import { type Phase, removeData, runVariant, type VariantPlan } from "./run-variant.js";
import { findRuntimes, type Runtime } from "./runtimes.js";
import { expand, type Load, roundOrder, type Scenario, type Variant } from "./scenario.js";
import { withRunDir } from "./with-run-dir.js";

/** What the command line, the scenario and the defaults come to. */
export interface BenchPlan {
  readonly scenario: Scenario;
  readonly quick: boolean;
  readonly axes: AxisValues;
  readonly load: Load;
  readonly order: "table" | "random";
  readonly seed: number;
  readonly basePort: number;
  /** Null: picked. */
  readonly dir: string | null;
  readonly keep: boolean;
  readonly command: string;
}

/** What a run tells while it goes on. Calls come in order; all are cheap. */
export interface Observer {
  begun(facts: { plan: BenchPlan; variants: readonly Variant[]; estimateMs: number; runDir: RunDir }): void;
  /** `sequence` counts runs over all rounds. */
  variant(sequence: number, variant: Variant, round: number, remainingMs: number): void;
  phase(phase: Phase): void;
  progress(acked: number): void;
  done(run: Run): void;
  /** The run that is done was disturbed, and is made again. */
  repeating(why: readonly string[]): void;
  /** Fewer rounds than announced: no time is left for another. */
  gaveUp(roundsDone: number, roundsPlanned: number): void;
}

/** Starting, electing, catching up and stopping; and checking the logs, as a share of the time they were written. */
const FIXED_MS = 1800;
const CHECK_SHARE = 0.4;
/** Segments are filled ahead; the rest is what a fast disk takes in a window. */
/** At most so many of the runs planned are made again: a machine that is always disturbed must not take twice the time. */
const REPEATED_SHARE_MAX = 1 / 3;
const SPACE_PER_NODE_BYTES = 192 * 1024 * 1024;

export function estimateVariantMs(load: Load): number {
  return FIXED_MS + (load.warmupMs + load.durationMs) * (1 + CHECK_SHARE);
}

/**
 * Runs `plan`. Void runs are in the result and marked. An abort ends it with the runs that are done, marked as
 * interrupted; it throws if there are none, and so does a fault. Everything is cleaned up either way.
 */
export async function runBench(plan: BenchPlan, observer: Observer, signal: AbortSignal): Promise<Result> {
  const startedAt = new Date();
  const begun = performance.now();
  const variants = expand(plan.axes);
  const runtimeOf = await findRuntimes(variants.map(({ settings }) => settings));
  return withRunDir(plan.dir, plan.keep, async (runDir) => {
    if (plan.keep)
      writeFileSync(join(runDir.path, KEEP_MARK), "kept by raftmark bench --keep; remove it when done\n");
    checkSpace(runDir, plan.axes);
    const environment = await readEnvironment(runDir.fileSystem);
    const runCount = variants.length * plan.load.rounds;
    const allMs = estimateVariantMs(plan.load) * runCount;
    const estimateMs = Math.min(allMs, plan.load.withinMs || allMs);
    observer.begun({ plan, variants, estimateMs, runDir });
    const diskProbe = await probeDisk(runDir.path);
    const { runs, repeated, interrupted } = await runAll(plan, variants, runtimeOf, runDir, observer, signal);
    const most = heaviest(variants);
    const nothing = await nullRun(most, runtimeOf(most), runDir.path, plan.quick, signal).catch(
      (error: unknown) => {
        if (signal.aborted) return null; // The runs are done; this only stands beside them.
        throw error;
      },
    );
    const body = {
      schemaVersion: SCHEMA_VERSION,
      tool: "raftmark bench" as const,
      command: plan.command,
      startedAt: startedAt.toISOString(),
      elapsedMs: Math.round(performance.now() - begun),
      scenario: pick(plan.scenario),
      options: optionsOf(plan, runDir, runs),
      environment: { ...environment, link: [...new Set(runs.map(({ link }) => link))].join("; ") },
      diskProbe,
      nullRun: nothing,
      interrupted,
      disturbance: { repeated, leftOut: runs.filter(({ disturbed }) => disturbed.length > 0).length },
      runs: runs.sort((a, b) => a.position - b.position || a.round - b.round),
    } satisfies Omit<Result, "verdict">;
    return { ...body, verdict: verdict(body) };
  });
}

/** The variant whose load asks most of the generator. */
function heaviest(variants: readonly Variant[]): Settings {
  const most = (a: Settings, b: Settings) => (a.rate - b.rate || a.inFlight - b.inFlight) >= 0;
  return variants.map(({ settings }) => settings).reduce((best, next) => (most(best, next) ? best : next));
}

interface AllRuns {
  readonly runs: Run[];
  /** Disturbed runs that were made again. */
  readonly repeated: number;
  readonly interrupted: boolean;
}

async function runAll(
  plan: BenchPlan,
  variants: readonly Variant[],
  runtimeOf: (settings: Settings) => Runtime,
  runDir: RunDir,
  observer: Observer,
  signal: AbortSignal,
): Promise<AllRuns> {
  const { load } = plan;
  const runs: Run[] = [];
  const planned = Array.from({ length: load.rounds }, (_, round) =>
    roundOrder(variants, plan.order, plan.seed, round).map((variant) => ({ variant, round })),
  ).flat();
  const disk = await DiskWatch.start(runDir.path);
  let repeated = 0;
  let spentMs = 0;
  const runOnce = async (i: number, again: boolean): Promise<Run | null> => {
    const sequence = runs.length + repeated + (again ? 1 : 0);
    const eachMs = sequence === 0 ? estimateVariantMs(load) : spentMs / sequence;
    observer.variant(i, planned[i].variant, planned[i].round, eachMs * (planned.length - i));
    const from = performance.now();
    const runtime = runtimeOf(planned[i].variant.settings);
    const run = await runNext({ plan, ...planned[i], runtime, sequence, again, runDir, observer, signal });
    if (run === null) return null;
    const { diskProbeUs, why } = await disk.afterRun();
    const disturbed = [...cpuTaken(run.otherCpuShare), ...(writesToDisk(run, runDir) ? why : [])];
    spentMs += performance.now() - from;
    observer.done({ ...run, diskProbeUs, disturbed });
    return { ...run, diskProbeUs, disturbed };
  };
  for (const [i, { round }] of planned.entries()) {
    if (i > 0 && i % variants.length === 0 && isTooLate(load, spentMs, round)) {
      observer.gaveUp(round, load.rounds);
      break;
    }
    let run = await runOnce(i, false);
    let interrupted = run === null;
    const mayRepeat =
      repeated < planned.length * REPEATED_SHARE_MAX && !isTooLate(load, spentMs, runs.length + repeated + 1);
    if (run !== null && run.disturbed.length > 0 && mayRepeat && !signal.aborted) {
      observer.repeating(run.disturbed);
      const again = await runOnce(i, true);
      interrupted = again === null;
      if (again !== null) {
        await removeData({ ...planned[i], runDir: runDir.path, again: false });
        repeated++;
        run = again;
      }
    }
    // What is done counts, disturbed or not; only the run under way is lost.
    if (run === null && runs.length === 0) signal.throwIfAborted();
    if (run !== null) runs.push(run);
    if (signal.aborted) return { runs, repeated, interrupted: interrupted || i + 1 < planned.length };
  }
  return { runs, repeated, interrupted: false };
}

interface NextRun
  extends Pick<VariantPlan, "variant" | "runtime" | "round" | "sequence" | "again" | "signal"> {
  readonly plan: BenchPlan;
  readonly runDir: RunDir;
  readonly observer: Observer;
}

/** One run of a variant; null: it was aborted. */
async function runNext({ plan, runDir, observer, ...next }: NextRun): Promise<Run | null> {
  const running = runVariant({
    ...next,
    load: plan.load,
    basePort: plan.basePort,
    seed: plan.seed,
    runDir: runDir.path,
    keep: plan.keep,
    onPhase: (phase) => observer.phase(phase),
    onProgress: (acked) => observer.progress(acked),
  });
  return running.catch((error: unknown) => {
    if (next.signal.aborted) return null;
    throw error;
  });
}

function writesToDisk({ settings }: Run, { fileSystem }: RunDir): boolean {
  return settings.durability !== "none" && !fileSystem.volatile;
}

/** Whether one more after `done` of them (rounds, or runs) would end beyond the time that the scenario gives itself. */
function isTooLate({ withinMs = 0 }: Load, spentMs: number, done: number): boolean {
  return withinMs > 0 && spentMs + spentMs / done > withinMs;
}

function checkSpace(runDir: RunDir, axes: AxisValues): void {
  const { freeBytes, mount, type } = runDir.fileSystem;
  const needed = Math.max(...axes.nodes) * SPACE_PER_NODE_BYTES;
  if (freeBytes >= needed) return;
  const mib = (bytes: number) => `${Math.floor(bytes / 1024 / 1024)} MiB`;
  const text =
    `the disk is too full: ${mib(freeBytes)} are free on ${mount} (${type}), and ${Math.max(...axes.nodes)} node(s) ` +
    `need about ${mib(needed)}: free space, or choose another place with --dir.`;
  throw new BenchError("environment", text);
}

function pick({ name, question, compares }: Scenario): Result["scenario"] {
  return { name, question, compares };
}

function optionsOf(plan: BenchPlan, runDir: RunDir, runs: readonly Run[]): Result["options"] {
  const { quick, load, order, seed, basePort, keep } = plan;
  const axes = Object.fromEntries(Object.entries(plan.axes).map(([name, values]) => [name, [...values]]));
  const { warmupMs, durationMs } = load;
  const rounds = Math.max(...runs.map(({ round }) => round)) + 1;
  return { quick, axes, warmupMs, durationMs, rounds, order, seed, basePort, dir: runDir.path, keep };
}
