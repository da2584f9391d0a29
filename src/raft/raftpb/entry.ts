// Log entries and the durable state beside them (raftpb.Entry, HardState, ConfState, Snapshot). Plain fixed
// shapes. Ids, terms and indexes are safe integers; whoever decodes bytes refuses larger ones.
import { NO_DATA } from "../../base/bytes.js";

/** raftpb.EntryType, by its number on the wire. */
export const EntryNormal = 0;
/** Its data is a ConfChange. */
export const EntryConfChange = 1;
/** Its data is a ConfChangeV2. */
export const EntryConfChangeV2 = 2;
/** One of the Entry constants. */
export type EntryType = 0 | 1 | 2;

/**
 * One entry of the log. Immutable once it is in a log. Its data lies in bytes[start, start + size), and many share their
 * `bytes`: `data` makes a view of it, each time it is asked for.
 *
 * Entries that share `bytes` are a run: they lie there encoded, one behind the other, their indexes consecutive. What
 * carries entries on (links, the log) copies a run as a whole.
 */
export class Entry {
  type: EntryType;
  term: number;
  index: number;
  /** What its data lies in. Not in a run: the data itself, and NO_DATA where the field is absent (nil). */
  readonly bytes: Uint8Array;
  readonly start: number;
  /** Bytes of data; 0 as well where there is none. */
  readonly size: number;
  /** In a run: where in `bytes` it begins, as field 7 of raftpb.Message, which ends with its data. Else -1. */
  readonly at: number;

  /** `data`: of the entry alone, unless the last three say what of it is. */
  constructor(
    type: EntryType,
    term: number,
    index: number,
    data: Uint8Array,
    start = 0,
    size = data.length,
    at = -1,
  ) {
    this.type = type;
    this.term = term;
    this.index = index;
    this.bytes = data;
    this.start = start;
    this.size = size;
    this.at = at;
  }

  /** Its data; NO_DATA where the field is absent (nil). */
  get data(): Uint8Array {
    const { bytes } = this;
    if (this.at === -1) return bytes;
    return new Uint8Array(bytes.buffer, bytes.byteOffset + this.start, this.size);
  }
}

/** Where the run ends that entries[from] lies in, in an array of consecutive entries: behind its last. */
// hot
export function runEnd(entries: readonly Entry[], from: number): number {
  const { bytes } = entries[from];
  let to = from + 1;
  while (to < entries.length && entries[to].bytes === bytes) to++;
  return to;
}

/** The entries of the run that `bytes` are, which they share. */
export function entriesOfRun(bytes: Uint8Array): Entry[] {
  const entries: Entry[] = [];
  let pos = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[pos++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  // Each number stands behind a tag of one byte.
  const field = (): number => {
    pos++;
    return varint();
  };
  while (pos < bytes.length) {
    const start = pos;
    field();
    const type = field() as EntryType;
    const term = field();
    const index = field();
    const size = field();
    entries.push(new Entry(type, term, index, bytes, pos, size, start));
    pos += size;
  }
  return entries;
}

/** What must be durable before a message that depends on it leaves (§5.1, Figure 2 "Persistent state"). */
export interface HardState {
  readonly term: number;
  readonly vote: number;
  readonly commit: number;
}

/** Nothing stored yet. */
export const EMPTY_HARD_STATE: HardState = { term: 0, vote: 0, commit: 0 };

/** Membership as stored; id lists in the order stored (ascending where raft made them). */
export interface ConfState {
  readonly voters: readonly number[];
  readonly learners: readonly number[];
  readonly votersOutgoing: readonly number[];
  readonly learnersNext: readonly number[];
  readonly autoLeave: boolean;
}

/** No members. */
export const EMPTY_CONF_STATE: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

/** Whether `id` is a member. LearnersNext need not be looked at: who is in there is in VotersOutgoing. */
export function confStateHas({ voters, learners, votersOutgoing }: ConfState, id: number): boolean {
  return voters.includes(id) || learners.includes(id) || votersOutgoing.includes(id);
}

/** What a snapshot is of: the last entry in it, and the membership there. */
export interface SnapshotMetadata {
  readonly confState: ConfState;
  readonly index: number;
  readonly term: number;
  /** What the application keeps in the snapshot's file beside these; no message has it. Absent: nothing. */
  readonly members?: Uint8Array | undefined;
}

/** A state machine's state at metadata.index. Empty (none) when metadata.index is 0. */
export interface Snapshot {
  readonly data: Uint8Array;
  readonly metadata: SnapshotMetadata;
}

/** No snapshot. */
export const EMPTY_SNAPSHOT: Snapshot = {
  data: NO_DATA,
  metadata: { confState: EMPTY_CONF_STATE, index: 0, term: 0 },
};
