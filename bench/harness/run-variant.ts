// One variant, in fresh processes: start, elect, warm up, measure, let the followers catch up, stop, check the truth.
import { mkdir, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { encodeIntoCompressedBase64, type Histogram } from "hdr-histogram-js";
import type { NodeUse, PerCommit, Run } from "../report/result-schema.js";
import { ENTRY_BYTES_MIN, type Settings } from "./axes.js";
import { BenchError } from "./bench-error.js";
import { Cluster } from "./cluster.js";
import { eventFor, type Measures, measure as toMeasure, windowMs } from "./events.js";
import { LatencyCounts, percentileMs, toHistogram, UNITS_PER_MS } from "./latency.js";
import { DRAIN_MS_MAX, type LoadPlan, SERIES_STEP_MS } from "./load.js";
import type { LoadResult, ReplyOf } from "./protocol.js";
import { readTrace, type TraceFigures, traceEvery } from "./run-trace.js";
import type { Runtime } from "./runtimes.js";
import type { Load, Variant } from "./scenario.js";
import type { StateReport } from "./state-machine.js";
import type { TruthReport } from "./truth.js";
import { runTruthCheck } from "./truth-process.js";

export type Phase = "starting" | "warming up" | "measuring" | "catching up" | "checking the logs";

export interface VariantPlan {
  readonly variant: Variant;
  /** Of every process of the run. */
  readonly runtime: Runtime;
  /** Counts every run of the bench: no two have the same. */
  readonly sequence: number;
  readonly round: number;
  /** Once more for the same place in the same round. */
  readonly again: boolean;
  readonly load: Load;
  readonly basePort: number;
  readonly seed: number;
  readonly runDir: string;
  readonly keep: boolean;
  readonly signal: AbortSignal;
  readonly onPhase: (phase: Phase) => void;
  /** Proposals applied on the leader since the load began. */
  readonly onProgress: (acked: number) => void;
}

type Sample = ReplyOf<"sample">;

/** What a record of the log has beside the proposal's bytes, roughly: for the number that makes a log of a size. */
const RECORD_OVERHEAD_BYTES = 40;
/** With all nodes in one process, its use stands with the leader. */
const NO_PROCESS = { cpuUserMs: 0, cpuSystemMs: 0, mainThreadMs: null, otherThreadsMs: [] };
const LEADER_TIMEOUT_MS = 15_000;
const CATCH_UP_TIMEOUT_MS = 10_000;
/** Beyond the plan: warm-up and window are as long as asked, what each leaves behind is waited for. */
const LOAD_SLACK_MS = 15_000 + 2 * DRAIN_MS_MAX;

/**
 * Runs one variant. A run that proves nothing is returned with `void` set; a fault of the cluster throws BenchError. The
 * disk before and after is the caller's to look at.
 */
export async function runVariant(plan: VariantPlan): Promise<Run> {
  const dir = join(plan.runDir, directoryName(plan));
  await mkdir(dir, { mode: 0o700 });
  plan.onPhase("starting");
  const { settings } = plan.variant;
  const cluster = await Cluster.start({
    dir,
    settings,
    execPath: plan.runtime.execPath,
    nodeFlags: plan.runtime.flags,
    basePort: plan.basePort,
    seed: plan.seed + plan.sequence * 104_729,
    signal: plan.signal,
    traceEvery: traceEvery(settings),
  });
  try {
    const leader = await leaderOf(cluster);
    const runId = (plan.seed ^ Math.imul(plan.sequence + 1, 0x9e3779b1)) >>> 0;
    const ackedPath = join(dir, `acked-${leader}.bin`);
    const measured = await measure(cluster, leader, plan, runId, ackedPath);
    plan.onPhase("catching up");
    const faults = voidReasons(measured.load, settings);
    if (!(await cluster.catchUp(CATCH_UP_TIMEOUT_MS))) {
      faults.push(`the followers had not applied what the leader had within ${CATCH_UP_TIMEOUT_MS / 1000} s`);
    }
    const states = await cluster.stop();
    plan.onPhase("checking the logs");
    const truth = await checkLogs(cluster, states, ackedPath, measured.load.acked, plan.signal);
    if (!truth.ok) faults.push(...truth.findings.map((finding) => `logs: ${finding}`));
    return {
      ...figures(plan, cluster, leader, measured),
      measures: { ...readMeasures(measured.load), ...measured.measures, ...lostMeasure(settings, truth) },
      truth,
      stateHash: truth.stateHash,
      diskProbeUs: null,
      disturbed: [],
      void: faults,
    };
  } finally {
    await cluster.destroy();
    if (!plan.keep) await removeData(plan);
  }
}

type Place = Pick<VariantPlan, "runDir" | "variant" | "round" | "again">;

/** Removes what a run wrote, if anything is left of it. */
export async function removeData(place: Place): Promise<void> {
  await rm(join(place.runDir, directoryName(place)), { recursive: true, force: true, maxRetries: 3 });
}

function directoryName({ variant, round, again }: Place): string {
  const name = `variant-${variant.position + 1}${round === 0 ? "" : `-round-${round + 1}`}`;
  return again ? `${name}-again` : name;
}

/** The leader; never the node whose disk is slow on purpose. */
async function leaderOf(cluster: Cluster): Promise<number> {
  let leader = await cluster.waitForLeader(LEADER_TIMEOUT_MS);
  while (leader === cluster.slowNode) {
    await cluster.call(leader, "transfer", { to: cluster.ids[0] });
    leader = await cluster.waitForLeader(LEADER_TIMEOUT_MS, false);
  }
  return leader;
}

interface Measurement {
  readonly load: LoadResult;
  readonly trace: TraceFigures;
  /** What the run's event told. */
  readonly measures: Measures;
  readonly marks: NonNullable<Run["marks"]>;
  /** By node id. */
  readonly before: ReadonlyMap<number, Sample>;
  readonly after: ReadonlyMap<number, Sample>;
}

/** Drives the load in the leader's process or a client's, and reads every node's counters at the window's edges. */
async function measure(
  cluster: Cluster,
  leader: number,
  plan: VariantPlan,
  runId: number,
  ackedPath: string,
): Promise<Measurement> {
  const { settings } = plan.variant;
  const { warmupMs } = plan.load;
  const durationMs = windowMs(plan.load.durationMs, settings);
  const inLeader = settings.from === "leader";
  const loader = inLeader
    ? cluster.node(leader)
    : await cluster.startClient(clientOf(cluster, leader, settings));
  // Who runs the load takes its own sample, at the very edge.
  const others = cluster.ids.filter((id) => !inLeader || id !== leader);
  const event = eventFor({ cluster, leader, variant: plan.variant, durationMs, runId });
  const before = new Map<number, Sample>();
  const after = new Map<number, Sample>();
  const sampleOthers = async (into: Map<number, Sample>) => {
    for (const id of others) {
      // A leader that was killed counts from 0 again, if it runs again yet.
      const lost = settings.event === "kill-leader" && id === leader && into === after;
      if (lost || !cluster.alive.includes(id)) continue;
      const sample = await cluster.call(id, "sample", {}).catch((error: unknown) => {
        // Killed meanwhile, as the scenario wants it.
        if (cluster.alive.includes(id)) throw error;
        return null;
      });
      if (sample !== null) into.set(id, sample);
    }
  };
  const sampling: Promise<void>[] = [];
  loader.onProgress = plan.onProgress;
  loader.onWindow = (open) => {
    if (open) {
      plan.onPhase("measuring");
      event.opened();
    }
    const reading = sampleOthers(open ? before : after);
    reading.catch(() => {}); // Awaited below; until then a failure must not count as unhandled.
    sampling.push(reading);
  };
  plan.onPhase("warming up");
  const loading = loader.call(
    "load",
    {
      plan: {
        ...loadOf(settings),
        runId,
        client: leader,
        warmupMs,
        primes: true,
        durationMs,
        seed: plan.seed + plan.sequence,
      },
      ackedPath,
    },
    warmupMs + durationMs + LOAD_SLACK_MS,
    inLeader ? leader : loader.id,
  );
  const load = await cluster.orFailure(loading);
  await Promise.all(sampling);
  if (inLeader && load.before !== null && load.after !== null) {
    before.set(leader, load.before);
    after.set(leader, load.after);
  }
  const trace = await readTrace(cluster, leader, before.get(leader), after.get(leader));
  const measures = await cluster.orFailure(event.finish(load));
  return { load, trace, measures, marks: event.marks, before, after };
}

/** Whom a client knows: the leader, and who may lead after it. */
function clientOf(cluster: Cluster, leader: number, { event }: Settings): number[] {
  return event === "kill-leader" ? [leader, ...cluster.ids.filter((id) => id !== leader)] : [leader];
}

/** What of the load the settings decide. */
export function loadOf(
  settings: Settings,
): Pick<LoadPlan, "inFlight" | "entryBytes" | "ratePerS" | "arrivals" | "readsPerWrite" | "ackedMax"> {
  const { inFlight, entryBytes, rate, arrivals, readsPerWrite, logMb } = settings;
  const ackedMax = Math.ceil((logMb * 1e6) / (entryBytes + RECORD_OVERHEAD_BYTES));
  return { inFlight, entryBytes, ratePerS: rate, arrivals, readsPerWrite, ackedMax };
}

/** Codes that mean what the run is about: more offered than the engine takes. */
function isExpected(code: string, { rate }: Settings): boolean {
  return (code === "OVERLOAD" || code === "RAFT_OVERLOADED") && rate > 0;
}

function voidReasons(load: LoadResult, settings: Settings): string[] {
  const reasons: string[] = [];
  for (const [code, count] of Object.entries(load.failed)) {
    if (isExpected(code, settings)) continue;
    reasons.push(`${count} proposals were refused with ${code}: ${load.firstFailure}`);
  }
  if (load.unanswered > 0)
    reasons.push(`${load.unanswered} proposals got no answer; the cluster has lost its quorum`);
  if (load.done === 0) reasons.push("no proposal was applied within the measured window");
  return reasons;
}

function checkLogs(
  cluster: Cluster,
  states: ReadonlyMap<number, StateReport | null>,
  ackedPath: string,
  ackedMin: number,
  signal: AbortSignal,
): Promise<TruthReport> {
  const nodes = cluster.ids.map((id) => ({ id, dir: cluster.dirOf(id), state: states.get(id) ?? null }));
  const silent = nodes.filter(({ state }) => state === null).map(({ id }) => id);
  if (silent.length > 0) {
    const text = `node ${silent.join(", ")} did not close within 3 s of being asked: its disk may be stuck.`;
    throw new BenchError("failed", text);
  }
  return runTruthCheck({ nodes, ackedFiles: [ackedPath], ackedMin }, signal);
}

function figures(
  plan: VariantPlan,
  cluster: Cluster,
  leader: number,
  { load, trace, marks, before, after }: Measurement,
): Omit<Run, "measures" | "truth" | "stateHash" | "void" | "diskProbeUs" | "disturbed"> {
  const { settings, position } = plan.variant;
  const { total, max, sum } = load.latencies;
  const histogram = histogramOf(load.latencies);
  const shared = settings.link === "memory";
  const nodes = cluster.ids
    .flatMap((id) => useOf(id, id === leader, before.get(id), after.get(id)))
    .map((use) => (shared && !use.leader ? { ...use, ...NO_PROCESS } : use));
  const seconds = Math.max(load.windowMs, Number.MIN_VALUE) / 1000;
  const proposalsPerS = load.done / seconds;
  const counters = nodes.find((node) => node.leader)?.counters;
  const { link, node, options: nodeOptions } = cluster.openedAs(leader);
  const at = (percentile: number) => (total === 0 ? 0 : percentileMs(histogram, percentile));
  return {
    position,
    round: plan.round,
    sequence: plan.sequence,
    settings,
    nodeOptions,
    leader,
    link,
    node,
    load: {
      kind: settings.rate > 0 ? "open" : "closed",
      ratePerS: settings.rate > 0 ? settings.rate : null,
      arrivals: settings.rate > 0 ? settings.arrivals : null,
      due: load.due,
      from: settings.from,
    },
    warmup: load.warmup,
    generator: load.generator,
    windowMs: load.windowMs,
    done: load.done,
    acknowledged: load.acked,
    failed: load.failed,
    proposalsPerS,
    payloadBytesPerS: proposalsPerS * Math.max(settings.entryBytes, ENTRY_BYTES_MIN),
    latencyMs: {
      mean: total === 0 ? 0 : sum / total / UNITS_PER_MS,
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p99_9: at(99.9),
      p99_99: at(99.99),
      max: max / UNITS_PER_MS,
    },
    histogram: {
      unitUs: 1000 / UNITS_PER_MS,
      encoding: "HdrHistogram V2, compressed, base64",
      data: encodeIntoCompressedBase64(histogram),
    },
    series: { stepMs: SERIES_STEP_MS, applied: load.series, p99Ms: load.seriesP99Ms },
    ...(marks.length > 0 ? { marks: [...marks] } : {}),
    fsyncs: counters?.walSyncs ?? 0,
    entriesPerFsync:
      counters === undefined || counters.walSyncs === 0 ? null : counters.walEntries / counters.walSyncs,
    nodes,
    perCommit: {
      ...perCommit(nodes, load.done),
      fsyncsWaited: trace.fsyncsWaited,
      allocatedBytes: allocatedBytes(before.get(leader), after.get(leader), load.done),
    },
    waterfall: trace.waterfall,
    otherCpuShare: otherCpuShare(nodes, cluster.ids.length, load, settings),
  };
}

function histogramOf(latencies: LoadResult["latencies"]): Histogram {
  return toHistogram(LatencyCounts.of(latencies));
}

function readMeasures({ reads, readsDone, windowMs }: LoadResult): Measures {
  if (reads.total === 0) return {};
  const histogram = histogramOf(reads);
  const perS = readsDone / (windowMs / 1000);
  return {
    readsPerS: toMeasure(perS, "/s", "higher", "linearizable reads confirmed"),
    readP50Ms: toMeasure(percentileMs(histogram, 50), "ms", "lower", "readBarrier() until confirmed, median"),
    readP99Ms: toMeasure(
      percentileMs(histogram, 99),
      "ms",
      "lower",
      "readBarrier() until confirmed, 99th percentile",
    ),
  };
}

function lostMeasure({ event }: Settings, truth: TruthReport): Measures {
  if (event !== "kill-leader") return {};
  const lost = truth.findings.filter((finding) => finding.startsWith("acknowledged proposal")).length;
  return {
    acknowledgedLost: toMeasure(
      lost,
      "proposals",
      "lower",
      "acknowledged, and not on a quorum of the logs afterwards",
    ),
  };
}

/** What the whole cluster did in the window, by proposals applied in it. */
function perCommit(
  nodes: readonly NodeUse[],
  done: number,
): Omit<PerCommit, "fsyncsWaited" | "allocatedBytes"> {
  const each = (name: keyof NodeUse["counters"]) =>
    nodes.reduce((sum, { counters }) => sum + counters[name], 0) / Math.max(1, done);
  return {
    messages: each("messagesSent"),
    frames: each("framesSent"),
    sentBytes: each("bytesSent"),
    fsyncs: each("walSyncs"),
    walBytes: each("walBytes"),
    turns: (nodes.find(({ leader }) => leader)?.counters.turns ?? 0) / Math.max(1, done),
  };
}

function allocatedBytes(before: Sample | undefined, after: Sample | undefined, done: number): number | null {
  if (before === undefined || after === undefined || done === 0) return null;
  return (after.allocatedBytes - before.allocatedBytes) / done;
}

/** 0 where it is not known: a node that was killed in the window took its count with it. */
function otherCpuShare(
  nodes: readonly NodeUse[],
  count: number,
  { before, after }: LoadResult,
  { from }: Settings,
): number {
  if (before === null || after === null || nodes.length < count) return 0;
  const client = from === "client" ? cpuMsOf(after) - cpuMsOf(before) : 0;
  const ours = nodes.reduce((sum, node) => sum + node.cpuUserMs + node.cpuSystemMs, client);
  const all = after.machineBusyMs - before.machineBusyMs;
  return Math.max(0, all - ours) / ((after.atMs - before.atMs) * availableParallelism());
}

function cpuMsOf({ cpuUserMs, cpuSystemMs }: Sample): number {
  return cpuUserMs + cpuSystemMs;
}

/** The difference between two samples of one node; nothing if one is missing. */
function useOf(
  id: number,
  leader: boolean,
  before: Sample | undefined,
  after: Sample | undefined,
): NodeUse[] {
  if (before === undefined || after === undefined) return [];
  const windowMs = after.atMs - before.atMs;
  const earlier = new Map(before.threads.map(({ tid, cpuMs }) => [tid, cpuMs]));
  const threads = after.threads.map(({ tid, main, cpuMs }) => ({
    main,
    cpuMs: cpuMs - (earlier.get(tid) ?? 0),
  }));
  const others = threads.filter(({ main, cpuMs }) => !main && cpuMs >= 1).map(({ cpuMs }) => round(cpuMs));
  const main = threads.find((thread) => thread.main);
  const counters: Record<string, number> = {};
  for (const [name, value] of Object.entries(after.metrics)) {
    const start = before.metrics[name as keyof typeof before.metrics];
    if (typeof value === "number") counters[name] = value - Number(start);
  }
  return [
    {
      id,
      leader,
      windowMs: round(windowMs),
      cpuUserMs: round(after.cpuUserMs - before.cpuUserMs),
      cpuSystemMs: round(after.cpuSystemMs - before.cpuSystemMs),
      mainThreadMs: main === undefined ? null : round(main.cpuMs),
      otherThreadsMs: others.sort((a, b) => b - a),
      loopActiveShare: Math.min(1, (after.loopActiveMs - before.loopActiveMs) / windowMs),
      loopDelayMs: { p50: after.loopDelayP50Ms, p99: after.loopDelayP99Ms, max: after.loopDelayMaxMs },
      rssBytes: after.rssBytes,
      counters: counters as NodeUse["counters"],
    },
  ];
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
