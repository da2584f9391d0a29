// `raftmark bench` with a real cluster: a whole run, and each way in which one can go wrong.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { fileSystemOf } from "../../bench/harness/run-dir.js";
import { Result } from "../../bench/report/result-schema.js";
import { mountSmall } from "../temp-dir.js";
import {
  assertClean,
  Command,
  childrenOf,
  commandLineOf,
  hasJournal,
  isRunning,
  killProcess,
  scratchDir,
  until,
} from "./support.js";

const scratch = scratchDir("bench");
afterEach(() => Command.killAll());
after(() => scratch.remove());

const SHORT = ["--duration", "300ms", "--warmup", "100ms", "--in-flight", "16", "--rounds", "1"];
const ONE = ["--writer", "pool-wasm"];
const ENDLESS = [...ONE, "--in-flight", "16", "--duration", "60s", "--warmup", "100ms", "--rounds", "1"];
const OVER_MS = 120_000;
/** Within this, a fault must have ended the command: longer than it takes itself to give up, shorter than an endless run. */
const FAULT_MS = 30_000;

/** An endless run whose nodes are all up; resolves with their process ids. */
async function started(cwd: string, nodes = 3): Promise<{ command: Command; nodes: Map<string, number> }> {
  const command = new Command(cwd, "bench", ...ENDLESS, "--nodes", String(nodes));
  const found = new Map<string, number>();
  const listening = () => {
    for (const pid of childrenOf(command.pid)) {
      const name = commandLineOf(pid).at(-1) ?? "";
      if (/^node-\d+$/.test(name)) found.set(name, pid);
    }
    return found.size === nodes && existsSync(join(cwd, ".raftmark")) && hasJournal(cwd);
  };
  await until("a load under way", 30_000, listening);
  return { command, nodes: found };
}

/** What is said of a run whose logs could not be checked any more when the bench was ended, as on a busy machine. */
const UNCHECKED = /^the logs were not checked: the bench was ended, and that took longer than \d+ s more$/;

function checkedRuns({ runs }: Result): Result["runs"] {
  return runs.filter((run) => !UNCHECKED.test(run.void[0] ?? ""));
}

test("a run gives a table, one sentence and a result that is true", async () => {
  const cwd = scratch.folder();
  const command = new Command(cwd, "bench", ...SHORT, "--writer", "inline-js,pool-wasm");
  assert.equal(await command.end(OVER_MS), 0, command.stderr);
  assert.match(command.stdout, /│ inline-js +│ +[\d,]+ │/);
  // What else the machine does meanwhile decides which of the two it is.
  assert.match(
    command.stdout,
    /\n(?:One round proves nothing yet|Nothing can be compared): .*Highest seen: \S+ with [\d,]+ proposals\/s/,
  );
  assert.match(command.stdout, /acknowledged proposals, all on a quorum; all logs and states agree/);
  const path = /Result: (.*)/.exec(command.stdout)?.[1] ?? "";
  assert.match(path, /^results\/local\/.*-canonical\.json$/);
  const result = Result.parse(JSON.parse(readFileSync(join(cwd, path), "utf8")));
  assert.equal(result.runs.length, 2);
  for (const run of result.runs) {
    assert.deepEqual(run.void, []);
    assert.equal(run.truth?.logsRead, 3);
    assert.ok(run.done > 0);
    assert.equal(run.truth?.ackedChecked, run.acknowledged);
    assert.equal(run.nodes.length, 3);
    assert.match(run.stateHash, /^[0-9a-f]{16}$/);
  }
  assertClean(cwd);
});

test("sizes, one node, no durability, an order and a seed; JSON on stdout alone", async () => {
  const cwd = scratch.folder();
  const axes = ["--nodes", "1", "--entry-bytes", "16,4096", "--durability", "none", ...ONE];
  const command = new Command(cwd, "bench", ...SHORT, ...axes, "--order", "random", "--seed", "7", "--json");
  assert.equal(await command.end(OVER_MS), 0, command.stderr);
  const result = Result.parse(JSON.parse(command.stdout));
  assert.deepEqual(
    result.runs.map(({ settings }) => [settings.nodes, settings.entryBytes, settings.durability]),
    [
      [1, 16, "none"],
      [1, 4096, "none"],
    ],
  );
  assert.equal(result.options.seed, 7);
  assert.match(command.stderr, /proposals\/s/);
});

test("--keep keeps the logs and names their place", async () => {
  const cwd = scratch.folder();
  const command = new Command(cwd, "bench", ...SHORT, ...ONE, "--keep", "--dir", "data");
  assert.equal(await command.end(OVER_MS), 0, command.stderr);
  const kept = /Data kept in (.*)/.exec(command.stdout)?.[1] ?? "";
  assert.ok(kept.startsWith(join(cwd, "data")));
  const variants = readdirSync(kept).filter((name) => name.startsWith("variant-"));
  assert.equal(variants.length, 1, `${variants}`);
  const names = readdirSync(join(kept, variants[0])).map((name) => name.replace(/^acked-\d/, "acked-N"));
  assert.deepEqual(names.sort(), ["acked-N.bin", "node-1", "node-2", "node-3"]);
});

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  test(`${signal} ends a run: one sentence, exit code ${code}, no orphan, no data left`, async () => {
    const cwd = scratch.folder();
    const { command, nodes } = await started(cwd);
    command.child.kill(signal);
    assert.equal(await command.end(FAULT_MS), code);
    assert.match(command.stderr, /^raftmark: (interrupted|terminated).*\n$/);
    for (const pid of nodes.values()) assert.equal(isRunning(pid), false, `node process ${pid} is an orphan`);
    assertClean(cwd);
  });
}

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  test(`${signal} after a run is done keeps it: marked in the result, the table and the sentence`, async () => {
    const cwd = scratch.folder();
    const command = new Command(
      cwd,
      "bench",
      ...SHORT,
      "--duration",
      "100ms",
      ...ONE,
      "--rounds",
      "50",
      "--out",
      "partial.json",
    );
    // The second: of the one that was done last its log is looked at yet, for so long as the command gives itself.
    await until("one run to be done", OVER_MS, () => /\[2\/50/.test(command.stdout));
    const nodes = childrenOf(command.pid);
    command.child.kill(signal);
    assert.equal(await command.end(FAULT_MS), code, command.stderr);
    assert.match(command.stdout, /\nInterrupted: only the runs that were done are told\. Measured: /);
    const result = Result.parse(JSON.parse(readFileSync(join(cwd, "partial.json"), "utf8")));
    assert.equal(result.interrupted, true);
    assert.ok(result.runs.length > 0 && result.runs.length < 50);
    for (const run of checkedRuns(result)) assert.deepEqual(run.void, []);
    for (const pid of nodes) assert.equal(isRunning(pid), false, `process ${pid} is an orphan`);
    assertClean(cwd);
  });
}

/** Takes a core for itself until it is stopped: whatever runs meanwhile is a disturbed run. */
function burner(): { stop: () => void } {
  const child = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
  return { stop: () => child.kill("SIGKILL") };
}

test("a disturbed run that is made again counts once, and its first logs go", async () => {
  const cwd = scratch.folder();
  const others = burner();
  try {
    const command = new Command(cwd, "bench", ...SHORT, ...ONE, "--keep", "--dir", "data", "--json");
    assert.equal(await command.end(OVER_MS), 0, command.stderr);
    const result = Result.parse(JSON.parse(command.stdout));
    assert.deepEqual(result.disturbance, { repeated: 1, leftOut: 1 });
    assert.equal(result.runs.length, 1);
    assert.equal(command.stderr.match(/^\[1\/1\] /gm)?.length, 2, `it keeps its number: ${command.stderr}`);
    const [kept] = readdirSync(join(cwd, "data"));
    assert.deepEqual(
      readdirSync(join(cwd, "data", kept)).filter((name) => name.startsWith("variant-")),
      ["variant-1-again"],
    );
  } finally {
    others.stop();
  }
});

/** Four configurations, of which the second round is cut off by SIGINT when its second window is done. */
async function cutOff(): Promise<Result> {
  const cwd = scratch.folder();
  const axes = ["--writer", "inline-js,pool-wasm", "--in-flight", "1,16", "--nodes", "1", "--rounds", "50"];
  const command = new Command(
    cwd,
    "bench",
    ...axes,
    "--duration",
    "100ms",
    "--warmup",
    "300ms",
    "--out",
    "partial.json",
  );
  await until("a round and some", OVER_MS, () => /\[6\/200, round 2/.test(command.stdout));
  command.child.kill("SIGINT");
  assert.equal(await command.end(FAULT_MS), 130, command.stderr);
  const result = Result.parse(JSON.parse(readFileSync(join(cwd, "partial.json"), "utf8")));
  assert.equal(result.interrupted, true);
  assertClean(cwd);
  return { ...result, runs: checkedRuns(result) };
}

test("configurations that are up at once: a window each round, one log a cluster, and SIGINT keeps what is done", async () => {
  let result = await cutOff();
  // Logs are checked after the signal; what takes too long on a busy machine is void.
  for (let again = 0; again < 4 && result.runs.length === 4; again++) result = await cutOff();
  assert.ok(result.runs.length >= 6 && result.runs.length < 200, `${result.runs.length}`);
  for (const run of result.runs) {
    assert.deepEqual(run.void, []);
    assert.equal(run.truth?.ok, true);
    assert.equal(run.truth?.ackedChecked, run.acknowledged);
  }
  const hashes = (round: number) =>
    new Map(
      result.runs.filter((run) => run.round === round).map((run) => [run.settings.writer, run.stateHash]),
    );
  assert.equal(new Set(result.runs.filter((run) => run.round === 0).map((run) => run.stateHash)).size, 2);
  assert.notEqual(
    hashes(0).get("pool-wasm"),
    hashes(1).get("pool-wasm"),
    "fresh processes, and a log of their own",
  );
});

test("SIGINT, and the logs of what was done are not checked in time: it is kept, and void for that", async () => {
  const cwd = scratch.folder();
  const command = new Command(cwd, "bench", ...SHORT, ...ONE, "--nodes", "1", "--out", "partial.json");
  let check: number | undefined;
  await until("a check of the logs", OVER_MS, () => {
    check = childrenOf(command.pid).find((pid) => commandLineOf(pid)[1]?.endsWith("truth-main.js"));
    return check !== undefined;
  });
  process.kill(check!, "SIGSTOP");
  command.child.kill("SIGINT");
  assert.equal(await command.end(FAULT_MS), 130, command.stderr);
  const { runs } = Result.parse(JSON.parse(readFileSync(join(cwd, "partial.json"), "utf8")));
  assert.equal(runs.length, 1);
  const [reason, ...more] = runs[0].void;
  assert.match(reason, UNCHECKED);
  assert.deepEqual(more, []);
  assert.ok(runs[0].done > 0, "what was measured stands in the result");
  assert.ok(command.stdout.includes(`void, row 1: ${reason}`), command.stdout);
  assert.match(command.stdout, /\nchecking what is done, which may take up to \d+ s; Ctrl-C again to leave /);
  assert.equal(isRunning(check!), false);
  assertClean(cwd);
});

test("SIGINT while a disturbed run is made again keeps the disturbed one", async () => {
  const cwd = scratch.folder();
  const others = burner();
  try {
    const command = new Command(cwd, "bench", ...SHORT, ...ONE, "--out", "partial.json");
    await until("one run to be made again", OVER_MS, () => /disturbed, so once more/.test(command.stdout));
    command.child.kill("SIGINT");
    assert.equal(await command.end(FAULT_MS), 130, command.stderr);
    assert.match(command.stdout, /\nInterrupted: only the runs that were done are told\. /);
    const result = Result.parse(JSON.parse(readFileSync(join(cwd, "partial.json"), "utf8")));
    assert.equal(result.interrupted, true);
    assert.deepEqual(result.disturbance, { repeated: 0, leftOut: 1 });
    assert.equal(result.runs.length, 1);
  } finally {
    others.stop();
  }
});

test("SIGINT before anything is done leaves nothing behind, be it an empty directory", async () => {
  const cwd = scratch.folder();
  const command = new Command(cwd, "bench", ...ENDLESS, "--dir", "data/deep");
  await until("the run's directory", OVER_MS, () => existsSync(join(cwd, "data/deep")));
  command.child.kill("SIGINT");
  assert.equal(await command.end(FAULT_MS), 130, command.stderr);
  assert.deepEqual(readdirSync(cwd), []);
});

test("what cannot be asked is refused before anything starts, with what to give instead", async () => {
  const refusals: [string[], RegExp][] = [
    [["leader-los"], /there is no scenario "leader-los": .* Did you mean leader-loss\?/],
    [["slow-follower", "--nodes", "1"], /one node has none; give --nodes 2 or more/],
    [["--event", "restart", "--link", "memory", "--log-mb", "1"], /give --link sockets/],
    [["--format", "markdwn"], /--format: "markdwn" is not one of .* Did you mean markdown\?/],
    [["--json", "--format", "markdown"], /--json and --format markdown ask for two things: give one/],
    [["--rounds", "0"], /--rounds: "0" is not allowed/],
    [["--node", "./nowhere"], /--node \.\/nowhere: it cannot be run \(ENOENT\)/],
    [["--node-flags", "--no-such"], /--node-flags "--no-such": Node\.js \d.* does not take them/],
    [["--target", "127.0.0.1"], /--target: "127\.0\.0\.1" is not allowed: .* like 127\.0\.0\.1:8081/],
    [["--target", "127.0.0.1:1", "--base-port", "7000"], /--base-port does nothing with --target/],
    [["--target", "127.0.0.1:1", "--writer", "pool-wasm"], /--writer does nothing with --target/],
    [["restart", "--target", "127.0.0.1:1"], /leave "restart" out/],
    [["--target", "127.0.0.1:1", "--quick"], /no answer at 127\.0\.0\.1:1: .*raftmark cluster up/],
    [["--clients", "2"], /give --target too/],
    [["--link", "tcp"], /--link: "tcp" is not one of sockets, uws, ws, memory/],
  ];
  for (const [words, message] of refusals) {
    const cwd = scratch.folder();
    const command = new Command(cwd, "bench", ...words);
    assert.equal(await command.end(FAULT_MS), 2, words.join(" "));
    assert.match(command.stderr, /^raftmark: .*\n$/);
    assert.match(command.stderr, message);
    assertClean(cwd);
  }
});

test("each run has the Node.js and the flags that were asked for, and says its version", async () => {
  const cwd = scratch.folder();
  const flags = "none,--max-semi-space-size=8";
  const asked = ["--node", process.execPath, "--node-flags", flags, "--link", "ws", "--json"];
  const command = new Command(cwd, "bench", ...SHORT, ...ONE, "--nodes", "2", "--order", "table", ...asked);
  assert.equal(await command.end(OVER_MS), 0, command.stderr);
  const { runs, environment } = Result.parse(JSON.parse(command.stdout));
  const told = runs.map(({ settings, node }) => [settings.node, settings.nodeFlags, node]);
  assert.deepEqual(told, [
    [process.execPath, "none", process.version],
    [process.execPath, "--max-semi-space-size=8", process.version],
  ]);
  assert.match(environment.link, /^ws on node:net \(as asked\)$/);
});

test("--list explains every scenario, and --format markdown prints a table alone", async () => {
  const list = new Command(scratch.folder(), "bench", "--list");
  assert.equal(await list.end(OVER_MS), 0);
  for (const name of ["canonical", "offered-load", "leader-loss"])
    assert.match(list.stdout, new RegExp(`^${name}\n  [A-Z]`, "m"));
  const markdown = new Command(
    scratch.folder(),
    "bench",
    ...SHORT,
    ...ONE,
    "--nodes",
    "1",
    "--rounds",
    "2",
    "--format",
    "markdown",
  );
  assert.equal(await markdown.end(OVER_MS), 0, markdown.stderr);
  assert.match(markdown.stdout, /^\| in flight \| writer \| proposals\/s \| interval \|/);
  assert.match(markdown.stderr, /\[2\/2, round 2\/2\]/);
});

test("a reader that goes away ends a command without a word", async () => {
  const command = new Command(scratch.folder(), "bench", "--list");
  command.child.stdout?.destroy();
  assert.equal(await command.end(OVER_MS), 0);
  assert.equal(command.stderr, "");
});

test("kill -9 of the harness takes the nodes with it, and the next run cleans up", async () => {
  const cwd = scratch.folder();
  const { command, nodes } = await started(cwd);
  command.child.kill("SIGKILL");
  await command.end(FAULT_MS);
  for (const pid of nodes.values())
    await until(`node process ${pid} to end`, FAULT_MS, () => !isRunning(pid));
  assert.equal(readdirSync(join(cwd, ".raftmark")).length, 1);
  const next = new Command(cwd, "bench", ...SHORT, ...ONE, "--nodes", "1");
  assert.equal(await next.end(OVER_MS), 0, next.stderr);
  assertClean(cwd);
});

test("a killed node process leaves its run void, and the sentence says which", async () => {
  const cwd = scratch.folder();
  const { command, nodes } = await started(cwd);
  const victim = nodes.get("node-2") ?? 0;
  killProcess(victim);
  assert.equal(await command.end(FAULT_MS), 1);
  assert.match(
    command.stdout,
    new RegExp(`\nvoid, row 1: the process of node 2 \\(pid ${victim}\\) was killed by SIGKILL`),
  );
  for (const pid of nodes.values()) assert.equal(isRunning(pid), false, `node process ${pid} is an orphan`);
  assertClean(cwd);
});

test("a node process that is killed while it opens leaves its cluster's runs void, and the bench goes on", async () => {
  const cwd = scratch.folder();
  const words = [...SHORT, "--writer", "inline-js,pool-wasm", "--out", "out.json"];
  const command = new Command(cwd, "bench", ...words);
  await until("a node process", OVER_MS, () => {
    const node = childrenOf(command.pid).find((pid) => commandLineOf(pid).at(-1) === "node-2");
    if (node !== undefined) killProcess(node);
    return node !== undefined;
  });
  assert.equal(await command.end(OVER_MS), 1, command.stderr);
  const { runs, interrupted } = Result.parse(JSON.parse(readFileSync(join(cwd, "out.json"), "utf8")));
  assert.equal(interrupted, false, "it went on");
  assert.equal(runs.length, 2);
  const voids = runs.flatMap((run) => run.void);
  assert.equal(voids.length, 1, voids.join("; "));
  assert.match(
    voids[0],
    /^the process of node 2 \(pid \d+\) was killed by SIGKILL in the middle of the run$/,
  );
  assertClean(cwd);
});

test("a configuration whose nodes crash at every start is given up after two rounds, and the others go on", async () => {
  const cwd = scratch.folder();
  const crash = join(cwd, "crash.cjs");
  writeFileSync(crash, 'if (/node-main/.test(process.argv[1] ?? "")) process.exit(3);');
  const axes = [...ONE, "--nodes", "1", "--in-flight", "16", "--node-flags", `none,--require=${crash}`];
  const words = [...axes, "--rounds", "4", "--duration", "300ms", "--warmup", "100ms", "--out", "out.json"];
  const command = new Command(cwd, "bench", ...words);
  assert.equal(await command.end(OVER_MS), 1, command.stderr);
  const { runs, interrupted } = Result.parse(JSON.parse(readFileSync(join(cwd, "out.json"), "utf8")));
  assert.equal(interrupted, false, "it went on");
  assert.deepEqual(
    runs.map(({ round, void: why }) => `${round} ${why.length === 0 ? "sound" : "void"}`),
    ["0 sound", "1 sound", "2 sound", "3 sound", "0 void", "1 void"],
  );
  assert.match(command.stdout, /its nodes did not start, twice in a row: not tried in the other 2 rounds\n/);
  assert.match(command.stdout, /\[6\/6, round 4\/4\]/);
  assertClean(cwd);
});

test("a result that cannot be written at the end is shown all the same", async () => {
  const cwd = scratch.folder();
  const command = new Command(cwd, "bench", ...SHORT, ...ONE, "--nodes", "1", "--out", "/dev/full");
  assert.equal(await command.end(OVER_MS), 2);
  assert.match(command.stdout, /│ +16 │ pool-wasm +│ +[\d,]+ │/);
  assert.match(command.stderr, /^raftmark: cannot write the result to \/dev\/full \(ENOSPC\): .*--out\.\n$/);
  assertClean(cwd);
});

test("a data directory that cannot be written is named", async () => {
  const cwd = scratch.folder();
  writeFileSync(join(cwd, "file"), "");
  for (const dir of ["file", "file/below", "/proc/raftmark"]) {
    const command = new Command(cwd, "bench", ...SHORT, ...ONE, "--dir", dir);
    assert.equal(await command.end(FAULT_MS), 2);
    assert.match(
      command.stderr,
      /^raftmark: cannot write to the data directory .* \(E\w+\): choose another with --dir/,
    );
  }
});

test("a port in use is named, and what to do about it", async () => {
  const cwd = scratch.folder();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  try {
    // Of the first node: the ports beside it are somebody's or nobody's.
    const command = new Command(cwd, "bench", ...SHORT, ...ONE, "--nodes", "1", "--base-port", String(port));
    assert.equal(await command.end(FAULT_MS), 2, command.stdout);
    assert.match(command.stderr, new RegExp(`127\\.0\\.0\\.1:${port}.*--base-port`));
    assertClean(cwd);
  } finally {
    server.close();
  }
});

test("a result that cannot be written is an error with the place in it", async () => {
  const cwd = scratch.folder();
  const command = new Command(cwd, "bench", ...SHORT, ...ONE, "--nodes", "1", "--out", "/proc/raftmark.json");
  assert.equal(await command.end(OVER_MS), 2);
  assert.match(command.stderr, /cannot write the result to \/proc\/raftmark.json/);
});

test("a disk too small for a run is told before it begins", async (t) => {
  const cwd = scratch.folder();
  const small = join(cwd, "small");
  if (!mountSmall(t, small, 16)) return;
  const command = new Command(cwd, "bench", ...SHORT, ...ONE, "--dir", small);
  assert.equal(await command.end(FAULT_MS), 2);
  assert.match(
    command.stderr,
    /the disk is too full: \d+ MiB are free on .*small \(tmpfs\).*choose another place with --dir/,
  );
});

test("a disk too small for the log's own bench: what to do", async (t) => {
  const cwd = scratch.folder();
  const small = join(cwd, "small");
  if (!mountSmall(t, small, 40)) return;
  const command = new Command(cwd, "bench", "wal", "--quick", "--dir", small);
  assert.equal(await command.end(FAULT_MS), 1, command.stdout);
  assert.match(command.stderr, /^raftmark: .*ENOSPC.* choose another place with --dir\.\n$/);
  assert.deepEqual(readdirSync(small), []);
});

test("a disk that fills up in the run ends it, and the sentence says what to do", async (t) => {
  const cwd = scratch.folder();
  const small = join(cwd, "small");
  if (!mountSmall(t, small, 224)) return;
  const load = ["--nodes", "1", "--in-flight", "64", "--entry-bytes", "65536", "--duration", "60s"];
  const command = new Command(cwd, "bench", ...ONE, ...load, "--dir", small);
  await until(
    "the disk to be full",
    60_000,
    async () => (await fileSystemOf(small)).freeBytes < 65_536 || !isRunning(command.pid),
  );
  assert.equal(await command.end(FAULT_MS), 1, command.stderr);
  assert.match(command.stderr, /^raftmark: .*node 1 .*The disk is full: .*--dir/);
  assert.deepEqual(readdirSync(small), []);
});
