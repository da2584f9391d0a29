// The driver: turns what happens (frames, proposals, ticks, durable notices) into steps of one RawNode, and what
// the RawNode wants (its Ready) into log appends, frames and applied entries. Main thread; a turn never waits.
//
// Order inside a turn is what makes acknowledgements true: messages leave at once, a response that depends on
// durable state travels inside MsgStorageAppend and leaves only from `onDurable` (etcd raft, AsyncStorageWrites).
import { RaftmarkError, textOf } from "../base/errors.js";
import { Fifo } from "../base/fifo.js";
import type { Link } from "../link/index.js";
import {
  type Entry,
  EntryNormal,
  type Message,
  MsgHeartbeat,
  MsgProp,
  MsgSnap,
  MsgStorageAppend,
  MsgStorageApply,
  MsgTimeoutNow,
  None,
  payloadsSize,
  type RawNode,
  type SnapshotMetadata,
  StateLeader,
} from "../raft/index.js";
import type { Wal } from "../wal/index.js";
import type { StateMachine } from "./api.js";
import { Applier, isNormal } from "./applier.js";
import type { CommittedFeeds } from "./committed.js";
import { DiskWatch } from "./disk-watch.js";
import { type Forwarding, whyDropped } from "./forwarding.js";
import { checkCommit } from "./lost-log.js";
import type { Members } from "./members.js";
import { refusalOfMessages } from "./peer-messages.js";
import type { Proposals } from "./proposals.js";
import type { Reads } from "./reads.js";
import { RidingCommits } from "./riding.js";
import { restoreWithSessions } from "./session-snapshot.js";
import type { Sessions } from "./sessions.js";
import { SnapshotInstall } from "./snapshot-install.js";
import type { SnapshotService } from "./snapshot-service.js";
import type { Trace } from "./trace.js";

/** About what an entry takes in the log besides its data. */
const RECORD_BYTES = 32;

/** Errors whose own text says what is wrong and where: an old entry that was read back for a follower, or a lost log. */
const TELLING: readonly string[] = ["WAL_CORRUPT", "RAFT_LOG_LOST", "RAFT_MEMBERSHIP_DIFFERS"];

/** What a driver drives. One Raft group; links may be shared between groups. */
export interface DriverParts {
  readonly group: number;
  readonly id: number;
  readonly rawNode: RawNode;
  readonly wal: Wal;
  readonly link: Link;
  readonly stateMachine: StateMachine;
  readonly proposals: Proposals;
  readonly reads: Reads;
  /** Bytes of proposals in one MsgProp: what a turn takes, so that several batches are under way at once. */
  readonly proposalBatchBytes: number;
  /** Bytes that may wait for the log before proposals are held back. */
  readonly maxBacklogBytes: number;
  /** Option storageWrites "sync": no Ready is taken before what the one before wants is durable, and applied. */
  readonly waitsForStorage: boolean;
  /** When the disk has not answered for so long, a leader steps down, and nobody campaigns. */
  readonly diskTimeoutMs: number;
  readonly tickMs: number;
  /** The disk was found silent (for so long, on appends that wait), or it answers again (0). */
  readonly onDisk: (silentMs: number) => void;
  readonly onFault: (error: RaftmarkError) => void;
  /** The known leader changed (0: there is none any more), or the same one leads in another term. Called from a turn. */
  readonly onLeader: (leader: number, term: number) => void;
  /** Takes snapshots of the state, sends and receives them. */
  readonly snapshots: SnapshotService;
  /** As the log's newest snapshot has them. */
  readonly sessions: Sessions;
  /** Proposals to and from other members. */
  readonly forwarding: Forwarding;
  /** Whom the group consists of. */
  readonly members: Members;
  /** Who iterates over what is committed. */
  readonly feeds: CommittedFeeds;
  /** Notes when things happen; null: nobody asked. */
  readonly trace: Trace | null;
}

export class Driver {
  private readonly parts: DriverParts;
  private scheduled = false;
  private stopped = false;
  private readonly applier: Applier;
  /** Calls that wait until all that was handed out is applied. */
  private readonly behindApply: ((rawNode: RawNode) => void)[] = [];
  /** Appends under way: sequence number and what to deliver when it is durable. */
  private readonly appendSeqs = new Fifo<number>();
  private readonly appendResponses = new Fifo<readonly Message[]>();
  private readonly outbox: Message[] = [];
  private readonly riding: RidingCommits;
  readonly disk: DiskWatch;
  /** This node's log is not the one that its peers count on: it takes no part in the group. */
  private retired = false;
  private readonly install: SnapshotInstall;
  /** With waitsForStorage: the MsgStorageApply of a Ready whose append is on its way; it is applied when that is durable. */
  private behindAppend: Message | null = null;
  /** Leader and term as of the last turn. */
  private knownLeader = 0;
  private knownTerm = 0;
  applied: number;
  turns = 0;
  readies = 0;
  proposed = 0;
  /** How often a leader became known: another one, or the same one again. */
  leaderChanges = 0;
  /** Frames of peers that held what no peer sends. */
  framesRefused = 0;
  /** Called after each turn; null: nobody asked. */
  onTurn: (() => void) | null = null;

  constructor(parts: DriverParts) {
    this.parts = parts;
    this.riding = new RidingCommits(parts.rawNode);
    const { id, wal, rawNode, stateMachine, sessions } = parts;
    this.disk = new DiskWatch({
      wal,
      diskTimeoutMs: parts.diskTimeoutMs,
      tickMs: parts.tickMs,
      onDisk: (silentMs) => this.diskChanged(silentMs),
      hasEnded: () => this.stopped,
    });
    this.install = new SnapshotInstall({
      wal,
      restore: (stream) =>
        restoreWithSessions(stream, sessions, async (state) => stateMachine.restore?.(state)),
      append: (message) => this.guard(() => this.append(message)),
      step: (message) => this.control(() => rawNode.step(message)),
      restored: (metadata, bytes) => this.guard(() => this.restored(metadata, bytes)),
      hasEnded: () => this.stopped,
      failed: (cause, what) => {
        const text = `node ${id} stopped: ${what}: ${textOf(cause)}`;
        this.fence(new RaftmarkError("RAFT_FENCED", text, { cause }));
      },
    });
    this.applier = new Applier({
      stateMachine,
      plan: (entries) => sessions.plan(entries),
      onApplied: (entries, results, responses) => this.entriesApplied(entries, results, responses),
      guard: (work) => this.guard(work),
      onHeld: () => {
        this.settleStorage();
        if (!this.applier.isBusy) this.wake();
      },
    });
    this.applied = parts.wal.recovered.snapshot?.index ?? 0;
    this.settleStorage();
    parts.forwarding.post = (message) => this.outbox.push(message);
    parts.wal.onDurable = (seq) => this.guard(() => this.durable(seq));
    parts.wal.onFault = (error) => this.fence(error);
    parts.wal.storage.onRead = (reader) => {
      // The buffer of what it read before may be reused.
      parts.rawNode.raft.raftLog.forgetSlice();
      if (reader < 0) parts.feeds.read(reader);
      else this.control((rawNode) => rawNode.entriesRead(reader));
    };
  }

  /** Asks for a turn; any number of calls before it make one turn. */
  wake(): void {
    if (this.scheduled || this.stopped) return;
    this.scheduled = true;
    setImmediate(this.runTurn);
  }

  /**
   * Takes the messages of one frame. Messages that the core ignores (unknown sender, stale response) are normal in Raft and
   * not reported. A message that no peer sends refuses the whole frame: returns why, for the link to act on.
   */
  messages(messages: readonly Message[]): string | undefined {
    if (this.stopped || this.retired) return undefined;
    const refusal = refusalOfMessages(this.parts.rawNode.raft, messages);
    if (refusal !== null) return this.refuse(refusal);
    this.guard(() => {
      const { rawNode, forwarding, trace } = this.parts;
      trace?.received(messages);
      for (let i = 0; i < messages.length; i++) {
        const { type } = messages[i];
        // A leader asks this node to take over: not without a disk.
        if (this.disk.isSilent && type === MsgTimeoutNow) continue;
        if (type === MsgHeartbeat) checkCommit(rawNode.raft, messages[i]);
        if (type === MsgSnap) this.parts.snapshots.receive(messages[i]);
        else if (type === MsgProp) this.forwarded(messages[i]);
        else rawNode.step(messages[i], true);
        forwarding.stepped(messages[i], rawNode.raft);
        trace?.committed(rawNode.raft.raftLog.committed, messages[i].from);
      }
    });
    this.wakeForWork();
    return undefined;
  }

  private forwarded(message: Message): void {
    const { forwarding, rawNode } = this.parts;
    forwarding.receive(message, rawNode, this.applied);
    this.wake();
  }

  /** Asks for a turn if there is work for one: with few proposals in flight, half of the events leave none. */
  private wakeForWork(): void {
    // hot
    if (this.scheduled || this.stopped) return;
    const { rawNode, proposals, reads, forwarding } = this.parts;
    const { raft } = rawNode;
    const leaderChanged = raft.lead !== this.knownLeader || raft.term !== this.knownTerm;
    const isAsked = proposals.waitingCount > 0 || reads.waitingCount > 0;
    // A transfer of leadership may be over.
    if (leaderChanged || isAsked || rawNode.hasReady() || forwarding.arrivals.canAppend(raft)) this.wake();
  }

  /** Counts a frame that is refused, and says why, for the link to act on. */
  refuse(reason: string): string {
    this.framesRefused++;
    return reason;
  }

  /** Takes no part in the group any more: no vote, no acknowledgement, no campaign. */
  retire(): void {
    if (this.retired) return;
    this.control((rawNode) => {
      rawNode.stepDown();
      // It hears nobody from now on, so that the last leader would count as known for ever.
      rawNode.raft.becomeFollower(rawNode.raft.term, None);
    });
    this.retired = true;
  }

  /** One tick of the clock. While the disk is silent the core gets none: there is no campaign without a stored vote. */
  tick(): void {
    this.disk.tick();
    const { proposals, forwarding, reads, snapshots, members } = this.parts;
    this.control((rawNode) => {
      const { raft } = rawNode;
      proposals.tick(raft.state === StateLeader);
      forwarding.tick(raft);
      reads.tick(rawNode, forwarding.reachesLeader(raft));
      if (!this.disk.isSilent && !this.retired) rawNode.tick();
      snapshots.tick();
      members.tick();
    });
  }

  private diskChanged(silentMs: number): void {
    // Its heartbeats would keep the others from electing someone who can commit.
    if (silentMs > 0) this.control((rawNode) => rawNode.stepDown());
    this.parts.onDisk(silentMs);
  }

  /** Starts an election now, unless the disk is silent. */
  campaign(): void {
    if (!this.disk.isSilent && !this.retired) this.control((rawNode) => rawNode.campaign());
  }

  /** A connection with `peer` was opened: requests to it, or its answers, may have been lost with the one before. */
  askAgain(peer: number): void {
    this.control((rawNode) => {
      if (peer === rawNode.raft.lead) this.parts.reads.leaderKnown(rawNode);
      this.parts.forwarding.askAgain(rawNode.raft);
    });
  }

  /** Runs `call` on the RawNode, then a turn. */
  control(call: (rawNode: RawNode) => void): void {
    if (this.stopped) return;
    this.guard(() => call(this.parts.rawNode));
    this.wake();
  }

  /**
   * As control(), but only once all that the core has handed out is applied: entries from before a leader's snapshot must not
   * be applied on top of it, least of all a change of members.
   */
  whenApplied(call: (rawNode: RawNode) => void): void {
    if (this.isIdle) this.control(call);
    else this.behindApply.push(call);
  }

  /** All that the core has handed out is applied. */
  private get isIdle(): boolean {
    return this.applier.isIdle && this.behindAppend === null;
  }

  /**
   * With waitsForStorage: the last Ready is still being stored or applied, so that no other is taken. Entries that only wait
   * in the applier do not count: after endApplying() they wait for ever.
   */
  private get isStoring(): boolean {
    const { appendSeqs, install, applier } = this;
    return this.parts.waitsForStorage && (appendSeqs.length > 0 || install.busy || applier.isBusy);
  }

  /** No further turn, no further message: all calls under way are rejected with `why`, and feeds end with `feedsEnd`. */
  end(why: RaftmarkError, feedsEnd: RaftmarkError | null): void {
    this.stopped = true;
    const { snapshots, proposals, forwarding, reads, members, feeds } = this.parts;
    snapshots.end(why);
    proposals.end(why);
    forwarding.forwards.end(why);
    reads.end(why);
    members.end(why);
    feeds.end(feedsEnd);
  }

  private readonly runTurn = (): void => {
    this.scheduled = false;
    if (!this.stopped) this.guard(this.turn);
    if (this.onTurn !== null && !this.stopped) this.onTurn();
  };

  /** A broken invariant stops the node: what it would do next may lose what was acknowledged. */
  private guard(work: () => void): void {
    if (this.stopped) return;
    try {
      work();
    } catch (cause) {
      const who = this.applier.blame;
      // Unless the state machine threw it: such an error may be another node's.
      if (who === "" && cause instanceof RaftmarkError && TELLING.includes(cause.code)) {
        this.fence(cause);
        return;
      }
      const text = `node ${this.parts.id} stopped: ${who}${textOf(cause)}`;
      this.fence(new RaftmarkError("RAFT_FENCED", text, { cause }));
    }
  }

  private fence(error: RaftmarkError): void {
    if (this.stopped) return;
    const fenced = fencedError(error);
    this.end(fenced, fenced);
    this.parts.onFault(error);
  }

  /** One turn: a batch of the waiting proposals in one MsgProp, then one Ready. */
  // hot
  private readonly turn = (): void => {
    const { rawNode, proposals, reads, forwarding, snapshots, members } = this.parts;
    const { raft } = rawNode;
    const { riding } = this;
    this.turns++;
    riding.turn();
    if (raft.lead !== this.knownLeader || raft.term !== this.knownTerm) this.leaderChanged();
    if (snapshots.own.wanted && !this.applier.isBusy) this.takeSnapshot();
    this.applier.resume();
    if (this.behindApply.length > 0 && this.isIdle)
      for (const call of this.behindApply.splice(0)) call(rawNode);
    members.turn();
    if (proposals.waitingCount > 0) this.propose();
    if (forwarding.arrivals.canAppend(raft) && !this.backlogged())
      this.proposed += forwarding.arrivals.append(rawNode, this.parts.proposalBatchBytes);
    if (reads.waitingCount > 0 || reads.heldBack) reads.ask(rawNode, raft.lead !== None);
    if (this.isStoring) {
      this.sendOutbox();
      return;
    }
    if (rawNode.hasReady()) this.handleReady();
    else this.sendOutbox();
    if (riding.waiting || (!this.isStoring && rawNode.hasReady()) || this.canPropose()) this.wake();
  };

  /** Something waits to be proposed, and can be. */
  private canPropose(): boolean {
    const { rawNode, proposals, forwarding } = this.parts;
    const count = proposals.waitingCount;
    if (rawNode.raft.state === StateLeader)
      return (count > 0 || forwarding.arrivals.canAppend(rawNode.raft)) && !this.backlogged();
    return count > 0 && forwarding.canSend(rawNode.raft);
  }

  private leaderChanged(): void {
    const { rawNode, reads, snapshots, forwarding, onLeader } = this.parts;
    const { lead, term } = rawNode.raft;
    if (lead !== None && lead !== this.knownLeader) this.leaderChanges++;
    this.knownLeader = lead;
    this.knownTerm = term;
    snapshots.leaderChanged();
    forwarding.leaderChanged(rawNode.raft);
    this.riding.clear();
    if (lead !== None) reads.leaderKnown(rawNode);
    onLeader(lead, term);
  }

  /** Of the state as it is: nothing is being applied. */
  private takeSnapshot(): void {
    const { rawNode, snapshots, members } = this.parts;
    const { raftLog, trk } = rawNode.raft;
    // A leader's snapshot is about to replace the state.
    if (raftLog.hasNextOrInProgressSnapshot()) return;
    const index = this.applied;
    const metadata = { index, term: raftLog.termOrZero(index), confState: trk.confState() };
    // A node that joins has no members yet: nobody could go on from its snapshot.
    const record = members.snapshotRecord;
    if (index === 0 || record !== undefined) snapshots.own.take({ ...metadata, members: record });
  }

  private backlogged(): boolean {
    const { wal, maxBacklogBytes, rawNode } = this.parts;
    // Applying is what is slow: more proposals would only wait longer there.
    return wal.backlogBytes > maxBacklogBytes || rawNode.raft.raftLog.applyingEntsPaused;
  }

  private propose(): void {
    const { rawNode, proposals, reads, id, trace, forwarding } = this.parts;
    const { lead, state, term, raftLog } = rawNode.raft;
    if (state !== StateLeader) {
      if (forwarding.isOn) {
        if (forwarding.send(rawNode.raft)) reads.askForSign(rawNode);
        return;
      }
      const where = lead === 0 ? "no leader is known, try again soon" : `node ${lead} leads, propose there`;
      proposals.refuseWaiting(
        new RaftmarkError("RAFT_NOT_LEADER", `node ${id} does not lead: ${where}`, { leader: lead }),
      );
      return;
    }
    if (this.backlogged()) return;
    trace?.taking(proposals.waitingCount);
    const entries = proposals.nextBatch(this.parts.proposalBatchBytes, term, raftLog.lastIndex() + 1);
    const refusal = rawNode.proposeEntries(entries);
    if (refusal !== null) {
      const text = `node ${id} leads and takes no proposals now (${whyDropped(refusal)}): propose again soon`;
      proposals.refuseWaiting(new RaftmarkError("RAFT_PROPOSAL_DROPPED", text));
      return;
    }
    this.proposed += entries.length;
    proposals.appendedAt(rawNode.lastProposed.term, rawNode.lastProposed.first, entries.length);
  }

  // hot
  private handleReady(): void {
    const { rawNode, trace } = this.parts;
    const ready = rawNode.ready();
    trace?.ready(ready.entries);
    this.readies++;
    if (ready.readStates.length > 0) {
      const { reads } = this.parts;
      // While a snapshot replaces the state, nobody may read it.
      reads.confirmed(ready.readStates, this.install.busy ? 0 : this.applied);
      if (reads.heldBack) this.wake();
    }
    const messages = ready.messages;
    const { outbox, riding } = this;
    let apply: Message | null = null;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i];
      if (message.type === MsgStorageAppend) {
        if (!this.install.takesAppend(message)) this.append(message);
      } else if (message.type === MsgStorageApply) apply = message;
      else if (message.type === MsgSnap) this.sendSnapshot(message);
      else if (!riding.holds(message)) outbox.push(message);
    }
    this.sendOutbox();
    if (apply !== null && this.isStoring) this.behindAppend = apply;
    else if (apply !== null) this.applier.apply(apply);
  }

  /** Sends the messages of this turn, and those that were held for it. */
  // hot
  private sendOutbox(): void {
    const { link, group, trace } = this.parts;
    const { outbox } = this;
    this.riding.leave(outbox);
    if (outbox.length === 0) return;
    trace?.sending(outbox);
    link.send(group, outbox);
    outbox.length = 0;
  }

  /**
   * The message only names the snapshot, and the member fetches it. If it cannot be sent, the core tries again after a
   * heartbeat.
   */
  private sendSnapshot(message: Message): void {
    if (this.parts.snapshots.send(message)) this.outbox.push(message);
    else this.parts.rawNode.reportSnapshot(message.to, true);
  }

  /** Log and state machine have a leader's snapshot. */
  private restored(metadata: SnapshotMetadata, bytes: number): void {
    const { proposals, forwarding, reads, snapshots, members, feeds } = this.parts;
    this.applied = metadata.index;
    feeds.advanced();
    proposals.skippedTo(metadata);
    forwarding.forwards.skippedTo(metadata);
    reads.applied(metadata.index);
    snapshots.installed(metadata, bytes);
    members.installed(metadata);
  }

  /** Hands one MsgStorageAppend to the log; its responses wait for it to be durable. */
  private append(message: Message): void {
    const { wal, trace } = this.parts;
    const { term, vote, commit, entries } = message;
    const isUnchanged = term === 0 && vote === 0 && commit === 0;
    const seq = wal.append(isUnchanged ? null : { term, vote, commit }, entries);
    trace?.handed(seq, entries);
    this.appendSeqs.push(seq);
    this.appendResponses.push(message.responses);
  }

  /** Everything up to `seq` is durable: its responses are delivered, in order. */
  // hot
  private durable(seq: number): void {
    const { rawNode, link, group, id, trace } = this.parts;
    const outbox = this.outbox;
    trace?.durable(seq);
    const { appendSeqs, appendResponses } = this;
    while (appendSeqs.length > 0 && appendSeqs.peek(0) <= seq) {
      appendSeqs.shift();
      const responses = appendResponses.shift();
      for (let i = 0; i < responses.length; i++) {
        if (responses[i].to !== id) outbox.push(responses[i]);
        else if (!this.install.takesStep(responses[i])) rawNode.step(responses[i]);
      }
    }
    trace?.committed(rawNode.raft.raftLog.committed, id);
    trace?.responding();
    if (outbox.length > 0) {
      link.send(group, outbox);
      outbox.length = 0;
    }
    const { behindAppend } = this;
    if (behindAppend !== null && appendSeqs.length === 0) {
      this.behindAppend = null;
      this.applier.apply(behindAppend);
      this.wake();
    }
    this.settleStorage();
    this.wakeForWork();
  }

  /**
   * Tells the log up to where it may use the memory of entries again: neither raft nor the state machine holds any of it.
   * Never with waitsForStorage, where what is to be sent waits in raft for as long as disk and state machine take.
   */
  private settleStorage(): void {
    const { wal, rawNode, waitsForStorage } = this.parts;
    if (waitsForStorage) return;
    wal.storage.settled = Math.min(rawNode.raft.raftLog.unstable.offset, this.applier.heldFrom) - 1;
  }

  /** The state machine has them: resolves their proposals, and tells the core. */
  // hot
  private entriesApplied(
    entries: readonly Entry[],
    results: readonly unknown[] | undefined,
    responses: readonly Message[],
  ): void {
    const { proposals, forwarding, reads, rawNode, snapshots, members, feeds, trace } = this.parts;
    const last = entries[entries.length - 1].index;
    trace?.applied(last);
    let result = 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i];
      if (isNormal(entry)) proposals.applied(entry, results?.[result++]);
      else this.applyOther(entry);
    }
    members.entriesApplied();
    if (forwarding.forwards.awaits) forwarding.forwards.applied(entries, results);
    this.applied = last;
    reads.applied(last);
    feeds.advanced();
    if (snapshots.counts) {
      const bytes = payloadsSize(entries) + RECORD_BYTES * entries.length;
      if (snapshots.own.applied(entries.length, bytes)) this.wake();
    }
    for (let i = 0; i < responses.length; i++) rawNode.step(responses[i]);
  }

  /** The state machine is at work, or a snapshot on its way to it. After endApplying() it is not asked to apply more. */
  get isApplying(): boolean {
    return this.applier.isBusy || this.install.busy;
  }

  endApplying(): void {
    this.applier.end();
  }

  /** A conf change, or an empty entry: of a new leader's term, or behind a change (departures.ts). */
  private applyOther(entry: Entry): void {
    const { proposals, members } = this.parts;
    if (entry.type === EntryNormal) members.passed(entry);
    else members.applied(entry);
    proposals.applied(entry, undefined);
  }
}

/** What callers are told when the node is fenced by `fault`; its cause is what was thrown, or the fault of the log. */
export function fencedError(fault: RaftmarkError): RaftmarkError {
  const cause = fault.code === "RAFT_FENCED" ? fault.cause : fault;
  return new RaftmarkError("RAFT_FENCED", fault.message, { cause });
}
