// What the gate's figures mean. Noisy measures (throughput, CPU a commit) fail it only if the whole interval of
// head/base lies beyond the tolerance and the rank test agrees; counters only if every repeat of head is above every
// repeat of base by more than its slack. Void runs of head fail it always; those of base alone leave it unmeasured. Pure.
//
// The gate looks at its pairs more than once, since noise decides how many it takes: a group-sequential test (Pocock
// 1977). Whoever closes after any pair at 95 % closes on one head in five that loses just what is allowed. So it closes
// at few looks only, all at one level, that keeps the error of all of them and of all measures together at 5 %. It may
// open after any pair: that closes on nobody.

import { mean, median } from "simple-statistics";
import { groupsOf } from "../harness/groups.js";
import { CONFIDENCE, pairsMinAt, type RatioInterval, ratioOfLogs } from "../stats/intervals.js";
import type { Counted } from "./counted.js";
import { PAIRS_FACTOR_MAX, type Sample } from "./pairs.js";
import type { CounterName, Window } from "./side.js";
import type { Void } from "./voids.js";

interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  /** Over windows of one side that are of one length, those in which it stood still among them. */
  readonly of: (windows: readonly Window[]) => number;
}

/**
 * Of each interval, and of its test. With it, at most 5 % of heads that lose just what is allowed, in all four measures
 * and each by itself, close the gate, and the interval that is told holds the truth in at least 95 %, whenever the gate
 * ended (test/bench/gate-looks.test.ts simulates both).
 */
export const LOOK_CONFIDENCE = 0.99;
/** When the gate may close, in times of the pairs asked for; at the last it ends. */
const LOOKS: readonly number[] = [1, 2, 3, PAIRS_FACTOR_MAX];
/** Fewer pairs could open the gate at the first look, and not close it. */
export const GATE_PAIRS_MIN = pairsMinAt(LOOK_CONFIDENCE);

export const MEASURES = {
  throughput: {
    name: "throughput",
    unit: "proposals/s",
    better: "higher",
    // At least one: what did nothing at all is the least of all, and has a logarithm.
    of: (windows) => Math.max(1, mean(windows.map(({ proposalsPerS }) => proposalsPerS))),
  },
  cpu: {
    name: "CPU, all nodes",
    unit: "ms per 1000 commits",
    better: "lower",
    of: (windows) => (total(windows, "cpuMs") / Math.max(1, total(windows, "acked"))) * 1000,
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
  /** Who does not keep it, so that the limit is neither kept nor broken; null: both do. */
  readonly notKeptBy: "base" | "head" | "both" | null;
}

export interface Judgement {
  readonly tolerance: number;
  readonly findings: readonly Finding[];
  readonly limits: readonly Limit[];
  readonly voids: readonly Void[];
  /** `unmeasured`: base's own runs prove nothing, which says nothing of head. */
  readonly state: "open" | "closed" | "unmeasured";
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
  readonly voids: readonly Void[];
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
  const isVoid = (side: Void["side"]) => voids.some((one) => one.side === side);
  const state = isVoid("head") ? "closed" : isVoid("base") ? "unmeasured" : bad ? "closed" : "open";
  return { tolerance, findings, limits, voids, state };
}

/**
 * Whether the gate may end, of at least the `pairs` asked for: open where no measure that is too noisy to tell leans
 * towards a loss.
 */
export function isDecided(samples: readonly Sample[], pairs: number, tolerance: number): boolean {
  const { findings, state } = judge({ samples, counted: [], voids: [] }, tolerance);
  const had = findings[0].ratio.pairs;
  if (state !== "open") return LOOKS.some((times) => had === times * pairs);
  const leans = ({ measure, ratio: { estimate } }: Finding) =>
    (MEASURES[measure].better === "higher" ? estimate : 1 / estimate) < 1 - tolerance / 2;
  return !findings.some((each) => each.verdict === "undecided" && leans(each));
}

function finding(
  samples: readonly Sample[],
  inFlight: number,
  measure: MeasureName,
  tolerance: number,
): Finding {
  const { of, better } = MEASURES[measure];
  const ratio = pairedRatio(samples, of, LOOK_CONFIDENCE);
  const pairs = pairsOf(samples, of);
  return {
    inFlight,
    measure,
    base: median(pairs.map(({ base }) => base)),
    head: median(pairs.map(({ head }) => head)),
    ratio,
    verdict: verdictOf(ratio, better, tolerance),
  };
}

/**
 * Head by base over pairs of clusters. The windows of a pair share what its processes were born with, so that it is one
 * witness, however many windows it had; and each side is what it did in all of them, so that a window in which it stood
 * still counts.
 */
export function pairedRatio(
  samples: readonly Sample[],
  of: Measure["of"],
  confidence = CONFIDENCE,
): RatioInterval {
  return ratioOfLogs(
    pairsOf(samples, of).map(({ base, head }) => Math.log(head / base)),
    confidence,
  );
}

function pairsOf(samples: readonly Sample[], of: Measure["of"]): { base: number; head: number }[] {
  return groupsOf(samples, ({ pair }) => pair).map((own) => ({
    base: of(own.map(({ base }) => base)),
    head: of(own.map(({ head }) => head)),
  }));
}

function total(windows: readonly Window[], name: "cpuMs" | "acked"): number {
  return windows.reduce((sum, window) => sum + window[name], 0);
}

/** A ratio in words; `tolerance` 0.05 is 5 %. */
export function verdictOf(ratio: RatioInterval, better: "higher" | "lower", tolerance: number): Verdict {
  // As if higher were better: 0.9 is always a loss of 10 %.
  const [low, high] = better === "higher" ? [ratio.low, ratio.high] : [1 / ratio.high, 1 / ratio.low];
  const sure = ratio.pValue <= 1 - LOOK_CONFIDENCE;
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
  const notKeptBy = withoutFigures(base, head);
  const broken = hard && notKeptBy === null && Math.min(...head) > Math.max(...base) * (1 + slack);
  return { ...counted, hard, slack, broken, notKeptBy };
}

function withoutFigures(base: readonly number[], head: readonly number[]): Limit["notKeptBy"] {
  const [inBase, inHead] = [base, head].map((values) => values.every(Number.isFinite));
  if (inBase && inHead) return null;
  return inBase ? "head" : inHead ? "base" : "both";
}
