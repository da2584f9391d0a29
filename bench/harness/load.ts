// The load: callers that propose again when their last proposal is applied on the leader (closed loop), or proposals
// that are due at times of their own, whatever the engine does (open loop, open-loop.ts). Runs on the main thread of
// the leader's process, as an application that embeds the engine would, or in a client's. What it records costs a
// clock reading and a few integer operations a proposal.
// By import: the global of this name is a getter, which costs as much again as the clock.
import { type IntervalHistogram, monitorEventLoopDelay, performance } from "node:perf_hooks";
import type { Proposed } from "../../src/index.js";
import type { AckedWriter } from "./acked.js";
import { codeOf, messageOf } from "./bench-error.js";
import type { Engine } from "./engine.js";
import { LatencyCounts } from "./latency.js";
import { Payloads } from "./payload.js";
import type { LoadPlan } from "./protocol.js";

/** What a load drives; the rest of Engine is the harness's. */
export type Target = Pick<Engine, "propose" | "proposeMany" | "readBarrier">;

/** How the warm-up went: how long, what it left behind included, and whether the rate had settled. */
export interface Warmup {
  readonly ms: number;
  readonly stable: boolean;
}

/** How late the generator itself was: what it adds to the latencies, in microseconds. */
export interface GeneratorLag {
  readonly lagP50Us: number;
  readonly lagP99Us: number;
  readonly lagMaxUs: number;
}

/** What was measured in the window after the warm-up. */
export interface Measured {
  /** Proposals applied in the window, and the window's true length. */
  readonly done: number;
  readonly windowMs: number;
  /** Proposals that came due in the window; null: a closed loop has no such time. */
  readonly due: number | null;
  /** Open loop: of those due in the window, whenever they were applied. Closed loop: of those under way in it. */
  readonly latencies: LatencyCounts;
  readonly reads: LatencyCounts;
  /** Reads confirmed in the window. */
  readonly readsDone: number;
  /** Proposals applied in each whole 100 ms of the window. */
  readonly series: readonly number[];
  /** Open loop: proposals that came due in each of them; a closed loop has none. */
  readonly seriesDue: readonly number[];
  /** 99th percentile of their latencies; null where there were none. */
  readonly seriesP99Ms: readonly (number | null)[];
}

export interface LoadOutcome extends Measured {
  readonly warmup: Warmup;
  readonly generator: GeneratorLag;
  /** Over the whole load, warm-up and end included. */
  readonly acked: number;
  readonly failed: Readonly<Record<string, number>>;
  /** The first failure in words; null: none. */
  readonly firstFailure: string | null;
  /** Proposals that were neither applied nor refused when waiting for them ended. */
  readonly unanswered: number;
}

export const SERIES_STEP_MS = 100;
/** Without any answer, while nothing new is proposed: what is still under way then has no quorum to wait for. */
const SILENCE_MS_MAX = 3000;
/** Waiting for what is under way never takes longer: after the warm-up (open loop) and after the window. */
export const DRAIN_MS_MAX = 10_000;
const DRAIN_STEP_MS = 10;

/** The warm-up is over when the rates of so many successive windows lie within this share of their mean. */
export const STABLE_WINDOWS = 3;
const STABLE_TOLERANCE = 0.1;
/** In flight while priming, if that is more than asked for; and no more bytes than this. */
const PRIME_IN_FLIGHT = 256;
const PRIME_BYTES_MAX = 4 * 1024 * 1024;
/** Of the longest warm-up: the shortest, which is also what priming takes, and one window. */
const WARMUP_MIN_SHARE = 0.5;
const WARMUP_STEP_SHARE = 0.1;
const WARMUP_STEP_MS_MIN = 50;

/** What both loops share: the window, what is recorded, and how a load ends. */
export abstract class LoadRun {
  readonly target: Target;
  readonly plan: LoadPlan;
  readonly payloads: Payloads;
  protected readonly latencies = new LatencyCounts();
  private readonly journal: AckedWriter;
  private readonly readLatencies = new LatencyCounts();
  private readsDone = 0;
  private readonly series: Float64Array;
  protected readonly seriesDue: Float64Array;
  private readonly slotP99Ms: (number | null)[];
  /** The slot of `series` that goes on, and what was applied in it: what counts for the window, and what was due before. */
  private slot = -1;
  private slotEndMs = Number.NEGATIVE_INFINITY;
  private readonly slotLatencies = new LatencyCounts();
  private readonly earlyLatencies = new LatencyCounts();
  private readonly failed: Record<string, number> = {};
  private firstFailure: string | null = null;
  protected windowStart = Number.POSITIVE_INFINITY;
  protected windowEnd = Number.POSITIVE_INFINITY;
  private done = 0;
  stopping = false;
  /** Callers that have not ended, or proposals without an answer. */
  protected underWay = 0;
  protected finished: () => void = () => {};
  /** Applied since the load began. */
  acked = 0;

  constructor(target: Target, plan: LoadPlan, journal: AckedWriter) {
    this.target = target;
    this.plan = plan;
    this.journal = journal;
    this.payloads = new Payloads(plan.runId, plan.client, plan.entryBytes);
    // A rest of a step is none: it would count as a step in which less was done.
    this.series = new Float64Array(Math.floor(plan.durationMs / SERIES_STEP_MS));
    this.seriesDue = new Float64Array(plan.ratePerS > 0 ? this.series.length : 0);
    this.slotP99Ms = new Array<number | null>(this.series.length).fill(null);
  }

  /** Proposes the first; what follows comes from its replies or from the clock. */
  protected abstract begin(): void;
  /** Nothing new is proposed from here on. */
  protected abstract halt(): void;
  /** The window opened at `windowStart` or closed at `windowEnd`, just now. */
  protected abstract edge(open: boolean): void;
  /** After the warm-up: makes sure that the window begins with what is due in it. False: it could not. */
  protected abstract settle(drained: Promise<void>): Promise<boolean>;
  protected abstract generatorLag(): GeneratorLag;
  protected abstract dueInWindow(): number | null;

  /**
   * Warms up, measures, and waits for what is under way. `onWindow` is told when the window opens and closes, so that
   * counters can be read at its edges. Resolves also when every caller has failed.
   */
  async run(onWindow: (open: boolean) => void): Promise<LoadOutcome> {
    const drained = new Promise<void>((resolve) => {
      this.finished = resolve;
    });
    const begun = performance.now();
    this.begin();
    const stable = await this.warmUp(drained);
    const settled = await this.settle(drained);
    const warmup = { ms: performance.now() - begun, stable: stable && settled };
    if (!this.stopping && !this.isOver()) await this.measure(drained, onWindow);
    this.stop();
    await this.drain(drained);
    return this.outcome(warmup);
  }

  /** At least half of the time given for it, then until the rate is stable, and never longer than given. */
  private async warmUp(drained: Promise<void>): Promise<boolean> {
    const { warmupMs } = this.plan;
    const stepMs = Math.max(WARMUP_STEP_MS_MIN, warmupMs * WARMUP_STEP_SHARE);
    const rates: number[] = [];
    const begun = performance.now();
    let stable = false;
    if (this.plan.primes && warmupMs > 0) await this.prime(warmupMs * WARMUP_MIN_SHARE, drained);
    let spent = performance.now() - begun;
    while (spent < warmupMs && !stable && !this.stopping && !this.isOver()) {
      const before = this.acked;
      const from = performance.now();
      await within(Math.min(stepMs, warmupMs - spent), drained);
      const now = performance.now();
      rates.push((this.acked - before) / (now - from));
      spent = now - begun;
      stable = spent >= warmupMs * WARMUP_MIN_SHARE && isStable(rates);
    }
    return stable;
  }

  /**
   * Waits until no more than `rest` are under way, while no others begin; false: it gave up. Time in which the event
   * loop stood still counts as a step, no more: answers that came meanwhile have not been heard yet.
   */
  protected async drain(drained: Promise<void>, rest = 0): Promise<boolean> {
    let spentMs = 0;
    let silentMs = 0;
    while (this.underWay > rest && silentMs < SILENCE_MS_MAX && spentMs < DRAIN_MS_MAX) {
      const before = this.underWay;
      const from = performance.now();
      await within(DRAIN_STEP_MS, drained);
      const ms = Math.min(performance.now() - from, 2 * DRAIN_STEP_MS);
      spentMs += ms;
      silentMs = this.underWay < before ? 0 : silentMs + ms;
    }
    return this.underWay <= rest;
  }

  /** Runs hot for `ms` what the load will use, so that it is compiled as it is after hours of service. */
  protected abstract prime(ms: number, drained: Promise<void>): Promise<void>;

  /** Nothing more will come, although nobody stopped it. */
  protected abstract isOver(): boolean;

  private async measure(drained: Promise<void>, onWindow: (open: boolean) => void): Promise<void> {
    onWindow(true);
    this.windowStart = performance.now();
    this.edge(true);
    await within(this.plan.durationMs, drained);
    this.closeWindow();
    onWindow(false);
  }

  private closeWindow(): void {
    if (this.windowStart === Number.POSITIVE_INFINITY || this.windowEnd < Number.POSITIVE_INFINITY) return;
    this.windowEnd = performance.now();
    this.edge(false);
  }

  /** Ends the load early, and the window with it: nothing is proposed that was not due by now. */
  stop(): void {
    if (this.stopping) return;
    this.closeWindow();
    this.stopping = true;
    this.halt();
  }

  // hot
  applied(seq: number, proposed: Proposed, dueMs: number, nowMs: number): void {
    this.acked++;
    this.journal.add(seq, proposed.index, proposed.term);
    const counts = this.counts(dueMs, nowMs);
    if (this.isInWindow(nowMs)) {
      if (nowMs >= this.slotEndMs) this.nextSlot(nowMs);
      // Once: a slot as a whole goes into `latencies`.
      (counts ? this.slotLatencies : this.earlyLatencies).record(nowMs - dueMs);
    } else if (counts) this.latencies.record(nowMs - dueMs);
    if (this.acked === this.plan.ackedMax) this.stop();
  }

  // hot
  private isInWindow(nowMs: number): boolean {
    return nowMs >= this.windowStart && nowMs < this.windowEnd;
  }

  private nextSlot(nowMs: number): void {
    this.endSlot();
    this.slot = Math.floor((nowMs - this.windowStart) / SERIES_STEP_MS);
    this.slotEndMs = this.windowStart + (this.slot + 1) * SERIES_STEP_MS;
  }

  private endSlot(): void {
    const { slot, slotLatencies } = this;
    this.latencies.add(slotLatencies);
    slotLatencies.add(this.earlyLatencies);
    this.earlyLatencies.clear();
    this.done += slotLatencies.total;
    if (slot >= 0 && slot < this.series.length) {
      this.series[slot] = slotLatencies.total;
      this.slotP99Ms[slot] = slotLatencies.percentileMs(99);
    }
    slotLatencies.clear();
  }

  /** Whether the latency of what was due then and done now belongs to the window. */
  protected abstract counts(dueMs: number, nowMs: number): boolean;

  // hot
  confirmed(dueMs: number, nowMs: number): void {
    if (this.isInWindow(nowMs)) this.readsDone++;
    if (this.counts(dueMs, nowMs)) this.readLatencies.record(nowMs - dueMs);
  }

  /** So many were refused together. */
  refused(error: unknown, count = 1): void {
    this.fail(codeOf(error) || "ERROR", messageOf(error), count);
  }

  protected fail(code: string, text: string, count = 1): void {
    this.failed[code] = (this.failed[code] ?? 0) + count;
    this.firstFailure ??= text;
  }

  callerDone(): void {
    this.underWay--;
    if (this.underWay === 0) this.finished();
  }

  private outcome(warmup: Warmup): LoadOutcome {
    this.endSlot();
    const windowMs = this.windowEnd < Number.POSITIVE_INFINITY ? this.windowEnd - this.windowStart : 0;
    // It may have been stopped early; a timer may come early too, by less than a millisecond.
    const isWhole = windowMs > this.plan.durationMs - 1;
    const slots = isWhole ? this.series.length : Math.floor(windowMs / SERIES_STEP_MS);
    return {
      warmup,
      generator: this.generatorLag(),
      done: this.done,
      windowMs,
      due: this.dueInWindow(),
      latencies: this.latencies,
      reads: this.readLatencies,
      readsDone: this.readsDone,
      series: [...this.series.subarray(0, slots)],
      seriesDue: [...this.seriesDue.subarray(0, slots)],
      seriesP99Ms: this.slotP99Ms.slice(0, slots),
      acked: this.acked,
      failed: this.failed,
      firstFailure: this.firstFailure,
      unanswered: this.underWay * this.plan.perCall,
    };
  }
}

/** Whether a warm-up may end: the last rates lie close to their mean. */
export function isStable(rates: readonly number[]): boolean {
  if (rates.length < STABLE_WINDOWS) return false;
  const last = rates.slice(-STABLE_WINDOWS);
  const mean = last.reduce((sum, rate) => sum + rate, 0) / STABLE_WINDOWS;
  return mean > 0 && last.every((rate) => Math.abs(rate - mean) <= mean * STABLE_TOLERANCE);
}

/** The event loop is asked for its delay so often. Oftener, the asking is load: at one in flight the loop mostly sleeps. */
const DELAY_RESOLUTION_MS = 10;

/**
 * N callers, each with one proposal (or read) under way; or fewer, each with a call of several (`perCall`). Its own lag is
 * the delay of the event loop.
 */
export class ClosedLoop extends LoadRun {
  private readonly delays: IntervalHistogram = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  /** Callers that came for the priming go on. */
  priming = false;
  private lag: GeneratorLag = { lagP50Us: 0, lagP99Us: 0, lagMaxUs: 0 };

  protected begin(): void {
    const { inFlight, perCall } = this.plan;
    for (let i = 0; i < inFlight; i += perCall) this.start(true);
  }

  private start(stays: boolean): void {
    this.underWay++;
    const caller = this.plan.perCall === 1 ? new Caller(this, stays) : new ManyCaller(this, stays);
    caller.next(performance.now());
  }

  /** At one in flight the JIT would see in a minute what it sees here in half a second. */
  protected async prime(ms: number, drained: Promise<void>): Promise<void> {
    const { inFlight, perCall, entryBytes } = this.plan;
    const most = Math.min(PRIME_IN_FLIGHT, Math.floor(PRIME_BYTES_MAX / entryBytes));
    this.priming = true;
    for (let i = inFlight; i < most && !this.stopping; i += perCall) this.start(false);
    await within(ms, drained);
    this.priming = false;
  }

  /** N are under way before and after; the callers that came for the priming may not be gone yet. */
  protected settle(drained: Promise<void>): Promise<boolean> {
    return this.drain(drained, this.plan.inFlight / this.plan.perCall);
  }

  protected halt(): void {}

  /** Every caller was refused. */
  protected isOver(): boolean {
    return this.underWay === 0;
  }

  protected edge(open: boolean): void {
    if (open) {
      this.delays.enable();
      return;
    }
    const late = (ns: number) => Math.max(0, Math.round(ns / 1000 - DELAY_RESOLUTION_MS * 1000));
    const { delays } = this;
    if (delays.count > 0) {
      this.lag = {
        lagP50Us: late(delays.percentile(50)),
        lagP99Us: late(delays.percentile(99)),
        lagMaxUs: late(delays.max),
      };
    }
    delays.disable();
  }

  protected generatorLag(): GeneratorLag {
    return this.lag;
  }

  protected dueInWindow(): null {
    return null;
  }

  /** Also what the window's edges cut: a stall over either is in the latencies of all it held up. */
  // hot
  protected counts(dueMs: number, nowMs: number): boolean {
    return nowMs >= this.windowStart && dueMs < this.windowEnd;
  }
}

/** One of the N in flight: an object a caller, not a closure a proposal. */
class Caller {
  protected readonly load: ClosedLoop;
  /** False: came for the priming, and goes with it. */
  protected readonly stays: boolean;
  protected seq = 0;
  protected dueMs = 0;
  protected readsLeft = 0;

  constructor(load: ClosedLoop, stays: boolean) {
    this.load = load;
    this.stays = stays;
  }

  // hot
  next(nowMs: number): void {
    const load = this.load;
    if (load.stopping || !(this.stays || load.priming)) {
      load.callerDone();
      return;
    }
    this.seq = load.payloads.seq;
    this.dueMs = nowMs;
    this.readsLeft = load.plan.readsPerWrite;
    load.target.propose(load.payloads.next()).then(this.onApplied, this.onRefused);
  }

  private readonly onApplied = (proposed: Proposed): void => {
    const now = performance.now();
    this.load.applied(this.seq, proposed, this.dueMs, now);
    if (this.readsLeft > 0) this.read(now);
    else this.next(now);
  };

  protected read(nowMs: number): void {
    if (this.load.stopping) {
      this.load.callerDone();
      return;
    }
    this.readsLeft--;
    this.dueMs = nowMs;
    this.load.target.readBarrier().then(this.onConfirmed, this.onRefused);
  }

  private readonly onConfirmed = (): void => {
    const now = performance.now();
    this.load.confirmed(this.dueMs, now);
    if (this.readsLeft > 0) this.read(now);
    else this.next(now);
  };

  /** A caller that was refused ends: the bench has no retry that could hide a lost leader. */
  private readonly onRefused = (error: unknown): void => {
    this.load.refused(error);
    this.load.callerDone();
  };
}

/** A Caller with several proposals in each call: the latency of each is the call's. */
class ManyCaller extends Caller {
  // hot
  override next(nowMs: number): void {
    const load = this.load;
    if (load.stopping || !(this.stays || load.priming)) {
      load.callerDone();
      return;
    }
    const { perCall, readsPerWrite } = load.plan;
    this.seq = load.payloads.seq;
    this.dueMs = nowMs;
    this.readsLeft = perCall * readsPerWrite;
    load.target.proposeMany!(load.payloads.many(perCall)).then(this.onAllApplied, this.onAllRefused);
  }

  private readonly onAllApplied = (proposed: Proposed[]): void => {
    const now = performance.now();
    for (let i = 0; i < proposed.length; i++) this.load.applied(this.seq + i, proposed[i], this.dueMs, now);
    if (this.readsLeft > 0) this.read(now);
    else this.next(now);
  };

  /** Some of them may be in the log: none counts as acknowledged. */
  private readonly onAllRefused = (error: unknown): void => {
    this.load.refused(error, this.load.plan.perCall);
    this.load.callerDone();
  };
}

/** Waits for `event`, at most `ms`. */
export async function within(ms: number, event: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([timeout, event]);
  clearTimeout(timer);
}
