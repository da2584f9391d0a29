// The counted half of the gate: a fixed number of proposals in a closed loop, and what all nodes together did for
// them. At 1 and at 64 in flight every proposal, or every 64 of them, is one batch, so that messages, bytes and syncs a
// commit hardly vary, however slow or busy the machine is. What varies still does so by a follower that was late and
// took two batches at once; therefore several repeats, and a limit is broken only when they do not overlap.
import { join } from "node:path";
import type { Settings } from "../harness/axes.js";
import { BenchError } from "../harness/bench-error.js";
import { bothOf, type PairsPlan } from "./pairs.js";
import { COUNTER_NAMES, type CounterName, type LoadedSide, type StartSide, type Window } from "./side.js";
import { persistently, type Troubles } from "./troubles.js";
import { type Void, voidsOf } from "./voids.js";

export interface CountedPlan {
  readonly env: PairsPlan["env"];
  readonly settings: Partial<Settings>;
  readonly seed: number;
  readonly dir: string;
}

/** One counter a commit at one load: the repeats of both sides, NaN where a side does not keep it. */
export interface Counted {
  readonly inFlight: number;
  readonly counter: CounterName;
  readonly base: readonly number[];
  readonly head: readonly number[];
}

const RUNS = [
  { inFlight: 1, proposals: 300 },
  { inFlight: 64, proposals: 6400 },
] as const;
const REPEATS = 5;
/** No load takes longer: then something else is wrong. */
const LOAD_MS_MAX = 30_000;
/** Ten times the bench's: heartbeats are messages too, and come by the clock. */
const TICK_MS = 1000;
/** Caches, connections and the first segment; not counted. */
const FIRST = { inFlight: 64, warmupMs: 200, durationMs: 0, ackedMax: 0 };

export interface CountedOutcome {
  readonly counted: readonly Counted[];
  readonly voids: readonly Void[];
}

const BROKEN_MAX = 2;

export interface CountedWork {
  readonly plan: CountedPlan;
  readonly signal: AbortSignal;
  readonly troubles: Troubles;
  readonly start: StartSide;
}

/** What fails is tried again; throws BenchError (unmeasured) where too much does. */
export async function runCounted(work: CountedWork): Promise<CountedOutcome> {
  const told = { name: "counted run", what: "counted runs that came to nothing", max: BROKEN_MAX };
  return persistently(work.troubles, told, work.signal, (attempt) => countOnce(work, attempt));
}

/** Both sides are up at once and take turns: a late follower is as likely on either. */
async function countOnce(
  { plan, signal, start: startSide }: CountedWork,
  attempt: number,
): Promise<CountedOutcome> {
  const settings = { ...plan.settings, tickMs: TICK_MS };
  const start = (name: Void["side"]) => {
    const dir = join(plan.dir, `${name}-counted-${attempt}`);
    return startSide({ name, env: plan.env[name], dir, seed: plan.seed, settings, signal });
  };
  const base = await start("base");
  let head: LoadedSide | null = null;
  try {
    head = await start("head");
    const counted = await countInTurn(base, head);
    const [baseFaults, headFaults] = await bothOf([base.finish(), head.finish()]);
    return { counted, voids: voidsOf("counted run", baseFaults, headFaults) };
  } finally {
    await base.destroy();
    await head?.destroy();
  }
}

async function countInTurn(base: LoadedSide, head: LoadedSide): Promise<Counted[]> {
  for (const side of [base, head]) await side.load(FIRST);
  const counted: Counted[] = [];
  for (const { inFlight, proposals } of RUNS) {
    const windows: { base: Window[]; head: Window[] } = { base: [], head: [] };
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      const load = { inFlight, warmupMs: LOAD_MS_MAX, durationMs: 0, ackedMax: proposals };
      windows.base.push(await base.load(load));
      windows.head.push(await head.load(load));
    }
    for (const [name, all] of Object.entries(windows)) {
      if (all.some(({ acked }) => acked === 0))
        throw new BenchError("failed", `${name}: no proposal was applied.`);
    }
    for (const counter of COUNTER_NAMES) {
      const perCommit = ({ counters, acked }: Window) => counters[counter] / acked;
      const [bases, heads] = [windows.base.map(perCommit), windows.head.map(perCommit)];
      counted.push({ inFlight, counter, base: bases, head: heads });
    }
  }
  return counted;
}
