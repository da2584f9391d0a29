// A process that starts gets the memory of one that ended, and must not be able to tell.
import assert from "node:assert/strict";
import { test } from "node:test";
import { clear, leftMemories } from "../../../bench/sim/memories.js";
import { runWorld } from "../../../bench/sim/run-sim.js";

test("a memory that is used again is all zeros, whatever the writer was and did", async () => {
  const kinds = new Set<string>();
  for (let seed = 1; (seed <= 8 || kinds.size < 2) && seed <= 60; seed++) {
    await runWorld({ seed, steps: 3_000, profile: "all" });
    for (const { buffer } of leftMemories()) kinds.add(buffer.constructor.name);
  }
  assert.deepEqual([...kinds].sort(), ["ArrayBuffer", "SharedArrayBuffer"], "not both writers ran");
  let used = 0;
  for (const { buffer } of leftMemories()) {
    const bytes = Buffer.from(buffer as ArrayBuffer);
    const zeros = Buffer.alloc(bytes.length);
    if (!bytes.equals(zeros)) used++;
    clear(buffer);
    assert.ok(bytes.equals(zeros), "something is left");
  }
  assert.ok(used > 4);
});
