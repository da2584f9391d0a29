// Membership changes (§6): whether one may be proposed, what applying it does, and what a leader does about
// it.

import type { ChangerResult } from "./confchange/index.js";
import { Changer } from "./confchange/index.js";
import { describeConfChange } from "./describe.js";
import { ErrBadConfChange, RaftError } from "./errors.js";
import { hex } from "./logger.js";
import type { Raft } from "./raft.js";
import {
  asV2,
  type ConfChange,
  type ConfChangeV2,
  type ConfState,
  type Entry,
  EntryConfChange,
  enterJoint,
  leaveJoint,
  None,
  unmarshalConfChange,
  unmarshalConfChangeV2,
} from "./raftpb/index.js";
import { answerConfirmed, releasePendingReadIndexMessages } from "./read-index.js";
import { StateLeader } from "./ready.js";
import { bcastAppend, maybeSendAppend } from "./replicate.js";

/** The change an entry carries, of the generation its type says; null for bytes that are none. */
export function decodeConfChange(e: Entry): ConfChange | ConfChangeV2 | null {
  return e.type === EntryConfChange ? unmarshalConfChange(e.data) : unmarshalConfChangeV2(e.data);
}

/** The membership that `cc` leads to from the present one. Changes nothing. */
export function computeConfChange(r: Raft, cc: ConfChangeV2): ChangerResult | RaftError {
  const changer = new Changer(r.trk, r.raftLog.lastIndex());
  if (leaveJoint(cc)) return changer.leaveJoint();
  const joint = enterJoint(cc);
  if (joint !== "no") return changer.enterJoint(joint === "autoLeave", cc.changes);
  return changer.simple(cc.changes);
}

/**
 * Applies a committed change. A change that leads to no valid membership (one without voters) is refused:
 * nothing changes, here and on every other member alike, since all start from the same membership.
 */
export function applyConfChange(r: Raft, cc: ConfChange | ConfChangeV2): ConfState | RaftError {
  const v2 = asV2(cc);
  for (const change of v2.changes) {
    if (!Number.isSafeInteger(change.nodeId) || change.nodeId < 0) return ErrBadConfChange;
  }
  const result = computeConfChange(r, v2);
  if (result instanceof RaftError) return result;
  r.install(result.config, result.progress);
  afterSwitch(r);
  return r.trk.confState();
}

/** What a leader does once a new membership is in place. */
function afterSwitch(r: Raft): void {
  if (r.state !== StateLeader) return;
  const own = r.trk.progress.get(r.id);
  if (own === undefined || own.isLearner) {
    // §6: a leader that is not in the new configuration manages a group that it is not part of. By default it
    // does so until somebody else is elected.
    if (r.settings.stepDownOnRemoval) r.becomeFollower(r.term, None);
    if (r.settings.stepDownOnRemoval || !r.settings.beyondEtcd) return;
  }
  if (r.trk.voters.incoming.ids.length === 0) return;
  if (r.maybeCommit()) {
    // A smaller group may have a quorum for more.
    releasePendingReadIndexMessages(r);
    bcastAppend(r);
  } else {
    // New members need not wait for a heartbeat or the next proposal.
    const { peerIds, peers } = r.trk;
    for (let i = 0; i < peerIds.length; i++) {
      if (peerIds[i] !== r.id) maybeSendAppend(r, peerIds[i], peers[i], false);
    }
  }
  // As for reads: who is left may have answered already, and a sole voter hears nobody.
  answerConfirmed(r);
  if (r.leadTransferee !== None && !r.trk.voters.has(r.leadTransferee)) r.leadTransferee = None;
}

/** A leader's check of a change before it enters the log. True: an empty entry takes its place. */
export function ignoresConfChange(r: Raft, cc: ConfChange | ConfChangeV2, pendingConfIndex: number): boolean {
  const applied = r.raftLog.applied;
  const joint = r.trk.voters.outgoing.ids.length > 0;
  const wantsLeaveJoint = asV2(cc).changes.length === 0;
  let reason: string | null = null;
  if (pendingConfIndex > applied) {
    reason = `possible unapplied conf change at index ${pendingConfIndex} (applied to ${applied})`;
  } else if (joint && !wantsLeaveJoint) {
    reason = "must transition out of joint config first";
  } else if (!joint && wantsLeaveJoint) {
    reason = "not in joint state; refusing empty conf change";
  }
  if (reason === null || r.settings.disableConfChangeValidation) return false;
  if (r.logger !== null) {
    r.logger.info(
      `${hex(r.id)} ignoring conf change ${describeConfChange(cc)} at config ` +
        `${r.trk.configString()}: ${reason}`,
    );
  }
  return true;
}
