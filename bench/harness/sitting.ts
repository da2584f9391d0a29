// A sitting: some clusters up at once, warmed up in turn and loaded in turn, in brief visits, and checked at the end.
// What drifts (the disk, neighbours, the clock's speed) meets all that is compared within seconds, and starting is paid
// once for all loads of a cluster; what processes are born with differs from sitting to sitting, so there are many.
// Variants that differ in their load alone share a cluster.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Prng } from "../../src/base/prng.js";
import type { Run } from "../report/result-schema.js";
import type { Settings } from "./axes.js";
import { BenchError, ClusterFault } from "./bench-error.js";
import { Cluster } from "./cluster.js";
import { measure } from "./event-parts.js";
import { groupsOf } from "./groups.js";
import { SERIES_STEP_MS } from "./load.js";
import { traceEvery } from "./run-trace.js";
import {
  NOT_OPENED,
  type OnPhase,
  type UncheckedRun,
  unmeasured,
  VariantRun,
  warmUp,
} from "./run-variant.js";
import type { Runtime } from "./runtimes.js";
import { LOAD_AXES, type Load, loadGroups, type Variant } from "./scenario.js";
import type { TruthReport, TruthRequest } from "./truth.js";
import { runTruthCheck } from "./truth-process.js";

/** Variants by the cluster that they share; at least one each. */
export type Seating = readonly (readonly Variant[])[];

/** More processes at once would want more memory than a laptop has to spare, and disk for the logs of all. */
const NODES_AT_ONCE_MAX = 9;
/** Of warm-up, before another cluster's turn. */
const SLICE_MS = 200;
/** A visit takes about so long, and whole steps of a run's series: of unlike steps none could be compared. */
const VISIT_MS = 200;
/** Before each visit: fills the pipeline with this load. */
const RAMP_MS = 50;
/** Beside each visit: waiting until the cluster is idle, and sampling it. */
const AROUND_VISIT_MS = 80;
/** To catch up before the logs are closed. */
const LEVEL_MS = 3000;
/**
 * What is done when an abort comes is checked and told, if that takes no longer than this and twice the time since the
 * clusters were up: to check a log takes less than it took to write it, unless the machine has become busy.
 */
const GRACE_MS = 3000;

const STARTING_MS = 1200;
const STARTING_EACH_MS = 600;
/** Checking the logs, as a share of the time they were written. */
const CHECK_SHARE = 0.4;

/**
 * Who is up together with whom: as many clusters as there may be, in the order of the table. An event befalls a cluster
 * that nothing else is asked of, as does the load of a client.
 */
export function seatingsOf(variants: readonly Variant[]): Seating[] {
  const alone = variants.filter(({ settings }) => isAlone(settings));
  const together = variants.filter(({ settings }) => !isAlone(settings));
  const noLoad = Object.fromEntries(LOAD_AXES.map((name) => [name, null]));
  const seatings: Variant[][][] = [];
  let nodes = Number.POSITIVE_INFINITY;
  for (const sharing of groupsOf(together, ({ settings }) => JSON.stringify({ ...settings, ...noLoad }))) {
    nodes += sharing[0].settings.nodes;
    if (nodes > NODES_AT_ONCE_MAX) {
      nodes = sharing[0].settings.nodes;
      seatings.push([]);
    }
    seatings[seatings.length - 1].push(sharing);
  }
  return [...seatings, ...alone.map((variant) => [[variant]])];
}

function isAlone({ event, from }: Settings): boolean {
  return event !== "none" || from === "client";
}

/** Whether there is one window in it. */
export function isLone(seating: Seating): boolean {
  return seating.flat().length === 1;
}

/**
 * The visits that a window is taken in where clusters take turns, by their milliseconds. An open loop has one: a queue
 * that grows would be emptied after each, and what is under way at the end of each would count as not done.
 */
export function visitsOf({ rate }: Pick<Settings, "rate">, durationMs: number): number[] {
  const count = rate > 0 ? 1 : Math.max(1, Math.round(durationMs / VISIT_MS));
  const steps = Math.floor(durationMs / SERIES_STEP_MS);
  const starts = Array.from({ length: count }, (_, i) => Math.floor((i * steps) / count) * SERIES_STEP_MS);
  return starts.map((start, i) => (starts[i + 1] ?? durationMs) - start);
}

/** Nodes that are up at once. */
export function nodesOf(seating: Seating): number {
  return seating.reduce((sum, [{ settings }]) => sum + settings.nodes, 0);
}

/** About how long a sitting takes. */
export function estimateSittingMs(seating: Seating, { warmupMs, durationMs }: Load): number {
  const windows = seating.flat().length;
  const visits = seating.flat().reduce((sum, { settings }) => sum + visitsOf(settings, durationMs).length, 0);
  const loaded = isLone(seating)
    ? warmupMs
    : seating.length * warmupMs + visits * (RAMP_MS + AROUND_VISIT_MS);
  const loads = loaded + windows * durationMs;
  return STARTING_MS + seating.length * STARTING_EACH_MS + loads * (1 + CHECK_SHARE);
}

export interface SittingPlan {
  readonly seating: Seating;
  /** Of every process of a cluster. */
  readonly runtimeOf: (settings: Settings) => Runtime;
  readonly round: number;
  /** Once more for the same place in the same round. */
  readonly again: boolean;
  readonly load: Load;
  readonly order: "table" | "random";
  readonly basePort: number;
  readonly seed: number;
  readonly runDir: string;
  readonly keep: boolean;
  readonly signal: AbortSignal;
  /** Counts every load of the bench: a number that no other has. */
  readonly nextLoad: () => number;
  readonly onPhase: OnPhase;
  readonly onProgress: (acked: number) => void;
  /** It was aborted, and what is done is checked yet, for so long at most. */
  readonly onEnding: (msMax: number) => void;
}

/** A cluster of the sitting. */
interface Seat {
  /** Null: it did not open, which is its fault. */
  readonly cluster: Cluster | null;
  readonly dir: string;
  readonly variants: readonly Variant[];
  /** A journal for each load. */
  readonly journals: string[];
  acked: number;
  /** How long it has been warmed up, its loads together. */
  warmedMs: number;
  /** What it did not do in time, or that it broke: nothing more is asked of it, and its runs from then on are void. */
  fault: string | null;
}

export class Sitting {
  private readonly plan: SittingPlan;
  private readonly seats: readonly Seat[];
  /** Aborts what goes on: at once while nothing is done, later where there is something to check. */
  private readonly patience: AbortController;
  private readonly done: UncheckedRun[] = [];
  private active: Seat | null = null;
  private readonly begunAt = performance.now();
  /** From the abort on. */
  private graceMs = 0;

  private constructor(plan: SittingPlan, seats: readonly Seat[], patience: AbortController) {
    this.plan = plan;
    this.seats = seats;
    this.patience = patience;
    plan.signal.addEventListener("abort", this.onAbort, { once: true });
    if (plan.signal.aborted) this.onAbort();
  }

  /** Starts every cluster. On failure nothing is left running or lying about. */
  static async start(plan: SittingPlan): Promise<Sitting> {
    plan.onPhase("starting");
    const patience = new AbortController();
    const cut = () => patience.abort(plan.signal.reason);
    plan.signal.addEventListener("abort", cut, { once: true });
    let nodes = 0;
    const starting = plan.seating.map(async (variants): Promise<Seat> => {
      const dir = join(plan.runDir, directoryName(variants, plan.round, plan.again));
      const { settings } = variants[0];
      const basePort = plan.basePort === 0 ? 0 : plan.basePort + nodes;
      nodes += settings.nodes;
      await mkdir(dir, { mode: 0o700 });
      const { execPath, flags } = plan.runtimeOf(settings);
      const opening = Cluster.start({
        dir,
        execPath,
        nodeFlags: flags,
        settings: {
          ...settings,
          inFlight: Math.max(...variants.map((variant) => variant.settings.inFlight)),
        },
        basePort,
        seed: plan.seed + plan.nextLoad() * 104_729,
        signal: patience.signal,
        traceEvery: traceEvery(settings),
      });
      const seat = { dir, variants, journals: [], acked: 0, warmedMs: 0 };
      return opening.then(
        (cluster) => ({ ...seat, cluster, fault: null }),
        (error: unknown) => ({ ...seat, cluster: null, fault: faultOf(error) }),
      );
    });
    const outcomes = await Promise.allSettled(starting);
    plan.signal.removeEventListener("abort", cut);
    const seats = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    const sitting = new Sitting(plan, seats, patience);
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed === undefined) return sitting;
    await sitting.destroy();
    throw failed.reason;
  }

  private readonly onAbort = (): void => {
    const { reason } = this.plan.signal;
    if (this.done.length === 0) {
      this.patience.abort(reason);
      return;
    }
    this.graceMs = GRACE_MS + 2 * (performance.now() - this.begunAt);
    setTimeout(() => this.patience.abort(reason), this.graceMs).unref();
    this.plan.onEnding(this.graceMs);
    const cluster = this.active?.cluster;
    for (const id of cluster?.alive ?? []) cluster?.call(id, "haltLoad", {}).catch(() => {}); // It ends anyway.
  };

  get isLone(): boolean {
    return isLone(this.plan.seating);
  }

  /** Variants whose cluster did not open. */
  get unopened(): Variant[] {
    return this.seats.flatMap(({ cluster, variants }) => (cluster === null ? variants : []));
  }

  /** Every variant of the sitting in the order of its round, those of one load together. */
  groups(): Variant[][] {
    const { seating, order, seed, round } = this.plan;
    const variants = seating.flat().sort((a, b) => a.position - b.position);
    return loadGroups(variants, order, seed, round);
  }

  /** Warms every cluster up with all its loads, in slices that take turns; a lone window does so by itself. */
  async warmUp(): Promise<void> {
    const { load, seed, round, onPhase } = this.plan;
    if (this.isLone) return;
    onPhase("warming up", load.warmupMs * this.seats.length);
    const prng = new Prng((seed + round) >>> 0);
    for (let slice = 0; slice * SLICE_MS < load.warmupMs; slice++) {
      const ms = Math.min(SLICE_MS, load.warmupMs - slice * SLICE_MS);
      const first = prng.below(this.seats.length);
      for (const i of this.seats.keys()) {
        const seat = this.seats[(first + i) % this.seats.length];
        const { settings } = seat.variants[slice % seat.variants.length];
        await this.ask(seat, async (cluster) => {
          const [runId, ackedPath] = this.nextLoad(seat);
          const { acked } = await warmUp(cluster, settings, {
            ms,
            seed: seed + slice,
            runId,
            ackedPath,
          });
          seat.acked += acked;
          seat.warmedMs += ms;
        });
      }
    }
  }

  /**
   * The runs of variants of one load, in visits that take turns. `sequence` counts the runs of the bench, the first of
   * these included.
   */
  async group(variants: readonly Variant[], sequence: number): Promise<UncheckedRun[]> {
    const { load, round, seed, onPhase, onProgress } = this.plan;
    const { isLone } = this;
    const visits = isLone ? [load.durationMs] : visitsOf(variants[0].settings, load.durationMs);
    const warmupMs = isLone ? load.warmupMs : RAMP_MS;
    const running = variants.map((variant, i) => {
      const seat = this.seats.find((one) => one.variants.includes(variant))!;
      const place = { variant, sequence: sequence + i, round };
      if (seat.cluster === null) return { seat, place, run: null };
      const idle = () => clustersOf(this.seats.filter((each) => each !== seat && each.fault === null));
      const plan = { ...place, warmupMs, primes: isLone, seed, idle };
      const told = isLone ? onPhase : () => {}; // Of turns so brief nobody could read it.
      return { seat, place, run: new VariantRun(seat.cluster, { ...plan, onPhase: told, onProgress }) };
    });
    const aroundMs = visits.length * (RAMP_MS + AROUND_VISIT_MS);
    if (!isLone) onPhase("measuring", variants.length * (load.durationMs + aroundMs));
    for (const [visit, durationMs] of visits.entries()) {
      for (const i of running.keys()) {
        const { seat, run } = running[(visit + i) % running.length];
        if (run === null) continue;
        this.active = seat;
        const load = () => run.visit(durationMs, ...this.nextLoad(seat));
        await this.ask(seat, load).finally(() => (this.active = null));
        this.plan.signal.throwIfAborted(); // The load may have been cut short.
      }
    }
    const runs: UncheckedRun[] = [];
    for (const { seat, place, run } of running) {
      const done =
        run === null
          ? unmeasured(place, NOT_OPENED, 0, seat.fault!)
          : ((await this.ask(seat, () => run.finish())) ?? run.unmeasured(seat.fault!));
      seat.acked += done.acknowledged;
      runs.push({ ...done, warmup: { ...done.warmup, ms: seat.warmedMs + done.warmup.ms } });
    }
    this.done.push(...runs);
    return runs;
  }

  /**
   * Does `work` on the seat's cluster; null: that did not do it in time or broke, now or before. It leaves its own runs void
   * and the others' as they are.
   */
  private async ask<T>(seat: Seat, work: (cluster: Cluster) => Promise<T>): Promise<T | null> {
    if (seat.fault !== null || seat.cluster === null) return null;
    const journals = seat.journals.length;
    try {
      return await work(seat.cluster);
    } catch (error) {
      seat.fault = faultOf(error);
      seat.journals.splice(journals); // Its load may go on yet, and acknowledge more.
      return null;
    }
  }

  private nextLoad(seat: Seat): [runId: number, ackedPath: string] {
    const runId = (this.plan.seed ^ Math.imul(this.plan.nextLoad() + 1, 0x9e3779b1)) >>> 0;
    const ackedPath = join(seat.dir, `acked-${seat.journals.length}.bin`);
    seat.journals.push(ackedPath);
    return [runId, ackedPath];
  }

  /** Stops every cluster and checks its logs: what they say stands in each run of theirs. */
  async finish(): Promise<(run: UncheckedRun) => Pick<Run, "truth" | "stateHash" | "void" | "measures">> {
    const checked = new Map<number, TruthReport | string>();
    this.plan.onPhase("checking the logs");
    const sound = clustersOf(this.seats.filter(({ fault }) => fault === null));
    await Promise.all(sound.map((cluster) => cluster.catchUp(LEVEL_MS).catch(() => false)));
    const stopping = this.seats.map(({ cluster }) => cluster?.stop());
    const checks = this.seats.map(async ({ cluster, variants, journals, acked }, i) => {
      const states = await stopping[i];
      if (cluster === null || states === undefined) return; // There is no log.
      const request = { nodes: cluster.logsOf(states), ackedFiles: journals, ackedMin: acked };
      const truth = await this.truthOf(request);
      for (const { position } of variants) checked.set(position, truth);
    });
    await Promise.all(checks);
    return (run) => {
      const truth = checked.get(run.position);
      if (truth === undefined) return { truth: null, stateHash: "", void: run.void, measures: run.measures };
      if (typeof truth === "string") {
        return { truth: null, stateHash: "", void: [...run.void, truth], measures: run.measures };
      }
      return {
        // The journals of all loads on the cluster were checked; this run's part of them is its own.
        truth: { ...truth, ackedChecked: truth.ok ? run.acknowledged : truth.ackedChecked },
        stateHash: truth.stateHash,
        void: [...run.void, ...truth.findings.map((finding) => `logs: ${finding}`)],
        measures: { ...run.measures, ...lostMeasure(run.settings, truth) },
      };
    };
  }

  /** What the logs say, or why they could not be asked: that leaves runs void, and the bench goes on. */
  private async truthOf(request: TruthRequest): Promise<TruthReport | string> {
    const silent = request.nodes.filter(({ state }) => state === null).map(({ id }) => id);
    if (silent.length > 0) {
      const who = `node ${silent.join(", ")}`;
      return `the logs were not checked: ${who} did not close within 3 s of being asked, or did not run any more`;
    }
    const { signal } = this.patience;
    return runTruthCheck(request, signal).catch((error: unknown) => {
      if (signal.aborted) {
        const s = Math.round(this.graceMs / 1000);
        return `the logs were not checked: the bench was ended, and that took longer than ${s} s more`;
      }
      if (!(error instanceof BenchError)) throw error;
      return `the logs were not checked: ${error.message}`;
    });
  }

  /** Ends every process, and removes the data unless it is to be kept. */
  async destroy(): Promise<void> {
    this.plan.signal.removeEventListener("abort", this.onAbort);
    await Promise.all(clustersOf(this.seats).map((cluster) => cluster.destroy()));
    if (this.plan.keep) return;
    const { runDir, seating, round, again } = this.plan;
    await removeData(runDir, seating, round, again);
  }
}

function clustersOf(seats: readonly Seat[]): Cluster[] {
  return seats.flatMap(({ cluster }) => cluster ?? []);
}

/** In a sentence without its full stop; what is no cluster's fault is thrown on. */
function faultOf(error: unknown): string {
  if (!(error instanceof ClusterFault)) throw error;
  return error.message.replace(/\.$/, "");
}

/** Removes what a sitting wrote, if anything is left of it. */
export async function removeData(
  runDir: string,
  seating: Seating,
  round: number,
  again: boolean,
): Promise<void> {
  for (const variants of seating) {
    const dir = join(runDir, directoryName(variants, round, again));
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** "variant-1-round-2": by the first row whose logs are in it. */
function directoryName([{ position }]: readonly Variant[], round: number, again: boolean): string {
  return `variant-${position + 1}${round === 0 ? "" : `-round-${round + 1}`}${again ? "-again" : ""}`;
}

function lostMeasure({ event }: Settings, truth: TruthReport): Run["measures"] {
  if (event !== "kill-leader") return {};
  return {
    acknowledgedLost: measure(
      truth.ackedLost,
      "proposals",
      "lower",
      "acknowledged, and not on a quorum of the logs afterwards",
    ),
  };
}
