// raftpb.Message: everything a RawNode is told and wants told. One monomorphic class for all types, because
// the hot path sees millions of them.
import { NO_DATA } from "../../base/bytes.js";
import type { Entry, Snapshot } from "./entry.js";

/** raftpb.MessageType, by its number on the wire. */
export const MsgHup = 0;
export const MsgBeat = 1;
export const MsgProp = 2;
export const MsgApp = 3;
export const MsgAppResp = 4;
export const MsgVote = 5;
export const MsgVoteResp = 6;
export const MsgSnap = 7;
export const MsgHeartbeat = 8;
export const MsgHeartbeatResp = 9;
export const MsgUnreachable = 10;
export const MsgSnapStatus = 11;
export const MsgCheckQuorum = 12;
export const MsgTransferLeader = 13;
export const MsgTimeoutNow = 14;
export const MsgReadIndex = 15;
export const MsgReadIndexResp = 16;
export const MsgPreVote = 17;
export const MsgPreVoteResp = 18;
export const MsgStorageAppend = 19;
export const MsgStorageAppendResp = 20;
export const MsgStorageApply = 21;
export const MsgStorageApplyResp = 22;
export const MsgForgetLeader = 23;
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
export const LocalApplyThread = -2;

/** Shared empties; never written to. */
export const NO_ENTRIES: Entry[] = [];
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
