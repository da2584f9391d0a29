// RaftNode: one member of a cluster in this process. Opens and closes the parts (log, core, link, clock) and
// forwards to the driver, which does the work. Main thread.
import { randomInt } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "../base/assert.js";
import { RaftmarkError } from "../base/errors.js";
import { Prng } from "../base/prng.js";
import { createUwsLink, type Link } from "../link/index.js";
import { EMPTY_CONF_STATE, RawNode, ReadOnlyLeaseBased, ReadOnlySafe, STATE_NAMES } from "../raft/index.js";
import { openWal, type Wal } from "../wal/index.js";
import { ENTRY_OVERHEAD_BYTES, MESSAGE_OVERHEAD_BYTES } from "../wire/index.js";
import type { NodeMetrics, NodeStatus, Proposed, RaftNodeOptions } from "./api.js";
import { Driver } from "./driver.js";
import { LeaseClock } from "./lease-clock.js";
import { decodeMetadata, encodeMetadata } from "./metadata.js";
import { type ResolvedOptions, resolveOptions } from "./options.js";
import { Proposals } from "./proposals.js";
import { Reads } from "./reads.js";

/** The only group a node has so far; frames, driver and ring carry the number (DESIGN, "Kept open"). */
const GROUP = 0;

/** Probes are repeated with each heartbeat, and a slow path carries them one after another. */
const PROBE_BYTES_MAX = 4096;
/** A quarter of what one turn applies, however large messages may be. */
const APPLY_BYTES_MAX = 1024 * 1024;

/** A running member of a Raft cluster. Create with RaftNode.open; end with close() or `await using`. */
export class RaftNode {
  /** Called once when the node fences itself: its disk failed or an invariant broke. It then only refuses. */
  onFault: (error: RaftmarkError) => void = () => {};

  private readonly options: ResolvedOptions;
  private readonly wal: Wal;
  private readonly link: Link;
  private readonly rawNode: RawNode;
  private readonly proposals: Proposals;
  private readonly reads: Reads;
  private readonly driver: Driver;
  private clock: NodeJS.Timeout | null = null;
  private fault: RaftmarkError | null = null;
  private closing: Promise<void> | null = null;

  /**
   * Opens the node's log (recovering what is durable), listens, dials its peers and starts its clock. Rejects
   * with RAFT_BAD_OPTION, WAL_LOCKED, WAL_CORRUPT, WAL_NOT_WRITABLE, WAL_NO_SPACE, WAL_IO, RAFT_ADDRESS_IN_USE or
   * RAFT_LINK; nothing is left open then.
   */
  static async open(options: RaftNodeOptions): Promise<RaftNode> {
    const resolved = resolveOptions(options);
    const wal = await openLog(resolved);
    let node: RaftNode | null = null;
    try {
      checkOwner(wal, resolved);
      await restoreState(wal, resolved);
      node = new RaftNode(resolved, wal);
      await node.start();
      return node;
    } catch (error) {
      await node?.link.close();
      await wal.close();
      throw error;
    }
  }

  private constructor(options: ResolvedOptions, wal: Wal) {
    this.options = options;
    this.wal = wal;
    this.link = options.link ?? newLink(options);
    this.rawNode = newRawNode(options, wal);
    const trace = options.trace ?? null;
    trace?.attach(wal.batchTimes);
    const { tickMs, electionTicks } = options;
    const limits = {
      leaderlessTicks: Math.ceil(options.leaderlessTimeoutMs / tickMs),
      timeoutTicks: Math.ceil(options.requestTimeoutMs / tickMs),
    };
    this.proposals = new Proposals({ ...options, ...limits }, trace);
    this.reads = new Reads(options.id, { ...limits, retryTicks: electionTicks });
    this.driver = new Driver({
      group: GROUP,
      id: options.id,
      rawNode: this.rawNode,
      wal,
      link: this.link,
      stateMachine: options.stateMachine,
      proposals: this.proposals,
      reads: this.reads,
      proposalBatchBytes: options.proposalBatchBytes,
      maxBacklogBytes: options.maxQueuedBytes,
      diskTimeoutMs: options.diskTimeoutMs,
      onDisk: (silentMs) => this.diskChanged(silentMs),
      onFault: (error) => this.faulted(error),
      trace,
    });
  }

  private async start(): Promise<void> {
    const { driver, options } = this;
    await this.link.start({
      onMessages: (_group, _from, messages) => driver.messages(messages),
      onUnreachable: (peer) => driver.control((rawNode) => rawNode.reportUnreachable(peer)),
      onPeer: (peer, connected) => options.logger?.info({ peer, connected }, "peer"),
    });
    this.clock = setInterval(() => driver.tick(), options.tickMs);
    driver.wake();
  }

  /**
   * Replicates `bytes` and resolves when this node has applied them, with their index and the state machine's
   * result. Rejects with RAFT_NOT_LEADER, RAFT_PROPOSAL_DROPPED, RAFT_LEADERSHIP_LOST, RAFT_TIMEOUT,
   * RAFT_PROPOSAL_TOO_LARGE, RAFT_OVERLOADED, RAFT_ABORTED, RAFT_FENCED or RAFT_CLOSED; `mayCommit` on the error tells
   * whether it may still take effect: where it is false, no log that can win has it.
   * `bytes` belongs to the node from here on and must not be changed.
   */
  propose(bytes: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<Proposed> {
    const ended = this.endedError();
    if (ended !== null) return Promise.reject(ended);
    this.driver.wake();
    return this.proposals.add(bytes, options.signal);
  }

  /**
   * Resolves when this node has applied everything that was committed before the call, so that a read of its state
   * machine is linearizable (§6.4 of the Raft thesis). Costs a round of heartbeats; calls of one turn share it.
   * Without a leader it waits for one. Rejects with RAFT_NO_LEADER, RAFT_TIMEOUT, RAFT_ABORTED, RAFT_FENCED or
   * RAFT_CLOSED.
   */
  readBarrier(options: { signal?: AbortSignal } = {}): Promise<void> {
    const ended = this.endedError();
    if (ended !== null) return Promise.reject(ended);
    this.driver.wake();
    return this.reads.add(options.signal);
  }

  /** Starts an election now instead of after the election timeout. */
  campaign(): void {
    this.driver.campaign();
  }

  /** Asks the leader (this node) to hand leadership to `id` (§3.10 of the Raft thesis). Watch status().leader. */
  transferLeadership(id: number): void {
    this.driver.control((rawNode) => rawNode.transferLeader(id));
  }

  status(): NodeStatus {
    const { hardState, softState, lastIndex } = this.rawNode.basicStatus();
    const { appendLatencyMaxMs, warnings } = this.wal.stats();
    return {
      id: this.options.id,
      term: hardState.term,
      vote: hardState.vote,
      commit: hardState.commit,
      applied: this.driver.applied,
      lastIndex,
      state: STATE_NAMES[softState.raftState],
      leader: softState.lead,
      disk: {
        silent: this.driver.diskSilent,
        stalls: this.driver.diskStalls,
        appendLatencyMaxMs,
        warnings,
      },
      fault: this.fault?.message ?? null,
    };
  }

  /** What recovery found when the node opened. */
  get recovered(): Wal["recovered"] {
    return this.wal.recovered;
  }

  get metrics(): NodeMetrics {
    const link = this.link.stats();
    const wal = this.wal.stats();
    return {
      proposals: this.driver.proposed,
      applied: this.driver.applied,
      turns: this.driver.turns,
      readies: this.driver.readies,
      messagesSent: link.messagesSent,
      messagesReceived: link.messagesReceived,
      framesSent: link.framesSent,
      bytesSent: link.bytesSent,
      bytesReceived: link.bytesReceived,
      framesDropped: link.framesDropped,
      framesRefused: this.driver.framesRefused + (link.framesRefused ?? 0),
      walSyncs: wal.syncs,
      walWrites: wal.writes,
      walBytes: wal.bytes,
      walEntries: wal.entries,
      link: this.link.implementation,
    };
  }

  /** Stops the node: pending proposals reject with RAFT_CLOSED, what was appended becomes durable, files close. */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private async shutDown(): Promise<void> {
    this.driver.stop();
    if (this.clock !== null) clearInterval(this.clock);
    const text = `node ${this.options.id} is closed`;
    this.proposals.end("RAFT_CLOSED", text);
    this.reads.end(new RaftmarkError("RAFT_CLOSED", text));
    await this.link.close();
    await this.wal.close();
  }

  private diskChanged(silentMs: number): void {
    const { logger, diskTimeoutMs, dir } = this.options;
    if (silentMs === 0)
      logger?.info({ dir }, "the disk of the log answers again: this node takes part again");
    else {
      const text =
        "the disk of the log does not answer: this node leads no more, and does not campaign until it does";
      logger?.warn({ dir, silentMs: Math.round(silentMs), diskTimeoutMs }, text);
    }
  }

  private faulted(error: RaftmarkError): void {
    this.fault = error;
    if (this.clock !== null) clearInterval(this.clock);
    this.options.logger?.error({ code: error.code, cause: error.cause }, error.message);
    void this.link.close();
    this.onFault(error);
  }

  private endedError(): RaftmarkError | null {
    if (this.fault !== null) return new RaftmarkError("RAFT_FENCED", this.fault.message);
    if (this.closing !== null) return new RaftmarkError("RAFT_CLOSED", `node ${this.options.id} is closed`);
    return null;
  }
}

function newLink(options: ResolvedOptions): Link {
  return createUwsLink({
    id: options.id,
    clusterId: options.clusterId,
    listen: options.listen,
    peers: options.peers,
    secret: options.secret,
    frameTags: options.frameTags,
    maxFrameBytes: options.maxFrameBytes,
    maxBackpressureBytes: options.linkBufferBytes,
  });
}

async function openLog(options: ResolvedOptions): Promise<Wal> {
  try {
    await mkdir(options.dir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    const text = `cannot create the data directory ${options.dir}: ${(cause as Error).message}; choose another or mend its rights`;
    throw new RaftmarkError("WAL_NOT_WRITABLE", text, { cause });
  }
  return openWal({
    dir: join(options.dir, "wal"),
    metadata: encodeMetadata(options.id, options.clusterId),
    writer: options.writer,
    durability: options.durability,
    segmentBytes: options.segmentBytes,
    logCacheBytes: options.logCacheBytes,
    confState: { ...EMPTY_CONF_STATE, voters: options.voters },
    busyPollUs: options.busyPollUs,
    batchBytesMax: options.batchBytesMax,
    onWarning: ({ code, message }) => options.logger?.warn({ code }, message),
    ...(options.walFs === undefined ? {} : { walFs: options.walFs }),
  });
}

/** A directory of another node or cluster would make this one vote twice or serve foreign data. */
function checkOwner(wal: Wal, options: ResolvedOptions): void {
  const owner = decodeMetadata(wal.recovered.metadata);
  if (owner.nodeId === BigInt(options.id) && owner.clusterId === BigInt(options.clusterId)) return;
  const text =
    `${options.dir} belongs to node ${owner.nodeId} of cluster ${owner.clusterId}, not to node ${options.id} ` +
    `of cluster ${options.clusterId}: give each node its own directory`;
  throw new RaftmarkError("RAFT_BAD_OPTION", text);
}

/** The state machine begins where the log does: with its newest snapshot. */
async function restoreState(wal: Wal, options: ResolvedOptions): Promise<void> {
  const { snapshot } = wal.recovered;
  if (snapshot === null) return;
  const { stateMachine, dir } = options;
  if (stateMachine.restore === undefined) {
    const text =
      `the log in ${dir} begins behind a snapshot at index ${snapshot.index}, and option stateMachine has no ` +
      "restore(stream) to take its state";
    throw new RaftmarkError("RAFT_BAD_OPTION", text);
  }
  const stream = await wal.openSnapshot(snapshot.index);
  assert(stream !== null, "the snapshot that was recovered is gone");
  try {
    await stateMachine.restore(stream);
  } finally {
    await stream.close();
  }
}

function newRawNode(options: ResolvedOptions, wal: Wal): RawNode {
  const prng = new Prng(options.seed ?? randomInt(2 ** 32));
  const leaseClock = new LeaseClock();
  return new RawNode({
    id: options.id,
    electionTick: options.electionTicks,
    heartbeatTick: options.heartbeatTicks,
    storage: wal.storage,
    applied: wal.recovered.snapshot?.index ?? 0,
    maxSizePerMsg: options.maxSizePerMsg,
    maxInflightMsgs: options.maxInflightMsgs,
    maxInflightBytes: options.maxInflightBytes,
    inflightOverheadPerMsg: MESSAGE_OVERHEAD_BYTES,
    inflightOverheadPerEntry: ENTRY_OVERHEAD_BYTES,
    maxSizePerProbe: PROBE_BYTES_MAX,
    maxCommittedSizePerReady: Math.min(options.maxSizePerMsg, APPLY_BYTES_MAX) * 4,
    maxUncommittedEntriesSize: options.maxQueuedBytes,
    asyncStorageWrites: options.storageWrites === "async",
    mayHavePromised: !wal.recovered.created,
    elapsedTicks: () => leaseClock.elapsedMs() / options.tickMs,
    readOnlyOption: options.readOnly === "lease" ? ReadOnlyLeaseBased : ReadOnlySafe,
    preVote: true,
    checkQuorum: true,
    disableProposalForwarding: true,
    random: (bound) => prng.below(bound),
  });
}
