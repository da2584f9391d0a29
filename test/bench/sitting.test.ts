// Who is up with whom: variants of one cluster share it, and no more processes are up at once than a machine may have.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AxisValues } from "../../bench/harness/axes.js";
import { arrivalsSeed } from "../../bench/harness/run-variant.js";
import { expand, resolveAxes } from "../../bench/harness/scenario.js";
import { nodesOf, type Seating, seatingsOf, visitsOf } from "../../bench/harness/sitting.js";
import { canonical } from "../../bench/scenarios/canonical.js";

const NODES_AT_ONCE_MAX = 9;

function seated(axes: Partial<AxisValues>): { seatings: Seating[]; names: (number | string)[][][] } {
  const seatings = seatingsOf(expand(resolveAxes(canonical, true, axes)));
  const names = seatings.map((seating) =>
    seating.map((variants) =>
      variants.map(({ settings }) => `${settings.writer} ${settings.nodes} ${settings.inFlight}`),
    ),
  );
  return { seatings, names };
}

test("the loads of a configuration share its cluster, and what is compared is up at once", () => {
  const { names } = seated({});
  assert.deepEqual(names, [
    [
      ["inline-js 3 64", "inline-js 3 1024"],
      ["inline-wasm 3 64", "inline-wasm 3 1024"],
      ["pool-wasm 3 64", "pool-wasm 3 1024"],
    ],
  ]);
});

test("no more nodes are up at once than the bound, unless one cluster has more; each variant sits once", () => {
  for (const nodes of [[1], [1, 3, 5, 7], [5], [11]]) {
    const axes = { nodes, inFlight: [1, 64] };
    const { seatings } = seated(axes);
    const seats = seatings.flat(2);
    assert.deepEqual(
      seats.map(({ position }) => position).sort((a, b) => a - b),
      expand(resolveAxes(canonical, true, axes)).map(({ position }) => position),
    );
    for (const seating of seatings)
      assert.ok(
        nodesOf(seating) <= NODES_AT_ONCE_MAX || seating.length === 1,
        `${nodes}: ${nodesOf(seating)}`,
      );
  }
});

test("an event, and a client's load, have a cluster and the machine for themselves", () => {
  for (const axes of [
    { event: ["pause-follower"], inFlight: [1, 64] },
    { from: ["client"], inFlight: [1, 64] },
  ] as Partial<AxisValues>[]) {
    const { seatings } = seated(axes);
    assert.equal(seatings.length, 6);
    for (const seating of seatings) assert.equal(seating.flat().length, 1);
  }
});

test("a window is visits of whole steps of its series, and only its own end cuts one", () => {
  const closed = (ms: number) => visitsOf({ rate: 0 }, ms);
  assert.deepEqual(closed(600), [200, 200, 200]);
  assert.deepEqual(closed(500), [100, 200, 200]);
  assert.deepEqual(closed(700), [100, 200, 200, 200]);
  assert.deepEqual(closed(300), [100, 200]);
  assert.deepEqual(closed(650), [200, 200, 250]);
  assert.deepEqual(closed(100), [100]);
});

test("an open loop's window is not cut: what waits at its end may have waited since its begin", () => {
  assert.deepEqual(visitsOf({ rate: 500 }, 2000), [2000]);
});

test("every visit of every run draws arrivals of its own, and the same again for the same seed", () => {
  const seeds = (seed: number) =>
    Array.from({ length: 20 * 10 }, (_, i) => arrivalsSeed(seed, Math.floor(i / 10), i % 10));
  assert.equal(new Set([...seeds(7), ...seeds(8)]).size, 400);
  assert.deepEqual(seeds(7), seeds(7));
});
