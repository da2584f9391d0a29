// The simulator finds faults that are put into the engine, and nothing in the same world without them: a search that
// finds nothing proves nothing. PLANTED=all tries every one and prints the table of docs/reliability.md.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runWorld, type SimPlan } from "../../../bench/sim/run-sim.js";
import type { Outcome } from "../../../bench/sim/world.js";
import { PLANTED } from "./planted.js";

const STEPS = 6_000;
/** Worlds in which a fault has to show, unless it says another number. */
const WORLDS = 150;
/** The canary among them: should it live, all else is in doubt. */
const SHORT = [
  "an append is acknowledged before it is durable",
  "one copy is a quorum",
  "a sync of a directory does nothing",
  "an answer to an earlier heartbeat confirms a later request",
  "a proposal waits until the log grows past its index",
];

const wanted = process.env["PLANTED"] ?? "";
const chosen = PLANTED.filter(({ name }) =>
  wanted === "" ? SHORT.includes(name) : wanted === "all" || name.includes(wanted),
);

for (const { name, profile, nodes, lease, worlds = WORLDS, checkers, apply } of chosen) {
  test(`found when put in: ${name}`, { timeout: 600_000 }, async (t) => {
    const more = { ...(nodes === undefined ? {} : { nodes }), ...(lease === undefined ? {} : { lease }) };
    let outcome: Outcome | null = null;
    let plan: SimPlan | null = null;
    let events = 0;
    for (let seed = 1; seed <= worlds && (outcome === null || outcome.violation === null); seed++) {
      plan = { seed, steps: STEPS, profile, ...more };
      const undo = apply();
      try {
        outcome = await runWorld(plan);
      } finally {
        undo();
      }
      events += outcome.events;
    }
    const violation = outcome!.violation;
    t.diagnostic(`| ${name} | ${violation?.checker} | ${events} |`);
    assert.notEqual(violation, null, `nothing in ${worlds} worlds`);
    assert.match(violation!.checker, checkers, violation!.what);
    assert.equal((await runWorld(plan!)).violation, null);
  });
}
