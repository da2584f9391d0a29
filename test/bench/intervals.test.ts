// Intervals and the rank test against dumb twins, published values, and how often they are wrong.
import assert from "node:assert/strict";
import { test } from "node:test";
import { medianInterval, PAIRS_MIN, ratioOfLogs, signedRankPValue } from "../../bench/stats/intervals.js";
import { Prng } from "../../src/base/prng.js";

/** About normal, by the sum of twelve uniforms. */
function noise(prng: Prng): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += prng.nextU32() / 4294967296;
  return sum;
}

const ratioInterval = (base: readonly number[], head: readonly number[]) =>
  ratioOfLogs(base.map((value, i) => Math.log(head[i]) - Math.log(value)));

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
  assert.ok(ratioInterval([100, 100, 100, 100, 100], [150, 151, 152, 153, 154]).pValue > 0.05);
  assert.ok(ratioInterval([100, 100, 100, 100, 100, 100], [150, 151, 152, 153, 154, 155]).pValue < 0.05);
});

test("the median's interval lies between the values that the sign test says", () => {
  assert.deepEqual(medianInterval([5, 1, 9, 3, 7]), { estimate: 5, low: 1, high: 9 });
  assert.deepEqual(medianInterval([4]), { estimate: 4, low: 4, high: 4 });
  assert.throws(() => medianInterval([]), /median of nothing/);
  // Places from below, as in the table of Conover, Practical Nonparametric Statistics (binomial, p = 1/2, 95 %).
  for (const [count, place] of [
    [6, 1],
    [8, 1],
    [9, 2],
    [12, 3],
    [15, 4],
    [20, 6],
    [50, 18],
  ]) {
    const interval = medianInterval(Array.from({ length: count }, (_, i) => i + 1));
    assert.deepEqual(interval, { estimate: (count + 1) / 2, low: place, high: count + 1 - place });
  }
});

test("a ratio's interval is R's: wilcox.test with conf.int, exact", () => {
  // The data of "p-values from R": centre 0.46, interval 0.01 to 0.786.
  const x = [1.83, 0.5, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.3];
  const y = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
  const { estimate, low, high } = ratioInterval(y.map(Math.exp), x.map(Math.exp));
  for (const [found, expected] of [
    [estimate, 0.46],
    [low, 0.01],
    [high, 0.786],
  ]) {
    assert.ok(Math.abs(Math.log(found) - expected) < 1e-9, `${Math.log(found)}, not ${expected}`);
  }
});

/** What noise of runs may look like: heavy tails, and tails on one side. */
const NOISES: Record<string, (prng: Prng) => number> = {
  normal: noise,
  "log-normal": (prng) => Math.exp(noise(prng)),
  "heavy-tailed (t, 2 degrees)": (prng) => noise(prng) / Math.sqrt((noise(prng) ** 2 + noise(prng) ** 2) / 2),
  "one in ten three times as slow": (prng) => noise(prng) + (prng.below(10) === 0 ? 30 : 0),
};

test("intervals cover what they say, whatever the noise, from six rounds on", () => {
  const seed = 15;
  const prng = new Prng(seed);
  const trials = 1500;
  for (const [name, draw] of Object.entries(NOISES)) {
    const many = Array.from({ length: 200_001 }, () => draw(prng)).sort((a, b) => a - b);
    const centre = many[100_000];
    for (const rounds of [PAIRS_MIN, 8, 10, 20]) {
      let medians = 0;
      let ratios = 0;
      for (let trial = 0; trial < trials; trial++) {
        const values = Array.from({ length: rounds }, () => draw(prng));
        const median = medianInterval(values);
        if (median.low <= centre && median.high >= centre) medians++;
        const head = values.map(() => 1.1 * Math.exp(0.05 * draw(prng)));
        const base = values.map((value) => Math.exp(0.05 * value));
        const ratio = ratioInterval(base, head);
        if (ratio.low <= 1.1 && ratio.high >= 1.1) ratios++;
      }
      // Three standard deviations of what 1500 trials show of 95 %.
      for (const covered of [medians, ratios]) {
        assert.ok(
          covered / trials > 0.95 - 0.017,
          `${covered} of ${trials}: ${name}, ${rounds} rounds, seed ${seed}`,
        );
      }
    }
  }
});

test("head/base and base/head are each other's inverse", () => {
  const base = [100, 110, 90, 105, 95, 102];
  const head = [120, 99, 100, 111, 130, 101];
  const one = ratioInterval(base, head);
  const other = ratioInterval(head, base);
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
    const { low, high } = ratioInterval(base, head);
    if (low > 1.1 || high < 1.1) missed++;
    const same = base.map(() => 1000 * Math.exp(0.05 * noise(prng)));
    const equal = ratioInterval(base, same);
    if (equal.pValue <= 0.05 && (equal.low > 1 || equal.high < 1)) alarms++;
  }
  assert.ok(missed / trials < 0.1, `missed ${missed} of ${trials}`);
  assert.ok(alarms / trials < 0.08, `${alarms} alarms of ${trials}`);
});
