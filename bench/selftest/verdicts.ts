// Does a verdict name a winner where there is none, and does it find the one there is? Tables are made up (equal
// engines under noise, heavy tails and drift, run in the order a bench runs them) and told by the real code. No engine
// runs. Seeded.
import { readFile } from "node:fs/promises";
import { Prng } from "../../src/base/prng.js";
import { DEFAULT_SETTINGS, type Settings } from "../harness/axes.js";
import { loadGroups, type Variant } from "../harness/scenario.js";
import { plural } from "../report/numbers.js";
import { Result } from "../report/result-schema.js";
import { type Standing, type Standings, type Statement, standingsOf } from "../report/standings.js";
import { verdict } from "../report/verdict.js";
import { normals } from "../stats/family.js";
import { percent } from "./alarms.js";
import type { Finding } from "./parts.js";

/** Writers at loads; the third is the README's own table. */
const SHAPES = [
  { writers: 2, loads: 1 },
  { writers: 3, loads: 1 },
  { writers: 3, loads: 3 },
  { writers: 2, loads: 2 },
  { writers: 6, loads: 1 },
] as const;
type Shape = { readonly writers: number; readonly loads: number };

const TAILS = ["normal", "heavy tails", "stalls"] as const;
const DRIFTS = ["no drift", "random walk", "ramp and jump"] as const;
const SPREADS = [0.1, 0.3] as const;

interface Noise {
  /** Logarithmic deviation of a run. */
  readonly spread: number;
  readonly tails: (typeof TAILS)[number];
  readonly drift: (typeof DRIFTS)[number];
}

const ROUNDS_MAX = 20;
/** Of each shape, noise and number of rounds. */
const TABLES = 20;
const WINNERS_MAX = 0.05;
const FASTER = 1.15;
const POWER_ROUNDS = 10;
const POWER_TABLES = 2000;
const POWER_MIN = 0.8;
/** Told in full, as text. */
const TEXTS = 60;
const CANONICAL = "results/canonical.json";

/** One stall in ten runs halves what it did; Student's t with three degrees of freedom has tails heavier than most. */
function noiseOf({ spread, tails }: Noise, normal: () => number, prng: Prng): number {
  if (tails === "heavy tails") {
    const chi = normal() ** 2 + normal() ** 2 + normal() ** 2;
    return (spread * normal()) / Math.sqrt(chi);
  }
  const stalled = tails === "stalls" && prng.below(10) === 0;
  return spread * normal() - (stalled ? Math.LN2 : 0);
}

/** What the machine does meanwhile, run after run. */
function driftOf({ drift, spread }: Noise, runs: number, normal: () => number, prng: Prng): number[] {
  const jumpAt = prng.below(runs);
  let walked = 0;
  return Array.from({ length: runs }, (_, i) => {
    walked += 0.3 * spread * normal();
    if (drift === "random walk") return walked;
    return drift === "no drift" ? 0 : (-0.3 * i) / runs - (i >= jumpAt ? 0.3 : 0);
  });
}

/**
 * A table as a bench makes it; the first writer does `factor` of what the others do. Half of the noise's variance is the
 * window's, half the processes', which are the same at all loads of a round.
 */
function tableOf(shape: Shape, rounds: number, noise: Noise, factor: number, prng: Prng): Standing[] {
  const normal = normals(prng);
  const variants: Variant[] = Array.from({ length: shape.writers * shape.loads }, (_, position) => {
    // Any axis will do for the writers: six of them need one with numbers.
    const settings = { ...DEFAULT_SETTINGS, maxInflightMsgs: position % shape.writers };
    return { position, settings: { ...settings, inFlight: 4 ** Math.floor(position / shape.writers) } };
  });
  const seed = prng.nextU32();
  const drift = driftOf(noise, variants.length * rounds, normal, prng);
  const rows = variants.map(({ settings }) => ({ settings, runs: [] as Standing["runs"][number][] }));
  for (let round = 0; round < rounds; round++) {
    const births = Array.from({ length: shape.writers }, () => noiseOf(noise, normal, prng));
    for (const [i, { position, settings }] of loadGroups(variants, "random", seed, round).flat().entries()) {
      const faster = settings.maxInflightMsgs === 0 ? Math.log(factor) : 0;
      const own = noiseOf(noise, normal, prng) + births[settings.maxInflightMsgs];
      const log = Math.SQRT1_2 * own + drift[round * variants.length + i] + faster;
      rows[position].runs.push({
        round,
        proposalsPerS: 1e4 * settings.inFlight * Math.exp(log),
        void: [],
        disturbed: [],
      });
    }
  }
  return rows;
}

function winnersOf(rows: readonly Standing[]): Statement[] {
  const { overall, places } = standingsOf(rows, "maxInflightMsgs") as Standings;
  return [...overall, ...places.flatMap(({ statements }) => statements)].filter(({ proven }) => proven);
}

class Tally {
  private readonly counts = new Map<string, { tables: number; named: number }>();

  add(keys: readonly string[], named: boolean): void {
    for (const key of keys) {
      const count = this.counts.get(key) ?? { tables: 0, named: 0 };
      count.tables++;
      if (named) count.named++;
      this.counts.set(key, count);
    }
  }

  findings(): Finding[] {
    return [...this.counts].map(([what, { tables, named }]) => ({
      what,
      expected: `at most ${percent(WINNERS_MAX)} name a winner`,
      measured: `${percent(named / tables)} of ${tables}`,
      ok: named <= WINNERS_MAX * tables,
    }));
  }
}

/** Equal engines: how often is one named? By noise, by table and by the number of rounds. */
function equalVerdicts(seed: number): Finding[] {
  const prng = new Prng(seed);
  const byNoise = new Tally();
  const byShape = new Tally();
  const byRounds = new Tally();
  for (const spread of SPREADS) {
    for (const tails of TAILS) {
      for (const drift of DRIFTS) {
        for (const shape of SHAPES) {
          for (let rounds = 1; rounds <= ROUNDS_MAX; rounds++) {
            for (let i = 0; i < TABLES; i++) {
              const named = winnersOf(tableOf(shape, rounds, { spread, tails, drift }, 1, prng)).length > 0;
              byNoise.add(
                [`equal, noise ${percent(spread)}, ${tails}, ${drift}, 1 to ${ROUNDS_MAX} rounds`],
                named,
              );
              byShape.add([`equal, ${shapeText(shape)}`], named);
              byRounds.add([`equal, ${plural(rounds, "round")}`], named);
            }
          }
        }
      }
    }
  }
  return [...byNoise.findings(), ...byShape.findings(), ...byRounds.findings()];
}

/** One writer is 15 % faster: how often is it told, and is any other named? */
function trueVerdicts(seed: number): Finding[] {
  const prng = new Prng(seed);
  const noise = { spread: 0.1, tails: "normal", drift: "no drift" } as const;
  return SHAPES.map((shape) => {
    let named = 0;
    let wrong = 0;
    for (let i = 0; i < POWER_TABLES; i++) {
      const winners = winnersOf(tableOf(shape, POWER_ROUNDS, noise, FASTER, prng));
      const right = winners.filter(({ best, estimate }) => best.maxInflightMsgs === 0 && estimate > 1);
      if (right.length > 0) named++;
      if (right.length < winners.length) wrong++;
    }
    return {
      what: `one ${percent(FASTER - 1)} faster, noise ${percent(0.1)}, ${POWER_ROUNDS} rounds, ${shapeText(shape)}`,
      expected: `at least ${percent(POWER_MIN)} name it, at most ${percent(WINNERS_MAX)} another`,
      measured: `${percent(named / POWER_TABLES)} of ${POWER_TABLES} do, ${percent(wrong / POWER_TABLES)} another`,
      ok: named >= POWER_MIN * POWER_TABLES && wrong <= WINNERS_MAX * POWER_TABLES,
    };
  });
}

function shapeText({ writers, loads }: Shape): string {
  return `${writers} configurations${loads === 1 ? "" : ` at ${loads} loads`}`;
}

/** The text names a winner when a statement is proven, and not otherwise: the README's result with made-up throughput. */
async function verdictTexts(seed: number): Promise<Finding> {
  const result = Result.parse(JSON.parse(await readFile(CANONICAL, "utf8")));
  const settings = new Map<number, Settings>(result.runs.map((run) => [run.position, run.settings]));
  const prng = new Prng(seed);
  const normal = normals(prng);
  let differing = 0;
  let named = 0;
  for (let i = 0; i < TEXTS; i++) {
    const factor = i % 2 === 0 ? 1 : 1.4;
    const runs = result.runs.map((run) => {
      const faster = run.settings.writer === "pool-wasm" ? factor : 1;
      return { ...run, proposalsPerS: 1e4 * run.settings.inFlight * faster * Math.exp(0.1 * normal()) };
    });
    const rows = [...settings].map(([position, each]) => ({
      settings: each,
      runs: runs.filter((run) => run.position === position),
    }));
    const { overall, places } = standingsOf(rows, result.scenario.compares) as Standings;
    const last = places.flatMap(({ statements }) => statements.slice(-1));
    const proven = [...overall, ...last].some((statement) => statement.proven);
    const says = /beats|Fastest/.test(verdict({ ...result, runs }));
    if (says) named++;
    if (says !== proven) differing++;
  }
  return {
    what: `texts of ${TEXTS} verdicts, half of them with one 40 % faster, 3 rounds`,
    expected: '"beats" or "fastest" where it is proven and nowhere else',
    measured: `${differing} differ; ${named} name a winner`,
    ok: differing === 0 && named > 0 && named < TEXTS,
  };
}

export async function verdictPart(seed: number): Promise<Finding[]> {
  return [...equalVerdicts(seed), ...trueVerdicts(seed), await verdictTexts(seed)];
}
