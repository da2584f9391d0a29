// The conformance command from outside: what it prints and how it exits.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { tempDir } from "../temp-dir.js";

const MAIN = fileURLToPath(new URL("./main.js", import.meta.url));
const GOOD = "vote cfg=(1) votes=(y)\n----\nVoteWon\n";
const BAD = "vote cfg=(1,2) votes=(y,n)\n----\nVotePending\n";

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
}

function directory(t: TestContext, files: Record<string, string>): string {
  const root = tempDir(t);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

test("all as expected: one line, exit code 0", (t) => {
  const dir = directory(t, {
    "a/quorum/one.txt": GOOD,
    "b/c/quorum/two.txt": GOOD,
    "b/elsewhere/three.txt": "not run",
    "quorum/README.md": "not run",
    "confchange/four.txt": "simple\nv1\n----\nvoters=(1)\n1: StateProbe match=0 next=1\n",
  });
  const { status, stdout, stderr } = run(dir);
  assert.equal(stderr, "");
  assert.equal(stdout, "3 passed, 0 failed\n");
  assert.equal(status, 0);
});

test("one file can be run alone", (t) => {
  const dir = directory(t, { "quorum/one.txt": GOOD, "quorum/two.txt": "vote\n----\nVoteLost\n" });
  assert.equal(run(join(dir, "quorum", "one.txt")).stdout, "1 passed, 0 failed\n");
  assert.equal(run(join(dir, "quorum")).status, 1);
});

test("each file that differs is named with its first difference", (t) => {
  const dir = directory(t, {
    "quorum/differs.txt": `${GOOD}\n\n# comment\n${BAD}\nnonsense\n----\n`,
    "quorum/fine.txt": GOOD,
    "quorum/malformed.txt": "vote cfg=(1",
    "interaction/unknown_argument.txt": "add-nodes 1 colour=red\n----\nok\n",
  });
  const { status, stdout } = run(dir);
  const expected = [
    "FAIL interaction/unknown_argument.txt:1: add-nodes 1 colour=red",
    "  add-nodes has no argument colour=",
    "FAIL quorum/differs.txt:7: vote cfg=(1,2) votes=(y,n)",
    "  --- expected",
    "  +++ actual",
    "  -VotePending",
    "  +VoteLost",
    "FAIL quorum/malformed.txt:1",
    '  malformed file: list is not closed: "(1"',
    "1 passed, 3 failed",
    "",
  ];
  assert.equal(stdout, expected.join("\n"));
  assert.equal(status, 1);
});

test("a directory that is missing, empty, or not one", (t) => {
  const dir = directory(t, { "quorum/notes.md": "" });
  const missing = run(join(dir, "nowhere"));
  assert.equal(missing.status, 2);
  assert.match(missing.stderr, /can't read .*nowhere.*ENOENT/);
  const empty = run(dir);
  assert.equal(empty.status, 2);
  assert.match(empty.stderr, /nothing to run in .*quorum/);
  const file = run(join(dir, "quorum", "notes.md"));
  assert.equal(file.status, 2);
  assert.match(file.stderr, /nothing to run/);
});

test("usage", () => {
  const help = run("--help");
  assert.equal(help.status, 0);
  assert.match(help.stdout, /^usage: npm run conformance -- DIR/);
  assert.equal(run().status, 2);
  assert.match(run().stderr, /one DIR is needed/);
  assert.match(run("--colour", "x").stderr, /unknown option --colour/);
});
