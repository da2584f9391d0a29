// What the core reads the stable log through (etcd raft's Storage). Reads are synchronous and cheap; whoever
// implements this keeps the recent log in memory, and may say of older entries that they have to be read first.
import type { RaftError } from "./errors.js";
import type { ConfState, Entry, HardState, Snapshot } from "./raftpb/index.js";

/** The stable log. Indexes: firstIndex()-1 is the last compacted entry, of which only the term is known. */
export interface Storage {
  /** What was saved last; empty values for a new log. */
  initialState(): { hardState: HardState; confState: ConfState };
  /**
   * Entries in [lo, hi), at least one, and then as many as fit `maxSize` bytes of encoded entries. Waits for the first
   * one if it must, and gives fewer where the rest is not at hand.
   * ErrCompacted if lo < firstIndex(), ErrUnavailable if hi > lastIndex()+1. The array is the caller's.
   */
  entries(lo: number, hi: number, maxSize: number): Entry[] | RaftError;
  /** Term of entry `index` in [firstIndex()-1, lastIndex()]; ErrCompacted or ErrUnavailable outside. */
  term(index: number): number | RaftError;
  lastIndex(): number;
  firstIndex(): number;
  /**
   * Whether entries() gives entry `index` without waiting for a disk, or an error at once. False: it is being read for
   * `reader` (the peer that it is to be sent to, or None: it is to be applied), and RawNode.entriesRead(reader) is to be
   * called, later, when it is worth asking again. A reader waits for one entry at a time: asking for another gives up
   * the one before. Without this method all entries are at hand.
   */
  atHand?(reader: number, index: number): boolean;
  /** `reader` asks for nothing any more: what was read for it may go. */
  release?(reader: number): void;
  /**
   * An index from which on all entries up to `index`, which is in the log, have the same term: as low as can be told
   * without reading.
   */
  runStart?(index: number): number;
  /**
   * Indexes above `index` of the entries that change the membership (EntryConfChange, EntryConfChangeV2), ascending,
   * without reading the log. Asked once, when a RaftLog is made; of a storage without it, the whole log is read then.
   */
  confChangesAfter?(index: number): readonly number[];
  /**
   * About how many payload bytes the entries [lo, hi) have, which are in the log, without reading it. Hardly ever too
   * few: at most what lies between two places that the storage can tell. Without it, the entries are read.
   */
  sizeOf?(lo: number, hi: number): number;
  /** The most recent snapshot; ErrSnapshotTemporarilyUnavailable to be asked again later. */
  snapshot(): Snapshot | RaftError;
}
