// Where a series changed its level: binary segmentation on the logarithm of the values. The best split of a segment
// (least squares, so the largest scaled difference of the means) counts if a permutation test says that shuffled values
// seldom split as well; then both halves are searched. A curve without a change has to pass the first test to be searched
// at all, so that P_MAX is the chance of a false change for the whole curve (test/bench/history.test.ts), and near it where
// there are true ones. Runs are taken for independent: where each resembles the one before it (lag-1 correlation 0.3, 30
// runs), 9 % of such curves show a change. Pure and seeded.
import { mean } from "simple-statistics";
import { Prng } from "../../src/base/prng.js";

export interface ChangePoint {
  /** The first value of the new level. */
  readonly index: number;
  readonly before: number;
  readonly after: number;
  readonly pValue: number;
}

export const P_MAX = 0.01;
const PERMUTATIONS = 999;
/** A level has at least so many values: a single odd run is none. */
const LEVEL_MIN = 3;
/** Of fewer, chance splits even two levels without noise as well more often than P_MAX: of 9 in 2 shuffles of 126. */
export const MARKED_MIN = 10;

/** Change points of positive values, in order. */
export function changePoints(values: readonly number[], seed = 1): ChangePoint[] {
  const logs = values.map(Math.log);
  const splits: { index: number; pValue: number }[] = [];
  const search = (from: number, to: number) => {
    const segment = logs.slice(from, to);
    const best = bestSplit(segment);
    if (best === null) return;
    const pValue = permutationPValue(segment, best.score, seed + from);
    if (pValue > P_MAX) return;
    search(from, from + best.at);
    splits.push({ index: from + best.at, pValue });
    search(from + best.at, to);
  };
  search(0, logs.length);
  const edges = [0, ...splits.map(({ index }) => index), logs.length];
  const level = (i: number) => Math.exp(mean(logs.slice(edges[i], edges[i + 1])));
  return splits.map(({ index, pValue }, i) => ({ index, before: level(i), after: level(i + 1), pValue }));
}

/** Where the sum of squares falls most, and by how much; null: too short to have two levels. */
function bestSplit(segment: readonly number[]): { at: number; score: number } | null {
  const total = segment.reduce((sum, value) => sum + value, 0);
  let best: { at: number; score: number } | null = null;
  let left = 0;
  for (let at = 1; at < segment.length; at++) {
    left += segment[at - 1];
    const rest = segment.length - at;
    if (at < LEVEL_MIN || rest < LEVEL_MIN) continue;
    const difference = left / at - (total - left) / rest;
    const score = ((at * rest) / segment.length) * difference * difference;
    if (best === null || score > best.score) best = { at, score };
  }
  return best;
}

function permutationPValue(segment: readonly number[], score: number, seed: number): number {
  const prng = new Prng(seed);
  const shuffled = [...segment];
  let asGood = 0;
  for (let i = 0; i < PERMUTATIONS; i++) {
    for (let j = shuffled.length - 1; j > 0; j--) {
      const k = prng.below(j + 1);
      [shuffled[j], shuffled[k]] = [shuffled[k], shuffled[j]];
    }
    // Equal values give equal scores but for the rounding of sums in another order.
    if (bestSplit(shuffled)!.score >= score * (1 - 1e-9)) asGood++;
  }
  return (asGood + 1) / (PERMUTATIONS + 1);
}
