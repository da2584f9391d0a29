// The axes --node and --node-flags: what is found, and what is refused before anything is started.
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { DEFAULT_SETTINGS, parseAxis, type Settings } from "../../bench/harness/axes.js";
import { BenchError } from "../../bench/harness/bench-error.js";
import { findRuntimes } from "../../bench/harness/runtimes.js";
import { nodeText } from "../../bench/report/node-text.js";
import { tempDir } from "../temp-dir.js";
import { sampleResult } from "./sample-result.js";

const settings = (given: Partial<Settings>): Settings => ({ ...DEFAULT_SETTINGS, ...given });
const refused = (given: Partial<Settings>, message: RegExp) =>
  assert.rejects(findRuntimes([settings(given)]), (error: BenchError) => {
    assert.ok(error instanceof BenchError);
    assert.equal(error.exitCode, 2);
    assert.match(error.message, message);
    return true;
  });

/** An executable that prints `text` whatever it is given. */
function program(t: TestContext, text: string): string {
  const dir = tempDir(t);
  const path = join(dir, "node");
  writeFileSync(path, `#!/bin/sh\necho "${text}"\n`);
  chmodSync(path, 0o700);
  return path;
}

test("words of --node and --node-flags become values", () => {
  assert.deepEqual(parseAxis("node", "own,26,v26.10.0,./node,/usr/bin/node"), [
    ...["own", "26", "26.10.0", "./node", "/usr/bin/node"],
  ]);
  assert.deepEqual(parseAxis("nodeFlags", "none,--max-semi-space-size=32,--a=1  --b"), [
    ...["none", "--max-semi-space-size=32", "--a=1 --b"],
  ]);
  assert.throws(
    () => parseAxis("node", "newest"),
    /--node: "newest" is not allowed: it takes own .*versions like 26/,
  );
  assert.throws(
    () => parseAxis("nodeFlags", "script.js"),
    /--node-flags: "script\.js" is not allowed: .*begin with --/,
  );
});

test("each Node.js is found with its flags", async (t) => {
  const path = process.execPath;
  const all = [
    settings({}),
    settings({ node: path }),
    settings({ node: path, nodeFlags: "--max-semi-space-size=32 --expose-gc" }),
  ];
  const runtimeOf = await findRuntimes(all);
  assert.deepEqual(runtimeOf(all[0]!), { execPath: path, flags: [] });
  assert.deepEqual(runtimeOf(all[1]!), { execPath: path, flags: [] });
  assert.deepEqual(runtimeOf(all[2]!), {
    execPath: path,
    flags: ["--max-semi-space-size=32", "--expose-gc"],
  });
  const newer = settings({ node: program(t, "raftmark v26.99.0") });
  assert.equal((await findRuntimes([newer]))(newer).execPath, newer.node);
});

test("what cannot be found, is no Node.js or not a supported one, and flags that it does not take are refused", async (t) => {
  await refused(
    { node: "/nowhere/node" },
    /^--node \/nowhere\/node: it cannot be run \(ENOENT\): name the executable/,
  );
  const other = program(t, "hello");
  await refused({ node: other }, /^--node .* is no Node\.js: it does not tell its version\.$/);
  const old = program(t, "raftmark v18.20.0");
  await refused(
    { node: old },
    /Node\.js 18\.20\.0 is not supported: raftmark runs on 20, 22, 24, and from 26 on\.$/,
  );
  await refused({ node: "23" }, /^--node 23: Node\.js 23 is not supported/);
  await refused(
    { nodeFlags: "--no-such-flag" },
    /^--node-flags "--no-such-flag": Node\.js \d.* does not take them \(.*bad option: --no-such-flag\)\.$/,
  );
  await refused({ nodeFlags: "--version" }, /does not take them \(with them it does not run a program\)/);
});

test("a version that npx does not find is refused", async (t) => {
  const dir = tempDir(t);
  const says = (text: string) => {
    writeFileSync(join(dir, "npx"), `#!/bin/sh\necho "${text}" >&2\nexit 1\n`);
    chmodSync(join(dir, "npx"), 0o700);
  };
  const path = process.env["PATH"];
  process.env["PATH"] = `${dir}:${path}`;
  try {
    says("npm error code ETARGET");
    await refused(
      { node: "26.99.0" },
      /^--node 26\.99\.0: node.*@26\.99\.0 is not to be had from the registry; name a version that exists, or/,
    );
    says("npm error code EDISK");
    await refused({ node: "26" }, /^--node 26: npx could not fetch node.*@26: npm error code EDISK\.$/);
  } finally {
    process.env["PATH"] = path;
  }
});

test("--link uws is refused where none loads", async () => {
  process.env["UWS_USE_FALLBACK"] = "1";
  try {
    await refused(
      { link: "uws" },
      /^--link uws: no uWebSockets\.js that loads on Node\.js v\d.*; give --link ws\.$/,
    );
  } finally {
    delete process.env["UWS_USE_FALLBACK"];
  }
});

test("a result says which Node.js its runs had", () => {
  const result = sampleResult([
    { settings: {}, proposalsPerS: 1 },
    { settings: {}, proposalsPerS: 2 },
  ]);
  const [one, two] = result.runs;
  const told = (a: string, b: string) =>
    nodeText({
      ...result,
      runs: [
        { ...one!, node: a },
        { ...two!, node: b },
      ],
    });
  const own = result.environment.node;
  assert.equal(told("", own), own);
  assert.equal(told("v26.1.0", "v26.1.0"), `v26.1.0 in the runs, ${own} in the bench itself`);
  assert.equal(told(own, "v26.1.0"), `${own} and v26.1.0 in the runs, ${own} in the bench itself`);
});
