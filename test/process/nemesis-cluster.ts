// Nodes in processes of their own, each path between two of them through a relay: they are killed, stopped and cut off
// here, and their callers' calls go out here.
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePorts } from "../../bench/harness/ports.js";
import { type PathState, Relay } from "../relay.js";
import type { Answer, Call, NodeOptions, Notice } from "./nemesis-node.js";
import { killChild } from "./support.js";

const PROGRAM = fileURLToPath(new URL("./nemesis-node.js", import.meta.url));
export const TICK_MS = 30;
export const ELECTION_TICKS = 10;
const START_ATTEMPTS_MAX = 10;

/** What to ask; ids are given here. */
export type Question = Call extends infer C ? (C extends { id: number } ? Omit<C, "id"> : never) : never;

/** One node: its directory stays, its processes come and go. */
export class Member {
  readonly id: number;
  private readonly options: NodeOptions;
  private child: ChildProcess | null = null;
  private opened = false;
  /** On standard error, by its last process. */
  private said = "";
  private readonly calls = new Map<number, (answer: Answer | null) => void>();
  private nextCall = 0;
  isStopped = false;
  /** What no node does by itself, as it ended or fenced itself. */
  onFailure: (what: string) => void = () => {};

  constructor(options: NodeOptions) {
    this.id = options.id;
    this.options = options;
  }

  /** It takes calls; stopped or not. */
  get isUp(): boolean {
    return this.opened;
  }

  /** Calls without an answer. */
  get waiting(): number {
    return this.calls.size;
  }

  /** Resolves when it takes calls. Its address may be taken for a moment: by a connection of some other process. */
  async start(): Promise<void> {
    for (let attempt = 1; !(await this.tryStart()); attempt++) {
      if (!this.said.includes("RAFT_ADDRESS_IN_USE") || attempt === START_ATTEMPTS_MAX) {
        this.onFailure(`node ${this.id} does not start:\n${this.said}`);
        return;
      }
    }
  }

  /** False: its process ended, and what it said is in `said`. */
  private tryStart(): Promise<boolean> {
    const child = fork(PROGRAM, [JSON.stringify(this.options)], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.child = child;
    this.said = "";
    child.stderr!.on("data", (text: Buffer) => {
      this.said += text.toString();
    });
    return new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        resolve(false);
        if (this.child !== child || !this.opened) return;
        this.onFailure(`node ${this.id} ended by itself (${code ?? signal}):\n${this.said}`);
      });
      child.on("message", (message: Answer | Notice) => {
        if (this.child !== child) return;
        if ("fault" in message) {
          this.onFailure(`node ${this.id} fenced itself: ${message.fault}`);
        } else if ("opened" in message) {
          this.opened = true;
          resolve(true);
        } else {
          this.calls.get(message.id)?.(message);
          this.calls.delete(message.id);
        }
      });
    });
  }

  /** The answer; null if its process ended before. Undefined: the node is not there to be asked. */
  ask(question: Question): Promise<Answer | null> | undefined {
    if (!this.opened) return undefined;
    const id = ++this.nextCall;
    return new Promise((resolve) => {
      this.calls.set(id, resolve);
      this.child!.send({ ...question, id });
    });
  }

  /** kill -9. What was asked of it gets no answer. */
  async kill(): Promise<void> {
    const { child } = this;
    if (child === null) return;
    this.child = null;
    this.opened = false;
    this.isStopped = false;
    await killChild(child);
    for (const answer of this.calls.values()) answer(null);
    this.calls.clear();
  }

  /** SIGSTOP: it stands still, and its connections stay open. */
  stop(): void {
    if (this.child === null) return;
    this.child.kill("SIGSTOP");
    this.isStopped = true;
  }

  /** SIGCONT. */
  go(): void {
    this.child?.kill("SIGCONT");
    this.isStopped = false;
  }
}

export interface ClusterPlan {
  readonly dir: string;
  readonly nodes: number;
  readonly readOnly: "safe" | "lease";
}

export class NemesisCluster {
  readonly members: readonly Member[];
  private readonly relays: ReadonlyMap<string, Relay>;

  private constructor(members: readonly Member[], relays: ReadonlyMap<string, Relay>) {
    this.members = members;
    this.relays = relays;
  }

  static async start({ dir, nodes, readOnly }: ClusterPlan): Promise<NemesisCluster> {
    const ports = await freePorts(nodes);
    const ids = ports.map((_, i) => i + 1);
    const relays = new Map<string, Relay>();
    for (const from of ids) {
      for (const to of ids) if (from !== to) relays.set(`${from} ${to}`, await Relay.listen(ports[to - 1]));
    }
    const members = ids.map((id) => {
      const portOf = (peer: number) => (peer === id ? ports[id - 1] : relays.get(`${id} ${peer}`)!.port);
      return new Member({
        id,
        dir: join(dir, `node-${id}`),
        listen: `127.0.0.1:${ports[id - 1]}`,
        peers: Object.fromEntries(ids.map((peer) => [peer, `127.0.0.1:${portOf(peer)}`])),
        secret: "nemesis",
        tickMs: TICK_MS,
        electionTicks: ELECTION_TICKS,
        segmentBytes: 1 << 20,
        readOnly,
      });
    });
    await Promise.all(members.map((member) => member.start()));
    return new NemesisCluster(members, relays);
  }

  /** What `to` sends to `from` goes over this path, and little else: it is the one that `from` dials. */
  setPath(from: number, to: number, state: PathState): void {
    this.relays.get(`${from} ${to}`)!.set(state);
  }

  /** Every path open, every process running. */
  async heal(): Promise<void> {
    for (const relay of this.relays.values()) relay.set("open");
    for (const member of this.members) {
      member.go();
      if (!member.isUp) await member.start();
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    await Promise.all([...this.relays.values()].map((relay) => relay.close()));
  }
}
