// MemoryStorage: a Storage that keeps the log, the hard state and a snapshot in memory. For tests, and for drivers
// that keep the recent log in memory and write it elsewhere themselves.
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

/** Compacted slots that are put up with before the array is cut. */
const DEAD_MAX = 1024;

export class MemoryStorage implements Storage {
  private hardState: HardState = EMPTY_HARD_STATE;
  private snap: Snapshot = EMPTY_SNAPSHOT;
  /**
   * slots[head] stands for the last compacted entry (index and term only), the log follows it. Slots before head are
   * dead: they hold no entry, and are cut in bulk.
   */
  private slots: Entry[] = [standIn(0, 0)];
  private head = 0;
  /** Index of slots[head]. */
  private offset = 0;

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
    const start = this.head + (lo - this.offset);
    let end = start + (hi - lo);
    if (maxSize !== Infinity) {
      let size = entrySize(this.slots[start]);
      for (let i = start + 1; i < end; i++) {
        size += entrySize(this.slots[i]);
        if (size > maxSize) end = i;
      }
    }
    return this.slots.slice(start, end);
  }

  // hot
  term(index: number): number | RaftError {
    if (index < this.offset) return ErrCompacted;
    const slot = this.head + (index - this.offset);
    return slot < this.slots.length ? this.slots[slot].term : ErrUnavailable;
  }

  // hot
  lastIndex(): number {
    return this.offset + (this.slots.length - this.head) - 1;
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
    this.slots = [standIn(term, index)];
    this.head = 0;
    this.offset = index;
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
    const before = this.head;
    this.head += index - this.offset;
    this.offset = index;
    const dead = this.slots[this.head];
    const mark = standIn(dead.term, index);
    // Dead slots let go of their entries at once.
    this.slots.fill(mark, before, this.head + 1);
    if (this.head > DEAD_MAX && this.head * 2 > this.slots.length) {
      this.slots = this.slots.slice(this.head);
      this.head = 0;
    }
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
    const slots = this.slots;
    const end = this.head + (entries[from].index - this.offset);
    if (end < slots.length) slots.length = end;
    for (let i = from; i < entries.length; i++) slots.push(entries[i]);
  }
}

function standIn(term: number, index: number): Entry {
  return new Entry(EntryNormal, term, index, NO_DATA);
}
