// A whole bench: rounds of sittings, and the result made of the runs in them. Owns the run directory.
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
import type { Phase, UncheckedRun } from "./run-variant.js";
import { findRuntimes, type Runtime } from "./runtimes.js";
import { expand, type Load, runOrder, type Scenario, type Variant } from "./scenario.js";
import {
  estimateSittingMs,
  isLone,
  nodesOf,
  removeData,
  type Seating,
  Sitting,
  seatingsOf,
} from "./sitting.js";
import { withSoundFigures } from "./sound-figures.js";
import { Unopened } from "./unopened.js";
import { STAGES } from "./waterfall.js";
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

/** A run whose logs are not checked yet. */
export type WindowedRun = Omit<Run, "truth" | "stateHash">;

/** What a run tells while it goes on. Calls come in order; all are cheap. */
export interface Observer {
  begun(facts: { plan: BenchPlan; variants: readonly Variant[]; estimateMs: number; runDir: RunDir }): void;
  /** Variants that are up at once, or loaded in turn; `sequence` counts runs over all rounds, up to the first of them. */
  loading(sequence: number, variants: readonly Variant[], round: number, remainingMs: number): void;
  /** `plannedMs`: how long it is to take, where that is known. */
  phase(phase: Phase, plannedMs?: number): void;
  progress(acked: number): void;
  /** Its logs are checked when its clusters are stopped. */
  done(run: WindowedRun): void;
  /** The run that is done was disturbed, and is made again. */
  repeating(why: readonly string[]): void;
  /** Their nodes did not start, again: they are not in the rounds that follow, of which there are so many. */
  leftOut(variants: readonly Variant[], rounds: number): void;
  /** Fewer rounds than announced: no time is left for another. */
  gaveUp(roundsDone: number, roundsPlanned: number): void;
  /** A fault ends it, with the runs that are done: of a node or of the machine, or else of ours. */
  broken(fault: unknown): void;
  /** It was aborted: what is done is checked yet, for so long at most. */
  ending(msMax: number): void;
  /** The load on an engine that does nothing failed, so that the harness's own cost is not known. */
  unweighed(fault: unknown): void;
}

/** At most so many of the runs planned are made again: a machine that is always disturbed must not take twice the time. */
const REPEATED_SHARE_MAX = 1 / 3;
/** Segments are filled ahead; the rest is what a fast disk takes in a window. */
const SPACE_PER_NODE_BYTES = 192 * 1024 * 1024;

/**
 * Runs `plan`. Void runs are in the result and marked. An abort, or a fault of a cluster, ends it with the runs that are
 * done, marked as interrupted; it throws if there are none. Everything is cleaned up either way.
 */
export async function runBench(plan: BenchPlan, observer: Observer, signal: AbortSignal): Promise<Result> {
  const startedAt = new Date();
  const begun = performance.now();
  const variants = expand(plan.axes);
  const runtimeOf = await findRuntimes(variants.map(({ settings }) => settings));
  return withRunDir(plan.dir, plan.keep, async (runDir) => {
    if (plan.keep)
      writeFileSync(join(runDir.path, KEEP_MARK), "kept by raftmark bench --keep; remove it when done\n");
    const seatings = seatingsOf(variants);
    checkSpace(runDir, seatings);
    const machine = await readEnvironment(runDir.fileSystem);
    const allMs = plan.load.rounds * estimateRoundMs(seatings, plan.load);
    const estimateMs = Math.min(allMs, plan.load.withinMs || allMs);
    observer.begun({ plan, variants, estimateMs, runDir });
    const diskProbe = await probeDisk(runDir.path);
    const { runs, repeated, interrupted } = await new Rounds({
      plan,
      seatings,
      runtimeOf,
      runDir,
      disk: await DiskWatch.start(runDir.path),
      observer,
      signal,
    }).run();
    const most = heaviest(variants);
    const nothing = await nullRun(most, runtimeOf(most), runDir.path, plan.quick, signal).catch(
      (error: unknown) => {
        // The runs are done; this only stands beside them.
        if (!signal.aborted) observer.unweighed(error);
        return null;
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
      environment: {
        ...machine,
        link: [...new Set(runs.flatMap(({ link }) => link || []))].join("; "),
      },
      diskProbe,
      nullRun: nothing,
      interrupted,
      disturbance: { repeated, leftOut: runs.filter(({ disturbed }) => disturbed.length > 0).length },
      stages: { ...STAGES },
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

function estimateRoundMs(seatings: readonly Seating[], load: Load): number {
  return seatings.reduce((sum, seating) => sum + estimateSittingMs(seating, load), 0);
}

interface AllRuns {
  readonly runs: Run[];
  /** Disturbed runs that were made again. */
  readonly repeated: number;
  readonly interrupted: boolean;
}

interface RoundsParts {
  readonly plan: BenchPlan;
  readonly seatings: readonly Seating[];
  readonly runtimeOf: (settings: Settings) => Runtime;
  readonly runDir: RunDir;
  readonly disk: DiskWatch;
  readonly observer: Observer;
  readonly signal: AbortSignal;
}

/** The rounds of a bench, sitting by sitting and window by window. */
class Rounds {
  private readonly parts: RoundsParts;
  private readonly begun = performance.now();
  private windowsPlanned: number;
  private readonly unopened = new Unopened();
  private readonly runs: Run[] = [];
  /** Windows, counted or not. */
  private windows = 0;
  /** Of them, those that are made again, while that is under way too: a run keeps its number. */
  private repeated = 0;
  private loads = 0;
  /** What was under way is lost, be it a repetition. */
  private cutShort = false;

  constructor(parts: RoundsParts) {
    this.parts = parts;
    this.windowsPlanned = parts.plan.load.rounds * parts.seatings.flat(2).length;
  }

  async run(): Promise<AllRuns> {
    const { plan, seatings, observer, signal } = this.parts;
    const { load, order, seed } = plan;
    for (let round = 0; round < load.rounds; round++) {
      if (round > 0 && this.isTooLate(round)) {
        observer.gaveUp(round, load.rounds);
        break;
      }
      for (const whole of runOrder(seatings, order, seed + round)) {
        const seating = this.unopened.rest(whole);
        if (seating.length === 0) continue;
        try {
          this.runs.push(...(await this.sitUndisturbed(seating, round)));
        } catch (fault) {
          if (signal.aborted || this.runs.length === 0) throw fault;
          observer.broken(fault);
          return { runs: this.runs, repeated: this.repeated, interrupted: true };
        }
        if (!signal.aborted) continue;
        if (this.runs.length === 0) signal.throwIfAborted();
        const interrupted = this.cutShort || this.runs.length < this.windowsPlanned;
        return { runs: this.runs, repeated: this.repeated, interrupted };
      }
    }
    return { runs: this.runs, repeated: this.repeated, interrupted: false };
  }

  /** A lone window that was disturbed is made again in fresh processes: its event may be over in these. */
  private async sitUndisturbed(seating: Seating, round: number): Promise<Run[]> {
    const runs = await this.sit(seating, round, false);
    if (!isLone(seating) || runs.length === 0 || !this.mayRepeat(runs[0])) return runs;
    this.parts.observer.repeating(runs[0].disturbed);
    this.repeated++; // Before it is made again, since that has the place in the count that these had.
    let again: Run[] = [];
    try {
      again = await this.sit(seating, round, true);
    } catch (fault) {
      this.repeated--;
      this.runs.push(...runs);
      throw fault;
    }
    if (again.length === 0) {
      this.repeated--;
      return runs;
    }
    await removeData(this.parts.runDir.path, seating, round, false);
    return again;
  }

  /** One sitting's runs; after an abort those that were done and could still be checked. */
  private async sit(seating: Seating, round: number, again: boolean): Promise<Run[]> {
    const { plan, runtimeOf, runDir, observer, signal } = this.parts;
    const { load, order, basePort, seed, keep } = plan;
    this.tell(seating.flat(), round);
    let sitting: Sitting | null = null;
    try {
      sitting = await Sitting.start({
        seating,
        runtimeOf,
        round,
        again,
        load,
        order,
        basePort,
        seed,
        runDir: runDir.path,
        keep,
        signal,
        nextLoad: () => this.loads++,
        onPhase: (phase, plannedMs) => observer.phase(phase, plannedMs),
        onProgress: (acked) => observer.progress(acked),
        onEnding: (msMax) => observer.ending(msMax),
      });
      await sitting.warmUp();
      const done = await this.runsOf(sitting, round);
      this.leaveOut(this.unopened.sat(seating.flat(), sitting.unopened), load.rounds - round - 1);
      if (done.length === 0) return [];
      const checked = await sitting.finish();
      return done.map((run) => withSoundFigures({ ...run, ...checked(run) }));
    } catch (error) {
      if (!signal.aborted) throw error;
      this.cutShort = true;
      return [];
    } finally {
      await sitting?.destroy();
    }
  }

  private leaveOut(variants: readonly Variant[], rounds: number): void {
    if (variants.length === 0 || rounds === 0) return;
    this.windowsPlanned -= variants.length * rounds;
    this.parts.observer.leftOut(variants, rounds);
  }

  private async runsOf(sitting: Sitting, round: number): Promise<WindowedRun[]> {
    const done: WindowedRun[] = [];
    for (const variants of sitting.groups()) {
      let runs = await this.group(sitting, variants, round);
      const disturbed = runs.find((run) => this.mayRepeat(run));
      if (disturbed !== undefined && !sitting.isLone) {
        this.parts.observer.repeating(disturbed.disturbed);
        this.repeated += runs.length;
        const again = await this.group(sitting, variants, round);
        if (again.length > 0) runs = again;
        else this.repeated -= runs.length;
      }
      // What is done counts, disturbed or not; only what is under way is lost.
      done.push(...runs);
      if (this.parts.signal.aborted) break;
    }
    return done;
  }

  /** Variants of one load, in turn; none: it was aborted. */
  private async group(sitting: Sitting, variants: readonly Variant[], round: number): Promise<WindowedRun[]> {
    const { runDir, disk, observer, signal } = this.parts;
    this.tell(variants, round);
    const unchecked = await sitting.group(variants, this.windows).catch((error: unknown) => {
      if (!signal.aborted) throw error;
      this.cutShort = true;
      return [];
    });
    if (unchecked.length === 0) return [];
    this.windows += unchecked.length;
    const { diskProbeUs, why } = await disk.afterRun();
    const runs = unchecked.map((run) => {
      const disturbed = [
        ...cpuTaken(run.otherCpuShare, run.stolenCpuShare),
        ...(writesToDisk(run, runDir) ? why : []),
      ];
      return { ...run, diskProbeUs, disturbed };
    });
    for (const run of runs) observer.done(run);
    return runs;
  }

  private mayRepeat({ disturbed }: WindowedRun): boolean {
    if (disturbed.length === 0 || this.parts.signal.aborted) return false;
    return this.repeated < this.windowsPlanned * REPEATED_SHARE_MAX && !this.isTooLate(this.windows);
  }

  private tell(variants: readonly Variant[], round: number): void {
    const counted = this.windows - this.repeated;
    const { seatings, plan, observer } = this.parts;
    const allMs = plan.load.rounds * estimateRoundMs(seatings, plan.load);
    const eachMs = this.windows === 0 ? allMs / this.windowsPlanned : this.spentMs() / this.windows;
    observer.loading(counted, variants, round, eachMs * (this.windowsPlanned - counted));
  }

  private spentMs(): number {
    return performance.now() - this.begun;
  }

  /** Whether one more after `done` of them (rounds, or windows) would end beyond the time that the scenario gives itself. */
  private isTooLate(done: number): boolean {
    const { withinMs = 0 } = this.parts.plan.load;
    return withinMs > 0 && this.spentMs() * (1 + 1 / done) > withinMs;
  }
}

function writesToDisk({ settings }: UncheckedRun, { fileSystem }: RunDir): boolean {
  return settings.durability !== "none" && !fileSystem.volatile;
}

function checkSpace(runDir: RunDir, seatings: readonly Seating[]): void {
  const { freeBytes, mount, type } = runDir.fileSystem;
  const nodes = Math.max(...seatings.map(nodesOf));
  const needed = nodes * SPACE_PER_NODE_BYTES;
  if (freeBytes >= needed) return;
  const mib = (bytes: number) => `${Math.floor(bytes / 1024 / 1024)} MiB`;
  const text =
    `the disk is too full: ${mib(freeBytes)} are free on ${mount} (${type}), and ${nodes} node(s) ` +
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
