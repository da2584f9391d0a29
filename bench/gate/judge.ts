// What the gate's figures mean. Noisy measures (throughput, CPU a commit) fail it only if the whole 95 % interval of
// head/base lies beyond the tolerance and the rank test agrees; counters only if every repeat of head is above every
// repeat of base by more than its slack. Void runs fail it always. Pure.

import { median } from "simple-statistics";
import { groupedRatioInterval } from "../stats/clusters.js";
import { CONFIDENCE, type RatioInterval } from "../stats/intervals.js";
import type { Counted } from "./counted.js";
import type { Sample } from "./pairs.js";
import type { CounterName, Window } from "./side.js";

interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  readonly of: (window: Window) => number;
}

export const MEASURES = {
  throughput: {
    name: "throughput",
    unit: "proposals/s",
    better: "higher",
    of: ({ proposalsPerS }) => proposalsPerS,
  },
  cpu: {
    name: "CPU, all nodes",
    unit: "ms per 1000 commits",
    better: "lower",
    of: ({ cpuMs, acked }) => (cpuMs / acked) * 1000,
  },
} satisfies Record<string, Measure>;
export type MeasureName = keyof typeof MEASURES;

/** `undecided`: the interval reaches from a loss beyond the tolerance to one within, or to none; more pairs would tell. */
export type Verdict = "worse" | "better" | "no difference found" | "within tolerance" | "undecided";

export interface Finding {
  readonly inFlight: number;
  readonly measure: MeasureName;
  readonly base: number;
  readonly head: number;
  readonly ratio: RatioInterval;
  readonly verdict: Verdict;
}

export interface Limit {
  readonly inFlight: number;
  readonly counter: CounterName;
  readonly base: readonly number[];
  readonly head: readonly number[];
  /** Only told, since it varies by itself; the others are hard. */
  readonly hard: boolean;
  readonly slack: number;
  readonly broken: boolean;
}

export interface Judgement {
  readonly tolerance: number;
  readonly findings: readonly Finding[];
  readonly limits: readonly Limit[];
  readonly voids: readonly string[];
  readonly passed: boolean;
}

/**
 * Beyond base's worst repeat by this share, a limit is broken. Messages and logged bytes are exact but for heartbeats;
 * a follower that was late spares syncs and frame headers; the heap's figure depends on when garbage was collected.
 */
const SLACK: Readonly<Record<CounterName, number>> = {
  messagesSent: 0.02,
  framesSent: 0.02,
  bytesSent: 0.04,
  walSyncs: 0.1,
  walBytes: 0.02,
  allocatedBytes: 0.1,
};

/** How messages share a frame depends on who was late, and at one in flight the heap is mostly the harness's own. */
function isHard({ counter, inFlight }: Pick<Counted, "counter" | "inFlight">): boolean {
  return counter !== "framesSent" && !(counter === "allocatedBytes" && inFlight === 1);
}

export interface Evidence {
  readonly samples: readonly Sample[];
  readonly counted: readonly Counted[];
  readonly voids: readonly string[];
}

export function judge({ samples, counted, voids }: Evidence, tolerance: number): Judgement {
  const loads = [...new Set(samples.map(({ inFlight }) => inFlight))];
  const names = Object.keys(MEASURES) as MeasureName[];
  const findings = loads.flatMap((inFlight) => {
    const at = samples.filter((sample) => sample.inFlight === inFlight);
    return names.map((name) => finding(at, inFlight, name, tolerance));
  });
  const limits = counted.map(limit);
  const bad = findings.some(({ verdict }) => verdict === "worse") || limits.some(({ broken }) => broken);
  return { tolerance, findings, limits, voids, passed: !bad && voids.length === 0 };
}

function finding(
  samples: readonly Sample[],
  inFlight: number,
  measure: MeasureName,
  tolerance: number,
): Finding {
  const { of, better } = MEASURES[measure];
  const ratio = pairedRatio(samples, of);
  return {
    inFlight,
    measure,
    base: median(samples.map(({ base }) => of(base))),
    head: median(samples.map(({ head }) => of(head))),
    ratio,
    verdict: verdictOf(ratio, better, tolerance),
  };
}

/** Head by base over all windows; those of one pair of clusters are one group. */
export function pairedRatio(samples: readonly Sample[], of: (window: Window) => number): RatioInterval {
  const groups = new Map<number, { base: number[]; head: number[] }>();
  for (const { pair, base, head } of samples) {
    const group = groups.get(pair) ?? { base: [], head: [] };
    groups.set(pair, group);
    group.base.push(of(base));
    group.head.push(of(head));
  }
  return groupedRatioInterval([...groups.values()]);
}

/** A ratio in words; `tolerance` 0.05 is 5 %. */
export function verdictOf(ratio: RatioInterval, better: "higher" | "lower", tolerance: number): Verdict {
  // As if higher were better: 0.9 is always a loss of 10 %.
  const [low, high] = better === "higher" ? [ratio.low, ratio.high] : [1 / ratio.high, 1 / ratio.low];
  const sure = ratio.pValue <= 1 - CONFIDENCE;
  if (high < 1 - tolerance && sure) return "worse";
  if (low > 1 && sure) return "better";
  if (low < 1 - tolerance) return "undecided";
  if (high < 1 && sure) return "within tolerance";
  return "no difference found";
}

function limit(counted: Counted): Limit {
  const { counter, base, head } = counted;
  const hard = isHard(counted);
  const slack = SLACK[counter];
  return { ...counted, hard, slack, broken: hard && Math.min(...head) > Math.max(...base) * (1 + slack) };
}
