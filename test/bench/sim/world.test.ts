// Simulated clusters in short: fresh seeds of every profile hold what Raft promises, and a seed is a world.
// `raftmark sim --minutes N` (npm run test:sim) is the long form.
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeFailure, runWorld } from "../../../bench/sim/run-sim.js";

const STEPS = 3_000;
/** Worlds of fresh seeds are begun until this process has used so much. */
const CPU_MS = 10_000;

test("fresh seeds: nothing that Raft promises breaks", { timeout: 300_000 }, async (t) => {
  const first = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`SEED=${first}`);
  const begun = process.cpuUsage();
  const usedMs = (): number => {
    const { user, system } = process.cpuUsage(begun);
    return (user + system) / 1000;
  };
  let worlds = 0;
  let events = 0;
  let writes = 0;
  do {
    const profile = ["all", "crash", "disk", "network"][worlds % 4]!;
    const plan = { seed: first + worlds, steps: STEPS, profile };
    const outcome = await runWorld(plan);
    assert.equal(outcome.violation, null, outcome.violation === null ? "" : describeFailure(plan, outcome));
    worlds++;
    events += outcome.events;
    writes += outcome.writes;
  } while (usedMs() < CPU_MS);
  t.diagnostic(`${worlds} worlds, ${events} events, ${writes} acknowledged writes`);
});

test("a seed run twice gives one hash, and another seed another", { timeout: 300_000 }, async () => {
  const plan = { seed: 12, steps: STEPS, profile: "all" };
  const once = await runWorld(plan);
  const again = await runWorld(plan);
  assert.deepEqual(again, once);
  assert.notEqual((await runWorld({ ...plan, seed: 13 })).digest, once.digest);
});
