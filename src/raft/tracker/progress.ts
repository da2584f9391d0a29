// Progress: what a leader knows of one follower, and what it may send it next. Owns the three states of
// replication (probe, replicate, snapshot) and their transitions; decides nothing about when to send.
import { assert, fail } from "../../base/assert.js";
import type { Inflights } from "./inflights.js";

/** At most one message with entries per heartbeat interval, to find out where the logs agree. */
export const StateProbe = 0;
/** Pipelined: `next` runs ahead of what is acknowledged. */
export const StateReplicate = 1;
/** A snapshot is under way; nothing else is sent. */
export const StateSnapshot = 2;
/** One of StateProbe, StateReplicate and StateSnapshot. */
export type ProgressState = 0 | 1 | 2;

/** By ProgressState. */
export const PROGRESS_STATE_NAMES = ["StateProbe", "StateReplicate", "StateSnapshot"] as const;

export interface ProgressInit {
  readonly match: number;
  readonly next: number;
  readonly inflights: Inflights;
  readonly isLearner: boolean;
  readonly recentActive: boolean;
}

/** What the leader knows of one member's log (etcd raft's Progress). */
export class Progress {
  /** Proven equal on the follower up to here. Invariant: 0 <= match < next. */
  match: number;
  /** What we send next. Replicate: indexes strictly between match and next are on the wire. */
  next: number;
  /** Highest commit index sent to the follower in a MsgApp or MsgHeartbeat, as far as it can have used it. */
  sentCommit = 0;
  state: ProgressState = StateProbe;
  /** Index of the snapshot under way. Invariant: 0 unless in StateSnapshot. */
  pendingSnapshot = 0;
  /** Heard of since the last quorum check. */
  recentActive: boolean;
  /** The latest round of heartbeats that it answered (ReadOnly); 0: none in this term. */
  heartbeatRound = 0;
  /** No MsgApp with entries may leave until the follower is heard again. */
  msgAppFlowPaused = false;
  readonly inflights: Inflights;
  isLearner: boolean;

  constructor(init: ProgressInit) {
    this.match = init.match;
    this.next = init.next;
    this.recentActive = init.recentActive;
    this.inflights = init.inflights;
    this.isLearner = init.isLearner;
  }

  /** A copy that shares the window: whoever takes the copy drops the original. */
  clone(): Progress {
    const copy = new Progress(this);
    copy.sentCommit = this.sentCommit;
    copy.heartbeatRound = this.heartbeatRound;
    copy.state = this.state;
    copy.pendingSnapshot = this.pendingSnapshot;
    copy.msgAppFlowPaused = this.msgAppFlowPaused;
    return copy;
  }

  /**
   * Forgets everything but the kind of member (a new term begins); nothing is known, `next` is to be probed.
   */
  reset(match: number, next: number): void {
    assert(match < next, "match must stay below next");
    this.resetState(StateProbe);
    this.match = match;
    this.next = next;
    this.sentCommit = 0;
    this.heartbeatRound = 0;
    this.recentActive = false;
  }

  /** After a snapshot or a rejection: the follower's log is to be probed from what is surely there. */
  becomeProbe(): void {
    // The follower may have restored the snapshot although its answer has not come: probe right behind it.
    const behindSnapshot = this.state === StateSnapshot ? this.pendingSnapshot + 1 : 0;
    this.resetState(StateProbe);
    this.next = Math.max(this.match + 1, behindSnapshot);
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
  }

  becomeReplicate(): void {
    this.resetState(StateReplicate);
    this.next = this.match + 1;
  }

  becomeSnapshot(index: number): void {
    assert(index > 0, "no snapshot has index 0");
    this.resetState(StateSnapshot);
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.sentCommit = index;
  }

  /** Accounts for a MsgApp just sent with this many entries and bytes of payload. */
  // hot
  sentEntries(entries: number, bytes: number): void {
    if (this.state === StateReplicate) {
      if (entries > 0) {
        this.next += entries;
        this.inflights.add(this.next - 1, bytes);
      }
      // Full window: an empty MsgApp may still leave once per heartbeat, so that a lost one is noticed.
      this.msgAppFlowPaused = this.inflights.full();
    } else if (this.state === StateProbe) {
      if (entries > 0) this.msgAppFlowPaused = true;
    } else {
      fail("sending entries while a snapshot is under way");
    }
  }

  /** Whether sending commit `index` could raise the follower's commit index beyond what was sent. */
  // hot
  canBumpCommit(index: number): boolean {
    return index > this.sentCommit && this.sentCommit < this.next - 1;
  }

  // hot
  setSentCommit(commit: number): void {
    this.sentCommit = commit;
  }

  /** The follower acknowledged `n`; false if that is nothing new. */
  // hot
  maybeUpdate(n: number): boolean {
    if (n <= this.match) return false;
    this.match = n;
    if (this.next <= n) this.next = n + 1;
    this.msgAppFlowPaused = false;
    return true;
  }

  /** The follower rejected `rejected` and hints at `matchHint`; false if the rejection is stale. */
  maybeDecrTo(rejected: number, matchHint: number): boolean {
    if (this.state === StateReplicate) {
      // Stale: a message that was overtaken; match already proves this index.
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
    } else {
      // Stale: probing sends one message at a time, so only the latest can be rejected in earnest.
      if (this.next - 1 !== rejected) return false;
      this.next = Math.max(Math.min(rejected, matchHint + 1), this.match + 1);
      this.msgAppFlowPaused = false;
    }
    assert(this.next > this.match, "next fell to or below match");
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
    return true;
  }

  // hot
  isPaused(): boolean {
    return this.state === StateSnapshot || this.msgAppFlowPaused;
  }

  toString(): string {
    let text = `${PROGRESS_STATE_NAMES[this.state]} match=${this.match} next=${this.next}`;
    if (this.isLearner) text += " learner";
    if (this.isPaused()) text += " paused";
    if (this.pendingSnapshot > 0) text += ` pendingSnap=${this.pendingSnapshot}`;
    if (!this.recentActive) text += " inactive";
    const inflight = this.inflights.count();
    if (inflight > 0) text += ` inflight=${inflight}${this.inflights.full() ? "[full]" : ""}`;
    return text;
  }

  private resetState(state: ProgressState): void {
    this.msgAppFlowPaused = false;
    this.pendingSnapshot = 0;
    this.state = state;
    this.inflights.reset();
  }
}
