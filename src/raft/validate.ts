// What a message must look like before it is stepped. The links authenticate peers and decode bytes; this is
// the core's own check that nothing impossible reaches its state: a refused message changes nothing.

import type { RaftError } from "./errors.js";
import { ErrStepBadMessage, ErrStepLocalMsg, ErrStepPeerNotFound, ErrStepWrongNode } from "./errors.js";
import { decodeConfChange } from "./membership.js";
import type { Raft } from "./raft.js";
import { restoreConfState } from "./raft.js";
import {
  asV2,
  type ConfState,
  type Entry,
  EntryConfChange,
  EntryConfChangeV2,
  EntryNormal,
  LocalAppendThread,
  LocalApplyThread,
  type Message,
  MsgApp,
  MsgAppResp,
  MsgBeat,
  MsgCheckQuorum,
  MsgForgetLeader,
  MsgHeartbeat,
  MsgHeartbeatResp,
  MsgHup,
  MsgPreVoteResp,
  MsgProp,
  MsgReadIndex,
  MsgReadIndexResp,
  MsgSnap,
  MsgSnapStatus,
  MsgStorageAppend,
  MsgStorageAppendResp,
  MsgStorageApply,
  MsgStorageApplyResp,
  MsgTransferLeader,
  MsgUnreachable,
  MsgVoteResp,
  None,
  type Snapshot,
} from "./raftpb/index.js";
import { StateLeader } from "./ready.js";
import { ProgressTracker } from "./tracker/index.js";

/** Kinds of message types, by number. */
const IS_LOCAL = flags(
  MsgHup,
  MsgBeat,
  MsgUnreachable,
  MsgSnapStatus,
  MsgCheckQuorum,
  MsgStorageAppend,
  MsgStorageAppendResp,
  MsgStorageApply,
  MsgStorageApplyResp,
);
const IS_RESPONSE = flags(
  MsgAppResp,
  MsgVoteResp,
  MsgHeartbeatResp,
  MsgUnreachable,
  MsgReadIndexResp,
  MsgPreVoteResp,
  MsgStorageAppendResp,
  MsgStorageApplyResp,
);
/** Sent by the storage threads of this node. */
const IS_STORAGE = flags(MsgStorageAppendResp, MsgStorageApplyResp);
/** A node's own promises, which come back to it when they are stored. */
const IS_OWN = flags(MsgAppResp, MsgVoteResp, MsgPreVoteResp);
/** May come without a term, and from this node itself or nobody: these are asked by applications. */
const IS_TERMLESS = flags(
  MsgProp,
  MsgReadIndex,
  MsgTransferLeader,
  MsgForgetLeader,
  MsgStorageAppendResp,
  MsgStorageApplyResp,
);

/**
 * A term rises by one an election: so far above ours (centuries of elections) no peer's is, and one that is stored is
 * never got rid of.
 */
export const TERM_JUMP_MAX = 2 ** 32;
/** So far beyond our log (at a million entries a second: nine years) no snapshot is: no index would be left behind it. */
export const INDEX_JUMP_MAX = 2 ** 48;
/** Members in each list of a ConfState: far more than a group can have, and few enough to be checked in no time. */
export const MEMBERS_MAX = 1000;

/** Null: the message may be stepped. `entriesChecked`: of a MsgApp, appendIsPlausible() is known. */
// hot
export function checkMessage(r: Raft, m: Message, entriesChecked = false): RaftError | null {
  const type = m.type;
  const fromStorage = m.from === LocalAppendThread || m.from === LocalApplyThread;
  if (IS_LOCAL[type] === undefined) return ErrStepBadMessage;
  if (IS_LOCAL[type] && !fromStorage) return ErrStepLocalMsg;
  if (fromStorage !== IS_STORAGE[type]) return ErrStepBadMessage;
  if (!numbersInRange(m, fromStorage)) return ErrStepBadMessage;
  if (m.to !== 0 && m.to !== r.id) return ErrStepWrongNode;
  if (fromStorage) return null;
  if (m.term - r.term > TERM_JUMP_MAX) return ErrStepBadMessage;
  // A leader that was removed leads on until another is elected, and may have answered a read by then.
  if (IS_RESPONSE[type] && !r.trk.progress.has(m.from) && !(type === MsgReadIndexResp && m.from === r.lead))
    return ErrStepPeerNotFound;
  if (!IS_TERMLESS[type]) {
    if (m.term === 0 || m.from === None) return ErrStepBadMessage;
    if (m.from === r.id && !IS_OWN[type]) return ErrStepBadMessage;
  }
  switch (type) {
    case MsgApp:
      if (termHasOtherLeader(r, m)) return ErrStepBadMessage;
      return entriesChecked || appendIsPlausible(m) ? null : ErrStepBadMessage;
    case MsgHeartbeat:
      return termHasOtherLeader(r, m) ? ErrStepBadMessage : null;
    case MsgAppResp:
      if (m.reject && m.from === r.id) return ErrStepBadMessage;
      // A follower can't have more of this leader's log than there is.
      if (m.term !== r.term || r.state !== StateLeader) return null;
      return m.index <= r.raftLog.lastIndex() ? null : ErrStepBadMessage;
    case MsgSnap:
      // Whoever sends it: etcd's traces have snapshots sent by hand, from members that do not lead.
      return snapshotIsPlausible(r, m) ? null : ErrStepBadMessage;
    case MsgReadIndex:
      return m.term === 0 && m.entries.length === 1 ? null : ErrStepBadMessage;
    case MsgProp:
      // Nobody sends one with a term, which would be met before the proposal is refused.
      return m.term === 0 && proposalIsPlausible(m) ? null : ErrStepBadMessage;
    default:
      return null;
  }
}

// hot
function numbersInRange(m: Message, fromStorage: boolean): boolean {
  return (
    (fromStorage || isCount(m.from)) &&
    isCount(m.to) &&
    isCount(m.term) &&
    isCount(m.index) &&
    isCount(m.logTerm) &&
    isCount(m.commit) &&
    isCount(m.rejectHint) &&
    isCount(m.vote)
  );
}

// hot
function isCount(n: number): boolean {
  return n >= 0 && Number.isSafeInteger(n);
}

/** §5.2, Election Safety: a term has one leader. Whoever else says that it leads the term we are in does not. */
// hot
export function termHasOtherLeader(r: Raft, m: Message): boolean {
  return m.term === r.term && r.leadHeard !== None && r.leadHeard !== m.from;
}

/**
 * Entries follow (logTerm, index) without a gap, their terms don't fall nor exceed the leader's, and membership changes
 * are such: no leader appends bytes that are none, and once committed they would stop every member.
 */
// hot
export function appendIsPlausible(m: Message): boolean {
  const entries = m.entries;
  const count = entries.length;
  if (m.logTerm > m.term || m.index + count > Number.MAX_SAFE_INTEGER) return false;
  // No entry is of term 0.
  let term = Math.max(1, m.logTerm);
  for (let i = 0; i < count; i++) {
    const e = entries[i];
    if (e.index !== m.index + 1 + i || e.term < term || !Number.isSafeInteger(e.term)) return false;
    if (e.type !== EntryNormal && !(isEntryType(e.type) && isConfChange(e))) return false;
    term = e.term;
  }
  return term <= m.term;
}

// hot
function isEntryType(type: number): boolean {
  return type === EntryNormal || type === EntryConfChange || type === EntryConfChangeV2;
}

function isConfChange(e: Entry): boolean {
  const cc = decodeConfChange(e);
  return cc !== null && asV2(cc).changes.length <= MEMBERS_MAX;
}

function proposalIsPlausible(m: Message): boolean {
  for (let i = 0; i < m.entries.length; i++) {
    if (!isEntryType(m.entries[i].type)) return false;
  }
  return true;
}

/** Whether a MsgSnap carries a snapshot that a member can install: of a term and a membership that can be. */
export function snapshotIsPlausible(r: Raft, m: Message): boolean {
  const snapshot: Snapshot | null = m.snapshot;
  if (snapshot === null || snapshot.metadata.index === 0) return true;
  const { index, term, confState } = snapshot.metadata;
  if (!isCount(index) || !isCount(term) || term === 0 || term > m.term) return false;
  if (index - r.raftLog.lastIndex() > INDEX_JUMP_MAX) return false;
  return isConfState(confState);
}

function isConfState(cs: ConfState): boolean {
  for (const ids of [cs.voters, cs.learners, cs.votersOutgoing, cs.learnersNext]) {
    if (ids.length > MEMBERS_MAX) return false;
    for (const id of ids) if (!isCount(id) || id === 0) return false;
  }
  // Of nobody at all: a node that was never told its configuration sends it. `restore` answers, and takes nothing.
  if (cs.voters.length === 0)
    return cs.learners.length + cs.votersOutgoing.length + cs.learnersNext.length === 0;
  return restoreConfState(new ProgressTracker(1, Infinity), 0, cs) !== null;
}

function flags(...types: number[]): boolean[] {
  const set: boolean[] = [];
  for (let type = 0; type < 24; type++) set.push(types.includes(type));
  return set;
}
