// How configurations of one table compare, all statements together: whatever the table makes one look for, and however
// the best was picked, in at most 5 % of tables of equals does any statement hold. Pure and seeded.
//
// Method: simultaneous intervals by the greatest |t| of the family (max-T: Hothorn, Bretz and Westfall 2008, section 3;
// in one place it is Tukey's studentized range) on the logarithms of throughput, runs of one round paired. The family
// is every pair of every place, and every pair over all places. The critical value is simulated for the table's shape
// with the very statistic that is used. Two things keep the error where noise is not as in the textbook: a pair's
// variance is never taken for less than that of its place, so that few rounds that happen to agree prove nothing; and
// two successive rounds make one block for the variance, since most of what varies is what a process is born with, so
// that it is known from more values (a machine that drifts between them makes intervals wider, never too narrow). Heavy
// tails make a t-test careful (Benjamini 1983). Distribution-free tests need 2 / 2^rounds <= 5 % / statements: nine
// rounds for nine statements, which is why they are not used. `npm run bench:selftest -- verdict` shows what it keeps.
import { mean, quantileSorted } from "simple-statistics";
import { assert } from "../../src/base/assert.js";
import { Prng } from "../../src/base/prng.js";

/** Logarithms of what one configuration did, by round. */
export type Rounds = ReadonlyMap<number, number>;
/** What the same configurations did at one place; one that has no figures there has an empty map. */
export type Place = readonly Rounds[];

export interface Comparison {
  /** Throughput of the first by that of the second. */
  readonly estimate: number;
  /** Simultaneous interval: all of the family's hold at once in 95 % of tables. Null: too few rounds for any. */
  readonly interval: { readonly low: number; readonly high: number } | null;
  /** The interval excludes 1. */
  readonly proven: boolean;
  readonly rounds: number;
  /** So many would prove what was seen, if it stays as it is; null: more than can be told. */
  readonly roundsNeeded: number | null;
}

/** Two rounds that agree by chance are no rarity: one in eight where processes are born in one of two kinds. */
export const ROUNDS_MIN = 3;
/** Half a percent more than is said, for what the simulation does not know. */
const LEVEL = 0.955;
const ROUNDS_PER_BLOCK = 2;
const SEED = 1;
/** The critical value hardly changes beyond. */
const ROUNDS_SIMULATED_MAX = 20;
const ROUNDS_TOLD = [3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 25, 30, 40, 60, 100];
const TRIALS_MAX = 6000;
const TRIALS_MIN = 200;
/** Bounds the simulation to about a second. */
const WORK_MAX = 2e7;

/** What pairs of one place tell: difference of logarithms, and the variance of it that one round leaves. */
interface PairStats {
  readonly difference: number;
  readonly squares: number;
  readonly freedom: number;
  readonly rounds: number;
}

/** Difference and variance of its mean. */
interface Estimate {
  readonly difference: number;
  readonly variance: number;
  readonly rounds: number;
}

export class Family {
  private readonly places: readonly Place[];
  private readonly members: number;
  private readonly estimates: readonly ReadonlyMap<number, Estimate>[];

  /** Every place has the same configurations, in the same order. */
  constructor(places: readonly Place[]) {
    assert(places.length > 0 && places[0].length > 1, "something to compare");
    assert(
      places.every((place) => place.length === places[0].length),
      "the same configurations everywhere",
    );
    this.places = places;
    this.members = places[0].length;
    this.estimates = places.map((place) => estimatesOf(pairsOf(place)));
  }

  /** Statements that hold together. */
  get size(): number {
    const pairs = (this.members * (this.members - 1)) / 2;
    return pairs * (this.places.length + (this.places.length > 1 ? 1 : 0));
  }

  /** Configuration `a` by `b` at one place; null: there is no round in which both count. */
  at(place: number, a: number, b: number): Comparison | null {
    const found = this.estimates[place].get(this.key(a, b));
    return found === undefined ? null : this.compared(found, a < b ? 1 : -1);
  }

  /** The geometric mean over all places; null: at one of them there is nothing to compare. */
  overall(a: number, b: number): Comparison | null {
    const found = this.estimates.flatMap((estimates) => estimates.get(this.key(a, b)) ?? []);
    if (found.length < this.places.length) return null;
    return this.compared(averaged(found), a < b ? 1 : -1);
  }

  private key(a: number, b: number): number {
    return Math.min(a, b) * this.members + Math.max(a, b);
  }

  private compared({ difference, variance, rounds }: Estimate, sign: number): Comparison {
    const critical = (given: number) => criticalValue(this.places.length, this.members, given);
    const estimate = Math.exp(sign * difference);
    const provenWith = (given: number) =>
      Math.abs(difference) > critical(given) * Math.sqrt((variance * rounds) / given);
    const proven = rounds >= ROUNDS_MIN && provenWith(rounds);
    const enough = proven ? rounds : leastOf(ROUNDS_TOLD, (given) => given > rounds && provenWith(given));
    const roundsNeeded = rounds < 2 ? ROUNDS_MIN : enough;
    if (rounds < ROUNDS_MIN) return { estimate, interval: null, proven, rounds, roundsNeeded };
    const half = critical(rounds) * Math.sqrt(variance);
    const interval = { low: estimate * Math.exp(-half), high: estimate * Math.exp(half) };
    return { estimate, interval, proven, rounds, roundsNeeded };
  }
}

/** The least of ascending `values` that is `enough`, as are all beyond it. */
function leastOf(values: readonly number[], enough: (value: number) => boolean): number | null {
  let from = 0;
  let to = values.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (enough(values[middle])) to = middle;
    else from = middle + 1;
  }
  return values[from] ?? null;
}

/** By a * members + b, for a < b. */
function pairsOf(place: Place): Map<number, PairStats> {
  const pairs = new Map<number, PairStats>();
  for (let a = 0; a < place.length; a++) {
    for (let b = a + 1; b < place.length; b++) {
      const rounds = [...place[a].keys()].filter((round) => place[b].has(round)).sort((x, y) => x - y);
      if (rounds.length === 0) continue;
      const of = (member: Rounds) => rounds.map((round) => member.get(round)!);
      pairs.set(a * place.length + b, pairStats(of(place[a]), of(place[b]), rounds));
    }
  }
  return pairs;
}

/** Two-way analysis of variance of two configurations by blocks of rounds; see the top. */
function pairStats(a: readonly number[], b: readonly number[], rounds: readonly number[]): PairStats {
  const meanA = mean(a as number[]);
  const meanB = mean(b as number[]);
  let squares = 0;
  let blocks = 0;
  for (let from = 0; from < rounds.length; ) {
    const block = Math.floor(rounds[from] / ROUNDS_PER_BLOCK);
    let sum = 0;
    let end = from;
    for (; end < rounds.length && Math.floor(rounds[end] / ROUNDS_PER_BLOCK) === block; end++) {
      const [ofA, ofB] = [a[end] - meanA, b[end] - meanB];
      squares += ofA * ofA + ofB * ofB;
      sum += ofA + ofB;
    }
    squares -= (sum * sum) / (2 * (end - from));
    blocks++;
    from = end;
  }
  const freedom = 2 * rounds.length - 1 - blocks;
  return { difference: meanA - meanB, squares: Math.max(0, squares), freedom, rounds: rounds.length };
}

/** No pair's variance is less than that of all pairs of its place together. */
function estimatesOf(pairs: ReadonlyMap<number, PairStats>): Map<number, Estimate> {
  let squares = 0;
  let freedom = 0;
  for (const pair of pairs.values()) {
    squares += pair.squares;
    freedom += pair.freedom;
  }
  const common = freedom === 0 ? 0 : squares / freedom;
  const estimates = new Map<number, Estimate>();
  for (const [key, pair] of pairs) {
    const own = pair.freedom === 0 ? 0 : pair.squares / pair.freedom;
    const variance = (2 * Math.max(own, common)) / pair.rounds;
    estimates.set(key, { difference: pair.difference, variance, rounds: pair.rounds });
  }
  return estimates;
}

function averaged(estimates: readonly Estimate[]): Estimate {
  const count = estimates.length;
  return {
    difference: estimates.reduce((sum, { difference }) => sum + difference, 0) / count,
    variance: estimates.reduce((sum, { variance }) => sum + variance, 0) / (count * count),
    rounds: Math.min(...estimates.map(({ rounds }) => rounds)),
  };
}

const criticalValues = new Map<string, number>();

/** What the greatest |t| of a family of equals exceeds in 5 % of tables of this shape. Of one round there is no t. */
function criticalValue(places: number, members: number, given: number): number {
  const rounds = Math.max(2, Math.min(ROUNDS_SIMULATED_MAX, given));
  const key = `${places} ${members} ${rounds}`;
  const known = criticalValues.get(key);
  if (known !== undefined) return known;
  const work = (places * members * (members - 1) * rounds) / 2;
  const trials = Math.round(Math.max(TRIALS_MIN, Math.min(TRIALS_MAX, WORK_MAX / work)));
  const normal = normals(new Prng(SEED));
  const greatest = Array.from({ length: trials }, () => greatestT(places, members, rounds, normal));
  const value = quantileSorted(
    greatest.sort((a, b) => a - b),
    LEVEL,
  );
  criticalValues.set(key, value);
  return value;
}

function greatestT(places: number, members: number, rounds: number, normal: () => number): number {
  const order = Array.from({ length: rounds }, (_, round) => round);
  const t = ({ difference, variance }: Estimate) => Math.abs(difference) / Math.sqrt(variance);
  const byPlace = Array.from({ length: places }, () => {
    const values = Array.from({ length: members }, () => order.map(normal));
    const pairs = new Map<number, PairStats>();
    for (let a = 0; a < members; a++) {
      for (let b = a + 1; b < members; b++)
        pairs.set(a * members + b, pairStats(values[a], values[b], order));
    }
    return estimatesOf(pairs);
  });
  let greatest = 0;
  for (const key of byPlace[0].keys()) {
    const estimates = byPlace.map((place) => place.get(key)!);
    for (const estimate of estimates) greatest = Math.max(greatest, t(estimate));
    if (places > 1) greatest = Math.max(greatest, t(averaged(estimates)));
  }
  return greatest;
}

/** Standard normal values (Box and Muller). */
export function normals(prng: Prng): () => number {
  const uniform = () => (prng.nextU32() + 0.5) / 4294967296;
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
