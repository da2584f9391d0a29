// The command as a user meets it: help, and one sentence for whatever is wrong. Nothing is started here.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

function raftmark(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

test("help teaches with examples", () => {
  const top = raftmark("--help");
  assert.equal(top.status, 0);
  assert.match(top.stdout, /raftmark bench --quick/);
  const bench = raftmark("bench", "--help");
  assert.equal(bench.status, 0);
  for (const word of [
    "--writer",
    "--nodes",
    "--entry-bytes",
    "--in-flight",
    "--durability",
    "--keep",
    "Examples:",
  ]) {
    assert.ok(bench.stdout.includes(word), `${word} is not in the help`);
  }
  const report = raftmark("report", "--help");
  assert.equal(report.status, 0);
  assert.match(report.stdout, /Examples:\n {2}raftmark report +the newest result/);
  assert.match(raftmark("--version").stdout, /^\d+\.\d+\.\d+\n$/);
});

test("output that cannot be written is a sentence, not a stack", { skip: !existsSync("/dev/full") }, () => {
  const full = openSync("/dev/full", "w");
  const { status, stderr } = spawnSync(process.execPath, [MAIN, "bench", "--list"], {
    encoding: "utf8",
    stdio: ["ignore", full, "pipe"],
  });
  closeSync(full);
  assert.equal(status, 2);
  assert.equal(stderr, "raftmark: cannot write the output (ENOSPC).\n");
});

test("without arguments: help, and the exit code of a mistake", () => {
  const { status, stdout } = raftmark();
  assert.equal(status, 2);
  assert.match(stdout, /Start here:/);
});

test("a simulated world and a search first say whether anything broke", () => {
  const none = ["--profile", "none", "--steps", "50"];
  const one = raftmark("sim", "--seed", "7", "--nodes", "1", ...none);
  assert.equal(one.status, 0);
  assert.match(one.stdout, /^nothing broke: seed 7, hash [0-9a-f]{8}\n1 node, .*\n.*\n0 faults\n$/);
  const found = raftmark("sim", "--seed", "7", "--seeds", "1", ...none);
  assert.equal(found.status, 0);
  assert.match(found.stdout, /^nothing broke: 1 world, /);
});

const MISTAKES: [string[], RegExp][] = [
  [["bench", "--duration", "0"], /500ms, 5s or 2m\.\n$/],
  [["bench", "--out", "/dev/null/x.json"], /cannot write the result to \/dev\/null\/x\.json \(\w+\)/],
  [["bnch"], /unknown command 'bnch'\. Did you mean bench\?/],
  [
    ["bench", "--wirter", "pool-wasm"],
    /unknown option '--wirter'\. Did you mean --writer\? See raftmark bench --help\.\n$/,
  ],
  [
    ["bench", "--writer", "pool-wsm"],
    /"pool-wsm" is not one of inline-js, inline-wasm, pool-wasm\. Did you mean pool-wasm\?/,
  ],
  [
    ["bench", "--durability", "fsink"],
    /not one of fsync, o_direct, o_dsync, fdatasync, none\. Did you mean fsync\?/,
  ],
  [["bench", "--nodes", "0"], /--nodes: "0" is not allowed: it takes whole numbers from 1 to 9/],
  [["bench", "--nodes", "-3"], /--nodes: "-3" is not allowed/],
  [["bench", "--entry-bytes", "15"], /whole numbers from 16 to 1048576/],
  [["bench", "--in-flight", "1,x"], /--in-flight: "x" is not allowed/],
  [["bench", "--in-flight"], /argument missing/],
  [["bench", "--duration", "5"], /it takes a time from 100ms to 60m .* Did you mean 5s\?/],
  [["bench", "--duration", "1ms"], /not allowed/],
  [["bench", "--order", "rnadom"], /not one of table, random\. Did you mean random\?/],
  [["bench", "--seed", "abc"], /--seed: "abc" is not allowed: it takes a whole number/],
  [["bench", "--base-port", "80"], /whole number from 1024 to 65500/],
  [["bench", "canonicl"], /there is no scenario "canonicl".* Did you mean canonical\?/],
  [["bench", "canonical", "more"], /too many arguments/],
  [["gate"], /'--base <revision>' not specified\. See raftmark gate --help\.\n$/],
  [["history", "add"], /missing required argument 'result'\. See raftmark history add --help\.\n$/],
  [["wal", "verfy", "."], /unknown command 'verfy'\. Did you mean verify\? See raftmark wal --help\.\n$/],
  [["sim", "--profile", "constructor"], /"constructor" is not allowed: it takes one of all, network/],
];

for (const [args, expected] of MISTAKES) {
  test(`raftmark ${args.join(" ")}`, () => {
    const { status, stdout, stderr } = raftmark(...args);
    assert.equal(status, 2);
    assert.equal(stdout, "");
    assert.match(stderr, expected);
    assert.equal(stderr.trim().split("\n").length, 1, "one sentence");
  });
}

test("an option that npm took for itself is no other run than the one that was asked for", () => {
  const run = (words: string[], more: NodeJS.ProcessEnv) =>
    spawnSync(process.execPath, [MAIN, ...words], { encoding: "utf8", env: { ...process.env, ...more } });
  const gate = run(["gate", "main"], { npm_lifecycle_event: "bench:ci", npm_config_base: "true" });
  assert.equal(gate.status, 2);
  assert.equal(
    gate.stderr,
    "raftmark: npm took --base for itself: write -- between, npm run bench:ci -- --base ...\n",
  );
  const quick = run(["bench"], { npm_lifecycle_event: "bench", npm_config_quick: "true" });
  assert.equal(quick.status, 2);
  assert.match(quick.stderr, /npm run bench -- --quick/);
  // Npm's own option may stand in an .npmrc.
  const list = run(["bench", "--list"], { npm_lifecycle_event: "bench", npm_config_json: "true" });
  assert.equal(list.status, 0);
});
