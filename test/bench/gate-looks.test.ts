// The gate looks at its pairs more than once, and the machine changes meanwhile; simulated, how often that makes it wrong.
// The rule is the gate's own, and so is the order of the windows where the machine changes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isDecided, judge } from "../../bench/gate/judge.js";
import { PAIRS_FACTOR_MAX, runPairs, type Sample } from "../../bench/gate/pairs.js";
import { GATE_DEFAULTS, IN_FLIGHT } from "../../bench/gate/run-gate.js";
import type { LoadedSide, SidePlan, Window } from "../../bench/gate/side.js";
import { Troubles } from "../../bench/gate/troubles.js";
import { normals } from "../../bench/stats/family.js";
import { Prng } from "../../src/base/prng.js";

const SEED = 7;
const GATES = 300;
/** Logarithmic deviations of a pair, on a usual and on a bad day of the machine. */
const QUIET = 0.06;
const NOISY = 0.12;
const { pairs: PAIRS, tolerance: TOLERANCE } = GATE_DEFAULTS;

/** One pair, whose four measures have chance of their own: none of them is wrong only where another is. */
function pairOf(pair: number, truth: number, noise: () => number): Sample[] {
  const window = (speed: number, cost: number) => ({
    proposalsPerS: 1e5 * speed,
    acked: 1000,
    cpuMs: 100 * cost,
    counters: {} as Sample["base"]["counters"],
  });
  const factor = () => truth * Math.exp(noise());
  return IN_FLIGHT.map((inFlight) => ({
    pair,
    inFlight,
    base: window(1, 1),
    head: window(factor(), 1 / factor()),
  }));
}

/** Of gates whose head does `truth` of base: how many closed, and told an interval without the truth of one measure. */
function gates(truth: number, deviation: number) {
  const normal = normals(new Prng(SEED));
  let closed = 0;
  let missed = 0;
  let pairs = 0;
  for (let i = 0; i < GATES; i++) {
    const samples: Sample[] = [];
    let had = 0;
    do samples.push(...pairOf(had++, truth, () => deviation * normal()));
    while (had < PAIRS || (had < PAIRS * PAIRS_FACTOR_MAX && !isDecided(samples, PAIRS, TOLERANCE)));
    const { state, findings } = judge({ samples, counted: [], voids: [] }, TOLERANCE);
    const { low, high } = findings[0].ratio;
    pairs += had;
    if (state !== "open") closed++;
    if (low > truth || high < truth) missed++;
  }
  const told = `${closed} of ${GATES} closed, ${missed} intervals missed, ${pairs / GATES} pairs, seed ${SEED}`;
  return { closed: closed / GATES, missed: missed / GATES, pairs: pairs / GATES, told };
}

/** What is promised, and two standard deviations of so many gates. */
const ERROR_MAX = 0.05 + 2 * Math.sqrt((0.05 * 0.95) / GATES);

test("a loss that is just allowed closes the gate in 5 % at most, however often it looks", () => {
  const { closed, missed, told } = gates(1 - TOLERANCE, NOISY);
  assert.ok(closed <= ERROR_MAX && missed <= ERROR_MAX, told);
});

test("equals are let through after few pairs, and a tenth lost is not", () => {
  const equal = gates(1, QUIET);
  assert.ok(equal.closed <= 0.01 && equal.pairs <= 2 * PAIRS && equal.missed <= ERROR_MAX, equal.told);
  const lost = gates(0.9, NOISY);
  assert.ok(lost.closed >= 0.85 && lost.missed <= ERROR_MAX, lost.told);
});

/** The logarithm of a machine's speed at a time in seconds; asked in order. */
type Machine = (atS: number) => number;

/** It loses 20 % a minute. */
const falling: Machine = (atS) => (-0.2 * atS) / 60;

/** It wanders by 30 %, and has forgotten after a minute. */
function wandering(normal: () => number): Machine {
  let [at, level] = [0, 0.3 * normal()];
  return (atS) => {
    const kept = Math.exp((at - atS) / 60);
    at = atS;
    level = kept * level + Math.sqrt(1 - kept * kept) * 0.3 * normal();
    return level;
  };
}

const WINDOW_S = 0.23;
const END_S = 1.7;
const WINDOW_NOISE = 0.15;

/** Whether a gate closed whose head does what is just allowed, on a machine that changes while it runs. */
async function closedOn(machineOf: (normal: () => number) => Machine, seed: number): Promise<boolean> {
  const normal = normals(new Prng(seed));
  const machine = machineOf(normal);
  let atS = 0;
  const start = async ({ name }: SidePlan): Promise<LoadedSide> => {
    const bornWith = () => (NOISY / Math.SQRT2) * normal();
    const born = new Map(IN_FLIGHT.map((inFlight) => [inFlight as number, [bornWith(), bornWith()]]));
    const window = async (inFlight: number): Promise<Window> => {
      atS += WINDOW_S;
      const level = machine(atS) + Math.log(name === "head" ? 1 - TOLERANCE : 1);
      const [speed, thrift] = born.get(inFlight)!.map((own) => level + own + WINDOW_NOISE * normal());
      const counters = {} as Window["counters"];
      return { proposalsPerS: 1e5 * Math.exp(speed), acked: 1000, cpuMs: 100 / Math.exp(thrift), counters };
    };
    return {
      load: ({ inFlight }) => window(inFlight),
      window,
      warmUp: async () => void (atS += WINDOW_S),
      finish: async () => {
        atS += END_S;
        return [];
      },
      destroy: async () => {},
    };
  };
  const shape = {
    ...GATE_DEFAULTS,
    inFlight: IN_FLIGHT,
    env: { base: {}, head: {} },
    settings: {},
    seed,
    dir: "",
  };
  const { signal } = new AbortController();
  const work = { plan: shape, signal, troubles: new Troubles(() => {}), start };
  const enough = (samples: readonly Sample[]) => isDecided(samples, PAIRS, TOLERANCE);
  const { samples } = await runPairs(work, () => {}, enough);
  return judge({ samples, counted: [], voids: [] }, TOLERANCE).state !== "open";
}

test("a machine that gets slower, or wanders, closes the gate no more often: pairs divide it out", async () => {
  for (const [name, machineOf] of [["falling", () => falling] as const, ["wandering", wandering] as const]) {
    let closed = 0;
    const gatesOfEach = GATES / 5;
    for (let i = 0; i < gatesOfEach; i++) closed += (await closedOn(machineOf, 1000 + i)) ? 1 : 0;
    const most = gatesOfEach * 0.05 + 2 * Math.sqrt(gatesOfEach * 0.05 * 0.95);
    assert.ok(closed <= most, `${name}: ${closed} of ${gatesOfEach}, seeds from 1000`);
  }
});
