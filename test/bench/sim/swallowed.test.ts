// What a world must not let pass, whatever else is wrong in it.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Violation } from "../../../bench/sim/checker.js";
import { install, uninstall } from "../../../bench/sim/host.js";
import { PROFILES } from "../../../bench/sim/profiles.js";
import { World } from "../../../bench/sim/world.js";
import { InvariantError } from "../../../src/base/assert.js";
import { RaftNode } from "../../../src/node/raft-node.js";

/** What breaks in a world of five without faults that `change` has changed. */
async function broken(change: (world: World) => void): Promise<Violation | null> {
  install();
  try {
    const plan = { seed: 1, steps: 500, profile: PROFILES["none"]!, words: false, nodes: 5 };
    const world = new World(plan);
    change(world);
    return (await world.run()).violation;
  } finally {
    uninstall();
  }
}

test("a ruined node that is well stands in for no sound one that never opens", async () => {
  const violation = await broken((world) => {
    world.ruined.add(1);
    world.processes[1]!.start = () => {};
  });
  assert.equal(violation?.checker, "liveness");
  assert.match(violation.what, /2 is down/);
});

test("a call that ends with what is no RaftmarkError was not refused", async (t) => {
  t.mock.method(RaftNode.prototype, "readBarrier", () => Promise.reject(new TypeError("oops")));
  const violation = await broken(() => {});
  assert.equal(violation?.checker, "answer");
  assert.match(violation.what, /^read on node \d ends with TypeError: oops/);
});

test("what an event throws is a violation, with its seed and its story", async () => {
  const violation = await broken((world) => {
    world.after(10_000, () => {
      throw new RangeError("out of hand");
    });
  });
  assert.equal(violation?.checker, "exception");
  assert.match(violation.what, /^RangeError: out of hand/);
});

test("a ruined disk excuses no broken invariant", async () => {
  const violation = await broken((world) => {
    world.ruined.add(1);
    world.after(10_000, () => world.processes[0]!.node!.onFault!(new InvariantError("impossible") as never));
  });
  assert.equal(violation?.checker, "fault");
  assert.match(violation.what, /impossible/);
});
