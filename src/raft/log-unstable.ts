// Unstable: the end of the log that the storage does not hold yet, and a snapshot that is to replace the log.
// Owns which part of it is on its way to the storage ("in progress") and which is not.
import { assert } from "../base/assert.js";
import { NO_DATA } from "../base/bytes.js";
import type { Logger } from "./logger.js";
import type { Snapshot } from "./raftpb/index.js";
import { Entry, EntryNormal, NO_ENTRIES } from "./raftpb/index.js";

/** Dead slots at the front of the array that are put up with before it is cut. */
const DEAD_MAX = 256;
/** What a dead slot holds. */
const DEAD = new Entry(EntryNormal, 0, 0, NO_DATA);

/** A log's end, which no storage has yet. */
export class Unstable {
  /** To be restored before anything else; null: none. */
  snapshot: Snapshot | null = null;
  /** True once the snapshot was handed out to be stored. */
  snapshotInProgress = false;
  /** Index of the first entry here. Everything below it is in the storage, or in the snapshot. */
  offset: number;
  /** Entries below this were handed out. Invariant: offset <= offsetInProgress <= offset + length. */
  offsetInProgress: number;

  /** The entries are slots [head, slots.length); what is before head is dead, and cut in bulk. */
  private slots: Entry[] = [];
  private head = 0;
  private readonly logger: Logger | null;

  constructor(offset: number, logger: Logger | null) {
    this.offset = offset;
    this.offsetInProgress = offset;
    this.logger = logger;
  }

  /** Number of entries here, in progress or not. */
  get length(): number {
    return this.slots.length - this.head;
  }

  /** Index of the first entry possible here, if a snapshot says so; else -1. */
  maybeFirstIndex(): number {
    return this.snapshot === null ? -1 : this.snapshot.metadata.index + 1;
  }

  /** Last index if it is an unstable entry or the snapshot; else -1. */
  // hot
  maybeLastIndex(): number {
    const length = this.slots.length - this.head;
    if (length > 0) return this.offset + length - 1;
    // Behind a snapshot that is still to be restored, entries may be in the storage already.
    return this.snapshot === null ? -1 : this.offset - 1;
  }

  /** Term of entry `index` if it is here; else -1. */
  // hot
  maybeTerm(index: number): number {
    if (index < this.offset) {
      const snapshot = this.snapshot;
      return snapshot !== null && snapshot.metadata.index === index ? snapshot.metadata.term : -1;
    }
    const slot = this.head + (index - this.offset);
    return slot < this.slots.length ? this.slots[slot].term : -1;
  }

  // hot
  hasNextEntries(): boolean {
    return this.offset + (this.slots.length - this.head) > this.offsetInProgress;
  }

  /** The snapshot, if it was not handed out yet. */
  nextSnapshot(): Snapshot | null {
    return this.snapshotInProgress ? null : this.snapshot;
  }

  /** Everything here is being stored from now on. */
  // hot
  acceptInProgress(): void {
    this.offsetInProgress = this.offset + (this.slots.length - this.head);
    if (this.snapshot !== null) this.snapshotInProgress = true;
  }

  /**
   * The storage holds the entries up to (term, index), in this version. A late notice about entries that were
   * replaced meanwhile is recognized by its term and ignored.
   */
  // hot
  stableTo(term: number, index: number): void {
    const present = this.maybeTerm(index);
    if (present === -1) {
      this.logger?.info(`entry at index ${index} missing from unstable log; ignoring`);
      return;
    }
    if (index < this.offset) {
      this.logger?.info(`entry at index ${index} matched unstable snapshot; ignoring`);
      return;
    }
    if (present !== term) {
      this.logger?.info(
        `entry at (index,term)=(${index},${term}) mismatched with entry at (${index},${present}) ` +
          `in unstable log; ignoring`,
      );
      return;
    }
    this.dropTo(index + 1);
  }

  stableSnapTo(index: number): void {
    if (this.snapshot === null || this.snapshot.metadata.index !== index) return;
    this.snapshot = null;
    this.snapshotInProgress = false;
  }

  restore(snapshot: Snapshot): void {
    this.offset = snapshot.metadata.index + 1;
    this.offsetInProgress = this.offset;
    this.slots = [];
    this.head = 0;
    this.snapshot = snapshot;
    this.snapshotInProgress = false;
  }

  /** Puts entries[from..] at their index; entries there and behind go. True if anything was replaced. */
  // hot
  truncateAndAppend(entries: readonly Entry[], from: number): boolean {
    assert(from < entries.length, "appending no entries");
    const fromIndex = entries[from].index;
    const end = this.offset + (this.slots.length - this.head);
    assert(fromIndex <= end, "gap in the unstable log");
    const replaces = fromIndex < end;
    if (replaces) this.truncateFrom(fromIndex);
    if (this.slots.length === 0) {
      // One array of the right size, instead of one that grows.
      this.slots = entries.slice(from);
      return replaces;
    }
    const slots = this.slots;
    for (let i = from; i < entries.length; i++) slots.push(entries[i]);
    return replaces;
  }

  /** Entries [lo, hi) as a new array. */
  // hot
  slice(lo: number, hi: number): Entry[] {
    assert(lo >= this.offset, "slicing below the unstable log");
    assert(hi <= this.offset + (this.slots.length - this.head), "slicing above the unstable log");
    const start = this.head + (lo - this.offset);
    return lo === hi ? NO_ENTRIES : this.slots.slice(start, start + (hi - lo));
  }

  /** The entry at `index`, which must be here. */
  // hot
  at(index: number): Entry {
    assert(index >= this.offset, "reading below the unstable log");
    return this.slots[this.head + (index - this.offset)];
  }

  private truncateFrom(index: number): void {
    if (index <= this.offset) {
      this.logger?.info(`replace the unstable entries from index ${index}`);
      this.slots = [];
      this.head = 0;
      this.offset = index;
      this.offsetInProgress = index;
      return;
    }
    this.logger?.info(`truncate the unstable entries before index ${index}`);
    this.slots.length = this.head + (index - this.offset);
    // Only what lies before the cut is still being stored in the version that stays.
    if (this.offsetInProgress > index) this.offsetInProgress = index;
  }

  /** Drops the entries below `index`. */
  // hot
  private dropTo(index: number): void {
    const head = this.head + (index - this.offset);
    this.offset = index;
    if (this.offsetInProgress < index) this.offsetInProgress = index;
    if (head === this.slots.length) {
      this.slots = [];
      this.head = 0;
      return;
    }
    // Dead slots let go of their entries at once, and are cut once they are most of the array: every entry is moved
    // at most about once.
    for (let i = this.head; i < head; i++) this.slots[i] = DEAD;
    this.head = head;
    if (head > DEAD_MAX && head * 2 > this.slots.length) {
      this.slots = this.slots.slice(head);
      this.head = 0;
    }
  }
}
