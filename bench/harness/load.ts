// The closed loop: N callers, each proposing again when its last proposal is applied on the leader. Runs on the main
// thread of the leader's process, as an application that embeds the engine would. What it records costs a clock
// reading and a few integer operations a proposal.
import type { Proposed } from "../../src/index.js";
import type { AckedWriter } from "./acked.js";
import { codeOf, messageOf } from "./bench-error.js";
import type { Engine } from "./engine.js";
import { LatencyCounts } from "./latency.js";
import { Payloads } from "./payload.js";

export interface LoadPlan {
  readonly runId: number;
  readonly client: number;
  readonly inFlight: number;
  readonly entryBytes: number;
  readonly warmupMs: number;
  readonly durationMs: number;
}

/** What was measured in the window after the warm-up. */
export interface Measured {
  /** Proposals applied in the window, and the window's true length. */
  readonly done: number;
  readonly windowMs: number;
  readonly latencies: LatencyCounts;
  /** Proposals applied in each 100 ms of the window. */
  readonly series: readonly number[];
}

export interface LoadOutcome extends Measured {
  /** Over the whole load, warm-up and end included. */
  readonly acked: number;
  readonly failed: Readonly<Record<string, number>>;
  /** The first failure in words; null: none. */
  readonly firstFailure: string | null;
  /** Proposals that were neither applied nor refused when waiting for them ended. */
  readonly unanswered: number;
}

export const SERIES_STEP_MS = 100;
/** After the load's end: a proposal that takes longer has no quorum to wait for. */
const DRAIN_MS_MAX = 3000;

export class ClosedLoop {
  private readonly engine: Engine;
  private readonly plan: LoadPlan;
  private readonly journal: AckedWriter;
  readonly payloads: Payloads;
  private readonly latencies = new LatencyCounts();
  private readonly series: Float64Array;
  private readonly failed: Record<string, number> = {};
  private firstFailure: string | null = null;
  private windowStart = Number.POSITIVE_INFINITY;
  private windowEnd = Number.NEGATIVE_INFINITY;
  stopping = false;
  private callers = 0;
  private finished: () => void = () => {};
  /** Applied since the load began. */
  acked = 0;

  constructor(engine: Engine, plan: LoadPlan, journal: AckedWriter) {
    this.engine = engine;
    this.plan = plan;
    this.journal = journal;
    this.payloads = new Payloads(plan.runId, plan.client, plan.entryBytes);
    this.series = new Float64Array(Math.ceil(plan.durationMs / SERIES_STEP_MS));
  }

  /**
   * Warms up, measures, and waits for what is under way. `onWindow` is told when the window opens and closes, so that
   * counters can be read at its edges. Resolves also when every caller has failed.
   */
  async run(onWindow: (open: boolean) => void): Promise<LoadOutcome> {
    const drained = new Promise<void>((resolve) => {
      this.finished = resolve;
    });
    this.callers = this.plan.inFlight;
    for (let i = 0; i < this.plan.inFlight; i++) new Caller(this).next(performance.now());
    await within(this.plan.warmupMs, drained);
    if (this.callers > 0 && !this.stopping) await this.measure(drained, onWindow);
    this.stopping = true;
    await within(DRAIN_MS_MAX, drained);
    return this.outcome();
  }

  private async measure(drained: Promise<void>, onWindow: (open: boolean) => void): Promise<void> {
    onWindow(true);
    this.windowStart = performance.now();
    await within(this.plan.durationMs, drained);
    this.windowEnd = performance.now();
    onWindow(false);
  }

  /** Ends the load early: nothing new is proposed. */
  stop(): void {
    this.stopping = true;
  }

  // hot
  propose(): Promise<Proposed> {
    return this.engine.propose(this.payloads.next());
  }

  // hot
  applied(seq: number, proposed: Proposed, dueMs: number, nowMs: number): void {
    this.acked++;
    this.journal.add(seq, proposed.index, proposed.term);
    if (nowMs < this.windowStart || this.windowEnd > 0) return;
    this.latencies.record(nowMs - dueMs);
    const slot = Math.floor((nowMs - this.windowStart) / SERIES_STEP_MS);
    if (slot < this.series.length) this.series[slot]++;
  }

  refused(error: unknown): void {
    const code = codeOf(error) || "ERROR";
    this.failed[code] = (this.failed[code] ?? 0) + 1;
    this.firstFailure ??= messageOf(error);
  }

  callerDone(): void {
    this.callers--;
    if (this.callers === 0) this.finished();
  }

  private outcome(): LoadOutcome {
    const windowMs = this.windowEnd > 0 ? this.windowEnd - this.windowStart : 0;
    return {
      done: this.latencies.total,
      windowMs,
      latencies: this.latencies,
      series: [...this.series],
      acked: this.acked,
      failed: this.failed,
      firstFailure: this.firstFailure,
      unanswered: this.callers,
    };
  }
}

/** One of the N in flight: an object a caller, not a closure a proposal. */
class Caller {
  private readonly load: ClosedLoop;
  private seq = 0;
  private dueMs = 0;

  constructor(load: ClosedLoop) {
    this.load = load;
  }

  // hot
  next(nowMs: number): void {
    const load = this.load;
    if (load.stopping) {
      load.callerDone();
      return;
    }
    this.seq = load.payloads.seq;
    this.dueMs = nowMs;
    load.propose().then(this.onApplied, this.onRefused);
  }

  private readonly onApplied = (proposed: Proposed): void => {
    const now = performance.now();
    this.load.applied(this.seq, proposed, this.dueMs, now);
    this.next(now);
  };

  /** A caller that was refused ends: the bench has no retry that could hide a lost leader. */
  private readonly onRefused = (error: unknown): void => {
    this.load.refused(error);
    this.load.callerDone();
  };
}

/** Waits for `event`, at most `ms`. */
async function within(ms: number, event: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([timeout, event]);
  clearTimeout(timer);
}
