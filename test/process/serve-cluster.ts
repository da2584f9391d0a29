// Three `raftmark serve` processes with a directory each, and a client that goes where it is told to.
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../../bench/harness/ports.js";
import { Command, PATIENCE_MS, until } from "./support.js";

/** An answer of the service. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: each caller knows what it asked for.
  readonly json: any;
}

export async function answerOf(response: Response): Promise<Answer> {
  const { status, headers } = response;
  const text = await response.text();
  const isJson = headers.get("content-type")?.startsWith("application/json");
  return { status, text, headers, json: isJson && text !== "" ? JSON.parse(text) : null };
}

/** As a configuration has them. */
export type Peers = Record<number, { readonly raft: string; readonly http: string }>;

export class ServeCluster {
  /** Who is, or is to be, a member. */
  ids: readonly number[];
  protected readonly dir: string;
  private readonly secret = randomBytes(16).toString("hex");
  private readonly https = new Map<number, string>();
  private readonly nodes = new Map<number, Command>();
  private readonly fields: Readonly<Record<string, unknown>>;

  /** `fields` are the configuration's, beside those that each node needs. */
  constructor(dir: string, size: number, fields: Readonly<Record<string, unknown>> = {}) {
    this.dir = dir;
    // Elections after a second: the machine may be busy.
    this.fields = { tickMs: 100, durability: "none", logLevel: "info", ...fields };
    this.ids = Array.from({ length: size }, (_, i) => i + 1);
  }

  /** Writes the configurations and starts all nodes; resolves when all of them know a leader. */
  async start(): Promise<void> {
    mkdirSync(this.dir, { recursive: true });
    const ports = await freePorts(this.ids.length * 2);
    const peers: Peers = Object.fromEntries(
      this.ids.map((id) => [
        id,
        { raft: `127.0.0.1:${ports[id * 2 - 2]}`, http: `127.0.0.1:${ports[id * 2 - 1]}` },
      ]),
    );
    for (const id of this.ids) this.configure(id, await this.peersOf(id, peers), `data-${id}`);
    await Promise.all(this.ids.map((id) => this.startNode(id)));
    for (const id of this.ids) await this.ready(id);
  }

  /** What node `id` has for `peers`, which are where the members listen. */
  protected async peersOf(_id: number, peers: Peers): Promise<Peers> {
    return peers;
  }

  /** Writes the configuration of a new member, `id`, and starts it: it waits to be added. Its addresses. */
  async startNew(id: number): Promise<{ id: number; raft: string; http: string }> {
    const [raft, http] = (await freePorts(2)).map((port) => `127.0.0.1:${port}`);
    const { peers } = JSON.parse(readFileSync(this.configOf(this.ids[0]), "utf8"));
    const existing = { initialClusterState: "existing" };
    this.configure(id, { ...peers, [id]: { raft, http } }, `data-${id}`, existing);
    await this.startNode(id);
    return { id, raft, http };
  }

  /** Writes the configuration of node `id`, which clients reach where `peers` says. */
  protected configure(id: number, peers: Peers, dataDir: string, more: object = {}): void {
    const config = { id, dataDir, peers, secret: this.secret, ...this.fields, ...more };
    // JSON is YAML.
    writeFileSync(this.configOf(id), JSON.stringify(config, null, 1));
    this.https.set(id, peers[id].http);
  }

  configOf(id: number): string {
    return join(this.dir, `node-${id}.yaml`);
  }

  /** Resolves when it answers, ready or not. */
  async startNode(id: number): Promise<void> {
    const node = new Command(this.dir, "serve", "--config", this.configOf(id));
    this.nodes.set(id, node);
    await until(`node ${id} to answer`, PATIENCE_MS, async () => {
      if (node.child.exitCode !== null) throw new Error(`node ${id} ended:\n${node.stderr}`);
      return (await this.tried(id, "GET", "/livez"))?.status === 200;
    });
  }

  async ready(id: number): Promise<void> {
    await until(
      `node ${id} to be ready`,
      PATIENCE_MS,
      async () => (await this.tried(id, "GET", "/readyz"))?.status === 200,
    );
  }

  node(id: number): Command {
    return this.nodes.get(id)!;
  }

  urlOf(id: number): string {
    return `http://${this.https.get(id)}`;
  }

  /** Asks one node. Rejects where it does not answer. */
  async ask(id: number, method: string, path: string, body?: string, headers = {}): Promise<Answer> {
    const response = await fetch(this.urlOf(id) + path, {
      method,
      // A connection each: one that is kept may be closed by the service just when it is used again.
      headers: { connection: "close", ...headers },
      signal: AbortSignal.timeout(20_000),
      ...(body === undefined ? {} : { body }),
    });
    return answerOf(response);
  }

  /** Null: it did not answer. */
  async tried(id: number, method: string, path: string, body?: string, headers = {}): Promise<Answer | null> {
    return this.ask(id, method, path, body, headers).catch(() => null);
  }

  /** Who leads, once all know. */
  async leader(): Promise<number> {
    let leader = 0;
    await until("a leader that all know", PATIENCE_MS, async () => {
      const known = new Set(await Promise.all(this.ids.map((id) => this.leaderAt(id))));
      [leader] = known.size === 1 ? known : [0];
      return leader !== 0;
    });
    return leader;
  }

  /** The leader that `id` knows; 0: none. */
  async leaderAt(id: number): Promise<number> {
    return (await this.tried(id, "GET", "/status"))?.json.leader ?? 0;
  }

  /** Resolves with the hash that all of them have at one index; nothing may be written meanwhile. */
  async agreed(): Promise<string> {
    let found = "";
    await until("all states to be equal", PATIENCE_MS, async () => {
      const all = await Promise.all(this.ids.map((id) => this.tried(id, "GET", "/status?hash=1")));
      const states = new Set(all.map((answer) => JSON.stringify(answer?.json?.kv ?? answer)));
      found = all[0]?.json?.kv?.sha256 ?? "";
      return states.size === 1 && found !== "";
    });
    return found;
  }

  /** The exit codes after SIGTERM. */
  async stop(): Promise<(number | null)[]> {
    const running = this.ids
      .map((id) => this.node(id))
      .filter(({ child }) => child.exitCode === null && child.signalCode === null);
    for (const { child } of running) child.kill("SIGTERM");
    return Promise.all(running.map((node) => node.end(PATIENCE_MS)));
  }
}
