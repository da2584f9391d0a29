// A node whose lines have nowhere to go any more: a full disk, a closed terminal. It goes on, and ends as it would have.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { killProcess, scratchDir, until } from "../process/support.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const WAIT_MS = 60_000;
const CONFIG = `id: 1
dataDir: data
peers: { 1: { raft: "127.0.0.1:0", http: "127.0.0.1:0" } }
secret: 0123456789abcdef
durability: none
`;
const NO_TERMINAL =
  spawnSync("script", ["--version"]).status !== 0 && "no script (util-linux) to make a terminal with";

test("standard error that cannot be written to: the node serves, and ends when it is asked to", {
  skip: !existsSync("/dev/full") && "no /dev/full",
}, async (t) => {
  const scratch = scratchDir("full");
  t.after(() => scratch.remove());
  writeFileSync(join(scratch.path, "node.yaml"), CONFIG);
  const child = spawn(process.execPath, [MAIN, "serve", "--config", "node.yaml"], {
    cwd: scratch.path,
    stdio: ["ignore", "ignore", openSync("/dev/full", "w"), "ipc"],
  });
  t.after(() => child.kill("SIGKILL"));
  child.once("message", () => child.kill("SIGTERM"));
  assert.deepEqual(await once(child, "exit"), [0, null]);
});

/** The command in a terminal of its own, under a shell that is told when that is closed, as one of a person is. */
class InTerminal {
  private readonly dir: string;
  private readonly terminal: ReturnType<typeof spawn>;

  constructor(dir: string, command: string) {
    this.dir = dir;
    const script = `trap 'kill -HUP $pid; echo > closed' HUP
"${process.execPath}" "${MAIN}" ${command} & pid=$!
echo $pid > pid
wait $pid; code=$?
while [ $code -eq 129 ]; do wait $pid; code=$?; done # The trap ended it.
echo $code > code`;
    writeFileSync(join(dir, "run.sh"), script);
    this.terminal = spawn("script", ["-q", "-f", "-c", "exec sh run.sh", "said"], {
      cwd: dir,
      stdio: "ignore",
    });
  }

  read(name: string): string {
    const path = join(this.dir, name);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  async close(): Promise<void> {
    this.terminal.kill("SIGKILL");
    await until("the shell is told", WAIT_MS, () => this.read("closed") !== "");
  }

  /** Ends what a failed test left running. */
  kill(): void {
    this.terminal.kill("SIGKILL");
    this.signal("SIGKILL");
  }

  /** Of no effect where the command has ended. */
  signal(signal: NodeJS.Signals): void {
    const pid = Number(this.read("pid"));
    if (pid > 0 && this.read("code") === "") killProcess(pid, signal);
  }

  /** The exit code. */
  async end(): Promise<number> {
    await until("the command ends", WAIT_MS, () => this.read("code").endsWith("\n"));
    return Number(this.read("code"));
  }
}

test("a terminal that is closed: a node of the service goes on, and ends in order when it is asked to", {
  skip: NO_TERMINAL,
}, async (t) => {
  const scratch = scratchDir("terminal");
  writeFileSync(join(scratch.path, "node.yaml"), CONFIG);
  const terminal = new InTerminal(scratch.path, "serve --config node.yaml");
  t.after(() => {
    terminal.kill();
    scratch.remove();
  });
  const at = /serves clients at (\S+)\//;
  await until("the node serves", WAIT_MS, () => at.test(terminal.read("said")));
  const http = at.exec(terminal.read("said"))![1];
  await terminal.close();
  const { status } = await fetch(`${http}/kv/a`, { method: "PUT", body: "1" });
  assert.equal(status, 200);
  terminal.signal("SIGTERM");
  assert.equal(await terminal.end(), 0);
});

test("a terminal that is closed: cluster up ends its nodes in order, and itself", {
  skip: NO_TERMINAL,
}, async (t) => {
  const scratch = scratchDir("terminal");
  const terminal = new InTerminal(scratch.path, "cluster up --dir nodes");
  t.after(() => {
    terminal.kill();
    scratch.remove();
  });
  await until("the cluster is up", WAIT_MS, () => terminal.read("said").includes("Ctrl-C stops all"));
  await terminal.close();
  const logs = readdirSync(join(scratch.path, "nodes")).filter((name) => name.endsWith(".log"));
  assert.equal(logs.length, 3);
  const read = () => logs.map((log) => terminal.read(join("nodes", log)));
  await until("the nodes are asked to end", WAIT_MS, () =>
    read().some((log) => log.includes("ends in order")),
  );
  // As a person's shell ends, the system sends it once more.
  terminal.signal("SIGHUP");
  assert.equal(await terminal.end(), 0);
  for (const log of read()) assert.match(log, /node \d has ended"/);
});
