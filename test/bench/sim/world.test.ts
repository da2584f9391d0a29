// Simulated clusters in short: fresh seeds of every profile hold what Raft promises, and a seed is a world.
// `raftmark sim --minutes N` (npm run test:sim) is the long form.
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeFailure, runWorld } from "../../../bench/sim/run-sim.js";
import { keepBytes, letGoOfBytes, POOLED_BYTES_MIN, takeBytes } from "../../../src/base/byte-pool.js";
import { seedOf } from "../../seed.js";

const STEPS = 3_000;
/** Worlds of fresh seeds are begun until they had so many events, or this process has used so much. */
const EVENTS = 1_000_000;
const CPU_MS = 100_000;
const FRESH_STEPS = 15_000;
const PROFILES = ["all", "crash", "disk", "network", "feud", "reads", "leases", "snapshots", "members"];

test("fresh seeds: nothing that Raft promises breaks", { timeout: 300_000 }, async (t) => {
  const first = seedOf(t, import.meta.url);
  const begun = process.cpuUsage();
  const usedMs = (): number => {
    const { user, system } = process.cpuUsage(begun);
    return (user + system) / 1000;
  };
  let worlds = 0;
  let events = 0;
  let writes = 0;
  let histories = 0;
  do {
    const profile = PROFILES[worlds % PROFILES.length]!;
    const plan = { seed: first + worlds, steps: FRESH_STEPS, profile };
    const outcome = await runWorld(plan);
    assert.equal(outcome.violation, null, outcome.violation === null ? "" : describeFailure(plan, outcome));
    worlds++;
    events += outcome.events;
    writes += outcome.writes;
    histories += outcome.histories;
  } while (events < EVENTS && usedMs() < CPU_MS);
  const rate = Math.round((1000 * events) / usedMs());
  t.diagnostic(`${worlds} worlds, ${events} events, ${rate} a core-second`);
  t.diagnostic(`${writes} acknowledged writes, ${histories} histories`);
});

test("a seed run twice gives one hash, and another seed another", { timeout: 300_000 }, async () => {
  for (const profile of ["all", "snapshots"]) {
    const plan = { seed: 12, steps: STEPS, profile };
    const once = await runWorld(plan);
    const again = await runWorld(plan);
    assert.deepEqual(again, once);
    assert.notEqual((await runWorld({ ...plan, seed: 13 })).digest, once.digest);
  }
});

test("nodes start from snapshots, and install those of leaders", { timeout: 300_000 }, async () => {
  let restores = 0;
  let installs = 0;
  for (let seed = 1; seed <= 15; seed++) {
    const plan = { seed, steps: 6_000, profile: "snapshots" };
    const outcome = await runWorld(plan);
    assert.equal(outcome.violation, null, outcome.violation === null ? "" : describeFailure(plan, outcome));
    restores += outcome.restores;
    installs += outcome.installs;
  }
  assert.ok(installs > 0 && restores > installs, `${restores} restores, ${installs} of them installs`);
});

test("a world that ends leaves the pool of buffers as it was: what is given back is used again", async () => {
  // Something waited for its next turn as these ended.
  await runWorld({ seed: 6, steps: STEPS, profile: "crash" });
  await runWorld({ seed: 6, steps: STEPS, profile: "disk" });
  await runWorld({ seed: 5, steps: STEPS, profile: "snapshots" });
  const { buffer } = takeBytes(POOLED_BYTES_MIN);
  keepBytes(buffer);
  letGoOfBytes(buffer);
  for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(takeBytes(POOLED_BYTES_MIN).buffer, buffer);
});
