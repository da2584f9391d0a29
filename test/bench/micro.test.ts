// The micro benches run: every case, a few iterations. Their figures are not looked at.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../bench/micro/main.js", import.meta.url));

test("micro benches, smoke", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, "--smoke"], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  for (const part of [
    "majority commit",
    "inflights",
    "log append",
    "leader, propose",
    "times the speed of JavaScript",
    '"perSecond"',
  ]) {
    assert.ok(stdout.includes(part), `${part} is missing:\n${stdout}`);
  }
});

test("a name that no micro bench has", () => {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, "no such case"], { encoding: "utf8" });
  assert.equal(status, 2);
  assert.match(stderr, /majority commit, 3 voters/);
});
