// The log as raft reads it: a tail in memory bounded in bytes, everything older from the segments. Holds what is
// durable, and nothing else: the log moves entries here when the writer reported them.
import { assert } from "../base/assert.js";
import { NO_DATA } from "../base/bytes.js";
import { ErrCompacted, ErrUnavailable, type RaftError } from "../raft/errors.js";
import {
  type ConfState,
  EMPTY_SNAPSHOT,
  type Entry,
  EntryNormal,
  type HardState,
  type Snapshot,
  type SnapshotMetadata,
} from "../raft/raftpb/index.js";
import { OldEntries } from "./old-entries.js";
import type { PointIndex } from "./point-index.js";
import { entrySize } from "./record.js";
import { dropFrom } from "./scan-segment.js";
import { SegmentReader } from "./segment-reader.js";
import type { LogBase } from "./snap-dir.js";
import type { WalStorage } from "./types.js";

/** What an entry costs in memory beside its data, about. */
const ENTRY_COST = 64;

export class DurableLog implements WalStorage {
  readonly points: PointIndex;
  private readonly reader: SegmentReader;
  private readonly old: OldEntries;
  private readonly cacheBytesMax: number;
  private hardState: HardState;
  private readonly confState: ConfState;
  /** The entry before the first one; only its term is known. Invariant: base.index < tailFirst. */
  private base: LogBase = { index: 0, term: 0 };
  private newest: Snapshot = EMPTY_SNAPSHOT;
  /** Power of two slots; entry tailFirst + i lies in slot (start + i) & (slots - 1). */
  private slots: (Entry | null)[] = new Array<Entry | null>(1024).fill(null);
  private start = 0;
  private count = 0;
  /** Index of the first entry in memory. Invariant: tailFirst + count === last + 1. */
  private tailFirst: number;
  private last: number;
  /** Indexes of entries that change the membership, ascending. Invariant: all in (base.index, last]. */
  private confChanges: number[] = [];
  /** What a segment holds at most, single large entries aside. */
  private readonly segmentBytes: number;
  cacheBytes = 0;

  constructor(
    dir: string,
    points: PointIndex,
    lastIndex: number,
    hardState: HardState,
    confState: ConfState,
    cacheBytesMax: number,
    segmentBytes: number,
  ) {
    this.points = points;
    this.reader = new SegmentReader(dir, points);
    this.old = new OldEntries(dir, points, this);
    this.last = lastIndex;
    this.tailFirst = lastIndex + 1;
    this.hardState = hardState;
    this.confState = confState;
    this.cacheBytesMax = cacheBytesMax;
    this.segmentBytes = segmentBytes;
  }

  initialState(): { hardState: HardState; confState: ConfState } {
    const { metadata } = this.newest;
    return { hardState: this.hardState, confState: metadata.index > 0 ? metadata.confState : this.confState };
  }

  firstIndex(): number {
    return this.base.index + 1;
  }

  lastIndex(): number {
    return this.last;
  }

  term(index: number): number | RaftError {
    // hot
    const { base } = this;
    if (index <= base.index) return index === base.index ? base.term : ErrCompacted;
    if (index > this.last) return ErrUnavailable;
    if (index >= this.tailFirst) return this.at(index).term;
    return this.points.term(this.points.find(index));
  }

  entries(lo: number, hi: number, maxSize: number): Entry[] | RaftError {
    assert(lo <= hi, "entries: lo above hi");
    if (lo <= this.base.index) return ErrCompacted;
    if (hi > this.last + 1) return ErrUnavailable;
    const found: Entry[] = [];
    let size = 0;
    if (lo < this.tailFirst) {
      const to = Math.min(hi, this.tailFirst);
      size = this.old.take(lo, to, maxSize, found) || this.reader.read(lo, to, maxSize, found);
      if (lo + found.length < to) return found;
    }
    for (let index = lo + found.length; index < hi; index++) {
      const entry = this.at(index);
      size += entrySize(entry);
      if (size > maxSize && found.length > 0) break;
      found.push(entry);
    }
    return found;
  }

  /** Called, from the event loop, when entries that atHand() had to read are there. Null: reads wait for the disk. */
  get onRead(): ((reader: number) => void) | null {
    return this.old.onRead;
  }

  set onRead(call: ((reader: number) => void) | null) {
    this.old.onRead = call;
  }

  atHand(reader: number, index: number): boolean {
    // hot
    const { old } = this;
    if (index >= this.tailFirst || index <= this.base.index || old.onRead === null) {
      if (old.count > 0) old.release(reader);
      return true;
    }
    return old.atHand(reader, index);
  }

  runStart(index: number): number {
    assert(index > this.base.index && index <= this.last, "run of an entry outside the log");
    const { points } = this;
    let at = points.find(index);
    while (at > 0 && points.term(at - 1) === points.term(at)) at--;
    return Math.max(points.index(at), this.base.index + 1);
  }

  confChangesAfter(index: number): readonly number[] {
    return this.confChanges.filter((each) => each > index);
  }

  /** Runs of the sparse index count as a whole, so that it is rather too much. */
  sizeOf(lo: number, hi: number): number {
    assert(lo > this.base.index && hi <= this.last + 1, "size of entries outside the log");
    let size = 0;
    const cold = Math.min(hi, this.tailFirst);
    if (lo < cold) size = this.points.bytesOf(lo, cold, this.segmentBytes);
    for (let index = Math.max(lo, cold); index < hi; index++) size += this.at(index).data.length;
    return size;
  }

  snapshot(): Snapshot | RaftError {
    return this.newest;
  }

  private at(index: number): Entry {
    // hot
    const entry = this.slots[(this.start + (index - this.tailFirst)) & (this.slots.length - 1)];
    assert(entry !== null, "hole in the cached log");
    return entry;
  }

  setHardState(hardState: HardState): void {
    this.hardState = hardState;
  }

  /** Takes a durable entry: the next one, or one that overwrites the log from its index on. */
  append(entry: Entry): void {
    // hot
    if (entry.index !== this.last + 1) this.truncate(entry.index);
    if (this.count === this.slots.length) this.grow();
    this.slots[(this.start + this.count) & (this.slots.length - 1)] = entry;
    this.count++;
    this.last = entry.index;
    if (entry.type !== EntryNormal) this.confChanges.push(entry.index);
    this.cacheBytes += entry.data.length + ENTRY_COST;
    if (this.cacheBytes > this.cacheBytesMax) this.evict();
  }

  // Entries from `index` on are overwritten.
  private truncate(index: number): void {
    assert(index <= this.last, "gap in the log");
    assert(index > this.base.index, "entry before the log");
    dropFrom(this.confChanges, index);
    this.old.forgetFrom(index);
    while (this.count > 0 && this.last >= index) {
      const slot = (this.start + this.count - 1) & (this.slots.length - 1);
      this.cacheBytes -= this.slots[slot]!.data.length + ENTRY_COST;
      this.slots[slot] = null;
      this.count--;
      this.last--;
    }
    if (this.count === 0) {
      this.tailFirst = index;
      this.last = index - 1;
    }
  }

  // The newest entry stays, however large.
  private evict(): void {
    while (this.cacheBytes > this.cacheBytesMax && this.count > 1) this.evictFirst();
  }

  private evictFirst(): void {
    const slot = this.start & (this.slots.length - 1);
    this.cacheBytes -= this.slots[slot]!.data.length + ENTRY_COST;
    this.slots[slot] = null;
    this.start = (this.start + 1) & (this.slots.length - 1);
    this.count--;
    this.tailFirst++;
  }

  /** Takes a snapshot that is recorded. One that the log does not lead up to replaces the log. */
  applySnapshot(metadata: SnapshotMetadata): void {
    const { index, term } = metadata;
    assert(index > this.newest.metadata.index, "snapshot older than the one held");
    this.newest = { data: NO_DATA, metadata };
    if (this.term(index) === term) return;
    this.points.forgetBefore(index + 1);
    this.old.forgetFrom(index + 1);
    this.slots = new Array<Entry | null>(1024).fill(null);
    this.start = 0;
    this.count = 0;
    this.cacheBytes = 0;
    this.confChanges = [];
    this.base = { index, term };
    this.last = index;
    this.tailFirst = index + 1;
  }

  /** Gives up the entries up to and including the base's. */
  compact(base: LogBase): void {
    if (base.index <= this.base.index) return;
    assert(base.index <= this.last, "compacting beyond the log");
    this.base = { index: base.index, term: base.term };
    while (this.count > 0 && this.tailFirst <= base.index) this.evictFirst();
    if (this.count === 0) this.tailFirst = this.last + 1;
    this.confChanges = this.confChanges.filter((index) => index > base.index);
    this.points.forgetBefore(base.index + 1);
  }

  /** Segments before number `seq` are being released: nothing reads them any more. */
  forgetSegments(seq: number): void {
    this.reader.forgetBefore(seq);
  }

  private grow(): void {
    const larger = new Array<Entry | null>(this.slots.length * 2).fill(null);
    for (let i = 0; i < this.count; i++) larger[i] = this.slots[(this.start + i) & (this.slots.length - 1)]!;
    this.slots = larger;
    this.start = 0;
  }

  /** After opening: where the log begins, the newest snapshot, and where entries change the membership. */
  begin(base: LogBase, snapshot: SnapshotMetadata | null, confChanges: readonly number[]): void {
    assert(this.count === 0, "beginning a log in use");
    this.confChanges = confChanges.slice();
    if (snapshot !== null) this.newest = { data: NO_DATA, metadata: snapshot };
    this.compact(base);
  }

  /** Resolved when nothing reads any more. */
  close(): Promise<void> {
    this.reader.close();
    return this.old.close();
  }
}
