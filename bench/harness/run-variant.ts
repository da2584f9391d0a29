// One variant on a cluster that is up: visits that load it, and what they did and took together. Who starts the cluster,
// warms it up and checks its logs is the sitting (sitting.ts).
import { availableParallelism } from "node:os";
import { encodeIntoCompressedBase64, type Histogram } from "hdr-histogram-js";
import { Prng } from "../../src/base/prng.js";
import type { NodeUse, PerCommit, Run } from "../report/result-schema.js";
import { ENTRY_BYTES_MIN, type Settings } from "./axes.js";
import { ClusterFault } from "./bench-error.js";
import type { Cluster } from "./cluster.js";
import { cpuMsOf } from "./cpu.js";
import { type EventOutcome, followerOf, type Measures, measure as toMeasure } from "./event-parts.js";
import { eventFor, windowMs } from "./events.js";
import { LatencyCounts, percentileMs, toHistogram, UNITS_PER_MS } from "./latency.js";
import { DRAIN_MS_MAX, SERIES_STEP_MS } from "./load.js";
import { type Standing, standingOf, whyLost } from "./lost-lead.js";
import { RECORD_OVERHEAD_BYTES } from "./payload.js";
import type { LoadPlan, LoadResult, ReplyOf } from "./protocol.js";
import { NO_TRACE, readTrace, type TraceFigures, traceEvery } from "./run-trace.js";
import type { Variant } from "./scenario.js";
import { ratePerS } from "./sound-figures.js";
import { mergedEdges, mergedLoads, NO_LOAD } from "./visits.js";

export type Phase = "starting" | "warming up" | "measuring" | "catching up" | "checking the logs";

/** `plannedMs`: how long it is to take, where that is known. */
export type OnPhase = (phase: Phase, plannedMs?: number) => void;

/** Where a run stands in the bench. */
export interface VariantIn {
  readonly variant: Variant;
  /** Counts every run of the bench: no two have the same. */
  readonly sequence: number;
  readonly round: number;
}

export interface VariantPlan extends VariantIn {
  /** Right before each visit, on top of what the cluster has been warmed up with. */
  readonly warmupMs: number;
  /** The processes have done nothing yet: see LoadPlan.primes. */
  readonly primes: boolean;
  readonly seed: number;
  /** Clusters that are up beside it at the time, and have nothing to do. */
  readonly idle: () => readonly Cluster[];
  readonly onPhase: OnPhase;
  /** Proposals applied on the leader since the load began. */
  readonly onProgress: (acked: number) => void;
}

/** A run whose logs are not checked yet, and of which nobody has said yet what disturbed it. */
export type UncheckedRun = Omit<Run, "truth" | "stateHash" | "diskProbeUs" | "disturbed">;

type Sample = ReplyOf<"sample">;

/** With all nodes in one process, its use stands with the leader. */
const NO_PROCESS = { cpuUserMs: 0, cpuSystemMs: 0, mainThreadMs: null, otherThreadsMs: [] };
const LEADER_TIMEOUT_MS = 15_000;
const CATCH_UP_TIMEOUT_MS = 10_000;
/** Beyond the plan: warm-up and window are as long as asked, what each leaves behind is waited for. */
const LOAD_SLACK_MS = 15_000 + 2 * DRAIN_MS_MAX;

/**
 * A variant's run on `cluster`, visit by visit. A fault of the cluster throws BenchError; the disk is the caller's to
 * look at.
 */
export class VariantRun {
  private readonly cluster: Cluster;
  private readonly plan: VariantPlan;
  private readonly visits: Visit[] = [];
  private readonly faults: string[] = [];
  /** As the nodes stood before the first visit. */
  private standing: Standing = new Map();

  constructor(cluster: Cluster, plan: VariantPlan) {
    this.cluster = cluster;
    this.plan = plan;
  }

  /**
   * Loads the cluster once, for `durationMs`, and waits until all nodes have applied it. No two loads on a cluster have
   * the same run id.
   */
  async visit(durationMs: number, runId: number, ackedPath: string): Promise<void> {
    const { cluster, plan } = this;
    const { settings } = plan.variant;
    const leader = await leaderOf(cluster);
    await followEvery(cluster, settings);
    if (this.visits.length === 0) {
      this.standing = await standingOf(cluster);
      await cluster.samples(); // What stood still before is none of this run's.
    }
    const seed = arrivalsSeed(plan.seed, plan.sequence, this.visits.length);
    const visited = await visit(cluster, leader, plan, { durationMs, runId, ackedPath, seed });
    this.visits.push(visited);
    this.faults.push(...visited.faults);
    plan.onPhase("catching up");
    if (!(await cluster.catchUp(CATCH_UP_TIMEOUT_MS))) {
      const s = CATCH_UP_TIMEOUT_MS / 1000;
      this.faults.push(`the followers had not applied what the leader had within ${s} s`);
    }
  }

  /** What all visits did together. A run that proves nothing has `void` set. */
  async finish(): Promise<UncheckedRun> {
    const { cluster, plan, visits } = this;
    const { settings } = plan.variant;
    const { leader } = visits[0];
    const load = mergedLoads(visits.map((visited) => visited.load));
    const faults = [...voidReasons(load, settings), ...this.faults];
    const isDeposed = visits.some((visited) => visited.leader !== leader);
    if (isDeposed) faults.push("its leader lost the lead meanwhile");
    if (isDeposed || lostLead(load)) faults.push(...(await this.whyLost()));
    const before = new Map<number, Sample>();
    const after = new Map<number, Sample>();
    for (const id of cluster.ids) {
      const edges = visits.flatMap((visited) => {
        const [from, to] = [visited.before.get(id), visited.after.get(id)];
        return from === undefined || to === undefined ? [] : [{ before: from, after: to }];
      });
      if (edges.length < visits.length) continue;
      const merged = mergedEdges(edges);
      before.set(id, merged.before);
      after.set(id, merged.after);
    }
    const windows = visits.map((visited) => ({
      before: visited.before.get(leader),
      after: visited.after.get(leader),
    }));
    const trace = await readTrace(cluster, leader, windows);
    const idleCpuMs = visits.reduce((sum, visited) => sum + visited.idleCpuMs, 0);
    const marks = visits.flatMap((visited) => visited.marks);
    return {
      ...figures(plan, cluster, { leader, load, trace, marks, before, after, idleCpuMs }),
      measures: { ...readMeasures(load), ...visits[visits.length - 1].measures },
      void: faults,
    };
  }

  /** In place of finish() where the cluster did not do it in time, or broke. */
  unmeasured(why: string): UncheckedRun {
    const { cluster, plan, visits } = this;
    return unmeasured(plan, cluster, visits[0]?.leader ?? cluster.ids[0], why);
  }

  private async whyLost(): Promise<string[]> {
    const { cluster, visits, standing } = this;
    const samples = new Map<number, Sample[]>();
    for (const id of cluster.alive) {
      const atEdges = visits.flatMap(({ before, after }) =>
        [before.get(id) ?? [], after.get(id) ?? []].flat(),
      );
      const last = await cluster.call(id, "sample", {}).catch(() => null); // Since then.
      samples.set(id, last === null ? atEdges : [...atEdges, last]);
    }
    const { tickMs } = this.plan.variant.settings;
    const after = await standingOf(cluster);
    const why = whyLost({ leader: visits[0].leader, tickMs, before: standing, after, samples });
    return why === null ? [] : [why];
  }
}

/** A run without figures, and the reason. */
export function unmeasured(plan: VariantIn, cluster: Opened, leader: number, why: string): UncheckedRun {
  const nothing = { load: NO_LOAD, trace: NO_TRACE, before: new Map(), after: new Map(), idleCpuMs: 0 };
  return { ...figures(plan, cluster, { ...nothing, leader, marks: [] }), measures: {}, void: [why] };
}

/** What a run says of its cluster. */
type Opened = Pick<Cluster, "ids" | "openedAs">;

/** One that did not open. */
export const NOT_OPENED: Opened = {
  ids: [],
  openedAs: () => ({ link: "", node: "", options: {}, openMs: 0 }),
};

export interface WarmUpPlan {
  readonly ms: number;
  readonly seed: number;
  readonly runId: number;
  readonly ackedPath: string;
}

/** Loads `cluster` for `ms` as `settings` say, in processes that have done little yet, and measures nothing. */
export async function warmUp(
  cluster: Cluster,
  settings: Settings,
  { ms, seed, runId, ackedPath }: WarmUpPlan,
): Promise<{ readonly acked: number }> {
  const leader = await leaderOf(cluster);
  await followEvery(cluster, settings);
  const load = {
    ...loadOf(settings),
    runId,
    client: leader,
    warmupMs: ms,
    primes: true,
    durationMs: 0,
    seed,
  };
  const { acked } = await cluster.call(
    leader,
    "load",
    { plan: load, ackedPath },
    { timeoutMs: ms + LOAD_SLACK_MS },
  );
  await cluster.catchUp(CATCH_UP_TIMEOUT_MS);
  return { acked };
}

/** One proposal in how many is followed depends on the load, and the cluster has several. */
async function followEvery(cluster: Cluster, settings: Settings): Promise<void> {
  if (cluster.traceEvery === 0) return;
  await cluster.follow(traceEvery(settings));
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

/** What one visit, or all together, did. */
interface Measurement {
  readonly leader: number;
  readonly load: LoadResult;
  readonly marks: NonNullable<Run["marks"]>;
  /** By node id. */
  readonly before: ReadonlyMap<number, Sample>;
  readonly after: ReadonlyMap<number, Sample>;
  /** CPU time that the idle clusters took in the window. */
  readonly idleCpuMs: number;
}

/** With what the run's event told. */
interface Visit extends Measurement, EventOutcome {}

/** Draws the arrivals of one visit: those of every visit are others, and the same again for the same seed of the bench. */
export function arrivalsSeed(seed: number, sequence: number, visit: number): number {
  return new Prng(seed ^ Math.imul(sequence + 1, 0x9e3779b1) ^ Math.imul(visit + 1, 0x85ebca6b)).nextU32();
}

interface VisitPlan {
  readonly durationMs: number;
  readonly runId: number;
  readonly ackedPath: string;
  /** See LoadPlan. */
  readonly seed: number;
}

/** Drives the load in the leader's process or a client's, and reads every node's counters at the window's edges. */
async function visit(
  cluster: Cluster,
  leader: number,
  plan: VariantPlan,
  { runId, ackedPath, seed, ...of }: VisitPlan,
): Promise<Visit> {
  const { settings } = plan.variant;
  const { warmupMs, primes } = plan;
  const durationMs = windowMs(of.durationMs, settings);
  const inLeader = settings.from === "leader";
  const loader = inLeader
    ? cluster.node(leader)
    : await cluster.startClient(clientOf(cluster, leader, settings));
  const node = inLeader ? leader : loader.id;
  // Who runs the load takes its own sample, at the very edge.
  const others = cluster.ids.filter((id) => !inLeader || id !== leader);
  const haltLoad = () => loader.call("haltLoad", {}, undefined, node);
  const event = eventFor({ cluster, leader, variant: plan.variant, durationMs, runId, haltLoad });
  // Who is started again counts from 0 again.
  const startedAgain = startedAgainIn(cluster, leader, settings);
  const lasting = others.filter((id) => id !== startedAgain);
  const before = new Map<number, Sample>();
  const after = new Map<number, Sample>();
  const sampling: Promise<void>[] = [];
  loader.onProgress = plan.onProgress;
  loader.onWindow = (open) => {
    if (open) {
      plan.onPhase("measuring", durationMs);
      event.opened();
    } else event.closed();
    const reading = open ? sampleNodes(cluster, others, before) : sampleNodes(cluster, lasting, after);
    reading.catch(() => {}); // Awaited below; until then a failure must not count as unhandled.
    sampling.push(reading);
  };
  plan.onPhase("warming up", warmupMs);
  const loadPlan = { ...loadOf(settings), runId, client: leader, warmupMs, primes, durationMs, seed };
  const timeoutMs = warmupMs + durationMs + LOAD_SLACK_MS;
  const loads = loader.call("load", { plan: loadPlan, ackedPath }, { timeoutMs }, node);
  // Who runs the load gives signs of life, whatever becomes of the others.
  const heard = others.filter((id) => neverStops(id, leader, settings));
  const loading = heard.reduce((load, id) => cluster.node(id).whileHeard(load), loads);
  loading.catch(() => {}); // Awaited below; what fails before is told instead.
  const idle = plan.idle();
  const idleBefore = await idleUse(idle);
  const load = await cluster.orFailure(loading);
  await Promise.all(sampling);
  const idleAfter = await idleUse(idle);
  if (inLeader && load.before !== null && load.after !== null) {
    before.set(leader, load.before);
    after.set(leader, load.after);
  }
  const outcome = await cluster.orFailure(event.finish(load));
  const idleCpuMs = idleShare(idleBefore, idleAfter) * load.windowMs;
  return { leader, load, ...outcome, marks: event.marks, before, after, idleCpuMs };
}

/** Whether no event of the run stops or ends this node. */
function neverStops(id: number, leader: number, { event }: Settings): boolean {
  return event === "none" || (id === leader && event !== "kill-leader");
}

/** Whom the run's event kills and starts again; 0: nobody. */
function startedAgainIn(cluster: Cluster, leader: number, { event }: Settings): number {
  if (event === "kill-leader") return leader;
  return event === "catch-up" ? followerOf(cluster, leader) : 0;
}

/** Reads the counters of those of `ids` that are there. */
async function sampleNodes(
  cluster: Cluster,
  ids: readonly number[],
  into: Map<number, Sample>,
): Promise<void> {
  for (const id of ids) {
    if (!cluster.alive.includes(id)) continue;
    const sample = await cluster.call(id, "sample", {}).catch((error: unknown) => {
      // Killed meanwhile, as the scenario wants it.
      if (cluster.alive.includes(id)) throw error;
      return null;
    });
    if (sample !== null) into.set(id, sample);
  }
}

/** What idle clusters have used so far. */
interface IdleUse {
  readonly atMs: number;
  /** Null: it did not say in time, which is told at its own turn. */
  readonly cpuMs: readonly (number | null)[];
}

/** They tick, and what one of them does late is nobody else's. */
async function idleUse(idle: readonly Cluster[]): Promise<IdleUse> {
  const cpuMs = idle.map((cluster) =>
    cluster.samples().then(
      (samples) => samples.reduce((sum, sample) => sum + cpuMsOf(sample), 0),
      (error: unknown) => {
        if (error instanceof ClusterFault) return null;
        throw error;
      },
    ),
  );
  return { cpuMs: await Promise.all(cpuMs), atMs: performance.now() };
}

/** CPU time by time, of those that said so before and after. */
function idleShare(before: IdleUse, after: IdleUse): number {
  const used = after.cpuMs.map((ms, i) => (ms ?? 0) - (ms === null ? 0 : (before.cpuMs[i] ?? ms)));
  return used.reduce((sum, ms) => sum + ms, 0) / (after.atMs - before.atMs);
}

/** Whom a client knows: the leader, and who may lead after it. */
function clientOf(cluster: Cluster, leader: number, { event }: Settings): number[] {
  return event === "kill-leader" ? [leader, ...cluster.ids.filter((id) => id !== leader)] : [leader];
}

/** What of the load the settings decide. */
export function loadOf(
  settings: Settings,
): Pick<
  LoadPlan,
  "inFlight" | "perCall" | "entryBytes" | "ratePerS" | "arrivals" | "readsPerWrite" | "ackedMax"
> {
  const { inFlight, perCall, entryBytes, rate, arrivals, readsPerWrite, logMb, event } = settings;
  const ackedMax = event === "restart" ? Math.ceil((logMb * 1e6) / (entryBytes + RECORD_OVERHEAD_BYTES)) : 0;
  return { inFlight, perCall, entryBytes, ratePerS: rate, arrivals, readsPerWrite, ackedMax };
}

/** Codes that mean what the run is about: more offered than the engine takes. */
function isExpected(code: string, { rate }: Settings): boolean {
  return (code === "OVERLOAD" || code === "RAFT_OVERLOADED") && rate > 0;
}

/** Codes that a leader which is none any more refuses with, or lets go. */
const LOST_LEAD = ["RAFT_NOT_LEADER", "RAFT_NO_LEADER", "RAFT_LEADERSHIP_LOST", "RAFT_PROPOSAL_DROPPED"];

function lostLead({ failed, unanswered }: LoadResult): boolean {
  return unanswered > 0 || Object.keys(failed).some((code) => LOST_LEAD.includes(code));
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

function figures(
  plan: VariantIn,
  cluster: Opened,
  { leader, load, trace, marks, before, after, idleCpuMs }: Measurement & { readonly trace: TraceFigures },
): Omit<UncheckedRun, "measures" | "void"> {
  const { settings, position } = plan.variant;
  const histogram = histogramOf(load.latencies);
  const shared = settings.link === "memory";
  const nodes = cluster.ids
    .flatMap((id) => useOf(id, id === leader, before.get(id), after.get(id)))
    .map((use) => (shared && !use.leader ? { ...use, ...NO_PROCESS } : use));
  const proposalsPerS = ratePerS(load.done, load.windowMs);
  const counters = nodes.find((node) => node.leader)?.counters;
  const { link, node, options: nodeOptions } = cluster.openedAs(leader);
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
    latencyMs: latencyMs(load.latencies, histogram),
    histogram: {
      unitUs: 1000 / UNITS_PER_MS,
      encoding: "HdrHistogram V2, compressed, base64",
      data: encodeIntoCompressedBase64(histogram),
    },
    series: {
      stepMs: SERIES_STEP_MS,
      applied: load.series,
      ...(settings.rate > 0 ? { due: load.seriesDue } : {}),
      p99Ms: load.seriesP99Ms,
    },
    ...(marks.length > 0 ? { marks: [...marks] } : {}),
    fsyncs: counters?.walSyncs ?? 0,
    entriesPerFsync: entriesPerFsync(counters),
    nodes,
    perCommit: {
      ...perCommit(nodes, cluster.ids.length, load.done),
      fsyncsWaited: trace.fsyncsWaited,
      allocatedBytes: allocatedBytes(before.get(leader), after.get(leader), load.done),
    },
    waterfall: trace.waterfall,
    otherCpuShare: otherCpuShare(nodes, cluster.ids.length, load, settings, idleCpuMs),
    stolenCpuShare: stolenCpuShare(load),
  };
}

function latencyMs(
  { total, max, sum }: LoadResult["latencies"],
  histogram: Histogram,
): UncheckedRun["latencyMs"] {
  const at = (percentile: number) => (total === 0 ? 0 : percentileMs(histogram, percentile));
  return {
    mean: total === 0 ? 0 : sum / total / UNITS_PER_MS,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p99_9: at(99.9),
    p99_99: at(99.99),
    max: max / UNITS_PER_MS,
  };
}

function histogramOf(latencies: LoadResult["latencies"]): Histogram {
  return toHistogram(LatencyCounts.of(latencies));
}

function readMeasures({ reads, readsDone, windowMs }: LoadResult): Measures {
  if (reads.total === 0) return {};
  const histogram = histogramOf(reads);
  const perS = ratePerS(readsDone, windowMs);
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

/** What the whole cluster, of `count` nodes, did in the window, by proposals applied in it. Exported for tests. */
export function perCommit(
  nodes: readonly Pick<NodeUse, "leader" | "counters">[],
  count: number,
  done: number,
): Omit<PerCommit, "fsyncsWaited" | "allocatedBytes"> {
  const of = (values: readonly (number | undefined)[]) =>
    values.reduce<number | null>(
      (sum, value) => (sum === null || value === undefined ? null : sum + value / Math.max(1, done)),
      0,
    );
  const each = (name: keyof NodeUse["counters"]) =>
    nodes.length < count ? null : of(nodes.map(({ counters }) => counters[name]));
  return {
    messages: each("messagesSent"),
    frames: each("framesSent"),
    sentBytes: each("bytesSent"),
    fsyncs: each("walSyncs"),
    walBytes: each("walBytes"),
    turns: of([nodes.find(({ leader }) => leader)?.counters.turns]),
  };
}

function entriesPerFsync(counters: NodeUse["counters"] | undefined): number | null {
  const { walSyncs = 0, walEntries } = counters ?? {};
  return walSyncs === 0 || walEntries === undefined ? null : walEntries / walSyncs;
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
  idleCpuMs: number,
): number {
  if (before === null || after === null || nodes.length < count || after.atMs <= before.atMs) return 0;
  const client = from === "client" ? cpuMsOf(after) - cpuMsOf(before) : 0;
  const ours = nodes.reduce((sum, node) => sum + cpuMsOf(node), client + idleCpuMs);
  const all = after.machineBusyMs - before.machineBusyMs;
  return Math.max(0, all - ours) / ((after.atMs - before.atMs) * availableParallelism());
}

/** Of otherCpuShare, what the host of this virtual machine gave to others. */
function stolenCpuShare({ before, after }: LoadResult): number {
  if (before === null || after === null || after.atMs <= before.atMs) return 0;
  const stolenMs = after.machineStolenMs - before.machineStolenMs;
  return Math.max(0, stolenMs) / ((after.atMs - before.atMs) * availableParallelism());
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
    if (typeof value === "number" && !after.metrics.missing.includes(name))
      counters[name] = value - Number(start);
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
      loopActiveShare: windowMs > 0 ? Math.min(1, (after.loopActiveMs - before.loopActiveMs) / windowMs) : 0,
      loopDelayMs: { p50: after.loopDelayP50Ms, p99: after.loopDelayP99Ms, max: after.loopDelayMaxMs },
      rssBytes: after.rssBytes,
      counters: counters as NodeUse["counters"],
    },
  ];
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
