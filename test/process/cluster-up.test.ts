// `raftmark cluster up`: it starts, what it says works as it stands there, Ctrl-C ends all, and a second run goes on.
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { Command, childrenOf, isRunning, killProcess, PATIENCE_MS, scratchDir, until } from "./support.js";

const scratch = scratchDir("cluster-up");
after(() => {
  Command.killAll();
  scratch.remove();
});

async function up(...args: string[]): Promise<Command> {
  const command = new Command(scratch.path, "cluster", "up", ...args);
  await until("the cluster to be up", PATIENCE_MS, () => {
    assert.equal(command.child.exitCode, null, command.stderr);
    return command.stdout.includes("Ctrl-C stops all");
  });
  return command;
}

/** The command lines that it says to try, in their order. */
function toTry({ stdout }: Command): string[] {
  return [...stdout.matchAll(/^ {2}(curl .*)$/gm)].map(([, line]) => line);
}

const quiet = (line: string) => line.replace("curl", "curl -sS");
const sh = (line: string) =>
  execFileSync("sh", ["-c", quiet(line)], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

/** Runs a line that ends only when it is ended, until it has said `expected`. */
async function says(line: string, expected: RegExp): Promise<void> {
  const child = spawn("sh", ["-c", `exec ${quiet(line)}`], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (text: Buffer) => {
    said += text.toString();
  });
  try {
    await until(`${line} to say ${expected}`, PATIENCE_MS, () => expected.test(said));
  } finally {
    child.kill("SIGKILL");
  }
}

/** Removes a node; what is said of its end. */
async function removed(cluster: Awaited<ReturnType<typeof up>>): Promise<void> {
  const base = (id: number) => new RegExp(`node ${id} +(http://\\S+)/`).exec(cluster.stdout)![1];
  const leader = Number(/node (\d) .*leads/.exec(cluster.stdout)![1]);
  const id = (leader % 3) + 1;
  sh(`curl -X DELETE ${base(leader)}/members/${id}`);
  const told = new RegExp(`node ${id} ended \\(0\\): node ${id} was removed .*\n`);
  await until("its end to be told", PATIENCE_MS, () => told.test(cluster.stderr));
  assert.doesNotMatch(cluster.stderr, /starts it again/);
}

const skip = spawnSync("curl", ["--version"]).error === undefined ? false : "no curl here";

test("three nodes: what it says to try works; one is killed, and told; Ctrl-C ends all; a second run has the data", {
  skip,
}, async () => {
  const first = await up();
  const [put, get, watch] = toTry(first);
  assert.match(sh(put), /"revision":\d+/);
  assert.equal(sh(get), "hello");
  await says(watch, /"key":"greeting"/);
  const children = childrenOf(first.pid);
  assert.equal(children.length, 3);
  killProcess(children[0]);
  await until("its end to be told", PATIENCE_MS, () => /node \d ended \(SIGKILL\)/.test(first.stderr));
  assert.match(first.stderr, /raftmark serve --config raftmark-cluster\/node-\d\.yaml starts it again/);
  first.child.kill("SIGINT");
  assert.equal(await first.end(PATIENCE_MS), 1, "one did not end in order");
  assert.deepEqual(children.filter(isRunning), []);

  const second = await up();
  assert.equal(sh(toTry(second)[1]), "hello");
  const again = childrenOf(second.pid);
  await removed(second);
  second.child.kill("SIGTERM");
  assert.equal(await second.end(PATIENCE_MS), 0, second.stderr);
  assert.match(second.stdout, /All nodes have ended/);
  assert.deepEqual(again.filter(isRunning), []);
});

test("Ctrl-C before the nodes listen for signals: they end, and that is in order", async () => {
  const command = new Command(scratch.path, "cluster", "up", "--dir", "early");
  await until("a node's process", PATIENCE_MS, () => childrenOf(command.pid).length > 0);
  const nodes = childrenOf(command.pid);
  command.child.kill("SIGINT");
  assert.equal(await command.end(PATIENCE_MS), 0, command.stderr);
  assert.equal(command.stderr, "");
  for (const pid of nodes) assert.equal(isRunning(pid), false);
});

test("its nodes end with it, however it ends", async () => {
  const command = await up("1", "--dir", "alone");
  const [child] = childrenOf(command.pid);
  command.child.kill("SIGKILL");
  await until("the node to end", PATIENCE_MS, () => !isRunning(child));
  assert.match(
    readFileSync(join(scratch.path, "alone/node-1.log"), "utf8"),
    /whoever started this node is gone/,
  );
});

test("a second time in one directory: told by whom it is held, and the first goes on", async () => {
  const first = await up("1", "--dir", "twice");
  const [child] = childrenOf(first.pid);
  const second = new Command(scratch.path, "cluster", "up", "--dir", "twice");
  assert.equal(await second.end(PATIENCE_MS), 2, second.stderr);
  const expected = new RegExp(
    `^raftmark: node 1 does not start: .* ${child}.*WAL_LOCKED.*node-1\\.log\\)\\.\\n$`,
  );
  assert.match(second.stderr, expected);
  first.child.kill("SIGINT");
  assert.equal(await first.end(PATIENCE_MS), 0, first.stderr);
});

test("what cannot be is refused in a sentence", async () => {
  const other = join(scratch.path, "other");
  mkdirSync(other);
  writeFileSync(join(other, "file"), "x");
  const cases: [string[], RegExp][] = [
    [["ten"], /"ten" nodes are not possible: it is 1 to 9/],
    [["3", "--dir", "alone"], /alone has 1 nodes, not 3: leave the number out/],
    [["--dir", "other/file"], /--dir: cannot use .*\/other\/file: .* is no directory/],
    [["--dir", "/proc/x"], /--dir: cannot make \/proc\/x: /],
    [["--dir", "other"], /other is not empty and has no cluster/],
  ];
  for (const [args, expected] of cases) {
    const command = new Command(scratch.path, "cluster", "up", ...args);
    assert.equal(await command.end(PATIENCE_MS), 2);
    assert.match(command.stderr, expected);
    assert.equal(command.stderr.trim().split("\n").length, 1);
  }
});

test("a node that does not start: why, and the others end", async () => {
  await (async () => {
    const made = await up("3", "--dir", "clash");
    made.child.kill("SIGINT");
    assert.equal(await made.end(PATIENCE_MS), 0, made.stderr);
  })();
  const file = join(scratch.path, "clash/node-2.yaml");
  writeFileSync(file, `${readFileSync(file, "utf8")}loglevel: info\n`);
  const command = new Command(scratch.path, "cluster", "up", "--dir", "clash");
  assert.equal(await command.end(PATIENCE_MS), 2, command.stderr);
  assert.match(
    command.stderr,
    /clash\/node-2\.yaml:\d+:1: loglevel: there is no such field\. Did you mean logLevel\?/,
  );
});
