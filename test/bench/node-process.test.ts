// What a node's process inherits, and how long its answers are waited for. Real node processes are in test/process.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { flagsForNodes, NodeProcess } from "../../bench/harness/node-process.js";
import { atEnd, tempDir } from "../temp-dir.js";

test("nodes inherit the flags of a bench, and none of a test runner's, whichever way their values are given", () => {
  assert.deepEqual(flagsForNodes(["--cpu-prof", "--cpu-prof-dir=/tmp"]), [
    "--cpu-prof",
    "--cpu-prof-dir=/tmp",
  ]);
  assert.deepEqual(flagsForNodes(["--test-name-pattern", "a name"]), []);
  assert.deepEqual(flagsForNodes(["--test-name-pattern=a name"]), []);
});

/** Answers every command but "close". */
const ANSWERING = `process.on("message", ({ call, op }) => {
  if (op !== "close") process.send({ kind: "reply", call, value: null });
});`;

test("time in which the harness itself stood still is not the node's silence; a node that is silent is told", async (t) => {
  const program = join(tempDir(t), "node.mjs");
  writeFileSync(program, ANSWERING);
  const node = new NodeProcess(1, program);
  atEnd(t, () => node.kill());
  await node.call("campaign", {});
  for (const stillMs of [200, 1000]) {
    const answer = node.call("campaign", {}, { timeoutMs: 200 });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stillMs);
    assert.equal(await answer, null, `${stillMs}`);
  }
  await assert.rejects(node.call("close", {}, { timeoutMs: 100 }), {
    message: /^node 1 \(pid \d+\) did not answer "close" in 100 ms/,
  });
});

test("a node that another process loads is told when it stands still, and not after the load", async (t) => {
  const program = join(tempDir(t), "node.mjs");
  writeFileSync(
    program,
    `const telling = setInterval(() => process.send({ kind: "alive" }), 20);
    process.on("message", () => clearInterval(telling));`,
  );
  const node = new NodeProcess(1, program);
  atEnd(t, () => node.kill());
  const load = new Promise<string>((resolve) => setTimeout(resolve, 1500, "done"));
  assert.equal(await node.whileHeard(load, 1000), "done");
  node.call("campaign", {}).catch(() => {});
  await assert.rejects(node.whileHeard(new Promise(() => {}), 1000), {
    name: "ClusterFault",
    message: /^node 1 \(pid \d+\) gave no sign of life for 1000 ms under load: it stands still/,
  });
});

test("a process without a sign of life is told long before a call's time is over; one that gives signs is waited for", async (t) => {
  const program = join(tempDir(t), "node.mjs");
  writeFileSync(
    program,
    `const telling = setInterval(() => process.send({ kind: "alive" }), 20);
    process.on("message", ({ call, op }) => {
      if (op === "haltLoad") clearInterval(telling);
      else setTimeout(() => process.send({ kind: "reply", call, value: null }), 1500);
    });`,
  );
  const node = new NodeProcess(1, program);
  atEnd(t, () => node.kill());
  const limits = { timeoutMs: 300_000, silentMs: 1000 };
  assert.equal(await node.call("campaign", {}, limits), null);
  await assert.rejects(node.call("haltLoad", {}, limits), {
    name: "ClusterFault",
    message: /^node 1 \(pid \d+\) gave no sign of life for 1000 ms after "haltLoad"/,
  });
});
