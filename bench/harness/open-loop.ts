// The open loop: proposals are due at times drawn from the plan alone, never from a reply, and latency counts from
// then on. An engine that stalls finds every proposal that came due meanwhile in front of it, so that the stall is in
// the latency of each and not of one (no coordinated omission). Main thread of its process.
import { performance } from "node:perf_hooks";
import { Prng } from "../../src/base/prng.js";
import type { Proposed } from "../../src/index.js";
import { LatencyCounts, percentileMs, toHistogram, UNITS_PER_MS } from "./latency.js";
import { type GeneratorLag, LoadRun, SERIES_STEP_MS } from "./load.js";
import { Pacer } from "./pacer.js";

/** Proposals without an answer, and their bytes: what comes due beyond counts as failed, with the code OVERLOAD. */
export const OUTSTANDING_MAX = 100_000;
export const OUTSTANDING_BYTES_MAX = 128 * 1024 * 1024;
/** Two wakes are at least so far apart: what comes due between goes with the second. */
const WAKE_EVERY_MS = 0.05;

export class OpenLoop extends LoadRun {
  private due = this.dueTimes();
  private readonly outstandingMax = Math.min(
    OUTSTANDING_MAX,
    Math.max(1, Math.floor(OUTSTANDING_BYTES_MAX / this.plan.entryBytes)),
  );
  private readonly lags = new LatencyCounts();
  private readonly idle: Slot[] = [];
  private pacer: Pacer | null = null;
  private begunAt = 0;
  /** Between the warm-up and the window, and after it: nothing comes due. */
  private pausing = false;

  private dueTimes(): DueTimes {
    return new DueTimes(this.plan.ratePerS, this.plan.arrivals, this.plan.seed);
  }

  protected begin(): void {
    this.begunAt = performance.now();
    this.pacer = new Pacer(() => this.wake());
    this.wake();
  }

  // hot
  private wake(): void {
    if (this.stopping || this.pausing) return;
    const now = performance.now();
    const next = this.issue(now);
    this.pacer?.wakeAt(Math.max(next, now + WAKE_EVERY_MS));
  }

  /** Everything that has come due before `nowMs`. Returns when the next is due. */
  // hot
  private issue(nowMs: number): number {
    let due = this.begunAt + this.due.next;
    while (due < nowMs) {
      this.due.advance();
      if (this.counts(due)) this.cameDue(due, nowMs);
      if (this.underWay >= this.outstandingMax) {
        this.fail("OVERLOAD", `${this.underWay} proposals had no answer yet when the next was due`);
      } else {
        this.propose(due);
      }
      due = this.begunAt + this.due.next;
    }
    return due;
  }

  // hot
  private cameDue(dueMs: number, nowMs: number): void {
    this.lags.record(nowMs - dueMs);
    const step = Math.floor((dueMs - this.windowStart) / SERIES_STEP_MS);
    if (step < this.seriesDue.length) this.seriesDue[step]++;
  }

  // hot
  private propose(dueMs: number): void {
    this.underWay++;
    const slot = this.idle.pop() ?? new Slot(this);
    slot.propose(dueMs);
    for (let i = 0; i < this.plan.readsPerWrite; i++) {
      this.underWay++;
      this.target.readBarrier().then(
        () => {
          this.confirmed(dueMs, performance.now());
          this.answered();
        },
        (error: unknown) => {
          this.refused(error);
          this.answered();
        },
      );
    }
  }

  // hot
  release(slot: Slot): void {
    this.idle.push(slot);
    this.answered();
  }

  // hot
  private answered(): void {
    this.underWay--;
    if (this.stopping && this.underWay === 0) this.finished();
  }

  protected halt(): void {
    this.pacer?.close();
    if (this.underWay === 0) this.finished();
  }

  /** The rate is the rate. */
  protected async prime(): Promise<void> {}

  protected isOver(): boolean {
    return false;
  }

  /** What the warm-up left behind would be done in the window and due in none, and keep waiting what is due in it. */
  protected settle(drained: Promise<void>): Promise<boolean> {
    this.pausing = true;
    return this.drain(drained);
  }

  /**
   * The window's due times are counted from its opening. When it closes, what came due and was not issued yet, because
   * the event loop stood still over the end, is issued: it waited like all the others.
   */
  protected edge(open: boolean): void {
    this.pausing = !open;
    if (!open) {
      this.issue(this.windowEnd);
      return;
    }
    this.begunAt = this.windowStart;
    this.due = this.dueTimes();
    this.wake();
  }

  protected generatorLag(): GeneratorLag {
    if (this.lags.total === 0) return { lagP50Us: 0, lagP99Us: 0, lagMaxUs: 0 };
    const histogram = toHistogram(this.lags);
    const us = (ms: number) => Math.round(ms * 1000);
    return {
      lagP50Us: us(percentileMs(histogram, 50)),
      lagP99Us: us(percentileMs(histogram, 99)),
      lagMaxUs: us(this.lags.max / UNITS_PER_MS),
    };
  }

  protected dueInWindow(): number {
    return this.lags.total;
  }

  // hot
  protected counts(dueMs: number): boolean {
    return dueMs >= this.windowStart && dueMs < this.windowEnd;
  }
}

/** A proposal under way; reused. */
class Slot {
  private readonly load: OpenLoop;
  private seq = 0;
  private dueMs = 0;

  constructor(load: OpenLoop) {
    this.load = load;
  }

  // hot
  propose(dueMs: number): void {
    const { payloads, target } = this.load;
    this.seq = payloads.seq;
    this.dueMs = dueMs;
    target.propose(payloads.next()).then(this.onApplied, this.onRefused);
  }

  private readonly onApplied = (proposed: Proposed): void => {
    this.load.applied(this.seq, proposed, this.dueMs, performance.now());
    this.load.release(this);
  };

  private readonly onRefused = (error: unknown): void => {
    this.load.refused(error);
    this.load.release(this);
  };
}

/** Milliseconds from the load's begin at which proposals are due, in order. */
export class DueTimes {
  private readonly everyMs: number;
  private readonly prng: Prng | null;
  private count = 0;
  next = 0;

  constructor(ratePerS: number, arrivals: "constant" | "poisson", seed: number) {
    this.everyMs = 1000 / ratePerS;
    this.prng = arrivals === "poisson" ? new Prng(seed) : null;
    this.advance();
  }

  // hot
  advance(): void {
    this.count++;
    // Constant: a product, so that no error adds up. Poisson: exponential gaps.
    if (this.prng === null) this.next = this.count * this.everyMs;
    else this.next -= Math.log((this.prng.below(DRAWS) + 1) / DRAWS) * this.everyMs;
  }
}

const DRAWS = 2 ** 30;
