// What a follower does with a message of its term: appends, heartbeats and snapshots from the leader (§5.3,
// §7), and what it passes on to the leader.
import { assert } from "../base/assert.js";
import { ReadOnlyLeaseBased } from "./config.js";
import { describeConfState } from "./describe.js";
import { campaignTransfer, hup } from "./election.js";
import {
  ErrProposalDroppedForwardingDisabled,
  ErrProposalDroppedNoLeader,
  type RaftError,
} from "./errors.js";
import { hex } from "./logger.js";
import type { Raft } from "./raft.js";
import {
  confStateHas,
  EMPTY_SNAPSHOT,
  Message,
  MsgApp,
  MsgAppResp,
  MsgForgetLeader,
  MsgHeartbeat,
  MsgHeartbeatResp,
  MsgProp,
  MsgReadIndex,
  MsgReadIndexResp,
  MsgSnap,
  MsgTimeoutNow,
  MsgTransferLeader,
  None,
  type Snapshot,
} from "./raftpb/index.js";
import { StateFollower } from "./ready.js";

// hot
export function stepFollower(r: Raft, m: Message): RaftError | null {
  switch (m.type) {
    case MsgApp:
      r.electionElapsed = 0;
      r.lead = m.from;
      handleAppendEntries(r, m);
      return null;
    case MsgHeartbeat:
      r.electionElapsed = 0;
      r.lead = m.from;
      handleHeartbeat(r, m);
      return null;
    case MsgSnap:
      r.electionElapsed = 0;
      r.lead = m.from;
      handleSnapshot(r, m);
      return null;
    case MsgProp:
      return forwardProposal(r, m);
    case MsgTransferLeader:
      forward(r, m, "leader transfer msg");
      return null;
    case MsgReadIndex:
      forward(r, m, "index reading msg");
      return null;
    case MsgForgetLeader:
      forgetLeader(r);
      return null;
    case MsgTimeoutNow:
      r.logger?.info(
        `${hex(r.id)} [term ${r.term}] received MsgTimeoutNow from ${hex(m.from)} and starts an election ` +
          `to get leadership.`,
      );
      // Never with a pre-vote: the leader asked for it, nobody was cut off.
      hup(r, campaignTransfer);
      return null;
    case MsgReadIndexResp:
      takeReadIndex(r, m);
      return null;
    default:
      return null;
  }
}

function forwardProposal(r: Raft, m: Message): RaftError | null {
  if (r.lead === None) {
    r.logger?.info(`${hex(r.id)} no leader at term ${r.term}; dropping proposal`);
    return ErrProposalDroppedNoLeader;
  }
  if (r.settings.disableProposalForwarding) {
    r.logger?.info(
      `${hex(r.id)} not forwarding to leader ${hex(r.lead)} at term ${r.term}; dropping proposal`,
    );
    return ErrProposalDroppedForwardingDisabled;
  }
  sendOn(r, m);
  return null;
}

function forward(r: Raft, m: Message, what: string): void {
  if (r.lead === None) r.logger?.info(`${hex(r.id)} no leader at term ${r.term}; dropping ${what}`);
  else sendOn(r, m);
}

/**
 * Sends a copy to the leader: the message is the caller's, and may carry the term of whoever passed it on
 * before.
 */
function sendOn(r: Raft, m: Message): void {
  const copy = new Message(m.type);
  copy.to = r.lead;
  copy.from = m.from;
  copy.entries = m.entries;
  copy.context = m.context;
  r.send(copy);
}

function forgetLeader(r: Raft): void {
  // Reads rest on the promise to ignore other candidates for a while; forgetting the leader would break it.
  if (r.settings.readOnlyOption === ReadOnlyLeaseBased) {
    r.logger?.error("ignoring MsgForgetLeader due to ReadOnlyLeaseBased");
    return;
  }
  if (r.lead === None) return;
  r.logger?.info(`${hex(r.id)} forgetting leader ${hex(r.lead)} at term ${r.term}`);
  r.lead = None;
}

export function takeReadIndex(r: Raft, m: Message): void {
  if (m.entries.length !== 1) {
    r.logger?.error(
      `${hex(r.id)} invalid format of MsgReadIndexResp from ${hex(m.from)}, ` +
        `entries count: ${m.entries.length}`,
    );
    return;
  }
  r.readStates.push({ index: m.index, requestCtx: m.entries[0].data });
}

/** §5.3: the consistency check, the append, and the answer that goes out when it is stored. */
// hot
export function handleAppendEntries(r: Raft, m: Message): void {
  r.leadHeard = m.from;
  const log = r.raftLog;
  const response = new Message(MsgAppResp);
  response.to = m.from;
  let { index, logTerm, entries } = m;
  const known = log.committed - index;
  if (known > 0) {
    // What is committed is known to match. Where all of it is dropped, a leader that sent it twice, beginning below a
    // commit index that was on the way, has to find the place again.
    const at = r.settings.beyondEtcd && known < entries.length ? entries[known - 1].term : 0;
    if (at === 0 || at !== log.termOrZero(log.committed)) {
      response.index = log.committed;
      r.send(response);
      return;
    }
    index = log.committed;
    logTerm = at;
    entries = entries.slice(known);
  }
  const last = log.maybeAppend(index, logTerm, entries, m.commit);
  if (last !== -1) {
    response.index = last;
    r.send(response);
    return;
  }
  r.logger?.debug(
    `${hex(r.id)} [logterm: ${log.termOrZero(m.index)}, index: ${m.index}] rejected MsgApp ` +
      `[logterm: ${m.logTerm}, index: ${m.index}] from ${hex(m.from)}`,
  );
  // §5.3, the optimization: the hint lets the leader skip whole terms that can't match.
  const hint = log.findConflictByTerm(Math.min(m.index, log.lastIndex()), m.logTerm);
  response.index = m.index;
  response.reject = true;
  response.rejectHint = hint;
  response.logTerm = hint === 0 ? 0 : log.termOrZero(hint);
  r.send(response);
}

export function handleHeartbeat(r: Raft, m: Message): void {
  r.leadHeard = m.from;
  r.raftLog.commitTo(m.commit);
  r.promiseNotToVote();
  const response = new Message(MsgHeartbeatResp);
  response.to = m.from;
  response.context = m.context;
  r.send(response);
}

/** §7. */
export function handleSnapshot(r: Raft, m: Message): void {
  const snapshot = m.snapshot ?? EMPTY_SNAPSHOT;
  const restored = restore(r, snapshot);
  const { index, term } = snapshot.metadata;
  const verb = restored ? "restored" : "ignored";
  r.logger?.info(
    `${hex(r.id)} [commit: ${r.raftLog.committed}] ${verb} snapshot [index: ${index}, term: ${term}]`,
  );
  const response = new Message(MsgAppResp);
  response.to = m.from;
  response.index = restored ? r.raftLog.lastIndex() : r.raftLog.committed;
  r.send(response);
}

/** True if the snapshot replaced the log and the membership; false if this node does not need it. */
function restore(r: Raft, snapshot: Snapshot): boolean {
  const { index, term, confState } = snapshot.metadata;
  if (index <= r.raftLog.committed) return false;
  if (r.state !== StateFollower) {
    r.logger?.warn(`${hex(r.id)} attempted to restore snapshot as leader; should never happen`);
    r.becomeFollower(r.term + 1, None);
    return false;
  }
  if (!confStateHas(confState, r.id)) {
    r.logger?.warn(
      `${hex(r.id)} attempted to restore snapshot but it is not in the ConfState ` +
        `${describeConfState(confState)}; should never happen`,
    );
    return false;
  }
  if (r.raftLog.matchTerm(index, term)) {
    r.logger?.info(`${describeLog(r)} fast-forwarded commit to snapshot [index: ${index}, term: ${term}]`);
    r.raftLog.commitTo(index);
    return false;
  }
  r.raftLog.restore(snapshot);
  // Whether the membership is valid was checked before the message was stepped.
  const installed = r.installConfState(confState);
  assert(installed, "restoring a snapshot with an invalid configuration");
  // Shown by RawNode.withProgress alone, as etcd raft shows it.
  const own = r.trk.progress.get(r.id)!;
  own.maybeUpdate(own.next - 1);
  r.logger?.info(`${describeLog(r)} restored snapshot [index: ${index}, term: ${term}]`);
  return true;
}

function describeLog(r: Raft): string {
  const log = r.raftLog;
  const last = log.lastIndex();
  return `${hex(r.id)} [commit: ${log.committed}, lastindex: ${last}, lastterm: ${log.lastTerm()}]`;
}
