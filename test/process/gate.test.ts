// The gate, compare and history with real clusters and real git: small runs, and each way in which one can go wrong.
import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { PAIRS_FACTOR_MAX } from "../../bench/gate/pairs.js";
import { GATE_DEFAULTS, runGate } from "../../bench/gate/run-gate.js";
import { voidText } from "../../bench/gate/voids.js";
import { engineFrom, TEST_WRONG_STATE } from "../../bench/harness/engine-from.js";
import { freePorts } from "../../bench/harness/ports.js";
import { Result } from "../../bench/report/result-schema.js";
import { samplingCost } from "../../bench/selftest/sampling.js";
import { soundRuns } from "../../bench/stats/rows.js";
import { Command, isRunning, scratchDir, until } from "./support.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const scratch = scratchDir("gate");
afterEach(() => Command.killAll());
after(() => scratch.remove());

const never = new AbortController().signal;
const SMALL = { ...GATE_DEFAULTS, pairs: 1, windows: 2, windowMs: 50, warmupMs: 100, seed: 1 };
const OVER_MS = 120_000;

test("a small gate run counts and measures both sides; a wrong state on one makes it void", async () => {
  const base = { ...SMALL, base: ROOT, head: ROOT, dir: scratch.folder() };
  const quiet = { counted: () => {}, pair: () => {}, trouble: () => {} };
  const sound = await runGate({ ...base, headEnv: {} }, quiet, never);
  assert.deepEqual(sound.voids, []);
  assert.ok(
    sound.samples.length % 4 === 0 && sound.samples.length <= 4 * PAIRS_FACTOR_MAX,
    "one pair, or more where it was left open",
  );
  const messages = sound.limits.find(({ counter, inFlight }) => counter === "messagesSent" && inFlight === 1);
  assert.ok(
    // Eight where nobody is late: two appends, two answers, the commit to each and its answer. Late ones share some.
    messages !== undefined && Math.min(...messages.base) >= 4,
    `${messages?.base.join()}: an append and an answer by each follower at the least`,
  );
  const wrong = { ...base, counted: false, headEnv: { [TEST_WRONG_STATE]: "3" } };
  const spoilt = await runGate(wrong, quiet, never);
  assert.equal(spoilt.state, "closed");
  assert.match(
    spoilt.voids.map(voidText).join(),
    /^head, pair 1: logs: node 3: its state machine reported hash/,
  );
  assert.deepEqual(readdirSync(base.dir), []);
});

test("what sampling costs is measured between windows in which a cluster follows and others", async () => {
  // Longer than a slow disk takes for a write.
  const shape = { windows: 2, windowMs: 500, warmupMs: 100 };
  const { throughput: ratio } = await samplingCost({ inFlight: 64, clusters: 1, seed: 1, shape }, never);
  // How fast either was is the long run's affair; of a side that stood still it is nothing, or endless.
  assert.ok(ratio.estimate > 0 && ratio.estimate < Infinity, `${ratio.estimate}`);
});

test("an engine of another tree is told by what is missing", async () => {
  await assert.rejects(
    engineFrom({ RAFTMARK_BENCH_ENGINE: scratch.path }),
    /holds no built engine: .*index\.js is missing/,
  );
});

test("an engine of another tree takes the trace that comes with it", async () => {
  const tree = scratch.folder();
  for (const part of ["src", "assembly"]) {
    cpSync(join(ROOT, "dist", part), join(tree, "dist", part), { recursive: true });
  }
  for (const name of ["node_modules", "package.json"]) symlinkSync(join(ROOT, name), join(tree, name));
  const source = await engineFrom({ RAFTMARK_BENCH_ENGINE: tree });
  const [port] = await freePorts(1);
  const engine = await source.open({
    id: 1,
    dir: join(tree, "log"),
    listen: `127.0.0.1:${port}`,
    peers: { 1: `127.0.0.1:${port}` },
    secret: "a secret of the test",
    stateMachine: { apply: () => undefined },
    trace: source.newTrace(1),
  });
  await engine.close({ timeoutMs: 0 });
});

const TINY = ["--writer", "pool-wasm", "--in-flight", "16", "--duration", "200ms", "--warmup", "100ms"];

/** The current tree is a clone when it is developed, and none in an installed package. */
const isClone = existsSync(join(ROOT, ".git"));
const needsClone = { skip: isClone ? false : "this tree is no git clone" };

test("two revisions take turns and leave two results that compare again", needsClone, async () => {
  const cwd = scratch.folder();
  const words = ["compare", "worktree", "worktree", "--rounds", "2", "--seed", "4", ...TINY];
  const command = new Command(cwd, ...words);
  assert.equal(await command.end(OVER_MS), 0, command.stderr);
  const local = join(cwd, "results", "local");
  const files = readdirSync(local).sort();
  assert.equal(files.length, 2);
  const results = files.map((file) => Result.parse(JSON.parse(readFileSync(join(local, file), "utf8"))));
  for (const { runs } of results)
    assert.deepEqual(
      runs.map(({ round }) => round),
      [0, 1],
    );
  // Where others took the machine from a run, it has no part in a pair.
  const [bases, heads] = results.map(({ runs }) => soundRuns(runs).map(({ round }) => round));
  const pairs = bases!.filter((round) => heads!.includes(round)).length;
  const said = ["not comparable", "1 pair, too few to tell", "2 pairs, too few to tell"][pairs];
  assert.match(command.stdout, new RegExp(`throughput .*${said}`));
  const again = new Command(
    cwd,
    "compare",
    ...files.map((file) => join(local, file)),
    "--format",
    "markdown",
  );
  assert.equal(await again.end(OVER_MS), 0, again.stderr);
  assert.match(again.stdout, /\| throughput, proposals\/s \|/);
  let sound = join(local, files[0]);
  if (bases!.length === 0) {
    // The history holds no figure that others had a part in.
    const refused = new Command(cwd, "history", "add", sound);
    assert.equal(await refused.end(OVER_MS), 2, refused.stderr);
    assert.match(refused.stderr, /is not added: every run of row 1 was disturbed/);
    sound = join(ROOT, "results", "canonical.json");
  }
  const add = new Command(cwd, "history", "add", sound);
  assert.equal(await add.end(OVER_MS), 0, add.stderr);
  const history = new Command(cwd, "history", "--json");
  assert.equal(await history.end(OVER_MS), 0, history.stderr);
  assert.equal(JSON.parse(history.stdout)[0].points.length, 1);
});

test(
  "Ctrl-C in the middle: exit code 130, the whole rounds are kept, nothing is left running",
  needsClone,
  async () => {
    const cwd = scratch.folder();
    const words = ["compare", "worktree", "worktree", "--rounds", "50", "--dir", cwd, ...TINY];
    const command = new Command(cwd, ...words);
    await until("the second round", OVER_MS, () => command.stderr.includes("round 2 of 50"));
    const journal = () => readdirSync(cwd).some((name) => name.startsWith("run-"));
    await until("a bench under way", OVER_MS, journal);
    command.child.kill("SIGINT");
    assert.equal(await command.end(OVER_MS), 130, command.stderr);
    const kept = readdirSync(join(cwd, "results", "local"));
    assert.equal(kept.length, 2, kept.join());
    const base = Result.parse(JSON.parse(readFileSync(join(cwd, "results", "local", kept[0]), "utf8")));
    assert.equal(base.interrupted, true);
    await until("its data to be removed", OVER_MS, () => !journal());
    assert.equal(isRunning(command.pid), false);
  },
);

test(
  "a place where compare cannot leave its results is told before anything is built",
  needsClone,
  async () => {
    const cwd = scratch.folder();
    writeFileSync(join(cwd, "results"), "a file");
    const command = new Command(cwd, "compare", "HEAD", "worktree", ...TINY);
    assert.equal(await command.end(OVER_MS), 2, command.stderr);
    assert.match(
      command.stderr,
      /^raftmark: cannot write the result to results\/local\/.*-base\.json \(ENOTDIR\): it goes below the current directory, so run this in another one\.\n$/,
    );
  },
);

test("the gate of one engine against itself measures nothing, says so and is open", needsClone, async () => {
  const cwd = scratch.folder();
  const summary = join(cwd, "summary.md");
  const files = ["--summary", summary, "--benchmark-dir", join(cwd, "figures"), "--record"];
  const command = new Command(cwd, "gate", "--base", "worktree", ...files);
  assert.equal(await command.end(OVER_MS), 0, command.stderr);
  assert.match(
    command.stderr,
    /^nothing was measured, so nothing is written for --benchmark-dir and --record$/m,
  );
  const written = readdirSync(cwd, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  assert.deepEqual(
    written.map(({ name }) => name),
    ["summary.md"],
  );
  assert.match(
    command.stdout,
    /differ in nothing that runs in the engine, so nothing was measured \(\d\d+ built files/,
  );
  assert.equal(readFileSync(summary, "utf8"), command.stdout);
  assert.match(command.stdout, /^### raftmark gate: open\n/);
});

test("bad words: exit code 2 and a sentence, before anything is built", async () => {
  const cwd = scratch.folder();
  writeFileSync(join(cwd, "old.json"), '{"schemaVersion":1}');
  writeFileSync(join(cwd, "text.json"), "hello");
  const cases: [string[], RegExp][] = [
    [["compare", "old.json", "old.json"], /old\.json was made by schema 1/],
    [
      ["compare", "old.json", "old.json", "--rounds", "3", "--quick"],
      /--rounds, --quick: for two revisions, which/,
    ],
    [["compare", "text.json", "old.json"], /text\.json is not JSON/],
    [["compare", "none.json", "old.json"], /there is no file none\.json/],
    [["compare", "HEAD", "HEAD", "--scenario", "canoncal"], /Did you mean canonical\?/],
    [["compare", "HEAD", "HEAD", "--writer", "pool"], /Did you mean pool-wasm\?/],
    [["compare", "HEAD", "HEAD", "--format", "html"], /--format: "html" is not one of/],
    [["gate"], /required option '--base/],
    [["gate", "--base", "HEAD", "--tolerance", "5"], /Did you mean 5%\?/],
    [
      ["gate", "--base", "HEAD", "--summary", "old.json/x"],
      /what --summary asks for to old\.json\/x \(ENOTDIR\)/,
    ],
    [["history"], /cannot read results\/history\.ndjson \(ENOENT\)/],
    [["history", "add", "old.json"], /made by schema 1/],
  ];
  if (isClone) {
    cases.push([["gate", "--base", "no-such-branch"], /there is no revision "no-such-branch"/]);
    cases.push([["compare", "no-such-branch", "HEAD"], /there is no revision "no-such-branch"/]);
  }
  for (const [words, sentence] of cases) {
    const command = new Command(cwd, ...words);
    assert.equal(await command.end(OVER_MS), 2, `${words.join(" ")}: ${command.stderr}`);
    assert.match(command.stderr, sentence);
  }
});
