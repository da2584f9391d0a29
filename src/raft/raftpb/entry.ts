// Log entries and the durable state beside them (raftpb.Entry, HardState, ConfState, Snapshot). Plain fixed
// shapes. Ids, terms and indexes are safe integers; whoever decodes bytes refuses larger ones.
import { NO_DATA } from "../../base/bytes.js";

/** raftpb.EntryType, by its number on the wire. */
export const EntryNormal = 0;
export const EntryConfChange = 1;
export const EntryConfChangeV2 = 2;
export type EntryType = 0 | 1 | 2;

/** One entry of the log. Immutable once it is in a log; `data` is NO_DATA where the field is absent (nil). */
export class Entry {
  type: EntryType;
  term: number;
  index: number;
  data: Uint8Array;

  constructor(type: EntryType, term: number, index: number, data: Uint8Array) {
    this.type = type;
    this.term = term;
    this.index = index;
    this.data = data;
  }
}

/** What must be durable before a message that depends on it leaves (§5.1, Figure 2 "Persistent state"). */
export interface HardState {
  readonly term: number;
  readonly vote: number;
  readonly commit: number;
}

export const EMPTY_HARD_STATE: HardState = { term: 0, vote: 0, commit: 0 };

/** Membership as stored; id lists in the order stored (ascending where raft made them). */
export interface ConfState {
  readonly voters: readonly number[];
  readonly learners: readonly number[];
  readonly votersOutgoing: readonly number[];
  readonly learnersNext: readonly number[];
  readonly autoLeave: boolean;
}

export const EMPTY_CONF_STATE: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

export interface SnapshotMetadata {
  readonly confState: ConfState;
  readonly index: number;
  readonly term: number;
}

/** A state machine's state at metadata.index. Empty (none) when metadata.index is 0. */
export interface Snapshot {
  readonly data: Uint8Array;
  readonly metadata: SnapshotMetadata;
}

export const EMPTY_SNAPSHOT: Snapshot = {
  data: NO_DATA,
  metadata: { confState: EMPTY_CONF_STATE, index: 0, term: 0 },
};
