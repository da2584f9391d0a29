// Who is up with whom: variants of one cluster share it, and no more processes are up at once than a machine may have.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AxisValues } from "../../bench/harness/axes.js";
import { expand, resolveAxes } from "../../bench/harness/scenario.js";
import { nodesOf, type Seating, seatingsOf } from "../../bench/harness/sitting.js";
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
