// Intervals and the rank test against dumb twins, published values, and how often they are wrong.
import assert from "node:assert/strict";
import { test } from "node:test";
import { differs, medianInterval, ratioInterval, signedRankPValue } from "../../bench/stats/intervals.js";
import { Prng } from "../../src/base/prng.js";

/** About normal, by the sum of twelve uniforms. */
function noise(prng: Prng): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += prng.nextU32() / 4294967296;
  return sum;
}

/** Tries every assignment of signs. */
function naivePValue(differences: readonly number[]): number {
  const given = differences.filter((value) => value !== 0);
  const sizes = given.map(Math.abs);
  const ranks = sizes.map(
    (size) => sizes.filter((s) => s < size).length + (sizes.filter((s) => s === size).length + 1) / 2,
  );
  const sumOf = (positive: (i: number) => boolean) =>
    ranks.reduce((sum, rank, i) => (positive(i) ? sum + rank : sum), 0);
  const total = sumOf(() => true);
  const observed = Math.abs(sumOf((i) => given[i] > 0) - total / 2);
  let extreme = 0;
  for (let signs = 0; signs < 2 ** given.length; signs++) {
    if (Math.abs(sumOf((i) => (signs & (1 << i)) !== 0) - total / 2) >= observed - 1e-9) extreme++;
  }
  return extreme / 2 ** given.length;
}

test("the signed-rank p-value is that of trying every sign, ties and zeros included", () => {
  const prng = new Prng(3);
  for (let i = 0; i < 60; i++) {
    const values = Array.from({ length: 1 + prng.below(9) }, () => prng.below(9) - 3);
    assert.ok(Math.abs(signedRankPValue(values) - naivePValue(values)) < 1e-12, values.join(" "));
  }
});

test("p-values from R: wilcox.test", () => {
  // wilcox.test(c(1.83,.5,1.62,2.48,1.68,1.88,1.55,3.06,1.3), c(.878,.647,.598,2.05,1.06,1.29,1.06,3.14,1.29), paired)
  const x = [1.83, 0.5, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.3];
  const y = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
  const differences = x.map((value, i) => value - y[i]);
  assert.ok(Math.abs(signedRankPValue(differences) - 0.0390625) < 1e-12);
});

test("many pairs: the approximation meets the exact count", () => {
  const prng = new Prng(11);
  const values = Array.from({ length: 100 }, () => noise(prng) + 0.15);
  const exact = signedRankPValue(values);
  const approximate = signedRankPValue([...values, 1e-9]);
  assert.ok(Math.abs(exact - approximate) < 0.02, `${exact} and ${approximate}`);
});

test("nothing differs where there is nothing: no pairs but zeros, one pair, five pairs", () => {
  assert.equal(signedRankPValue([0, 0]), 1);
  assert.equal(signedRankPValue([5]), 1);
  assert.equal(signedRankPValue([1, 2, 3, 4, 5]), 0.0625);
  assert.equal(differs(ratioInterval([100, 100, 100, 100, 100], [150, 151, 152, 153, 154], 1)), false);
  assert.equal(
    differs(ratioInterval([100, 100, 100, 100, 100, 100], [150, 151, 152, 153, 154, 155], 1)),
    true,
  );
});

test("an interval holds its estimate, depends on the seed alone, and lies within the values", () => {
  const values = [5, 1, 9, 3, 7];
  const interval = medianInterval(values, 42);
  assert.deepEqual(interval, medianInterval(values, 42));
  assert.equal(interval.estimate, 5);
  assert.ok(interval.low >= 1 && interval.low <= 5 && interval.high >= 5 && interval.high <= 9);
  assert.deepEqual(medianInterval([4], 1), { estimate: 4, low: 4, high: 4 });
  assert.throws(() => medianInterval([], 1), /median of nothing/);
});

test("head/base and base/head are each other's inverse", () => {
  const base = [100, 110, 90, 105, 95, 102];
  const head = [120, 99, 100, 111, 130, 101];
  const one = ratioInterval(base, head, 7);
  const other = ratioInterval(head, base, 7);
  assert.ok(Math.abs(one.estimate * other.estimate - 1) < 1e-12);
  assert.equal(one.pValue, other.pValue);
  assert.equal(one.pairs, 6);
});

test("the interval misses the truth about as often as it says, and equals are seldom told apart", () => {
  const prng = new Prng(5);
  const trials = 300;
  let missed = 0;
  let alarms = 0;
  for (let trial = 0; trial < trials; trial++) {
    const base = Array.from({ length: 12 }, () => 1000 * Math.exp(0.05 * noise(prng)));
    const head = base.map((value) => value * 1.1 * Math.exp(0.05 * noise(prng)));
    const { low, high } = ratioInterval(base, head, trial);
    if (low > 1.1 || high < 1.1) missed++;
    const same = base.map(() => 1000 * Math.exp(0.05 * noise(prng)));
    if (differs(ratioInterval(base, same, trial))) alarms++;
  }
  assert.ok(missed / trials < 0.1, `missed ${missed} of ${trials}`);
  assert.ok(alarms / trials < 0.08, `${alarms} alarms of ${trials}`);
});
