// MemoryStorage: a Storage that keeps the log, the hard state and a snapshot in memory. For tests, and for
// drivers that keep the recent log in memory and write it elsewhere themselves.
import { assert } from "../base/assert.js";
import { NO_DATA } from "../base/bytes.js";
import { ErrCompacted, ErrSnapOutOfDate, ErrUnavailable, type RaftError } from "./errors.js";
import type { ConfState, HardState, Snapshot } from "./raftpb/index.js";
import {
  EMPTY_HARD_STATE,
  EMPTY_SNAPSHOT,
  Entry,
  EntryNormal,
  entrySize,
  NO_ENTRIES,
} from "./raftpb/index.js";
import type { Storage } from "./storage.js";

/**
 * Entries a chunk. The log is a list of chunks: one big array would be copied again and again as it grows and is cut,
 * and being old, cost the collector a note for every new entry put into it (a third of the whole step machine's time).
 */
const CHUNK = 1024;

/** A Storage in memory (etcd raft's MemoryStorage): for tests, and for logs that are kept elsewhere. */
export class MemoryStorage implements Storage {
  private hardState: HardState = EMPTY_HARD_STATE;
  private snap: Snapshot = EMPTY_SNAPSHOT;
  /**
   * The entry at `index` is at position index - base, CHUNK positions a chunk; all chunks but the last are full. The
   * one at `offset` stands for the last compacted entry (index and term only); positions before it, in the first
   * chunk, are dead and hold no entry.
   */
  private chunks: Entry[][] = [[standIn(0, 0)]];
  private base = 0;
  private offset = 0;
  private last = 0;

  initialState(): { hardState: HardState; confState: ConfState } {
    return { hardState: this.hardState, confState: this.snap.metadata.confState };
  }

  setHardState(hardState: HardState): void {
    this.hardState = hardState;
  }

  // hot
  entries(lo: number, hi: number, maxSize: number): Entry[] | RaftError {
    if (lo <= this.offset) return ErrCompacted;
    if (hi > this.lastIndex() + 1) return ErrUnavailable;
    if (lo >= hi) return NO_ENTRIES;
    if (maxSize === Infinity) return this.copy(lo, hi);
    let size = 0;
    let end = lo;
    for (; end < hi; end++) {
      size += entrySize(this.at(end));
      if (size > maxSize && end > lo) break;
    }
    return this.copy(lo, end);
  }

  // hot
  term(index: number): number | RaftError {
    if (index < this.offset) return ErrCompacted;
    return index > this.last ? ErrUnavailable : this.at(index).term;
  }

  // hot
  lastIndex(): number {
    return this.last;
  }

  // hot
  firstIndex(): number {
    return this.offset + 1;
  }

  snapshot(): Snapshot | RaftError {
    return this.snap;
  }

  /** Replaces everything by a snapshot; ErrSnapOutOfDate unless it is newer than the one held. */
  applySnapshot(snapshot: Snapshot): RaftError | null {
    const { index, term } = snapshot.metadata;
    if (this.snap.metadata.index !== 0 && this.snap.metadata.index >= index) return ErrSnapOutOfDate;
    this.snap = snapshot;
    this.chunks = [[standIn(term, index)]];
    this.base = index;
    this.offset = index;
    this.last = index;
    return null;
  }

  /**
   * Makes a snapshot of the state at `index`, which must be in the log. `confState` null keeps the one held.
   * ErrSnapOutOfDate unless it is newer than the one held.
   */
  createSnapshot(index: number, confState: ConfState | null, data: Uint8Array): Snapshot | RaftError {
    if (index <= this.snap.metadata.index) return ErrSnapOutOfDate;
    const term = this.term(index);
    if (typeof term !== "number") return term;
    const metadata = { index, term, confState: confState ?? this.snap.metadata.confState };
    this.snap = { data, metadata };
    return this.snap;
  }

  /** Drops the entries up to and including `index`; its term is kept. */
  compact(index: number): RaftError | null {
    if (index <= this.offset) return ErrCompacted;
    if (index > this.lastIndex()) return ErrUnavailable;
    const mark = standIn(this.at(index).term, index);
    const position = index - this.base;
    const dropped = Math.floor(position / CHUNK);
    if (dropped > 0) {
      this.chunks = this.chunks.slice(dropped);
      this.base += dropped * CHUNK;
    }
    // Dead positions let go of their entries at once.
    const from = Math.max(this.offset - this.base, 0);
    this.chunks[0].fill(mark, from, index - this.base + 1);
    this.offset = index;
    return null;
  }

  /** Appends entries, contiguous among themselves; what is at their place and behind goes. */
  // hot
  append(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    const first = entries[0].index;
    assert(first <= this.lastIndex() + 1, "gap between the stored log and the entries to append");
    // Entries that are compacted already are dropped.
    const from = first > this.offset ? 0 : this.offset + 1 - first;
    if (from >= entries.length) return;
    if (entries[from].index <= this.last) this.truncate(entries[from].index);
    let chunk = this.chunks[this.chunks.length - 1];
    for (let i = from; i < entries.length; i++) {
      if (chunk.length === CHUNK) {
        chunk = [];
        this.chunks.push(chunk);
      }
      chunk.push(entries[i]);
    }
    this.last += entries.length - from;
  }

  // hot
  private at(index: number): Entry {
    const position = index - this.base;
    return this.chunks[Math.floor(position / CHUNK)][position % CHUNK];
  }

  // hot
  private copy(lo: number, hi: number): Entry[] {
    const first = Math.floor((lo - this.base) / CHUNK);
    const last = Math.floor((hi - 1 - this.base) / CHUNK);
    const start = (lo - this.base) % CHUNK;
    if (first === last) return this.chunks[first].slice(start, start + (hi - lo));
    const out = this.chunks[first].slice(start);
    for (let c = first + 1; c <= last; c++) {
      const chunk = this.chunks[c];
      const end = c === last ? hi - this.base - c * CHUNK : CHUNK;
      for (let i = 0; i < end; i++) out.push(chunk[i]);
    }
    return out;
  }

  /** Drops the entries from `index` on. */
  private truncate(index: number): void {
    assert(index > this.offset, "truncating a compacted entry");
    const position = index - this.base;
    const full = Math.floor(position / CHUNK);
    const rest = position % CHUNK;
    const kept = this.chunks.slice(0, full);
    if (rest > 0) kept.push(this.chunks[full].slice(0, rest));
    this.chunks = kept;
    this.last = index - 1;
  }
}

function standIn(term: number, index: number): Entry {
  return new Entry(EntryNormal, term, index, NO_DATA);
}
