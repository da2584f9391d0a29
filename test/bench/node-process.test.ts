// What a node's process inherits. Real node processes are in test/process.
import assert from "node:assert/strict";
import { test } from "node:test";
import { flagsForNodes } from "../../bench/harness/node-process.js";

test("nodes inherit the flags of a bench, and none of a test runner's, whichever way their values are given", () => {
  assert.deepEqual(flagsForNodes(["--cpu-prof", "--cpu-prof-dir=/tmp"]), [
    "--cpu-prof",
    "--cpu-prof-dir=/tmp",
  ]);
  assert.deepEqual(flagsForNodes(["--test-name-pattern", "a name"]), []);
  assert.deepEqual(flagsForNodes(["--test-name-pattern=a name"]), []);
});
