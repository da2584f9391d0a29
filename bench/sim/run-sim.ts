// Runs worlds: one by its seed, with the same outcome every time, or many. A world in which something broke is run again
// for its story, which must end the same way.
import { bytePoolTesting } from "../../src/base/byte-pool.js";
import { install, uninstall } from "./host.js";
import { PROFILES } from "./profiles.js";
import type { WorldPlan } from "./stage.js";
import { type Outcome, World } from "./world.js";

export interface SimPlan extends Omit<WorldPlan, "profile" | "words"> {
  /** A name in PROFILES. */
  readonly profile: string;
}

export const STEPS_DEFAULT = 30_000;

/** One world. The host of this process is simulated meanwhile: nothing else may run in it. */
export async function runWorld(plan: SimPlan): Promise<Outcome> {
  const profile = PROFILES[plan.profile];
  if (profile === undefined) throw new Error(`no profile ${plan.profile}`);
  const chosen = { ...plan, profile };
  install();
  // Who reads what is not its own any more reads something else.
  bytePoolTesting.poison = true;
  const run = async (words: boolean): Promise<Outcome> => {
    try {
      return await new World({ ...chosen, words }).run();
    } finally {
      // What waited for the world's next turn would wait for ever, and the pool with it.
      bytePoolTesting.reset();
    }
  };
  try {
    const outcome = await run(false);
    if (outcome.violation === null) return outcome;
    const told = await run(true);
    if (told.digest === outcome.digest) return told;
    const what = `two runs of one seed differ: ${outcome.digest} (${outcome.violation.what}) and ${told.digest}`;
    return { ...told, violation: { checker: "determinism", what } };
  } finally {
    bytePoolTesting.poison = false;
    uninstall();
  }
}

/** The command that runs it again. */
export function replayOf(plan: SimPlan): string {
  const {
    seed,
    steps,
    profile,
    nodes,
    lease,
    snapshots,
    tickMs,
    electionTicks,
    without = [],
    skip = [],
  } = plan;
  const words = [`raftmark sim --seed ${seed}`];
  if (steps !== STEPS_DEFAULT) words.push(`--steps ${steps}`);
  if (profile !== "all") words.push(`--profile ${profile}`);
  if (nodes !== undefined) words.push(`--nodes ${nodes}`);
  if (lease !== undefined) words.push(`--reads ${lease ? "lease" : "safe"}`);
  if (snapshots !== undefined) words.push(`--snapshots ${snapshots ? "yes" : "no"}`);
  if (tickMs !== undefined) words.push(`--tick-ms ${tickMs}`);
  if (electionTicks !== undefined) words.push(`--election-ticks ${electionTicks}`);
  if (without.length > 0) words.push(`--without ${without.join(",")}`);
  if (skip.length > 0) words.push(`--skip ${skip.join(",")}`);
  return words.join(" ");
}

/** What broke, for people: where, what, the last events of each node, and how to see it again. */
export function describeFailure(plan: SimPlan, { violation, story, events, ms }: Outcome): string {
  const { checker, what } = violation!;
  return `${story}\n\nseed ${plan.seed}, event ${events}, ${ms} ms: ${checker}: ${what}\n\nReplay: ${replayOf(plan)}\n`;
}
