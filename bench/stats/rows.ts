// One row a configuration: the runs of all rounds together, void and disturbed ones left out of the figures. Histograms
// are merged bucket by bucket, which is exact: percentiles are those of all the samples, never a mean of percentiles.
// Pure.
import { decodeFromCompressedBase64, type Histogram } from "hdr-histogram-js";
import { assert } from "../../src/base/assert.js";
import type { Settings } from "../harness/axes.js";
import { cpuMsOf } from "../harness/cpu.js";
import { groupsOf } from "../harness/groups.js";
import { percentileMs, UNITS_PER_MS } from "../harness/latency.js";
import type { Result, Run } from "../report/result-schema.js";
import { type Interval, medianInterval } from "./intervals.js";

export interface Row {
  readonly position: number;
  readonly settings: Settings;
  /** In the order of their rounds, void ones included. */
  readonly runs: readonly Run[];
  readonly voids: number;
  /** Runs that something else disturbed, void ones aside. */
  readonly disturbed: number;
  /** Median over the rounds; null: every run is void. */
  readonly proposalsPerS: Interval | null;
  /** Of all samples of all rounds. */
  readonly latencyMs: Run["latencyMs"] | null;
}

/** A row of which a run counts. */
export type CountedRow = Row & {
  readonly proposalsPerS: NonNullable<Row["proposalsPerS"]>;
  readonly latencyMs: NonNullable<Row["latencyMs"]>;
};

export function isCounted(row: Row): row is CountedRow {
  return row.proposalsPerS !== null && row.latencyMs !== null;
}

/** The item of the least cost; the first of several. */
export function leastOf<T>(items: readonly T[], cost: (item: T) => number): T {
  return items.reduce((a, b) => (cost(b) < cost(a) ? b : a));
}

/** The row of the highest throughput: of those of which an undisturbed run is left, if there are any. */
export function highestOf(rows: readonly CountedRow[]): CountedRow {
  const sound = rows.filter(({ runs }) => soundRuns(runs).length > 0);
  return leastOf(sound.length > 0 ? sound : rows, ({ proposalsPerS }) => -proposalsPerS.estimate);
}

/** Rows in the order of the table. */
export function rowsOf(result: Pick<Result, "runs">): Row[] {
  return groupsOf(result.runs, ({ position }) => position)
    .sort(([a], [b]) => a.position - b.position)
    .map(rowOf);
}

function rowOf(all: readonly Run[]): Row {
  const runs = [...all].sort((a, b) => a.round - b.round);
  const valid = validRuns(runs);
  return {
    position: runs[0].position,
    settings: runs[0].settings,
    runs,
    voids: runs.filter((run) => run.void.length > 0).length,
    disturbed: runs.filter((run) => run.void.length === 0 && run.disturbed.length > 0).length,
    proposalsPerS: valid.length === 0 ? null : medianInterval(valid.map((run) => run.proposalsPerS)),
    latencyMs: valid.length === 0 ? null : mergedLatency(valid),
  };
}

/** Runs whose figures are shown: disturbed ones only where there is no other. Comparisons count soundRuns alone. */
export function validRuns(runs: readonly Run[]): Run[] {
  const sound = soundRuns(runs);
  return sound.length > 0 ? sound : runs.filter((run) => run.void.length === 0);
}

/** Neither void nor disturbed. */
export function soundRuns<T extends Pick<Run, "void" | "disturbed">>(runs: readonly T[]): T[] {
  return runs.filter((run) => run.void.length === 0 && run.disturbed.length === 0);
}

/** CPU time of all nodes of a run within its window, in milliseconds. */
export function cpuMsOfNodes({ nodes }: Pick<Run, "nodes">): number {
  return nodes.reduce((sum, node) => sum + cpuMsOf(node), 0);
}

/** CPU time of all nodes, and of the load that one of them makes, for each proposal that was done, in microseconds. */
export function cpuUsPerCommit(runs: readonly Pick<Run, "nodes" | "done">[]): number {
  const cpuMs = runs.reduce((sum, run) => sum + cpuMsOfNodes(run), 0);
  const done = runs.reduce((sum, run) => sum + run.done, 0);
  return (cpuMs / Math.max(1, done)) * 1000;
}

/** Latencies of several runs as if they had been recorded into one. */
function mergedLatency(runs: readonly Run[]): Run["latencyMs"] {
  const merged = mergeHistograms(runs.map(({ histogram }) => histogram));
  const samples = runs.map(({ histogram }) => decode(histogram).totalCount);
  const total = samples.reduce((sum, count) => sum + count, 0);
  const max = Math.max(...runs.map(({ latencyMs }) => latencyMs.max));
  const at = (percentile: number) => (total === 0 ? 0 : percentileMs(merged, percentile, max));
  // Mean and maximum are exact in each run, a bucket's in the histogram.
  const sum = runs.reduce((so, run, i) => so + run.latencyMs.mean * samples[i], 0);
  return {
    mean: total === 0 ? 0 : sum / total,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p99_9: at(99.9),
    p99_99: at(99.99),
    max,
  };
}

/** One histogram that holds every sample of all; for percentiles in units of 0.1 us. */
export function mergeHistograms(stored: readonly Run["histogram"][]): Histogram {
  assert(stored.length > 0, "nothing to merge");
  const merged = decode(stored[0]);
  for (const histogram of stored.slice(1)) merged.add(decode(histogram));
  return merged;
}

function decode({ unitUs, data }: Run["histogram"]): Histogram {
  assert(unitUs === 1000 / UNITS_PER_MS, "histograms of one unit");
  return decodeFromCompressedBase64(data, 64);
}
