// The inside of a node process: obeys the harness's commands over IPC, around one engine; around several where the
// nodes share a process and an in-memory link. A client process is the same with a connection for an engine. When the
// channel closes, however that came about, the process ends: no harness, no node.
import { RaftmarkError, type RaftNodeOptions } from "../../src/index.js";
import { MemoryNetwork } from "../../src/link/index.js";
import { SAMPLE, sampleColumn, type Trace } from "../../src/node/trace.js";
import { AckedWriter } from "./acked.js";
import { beginLog } from "./begin-log.js";
import { codeOf, messageOf } from "./bench-error.js";
import type { Engine, EngineSource } from "./engine.js";
import { FailoverEngine } from "./failover-client.js";
import type { LatencyCounts } from "./latency.js";
import { ClosedLoop, type LoadRun } from "./load.js";
import { NullEngine } from "./null-engine.js";
import { OpenLoop } from "./open-loop.js";
import {
  Command,
  type FromNode,
  type LoadPlan,
  type LoadResult,
  type NodeConfig,
  type ReplyOf,
} from "./protocol.js";
import { RemoteEngine, RemoteServer } from "./remote.js";
import { BenchStateMachine, withSnapshots } from "./state-machine.js";
import { Sampler } from "./usage.js";
import { weighHash } from "./weigh-hash.js";

const PROGRESS_EVERY_MS = 100;
/** A sign of life while nothing else is told. */
const ALIVE_EVERY_MS = 1000;
/** Options that are no part of a configuration, or secret. */
const UNTOLD = ["stateMachine", "logger", "trace", "secret", "dir", "id", "link", "walFs"];
/** None by itself, and no log is released: the truth check reads it as a whole. */
const SNAPSHOTS_ON_COMMAND = {
  snapshotEveryBytes: 2 ** 50,
  snapshotEveryEntries: 0,
  snapshotCatchUpBytes: 2 ** 50,
};
const SLOW_FS = new URL("./slow-fs.js", import.meta.url).href;
/** What a kill -9 may cost the journal of acknowledgements. */
const JOURNAL_EVERY_MS = 50;

/** Serves commands until the channel closes. */
export function runAgent(source: EngineSource): void {
  if (process.send === undefined) {
    process.stderr.write("this program is started by `raftmark bench`; it does nothing by itself\n");
    process.exit(2);
  }
  const send = (message: FromNode) => {
    // A harness that is gone cannot be told; "disconnect" ends this process then.
    if (process.connected) process.send?.(message, undefined, undefined, () => {});
  };
  const agents = new Map<number, NodeAgent>();
  let network: MemoryNetwork | null = null;
  const networkOf = (clusterId: number) => (network ??= new MemoryNetwork({ clusterId }));
  const receive = (raw: unknown) => {
    const command = Command.parse(raw);
    const agent = agents.get(command.node) ?? new NodeAgent(source, send, networkOf);
    agents.set(command.node, agent);
    return agent.receive(command);
  };
  // Ctrl-C reaches the whole process group; the harness decides what it means.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => {});
  process.on("disconnect", () => process.exit([...agents.values()].every(({ closed }) => closed) ? 0 : 1));
  process.on("message", (raw) => void receive(raw));
  setInterval(() => send({ kind: "alive" }), ALIVE_EVERY_MS).unref();
  send({ kind: "ready" });
}

class NodeAgent {
  private readonly source: EngineSource;
  private readonly send: (message: FromNode) => void;
  private readonly stateMachine = new BenchStateMachine();
  private readonly sampler = new Sampler();
  private readonly networkOf: (clusterId: number) => MemoryNetwork;
  private engine: Engine | null = null;
  private server: RemoteServer | null = null;
  private load: LoadRun | null = null;
  private trace: Trace | null = null;
  /** The node is closed: all that is left for the process is to end. */
  closed = false;

  constructor(
    source: EngineSource,
    send: (message: FromNode) => void,
    networkOf: (clusterId: number) => MemoryNetwork,
  ) {
    this.source = source;
    this.send = send;
    this.networkOf = networkOf;
  }

  async receive(command: Command): Promise<void> {
    try {
      const value = await this.obey(command);
      this.send({ kind: "reply", call: command.call, value });
    } catch (error) {
      this.send({ kind: "refusal", call: command.call, error: failureOf(error) });
    }
  }

  private async obey(command: Command): Promise<unknown> {
    switch (command.op) {
      case "open":
        return this.open(command.config);
      case "connect":
        // Of several nodes the client finds the one that leads, again and again.
        this.engine = await (command.urls.length === 1
          ? RemoteEngine.connect(command.urls[0])
          : FailoverEngine.connect(command.urls));
        return null;
      case "openNull":
        this.engine = new NullEngine();
        return null;
      case "weighHash":
        return { us: weighHash(command.entryBytes, command.ms) };
      case "serve":
        this.server = await RemoteServer.listen(this.running(), command.token);
        return { port: this.server.port };
      case "status":
        return this.running().status();
      case "sample":
        return this.sampler.take(this.running().metrics);
      case "campaign":
        this.running().campaign();
        return null;
      case "follow":
        this.traced().follow(command.every);
        return null;
      case "transfer":
        this.running().transferLeadership(command.to);
        return null;
      case "propose": {
        const { index, term } = await this.running().propose(command.bytes);
        return { index, term };
      }
      case "takeSnapshot": {
        const engine = this.running();
        if (engine.takeSnapshot === undefined)
          throw new RaftmarkError("RAFT_SNAPSHOT_FAILED", "this engine takes no snapshots");
        const { index } = await engine.takeSnapshot();
        return { index };
      }
      case "changeMembership": {
        const engine = this.running();
        if (engine.changeMembership === undefined)
          throw new RaftmarkError("RAFT_BAD_OPTION", "this engine's members stay who they are");
        const { index } = await engine.changeMembership(command.change);
        return { index };
      }
      case "load":
        return this.runLoad(command.plan, command.ackedPath);
      case "haltLoad":
        this.load?.stop();
        return null;
      case "traceSamples":
        return this.traceSamples(command.fromUs, command.toUs);
      case "traceAppends":
        return this.traced().appendsOf(command.indices);
      case "state":
        return this.stateMachine.report();
      case "close":
        this.server?.close();
        // All nodes of a cluster end together: there is nobody to hand over to, and no caller waits.
        await this.engine?.close({ timeoutMs: 0 });
        this.closed = true;
        return this.stateMachine.report();
    }
  }

  private running(): Engine {
    if (this.engine === null) throw new RaftmarkError("RAFT_CLOSED", "the node is not open yet");
    return this.engine;
  }

  private async open(config: NodeConfig): Promise<ReplyOf<"open">> {
    const full = this.optionsOf(config);
    if (config.startIndex > 0) await beginLog(config);
    const begun = performance.now();
    const engine = await this.source.open(full);
    const openMs = performance.now() - begun;
    engine.onFault = (error) => {
      if (error.cause instanceof Error) process.stderr.write(`${error.cause.stack}\n`);
      this.send({ kind: "fault", error: failureOf(error) });
    };
    this.engine = engine;
    const values = Object.entries(this.source.effective(full)).filter(([name]) => !UNTOLD.includes(name));
    const options = Object.fromEntries(values);
    return { link: engine.metrics.link, node: process.version, options, openMs };
  }

  private optionsOf(config: NodeConfig): RaftNodeOptions {
    const {
      linkKind,
      startIndex,
      writeDelayMs,
      stateMb,
      batchBytesMax,
      proposalBatchBytes,
      maxSizePerMsg,
      traceEvery,
      ...options
    } = config;
    this.trace = traceEvery > 0 ? this.source.newTrace(traceEvery) : null;
    return {
      ...options,
      // A client that follows the leader has to be told that a node does not lead.
      forwardProposals: false,
      ...(batchBytesMax === undefined ? {} : { batchBytesMax }),
      ...(proposalBatchBytes === undefined ? {} : { proposalBatchBytes }),
      ...(maxSizePerMsg === undefined ? {} : { maxSizePerMsg }),
      ...(linkKind === "memory" ? { link: this.networkOf(config.clusterId).link(config.id) } : {}),
      ...(writeDelayMs > 0 ? { walFs: { module: SLOW_FS, arg: writeDelayMs } } : {}),
      ...(this.trace === null ? {} : { trace: this.trace }),
      ...(stateMb > 0 ? SNAPSHOTS_ON_COMMAND : {}),
      stateMachine: stateMb > 0 ? withSnapshots(this.stateMachine, stateMb) : this.stateMachine,
    };
  }

  private traced(): Trace {
    if (this.trace === null) throw new RaftmarkError("RAFT_CLOSED", "the node was opened without a trace");
    return this.trace;
  }

  private traceSamples(fromUs: number, toUs: number): ReplyOf<"traceSamples"> {
    const samples = this.traced().samplesBetween(fromUs, toUs);
    const sentUs = this.traced().sendingsOf(
      sampleColumn(samples, SAMPLE.index),
      sampleColumn(samples, SAMPLE.by),
    );
    return { samples, sentUs };
  }

  private async runLoad(plan: LoadPlan, ackedPath: string): Promise<LoadResult> {
    const engine = this.running();
    if (plan.perCall > 1 && engine.proposeMany === undefined)
      throw new RaftmarkError("RAFT_BAD_OPTION", "this engine has no proposeMany(): leave --per-call out");
    const journal = new AckedWriter(ackedPath, plan.runId, plan.client);
    const load =
      plan.ratePerS > 0 ? new OpenLoop(engine, plan, journal) : new ClosedLoop(engine, plan, journal);
    this.load = load;
    const flushing = setInterval(() => this.flush(journal, load), JOURNAL_EVERY_MS);
    const telling = setInterval(() => this.send({ kind: "progress", acked: load.acked }), PROGRESS_EVERY_MS);
    const edges: { before: LoadResult["before"]; after: LoadResult["after"] } = { before: null, after: null };
    try {
      const outcome = await load.run((open) => {
        const sample = this.sampler.take(engine.metrics) as NonNullable<LoadResult["before"]>;
        edges[open ? "before" : "after"] = sample;
        this.send({ kind: "window", open });
      });
      return {
        ...outcome,
        series: [...outcome.series],
        seriesDue: [...outcome.seriesDue],
        seriesP99Ms: [...outcome.seriesP99Ms],
        latencies: plain(outcome.latencies),
        reads: plain(outcome.reads),
        failover: engine instanceof FailoverEngine ? engine.failover : null,
        ...edges,
      };
    } finally {
      clearInterval(flushing);
      clearInterval(telling);
      journal.close();
      this.load = null;
    }
  }

  /** Without its journal a run proves nothing: it ends, and the harness is told why. */
  private flush(journal: AckedWriter, load: LoadRun): void {
    try {
      journal.flush();
    } catch (error) {
      load.stop();
      this.send({ kind: "fault", error: failureOf(error) });
    }
  }
}

/** What a structured clone keeps of it. */
function plain({ counts, total, max, sum }: LatencyCounts): LoadResult["latencies"] {
  return { counts, total, max, sum };
}

function failureOf(error: unknown): { code: string; message: string; mayCommit: boolean } {
  const mayCommit = error instanceof RaftmarkError && error.mayCommit;
  return { code: codeOf(error) || "ERROR", message: messageOf(error), mayCommit };
}
