// One side of a comparison while it is under load: a cluster that runs one tree's engine, loaded window by window, and
// at its end checked like any bench run. Throughput is that of the window; CPU and counters are those of the whole
// load, taken while the cluster is idle before and after, so that no edge cuts through work under way.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DEFAULT_SETTINGS, type Settings } from "../harness/axes.js";
import { BenchError } from "../harness/bench-error.js";
import { Cluster } from "../harness/cluster.js";
import { cpuMsOf } from "../harness/cpu.js";
import type { ReplyOf } from "../harness/protocol.js";
import { traceEvery } from "../harness/run-trace.js";
import { runTruthCheck } from "../harness/truth-process.js";

export interface SidePlan {
  readonly name: string;
  /** What makes this side different; see engine-from.ts. */
  readonly env: NodeJS.ProcessEnv;
  readonly dir: string;
  readonly seed: number;
  readonly settings: Partial<Settings>;
  readonly signal: AbortSignal;
}

export interface WindowPlan {
  readonly inFlight: number;
  readonly warmupMs: number;
  readonly durationMs: number;
  /** Ends the load when so many are applied; 0: time ends it. */
  readonly ackedMax: number;
}

/** What all nodes together did during one load, and for how many proposals; none where the side stood still. */
export interface Window {
  readonly proposalsPerS: number;
  readonly acked: number;
  readonly cpuMs: number;
  /** NaN: the engine does not keep it. */
  readonly counters: Readonly<Record<CounterName, number>>;
}

/** What a commit costs, counted: by the nodes' own counters, summed over all, and the leader's JavaScript heap. */
const NODE_COUNTERS = ["messagesSent", "framesSent", "bytesSent", "walSyncs", "walBytes"] as const;
export const COUNTER_NAMES = [...NODE_COUNTERS, "allocatedBytes"] as const;
export type CounterName = (typeof COUNTER_NAMES)[number];

type Sample = ReplyOf<"sample">;
/** What is counted in one. */
type CountedSample = Pick<Sample, "allocatedBytes"> & {
  readonly metrics: Pick<Sample["metrics"], (typeof NODE_COUNTERS)[number] | "missing">;
};

/**
 * New spaces as large as they become, from the start: how far one has grown decides how often a process collects its old
 * space, and would be chance for as long as a comparison takes. With it the figures of equal engines spread by 7 and 5 %
 * from pair to pair, without it by 11 and 8 % (CPU at 64 and 1024 in flight, 12 pairs each).
 */
const NODE_FLAGS = ["--min-semi-space-size=16"];
const LEADER_TIMEOUT_MS = 15_000;
const IDLE_TIMEOUT_MS = 10_000;
const LOAD_SLACK_MS = 15_000;
/** Within a window, before it counts: fills the pipeline. */
const RAMP_MS = 30;
/** Waiting until a cluster is idle after each window, and checking its log later. */
const AROUND_WINDOW = 1.3;

/** About how long `count` windows of `ms` take, one after the other. */
export function estimateWindowsMs(count: number, ms: number): number {
  return count * (ms + RAMP_MS) * AROUND_WINDOW;
}

/** Starts a side. */
export type StartSide = (plan: SidePlan) => Promise<LoadedSide>;
export const startSide: StartSide = (plan) => Side.start(plan);
/** What of a side the gate uses. */
export type LoadedSide = Pick<Side, "load" | "warmUp" | "window" | "finish" | "destroy">;

export class Side {
  private readonly plan: SidePlan;
  private readonly cluster: Cluster;
  private readonly leader: number;
  private readonly ackedFiles: string[] = [];
  private readonly faults: string[] = [];
  private acked = 0;

  private constructor(plan: SidePlan, cluster: Cluster, leader: number) {
    this.plan = plan;
    this.cluster = cluster;
    this.leader = leader;
  }

  /** Fresh processes on an empty directory, with a leader. */
  static async start(plan: SidePlan): Promise<Side> {
    await mkdir(plan.dir, { mode: 0o700 });
    const settings = { ...DEFAULT_SETTINGS, ...plan.settings };
    const { dir, env, seed, signal } = plan;
    const cluster = await Cluster.start({
      dir,
      env,
      nodeFlags: NODE_FLAGS,
      settings,
      basePort: 0,
      seed,
      traceEvery: traceEvery(settings),
      signal,
    });
    try {
      return new Side(plan, cluster, await cluster.waitForLeader(LEADER_TIMEOUT_MS));
    } catch (error) {
      await cluster.destroy();
      throw error;
    }
  }

  /** Whether all nodes follow proposals from now on; only with trace on. */
  async follow(on: boolean): Promise<void> {
    await this.cluster.follow(on ? this.cluster.traceEvery : 0);
  }

  /** Loads it for `ms`, and counts nothing. */
  async warmUp(inFlight: number, ms: number): Promise<void> {
    await this.load({ inFlight, warmupMs: ms, durationMs: 0, ackedMax: 0 });
  }

  /** One window of `ms`. */
  window(inFlight: number, ms: number): Promise<Window> {
    return this.load({ inFlight, warmupMs: RAMP_MS, durationMs: ms, ackedMax: 0 });
  }

  /** Loads the cluster once and waits until it is idle again. */
  async load(window: WindowPlan): Promise<Window> {
    const { cluster, leader, plan } = this;
    const nth = this.ackedFiles.length;
    const ackedPath = join(plan.dir, `acked-${nth}.bin`);
    this.ackedFiles.push(ackedPath);
    const before = await cluster.samples();
    const load = {
      ...window,
      primes: false,
      runId: (plan.seed ^ Math.imul(nth + 1, 0x9e3779b1)) >>> 0,
      client: leader,
      entryBytes: plan.settings.entryBytes ?? DEFAULT_SETTINGS.entryBytes,
      ratePerS: 0,
      arrivals: "constant" as const,
      perCall: 1,
      readsPerWrite: 0,
      seed: plan.seed,
    };
    const timeoutMs = window.warmupMs + window.durationMs + LOAD_SLACK_MS;
    const result = await cluster.call(leader, "load", { plan: load, ackedPath }, { timeoutMs });
    if (!(await cluster.catchUp(IDLE_TIMEOUT_MS))) this.faults.push("the followers did not catch up");
    const after = await cluster.samples();
    this.acked += result.acked;
    if (result.firstFailure !== null) this.faults.push(`a proposal was refused: ${result.firstFailure}`);
    if (result.unanswered > 0) this.faults.push(`${result.unanswered} proposals got no answer`);
    return {
      proposalsPerS: result.windowMs > 0 ? (result.done / result.windowMs) * 1000 : 0,
      acked: result.acked,
      cpuMs: total(after, cpuMsOf) - total(before, cpuMsOf),
      counters: countersOf(before, after, cluster.ids.indexOf(leader)),
    };
  }

  /**
   * Stops the cluster, checks its logs and removes them. Returns what is wrong with them; empty: nothing. Throws
   * BenchError if they are sound and the cluster was not: its figures are none, and say nothing of the engine.
   */
  async finish(): Promise<string[]> {
    const { cluster, plan } = this;
    const states = await cluster.stop();
    const nodes = cluster.logsOf(states);
    const wrong: string[] = [];
    const silent = nodes.filter(({ state }) => state === null);
    for (const { id } of silent) this.faults.push(`node ${id} did not close`);
    if (silent.length === 0) {
      const request = { nodes, ackedFiles: this.ackedFiles, ackedMin: this.acked };
      const truth = await runTruthCheck(request, plan.signal);
      wrong.push(...truth.findings.map((finding) => `logs: ${finding}`));
    }
    await this.destroy();
    if (wrong.length === 0 && this.faults.length > 0) {
      throw new BenchError("failed", `${plan.name}: ${this.faults.join("; ")}.`);
    }
    return [...wrong, ...this.faults];
  }

  /** Ends every process and removes the data, whatever state they are in. */
  async destroy(): Promise<void> {
    await this.cluster.destroy();
    await rm(this.plan.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Exported for tests. */
export function countersOf(
  before: readonly CountedSample[],
  after: readonly CountedSample[],
  leader: number,
): Window["counters"] {
  const counters = NODE_COUNTERS.map((name) => {
    const read = ({ metrics }: CountedSample) =>
      metrics.missing.includes(name) ? Number.NaN : metrics[name];
    return [name, total(after, read) - total(before, read)];
  });
  const allocatedBytes = after[leader].allocatedBytes - before[leader].allocatedBytes;
  return { ...Object.fromEntries(counters), allocatedBytes } as Window["counters"];
}

function total<T>(samples: readonly T[], read: (sample: T) => number): number {
  return samples.reduce((sum, sample) => sum + read(sample), 0);
}
