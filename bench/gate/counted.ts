// The counted half of the gate: a fixed number of proposals in a closed loop, and what all nodes together did for
// them. At 1 and at 64 in flight every proposal, or every 64 of them, is one batch, so that messages, bytes and syncs a
// commit hardly vary, however slow or busy the machine is. What varies still does so by a follower that was late and
// took two batches at once; therefore several repeats, and a limit is broken only when they do not overlap.
import { join } from "node:path";
import type { Settings } from "../harness/axes.js";
import { COUNTER_NAMES, type CounterName, Side, type Window } from "./side.js";

export interface CountedPlan {
  readonly baseEnv: NodeJS.ProcessEnv;
  readonly headEnv: NodeJS.ProcessEnv;
  readonly settings: Partial<Settings>;
  readonly seed: number;
  readonly dir: string;
}

/** One counter a commit at one load: the repeats of both sides. */
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
  readonly voids: readonly string[];
}

export async function runCounted(plan: CountedPlan, signal: AbortSignal): Promise<CountedOutcome> {
  const base = await countSide(plan, "base", plan.baseEnv, signal);
  const head = await countSide(plan, "head", plan.headEnv, signal);
  const counted: Counted[] = [];
  for (const [i, { inFlight }] of RUNS.entries()) {
    const perCommit = (windows: readonly Window[], counter: CounterName) =>
      windows.map(({ counters, acked }) => counters[counter] / acked);
    for (const counter of COUNTER_NAMES) {
      counted.push({
        inFlight,
        counter,
        base: perCommit(base.windows[i], counter),
        head: perCommit(head.windows[i], counter),
      });
    }
  }
  return { counted, voids: [...base.voids, ...head.voids] };
}

/** `windows[i]` are the repeats of RUNS[i]. */
async function countSide(
  { settings, seed, dir }: CountedPlan,
  name: string,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<{ windows: Window[][]; voids: string[] }> {
  const slow = { ...settings, tickMs: TICK_MS };
  const side = await Side.start({
    name,
    env,
    dir: join(dir, `${name}-counted`),
    seed,
    settings: slow,
    signal,
  });
  try {
    await side.load(FIRST);
    const windows: Window[][] = RUNS.map(() => []);
    for (const [i, { inFlight, proposals }] of RUNS.entries()) {
      for (let repeat = 0; repeat < REPEATS; repeat++) {
        const load = { inFlight, warmupMs: LOAD_MS_MAX, durationMs: 0, ackedMax: proposals };
        windows[i].push(await side.load(load));
      }
    }
    return { windows, voids: (await side.finish()).map((why) => `${name}, counted run: ${why}`) };
  } finally {
    await side.destroy();
  }
}
