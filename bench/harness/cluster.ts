// A cluster on this machine: one process a node, ports on loopback, a data directory each. Starts, finds the leader,
// kills, restarts, waits for everyone to catch up, stops. Used by the bench and by the process tests.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DEFAULT_SETTINGS, type Settings } from "./axes.js";
import { BenchError, ClusterFault } from "./bench-error.js";
import { type CallLimits, NodeProcess, NodeRefusal, type Params } from "./node-process.js";
import { OUTSTANDING_MAX } from "./open-loop.js";
import { freePorts, HOST } from "./ports.js";
import type { MemberChange, NodeConfig, Op, ReplyOf } from "./protocol.js";
import type { StateReport } from "./state-machine.js";
import type { TruthRequest } from "./truth.js";

/** The axes that a cluster is made by; the rest is the load's. Process tests leave most of them out. */
export type ClusterSettings = Pick<Settings, "nodes" | "writer" | "durability" | "batchBytes" | "inFlight"> &
  Partial<Settings>;

export interface ClusterPlan {
  /** Data of node i goes to `dir`/node-i. */
  readonly dir: string;
  readonly settings: ClusterSettings;
  /** First port; 0: any free ports. */
  readonly basePort: number;
  /** Seeds the election timeouts. */
  readonly seed: number;
  /** One proposal in so many is followed through the nodes; left out: none. */
  readonly traceEvery?: number;
  /** The program of a node process; tests put another here. */
  readonly program?: string;
  /** Beyond this process's: which engine the nodes run, see engine-from.ts. */
  readonly env?: NodeJS.ProcessEnv;
  /** The Node.js that nodes and client run on; left out: this process's. */
  readonly execPath?: string;
  /** Its flags, before this process's own. */
  readonly nodeFlags?: readonly string[];
  /** Ends every wait; its reason is what they reject with. */
  readonly signal?: AbortSignal;
}

/** Raft's clock in the bench, in ticks of Settings.tickMs. */
export const ELECTION_TICKS = 10;
export const HEARTBEAT_TICKS = 1;

const NODE_PROGRAM = fileURLToPath(new URL("./node-main.js", import.meta.url));
const OPEN_TIMEOUT_MS = 30_000;
const POLL_MS = 20;
/** How often ports picked as free may turn out to be taken. */
const PORT_ATTEMPTS_MAX = 3;
/**
 * A campaign before the links are up is lost, and another ends the one under way, which takes as long as the disks do:
 * this is the time to the second, and each is waited for twice as long as the one before.
 */
const CAMPAIGN_WAIT_MS = 200;

export class Cluster {
  private readonly plan: ClusterPlan;
  private readonly configs = new Map<number, NodeConfig>();
  private readonly processes = new Map<number, NodeProcess>();
  private readonly opened = new Map<number, ReplyOf<"open">>();
  /** Members that were removed and stopped: their logs are still there, and their last states. */
  private readonly former = new Map<number, StateReport | null>();
  private secret = "";
  private client: NodeProcess | null = null;
  private fail: (error: BenchError) => void = () => {};
  /** Rejects when a node fails unasked; never resolves. Race every wait against it. */
  readonly failure: Promise<never>;

  private constructor(plan: ClusterPlan) {
    this.plan = plan;
    this.failure = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failure.catch(() => {}); // Whoever waits is told; nobody need wait.
    if (plan.signal?.aborted) this.onAbort();
    plan.signal?.addEventListener("abort", this.onAbort, { once: true });
  }

  private readonly onAbort = (): void => this.fail(this.plan.signal?.reason as BenchError);

  /** Starts every node and waits until all are open. On failure nothing is left running. */
  static async start(plan: ClusterPlan): Promise<Cluster> {
    for (let attempt = 1; ; attempt++) {
      const cluster = new Cluster(plan);
      try {
        await cluster.openAll();
        return cluster;
      } catch (error) {
        await cluster.destroy();
        const taken = error instanceof NodeRefusal && error.code === "RAFT_ADDRESS_IN_USE";
        if (!taken || plan.basePort > 0 || attempt === PORT_ATTEMPTS_MAX) throw openFailure(error, plan);
      }
    }
  }

  private async openAll(): Promise<void> {
    const { nodes } = this.plan.settings;
    const fixed = Array.from({ length: nodes }, (_, i) => this.plan.basePort + i);
    const ports = this.plan.basePort > 0 ? fixed : await freePorts(nodes);
    const peers: Record<string, string> = {};
    ports.forEach((port, i) => {
      peers[i + 1] = `${HOST}:${port}`;
    });
    this.secret = randomBytes(24).toString("base64url");
    for (let id = 1; id <= nodes; id++) this.configs.set(id, this.configFor(id, peers, this.secret));
    const opened = await Promise.allSettled(this.ids.map((id) => this.openNode(id)));
    for (const outcome of opened) if (outcome.status === "rejected") throw outcome.reason;
  }

  private configFor(id: number, peers: Record<string, string>, secret: string): NodeConfig {
    const settings: Settings = { ...DEFAULT_SETTINGS, ...this.plan.settings };
    const { writer, durability, busyPollUs, batchBytes, inFlight, storageWrites, maxInflightMsgs } = settings;
    return {
      id,
      dir: this.dirOf(id),
      listen: peers[id],
      peers,
      secret,
      clusterId: CLUSTER_ID,
      tickMs: settings.tickMs,
      electionTicks: ELECTION_TICKS,
      heartbeatTicks: HEARTBEAT_TICKS,
      writer,
      ...(durability === "fsync" ? {} : { durability }),
      busyPollUs,
      storageWrites,
      readOnly: settings.reads,
      maxInflightMsgs,
      linkKind: settings.link === "memory" ? "memory" : "sockets",
      ...(settings.link === "uws" || settings.link === "ws" ? { acceptor: settings.link } : {}),
      frameTags: settings.frameTags === "on",
      startIndex: settings.startIndex,
      writeDelayMs: id === this.slowNode ? settings.followerDelayMs : 0,
      stateMb: settings.stateMb,
      ...(batchBytes === 0 ? {} : { batchBytesMax: batchBytes }),
      ...(settings.batching === "off" ? unbatched(settings) : {}),
      maxQueuedProposals: Math.max(OUTSTANDING_MAX, inFlight),
      traceEvery: this.traceEvery,
      seed: (this.plan.seed + id * 7919) >>> 0,
    };
  }

  private async openNode(id: number, limits: CallLimits = {}): Promise<void> {
    const shared = this.plan.settings.link === "memory" ? [...this.processes.values()][0] : undefined;
    this.processes.set(id, shared ?? this.newProcess(id));
    const opened = await this.call(
      id,
      "open",
      { config: this.configs.get(id)! },
      { timeoutMs: OPEN_TIMEOUT_MS, ...limits },
    );
    this.opened.set(id, opened);
  }

  private newProcess(id: number): NodeProcess {
    const env = { ...process.env, ...this.plan.env };
    const { program = NODE_PROGRAM, execPath, nodeFlags } = this.plan;
    const node = new NodeProcess(id, program, { env, execPath, nodeFlags });
    LIVE.add(node);
    node.onFailure = (error) => this.fail(error);
    return node;
  }

  /** A process that is no node, connected to the first of `ids` as its client; it goes to the others if that is lost. */
  async startClient(ids: readonly number[]): Promise<NodeProcess> {
    const token = randomBytes(24).toString("base64url");
    const served = await Promise.all(ids.map((id) => this.call(id, "serve", { token })));
    const client = this.newProcess(CLIENT);
    this.client = client;
    const urls = served.map(({ port }) => `ws://${HOST}:${port}/${token}`);
    await this.orFailure(client.call("connect", { urls }));
    return client;
  }

  /** The node whose disk is slow, where there is one: never the leader, see run-variant.ts. */
  get slowNode(): number {
    const { nodes, followerDelayMs = 0 } = this.plan.settings;
    return followerDelayMs > 0 ? nodes : 0;
  }

  get ids(): number[] {
    return [...this.configs.keys()];
  }

  /** Ids of the nodes whose processes run. */
  get alive(): number[] {
    return this.ids.filter((id) => this.processes.get(id)?.isAlive === true);
  }

  /** One proposal in so many is followed; 0: none. */
  get traceEvery(): number {
    return this.plan.traceEvery ?? 0;
  }

  get quorum(): number {
    return Math.floor(this.configs.size / 2) + 1;
  }

  /** Every option that node `id` runs with, and its link. */
  openedAs(id: number): ReplyOf<"open"> {
    return this.opened.get(id)!;
  }

  dirOf(id: number): string {
    return join(this.plan.dir, `node-${id}`);
  }

  node(id: number): NodeProcess {
    const node = this.processes.get(id);
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  /** One command to one node; ends early if any node fails. */
  call<K extends Op>(id: number, op: K, params: Params<K>, limits?: CallLimits): Promise<ReplyOf<K>> {
    return this.orFailure(this.node(id).call(op, params, limits, id));
  }

  /** What each node has used so far, in the order of their ids. */
  samples(): Promise<ReplyOf<"sample">[]> {
    return Promise.all(this.ids.map((id) => this.call(id, "sample", {})));
  }

  /** All nodes follow one entry in `every` from now on; 0: none. */
  async follow(every: number): Promise<void> {
    await Promise.all(this.ids.map((id) => this.call(id, "follow", { every })));
  }

  /** What the truth check reads of each node; `states`: as stop() gave them. */
  logsOf(states: ReadonlyMap<number, StateReport | null>): TruthRequest["nodes"] {
    const all = new Map([...this.former, ...states]);
    return [...all].map(([id, state]) => ({ id, dir: this.dirOf(id), state }));
  }

  /** `wait`, or the failure of a node if that comes first. */
  orFailure<T>(wait: Promise<T>): Promise<T> {
    return Promise.race([wait, this.failure]);
  }

  /**
   * The node that leads, agreed by a quorum of running nodes. While there is none, the first running node is asked to
   * campaign, so that nobody waits for an election timeout, unless `campaign` is false.
   */
  async waitForLeader(timeoutMs: number, campaign = true): Promise<number> {
    const begun = performance.now();
    let askAt = begun;
    let waitMs = CAMPAIGN_WAIT_MS;
    for (;;) {
      const all = await Promise.all(this.alive.map((id) => this.call(id, "status", {})));
      const leader = this.leaderAmong(all);
      if (leader !== 0) return leader;
      const now = performance.now();
      if (now - begun > timeoutMs) {
        const states = all.map(({ id, state, term }) => `${id} (${state}, term ${term})`);
        const text = `no leader within ${timeoutMs} ms among nodes ${states.join(", ")}: the nodes cannot reach each other on ${HOST}, or the machine or its disk is overloaded.`;
        throw new ClusterFault(text);
      }
      if (campaign && now >= askAt) {
        askAt = now + waitMs;
        waitMs *= 2;
        await this.call(this.alive[0], "campaign", {});
      }
      await pause(POLL_MS);
    }
  }

  private leaderAmong(all: readonly ReplyOf<"status">[]): number {
    for (const candidate of all) {
      if (candidate.state !== "StateLeader") continue;
      const followers = all.filter(({ leader, term }) => leader === candidate.id && term === candidate.term);
      if (followers.length >= this.quorum) return candidate.id;
    }
    return 0;
  }

  /** Waits until every running node has applied what the furthest has. Returns false if `timeoutMs` passes first. */
  async catchUp(timeoutMs: number): Promise<boolean> {
    const begun = performance.now();
    for (;;) {
      // Asked before it is given up: this process may have stood still for all of the time.
      const isLate = performance.now() - begun > timeoutMs;
      const all = await Promise.all(this.alive.map((id) => this.call(id, "status", {})));
      const furthest = Math.max(...all.map(({ applied, commit }) => Math.max(applied, commit)));
      if (all.every(({ applied }) => applied === furthest)) return true;
      if (isLate) return false;
      await pause(POLL_MS);
    }
  }

  /** kill -9 of one node; the rest of the cluster goes on. */
  async kill(id: number): Promise<void> {
    await this.node(id).kill();
    LIVE.delete(this.node(id));
  }

  /** Closes node `id` in order and ends its process; the rest of the cluster goes on. */
  async stopOne(id: number): Promise<void> {
    const node = this.node(id);
    await node.close(id);
    await node.end();
    LIVE.delete(node);
  }

  /** A new process for node `id` on its old directory. */
  async restart(id: number): Promise<void> {
    if (this.node(id).isAlive) throw new Error(`node ${id} still runs`);
    await this.openNode(id, { silentMs: OPEN_TIMEOUT_MS }); // It reads its log at one go.
  }

  /** Starts a node that joins, of which nobody knows yet: changeMembership() is to tell. */
  async join(): Promise<{ readonly id: number; readonly address: string }> {
    const id = Math.max(...this.ids, ...this.former.keys()) + 1;
    const address = `${HOST}:${(await freePorts(1))[0]}`;
    const peers = { ...this.configs.get(this.ids[0])!.peers, [id]: address };
    this.configs.set(id, { ...this.configFor(id, peers, this.secret), initialClusterState: "existing" });
    await this.openNode(id);
    return { id, address };
  }

  /** One change of members, asked of the leader. */
  async changeMembership(leader: number, change: MemberChange): Promise<void> {
    await this.call(leader, "changeMembership", { change });
  }

  /** Stops a member that was removed. */
  async part(id: number): Promise<void> {
    const node = this.node(id);
    this.former.set(id, await node.close(id));
    await node.end();
    LIVE.delete(node);
    this.configs.delete(id);
    this.processes.delete(id);
  }

  /** Closes every node. Gives each one's last state, null where it did not answer. */
  async stop(): Promise<Map<number, StateReport | null>> {
    await this.client?.close();
    const ids = [...this.processes.keys()];
    const states = await Promise.all(ids.map((id) => this.node(id).close(id)));
    await this.endAll();
    return new Map(ids.map((id, i) => [id, states[i]]));
  }

  /** Ends every process without ceremony: their data is not needed any more. */
  async destroy(): Promise<void> {
    this.plan.signal?.removeEventListener("abort", this.onAbort);
    await this.endAll();
  }

  private async endAll(): Promise<void> {
    const all = new Set(this.processes.values());
    if (this.client !== null) all.add(this.client);
    await Promise.all([...all].map((node) => node.end()));
    for (const node of all) LIVE.delete(node);
  }
}

const CLUSTER_ID = 0x7a4f;
/** The client's place among the ids of nodes. */
const CLIENT = 0;
/** Batching off: at least one of whatever it is always goes, and so never more than one. */
const UNBATCHED = { proposalBatchBytes: 1, maxSizePerMsg: 1 };
/** Beside an entry's bytes, in a group commit of one: its record, and that of the commit index; not a second entry. */
const ONE_ENTRY_SLACK_BYTES = 72;

/** Every node process of this harness, so that its end, however it comes, is theirs. */
const LIVE = new Set<NodeProcess>();

/** Kills every node process at once; for signal handlers and the end of the process. */
export function killAllNow(): void {
  for (const node of LIVE) node.killNow();
}

function unbatched({ entryBytes }: Settings): Partial<NodeConfig> {
  return { ...UNBATCHED, batchBytesMax: entryBytes + ONE_ENTRY_SLACK_BYTES };
}

function openFailure(error: unknown, plan: ClusterPlan): unknown {
  if (!(error instanceof NodeRefusal)) return error;
  const why = error.said.replace(/\.?$/, ".");
  if (error.code === "RAFT_ADDRESS_IN_USE") {
    const last = plan.basePort + plan.settings.nodes - 1;
    const what =
      plan.basePort > 0
        ? `ports ${plan.basePort} to ${last} are wanted: choose others with --base-port, or leave it out to have free ones picked.`
        : "ports picked as free were taken three times in a row: try again.";
    return new BenchError("environment", `${why} The ${what}`, error);
  }
  if (error.code === "WAL_NO_SPACE") {
    return new BenchError("environment", `${why} Free space, or choose another place with --dir.`, error);
  }
  const kind = error.code === "WAL_NOT_WRITABLE" ? "environment" : "failed";
  return new BenchError(kind, `a node did not start: ${why} [${error.code}]`, error);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
