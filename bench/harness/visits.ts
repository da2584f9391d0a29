// Several visits to one cluster, each a window of its own, as if they had been one window: counts are added, what was
// sampled at the edges is put together from the differences within the visits, so that what happened between them is in
// no figure. Pure.
import { median } from "simple-statistics";
import { assert } from "../../src/base/assert.js";
import { LatencyCounts } from "./latency.js";
import { isStable, STABLE_WINDOWS } from "./load.js";
import type { LoadResult, ReplyOf } from "./protocol.js";

type Sample = ReplyOf<"sample">;

/** A counter's readings before and after a visit. */
export interface Edges {
  readonly before: Sample;
  readonly after: Sample;
}

/** The first visit's sample before, and one after that is ahead of it by what all visits took together. */
export function mergedEdges(visits: readonly Edges[]): Edges {
  assert(visits.length > 0, "a visit");
  const { before } = visits[0];
  const last = visits[visits.length - 1].after;
  const sum = (of: (sample: Sample) => number) =>
    visits.reduce((total, visit) => total + of(visit.after) - of(visit.before), of(before));
  const most = (of: (sample: Sample) => number) => Math.max(...visits.map((visit) => of(visit.after)));
  const threadMs = (tid: number, { threads }: Sample) =>
    threads.find((thread) => thread.tid === tid)?.cpuMs ?? 0;
  const metrics = Object.fromEntries(
    Object.entries(last.metrics).map(([name, value]) => {
      const read = (sample: Sample) => sample.metrics[name as keyof Sample["metrics"]] as number;
      return [name, typeof value === "number" ? sum(read) : value];
    }),
  ) as Sample["metrics"];
  const after: Sample = {
    atMs: sum(({ atMs }) => atMs),
    clockUs: last.clockUs,
    cpuUserMs: sum(({ cpuUserMs }) => cpuUserMs),
    cpuSystemMs: sum(({ cpuSystemMs }) => cpuSystemMs),
    machineBusyMs: sum(({ machineBusyMs }) => machineBusyMs),
    machineStolenMs: sum(({ machineStolenMs }) => machineStolenMs),
    threads: last.threads.map(({ tid, main }) => ({ tid, main, cpuMs: sum((at) => threadMs(tid, at)) })),
    loopActiveMs: sum(({ loopActiveMs }) => loopActiveMs),
    loopDelayP50Ms: median(visits.map((visit) => visit.after.loopDelayP50Ms)),
    loopDelayP99Ms: most(({ loopDelayP99Ms }) => loopDelayP99Ms),
    loopDelayMaxMs: most(({ loopDelayMaxMs }) => loopDelayMaxMs),
    rssBytes: last.rssBytes,
    allocatedBytes: sum(({ allocatedBytes }) => allocatedBytes),
    metrics,
  };
  return { before, after };
}

/** What a load did of which nothing is known. */
export const NO_LOAD: LoadResult = {
  done: 0,
  due: null,
  windowMs: 0,
  latencies: new LatencyCounts(),
  reads: new LatencyCounts(),
  readsDone: 0,
  series: [],
  seriesDue: [],
  seriesP99Ms: [],
  warmup: { ms: 0, stable: false },
  generator: { lagP50Us: 0, lagP99Us: 0, lagMaxUs: 0 },
  acked: 0,
  failed: {},
  firstFailure: null,
  unanswered: 0,
  failover: null,
  before: null,
  after: null,
};

/** What the visits did, together. Each was warmed up right before; it was stable if the last of them did about the same. */
export function mergedLoads(visits: readonly LoadResult[]): LoadResult {
  assert(visits.length > 0, "a visit");
  if (visits.length === 1) return visits[0];
  const sum = (of: (visit: LoadResult) => number) => visits.reduce((total, visit) => total + of(visit), 0);
  const most = (of: (visit: LoadResult) => number) => Math.max(...visits.map(of));
  const failed: Record<string, number> = {};
  for (const visit of visits) {
    for (const [code, count] of Object.entries(visit.failed)) failed[code] = (failed[code] ?? 0) + count;
  }
  const edges = visits.flatMap(({ before, after }) =>
    before === null || after === null ? [] : [{ before, after }],
  );
  const rates = visits.map(({ done, windowMs }) => done / Math.max(windowMs, 1));
  return {
    done: sum(({ done }) => done),
    due: visits.every(({ due }) => due === null) ? null : sum(({ due }) => due ?? 0),
    windowMs: sum(({ windowMs }) => windowMs),
    latencies: mergedCounts(visits.map(({ latencies }) => latencies)),
    reads: mergedCounts(visits.map(({ reads }) => reads)),
    readsDone: sum(({ readsDone }) => readsDone),
    series: visits.flatMap(({ series }) => series),
    seriesDue: visits.flatMap(({ seriesDue }) => seriesDue),
    seriesP99Ms: visits.flatMap(({ seriesP99Ms }) => seriesP99Ms),
    warmup: {
      ms: sum(({ warmup }) => warmup.ms),
      stable: rates.length < STABLE_WINDOWS ? visits.every(({ warmup }) => warmup.stable) : isStable(rates),
    },
    generator: {
      lagP50Us: median(visits.map(({ generator }) => generator.lagP50Us)),
      lagP99Us: most(({ generator }) => generator.lagP99Us),
      lagMaxUs: most(({ generator }) => generator.lagMaxUs),
    },
    acked: sum(({ acked }) => acked),
    failed,
    firstFailure: visits.find(({ firstFailure }) => firstFailure !== null)?.firstFailure ?? null,
    unanswered: sum(({ unanswered }) => unanswered),
    failover: null,
    ...(edges.length === visits.length ? mergedEdges(edges) : { before: null, after: null }),
  };
}

function mergedCounts(all: readonly LoadResult["latencies"][]): LoadResult["latencies"] {
  const merged = new LatencyCounts();
  for (const one of all) merged.add(one);
  const { counts, total, max, sum } = merged;
  return { counts, total, max, sum };
}
