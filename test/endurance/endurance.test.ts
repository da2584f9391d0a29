// What takes minutes in the long form (npm run test:endurance), with less of everything: bounds are looked at, times not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bounds } from "./bounds.js";
import { hostile } from "./hostile.js";
import { restart } from "./restart.js";

const KiB = 1 << 10;
const MiB = 1 << 20;

test("under constant load the log stays within its bounds, and memory and restarts too", async (t) => {
  const { commits, restarts } = await bounds({
    loadMs: 4000,
    awayMs: 1500,
    restartEveryMs: 1000,
    inFlight: 64,
    rowBytes: 1000,
    stateBytes: 256 * KiB,
    snapshotEveryBytes: 4 * MiB,
    segmentBytes: MiB,
    growthMax: 128 * MiB,
    slowerMax: Infinity,
    timeoutMs: 60_000,
    say: (line) => t.diagnostic(line),
  });
  assert.ok(commits > 0 && restarts > 0);
});

for (const kill of [false, true]) {
  test(`a node that is ${kill ? "killed" : "closed"} reads what is behind its snapshot, whatever it has taken`, async (t) => {
    const { records } = await restart({
      proposedBytes: 40 * MiB,
      stateBytes: MiB,
      rowBytes: 1000,
      inFlight: 256,
      snapshotEveryBytes: 2 * MiB,
      segmentBytes: MiB,
      startMsMax: Infinity,
      kill,
      say: (line) => t.diagnostic(line),
    });
    assert.ok(records > 0);
  });
}

test("hostile connections are closed with a code, and the group commits on", async (t) => {
  const seed = Number(process.env.SEED ?? 1);
  t.diagnostic(`SEED=${seed} node --test dist/test/endurance/endurance.test.js`);
  const counts = await hostile({
    connections: 64,
    seed,
    inFlight: 16,
    growthMax: 256 * MiB,
    say: (line) => t.diagnostic(line),
  });
  assert.ok(counts.size > 8);
});
