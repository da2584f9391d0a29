// RawNode: the core's public face, one member of one Raft group, without clock, threads or I/O. A driver
// calls tick(), step() and propose(), then asks ready() for what is to be stored, sent and applied, and says
// when that is done: advance(), or with Config.asyncStorageWrites by stepping the responses that the storage
// messages carry.
import { assert } from "../base/assert.js";
import { bootstrap, type Peer } from "./bootstrap.js";
import { type Config, resolveConfig } from "./config.js";
import { ErrEmptyProposal, RaftError } from "./errors.js";
import { applyConfChange } from "./membership.js";
import { Raft } from "./raft.js";
import type { ConfChange, ConfChangeV2, ConfState, HardState } from "./raftpb/index.js";
import {
  EMPTY_HARD_STATE,
  Entry,
  EntryConfChange,
  EntryConfChangeV2,
  EntryNormal,
  isConfChangeV2,
  LocalAppendThread,
  LocalApplyThread,
  Message,
  type MessageType,
  MsgForgetLeader,
  MsgHup,
  MsgProp,
  MsgReadIndex,
  MsgSnapStatus,
  MsgStorageAppend,
  MsgStorageAppendResp,
  MsgStorageApply,
  MsgStorageApplyResp,
  MsgTransferLeader,
  MsgUnreachable,
  marshalConfChange,
  NO_ENTRIES,
  NO_MESSAGES,
  None,
} from "./raftpb/index.js";
import { NO_READ_STATES, Ready, type SoftState, StateLeader } from "./ready.js";
import { resumeAppend } from "./replicate.js";
import {
  type BasicStatus,
  type ProgressType,
  ProgressTypeLearner,
  ProgressTypePeer,
  type Status,
} from "./status.js";
import { step, tick } from "./step.js";
import { stepDown } from "./step-leader.js";
import type { Progress } from "./tracker/index.js";
import { checkMessage } from "./validate.js";

/** Where the entries of a proposal went. */
export class Proposed {
  term = 0;
  /** Index of the first entry; 0: the proposal went to the leader, which gives it its place. */
  first = 0;
  last = 0;
}

/**
 * One member of a group as a state machine without clock and I/O (etcd raft's RawNode): it is stepped and ticked, and
 * gives a Ready for its owner to carry out.
 */
export class RawNode {
  readonly raft: Raft;
  readonly asyncStorageWrites: boolean;
  /** Of the last proposal that was accepted. Reused. */
  readonly lastProposed = new Proposed();

  /** What the last Ready reported. */
  private prevLead: number;
  private prevState: SoftState["raftState"];
  private prevHardState: HardState;
  private readonly rd = new Ready();
  /** Without async storage writes: a Ready was accepted, and advance() not called yet. */
  private readyIsOut = false;
  /** Its held-back messages; advance() steps those to this node. */
  private heldBack: Message[] = NO_MESSAGES;
  /** And the notices of what was stored and applied, where `to` is set. Reused: they never leave this class. */
  private readonly appendResp = new Message(MsgStorageAppendResp);
  private readonly applyResp = new Message(MsgStorageApplyResp);

  /** Throws on a config that is not valid; resolveConfig() tells beforehand. */
  constructor(config: Config) {
    const settings = resolveConfig(config);
    if (settings instanceof RaftError) throw new TypeError(`raft: ${settings.message}`);
    this.raft = new Raft(settings);
    this.asyncStorageWrites = settings.asyncStorageWrites;
    this.prevLead = this.raft.lead;
    this.prevState = this.raft.state;
    this.prevHardState = this.hardState();
    this.appendResp.from = LocalAppendThread;
    this.applyResp.from = LocalApplyThread;
  }

  get id(): number {
    return this.raft.id;
  }

  /** One tick of the driver's clock. */
  tick(): void {
    tick(this.raft);
  }

  /** Starts an election now. */
  campaign(): RaftError | null {
    return this.stepLocal(MsgHup, this.raft.id);
  }

  /** Proposes one entry. Accepted does not mean committed: it is when it comes back in committedEntries. */
  // hot
  propose(data: Uint8Array): RaftError | null {
    return this.proposeEntries([new Entry(EntryNormal, 0, 0, data)]);
  }

  /** Proposes entries as one message: they get successive indexes, or none is accepted. */
  // hot
  proposeBatch(datas: readonly Uint8Array[]): RaftError | null {
    const entries: Entry[] = [];
    for (let i = 0; i < datas.length; i++) entries.push(new Entry(EntryNormal, 0, 0, datas[i]));
    return this.proposeEntries(entries);
  }

  /**
   * Proposes a change of the membership (§6). An empty entry takes its place on a leader that has another one to apply, or
   * that has to leave a joint configuration first.
   */
  proposeConfChange(cc: ConfChange | ConfChangeV2): RaftError | null {
    const type = isConfChangeV2(cc) ? EntryConfChangeV2 : EntryConfChange;
    return this.proposeEntries([new Entry(type, 0, 0, marshalConfChange(cc))]);
  }

  /**
   * Applies a committed change, when its entry is applied. Every committed one must come here, unless the
   * application turns it down: then with node ids 0, which change nothing. Returns the membership that is in
   * force; a RaftError if the change leads to none, and nothing changed.
   */
  applyConfChange(cc: ConfChange | ConfChangeV2): ConfState | RaftError {
    return applyConfChange(this.raft, cc);
  }

  /**
   * A node that joins a group, and has no membership, takes the one that was in force before the first change that it
   * applies: etcd's logs begin with entries that say it, ours need not. False, and nothing changed: it has one, or
   * `confState` is none.
   */
  adoptConfState(confState: ConfState): boolean {
    const { raft } = this;
    return raft.trk.peerIds.length === 0 && raft.installConfState(confState);
  }

  /**
   * Takes a message from a peer, or a response of this node's storage threads. `entriesChecked`: it passed
   * appendIsPlausible(), if it is a MsgApp, so that its entries are not gone through again.
   */
  // hot
  step(m: Message, entriesChecked = false): RaftError | null {
    const error = checkMessage(this.raft, m, entriesChecked);
    return error === null ? step(this.raft, m) : error;
  }

  /**
   * What is to be done now. Accepts it: the next Ready has only what comes after.
   *
   * Without async storage writes, in this order: store hardState, entries and snapshot (synced if mustSync), send
   * messages, apply committedEntries, advance(). A leader may send before it stores.
   *
   * With them, `messages` is all there is to do, and the next Ready may be taken at once. A message to
   * LocalAppendThread: store its term, vote and commit (unless all are 0), its snapshot or entries, durably and in
   * the order of these messages; then deliver its responses, those to this node by step(). A message to
   * LocalApplyThread: apply its entries in order, then step() its response. All others: send. Responses that were
   * not delivered before a crash are lost with it.
   */
  // hot
  ready(): Ready {
    const rd = this.rd;
    this.fill(rd);
    rd.messages = this.raft.msgs;
    if (this.asyncStorageWrites) this.addStorageMessages(rd, this.raft.msgsAfterAppend);
    else this.divideAfterAppend(rd);
    this.accept(rd);
    return rd;
  }

  // hot
  hasReady(): boolean {
    const r = this.raft;
    if (r.msgs.length > 0 || r.msgsAfterAppend.length > 0) return true;
    if (r.raftLog.hasNextUnstableEnts()) return true;
    if (r.raftLog.hasNextCommittedEnts(!this.asyncStorageWrites)) return true;
    if (this.hardStateChanged() || r.lead !== this.prevLead || r.state !== this.prevState) return true;
    return r.raftLog.hasNextUnstableSnapshot() || r.readStates.length > 0;
  }

  /** Without async storage writes: the last Ready is stored, sent and applied. */
  // hot
  advance(): void {
    assert(!this.asyncStorageWrites, "advance must not be called with async storage writes");
    const r = this.raft;
    const held = this.heldBack;
    this.heldBack = NO_MESSAGES;
    this.readyIsOut = false;
    for (let i = 0; i < held.length; i++) if (held[i].to === r.id) step(r, held[i]);
    if (this.appendResp.to !== None) {
      this.appendResp.to = None;
      step(r, this.appendResp);
      this.appendResp.snapshot = null;
    }
    if (this.applyResp.to !== None) {
      this.applyResp.to = None;
      step(r, this.applyResp);
      this.applyResp.entries = NO_ENTRIES;
    }
  }

  basicStatus(): BasicStatus {
    const r = this.raft;
    return {
      id: r.id,
      hardState: this.hardState(),
      softState: { lead: r.lead, raftState: r.state },
      applied: r.raftLog.applied,
      lastIndex: r.raftLog.lastIndex(),
      leadTransferee: r.leadTransferee,
    };
  }

  status(): Status {
    const r = this.raft;
    const progress = r.state === StateLeader ? r.trk.progress : new Map<number, Progress>();
    return { ...this.basicStatus(), config: r.trk.configString(), progress };
  }

  /** Visits the progress of every member, ids ascending. Borrowed for the call. */
  withProgress(visit: (id: number, type: ProgressType, progress: Progress) => void): void {
    this.raft.trk.visit((id, progress) => {
      visit(id, progress.isLearner ? ProgressTypeLearner : ProgressTypePeer, progress);
    });
  }

  /** The last message to `id` was not delivered. */
  reportUnreachable(id: number): void {
    this.stepLocal(MsgUnreachable, id);
  }

  /** How sending a MsgSnap to `id` went. Must be called for each: the follower gets nothing else before. */
  reportSnapshot(id: number, failed: boolean): void {
    const m = new Message(MsgSnapStatus);
    m.from = id;
    m.reject = failed;
    step(this.raft, m);
  }

  /** Storage.atHand(reader, ...) is worth asking again: what waited for it goes on, with the next Ready. */
  entriesRead(reader: number): void {
    resumeAppend(this.raft, reader);
  }

  /** Asks the leader to hand over to `transferee`. */
  transferLeader(transferee: number): void {
    this.stepLocal(MsgTransferLeader, transferee);
  }

  /**
   * A leader that cannot do its work (its disk does not answer) gives up, and asks the most advanced follower to take
   * over. Anyone else ignores it. It campaigns again like any follower: a driver that does not want that holds back
   * its ticks.
   */
  stepDown(): void {
    if (this.raft.state === StateLeader) stepDown(this.raft);
  }

  /** A follower gives up its leader, so that it may grant others its vote although it hears it. */
  forgetLeader(): RaftError | null {
    return this.stepLocal(MsgForgetLeader, None);
  }

  /**
   * Asks for a linearizable read point; the answer is a ReadState with this context, which must be unique
   * (§8).
   */
  readIndex(requestCtx: Uint8Array): void {
    const m = new Message(MsgReadIndex);
    m.entries = [new Entry(EntryNormal, 0, 0, requestCtx)];
    step(this.raft, m);
  }

  /**
   * Writes the initial membership into an empty log, as if it had been committed: the same on every member.
   */
  bootstrap(peers: readonly Peer[]): RaftError | null {
    const error = bootstrap(this.raft, peers);
    // Term and commit index are to be stored with the first Ready.
    if (error === null) this.prevHardState = EMPTY_HARD_STATE;
    return error;
  }

  /**
   * As proposeBatch, with entries that get their term and index here: those of term and index 0 are changed, others that
   * have not theirs yet are replaced in the array.
   */
  // hot
  proposeEntries(entries: Entry[]): RaftError | null {
    if (entries.length === 0) return ErrEmptyProposal;
    const r = this.raft;
    const m = new Message(MsgProp);
    m.from = r.id;
    m.entries = entries;
    const before = r.raftLog.lastIndex();
    const error = step(r, m);
    if (error !== null) return error;
    const appended = r.state === StateLeader;
    this.lastProposed.term = appended ? r.term : 0;
    this.lastProposed.first = appended ? before + 1 : 0;
    this.lastProposed.last = appended ? before + entries.length : 0;
    return null;
  }

  private stepLocal(type: MessageType, from: number): RaftError | null {
    const m = new Message(type);
    m.from = from;
    return step(this.raft, m);
  }

  private hardState(): HardState {
    const r = this.raft;
    return { term: r.term, vote: r.vote, commit: r.raftLog.committed };
  }

  // hot
  private hardStateChanged(): boolean {
    const prev = this.prevHardState;
    const r = this.raft;
    return r.raftLog.committed !== prev.commit || r.term !== prev.term || r.vote !== prev.vote;
  }

  /** Everything but the messages. */
  // hot
  private fill(rd: Ready): void {
    const r = this.raft;
    const prev = this.prevHardState;
    rd.entries = r.raftLog.nextUnstableEnts();
    rd.committedEntries = r.raftLog.nextCommittedEnts(!this.asyncStorageWrites);
    const softChanged = r.lead !== this.prevLead || r.state !== this.prevState;
    rd.softState = softChanged ? { lead: r.lead, raftState: r.state } : null;
    rd.hardState = this.hardStateChanged() ? this.hardState() : EMPTY_HARD_STATE;
    rd.snapshot = r.raftLog.unstable.nextSnapshot();
    rd.readStates = r.readStates.length === 0 ? NO_READ_STATES : r.readStates;
    // A commit index that is lost is learned again; the others must survive (Figure 2).
    rd.mustSync = rd.entries.length > 0 || r.term !== prev.term || r.vote !== prev.vote;
  }

  /** Async storage writes: the work of the storage threads as messages. Takes `afterAppend`. */
  // hot
  private addStorageMessages(rd: Ready, afterAppend: Message[]): void {
    const hs = rd.hardState;
    if (rd.entries.length > 0 || hs !== EMPTY_HARD_STATE || rd.snapshot !== null || afterAppend.length > 0) {
      const m = new Message(MsgStorageAppend);
      m.to = LocalAppendThread;
      m.from = this.raft.id;
      m.entries = rd.entries;
      m.term = hs.term;
      m.vote = hs.vote;
      m.commit = hs.commit;
      m.snapshot = rd.snapshot;
      m.responses = this.appendResponses(rd, afterAppend);
      rd.messages.push(m);
    }
    if (rd.committedEntries.length > 0) {
      const m = new Message(MsgStorageApply);
      m.to = LocalApplyThread;
      m.from = this.raft.id;
      m.entries = rd.committedEntries;
      const response = new Message(MsgStorageApplyResp);
      response.from = LocalApplyThread;
      response.to = this.raft.id;
      response.entries = rd.committedEntries;
      m.responses = [response];
      rd.messages.push(m);
    }
  }

  /**
   * `afterAppend`, and last the notice of what was stored: when it is stepped, all others are on their way.
   */
  // hot
  private appendResponses(rd: Ready, afterAppend: Message[]): Message[] {
    // The empty array is not ours to give: accept() keeps it in use.
    const responses = afterAppend.length === 0 ? [] : afterAppend;
    if (!this.needsAppendResp(rd)) return responses;
    const response = new Message(MsgStorageAppendResp);
    response.from = LocalAppendThread;
    response.to = this.raft.id;
    this.setAppendResp(response, rd);
    responses.push(response);
    return responses;
  }

  /**
   * Without async storage writes: messages to others leave with the Ready, those to this node at advance().
   */
  // hot
  private divideAfterAppend(rd: Ready): void {
    assert(!this.readyIsOut, "two accepted Ready without a call to advance");
    this.readyIsOut = true;
    const r = this.raft;
    const after = r.msgsAfterAppend;
    this.heldBack = after.length === 0 ? NO_MESSAGES : after;
    for (let i = 0; i < after.length; i++) if (after[i].to !== r.id) rd.messages.push(after[i]);
    if (this.needsAppendResp(rd)) {
      this.setAppendResp(this.appendResp, rd);
      this.appendResp.to = r.id;
    }
    if (rd.committedEntries.length > 0) {
      this.applyResp.entries = rd.committedEntries;
      this.applyResp.to = r.id;
    }
  }

  /** Also when nothing new is to be stored: see setAppendResp. */
  // hot
  private needsAppendResp(rd: Ready): boolean {
    return this.raft.raftLog.hasNextOrInProgressUnstableEnts() || rd.snapshot !== null;
  }

  /**
   * Says that the log is stored to its present end, in this term. Entries may be replaced while they are on
   * their way and the replacement may look the same (ABA: an entry of the same index and term that was
   * removed in between and sent again by the same leader). So a notice counts only in the term it was made
   * in, and every Ready that has anything for the storage renews it while something is unstable.
   */
  // hot
  private setAppendResp(m: Message, rd: Ready): void {
    const log = this.raft.raftLog;
    m.term = this.raft.term;
    m.index = 0;
    m.logTerm = 0;
    if (log.hasNextOrInProgressUnstableEnts()) {
      m.index = log.lastIndex();
      m.logTerm = log.lastTerm();
    }
    m.snapshot = rd.snapshot;
  }

  /** The Ready is the driver's now. */
  // hot
  private accept(rd: Ready): void {
    const r = this.raft;
    if (rd.softState !== null) {
      this.prevLead = r.lead;
      this.prevState = r.state;
    }
    if (rd.hardState !== EMPTY_HARD_STATE) this.prevHardState = rd.hardState;
    if (rd.readStates.length > 0) r.readStates = [];
    if (rd.messages.length > 0) r.msgs = [];
    else rd.messages = NO_MESSAGES;
    if (r.msgsAfterAppend.length > 0) r.msgsAfterAppend = [];
    r.raftLog.unstable.acceptInProgress();
    const committed = rd.committedEntries;
    if (committed.length > 0) {
      const index = committed[committed.length - 1].index;
      r.raftLog.acceptApplying(index, r.raftLog.applyingSize(committed), !this.asyncStorageWrites);
    }
  }
}
