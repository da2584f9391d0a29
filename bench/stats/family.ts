// How configurations of one table compare, all statements together: whatever the table makes one look for, and however
// the best was picked, in at most 5 % of tables of equals does any statement hold. Pure and seeded.
//
// Method: simultaneous intervals by the greatest |t| of the family (max-T: Hothorn, Bretz and Westfall 2008, section 3;
// in one place it is Tukey's studentized range) on the logarithms of throughput, runs of one round paired. The family
// is every pair of every place, and every pair over all places. The critical value is simulated for the table's shape
// with the very statistic that is used. What runs in turn within seconds has the machine's minute in common, which is
// the larger part of the scatter (bench/stats/scatter.ts) and not in the difference of a round; where it is small, the
// two sides by themselves tell the variance from twice the values, and the lesser of the two counts (in the simulation,
// too). A pair's variance is never taken for less than that of its place, and of few rounds not for less than that of
// the table, so that few rounds that happen to agree prove nothing. Rounds are taken for independent of each other. Heavy tails make a t-test careful (Benjamini 1983). Distribution-free tests need 2 / 2^rounds <= 5 % /
// statements: nine rounds for nine statements, which is why they are not used. `npm run bench:selftest -- verdict`
// shows what it keeps.
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
  /** So many would prove what was seen in about seven cases of ten, if that is the truth; null: more than can be told. */
  readonly roundsNeeded: number | null;
}

/** Two rounds that agree by chance are no rarity: one in eight where processes are born in one of two kinds. */
export const ROUNDS_MIN = 3;
/** Half a percent more than is said, for what the simulation does not know. */
const LEVEL = 0.955;
const SEED = 1;
/** The critical value hardly changes beyond. */
const ROUNDS_SIMULATED_MAX = 20;
/**
 * Of so many rounds a pair's variance is not taken for less than that of all places either: two modes, or values that
 * tie, agree by chance at one of several places.
 */
const FEW_ROUNDS = 5;
/**
 * A configuration, or a place, that varies more than the others lends them its variance, which has the freedom of one and
 * not of all: that names a winner of equals in up to 15 % of tables of three rounds, 12 % of six and 7 % of nine, and in
 * 5 % from ten on (six of them at six places). Up to so many the critical value is that of the worst case, one of them
 * with so many times the others' deviation.
 */
const UNEVEN_ROUNDS_MAX = 9;
const UNEVEN = 10;
/**
 * Normal deviations beyond the critical value: four of five, if the noise were known; as few rounds tell it, 71 % of 1,011
 * simulated tables, where it was 52 % without.
 */
const POWER_DEVIATIONS = 0.84;
const ROUNDS_TOLD = [3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 25, 30, 40, 60, 100];
const TRIALS_MAX = 6000;
const TRIALS_MIN = 200;
/** Bounds the simulation to about a second. */
const WORK_MAX = 4e6;

/** What a pair's rounds tell: the difference of the mean logarithms, and squared deviations: */
interface PairStats {
  readonly difference: number;
  /** of the differences of each round from their mean; */
  readonly paired: number;
  /** of both sides, each from its own mean, as if they had no rounds in common. */
  readonly apart: number;
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
  /** Of the means over all places. */
  private readonly averages: ReadonlyMap<number, Estimate>;

  /** Every place has the same configurations, in the same order. */
  constructor(places: readonly Place[]) {
    assert(places.length > 0 && places[0].length > 1, "something to compare");
    assert(
      places.every((place) => place.length === places[0].length),
      "the same configurations everywhere",
    );
    this.places = places;
    this.members = places[0].length;
    this.estimates = estimatesAt(places.map(pairsOf));
    this.averages = estimatesOf(pairsOf(averaged(places)));
  }

  /** Statements that hold together: of what has rounds in common. */
  get size(): number {
    const atPlaces = this.estimates.reduce((sum, { size }) => sum + size, 0);
    return atPlaces + (this.places.length > 1 ? this.averages.size : 0);
  }

  /** Configuration `a` by `b` at one place; null: there is no round in which both count. */
  at(place: number, a: number, b: number): Comparison | null {
    const found = this.estimates[place].get(this.key(a, b));
    return found === undefined ? null : this.compared(found, a < b ? 1 : -1);
  }

  /** The geometric mean over all places; null: in no round is there something to compare at each. */
  overall(a: number, b: number): Comparison | null {
    const found = this.averages.get(this.key(a, b));
    return found === undefined ? null : this.compared(found, a < b ? 1 : -1);
  }

  private key(a: number, b: number): number {
    return Math.min(a, b) * this.members + Math.max(a, b);
  }

  private compared({ difference, variance, rounds }: Estimate, sign: number): Comparison {
    const critical = (given: number) => criticalValue(this.places.length, this.members, given);
    const estimate = Math.exp(sign * difference);
    const provenWith = (given: number, margin: number) =>
      Math.abs(difference) > (critical(given) + margin) * Math.sqrt((variance * rounds) / given);
    const proven = rounds >= ROUNDS_MIN && provenWith(rounds, 0);
    const likely = (given: number) => given > rounds && provenWith(given, POWER_DEVIATIONS);
    const enough = proven ? rounds : leastOf(ROUNDS_TOLD, likely);
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
      pairs.set(a * place.length + b, pairStats(of(place[a]), of(place[b])));
    }
  }
  return pairs;
}

/** As pairsOf, of configurations that have all rounds. */
function pairsOfAll(members: readonly (readonly number[])[]): Map<number, PairStats> {
  const pairs = new Map<number, PairStats>();
  for (let a = 0; a < members.length; a++) {
    for (let b = a + 1; b < members.length; b++) {
      pairs.set(a * members.length + b, pairStats(members[a], members[b]));
    }
  }
  return pairs;
}

/** Of two configurations by round. */
function pairStats(a: readonly number[], b: readonly number[]): PairStats {
  const rounds = a.length;
  let [meanA, meanB] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    meanA += a[round] / rounds;
    meanB += b[round] / rounds;
  }
  let paired = 0;
  let apart = 0;
  for (let round = 0; round < rounds; round++) {
    const [ofA, ofB] = [a[round] - meanA, b[round] - meanB];
    paired += (ofA - ofB) ** 2;
    apart += ofA ** 2 + ofB ** 2;
  }
  return { difference: meanA - meanB, paired, apart, rounds };
}

function estimatesAt(pairs: readonly ReadonlyMap<number, PairStats>[]): Map<number, Estimate>[] {
  const all = pairs.flatMap((each) => [...each.values()]);
  return pairs.map((each) => estimatesOf(each, all));
}

/** No pair's variance is less than that of all pairs of its place together; of few rounds, than that of `table`. */
function estimatesOf(
  pairs: ReadonlyMap<number, PairStats>,
  table: readonly PairStats[] = [],
): Map<number, Estimate> {
  const place = varianceOf([...pairs.values()]);
  const all = varianceOf(table);
  const estimates = new Map<number, Estimate>();
  for (const [key, pair] of pairs) {
    const own = varianceOf([pair]);
    const floor = (name: "paired" | "apart") =>
      Math.max(own[name], place[name], pair.rounds <= FEW_ROUNDS ? all[name] : 0);
    const variance = Math.min(floor("paired"), floor("apart")) / pair.rounds;
    estimates.set(key, { difference: pair.difference, variance, rounds: pair.rounds });
  }
  return estimates;
}

/** Of one difference. */
function varianceOf(pairs: readonly PairStats[]): { readonly paired: number; readonly apart: number } {
  let [paired, apart, freedom] = [0, 0, 0];
  for (const pair of pairs) {
    paired += pair.paired;
    apart += pair.apart;
    freedom += pair.rounds - 1;
  }
  return { paired: paired / Math.max(1, freedom), apart: apart / Math.max(1, freedom) };
}

/**
 * The mean over all places, round by round: what a round has in common at several places (the same processes, the
 * machine's minute) is in it once, and so in its variance.
 */
function averaged(places: readonly Place[]): Place {
  return places[0].map((first, member) => {
    const shared = [...first.keys()].filter((round) => places.every((place) => place[member].has(round)));
    return new Map(
      shared.map((round) => [round, mean(places.map((place) => place[member].get(round)!))] as const),
    );
  });
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
  const of = (deviation: Deviation) => {
    const normal = normals(new Prng(SEED));
    const greatest = Array.from({ length: trials }, () =>
      greatestT(places, members, rounds, deviation, normal),
    );
    return quantileSorted(
      greatest.sort((a, b) => a - b),
      LEVEL,
    );
  };
  const value = Math.max(...casesOf(places, rounds).map(of));
  criticalValues.set(key, value);
  return value;
}

type Deviation = (place: number, member: number) => number;

/** Those that may be the worst: of one place, and where places lend each other nothing, no place is uneven. */
function casesOf(places: number, rounds: number): Deviation[] {
  const cases: Deviation[] = [() => 1];
  if (rounds <= UNEVEN_ROUNDS_MAX) cases.push((_, member) => (member === 0 ? UNEVEN : 1));
  if (rounds <= FEW_ROUNDS && places > 1) cases.push((place) => (place === 0 ? UNEVEN : 1));
  return cases;
}

function greatestT(
  places: number,
  members: number,
  rounds: number,
  deviation: Deviation,
  normal: () => number,
): number {
  const grid = Array.from({ length: places }, (_, place) =>
    Array.from({ length: members }, (_, member) =>
      Array.from({ length: rounds }, () => deviation(place, member) * normal()),
    ),
  );
  const all = estimatesAt(grid.map(pairsOfAll));
  if (places > 1) {
    const means = grid[0].map((first, member) =>
      first.map((_, round) => grid.reduce((sum, place) => sum + place[member][round], 0) / places),
    );
    all.push(estimatesOf(pairsOfAll(means)));
  }
  let greatest = 0;
  for (const estimates of all) {
    for (const { difference, variance } of estimates.values()) {
      greatest = Math.max(greatest, Math.abs(difference) / Math.sqrt(variance));
    }
  }
  return greatest;
}

/** Standard normal values (Box and Muller). */
export function normals(prng: Prng): () => number {
  const uniform = () => (prng.nextU32() + 0.5) / 4294967296;
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
