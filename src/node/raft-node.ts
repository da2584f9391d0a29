// RaftNode: one member of a cluster in this process. Opens (with opening.ts) and closes the parts (log, core, link, clock)
// and forwards to the driver, which does the work. Main thread.
/// <reference lib="esnext.disposable" preserve="true" />

import { RaftmarkError, textOf } from "../base/errors.js";
import type { Link, LinkHandler, TlsOptions, UwsLink } from "../link/index.js";
import type { RawNode } from "../raft/index.js";
import { endIfAborted, unlessAborted } from "../wal/disk/abort.js";
import type { Wal } from "../wal/index.js";
import type {
  CallOptions,
  CloseOptions,
  CommittedEntry,
  CommittedOptions,
  MembershipChange,
  MembershipChanged,
  NodeMetrics,
  NodeStatus,
  Proposed,
  RaftNodeOptions,
  SnapshotTaken,
} from "./api.js";
import {
  checkedBatch,
  refusalOfBytes,
  refusalOfCall,
  refusalOfClose,
  refusalOfCommitted,
  refusalOfId,
} from "./arguments.js";
import { NodeChannels } from "./channels.js";
import { ClientSession, openSession, Pauses, type SessionHost } from "./client-session.js";
import { CommittedFeeds } from "./committed.js";
import { tellDisk } from "./disk-watch.js";
import { Driver, fencedError } from "./driver.js";
import { type NodeEvents, type PeerEvent, SafeEmitter } from "./events.js";
import { type FigureParts, metricsOf, statusOf } from "./figures.js";
import { Forwarding } from "./forwarding.js";
import { hideFields } from "./hide-fields.js";
import { tellLeader } from "./leader-lines.js";
import { LeaderWatch } from "./leader-watch.js";
import { linkEvents } from "./link-events.js";
import { LoopDelayWatch } from "./loop-delay.js";
import type { MemberBook } from "./member-book.js";
import { Members, removedError } from "./members.js";
import {
  type Begun,
  beginState,
  checkOwner,
  newRawNode,
  notOpened,
  openLog,
  tellFakeClock,
  tellStart,
} from "./opening.js";
import { type ResolvedOptions, resolveOptions } from "./options.js";
import { callOutside, OutsideLink } from "./outside.js";
import { PeerLines } from "./peer-lines.js";
import { openPeerLogs, type PeerLogs } from "./peer-logs.js";
import { unregisterMetrics } from "./prometheus.js";
import { Proposals } from "./proposals.js";
import { Reads } from "./reads.js";
import type { Sessions } from "./sessions.js";
import { Shutdown } from "./shutdown.js";
import { SnapshotService } from "./snapshot-service.js";
import { loadAnew, newLink, type TlsLoads, tellExposure, tlsOf } from "./sockets.js";
import { Teller } from "./teller.js";

/** The only group a node has so far; frames, driver and ring carry the number (DESIGN, "Kept open"). */
const GROUP = 0;

/** How long close() may take to hand over and to drain, in election timeouts: two may be asked to take over. */
const CLOSE_ELECTIONS = 2;

/**
 * A running member of a Raft cluster. Create with RaftNode.open; end with close() or `await using`. Emits "leader",
 * "fault", "peer" and more (NodeEvents); what a listener throws goes to the logger and ends nothing.
 */
export class RaftNode extends SafeEmitter {
  /** Called once when the node fences itself: its disk failed or an invariant broke. It then only refuses. */
  onFault: (error: RaftmarkError) => unknown = () => {};

  private readonly options: ResolvedOptions;
  private readonly wal: Wal;
  private readonly link: Link;
  /** The same link, if it is our own over sockets; null: it is the caller's. */
  private readonly sockets: UwsLink | null;
  private readonly rawNode: RawNode;
  private readonly proposals: Proposals;
  private readonly forwarding: Forwarding;
  private readonly pauses = new Pauses();
  private readonly reads: Reads;
  private readonly snapshots: SnapshotService;
  private readonly feeds: CommittedFeeds;
  private readonly book: MemberBook;
  private readonly members: Members;
  private readonly driver: Driver;
  private readonly teller: Teller;
  private readonly peerLines: PeerLines;
  private readonly peerLogs: PeerLogs;
  private readonly leaders = new LeaderWatch();
  private readonly channels: NodeChannels;
  private clock: NodeJS.Timeout | null = null;
  private fault: RaftmarkError | null = null;
  /** Not null: this node is no member any more. */
  private removal: RaftmarkError | null = null;
  /** Not null: close() was called. */
  private shutdown: Shutdown | null = null;
  private closing: Promise<void> | null = null;
  /** Aborts the calls that the node makes of itself. */
  private readonly ending = new AbortController();
  private isClosed = false;
  private readonly tlsLoads: TlsLoads = { asked: 0, counts: 0 };
  private readonly loopDelay = new LoopDelayWatch();
  private readonly figures: FigureParts;

  /**
   * Opens the node's log (recovering what is durable), listens, dials its peers and starts its clock. Rejects
   * with RAFT_BAD_OPTION, RAFT_MEMBERSHIP_DIFFERS, WAL_LOCKED, WAL_CORRUPT, WAL_NOT_WRITABLE, WAL_NO_SPACE, WAL_IO,
   * RAFT_UNSUPPORTED, RAFT_ABORTED, RAFT_ADDRESS_IN_USE or RAFT_LINK, or with what stateMachine.restore failed with, as it
   * is; nothing is left open then.
   */
  static async open(options: RaftNodeOptions): Promise<RaftNode> {
    const resolved = resolveOptions(options);
    const teller = new Teller(resolved.id, resolved.logger ?? null);
    const { signal } = resolved;
    const tls = await unlessAborted(signal, tlsOf(resolved.tls));
    const wal = await openLog(resolved, teller);
    let node: RaftNode | null = null;
    try {
      checkOwner(wal, resolved);
      const peerLogs = await openPeerLogs(wal, resolved, teller);
      const begun = await beginState(wal, resolved);
      endIfAborted(signal);
      node = new RaftNode(resolved, wal, teller, peerLogs, begun, tls);
      await node.start();
      return node;
    } catch (error) {
      await node?.link.close();
      await node?.peerLogs.settled();
      await wal.close();
      throw error;
    }
  }

  private constructor(
    options: ResolvedOptions,
    wal: Wal,
    teller: Teller,
    peerLogs: PeerLogs,
    { restored, sessions, book }: Begun = notOpened(),
    tls: TlsOptions | null,
  ) {
    super();
    this.options = options;
    this.channels = new NodeChannels(options.id, options.clusterId);
    this.wal = wal;
    this.teller = teller;
    this.peerLogs = peerLogs;
    this.rawNode = newRawNode(options, wal, peerLogs);
    const trace = options.trace ?? null;
    trace?.attach(wal.batchTimes);
    this.book = book;
    peerLogs.learn(book.logs);
    this.members = this.newMembers();
    this.sockets = options.link === undefined ? newLink(options, this.members.addresses, tls) : null;
    this.link = this.sockets ?? this.guardedLink(options.link!);
    this.proposals = new Proposals(options, trace);
    this.peerLines = new PeerLines({
      teller,
      isMember: (peer) => {
        const { peerIds } = this.rawNode.raft.trk;
        // One that joins does not know who they are.
        return peerIds.length === 0 || peerIds.includes(peer);
      },
      isConnected: (peer) => this.forwarding.forwards.connected.has(peer),
      received: (id) => this.link.stats().peers?.find((peer) => peer.id === id)?.framesReceived ?? 0,
    });
    const obstacles = (): string[] => this.peerLines.obstacles();
    this.forwarding = new Forwarding(options, this.proposals, this.rawNode.raft.term, obstacles);
    this.reads = new Reads(options.id, { ...options, retryTicks: options.electionTicks }, obstacles);
    this.snapshots = this.newSnapshots(restored, sessions);
    this.feeds = new CommittedFeeds(this.rawNode, () => this.driver.applied);
    this.driver = this.newDriver(sessions);
    const { rawNode, driver, forwarding, members, snapshots, loopDelay, link, peerLines } = this;
    const engine = { wal, link, rawNode, driver, peerLogs };
    this.figures = { id: options.id, ...engine, forwarding, members, snapshots, loopDelay, peerLines };
  }

  private newMembers(): Members {
    const { options, rawNode, book, teller } = this;
    return new Members({
      ...options,
      rawNode,
      book,
      teller,
      secret: options.link === undefined ? options.secret : null,
      lingerTicks: CLOSE_ELECTIONS * options.electionTicks,
      isConnected: (peer) => this.forwarding.forwards.connected.has(peer),
      logs: () => this.peerLogs.known,
      onChanged: (index) => {
        this.peerLogs.learn(this.book.logs);
        this.channels.membership(index, this.members);
      },
      onRemoved: (index) => this.removed(`by the change at index ${index}`, true),
    });
  }

  private newSnapshots(restored: SnapshotTaken | null, sessions: Sessions): SnapshotService {
    const { options, wal, link, rawNode, teller } = this;
    return new SnapshotService({
      group: GROUP,
      options,
      wal,
      link,
      rawNode,
      sessions,
      teller,
      restored,
      announce: (event) => this.announce("snapshot", event),
      control: (call) => this.driver.control(call),
      whenApplied: (call) => this.driver.whenApplied(call),
    });
  }

  private newDriver(sessions: Sessions): Driver {
    const { options, wal, teller, rawNode, link, proposals, forwarding, reads, snapshots, feeds, members } =
      this;
    return new Driver({
      group: GROUP,
      id: options.id,
      rawNode,
      wal,
      link,
      stateMachine: options.stateMachine,
      proposals,
      forwarding,
      sessions,
      reads,
      snapshots,
      feeds,
      members,
      proposalBatchBytes: options.proposalBatchBytes,
      maxBacklogBytes: options.maxQueuedBytes,
      waitsForStorage: options.storageWrites === "sync",
      diskTimeoutMs: options.diskTimeoutMs,
      tickMs: options.tickMs,
      onDisk: (silentMs) => tellDisk(teller, options, silentMs),
      onFault: (error) => this.faulted(error),
      onLeader: (leader, term) => this.leaderChanged(leader, term),
      trace: options.trace ?? null,
    });
  }

  private async start(): Promise<void> {
    const { driver, options, peerLogs, members, sockets, link, wal, teller, rawNode } = this;
    if (peerLogs.ownIsLost) driver.retire();
    tellStart(wal, options, teller);
    const known = sockets === null ? options.peers : members.addresses;
    await link.start(this.linkEvents());
    members.begin(link, known);
    if (sockets !== null) tellExposure(options, teller);
    this.clock = setInterval(() => {
      peerLogs.noteProgress(rawNode.raft);
      driver.tick();
      tellFakeClock(teller);
      teller.tick();
    }, options.tickMs);
    const caughtUp = (timeoutMs?: number) => this.reads.add({ signal: this.ending.signal, timeoutMs });
    if (!wal.recovered.created) void members.compare(options, caughtUp);
    driver.wake();
  }

  private linkEvents(): LinkHandler {
    const { rawNode, driver, forwarding, snapshots, members, book, peerLogs, peerLines, link } = this;
    return linkEvents({
      group: GROUP,
      rawNode,
      driver,
      forwarding,
      snapshots,
      members,
      book,
      peerLogs,
      peerLines,
      onPeer: (event) => this.peerChanged(event),
      redial: (peer) => link.redial?.(peer),
      isRemoved: () => this.removal !== null,
      onRemoved: (why) => this.removed(why, false),
    });
  }

  private guardedLink(link: Link): Link {
    return new OutsideLink(link, (cause, what) => {
      this.teller.warn({ err: cause }, `option link: its ${what}() failed: ${textOf(cause)}`, `link ${what}`);
    });
  }

  /**
   * Replicates `bytes` and resolves when this node has applied them, with their index and the result of this node's own
   * state machine. While another node leads, the bytes are sent to it. While no connected leader is known, and after a leader
   * had to refuse them, they wait for one, for leaderlessTimeoutMs at most (RAFT_NO_LEADER). With option forwardProposals
   * false a node that does not lead refuses them at once (RAFT_NOT_LEADER). Calls that are under way together may be committed
   * in another order than they were made in, if the leader changes, or finds one of them too large.
   * Rejects with RAFT_PROPOSAL_DROPPED, RAFT_LEADERSHIP_LOST, RAFT_NO_LEADER, RAFT_NOT_LEADER, RAFT_TIMEOUT,
   * RAFT_PROPOSAL_TOO_LARGE, RAFT_OVERLOADED, RAFT_ABORTED, RAFT_FENCED, RAFT_REMOVED or RAFT_CLOSED, and RAFT_BAD_OPTION for
   * arguments that cannot be meant, such as no bytes. `mayCommit` on the error tells whether the proposal may still take
   * effect: where it is false, no log that can win has it; it is true where the leader that it was sent to was lost before
   * it answered.
   * `bytes` (a Uint8Array, as a Buffer is) is copied: it is the caller's again when the call returns.
   * Settles within `timeoutMs`, and in any case within requestTimeoutMs.
   */
  propose(bytes: Uint8Array, options?: CallOptions): Promise<Proposed> {
    const refusal = this.endedError() ?? refusalOfBytes(bytes) ?? refusalOfCall(options);
    if (refusal !== null) return Promise.reject(refusal);
    this.driver.wake();
    return this.proposals.add(bytes, options);
  }

  /**
   * As propose() for each of `batch`, one entry each, with one promise for all: it resolves when all are applied, with the
   * outcome of each. It is no transaction: others' proposals may come between, and the order of the batch is kept only while
   * the leader stays and takes all.
   * Rejects when each has an outcome, with the error of the first that was not applied; `mayCommit` is true if any of them
   * is applied, or may be.
   */
  proposeMany(batch: readonly Uint8Array[], options?: CallOptions): Promise<Proposed[]> {
    const ended = this.endedError();
    if (ended !== null) return Promise.reject(ended);
    const checked = checkedBatch(batch);
    if (checked instanceof RaftmarkError) return Promise.reject(checked);
    const refusal = refusalOfCall(options);
    if (refusal !== null) return Promise.reject(refusal);
    this.driver.wake();
    return this.proposals.addMany(checked, options);
  }

  /**
   * Opens a session of the group, in which a proposal is applied once however often it is made: see ClientSession. Rejects
   * as propose does.
   */
  async openSession(options?: CallOptions): Promise<ClientSession> {
    const refusal = this.endedError() ?? refusalOfCall(options);
    if (refusal !== null) throw refusal;
    return openSession(this.sessionHost, options ?? {});
  }

  /**
   * The session with this `id`, which was opened before, on whichever member. Each of its proposals needs a `sequence`; the
   * first one tells whether the group still has the session. Throws RAFT_BAD_OPTION for what is no id.
   */
  session(id: number): ClientSession {
    const refusal = refusalOfId(id, "session: a session's id");
    if (refusal !== null) throw refusal;
    return new ClientSession(this.sessionHost, id, null);
  }

  private get sessionHost(): SessionHost {
    const propose: SessionHost["propose"] = (bytes, options) => {
      const ended = this.endedError();
      if (ended === null) this.driver.wake();
      return ended === null ? this.proposals.add(bytes, options) : Promise.reject(ended);
    };
    return { propose, pauses: this.pauses, requestTimeoutMs: this.options.requestTimeoutMs };
  }

  /**
   * Resolves when this node has applied everything that was committed before the call, so that a read of its state
   * machine is linearizable (§6.4 of the Raft thesis). Costs a round of heartbeats; calls of one turn share it.
   * Without a leader it waits for one. Rejects with RAFT_NO_LEADER, RAFT_TIMEOUT, RAFT_ABORTED, RAFT_FENCED, RAFT_REMOVED,
   * RAFT_CLOSED or RAFT_BAD_OPTION. Settles within `timeoutMs`, and in any case within requestTimeoutMs.
   */
  readBarrier(options?: CallOptions): Promise<void> {
    const refusal = this.endedError() ?? refusalOfCall(options);
    if (refusal !== null) return Promise.reject(refusal);
    this.driver.wake();
    return this.reads.add(options);
  }

  /**
   * Iterates over the committed normal entries with data from index `from` on, in order, as this node applies them: a change
   * feed, also on a follower. Old entries are read back from the log, without holding up the node. A page is read only when
   * the entries before it were taken, so that a slow reader takes no memory; the log does not wait for it, either.
   * Ends when the caller stops, `signal` aborts, or the node closes. Throws RAFT_COMPACTED, here or while iterating, where
   * the log has released the next entry because a snapshot stands for it; here also RAFT_BAD_OPTION, RAFT_FENCED,
   * RAFT_REMOVED and RAFT_CLOSED; while iterating also RAFT_FENCED, WAL_CORRUPT, and RAFT_BAD_OPTION for a signal that
   * cannot be listened to.
   */
  committed(options?: CommittedOptions): AsyncIterableIterator<CommittedEntry, undefined> {
    const refusal = this.endedError() ?? refusalOfCommitted(options);
    if (refusal !== null) throw refusal;
    return this.feeds.open(options?.from, options?.signal);
  }

  /**
   * Changes who the members are: all of `change` at once, on the leader. Resolves when the new membership is in force, any joint
   * state is left (whoever leads by then does that by itself), and a majority of the new voters knows: then a removed member
   * may be turned off (a leader that removes itself stays until it closes by itself). Rejects with RAFT_BAD_OPTION (the change
   * cannot be meant), RAFT_CHANGE_REFUSED (it does not fit the members as they are, or would leave a group that cannot
   * commit: etcd's strict-reconfig-check), RAFT_CHANGE_UNDER_WAY (one at a time), RAFT_NOT_LEADER,
   * RAFT_PROPOSAL_DROPPED, RAFT_LEADERSHIP_LOST, RAFT_TIMEOUT, RAFT_ABORTED, RAFT_FENCED, RAFT_REMOVED or RAFT_CLOSED;
   * `mayCommit` tells whether it may still take effect, or has. Settles within `timeoutMs`, and in any case within
   * requestTimeoutMs.
   */
  changeMembership(change: MembershipChange, options?: CallOptions): Promise<MembershipChanged> {
    const refusal = this.endedError() ?? refusalOfCall(options);
    if (refusal !== null) return Promise.reject(refusal);
    this.driver.wake();
    return this.members.propose(change, options);
  }

  /** Starts an election now instead of after the election timeout. */
  campaign(): void {
    this.driver.campaign();
  }

  /**
   * Asks the leader to hand leadership to `id` (§3.10 of the Raft thesis). Watch status().leader, or the
   * event. Throws RAFT_BAD_OPTION for what is no id.
   */
  transferLeadership(id: number): void {
    const refusal = refusalOfId(id, "transferLeadership: a node id");
    if (refusal !== null) throw refusal;
    this.driver.control((rawNode) => rawNode.transferLeader(id));
  }

  /**
   * The id of the leader, as soon as this node knows one: at once, or after the next election. Waits for it without end
   * unless it is given a `signal` or `timeoutMs`. Rejects with RAFT_ABORTED, RAFT_TIMEOUT, RAFT_FENCED, RAFT_REMOVED, RAFT_CLOSED or
   * RAFT_BAD_OPTION.
   */
  whenLeader(options: CallOptions = {}): Promise<number> {
    const refusal = this.endedError() ?? refusalOfCall(options);
    if (refusal !== null) return Promise.reject(refusal);
    return this.leaders.next(options);
  }

  /**
   * Takes a snapshot of the state as it is now, whether or not one is due. Resolves when it is recorded, and what it makes
   * superfluous is released, with the last entry that is in it and the bytes of the state; if nothing was applied since the
   * newest snapshot, with that one. Waits for one that is under way, however long that takes, unless it is given a
   * `signal` or `timeoutMs`; a snapshot that has begun goes on. Rejects with RAFT_SNAPSHOT_FAILED (stateMachine.snapshot
   * failed, see `cause`; or nothing is applied yet), RAFT_ABORTED, RAFT_TIMEOUT, WAL_NO_SPACE, WAL_IO,
   * WAL_SNAPSHOT_OUTDATED (a leader sent a newer one meanwhile), RAFT_FENCED, RAFT_REMOVED, RAFT_CLOSED, or
   * RAFT_BAD_OPTION, also without stateMachine.snapshot.
   */
  takeSnapshot(options: CallOptions = {}): Promise<SnapshotTaken> {
    const refusal = this.endedError() ?? refusalOfCall(options);
    if (refusal !== null) return Promise.reject(refusal);
    const taken = this.snapshots.own.ask(options);
    this.driver.wake();
    return taken;
  }

  /** status(), for JSON.stringify; console.log shows it, too. Nothing else of a node is shown: its options have secrets. */
  toJSON(): NodeStatus {
    return this.status();
  }

  /** What this node knows of itself and its group now. Cheap; also of a node that fenced itself or is closed. */
  status(): NodeStatus {
    return statusOf(this.figures, this.endState(), this.fault?.message ?? null);
  }

  private endState(): "StateFenced" | "StateRemoved" | "StateClosed" | null {
    if (this.fault !== null) return "StateFenced";
    if (this.removal !== null) return "StateRemoved";
    return this.isClosed ? "StateClosed" : null;
  }

  /** What recovery found when the node opened. */
  get recovered(): Wal["recovered"] {
    return this.wal.recovered;
  }

  /**
   * Counters since the node opened, and how late the event loop is. Cheap; made anew at each call. The event loop is
   * measured from the first call on, and as long as there is another within five minutes.
   */
  get metrics(): NodeMetrics {
    return metricsOf(this.figures);
  }

  /**
   * Calls option `tls`, a function, again: new connections use the certificate, key and authorities that it gives; open ones
   * stay as they are. Rejects with RAFT_BAD_OPTION, with what the function threw as `cause`, RAFT_FENCED, RAFT_REMOVED or RAFT_CLOSED; nothing is changed
   * then.
   */
  async reloadTls(): Promise<void> {
    await loadAnew(this.sockets, this.options.tls, this.tlsLoads, () => this.endedError());
    this.teller.info({}, "certificate, key and authorities were loaded anew: new connections use them");
  }

  /**
   * Ends the node in order. From the call on it takes no proposals and reads (RAFT_CLOSED). If it leads, it hands its
   * leadership to the most advanced voter that is connected; then it waits for the proposals and reads that are under
   * way, and for apply and restore. What has no outcome within `timeoutMs` rejects with RAFT_CLOSED; `mayCommit` is true
   * for a proposal that is in a log, or may be, and false for one that still waited. At last what was appended becomes durable, which waits for the disk, and files and sockets close.
   * Rejects with RAFT_BAD_OPTION, and then the node runs on.
   */
  close(options?: CloseOptions): Promise<void> {
    const refusal = refusalOfClose(options);
    if (refusal !== null) return Promise.reject(refusal);
    this.shutdown ??= this.newShutdown();
    const { electionTicks, tickMs } = this.options;
    this.shutdown.within(options?.timeoutMs ?? CLOSE_ELECTIONS * electionTicks * tickMs);
    this.closing ??= this.shutDown(this.shutdown);
    return this.closing;
  }

  /** The same as close(): `await using node = await RaftNode.open(...)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private newShutdown(): Shutdown {
    const { driver, rawNode, proposals, forwarding, reads, teller } = this;
    driver.control(({ raft }) => forwarding.arrivals.close(raft));
    this.pauses.end();
    this.ending.abort();
    const shutdown = new Shutdown({
      rawNode,
      connected: forwarding.forwards.connected,
      queued: () => proposals.waitingCount + forwarding.arrivals.count,
      underWay: () => {
        const calls = proposals.openCount + reads.openCount + this.members.openCount;
        if (calls > 0) return calls;
        // Entries that nobody waits for may come without end.
        driver.endApplying();
        return driver.isApplying ? 1 : 0;
      },
      control: (call) => driver.control(call),
      onHandOver: (heir) =>
        teller.info({ heir }, `this node closes, and asks node ${heir} to lead`, "handover"),
    });
    driver.onTurn = () => shutdown.look();
    if (this.fault !== null) shutdown.end();
    return shutdown;
  }

  private async shutDown(shutdown: Shutdown): Promise<void> {
    if (!shutdown.isOver) await shutdown.over;
    this.isClosed = true;
    if (this.clock !== null) clearInterval(this.clock);
    const closed = this.removal ?? new RaftmarkError("RAFT_CLOSED", `node ${this.options.id} is closed`);
    this.driver.end(closed, null);
    this.leaders.end(closed);
    this.loopDelay.end();
    unregisterMetrics(this);
    await this.link.close();
    await this.peerLogs.settled();
    await this.wal.close();
    const { applied } = this.driver;
    const { term } = this.rawNode.raft;
    const text = `this node is closed, in term ${term}, with ${applied} entries applied`;
    this.teller.info({ term, applied }, text);
  }

  private faulted(error: RaftmarkError): void {
    this.fault = error;
    this.pauses.end();
    if (error.code === "RAFT_LOG_LOST") this.peerLogs.keepOwnLost(error.message);
    if (this.clock !== null) clearInterval(this.clock);
    this.teller.error({ code: error.code, err: error }, error.message);
    this.leaders.end(fencedError(error));
    this.shutdown?.end();
    void this.link.close();
    callOutside(
      () => this.onFault(error),
      (cause) => this.handlerFailed("onFault", cause),
    );
    this.announce("fault", error);
  }

  /**
   * This node is no member any more: it takes no calls, and closes by itself. If it knows from its own log (`stays`), it may be
   * the only one who knows, or the leader, and the others may want its vote: it stays until one of them says that it knows.
   */
  private removed(why: string, stays: boolean): void {
    if (this.fault !== null || this.isClosed) return;
    if (this.removal === null) {
      this.removal = removedError(this.options.id, why);
      this.teller.warn({ code: this.removal.code }, this.removal.message);
      this.announce("removed", this.removal);
    }
    this.shutdown ??= this.newShutdown();
    this.shutdown.stays = stays;
    if (!stays) this.shutdown.within(0);
    this.closing ??= this.shutDown(this.shutdown);
    // The promise is for callers of close(), and perhaps nobody calls it.
    this.closing.catch((cause: unknown) =>
      this.teller.error({ err: cause }, `closing failed: ${textOf(cause)}`, "closing"),
    );
  }

  private leaderChanged(leader: number, term: number): void {
    this.channels.elections(this.rawNode.raft);
    const before = this.leaders.leader;
    tellLeader(this.teller, this.options.id, { before, leader, term }, this.wal.recovered.hardState.term);
    if (leader !== 0 || before !== 0) this.announce("leader", { leader, term });
    this.leaders.changed(leader);
  }

  private peerChanged(event: PeerEvent): void {
    // The node that was to take over may be gone.
    if (this.shutdown !== null) this.driver.wake();
    this.announce("peer", event);
  }

  protected override announced<E extends keyof NodeEvents>(event: E, value: NodeEvents[E][0]): void {
    this.channels.event(event, value);
  }

  protected override listenerFailed(event: keyof NodeEvents, cause: unknown): void {
    this.handlerFailed(`a listener of "${event}"`, cause);
  }

  private handlerFailed(what: string, cause: unknown): void {
    this.teller.error({ err: cause }, `${what} failed: ${textOf(cause)}; the node goes on`, what);
  }

  private endedError(): RaftmarkError | null {
    if (this.fault !== null) return fencedError(this.fault);
    if (this.removal !== null) return this.removal;
    if (this.shutdown !== null) return new RaftmarkError("RAFT_CLOSED", `node ${this.options.id} is closed`);
    return null;
  }
}

hideFields(RaftNode);
