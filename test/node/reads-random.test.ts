// Reads in worlds of chance (sim/world.ts): none is stale in either mode, whatever befalls network, processes and disks;
// every caller gets an answer once all is well, and nothing is applied that its caller was told is lost.
//
// READS=10000 asks for so many reads of each mode (npm run test:reads); SEED repeats one world.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Outcome, World, type WorldPlan } from "./sim/world.js";

const READS = Number(process.env["READS"] ?? 5000);

/** Five nodes mostly; three and one have faults of their own. */
function planOf(seed: number, lease: boolean): WorldPlan {
  const nodes = seed % 10 === 0 ? 1 : seed % 10 === 1 ? 3 : 5;
  return { seed, nodes, lease, troubleTicks: 300 };
}

for (const lease of [false, true]) {
  const mode = lease ? "lease" : "safe";
  test(`no read is stale, and every call settles: ${mode}`, async (t) => {
    const given = process.env["SEED"];
    const begin = Number(given ?? Math.floor(Math.random() * 2 ** 31));
    t.diagnostic(`SEED=${begin}`);
    const sum = { reads: 0, writes: 0, lost: 0, terms: 0, worlds: 0 };
    do {
      const plan = planOf(begin + sum.worlds, lease);
      const outcome: Outcome = await new World(plan).run();
      const replay = `SEED=${plan.seed} node --test --test-name-pattern='${mode}' dist/test/node/reads-random.test.js`;
      assert.equal(outcome.broken, null, `${outcome.broken}\n\nReplay: ${replay}\n`);
      sum.worlds++;
      for (const what of ["reads", "writes", "lost", "terms"] as const) sum[what] += outcome[what];
    } while (given === undefined && sum.reads < READS);
    t.diagnostic(
      Object.entries(sum)
        .map(([what, count]) => `${count} ${what}`)
        .join(", "),
    );
  });
}
