// Sending from a leader to its followers: appends, snapshots, heartbeats. Decides what goes into a message;
// when to send is decided by step-leader.ts, and whether a follower may be sent to by its Progress.
import { assert, fail } from "../base/assert.js";
import { NO_DATA } from "../base/bytes.js";
import { ReadOnlyLeaseBased } from "./config.js";
import { ErrSnapshotTemporarilyUnavailable, RaftError } from "./errors.js";
import { hex } from "./logger.js";
import type { Raft } from "./raft.js";
import type { Entry } from "./raftpb/index.js";
import {
  entrySize,
  Message,
  MSG_ENTRIES_MAX,
  MsgApp,
  MsgHeartbeat,
  MsgSnap,
  NO_ENTRIES,
} from "./raftpb/index.js";
import { StateLeader } from "./ready.js";
import { type Progress, StateProbe, StateReplicate } from "./tracker/index.js";

/** Appends to everybody else, an empty message where there is nothing new: it carries the commit index. */
// hot
export function bcastAppend(r: Raft): void {
  const ids = r.trk.peerIds;
  const peers = r.trk.peers;
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] !== r.id) maybeSendAppend(r, ids[i], peers[i], true);
  }
}

/**
 * Sends `to` what comes next for it, as much as one message may hold; a snapshot if that is compacted. False
 * if nothing was sent: the flow is paused, or there is no entry and sendIfEmpty is false.
 */
// hot
export function maybeSendAppend(r: Raft, to: number, progress: Progress, sendIfEmpty: boolean): boolean {
  if (progress.isPaused()) return false;
  const log = r.raftLog;
  const prevIndex = progress.next - 1;
  const prevTerm = log.term(prevIndex);
  if (typeof prevTerm !== "number") return maybeSendSnapshot(r, to, progress);
  const { maxSizePerMsg, maxSizePerProbe, inflightOverheadPerMsg, inflightOverheadPerEntry } = r.settings;
  const probes = progress.state === StateProbe && maxSizePerProbe < maxSizePerMsg;
  let withheld = false;
  let entries: Entry[] | RaftError = NO_ENTRIES;
  // A full window: only an empty message, which finds out whether those in the window arrived at all.
  if (progress.state !== StateReplicate || !progress.inflights.full()) {
    if (log.atHand(to, progress.next))
      entries = log.entries(progress.next, probes ? maxSizePerProbe : maxSizePerMsg);
    // They are being read, and resumeAppend goes on. A probe can do without entries.
    else if (progress.state === StateReplicate) return false;
    else withheld = true;
    if (entries instanceof RaftError) return maybeSendSnapshot(r, to, progress);
    if (entries.length > MSG_ENTRIES_MAX) entries = entries.slice(0, MSG_ENTRIES_MAX);
    if (probes && entries.length === 1 && entrySize(entries[0]) > maxSizePerProbe) {
      entries = NO_ENTRIES;
      withheld = true;
    }
  }
  if (entries.length === 0 && !sendIfEmpty) return false;
  const m = new Message(MsgApp);
  m.to = to;
  m.index = prevIndex;
  m.logTerm = prevTerm;
  m.entries = entries;
  m.commit = log.committed;
  r.send(m);
  let bytes = inflightOverheadPerMsg + inflightOverheadPerEntry * entries.length;
  if (entries.length > 0) bytes += log.payloadOf(entries);
  progress.sentEntries(entries.length, bytes);
  // A probe like any other: the next one is for the next heartbeat.
  if (withheld) progress.msgAppFlowPaused = true;
  progress.setSentCommit(log.committed);
  return true;
}

/** What was to be sent to `to` next has been read (Storage.atHand). */
export function resumeAppend(r: Raft, to: number): void {
  const progress = r.trk.progress.get(to);
  if (r.state !== StateLeader || to === r.id || progress === undefined) return;
  while (maybeSendAppend(r, to, progress, false)) {
    // As much as is there, and fits the window.
  }
}

/** §7: what the follower needs is compacted, so it gets the state instead. */
function maybeSendSnapshot(r: Raft, to: number, progress: Progress): boolean {
  if (!progress.recentActive) {
    r.logger?.debug(`ignore sending snapshot to ${hex(to)} since it is not recently active`);
    return false;
  }
  const snapshot = r.raftLog.snapshot();
  if (snapshot instanceof RaftError) {
    if (snapshot !== ErrSnapshotTemporarilyUnavailable) fail("the storage failed to give a snapshot");
    r.logger?.debug(
      `${hex(r.id)} failed to send snapshot to ${hex(to)} because snapshot is temporarily unavailable`,
    );
    return false;
  }
  const { index, term } = snapshot.metadata;
  assert(index !== 0, "need a snapshot, and there is none");
  if (r.logger !== null) {
    r.logger.debug(
      `${hex(r.id)} [firstindex: ${r.raftLog.firstIndex()}, commit: ${r.raftLog.committed}] sent ` +
        `snapshot[index: ${index}, term: ${term}] to ${hex(to)} [${progress}]`,
    );
  }
  progress.becomeSnapshot(index);
  r.logger?.debug(`${hex(r.id)} paused sending replication messages to ${hex(to)} [${progress}]`);
  const m = new Message(MsgSnap);
  m.to = to;
  m.snapshot = snapshot;
  r.send(m);
  return true;
}

/** Heartbeats to everybody else: a numbered round, where a read request or the leader's lease waits for its answers. */
export function bcastHeartbeat(r: Raft): void {
  const numbered = r.readOnly.waiting > 0 || r.readOnly.option === ReadOnlyLeaseBased;
  const context = numbered ? r.readOnly.startRound(r.leaseClock()) : NO_DATA;
  const { peerIds, peers } = r.trk;
  for (let i = 0; i < peerIds.length; i++) {
    if (peerIds[i] === r.id) continue;
    const m = new Message(MsgHeartbeat);
    m.to = peerIds[i];
    // Only what is proven to be in its log: beyond that, its entries may differ from what is committed.
    m.commit = Math.min(peers[i].match, r.raftLog.committed);
    m.context = context;
    r.send(m);
    peers[i].setSentCommit(m.commit);
  }
}
