// An engine of known behaviour, and what a load must measure on it: each proposal is answered after a fixed service
// time, but for one stall in which nothing is answered. From that, percentiles follow by arithmetic.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeMetrics, NodeStatus, Proposed, RaftmarkError } from "../../src/index.js";
import { AckedWriter } from "../harness/acked.js";
import type { Engine } from "../harness/engine.js";
import { percentileMs, toHistogram } from "../harness/latency.js";
import { ClosedLoop } from "../harness/load.js";
import { NO_METRICS } from "../harness/null-engine.js";
import { OpenLoop } from "../harness/open-loop.js";
import type { LoadPlan } from "../harness/protocol.js";

export interface StallPlan {
  readonly serviceMs: number;
  readonly stallMs: number;
  readonly windowMs: number;
  readonly ratePerS: number;
}

export const STALL: StallPlan = { serviceMs: 2, stallMs: 200, windowMs: 2000, ratePerS: 1000 };

class StalledEngine implements Engine {
  onFault: (error: RaftmarkError) => void = () => {};
  readonly metrics: NodeMetrics = NO_METRICS;
  private readonly serviceMs: number;
  private stallFrom = Number.POSITIVE_INFINITY;
  private stallTo = Number.POSITIVE_INFINITY;
  private index = 0;

  constructor(serviceMs: number) {
    this.serviceMs = serviceMs;
  }

  stall(fromMs: number, forMs: number): void {
    this.stallFrom = performance.now() + fromMs;
    this.stallTo = this.stallFrom + forMs;
  }

  propose(_bytes: Uint8Array): Promise<Proposed> {
    const index = ++this.index;
    const answerAt = performance.now() + this.serviceMs;
    return new Promise((resolve) =>
      this.answer(answerAt, () => resolve({ index, term: 1, result: undefined })),
    );
  }

  /** Not before `atMs` and not within the stall; timers fire early by up to a millisecond, and the stall is asked again. */
  private answer(atMs: number, resolve: () => void): void {
    const now = performance.now();
    const stalled = atMs >= this.stallFrom && atMs < this.stallTo;
    const due = stalled ? this.stallTo : atMs;
    if (now >= due) resolve();
    else setTimeout(() => this.answer(due, resolve), due - now);
  }

  async readBarrier(): Promise<void> {}
  campaign(): void {}
  transferLeadership(): void {}
  status(): NodeStatus {
    throw new Error("a stand-in without status");
  }
  async close(): Promise<void> {}
}

export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** What follows from the plan: a share of stall/window of the proposals waits, each for what is left of the stall. */
export function expectedPercentiles({ serviceMs, stallMs, windowMs }: StallPlan): Percentiles {
  const share = stallMs / windowMs;
  const at = (q: number) => Math.max(serviceMs, stallMs * ((q - (1 - share)) / share));
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: stallMs + serviceMs };
}

/** Loads the stalled engine: open at the plan's rate, or closed with one in flight. */
export async function measureStall(plan: StallPlan, kind: "open" | "closed"): Promise<Percentiles> {
  const engine = new StalledEngine(plan.serviceMs);
  const load: LoadPlan = {
    runId: 1,
    client: 1,
    inFlight: 1,
    entryBytes: 16,
    warmupMs: 300,
    primes: false,
    durationMs: plan.windowMs,
    ratePerS: kind === "open" ? plan.ratePerS : 0,
    arrivals: "constant",
    perCall: 1,
    readsPerWrite: 0,
    ackedMax: 0,
    seed: 1,
  };
  const dir = mkdtempSync(join(tmpdir(), "raftmark-selftest-"));
  const journal = new AckedWriter(join(dir, "acked"), load.runId, load.client);
  try {
    const run = kind === "open" ? new OpenLoop(engine, load, journal) : new ClosedLoop(engine, load, journal);
    const { latencies } = await run.run((open) => {
      if (open) engine.stall(plan.windowMs / 4, plan.stallMs);
    });
    const histogram = toHistogram(latencies);
    const at = (percentile: number) => percentileMs(histogram, percentile);
    return { p50: at(50), p95: at(95), p99: at(99), max: at(100) };
  } finally {
    journal.close();
    rmSync(dir, { recursive: true, force: true });
  }
}
