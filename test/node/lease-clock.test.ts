// The clock of a lease counts the time for which a host slept, whatever its monotonic clock says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LeaseClock } from "../../src/node/lease-clock.js";

function clocks() {
  const at = { monotonic: 1000, wall: 5000 };
  const clock = new LeaseClock(
    () => at.monotonic,
    () => Math.floor(at.wall),
  );
  const pass = (monotonicMs: number, wallMs = monotonicMs): number => {
    at.monotonic += monotonicMs;
    at.wall += wallMs;
    return clock.elapsedMs();
  };
  return pass;
}

test("a sleep counts, also one of a few milliseconds: a lease of short ticks is not much longer", () => {
  const pass = clocks();
  assert.equal(pass(10), 10);
  assert.equal(pass(1, 15), 25);
  assert.equal(pass(5), 30);
  assert.ok(pass(0, 1000) >= 1029);
});

test("that the wall clock steps, or is set back, is no sleep; set forward it ends a lease early", () => {
  const pass = clocks();
  let elapsed = 0;
  for (let i = 0; i < 1000; i++) elapsed = pass(0.37);
  assert.ok(Math.abs(elapsed - 370) < 0.001, `${elapsed}`);
  assert.ok(Math.abs(pass(1, -3600_000) - elapsed - 1) < 0.001);
  assert.ok(pass(1, 3600_000) > 3_000_000);
});
