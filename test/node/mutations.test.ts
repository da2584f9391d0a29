// The search for faults of reads and outcomes (reads-random.test.ts) finds those that were mended, when they are put
// back, and nothing in the same world without them. Worlds are the same every time: nothing here is a matter of luck.
//
// MUTATIONS=all tries every one (npm run test:reads); else two, one of a read and one of a proposal.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MUTATIONS } from "./sim/mutations.js";
import { type Outcome, World } from "./sim/world.js";

const TROUBLE_TICKS = 200;
/** Worlds in which a fault has to show; most show in the first few. */
const WORLDS = 600;
const SHORT = [
  "an answer to an earlier heartbeat confirms a later request",
  "a proposal waits until the log grows past its index",
];

const chosen = MUTATIONS.filter(({ name }) => process.env["MUTATIONS"] === "all" || SHORT.includes(name));

for (const { name, lease, nodes, favourite, finding, apply } of chosen) {
  test(`found when put back: ${name}`, async (t) => {
    const plan = {
      nodes,
      lease,
      troubleTicks: TROUBLE_TICKS,
      ...(favourite === undefined ? {} : { favourite }),
    };
    const run = (seed: number) => new World({ ...plan, seed }).run();
    let outcome: Outcome | null = null;
    let seed = 0;
    while (outcome?.broken == null && seed < WORLDS) {
      const undo = apply();
      try {
        outcome = await run(++seed);
      } finally {
        undo();
      }
    }
    t.diagnostic(`world ${seed}: ${outcome?.broken}`);
    assert.match(outcome?.broken ?? `nothing in ${WORLDS} worlds`, finding);
    assert.equal((await run(seed)).broken, null);
  });
}
