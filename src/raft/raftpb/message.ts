// raftpb.Message: everything a RawNode is told and wants told. One monomorphic class for all types, because
// the hot path sees millions of them.
import { NO_DATA } from "../../base/bytes.js";
import type { Entry, Snapshot } from "./entry.js";

/** raftpb.MessageType, by its number on the wire. */
export const MsgHup = 0;
/** Local: a leader's heartbeats are due. */
export const MsgBeat = 1;
/** Entries to be replicated; without term and index. */
export const MsgProp = 2;
/** Entries for a follower's log (AppendEntries, §5.3). */
export const MsgApp = 3;
/** The answer: how far the follower's log agrees. */
export const MsgAppResp = 4;
/** Asks for a vote (RequestVote, §5.2). */
export const MsgVote = 5;
/** A vote, or its refusal. */
export const MsgVoteResp = 6;
/** A snapshot in place of entries that the leader has no more (§7). */
export const MsgSnap = 7;
/** The leader lives; carries the commit index and a read's round. */
export const MsgHeartbeat = 8;
/** The answer, with the round. */
export const MsgHeartbeatResp = 9;
/** Local: a message was not delivered. */
export const MsgUnreachable = 10;
/** Local: what became of a snapshot. */
export const MsgSnapStatus = 11;
/** Local: does a quorum still answer? */
export const MsgCheckQuorum = 12;
/** Hands leadership to its sender (dissertation, 3.10). */
export const MsgTransferLeader = 13;
/** Campaign at once. */
export const MsgTimeoutNow = 14;
/** Asks for an index that is safe to read at (dissertation, 6.4). */
export const MsgReadIndex = 15;
/** That index. */
export const MsgReadIndexResp = 16;
/** Would I get your vote? (dissertation, 9.6) */
export const MsgPreVote = 17;
/** The answer. */
export const MsgPreVoteResp = 18;
/** Local: for the log, in order. */
export const MsgStorageAppend = 19;
/** Local: what is durable. */
export const MsgStorageAppendResp = 20;
/** Local: committed entries, for the state machine. */
export const MsgStorageApply = 21;
/** Local: what was applied. */
export const MsgStorageApplyResp = 22;
/** Local: a follower forgets its leader, and keeps its term. */
export const MsgForgetLeader = 23;
/** One of the Msg constants. */
export type MessageType =
  | 0
  | 1
  | 2
  | 3
  | 4
  | 5
  | 6
  | 7
  | 8
  | 9
  | 10
  | 11
  | 12
  | 13
  | 14
  | 15
  | 16
  | 17
  | 18
  | 19
  | 20
  | 21
  | 22
  | 23;

/**
 * Entries in one MsgApp at most: as many of the smallest as 1 MiB holds. Whoever decodes one can so bound what it makes
 * of the bytes, whatever maxSizePerMsg its sender has.
 */
export const MSG_ENTRIES_MAX = 1 << 17;

/** Names by number, as etcd prints them. */
export const MESSAGE_TYPE_NAMES: readonly string[] = [
  "MsgHup",
  "MsgBeat",
  "MsgProp",
  "MsgApp",
  "MsgAppResp",
  "MsgVote",
  "MsgVoteResp",
  "MsgSnap",
  "MsgHeartbeat",
  "MsgHeartbeatResp",
  "MsgUnreachable",
  "MsgSnapStatus",
  "MsgCheckQuorum",
  "MsgTransferLeader",
  "MsgTimeoutNow",
  "MsgReadIndex",
  "MsgReadIndexResp",
  "MsgPreVote",
  "MsgPreVoteResp",
  "MsgStorageAppend",
  "MsgStorageAppendResp",
  "MsgStorageApply",
  "MsgStorageApplyResp",
  "MsgForgetLeader",
];

/** No node (raft.None). */
export const None = 0;
/**
 * Pseudo ids of the local storage threads. etcd uses 2^64-1 and 2^64-2; as numbers these are -1 and -2, the
 * same bits in two's complement. They never reach the wire.
 */
export const LocalAppendThread = -1;
/** The thread that applies: see LocalAppendThread. */
export const LocalApplyThread = -2;

/** Shared empties; never written to. */
export const NO_ENTRIES: Entry[] = [];
/** Shared, empty, never written to. */
export const NO_MESSAGES: Message[] = [];

/**
 * One message. Every field is always set; 0, NO_DATA, NO_ENTRIES, NO_MESSAGES and null stand for absent.
 * `entries` is borrowed: a receiver that keeps entries keeps the Entry objects, not the array.
 */
export class Message {
  type: MessageType;
  to = 0;
  from = 0;
  term = 0;
  logTerm = 0;
  index = 0;
  entries: Entry[] = NO_ENTRIES;
  commit = 0;
  vote = 0;
  snapshot: Snapshot | null = null;
  reject = false;
  rejectHint = 0;
  context: Uint8Array = NO_DATA;
  /** MsgStorageAppend and MsgStorageApply only: what to deliver when the local work is done. */
  responses: Message[] = NO_MESSAGES;

  constructor(type: MessageType) {
    this.type = type;
  }
}
