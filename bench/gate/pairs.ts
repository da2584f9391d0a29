// The noisy half of the gate: pairs of fresh clusters, base and head, both up at once and loaded in turn in short
// windows, in an order drawn by the seed. What drifts (disk, neighbours, clock speed) hits both windows of a pair
// alike; what a process is born with (layout, JIT) differs from pair to pair, so there are several.
import { join } from "node:path";
import { Prng } from "../../src/base/prng.js";
import type { Settings } from "../harness/axes.js";
import { BenchError } from "../harness/bench-error.js";
import { estimateWindowsMs, type LoadedSide, type StartSide, type Window } from "./side.js";
import { persistently, type Troubles } from "./troubles.js";
import { type Void, voidsOf } from "./voids.js";

export interface PairsPlan {
  /** What makes each side different; see engine-from.ts. */
  readonly env: Readonly<Record<Void["side"], NodeJS.ProcessEnv>>;
  /** In-flight windows; each is one configuration. */
  readonly inFlight: readonly number[];
  readonly settings: Partial<Settings>;
  /** At least so many, and at most PAIRS_FACTOR_MAX times as many, see `enough`. */
  readonly pairs: number;
  /** Windows of each configuration, side and pair. */
  readonly windows: number;
  readonly windowMs: number;
  /** Of each side, before its windows, in as many windows as that makes. */
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
  /** Why figures must not be used; empty: they may. */
  readonly voids: readonly Void[];
}

/** Whole pairs, and what ended them before they were enough. */
export interface PairsRun extends PairsOutcome {
  /** What was thrown; null: nothing was. */
  readonly cut: { readonly error: unknown } | null;
}

/** Starting, electing, catching up, stopping, checking the logs: a pair, both sides. */
const FIXED_MS = 3500;

export function estimatePairsMs(plan: Omit<PairsPlan, "env" | "dir">): number {
  const loads = estimateWindowsMs(2 * plan.inFlight.length * plan.windows, plan.windowMs);
  const warmups = estimateWindowsMs(2 * plan.inFlight.length * warmupRounds(plan), plan.windowMs);
  return plan.pairs * (FIXED_MS + warmups + loads);
}

/** Windows of warm-up, of each configuration and side. */
function warmupRounds({
  warmupMs,
  windowMs,
  inFlight,
}: Pick<PairsPlan, "warmupMs" | "windowMs" | "inFlight">): number {
  return Math.ceil(warmupMs / (windowMs * inFlight.length));
}

/** Where noise leaves it open what the samples say, more pairs may tell; so many times the pairs asked for, at most. */
export const PAIRS_FACTOR_MAX = 5;

/** Windows are repeated so often before their clusters are taken for broken. */
const WINDOW_TRIES = 3;
/** Windows in which neither side committed: at most this share of those of the pairs asked for, and always a few. */
const EMPTY_SHARE_MAX = 1 / 20;
const EMPTY_MAX_MIN = 5;
/** Pairs of clusters that came to nothing, by pairs asked for. */
const BROKEN_SHARE_MAX = 1 / 4;
const BROKEN_MAX_MIN = 3;

export interface PairsWork {
  readonly plan: PairsPlan;
  readonly signal: AbortSignal;
  readonly troubles: Troubles;
  readonly start: StartSide;
}

/**
 * Runs pairs until there are as many as asked for and the samples are `enough`; `onPair` is told after each. What fails
 * on the way is tried again; where too much does, or the signal aborts, the pairs that are whole are kept.
 */
export async function runPairs(
  work: PairsWork,
  onPair: (pair: number, samples: readonly Sample[]) => void,
  enough: (samples: readonly Sample[]) => boolean = () => true,
): Promise<PairsRun> {
  const samples: Sample[] = [];
  const voids: Void[] = [];
  const keep = (pair: number, outcome: PairsOutcome) => {
    samples.push(...outcome.samples);
    voids.push(...outcome.voids);
    onPair(pair, outcome.samples);
  };
  const isOver = (pair: number) => pair >= work.plan.pairs && (voids.length > 0 || enough(samples));
  try {
    await pairByPair(work, isOver, keep);
    return { samples, voids, cut: null };
  } catch (error) {
    return { samples, voids, cut: { error } };
  }
}

async function pairByPair(
  work: PairsWork,
  isOver: (pair: number) => boolean,
  keep: (pair: number, outcome: PairsOutcome) => void,
): Promise<void> {
  const { plan, signal, troubles } = work;
  const prng = new Prng(plan.seed);
  const max = Math.max(BROKEN_MAX_MIN, Math.ceil(plan.pairs * BROKEN_SHARE_MAX));
  for (let pair = 0; pair < plan.pairs * PAIRS_FACTOR_MAX; pair++) {
    if (isOver(pair)) break;
    signal.throwIfAborted();
    const told = { name: `pair ${pair + 1}`, what: "pairs of clusters that came to nothing", max };
    const outcome = await persistently(troubles, told, signal, (attempt) =>
      runPair(work, pair, attempt, prng),
    );
    keep(pair, outcome);
  }
}

async function runPair(work: PairsWork, pair: number, attempt: number, prng: Prng): Promise<PairsOutcome> {
  const { plan, signal } = work;
  const start = (name: Void["side"]) =>
    work.start({
      name,
      env: plan.env[name],
      dir: join(plan.dir, `${name}-${pair}-${attempt}`),
      seed: prng.nextU32(),
      settings: plan.settings,
      signal,
    });
  const headFirst = prng.below(2) === 1;
  const order = headFirst ? (["head", "base"] as const) : (["base", "head"] as const);
  const opened = await Promise.allSettled(order.map(start));
  const sides = opened.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  try {
    for (const outcome of opened) if (outcome.status === "rejected") throw outcome.reason;
    const [base, head] = headFirst ? [sides[1], sides[0]] : sides;
    const samples = await alternate(work, pair, { base, head }, prng);
    const [baseFaults, headFaults] = await bothOf([base.finish(), head.finish()]);
    return { samples, voids: voidsOf(`pair ${pair + 1}`, baseFaults, headFaults) };
  } finally {
    await Promise.all(sides.map((side) => side.destroy()));
  }
}

/** Both, or the first failure once neither is under way. */
export async function bothOf<T>(pair: readonly [Promise<T>, Promise<T>]): Promise<[T, T]> {
  await Promise.allSettled(pair);
  return Promise.all(pair);
}

async function alternate(
  { plan, troubles }: PairsWork,
  pair: number,
  sides: { readonly base: LoadedSide; readonly head: LoadedSide },
  prng: Prng,
): Promise<Sample[]> {
  const { inFlight: all, windows, windowMs } = plan;
  const inOrder = (): readonly ("base" | "head")[] =>
    prng.below(2) === 0 ? ["base", "head"] : ["head", "base"];
  // In turn, like the windows: who was warmed up last would be compiling still while the other has come to rest.
  for (let round = 0; round < warmupRounds(plan); round++) {
    for (const inFlight of all) {
      for (const name of inOrder()) await sides[name].warmUp(inFlight, windowMs);
    }
  }
  const emptyMax = Math.max(EMPTY_MAX_MIN, Math.ceil(plan.pairs * windows * all.length * EMPTY_SHARE_MAX));
  const samples: Sample[] = [];
  for (let window = 0; window < windows; window++) {
    for (const inFlight of all) {
      const order = inOrder();
      for (let tried = 1; ; tried++) {
        const measured: Partial<Record<"base" | "head", Window>> = {};
        for (const name of order) measured[name] = await sides[name].window(inFlight, windowMs);
        const { base, head } = measured as Record<"base" | "head", Window>;
        const still = order.filter((name) => measured[name]?.proposalsPerS === 0);
        const told = `pair ${pair + 1}, ${inFlight} in flight: ${still.join(" and ")} committed nothing in a window of ${windowMs} ms`;
        // Both: something stopped the machine, which says nothing of either. One alone may be what that engine does.
        if (still.length < 2) {
          if (still.length === 1) troubles.tell(`${told}, which counts`);
          samples.push({ pair, inFlight, base, head });
          break;
        }
        if (tried === WINDOW_TRIES) throw new BenchError("failed", told);
        troubles.add("windows in which neither side committed", told, emptyMax);
      }
    }
  }
  return samples;
}
