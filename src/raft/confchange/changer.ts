// Changer: computes the membership that follows from changes to the present one (Raft §6). Pure: it changes
// neither the tracker nor any Progress it was given; the caller installs the result or drops it.
import { assert } from "../../base/assert.js";
import { RaftError } from "../../base/raft-error.js";
import { JointConfig, MajorityConfig } from "../quorum/index.js";
import {
  ConfChangeAddLearnerNode,
  ConfChangeAddNode,
  ConfChangeRemoveNode,
  type ConfChangeSingle,
} from "../raftpb/index.js";
import { type Progress, ProgressTracker, type TrackerConfig } from "../tracker/index.js";

const CODE = "RAFT_CONF_CHANGE_INVALID";
export const ErrSimpleInJoint = new RaftError(CODE, "can't apply simple config change in joint config");
export const ErrMoreThanOneVoter = new RaftError(
  CODE,
  "more than one voter changed without entering joint config",
);
export const ErrRemovedAllVoters = new RaftError(CODE, "removed all voters");
export const ErrAlreadyJoint = new RaftError(CODE, "config is already joint");
export const ErrZeroVoterJoint = new RaftError(CODE, "can't make a zero-voter config joint");
export const ErrNotJoint = new RaftError(CODE, "can't leave a non-joint config");

/** What a change leads to; for ProgressTracker.install. */
export interface ChangerResult {
  readonly config: TrackerConfig;
  readonly progress: Map<number, Progress>;
}

export class Changer {
  private readonly tracker: ProgressTracker;
  /** Last index of the leader's log: where a new member is probed first. */
  private readonly lastIndex: number;

  constructor(tracker: ProgressTracker, lastIndex: number) {
    assert(Number.isSafeInteger(lastIndex) && lastIndex >= 0, "last index must be a safe integer");
    this.tracker = tracker;
    this.lastIndex = lastIndex;
  }

  /** A Changer of the same log that starts from `result`. Leaves this one as it is. */
  after(result: ChangerResult): Changer {
    const tracker = new ProgressTracker(this.tracker.maxInflight, this.tracker.maxInflightBytes);
    tracker.install(result.config, result.progress);
    return new Changer(tracker, this.lastIndex);
  }

  /** The membership this one starts from, unchanged. */
  unchanged(): ChangerResult {
    return new Draft(this.tracker, this.lastIndex).finish();
  }

  /**
   * Enters a joint config: the outgoing half is the voters as they are, the incoming one has the changes
   * applied. Both decide until leaveJoint.
   */
  enterJoint(autoLeave: boolean, changes: readonly ConfChangeSingle[]): ChangerResult | RaftError {
    const draft = new Draft(this.tracker, this.lastIndex);
    if (draft.joint()) return ErrAlreadyJoint;
    if (draft.incoming.size === 0) return ErrZeroVoterJoint;
    for (const id of draft.incoming) draft.outgoing.add(id);
    const refused = draft.apply(changes);
    if (refused !== null) return refused;
    draft.autoLeave = autoLeave;
    return draft.finish();
  }

  /** Drops the outgoing half; voters demoted in the joint config become learners now. */
  leaveJoint(): ChangerResult | RaftError {
    const draft = new Draft(this.tracker, this.lastIndex);
    if (!draft.joint()) return ErrNotJoint;
    for (const id of draft.learnersNext) {
      draft.learners.add(id);
      draft.progress.get(id)!.isLearner = true;
    }
    draft.learnersNext.clear();
    for (const id of draft.outgoing) {
      if (!draft.incoming.has(id) && !draft.learners.has(id)) draft.progress.delete(id);
    }
    draft.outgoing.clear();
    draft.autoLeave = false;
    return draft.finish();
  }

  /**
   * Changes of a group that nobody votes in yet, so that any number of voters may come at once: for rebuilding one that
   * is stored.
   */
  replay(changes: readonly ConfChangeSingle[]): ChangerResult | RaftError {
    const draft = new Draft(this.tracker, this.lastIndex);
    assert(draft.incoming.size === 0, "replaying changes to a group that has voters");
    return draft.apply(changes) ?? draft.finish();
  }

  /** Changes that alter at most one voter: old and new majorities overlap without a joint config. */
  simple(changes: readonly ConfChangeSingle[]): ChangerResult | RaftError {
    const draft = new Draft(this.tracker, this.lastIndex);
    if (draft.joint()) return ErrSimpleInJoint;
    const refused = draft.apply(changes);
    if (refused !== null) return refused;
    if (symmetricDifference(this.tracker.voters.incoming, draft.incoming) > 1) return ErrMoreThanOneVoter;
    return draft.finish();
  }
}

/** A membership under construction: the tracker's, copied, so that a refusal leaves no trace. */
class Draft {
  readonly incoming: Set<number>;
  readonly outgoing: Set<number>;
  readonly learners: Set<number>;
  readonly learnersNext: Set<number>;
  autoLeave: boolean;
  readonly progress = new Map<number, Progress>();
  private readonly tracker: ProgressTracker;
  private readonly lastIndex: number;

  constructor(tracker: ProgressTracker, lastIndex: number) {
    checkInvariants(tracker.config, tracker.progress);
    this.incoming = new Set(tracker.voters.incoming.ids);
    this.outgoing = new Set(tracker.voters.outgoing.ids);
    this.learners = new Set(tracker.learners);
    this.learnersNext = new Set(tracker.learnersNext);
    this.autoLeave = tracker.autoLeave;
    this.tracker = tracker;
    this.lastIndex = lastIndex;
    for (const [id, progress] of tracker.progress) this.progress.set(id, progress.clone());
  }

  joint(): boolean {
    return this.outgoing.size > 0;
  }

  /** Applies the changes one after the other to the incoming half. Id 0 stands for a change taken back. */
  apply(changes: readonly ConfChangeSingle[]): RaftError | null {
    for (const change of changes) {
      if (change.nodeId === 0) continue;
      if (change.type === ConfChangeAddNode) this.makeVoter(change.nodeId);
      else if (change.type === ConfChangeAddLearnerNode) this.makeLearner(change.nodeId);
      else if (change.type === ConfChangeRemoveNode) this.remove(change.nodeId);
      // ConfChangeUpdateNode concerns the application alone.
    }
    return this.incoming.size === 0 ? ErrRemovedAllVoters : null;
  }

  finish(): ChangerResult {
    const config: TrackerConfig = {
      voters: new JointConfig(new MajorityConfig([...this.incoming]), new MajorityConfig([...this.outgoing])),
      learners: ascending(this.learners),
      learnersNext: ascending(this.learnersNext),
      autoLeave: this.autoLeave,
    };
    checkInvariants(config, this.progress);
    return { config, progress: this.progress };
  }

  private makeVoter(id: number): void {
    const progress = this.progress.get(id);
    this.incoming.add(id);
    if (progress === undefined) {
      this.addProgress(id, false);
      return;
    }
    progress.isLearner = false;
    this.learners.delete(id);
    this.learnersNext.delete(id);
  }

  private makeLearner(id: number): void {
    const progress = this.progress.get(id);
    if (progress === undefined) {
      this.learners.add(id);
      this.addProgress(id, true);
      return;
    }
    if (progress.isLearner) return;
    this.remove(id);
    // Demotion keeps what is known of the log there.
    this.progress.set(id, progress);
    // As a voter of the outgoing half it can't be a learner yet: learners and voters are disjoint.
    if (this.outgoing.has(id)) {
      this.learnersNext.add(id);
    } else {
      progress.isLearner = true;
      this.learners.add(id);
    }
  }

  private remove(id: number): void {
    if (!this.progress.has(id)) return;
    this.incoming.delete(id);
    this.learners.delete(id);
    this.learnersNext.delete(id);
    // The outgoing half still counts it.
    if (!this.outgoing.has(id)) this.progress.delete(id);
  }

  private addProgress(id: number, isLearner: boolean): void {
    // Probed from the leader's last index: most likely wrong, but a new member's log is most likely empty,
    // and its rejection then leads straight to a snapshot or to index 1.
    this.progress.set(id, this.tracker.newProgress(0, Math.max(this.lastIndex, 1), isLearner));
  }
}

function checkInvariants(config: TrackerConfig, progress: ReadonlyMap<number, Progress>): void {
  const { incoming, outgoing } = config.voters;
  for (const id of config.voters.ids()) assert(progress.has(id), "no progress for a voter");
  for (const id of config.learnersNext) {
    assert(outgoing.has(id), "in LearnersNext, but not in the outgoing voters");
    assert(!progress.get(id)!.isLearner, "in LearnersNext, but already marked as learner");
  }
  for (const id of config.learners) {
    assert(progress.has(id), "no progress for a learner");
    assert(!outgoing.has(id), "in Learners and in the outgoing voters");
    assert(!incoming.has(id), "in Learners and in the incoming voters");
    assert(progress.get(id)!.isLearner, "in Learners, but not marked as learner");
  }
  if (outgoing.ids.length > 0) return;
  assert(config.learnersNext.length === 0, "LearnersNext must be empty when not joint");
  assert(!config.autoLeave, "AutoLeave must be false when not joint");
}

function symmetricDifference(before: MajorityConfig, after: ReadonlySet<number>): number {
  let common = 0;
  for (const id of before.ids) if (after.has(id)) common++;
  return before.ids.length + after.size - 2 * common;
}

function ascending(ids: ReadonlySet<number>): number[] {
  return [...ids].sort((a, b) => a - b);
}
