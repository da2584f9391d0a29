// --shrink: of a world that fails, one that fails at the same checker with less, and the command that says which.
import assert from "node:assert/strict";
import { test } from "node:test";
import { replayOf, runWorld, type SimPlan } from "../../../bench/sim/run-sim.js";
import { shrink } from "../../../bench/sim/shrink.js";
import type { Outcome } from "../../../bench/sim/world.js";
import { PLANTED } from "./planted.js";

const FAULTS_MIN = 5;

/** Faults that came; those that are left out are drawn, too. */
function came({ faults }: Outcome): number {
  return Object.values(faults).reduce((sum, each) => sum + each, 0);
}

test("a schedule that fails becomes shorter, and still fails in the same way", {
  timeout: 300_000,
}, async (t) => {
  const planted = PLANTED.find(({ name }) => name === "votes of an earlier campaign count in a later one")!;
  let plan: SimPlan = { seed: 1, steps: 4_000, profile: "feud" };
  const undo = planted.apply();
  try {
    let outcome = await runWorld(plan);
    // One that fails before any fault has nothing to leave out.
    while (outcome.violation === null || outcome.drawn < FAULTS_MIN) {
      plan = { ...plan, seed: plan.seed + 1 };
      outcome = await runWorld(plan);
    }
    const shorter = await shrink(plan, outcome, runWorld, 40);
    t.diagnostic(`${outcome.events} events became ${shorter.outcome.events}: ${replayOf(shorter.plan)}`);
    assert.equal(shorter.outcome.violation?.checker, outcome.violation.checker);
    assert.ok(shorter.outcome.events < outcome.events || came(shorter.outcome) < came(outcome));
    assert.deepEqual(await runWorld(shorter.plan), shorter.outcome);
  } finally {
    undo();
  }
});

test("the command that replays a schedule says all that is left out", () => {
  const plan = {
    seed: 7,
    steps: 100,
    profile: "disk",
    nodes: 3,
    lease: true,
    without: ["kill", "cut"],
    skip: [0, 4],
  };
  assert.equal(
    replayOf(plan),
    "raftmark sim --seed 7 --steps 100 --profile disk --nodes 3 --reads lease --without kill,cut --skip 0,4",
  );
});
