// What a leader does with a message of its term: proposals, acknowledgements, heartbeat answers, reads,
// transfers.
import { assert } from "../base/assert.js";
import { NO_DATA } from "../base/bytes.js";
import {
  ErrBadConfChange,
  ErrEmptyProposal,
  ErrProposalDroppedRemoved,
  ErrProposalDroppedTransferring,
  ErrProposalDroppedUncommittedLimit,
  RaftError,
} from "./errors.js";
import { hex } from "./logger.js";
import { computeConfChange, decodeConfChange, ignoresConfChange } from "./membership.js";
import type { Raft } from "./raft.js";
import {
  asV2,
  Entry,
  EntryNormal,
  Message,
  MsgAppResp,
  MsgBeat,
  MsgCheckQuorum,
  MsgForgetLeader,
  MsgHeartbeatResp,
  MsgProp,
  MsgReadIndex,
  MsgSnapStatus,
  MsgTimeoutNow,
  MsgTransferLeader,
  MsgUnreachable,
  None,
} from "./raftpb/index.js";
import { answerConfirmed, handleReadIndex, releasePendingReadIndexMessages } from "./read-index.js";
import { StateLeader } from "./ready.js";
import { bcastAppend, bcastHeartbeat, maybeSendAppend } from "./replicate.js";
import { type Progress, StateProbe, StateReplicate, StateSnapshot } from "./tracker/index.js";

// hot
export function stepLeader(r: Raft, m: Message): RaftError | null {
  switch (m.type) {
    case MsgProp:
      return handleProposal(r, m);
    case MsgBeat:
      bcastHeartbeat(r);
      return null;
    case MsgCheckQuorum:
      checkQuorum(r);
      return null;
    case MsgReadIndex:
      handleReadIndex(r, m);
      return null;
    case MsgForgetLeader:
      return null;
  }
  // All others are about the sender's progress.
  const progress = r.trk.progress.get(m.from);
  if (progress === undefined) {
    r.logger?.debug(`${hex(r.id)} no progress available for ${hex(m.from)}`);
    return null;
  }
  switch (m.type) {
    case MsgAppResp:
      // Heard of, whatever it says: also of a late or stale answer.
      progress.recentActive = true;
      if (m.reject) handleRejection(r, m, progress);
      else handleAcknowledgement(r, m, progress);
      return null;
    case MsgHeartbeatResp:
      handleHeartbeatResp(r, m, progress);
      return null;
    case MsgSnapStatus:
      handleSnapStatus(r, m, progress);
      return null;
    case MsgUnreachable:
      // Optimistic sending meets a dead connection: what was sent is most likely lost.
      if (progress.state === StateReplicate) progress.becomeProbe();
      r.logger?.debug(
        `${hex(r.id)} failed to send message to ${hex(m.from)} because it is unreachable [${progress}]`,
      );
      return null;
    case MsgTransferLeader:
      handleTransferLeader(r, m, progress);
      return null;
    default:
      return null;
  }
}

/** Appends what is proposed and sends it on. A refusal leaves everything as it was. */
// hot
function handleProposal(r: Raft, m: Message): RaftError | null {
  if (m.entries.length === 0) return ErrEmptyProposal;
  // Removed while leading: what it appended could never commit by its own doing.
  if (!r.trk.progress.has(r.id)) return ErrProposalDroppedRemoved;
  if (r.leadTransferee !== None) {
    r.logger?.debug(
      `${hex(r.id)} [term ${r.term}] transfer leadership to ${hex(r.leadTransferee)} is in progress; ` +
        `dropping proposal`,
    );
    return ErrProposalDroppedTransferring;
  }
  let entries = m.entries;
  let pendingConfIndex = r.pendingConfIndex;
  for (let i = 0; i < entries.length; i++) {
    if (entries[i].type === EntryNormal) continue;
    const verdict = checkConfChange(r, entries[i], pendingConfIndex);
    if (verdict instanceof RaftError) return verdict;
    if (verdict) {
      pendingConfIndex = r.raftLog.lastIndex() + 1 + i;
    } else {
      // An empty entry keeps the place, so that the indexes of the others are as expected.
      if (entries === m.entries) entries = entries.slice();
      entries[i] = new Entry(EntryNormal, 0, 0, NO_DATA);
    }
  }
  if (!r.appendEntry(entries)) return ErrProposalDroppedUncommittedLimit;
  r.pendingConfIndex = pendingConfIndex;
  bcastAppend(r);
  return null;
}

/**
 * True: the change may enter the log; false: an empty entry takes its place; an error: the proposal is
 * refused.
 */
function checkConfChange(r: Raft, e: Entry, pendingConfIndex: number): boolean | RaftError {
  const cc = decodeConfChange(e);
  if (cc === null) return ErrBadConfChange;
  if (ignoresConfChange(r, cc, pendingConfIndex)) return false;
  if (r.settings.disableConfChangeValidation) return true;
  // Nothing is pending, so it will be applied to the present membership: whether that works can be known now.
  const result = computeConfChange(r, asV2(cc));
  return result instanceof RaftError ? result : true;
}

/**
 * §5.3: the logs differ at the index that was sent. Looks further back, by the follower's hint and our own
 * terms.
 */
function handleRejection(r: Raft, m: Message, progress: Progress): void {
  r.logger?.debug(
    `${hex(r.id)} received MsgAppResp(rejected, hint: (index ${m.rejectHint}, term ${m.logTerm})) ` +
      `from ${hex(m.from)} for index ${m.index}`,
  );
  let next = m.rejectHint;
  // The follower's entry at the hint has this term: above our last entry of that term or an earlier one,
  // nothing of ours can match (both logs' terms never fall).
  if (m.logTerm > 0) next = r.raftLog.findConflictByTerm(m.rejectHint, m.logTerm);
  if (!progress.maybeDecrTo(m.index, next)) return;
  r.logger?.debug(`${hex(r.id)} decreased progress of ${hex(m.from)} to [${progress}]`);
  if (progress.state === StateReplicate) progress.becomeProbe();
  maybeSendAppend(r, m.from, progress, true);
}

/** The follower has our log up to m.index. */
// hot
function handleAcknowledgement(r: Raft, m: Message, progress: Progress): void {
  // A probe that is answered with what was known still says that the follower is back.
  const answersProbe = progress.match === m.index && progress.state === StateProbe;
  if (!progress.maybeUpdate(m.index) && !answersProbe) return;
  if (progress.state === StateReplicate) {
    progress.inflights.freeLE(m.index);
  } else if (progress.state === StateProbe) {
    progress.becomeReplicate();
  } else if (progress.match + 1 >= r.raftLog.firstIndex()) {
    // Whatever snapshot it got, and from whom: our log reaches back far enough now.
    r.logger?.debug(
      `${hex(r.id)} recovered from needing snapshot, resumed sending replication messages to ` +
        `${hex(m.from)} [${progress}]`,
    );
    // Probe first: it takes `next` behind the snapshot.
    progress.becomeProbe();
    progress.becomeReplicate();
  }
  const self = m.from === r.id;
  if (r.maybeCommit()) {
    releasePendingReadIndexMessages(r);
    bcastAppend(r);
  } else if (!self && progress.canBumpCommit(r.raftLog.committed)) {
    // Sooner than with the next heartbeat.
    maybeSendAppend(r, m.from, progress, true);
  }
  if (self) return;
  // The window has room again: fill it.
  while (maybeSendAppend(r, m.from, progress, false)) {
    // All that is to do is done in the condition.
  }
  if (m.from === r.leadTransferee && progress.match === r.raftLog.lastIndex()) {
    r.logger?.info(`${hex(r.id)} sent MsgTimeoutNow to ${hex(m.from)} after received MsgAppResp`);
    sendTimeoutNow(r, m.from);
  }
}

function handleHeartbeatResp(r: Raft, m: Message, progress: Progress): void {
  progress.recentActive = true;
  progress.msgAppFlowPaused = false;
  // One append a heartbeat, even with a full window: if all in it was lost, this one's rejection tells. A
  // follower that is being probed needs one too, empty or not, to be replicated to again.
  if (progress.match < r.raftLog.lastIndex() || progress.state === StateProbe) {
    maybeSendAppend(r, m.from, progress, true);
  }
  const round = r.readOnly.roundOf(m.context);
  if (round <= progress.heartbeatRound) return;
  progress.heartbeatRound = round;
  answerConfirmed(r);
}

function handleSnapStatus(r: Raft, m: Message, progress: Progress): void {
  if (progress.state !== StateSnapshot) return;
  // After a failure, back to what was before the snapshot, not behind it.
  if (m.reject) progress.pendingSnapshot = 0;
  progress.becomeProbe();
  r.logger?.debug(
    `${hex(r.id)} snapshot ${m.reject ? "failed" : "succeeded"}, resumed sending replication messages to ` +
      `${hex(m.from)} [${progress}]`,
  );
  // Sent: its MsgAppResp will come. Failed: not again before the next heartbeat's answer.
  progress.msgAppFlowPaused = true;
}

/** Dissertation §3.10. */
function handleTransferLeader(r: Raft, m: Message, progress: Progress): void {
  const to = m.from;
  const before = r.leadTransferee;
  if (progress.isLearner) {
    r.logger?.debug(`${hex(r.id)} is learner. Ignored transferring leadership`);
    return;
  }
  if (before === to) {
    r.logger?.info(
      `${hex(r.id)} [term ${r.term}] transfer leadership to ${hex(to)} is in progress, ignores request ` +
        `to same node ${hex(to)}`,
    );
    return;
  }
  if (before !== None) {
    r.leadTransferee = None;
    r.logger?.info(`${hex(r.id)} [term ${r.term}] abort previous transferring leadership to ${hex(before)}`);
  }
  if (to === r.id) {
    r.logger?.debug(`${hex(r.id)} is already leader. Ignored transferring leadership to self`);
    return;
  }
  r.logger?.info(`${hex(r.id)} [term ${r.term}] starts to transfer leadership to ${hex(to)}`);
  // It has one election timeout to come off.
  r.electionElapsed = 0;
  r.leadTransferee = to;
  if (progress.match === r.raftLog.lastIndex()) {
    sendTimeoutNow(r, to);
    r.logger?.info(
      `${hex(r.id)} sends MsgTimeoutNow to ${hex(to)} immediately as ${hex(to)} already has up-to-date log`,
    );
  } else {
    progress.msgAppFlowPaused = false;
    maybeSendAppend(r, to, progress, true);
  }
}

function sendTimeoutNow(r: Raft, to: number): void {
  r.leaseGivenUp = true;
  const m = new Message(MsgTimeoutNow);
  m.to = to;
  r.send(m);
}

/**
 * The driver found that this leader cannot do its work. Like one that hears no quorum it becomes a follower of the same
 * term, and whoever is known to have most of its log is asked to campaign at once (dissertation §3.10).
 */
export function stepDown(r: Raft): void {
  assert(r.state === StateLeader, "only a leader steps down");
  let heir = None;
  let match = -1;
  for (const id of r.trk.voterNodes()) {
    const progress = r.trk.progress.get(id);
    if (id === r.id || progress === undefined || progress.match <= match) continue;
    heir = id;
    match = progress.match;
  }
  r.logger?.warn(`${hex(r.id)} stepped down to follower at term ${r.term}, as it was told to`);
  if (heir !== None) sendTimeoutNow(r, heir);
  r.becomeFollower(r.term, None);
}

/** Dissertation §6.2: a leader that hears no quorum steps down, so that clients do not wait for it. */
function checkQuorum(r: Raft): void {
  if (!r.trk.quorumActive()) {
    r.logger?.warn(`${hex(r.id)} stepped down to follower since quorum is not active`);
    r.becomeFollower(r.term, None);
  }
  const { peerIds, peers } = r.trk;
  for (let i = 0; i < peers.length; i++) {
    if (peerIds[i] !== r.id) peers[i].recentActive = false;
  }
}
