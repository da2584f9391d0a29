// The noisy half of the gate: pairs of fresh clusters, base and head, both up at once and loaded in turn in short
// windows, in an order drawn by the seed. What drifts (disk, neighbours, clock speed) hits both windows of a pair
// alike; what a process is born with (layout, JIT) differs from pair to pair, so there are several.
import { join } from "node:path";
import { Prng } from "../../src/base/prng.js";
import type { Settings } from "../harness/axes.js";
import { estimateWindowsMs, Side, type Window } from "./side.js";

export interface PairsPlan {
  readonly baseEnv: NodeJS.ProcessEnv;
  readonly headEnv: NodeJS.ProcessEnv;
  /** In-flight windows; each is one configuration. */
  readonly inFlight: readonly number[];
  readonly settings: Partial<Settings>;
  /** At least so many, and at most PAIRS_FACTOR_MAX times as many, see `enough`. */
  readonly pairs: number;
  /** Windows of each configuration, side and pair. */
  readonly windows: number;
  readonly windowMs: number;
  readonly warmupMs: number;
  readonly seed: number;
  readonly dir: string;
}

/** Two windows, one after the other: what is compared. */
export interface Sample {
  readonly pair: number;
  readonly inFlight: number;
  readonly base: Window;
  readonly head: Window;
}

export interface PairsOutcome {
  readonly samples: readonly Sample[];
  /** Why figures must not be used, with the side's name; empty: they may. */
  readonly voids: readonly string[];
}

/** Starting, electing, catching up, stopping, checking the logs: a pair, both sides. */
const FIXED_MS = 3500;

export function estimatePairsMs(plan: Omit<PairsPlan, "baseEnv" | "headEnv" | "dir">): number {
  const loads = estimateWindowsMs(2 * plan.inFlight.length * plan.windows, plan.windowMs);
  return plan.pairs * (FIXED_MS + estimateWindowsMs(2, plan.warmupMs) + loads);
}

/** Where noise leaves it open what the samples say, more pairs may tell; so many times the pairs asked for, at most. */
export const PAIRS_FACTOR_MAX = 5;

/**
 * Runs pairs until there are as many as asked for and the samples are `enough`. Throws BenchError when a cluster fails;
 * `onPair` is told after each.
 */
export async function runPairs(
  plan: PairsPlan,
  signal: AbortSignal,
  onPair: (pair: number, samples: readonly Sample[]) => void,
  enough: (samples: readonly Sample[]) => boolean = () => true,
): Promise<PairsOutcome> {
  const samples: Sample[] = [];
  const voids: string[] = [];
  const prng = new Prng(plan.seed);
  for (let pair = 0; pair < plan.pairs * PAIRS_FACTOR_MAX; pair++) {
    if (pair >= plan.pairs && (voids.length > 0 || enough(samples))) break;
    signal.throwIfAborted();
    const outcome = await runPair(plan, pair, prng, signal);
    samples.push(...outcome.samples);
    voids.push(...outcome.voids);
    onPair(pair, outcome.samples);
  }
  return { samples, voids };
}

async function runPair(
  plan: PairsPlan,
  pair: number,
  prng: Prng,
  signal: AbortSignal,
): Promise<PairsOutcome> {
  const { dir, settings } = plan;
  const start = (name: "base" | "head", env: NodeJS.ProcessEnv) =>
    Side.start({ name, env, dir: join(dir, `${name}-${pair}`), seed: prng.nextU32(), settings, signal });
  const headFirst = prng.below(2) === 1;
  const opened = await Promise.allSettled(
    headFirst
      ? [start("head", plan.headEnv), start("base", plan.baseEnv)]
      : [start("base", plan.baseEnv), start("head", plan.headEnv)],
  );
  const sides = opened.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  try {
    for (const outcome of opened) if (outcome.status === "rejected") throw outcome.reason;
    const [base, head] = headFirst ? [sides[1], sides[0]] : sides;
    const samples = await alternate(plan, pair, { base, head }, prng);
    const [baseFaults, headFaults] = await Promise.all([base.finish(), head.finish()]);
    const voids = [
      ...baseFaults.map((why) => `base, pair ${pair + 1}: ${why}`),
      ...headFaults.map((why) => `head, pair ${pair + 1}: ${why}`),
    ];
    return { samples, voids };
  } finally {
    await Promise.all(sides.map((side) => side.destroy()));
  }
}

async function alternate(
  plan: PairsPlan,
  pair: number,
  sides: { readonly base: Side; readonly head: Side },
  prng: Prng,
): Promise<Sample[]> {
  const { inFlight: all, windows, windowMs, warmupMs } = plan;
  for (const inFlight of all) {
    const share = Math.ceil(warmupMs / all.length);
    for (const side of [sides.base, sides.head]) await side.warmUp(inFlight, share);
  }
  const samples: Sample[] = [];
  for (let window = 0; window < windows; window++) {
    for (const inFlight of all) {
      const measured: Partial<Record<"base" | "head", Window>> = {};
      const order = prng.below(2) === 0 ? (["base", "head"] as const) : (["head", "base"] as const);
      for (const name of order) measured[name] = await sides[name].window(inFlight, windowMs);
      samples.push({ pair, inFlight, base: measured.base!, head: measured.head! });
    }
  }
  return samples;
}
