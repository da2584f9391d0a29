// The step function: every message, whatever the role, comes through here first (Figure 2, "Rules for
// Servers: All Servers"). Terms are compared, votes and storage notices handled, and the rest goes to the
// role's own function.

import { NO_DATA } from "../base/bytes.js";
import {
  breaksPromise,
  campaignElection,
  campaignPreElection,
  handleVoteRequest,
  hup,
  inLease,
  learnCommit,
  rejectVote,
} from "./election.js";
import type { RaftError } from "./errors.js";
import { hex } from "./logger.js";
import type { Raft } from "./raft.js";
import {
  Entry,
  EntryConfChangeV2,
  MESSAGE_TYPE_NAMES,
  Message,
  MsgApp,
  MsgAppResp,
  MsgBeat,
  MsgCheckQuorum,
  MsgHeartbeat,
  MsgHup,
  MsgPreVote,
  MsgPreVoteResp,
  MsgProp,
  MsgSnap,
  MsgStorageAppendResp,
  MsgStorageApplyResp,
  MsgVote,
  MsgVoteResp,
  None,
  type Snapshot,
} from "./raftpb/index.js";
import { StateFollower, StateLeader } from "./ready.js";
import { stepCandidate } from "./step-candidate.js";
import { stepFollower } from "./step-follower.js";
import { stepLeader } from "./step-leader.js";

/** Takes one message. What it says must be plausible (validate.ts); an error is an expected refusal. */
// hot
export function step(r: Raft, m: Message): RaftError | null {
  if (m.reject && m.commit !== 0 && (m.type === MsgVoteResp || m.type === MsgPreVoteResp)) learnCommit(r, m);
  // Term 0 is a local message, or one that any leader may take.
  if (m.term !== 0 && m.term !== r.term) {
    const goOn = m.term > r.term ? meetHigherTerm(r, m) : meetLowerTerm(r, m);
    if (!goOn) return null;
  }
  switch (m.type) {
    case MsgHup:
      hup(r, r.settings.preVote ? campaignPreElection : campaignElection);
      return null;
    case MsgStorageAppendResp:
      if (m.index !== 0) r.raftLog.stableTo(m.logTerm, m.index);
      if (m.snapshot !== null) appliedSnap(r, m.snapshot);
      return null;
    case MsgStorageApplyResp:
      if (m.entries.length > 0) {
        const index = m.entries[m.entries.length - 1].index;
        appliedTo(r, index, r.raftLog.applyingSize(m.entries));
        r.reduceUncommittedSize(m.entries);
      }
      return null;
    case MsgVote:
    case MsgPreVote:
      if (!breaksPromise(r, m)) handleVoteRequest(r, m);
      return null;
  }
  if (r.state === StateFollower) return stepFollower(r, m);
  if (r.state === StateLeader) return stepLeader(r, m);
  return stepCandidate(r, m);
}

/** One tick of the clock passed. */
export function tick(r: Raft): void {
  r.ticks++;
  if (r.state === StateLeader) tickHeartbeat(r);
  else tickElection(r);
}

/** §5.1: a later term makes a follower of everybody. False: the message is dropped. */
function meetHigherTerm(r: Raft, m: Message): boolean {
  const type = m.type;
  if ((type === MsgVote || type === MsgPreVote) && (inLease(r, m) || breaksPromise(r, m))) return false;
  // A question about a later term is not one, and neither is the yes to our own.
  if (type === MsgPreVote || (type === MsgPreVoteResp && !m.reject)) return true;
  r.logger?.info(
    `${hex(r.id)} [term: ${r.term}] received a ${MESSAGE_TYPE_NAMES[type]} message with higher term ` +
      `from ${hex(m.from)} [term: ${m.term}]`,
  );
  const fromLeader = type === MsgApp || type === MsgHeartbeat || type === MsgSnap;
  r.becomeFollower(m.term, fromLeader ? m.from : None);
  return true;
}

/**
 * §5.1: a message of an earlier term is stale. Answered where silence could block the group; always dropped.
 */
function meetLowerTerm(r: Raft, m: Message): boolean {
  const type = m.type;
  if ((type === MsgHeartbeat || type === MsgApp) && (r.settings.checkQuorum || r.settings.preVote)) {
    // A leader of an earlier term whom our votes can't reach, because its followers hear it (lease), or
    // because we only ask (pre-vote): it must learn our term, or this node stays stuck.
    const response = new Message(MsgAppResp);
    response.to = m.from;
    r.send(response);
  } else if (type === MsgPreVote) {
    // A candidate of an earlier term with a longer log must learn our term, or neither is ever elected.
    rejectVote(r, m);
  } else if (type === MsgStorageAppendResp) {
    // The entries may have been replaced since, even by ones of the same index and term in flight: a later
    // notice will come. A snapshot is committed state, whatever the term.
    if (m.index !== 0) {
      r.logger?.info(
        `${hex(r.id)} [term: ${r.term}] ignored entry appends from a ${MESSAGE_TYPE_NAMES[type]} message ` +
          `with lower term [term: ${m.term}]`,
      );
      r.raftLog.forgetSlice();
    }
    if (m.snapshot !== null) appliedSnap(r, m.snapshot);
  } else {
    r.logger?.info(
      `${hex(r.id)} [term: ${r.term}] ignored a ${MESSAGE_TYPE_NAMES[type]} message with lower term ` +
        `from ${hex(m.from)} [term: ${m.term}]`,
    );
  }
  return false;
}

// hot
function appliedTo(r: Raft, index: number, size: number): void {
  const applied = Math.max(index, r.raftLog.applied);
  r.raftLog.appliedTo(applied, size);
  maybeAutoLeave(r);
}

/**
 * §6: where the joint configuration is in force and nothing newer is pending, a leader leaves it. If the proposal is
 * dropped (a transfer is under way), the next applied entry tries again, or the next heartbeat (Config.beyondEtcd): an idle
 * group must not stay in it. No data is the change that leaves; it is never refused for its size.
 */
function maybeAutoLeave(r: Raft): void {
  if (!r.trk.autoLeave || r.raftLog.applied < r.pendingConfIndex || r.state !== StateLeader) return;
  const m = new Message(MsgProp);
  m.entries = [new Entry(EntryConfChangeV2, 0, 0, NO_DATA)];
  const error = step(r, m);
  r.autoLeaveDropped = error !== null && r.settings.beyondEtcd;
  if (r.logger === null) return;
  const config = r.trk.configString();
  if (error === null) {
    r.logger.info(`initiating automatic transition out of joint configuration ${config}`);
  } else {
    r.logger.debug(
      `not initiating automatic transition out of joint configuration ${config}: ${error.message}`,
    );
  }
}

function appliedSnap(r: Raft, snapshot: Snapshot): void {
  const index = snapshot.metadata.index;
  r.raftLog.stableSnapTo(index);
  appliedTo(r, index, 0);
}

/** §5.2: no leader was heard for an election timeout. */
function tickElection(r: Raft): void {
  r.electionElapsed++;
  if (!r.promotable() || !r.pastElectionTimeout()) return;
  r.electionElapsed = 0;
  const error = stepLocal(r, MsgHup);
  if (error !== null) r.logger?.debug(`error occurred during election: ${error.message}`);
}

function tickHeartbeat(r: Raft): void {
  r.heartbeatElapsed++;
  r.electionElapsed++;
  if (r.electionElapsed >= r.settings.electionTick) {
    r.electionElapsed = 0;
    if (r.settings.checkQuorum) logTickError(r, stepLocal(r, MsgCheckQuorum));
    // The transfer did not come off in time: lead on.
    if (r.state === StateLeader) r.leadTransferee = None;
  }
  if (r.state !== StateLeader || r.heartbeatElapsed < r.settings.heartbeatTick) return;
  r.heartbeatElapsed = 0;
  if (r.autoLeaveDropped && r.leadTransferee === None) maybeAutoLeave(r);
  logTickError(r, stepLocal(r, MsgBeat));
}

function logTickError(r: Raft, error: RaftError | null): void {
  if (error !== null) r.logger?.debug(`error occurred during checking sending heartbeat: ${error.message}`);
}

function stepLocal(r: Raft, type: typeof MsgHup | typeof MsgBeat | typeof MsgCheckQuorum): RaftError | null {
  const m = new Message(type);
  m.from = r.id;
  return step(r, m);
}
