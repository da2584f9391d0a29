// Ratios whose samples come in groups: the windows of one pair of processes share what those processes were born with,
// so that a pair is one witness, however many windows it had. Pure.
import { mean, medianSorted } from "simple-statistics";
import { assert } from "../../src/base/assert.js";
import { CONFIDENCE, type RatioInterval, rankSumWithin, signedRankPValue } from "./intervals.js";

export interface Group {
  readonly base: readonly number[];
  readonly head: readonly number[];
}

/**
 * Head/base over groups, each of which counts as the geometric mean of its samples' ratios. The estimate is the median
 * of the means of all pairs of groups (Hodges and Lehmann), the interval holds every ratio that Wilcoxon's signed-rank
 * test does not reject (Tukey), so that both and the p-value speak of one test: exact for any distribution that is
 * symmetric in logarithms, and nearly as sharp as a t-interval. Of fewer groups than the test needs it is their range.
 */
export function groupedRatioInterval(groups: readonly Group[]): RatioInterval {
  const logs = groups.map(({ base, head }) => {
    assert(base.length === head.length && base.length > 0, "every sample has two sides");
    return mean(base.map((value, i) => Math.log(head[i]) - Math.log(value)));
  });
  assert(logs.length > 0 && logs.every(Number.isFinite), "ratios of positive figures");
  const averages = walshAverages(logs);
  const outside = rankSumWithin(logs.length, (1 - CONFIDENCE) / 2);
  return {
    estimate: Math.exp(medianSorted(averages)),
    low: Math.exp(averages[outside]),
    high: Math.exp(averages[averages.length - 1 - outside]),
    pValue: signedRankPValue(logs),
    pairs: logs.length,
  };
}

/** The mean of every two values and of each with itself, ascending: n (n + 1) / 2 of them. */
function walshAverages(values: readonly number[]): number[] {
  const averages = values.flatMap((value, i) => values.slice(i).map((other) => (value + other) / 2));
  return averages.sort((a, b) => a - b);
}
