// `raftmark cluster up`: some nodes of the service on this machine, a process each, for a first look. What they have
// stays in one directory, with which the next run goes on. Exit codes: 0 it was asked to end; 1 a node did not end in
// order; 2 it could not start.
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { freePorts, HOST } from "../../bench/harness/ports.js";
import { readConfig, whyUnusable } from "../serve/index.js";
import { CommandError } from "./command-error.js";
import { asSentence } from "./serve-command.js";

const MAIN = fileURLToPath(new URL("main.js", import.meta.url));
const DIR = "raftmark-cluster";
const UNUSABLE = 2;
/** How the command begins the sentence that it ends with, and what its line has where that is JSON. */
const SAYS = "raftmark: ";
const ENDS_WITH = '"exitCode":';
const WAS_REMOVED = '"code":"RAFT_REMOVED"';
const NODES_MAX = 9;
const START_MS = 15_000;
/** From SIGTERM on: handing over, draining, and what the disk takes. */
const END_MS = 15_000;

const HELP = `
Each node has a configuration (node-1.yaml), a log of what it says (node-1.log) and its data in the directory. To see what happens
when one is lost, kill -9 it; raftmark serve --config ${DIR}/node-1.yaml starts it again. To begin anew, remove the directory.

Examples:
  raftmark cluster up                three nodes, in ./${DIR}
  raftmark cluster up 5 --dir five   five, elsewhere
Exit codes: 0 it was asked to end; 1 a node did not end in order; 2 it could not start.`;

export function clusterCommand(): Command {
  const up = new Command("up")
    .summary("start nodes on this machine, until Ctrl-C")
    .description(
      "Starts nodes of the key-value service on this machine, a process each, and says how to try them.",
    )
    .argument("[nodes]", `how many, 1 to ${NODES_MAX} (default: 3, or as many as the directory has)`)
    .option("--dir <dir>", "where configurations, logs and data lie; a second run goes on with them", DIR)
    .addHelpText("after", HELP)
    .action(async (nodes: string | undefined, { dir }: { dir: string }) => {
      process.exitCode = await new LocalCluster(dir).run(nodes === undefined ? null : countOf(nodes));
    });
  return new Command("cluster")
    .summary("nodes of the key-value service on this machine, with one command")
    .description("A cluster of the key-value service on this machine, for a first look.")
    .addCommand(up);
}

function countOf(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= NODES_MAX) return count;
  throw new CommandError(UNUSABLE, `"${text}" nodes are not possible: it is 1 to ${NODES_MAX}.`);
}

interface Member {
  readonly id: number;
  readonly http: string;
  readonly child: ChildProcess;
  /** Resolves with how it ended: an exit code or a signal. */
  readonly ended: Promise<number | string>;
}

class LocalCluster {
  private readonly dir: string;
  private readonly members: Member[] = [];
  private isEnding = false;

  constructor(dir: string) {
    this.dir = dir;
  }

  async run(count: number | null): Promise<number> {
    const ids = await this.prepare(count);
    const asked = this.untilAsked();
    try {
      // All are read before any is started: a mistake in one starts none.
      const https = await asSentence(() =>
        Promise.all(ids.map(async (id) => (await readConfig(this.path(`node-${id}.yaml`))).http)),
      );
      const started = Promise.all(ids.map((id, i) => this.start(id, https[i])));
      const isUp = await Promise.race([started, asked.then(() => null)]);
      if (isUp !== null) {
        const leader = await Promise.race([this.leader(), asked.then(() => 0)]);
        if (!this.isEnding) this.greet(leader);
        await Promise.race([asked, Promise.all(this.members.map(({ ended }) => ended))]);
      }
    } catch (error) {
      // Who did not start has said why.
      await this.end();
      throw error;
    }
    return this.stop();
  }

  /** The ids in the directory, which is made if it is not there. */
  private async prepare(count: number | null): Promise<number[]> {
    const { dir } = this;
    const why = await whyUnusable(resolve(dir));
    if (why !== null) throw new CommandError(UNUSABLE, `--dir: ${why}.`);
    const found = existsSync(dir) ? readdirSync(dir) : [];
    const there = found.filter((name) => /^node-\d+\.yaml$/.test(name)).length;
    if (there > 0 && count !== null && count !== there) {
      const text = `${dir} has ${there} nodes, not ${count}: leave the number out to go on with them, or give another --dir.`;
      throw new CommandError(UNUSABLE, text);
    }
    if (there === 0 && found.length > 0) {
      const text = `${dir} is not empty and has no cluster (no node-1.yaml): give another --dir.`;
      throw new CommandError(UNUSABLE, text);
    }
    const ids = Array.from({ length: there > 0 ? there : (count ?? 3) }, (_, i) => i + 1);
    if (there === 0) await foundCluster(dir, ids);
    return ids;
  }

  /** Resolves when the node serves. */
  private async start(id: number, http: string): Promise<void> {
    const file = this.path(`node-${id}.yaml`);
    const log = openSync(this.path(`node-${id}.log`), "a");
    const begin = fstatSync(log).size;
    // A group of its own: Ctrl-C is for us, who ask the nodes to end one after another. They end as well when we are gone.
    const child = fork(MAIN, ["serve", "--config", file], {
      stdio: ["ignore", log, log, "ipc"],
      detached: true,
    });
    closeSync(log);
    const ended = new Promise<number | string>((resolve) =>
      child.once("exit", (code, signal) => resolve(code ?? signal ?? "")),
    );
    this.members.push({ id, http, child, ended });
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      const failed = (why: string) =>
        reject(
          new CommandError(UNUSABLE, `node ${id} does not start: ${why} (${this.path(`node-${id}.log`)}).`),
        );
      child.once("message", () => resolve());
      timer = setTimeout(() => failed(`it does not serve after ${START_MS / 1000} s`), START_MS);
      void ended.then(() => failed(this.lastWords(id, begin)));
    }).finally(() => clearTimeout(timer));
    void ended.then((how) => this.tellEnd(id, how, begin));
  }

  private tellEnd(id: number, how: number | string, begin: number): void {
    if (this.isEnding) return;
    // Who is no member says itself what to do instead.
    const isRemoved = this.said(id, begin).includes(WAS_REMOVED);
    const again = isRemoved
      ? ""
      : `  raftmark serve --config ${this.path(`node-${id}.yaml`)} starts it again\n`;
    process.stderr.write(`node ${id} ended (${how}): ${this.lastWords(id, begin)}\n${again}`);
  }

  /** Its log from `begin` on. Another process may write to that as well. */
  private said(id: number, begin: number): string {
    return readFileSync(this.path(`node-${id}.log`))
      .subarray(begin)
      .toString()
      .trim();
  }

  /** What it ended with, or else the last line. */
  private lastWords(id: number, begin: number): string {
    const lines = this.said(id, begin).split("\n");
    const says = (one: string) =>
      one.startsWith(SAYS) || one.includes(ENDS_WITH) || one.includes(WAS_REMOVED);
    const line = lines.findLast(says) ?? lines.at(-1)!;
    try {
      return (JSON.parse(line) as { msg: string }).msg.replace(/\.$/, "");
    } catch {
      if (line.startsWith(SAYS)) return line.slice(SAYS.length).replace(/\.$/, "");
      return line === "" ? "it said nothing" : line;
    }
  }

  /** Who leads, as soon as the first node knows. */
  private async leader(): Promise<number> {
    const [{ http }] = this.members;
    for (;;) {
      const response = await fetch(`http://${http}/status`).catch(() => null);
      const leader = response === null ? 0 : ((await response.json()) as { leader: number }).leader;
      if (leader !== 0) return leader;
      if (this.isEnding) return 0;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  private greet(leader: number): void {
    const members = [...this.members].sort((a, b) => a.id - b.id);
    const url = (i: number) => `http://${members[i % members.length].http}`;
    const rows = members.map(
      ({ id, http, child }) =>
        `  node ${id}  http://${http}/  pid ${child.pid}${id === leader ? ", leads" : ""}`,
    );
    process.stdout.write(`${members.length} nodes run on this machine; configurations, logs and data are in ${this.dir}/

${rows.join("\n")}

Open one of them in a browser, or try:
  curl -X PUT ${url(0)}/kv/greeting -d hello
  curl ${url(1)}/kv/greeting
  curl -N '${url(2)}/watch?from=1'

Ctrl-C stops all; the same command then goes on with the data. raftmark serve --help explains the rest.
`);
  }

  /** Resolves at the first signal; a second one kills, but SIGHUP, which the shell and the system send of one terminal. */
  private untilAsked(): Promise<void> {
    return new Promise((resolve) => {
      const onSignal = (signal: NodeJS.Signals) => {
        if (this.isEnding && signal !== "SIGHUP") for (const { child } of this.members) child.kill("SIGKILL");
        this.isEnding = true;
        resolve();
      };
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
    });
  }

  private async stop(): Promise<number> {
    const bad = await this.end();
    if (bad.length === 0) process.stdout.write(`All nodes have ended; ${this.dir}/ has what they had.\n`);
    else
      process.stderr.write(
        `raftmark: node ${bad.join(", ")} did not end in order; see the logs in ${this.dir}/.\n`,
      );
    return bad.length === 0 ? 0 : 1;
  }

  /** Ends the nodes that run; the ids of those that did not end in order, now or before. */
  private async end(): Promise<number[]> {
    this.isEnding = true;
    const alive = this.members.filter(({ child }) => child.exitCode === null && child.signalCode === null);
    for (const { child } of alive) child.kill("SIGTERM");
    const timer = setTimeout(() => {
      for (const { child } of alive) child.kill("SIGKILL");
    }, END_MS);
    const ends = await Promise.all(this.members.map(({ ended }) => ended));
    clearTimeout(timer);
    // A node that ends by the signal did not listen for it yet: it had not begun.
    return this.members.filter((_, i) => ends[i] !== 0 && ends[i] !== "SIGTERM").map(({ id }) => id);
  }

  private path(name: string): string {
    return join(this.dir, name);
  }
}

/** Writes the configurations, and the secret that they share. */
async function foundCluster(dir: string, ids: readonly number[]): Promise<void> {
  const raft = await portsFrom(7001, ids.length);
  const http = await portsFrom(8081, ids.length);
  const peers = ids
    .map((id, i) => `  ${id}: { raft: "${HOST}:${raft[i]}", http: "${HOST}:${http[i]}" }`)
    .join("\n");
  try {
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, "cluster.key"), `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
    for (const id of ids) {
      const text = `# Made by raftmark cluster up; raftmark serve --print-config explains every field.
id: ${id}
dataDir: ./data/${id}
peers:
${peers}
secretFile: ./cluster.key
`;
      writeFileSync(join(dir, `node-${id}.yaml`), text);
    }
  } catch (cause) {
    const text = `cannot write to ${dir} (${(cause as NodeJS.ErrnoException).code}): give another --dir.`;
    throw new CommandError(UNUSABLE, text, cause);
  }
}

/** `count` ports from `first` on, if all of them are free; else others. */
async function portsFrom(first: number, count: number): Promise<number[]> {
  const ports = Array.from({ length: count }, (_, i) => first + i);
  const free = await Promise.all(ports.map(isFree));
  return free.every(Boolean) ? ports : freePorts(count);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, HOST, () => server.close(() => resolve(true)));
  });
}
