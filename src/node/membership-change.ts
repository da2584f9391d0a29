// The change of members that a caller of this node waits for: one at a time, from the call until it is in force and the
// joint state is left, or until it is known what else became of it. As for proposals (proposals.ts), only what is applied
// tells that it is lost. Main thread.
import { assert } from "../base/assert.js";
import { RaftmarkError } from "../base/errors.js";
import {
  ConfChangeTransitionAuto,
  type ConfChangeV2,
  type ConfState,
  type Entry,
  marshalConfChange,
  type RawNode,
  StateLeader,
  StateReplicate,
} from "../raft/index.js";
import type { CallOptions, MembershipChanged } from "./api.js";
import { type CallEnd, CallWatch, endedCall, type Watched } from "./call-watch.js";
import type { Departures } from "./departures.js";
import { whyDropped } from "./forwarding.js";
import type { MemberBook } from "./member-book.js";
import { encodeMemberRecord } from "./member-record.js";
import { type CheckedChange, type MembershipView, refusalOfChange, singlesOf } from "./membership-plan.js";
import { FRAME_ROOM_BYTES } from "./sizes.js";

export interface ChangeParts {
  readonly id: number;
  readonly rawNode: RawNode;
  readonly book: MemberBook;
  readonly departures: Departures;
  /** It hears this node now. */
  readonly isConnected: (peer: number) => boolean;
  readonly electionTicks: number;
  /** As for proposals. */
  readonly leaderlessTicks: number;
  readonly timeoutTicks: number;
  readonly maxFrameBytes: number;
  /** Ids of the logs that this node and its peers have, as far as it met them. */
  readonly logs: () => ReadonlyMap<number, string>;
}

interface Call extends Watched {
  readonly change: CheckedChange;
  /** Where it is in the log; 0: not there yet. */
  term: number;
  index: number;
  /** It is applied, and the joint state that it led to is not left yet, or not known to a majority to be. */
  committed: boolean;
  ticks: number;
  readonly resolve: (changed: MembershipChanged) => void;
  readonly reject: (error: RaftmarkError) => void;
}

export class MembershipCall {
  private readonly parts: ChangeParts;
  private call: Call | null = null;
  private leaderlessTicks = 0;
  /** Ticks for which this node leads without a break. */
  private ledTicks = 0;
  private ticks = 0;
  /** Led by this node: the tick at which a member was known to be active. */
  private readonly heard = new Map<number, number>();
  private readonly watch = new CallWatch<Call>((call, end) => this.giveUp(call, end));

  constructor(parts: ChangeParts) {
    this.parts = parts;
  }

  get isOpen(): boolean {
    return this.call !== null;
  }

  /** The caller wakes the driver. */
  begin(change: CheckedChange, options: CallOptions = {}): Promise<MembershipChanged> {
    const signal = options.signal ?? null;
    if (this.call !== null) return Promise.reject(underWay());
    if (signal?.aborted)
      return Promise.reject(endedCall({ code: "RAFT_ABORTED", cause: signal.reason }, WAITING));
    return new Promise((resolve, reject) => {
      const none = { term: 0, index: 0, committed: false, ticks: 0, timer: null };
      const call: Call = { change, signal, ...none, resolve, reject };
      this.watch.add(call, options.timeoutMs);
      this.call = call;
    });
  }

  /** A turn of the driver: proposes what waits, as soon as it may. */
  turn(): void {
    const { call } = this;
    if (call === null || call.index !== 0) return;
    const { id, rawNode } = this.parts;
    const { raft } = rawNode;
    const refusal = this.refusalNow();
    if (refusal !== null) {
      this.reject(refusal);
      return;
    }
    // A new leader takes no change before it has applied what it found in its log.
    if (raft.pendingConfIndex > raft.raftLog.applied) return;
    const change = this.confChangeOf(call.change);
    if (change instanceof RaftmarkError) {
      this.reject(change);
      return;
    }
    const error = rawNode.proposeConfChange(change);
    if (error !== null) {
      const text = `node ${id} leads and takes no change of members now (${whyDropped(error)}): try again soon`;
      this.reject(new RaftmarkError("RAFT_PROPOSAL_DROPPED", text));
      return;
    }
    call.term = rawNode.lastProposed.term;
    call.index = rawNode.lastProposed.first;
    assert(call.index > 0, "a leader's change has no place in its log");
  }

  /** Why no change at all can be proposed here now. */
  private refusalNow(): RaftmarkError | null {
    const { id, rawNode } = this.parts;
    const { state, lead, trk, raftLog } = rawNode.raft;
    if (state !== StateLeader) {
      const where = lead === 0 ? "no leader is known, try again soon" : `node ${lead} leads, ask it there`;
      const text = `node ${id} does not lead, and only the leader changes members: ${where}`;
      return new RaftmarkError("RAFT_NOT_LEADER", text, { leader: lead });
    }
    const isUnderWay = raftLog.unappliedConfChanges.length > 0 || trk.confState().votersOutgoing.length > 0;
    return isUnderWay ? underWay() : null;
  }

  /** What the core is to propose, with all addresses; or why the members as they are do not allow it. */
  private confChangeOf(checked: CheckedChange): ConfChangeV2 | RaftmarkError {
    const { rawNode, book } = this.parts;
    const refusal = refusalOfChange(checked, this.view());
    if (refusal !== null) return refusal;
    const given = new Map([...checked.add, ...checked.update].map((one) => [one.id, one.address]));
    const change: ConfChangeV2 = {
      transition: ConfChangeTransitionAuto,
      changes: singlesOf(checked),
      context: encodeMemberRecord(book.record(given, rawNode.raft.trk.confState(), this.knownLogs())),
    };
    const tooLarge = this.whyTooLarge(marshalConfChange(change).length);
    return tooLarge === null ? change : new RaftmarkError("RAFT_CHANGE_REFUSED", tooLarge);
  }

  private knownLogs(): Map<number, string> {
    const { rawNode, logs } = this.parts;
    return new Map([...logs()].filter(([member]) => rawNode.raft.trk.progress.has(member)));
  }

  /** An entry that no frame carries would never be committed, nor would anything behind it. */
  private whyTooLarge(bytes: number): string | null {
    const { maxFrameBytes } = this.parts;
    const most = maxFrameBytes - FRAME_ROOM_BYTES;
    if (bytes <= most) return null;
    return (
      `with all addresses the change takes ${bytes} bytes, and frames of maxFrameBytes (${maxFrameBytes}) carry at most ` +
      `${most}: give every member a larger maxFrameBytes first`
    );
  }

  private view(): MembershipView {
    const { id, rawNode, book, isConnected, electionTicks } = this.parts;
    const { trk, raftLog } = rawNode.raft;
    const { voters, learners } = trk.confState();
    return {
      self: id,
      voters,
      learners,
      commit: raftLog.committed,
      addressOf: (member) => book.addressOf(member),
      isRemoved: (member) => book.isRemoved(member),
      // Who leads since a moment ago has not heard all of them yet.
      isActive: (member) =>
        isConnected(member) &&
        (trk.progress.get(member)?.recentActive === true ||
          this.ledTicks <= electionTicks ||
          this.ticks - (this.heard.get(member) ?? -Infinity) <= electionTicks),
      matchOf: (member) => {
        const progress = trk.progress.get(member);
        return progress?.state === StateReplicate ? progress.match : -1;
      },
    };
  }

  /** An entry other than a caller's is applied; of a change of members, with the membership that it led to. */
  applied(entry: Entry, state: ConfState | null): void {
    const { call } = this;
    if (call === null || call.index === 0) return;
    if (call.committed) {
      if (this.isDone) this.resolve(call);
    } else if (entry.index === call.index && entry.term === call.term) {
      call.committed = true;
      if (state === null) {
        const text = "the change led to no membership, so that nothing changed";
        this.reject(new RaftmarkError("RAFT_CHANGE_REFUSED", text));
      } else if (this.isDone) this.resolve(call);
    } else if (entry.term > call.term) this.reject(lost(call, entry));
  }

  /** What was removed may be turned off. A leader that removed itself hears no more of it. */
  private get isDone(): boolean {
    const { id, rawNode, departures } = this.parts;
    return !this.isJoint && (departures.areKnown || !rawNode.raft.trk.progress.has(id));
  }

  private get isJoint(): boolean {
    return this.parts.rawNode.raft.trk.confState().votersOutgoing.length > 0;
  }

  /** A snapshot took the place of the entries up to the last in it. */
  skippedTo(last: { readonly index: number; readonly term: number }): void {
    const { call } = this;
    if (call === null || call.index === 0) return;
    if (call.committed) {
      if (this.isJoint) return;
      // Whether a majority knows of what it removed stands in what is skipped.
      if (call.change.remove.length === 0) this.resolve(call);
      else this.reject(leadershipLost(true, false));
    } else if (last.index >= call.index) this.reject(leadershipLost(false, false));
    else if (last.term > call.term) this.reject(lost(call, last));
  }

  tick(): void {
    const { call, parts } = this;
    const { state, trk } = parts.rawNode.raft;
    this.ticks++;
    this.leaderlessTicks = state === StateLeader ? 0 : this.leaderlessTicks + 1;
    this.ledTicks = state === StateLeader ? this.ledTicks + 1 : 0;
    // The core forgets it once an election timeout, and knows it again with the next answer.
    if (state === StateLeader)
      for (const [member, { recentActive }] of trk.progress)
        if (recentActive) this.heard.set(member, this.ticks);
    if (call === null) return;
    call.ticks++;
    if (call.index !== 0 && this.leaderlessTicks > parts.leaderlessTicks)
      this.reject(leadershipLost(call.committed, this.isJoint));
    else if (call.ticks > parts.timeoutTicks) {
      const { aborted: _, late } = textsOf(call, this.isJoint);
      const text = `${late} (requestTimeoutMs)`;
      this.reject(new RaftmarkError("RAFT_TIMEOUT", text, { mayCommit: call.index !== 0 }));
    }
  }

  private giveUp(call: Call, end: CallEnd): void {
    if (this.call !== call) return;
    this.call = null;
    call.reject(endedCall(end, textsOf(call, this.isJoint), call.index !== 0));
  }

  private resolve(call: Call): void {
    this.call = null;
    this.watch.remove(call);
    call.resolve({ index: call.index, term: call.term });
  }

  private reject(error: RaftmarkError): void {
    const call = this.call!;
    this.call = null;
    this.watch.remove(call);
    call.reject(error);
  }

  /** The node ends. */
  end({ code, message, cause }: RaftmarkError): void {
    const { call } = this;
    if (call === null) return;
    const mayCommit = call.index !== 0;
    const text = mayCommit
      ? `${message}; ${call.committed ? standOf(this.isJoint) : "the change is in the log and may still commit"}`
      : message;
    this.reject(new RaftmarkError(code, text, { mayCommit, cause }));
  }
}

const JOINT = "the change is committed, and its joint state is not left yet";
const UNKNOWN =
  "the change is in force, and a majority of its voters is not known to know: do not turn off what it removed";

/** Of a change that is committed. */
function standOf(isJoint: boolean): string {
  return isJoint ? JOINT : UNKNOWN;
}

const WAITING = {
  aborted: "aborted before the change was in the log",
  late: "the change was not in the log in time",
};
const APPENDED = {
  aborted: "aborted while the change is in the log: it may still commit",
  late: "not committed in time; the change is in the log and may still commit",
};

function textsOf(call: Call, isJoint: boolean): { aborted: string; late: string } {
  if (call.index === 0) return WAITING;
  if (!call.committed) return APPENDED;
  const stands = standOf(isJoint);
  const whose = isJoint ? "the old or the new voters" : "the new voters";
  return { aborted: `aborted: ${stands}`, late: `${stands}: a majority of ${whose} is away` };
}

function underWay(): RaftmarkError {
  const text = "another change of members is under way: there is one at a time, so try again when it is done";
  return new RaftmarkError("RAFT_CHANGE_UNDER_WAY", text);
}

function lost(call: Call, entry: { readonly index: number; readonly term: number }): RaftmarkError {
  const text =
    `an entry of term ${entry.term} is committed at index ${entry.index}, so that this change (index ${call.index}, term ` +
    `${call.term}) never will be: ask the new leader`;
  return new RaftmarkError("RAFT_PROPOSAL_DROPPED", text);
}

function leadershipLost(committed: boolean, isJoint: boolean): RaftmarkError {
  const text = committed
    ? `this node leads no more; ${standOf(isJoint)}${isJoint ? ": who leads now leaves it" : ""}`
    : "this node leads no more, and does not know whether the change, which is in its log, will be committed";
  return new RaftmarkError("RAFT_LEADERSHIP_LOST", text, { mayCommit: true });
}
