// Ratios whose samples come in groups: the windows of one pair of processes share what those processes were born with.
// A bootstrap that forgot it would be too sure of itself. Pure and seeded.
import { median, medianSorted, quantileSorted } from "simple-statistics";
import { assert } from "../../src/base/assert.js";
import { Prng } from "../../src/base/prng.js";
import { CONFIDENCE, type RatioInterval, signedRankPValue } from "./intervals.js";

export interface Group {
  readonly base: readonly number[];
  readonly head: readonly number[];
}

const RESAMPLES = 2000;

/**
 * The median of head/base over all samples of all groups. The interval draws groups anew, and samples within each
 * (two-stage bootstrap, percentiles); the rank test takes one median a group. `pairs` counts groups.
 */
export function groupedRatioInterval(groups: readonly Group[], seed: number): RatioInterval {
  const logs = groups.map(({ base, head }) => {
    assert(base.length === head.length && base.length > 0, "every sample has two sides");
    return base.map((value, i) => Math.log(head[i]) - Math.log(value));
  });
  assert(logs.length > 0 && logs.flat().every(Number.isFinite), "ratios of positive figures");
  const prng = new Prng(seed);
  const medians: number[] = [];
  for (let i = 0; i < RESAMPLES; i++) {
    const drawn: number[] = [];
    for (let j = 0; j < logs.length; j++) {
      const group = logs[prng.below(logs.length)];
      for (let k = 0; k < group.length; k++) drawn.push(group[prng.below(group.length)]);
    }
    medians.push(medianSorted(drawn.sort(ascending)));
  }
  medians.sort(ascending);
  const tail = (1 - CONFIDENCE) / 2;
  return {
    estimate: Math.exp(median(logs.flat())),
    low: Math.exp(quantileSorted(medians, tail)),
    high: Math.exp(quantileSorted(medians, 1 - tail)),
    pValue: signedRankPValue(logs.map((group) => median(group))),
    pairs: logs.length,
  };
}

function ascending(a: number, b: number): number {
  return a - b;
}
