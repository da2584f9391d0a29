// Raft: the state of one member of a group and the transitions between its roles (Figure 2 of the paper).
// Owns the term, the vote, the role, the outgoing messages. What a message does lies beside it: step.ts
// dispatches, election.ts, step-leader.ts, step-candidate.ts and step-follower.ts handle, replicate.ts sends,
// membership.ts changes who counts.
import { assert } from "../base/assert.js";
import { NO_DATA } from "../base/bytes.js";
import { Changer, type ChangerResult, restore } from "./confchange/index.js";
import { ReadOnlyLeaseBased, type Settings } from "./config.js";
import { RaftError } from "./errors.js";
import { RaftLog } from "./log.js";
import { hex, type Logger } from "./logger.js";
import type { ConfState, HardState } from "./raftpb/index.js";
import {
  Entry,
  EntryNormal,
  Message,
  MsgAppResp,
  MsgPreVote,
  MsgPreVoteResp,
  MsgProp,
  MsgReadIndex,
  MsgVote,
  MsgVoteResp,
  None,
  payloadsSize,
} from "./raftpb/index.js";
import { LEASE_DRIFT, ReadOnly } from "./read-only.js";
import type { ReadState } from "./ready.js";
import { StateCandidate, StateFollower, StateLeader, StatePreCandidate, type StateType } from "./ready.js";
import { type ProgressMap, ProgressTracker, type TrackerConfig } from "./tracker/index.js";

/** The state of a member. A driver reads it; it changes by RawNode's calls alone. */
export class Raft {
  readonly id: number;
  readonly settings: Settings;
  readonly logger: Logger | null;
  readonly raftLog: RaftLog;
  trk: ProgressTracker;

  /** Latest term seen. Never falls. */
  term = 0;
  /** Who got this node's vote in `term`; None: nobody. */
  vote = None;
  state: StateType = StateFollower;
  /** The leader of `term` as far as known; None: not known. */
  lead = None;
  /**
   * Who leads `term`, as its own appends and heartbeats say, or as it is this node; None: not heard of yet. Nothing but a
   * new term changes it. `lead` is also who sent a snapshot, which an operator may have sent by hand from any member.
   */
  leadHeard = None;

  /** Messages that may leave at once. */
  msgs: Message[] = [];
  /** Messages that say something about what this node stored: they leave when it is stored. */
  msgsAfterAppend: Message[] = [];
  readStates: ReadState[] = [];

  /** Leader: who is to take over; None: no transfer is under way. */
  leadTransferee = None;
  /** The last proposal to leave a joint configuration was, and the next heartbeat is to try again. */
  autoLeaveDropped = false;
  /**
   * Leader: no conf change may be proposed before this index is applied. At least the index of the last
   * unapplied conf change in the log; may be too high, never too low.
   */
  pendingConfIndex = 0;
  /** Leader: payload bytes of its proposals not applied yet; counted only if limited. Resets with the term. */
  uncommittedSize = 0;
  /**
   * Leader: about the payload bytes that its log held beyond the commit index when it was elected; 0 once all of them,
   * up to inheritedLast, are applied. Counts against the same limit.
   */
  inheritedSize = 0;
  private inheritedLast = 0;
  readonly readOnly: ReadOnly;
  /** Leader: read requests that came before the first commit of the term. */
  pendingReadIndexMessages: Message[] = [];
  /**
   * Leader: somebody was asked to take over in this term. That member may campaign at any later time, and is voted for
   * whatever was promised: there is no lease any more before the next term.
   */
  leaseGivenUp = false;
  /** Calls of tick() so far. */
  ticks = 0;
  /** Voter with ReadOnlyLeaseBased: it does not vote before `ticks` is here, but for who was asked to take over. */
  promisedUntil = 0;

  /** For whoever watches: campaigns that only asked, campaigns for real, and those that it won. */
  preVotesStarted = 0;
  electionsStarted = 0;
  electionsWon = 0;

  /** Ticks since the leader was heard (follower), or since the last quorum check (leader). */
  electionElapsed = 0;
  /** Leader: ticks since the last heartbeat. */
  heartbeatElapsed = 0;
  /** In [electionTick, 2*electionTick-1]; drawn anew at every change of role or term (§5.2). */
  randomizedElectionTimeout = 0;

  constructor(settings: Settings) {
    this.id = settings.id;
    this.settings = settings;
    this.logger = settings.logger;
    this.raftLog = new RaftLog(settings.storage, settings.logger, settings.maxCommittedSizePerReady);
    this.trk = new ProgressTracker(settings.maxInflightMsgs, settings.maxInflightBytes);
    this.readOnly = new ReadOnly(settings.readOnlyOption);
    const { hardState, confState } = settings.storage.initialState();
    const installed = this.installConfState(confState);
    assert(installed, "the stored configuration is invalid");
    this.loadState(hardState);
    if (settings.applied > 0) this.raftLog.appliedTo(settings.applied, 0);
    this.becomeFollower(this.term, None);
    if (settings.mayHavePromised) this.promiseNotToVote();
    this.logStart();
  }

  /** Queues a message: sets its sender and term, and holds it back if it reports what is not stored yet. */
  // hot
  send(m: Message): void {
    if (m.from === None) m.from = this.id;
    const type = m.type;
    if (type === MsgVote || type === MsgVoteResp || type === MsgPreVote || type === MsgPreVoteResp) {
      // A campaign's term differs from ours in pre-votes, so the sender says which.
      assert(m.term !== 0, "a vote message must have its term set");
    } else {
      assert(m.term === 0, "the term of a message is set by send");
      // These two are the proposer's, whatever its term: a leader of any term may take them.
      if (type !== MsgProp && type !== MsgReadIndex) m.term = this.term;
    }
    // A promise: that a vote or an entry is stored. It must not leave before it is true (Figure 2,
    // "persistent state updated on stable storage before responding"). All else may leave at once.
    if (type === MsgAppResp || type === MsgVoteResp || type === MsgPreVoteResp) {
      this.msgsAfterAppend.push(m);
      return;
    }
    assert(m.to !== this.id, "a message that needs no storage is not sent to oneself");
    this.msgs.push(m);
  }

  becomeFollower(term: number, lead: number): void {
    this.reset(term);
    this.lead = lead;
    this.state = StateFollower;
    this.logger?.info(`${hex(this.id)} became follower at term ${this.term}`);
  }

  becomeCandidate(): void {
    assert(this.state !== StateLeader, "invalid transition: leader to candidate");
    assert(this.term < Number.MAX_SAFE_INTEGER, "no term is left");
    this.reset(this.term + 1);
    this.vote = this.id;
    this.state = StateCandidate;
    this.electionsStarted++;
    this.logger?.info(`${hex(this.id)} became candidate at term ${this.term}`);
  }

  /**
   * Neither the term nor the vote changes: a pre-candidate that fails has disturbed nobody (dissertation
   * §9.6).
   */
  becomePreCandidate(): void {
    assert(this.state !== StateLeader, "invalid transition: leader to pre-candidate");
    this.trk.resetVotes();
    this.lead = None;
    this.state = StatePreCandidate;
    this.preVotesStarted++;
    this.logger?.info(`${hex(this.id)} became pre-candidate at term ${this.term}`);
  }

  becomeLeader(): void {
    assert(this.state !== StateFollower, "invalid transition: follower to leader");
    this.reset(this.term);
    this.lead = this.id;
    this.leadHeard = this.id;
    this.state = StateLeader;
    this.electionsWon++;
    const progress = this.trk.progress.get(this.id);
    assert(progress !== undefined, "a leader is a member");
    progress.becomeReplicate();
    // Always: the quorum check leaves the leader's own mark alone.
    progress.recentActive = true;
    // There may be an unapplied conf change in the tail. Finding out costs more than a short wait.
    this.pendingConfIndex = this.raftLog.lastIndex();
    this.inherit();
    // §5.4.2: entries of earlier terms commit only below one of this term, so there must be one.
    const accepted = this.appendEntry([new Entry(EntryNormal, 0, 0, NO_DATA)]);
    assert(accepted, "the empty entry of a new leader was refused");
    this.logger?.info(`${hex(this.id)} became leader at term ${this.term}`);
  }

  // Where etcd counts from 0 at every election: a group that elects again and again without committing would let its
  // log grow by the limit each time.
  private inherit(): void {
    const { raftLog, settings } = this;
    this.inheritedLast = raftLog.lastIndex();
    if (settings.maxUncommittedEntriesSize === Infinity || this.inheritedLast === raftLog.committed) return;
    this.inheritedSize = raftLog.sizeOf(raftLog.committed + 1, this.inheritedLast + 1);
  }

  /** What every change of role or term begins with. */
  private reset(term: number): void {
    assert(term >= this.term, "the term went backwards");
    if (this.term !== term) {
      this.term = term;
      this.vote = None;
      this.leadHeard = None;
    }
    this.lead = None;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.resetRandomizedElectionTimeout();
    this.leadTransferee = None;
    this.trk.resetVotes();
    const last = this.raftLog.lastIndex();
    const { peerIds, peers } = this.trk;
    for (let i = 0; i < peers.length; i++) peers[i].reset(peerIds[i] === this.id ? last : 0, last + 1);
    this.pendingConfIndex = 0;
    this.autoLeaveDropped = false;
    this.uncommittedSize = 0;
    this.inheritedSize = 0;
    this.readOnly.reset();
    this.pendingReadIndexMessages = [];
    this.leaseGivenUp = false;
  }

  private resetRandomizedElectionTimeout(): void {
    const { electionTick, random } = this.settings;
    const draw = random(electionTick);
    assert(Number.isInteger(draw) && draw >= 0 && draw < electionTick, "random() is out of its range");
    this.randomizedElectionTimeout = electionTick + draw;
  }

  /**
   * Leader: appends proposals, giving them their term and index. False, and nothing changed, if they would
   * exceed the limit of the uncommitted tail. Sets the entries in the array; entries that were in a log
   * before are replaced there by new ones, since an entry in a log never changes.
   */
  // hot
  appendEntry(entries: Entry[]): boolean {
    if (!this.increaseUncommittedSize(entries)) {
      this.logger?.warn(
        `${hex(this.id)} appending new entries to log would exceed uncommitted entry size limit; ` +
          `dropping proposal`,
      );
      return false;
    }
    const last = this.raftLog.lastIndex();
    const term = this.term;
    assert(last + entries.length <= Number.MAX_SAFE_INTEGER, "no index is left");
    for (let i = 0; i < entries.length; i++) {
      const e = entries[i];
      const index = last + 1 + i;
      // Encoded as what it becomes, by whoever foresaw that.
      if (e.index === index && e.term === term) continue;
      if (e.index !== 0 || e.at !== -1) {
        entries[i] = new Entry(e.type, term, index, e.data);
      } else {
        e.term = term;
        e.index = index;
      }
    }
    this.raftLog.append(entries);
    // The leader's own copy counts like everybody's: when it is stored (dissertation §10.2.1). It may be
    // stored later than on a quorum of followers, and does not hold them up.
    const ack = new Message(MsgAppResp);
    ack.to = this.id;
    ack.index = last + entries.length;
    this.send(ack);
    return true;
  }

  /** §5.3, §5.4.2: commits what a quorum holds, if it is of this term. */
  // hot
  maybeCommit(): boolean {
    return this.raftLog.maybeCommit(this.trk.committed(), this.term);
  }

  /** Whether this term's leader has committed anything: only then is its commit index the group's (§8). */
  committedEntryInCurrentTerm(): boolean {
    return this.raftLog.termOrZero(this.raftLog.committed) === this.term;
  }

  /** The clock that a lease is measured by, in ticks. */
  leaseClock(): number {
    const { elapsedTicks } = this.settings;
    return elapsedTicks === null ? this.ticks : elapsedTicks();
  }

  /**
   * Leader with ReadOnlyLeaseBased: whether no quorum can have voted for another yet. A voter that answered a heartbeat
   * votes for nobody before its clock ticked electionTick times, the first of them perhaps at once; a tick of ours may
   * be almost over, too, where they are counted.
   */
  holdsLease(): boolean {
    if (this.leaseGivenUp || this.leadTransferee !== None) return false;
    const sent = this.readOnly.sent(this.trk.confirmedRound(this.id, this.readOnly.lastRound));
    return this.leaseClock() - sent < (this.settings.electionTick - 1) * (1 - LEASE_DRIFT) - 1;
  }

  /** A leader's heartbeat was answered: its lease rests on this voter for an election timeout. */
  promiseNotToVote(): void {
    if (this.settings.readOnlyOption === ReadOnlyLeaseBased)
      this.promisedUntil = this.ticks + this.settings.electionTick;
  }

  /** A voter whose state is its own: neither a learner nor waiting for a snapshot. */
  promotable(): boolean {
    const progress = this.trk.progress.get(this.id);
    return progress !== undefined && !progress.isLearner && !this.raftLog.hasNextOrInProgressSnapshot();
  }

  pastElectionTimeout(): boolean {
    return this.electionElapsed >= this.randomizedElectionTimeout;
  }

  /** Puts a membership in place and logs it. What follows from it on a leader: membership.ts. */
  install(config: TrackerConfig, progress: ProgressMap): void {
    this.trk.install(config, progress);
    this.logger?.info(`${hex(this.id)} switched to configuration ${this.trk.configString()}`);
  }

  /** Starts over with a stored membership; false if it is none. */
  installConfState(confState: ConfState): boolean {
    const { maxInflightMsgs, maxInflightBytes } = this.settings;
    const trk = new ProgressTracker(maxInflightMsgs, maxInflightBytes);
    const restored = restoreConfState(trk, this.raftLog.lastIndex(), confState);
    if (restored === null) return false;
    this.trk = trk;
    this.install(restored.config, restored.progress);
    return true;
  }

  // hot
  private increaseUncommittedSize(entries: readonly Entry[]): boolean {
    const limit = this.settings.maxUncommittedEntriesSize;
    if (limit === Infinity) return true;
    const size = payloadsSize(entries);
    const uncommitted = this.inheritedSize + this.uncommittedSize;
    // One proposal of any size may be on its way. Empty entries always pass: a new leader's, and those that
    // leave a joint configuration.
    if (uncommitted > 0 && size > 0 && uncommitted + size > limit) return false;
    this.uncommittedSize += size;
    return true;
  }

  /** Entries, in order, were applied. */
  // hot
  reduceUncommittedSize(entries: readonly Entry[]): void {
    if (this.settings.maxUncommittedEntriesSize === Infinity || entries.length === 0) return;
    if (entries[entries.length - 1].index >= this.inheritedLast) this.inheritedSize = 0;
    if (this.uncommittedSize === 0) return;
    let size = payloadsSize(entries);
    // Those of earlier terms are not in the count.
    for (let i = 0; i < entries.length && entries[i].index <= this.inheritedLast; i++)
      size -= entries[i].size;
    this.uncommittedSize = Math.max(0, this.uncommittedSize - size);
  }

  private loadState(state: HardState): void {
    if (state.term === 0 && state.vote === 0 && state.commit === 0) return;
    assert(state.commit >= this.raftLog.committed, "the stored commit index is compacted: not a valid log");
    assert(state.commit <= this.raftLog.lastIndex(), "the stored commit index is beyond the stored log");
    this.raftLog.committed = state.commit;
    this.term = state.term;
    this.vote = state.vote;
  }

  private logStart(): void {
    if (this.logger === null) return;
    const log = this.raftLog;
    const peers = this.trk.voterNodes().map(hex).join(",");
    this.logger.info(
      `newRaft ${hex(this.id)} [peers: [${peers}], term: ${this.term}, commit: ${log.committed}, ` +
        `applied: ${log.applied}, lastindex: ${log.lastIndex()}, lastterm: ${log.lastTerm()}]`,
    );
  }
}

/** The membership of a ConfState, or null if it is not one that changes could have led to. */
export function restoreConfState(
  trk: ProgressTracker,
  lastIndex: number,
  confState: ConfState,
): ChangerResult | null {
  const restored = restore(new Changer(trk, lastIndex), confState);
  if (restored instanceof RaftError) return null;
  const { incoming, outgoing } = restored.config.voters;
  const { learners, learnersNext, autoLeave } = restored.config;
  const again = { voters: incoming.ids, votersOutgoing: outgoing.ids, learners, learnersNext, autoLeave };
  return confStatesEquivalent(confState, again) ? restored : null;
}

/** Whether two memberships are the same, whatever the order of their lists. */
function confStatesEquivalent(a: ConfState, b: ConfState): boolean {
  return (
    sameIds(a.voters, b.voters) &&
    sameIds(a.learners, b.learners) &&
    sameIds(a.votersOutgoing, b.votersOutgoing) &&
    sameIds(a.learnersNext, b.learnersNext) &&
    a.autoLeave === b.autoLeave
  );
}

function sameIds(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  const left = a.slice().sort((x, y) => x - y);
  const right = b.slice().sort((x, y) => x - y);
  return left.every((id, i) => id === right[i]);
}
