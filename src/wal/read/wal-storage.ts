// The log as raft reads it: a tail in memory bounded in bytes, everything older from the segments. Holds what is
// durable, and nothing else: the log moves entries here when the writer reported them.
import { assert } from "../../base/assert.js";
import { keepBytes, letGoOfBytes } from "../../base/byte-pool.js";
import { NO_DATA } from "../../base/bytes.js";
import { ErrCompacted, ErrUnavailable, type RaftError } from "../../raft/errors.js";
import {
  type ConfState,
  EMPTY_SNAPSHOT,
  type Entry,
  EntryNormal,
  entriesOfRun,
  entrySize,
  type HardState,
  payloadsSize,
  type Snapshot,
  type SnapshotMetadata,
} from "../../raft/raftpb/index.js";
import type { Storage } from "../../raft/storage.js";
import { dropFrom, type PointIndex } from "../format/point-index.js";
import { ByteRing } from "./byte-ring.js";
import { OldEntries } from "./old-entries.js";
import { ENTRY_COST, ReadPace } from "./read-pace.js";
import { SegmentReader } from "./segment-reader.js";

/** The entry before the first one that the log can give; only its term is known. */
export interface LogBase {
  readonly index: number;
  readonly term: number;
}

/**
 * The log as raft reads it. Holds what is durable, and nothing else. snapshot() is the newest one without its data,
 * which Wal.openSnapshot reads.
 */
export interface WalStorage extends Storage {
  /** Bytes of entries held in memory now. */
  readonly cacheBytes: number;
  /** Bytes of log from the first entry to the last, to about 64 KiB. */
  readonly logBytes: number;
  /**
   * Called, from the event loop, when entries that atHand() said are not at hand are. Without it (the default),
   * all are said to be at hand, and entries() waits for the disk where they lie there.
   */
  onRead?: ((reader: number) => void) | null;
  /**
   * Set by who drives raft: entries up to this index are nowhere in raft any more but here. What older entries lie in may
   * be used again once it is not read from here any more, either. Absent, or too low: it is the collector's.
   */
  settled?: number;
}

/** The cache gives up a chunk at a time: this much, or this share of it where it is smaller. */
const CHUNK_BYTES = 64 << 10;
const CHUNK_SHARE = 1 / 16;

/** Larger caches have no larger ring: chunks that find no room there stay objects, and no buffer is of any size. */
const RING_BYTES_MAX = 1 << 30;

/** Given up chunks at the front of the array that are put up with before it is cut. */
const DEAD_MIN = 64;
/** The newest chunks keep their entries as objects, and with them what their bytes came in: they are still to be sent. */
const RECENT_CHUNKS = 16;
/** So do all that came in a burst, while they are still to be applied, but for those that so many came behind. */
const UNSETTLED_CHUNKS_MAX = 128;

/** Entries that came together, ascending without a gap, in an array that nobody changes: all of one run, or of none. */
class Chunk {
  /** Index of the first. */
  readonly first: number;
  count: number;
  /** With what they cost beside their data. */
  bytes: number;
  /** Null: they lie encoded in the ring, at position `at` and `length` bytes long, all of `term`. */
  private objects: readonly Entry[] | null;
  private at = -1;
  private length = 0;
  private term = 0;

  constructor(first: number, entries: readonly Entry[], bytes: number) {
    this.first = first;
    this.count = entries.length;
    this.bytes = bytes;
    this.objects = entries;
    // Of a run, until it is folded; what never is, for ever.
    const runs = entries.length > 0 && entries[0].at !== -1 ? 1 : entries.length;
    for (let i = 0; i < runs; i++) keepBytes(entries[i].bytes.buffer);
  }

  /** Index of the last. */
  get last(): number {
    return this.first + this.count - 1;
  }

  entriesOf(ring: ByteRing): readonly Entry[] {
    return this.objects ?? entriesOfRun(ring.copy(this.at, this.length));
  }

  termAt(index: number): number {
    return this.objects === null ? this.term : this.objects[index - this.first].term;
  }

  /**
   * Moves a run to the ring, if it has room; entries of no run stay objects. Chunk after chunk: the ring gives up what is
   * in front of, or behind, one. What it lay in may be used again if it is `settled`.
   */
  fold(ring: ByteRing, settled: number): void {
    const { objects } = this;
    if (objects === null || objects.length === 0) return;
    const first = objects[0];
    const last = objects[objects.length - 1];
    if (first.at === -1) return;
    const run = first.bytes.subarray(first.at, last.start + last.size);
    const at = ring.push(run);
    if (at === -1) return;
    this.objects = null;
    this.at = at;
    this.length = run.length;
    this.term = last.term;
    if (last.index <= settled) letGoOfBytes(run.buffer);
  }

  /** Takes in the one behind it, if both then lie in the ring as one of at most `bytesMax`. */
  maybeJoin(next: Chunk, ring: ByteRing, bytesMax: number): boolean {
    // hot
    if (this.objects !== null || next.objects !== null || this.term !== next.term) return false;
    const length = this.length + next.length;
    if (this.at + this.length !== next.at || !ring.isOnePiece(this.at, length)) return false;
    if (this.bytes + next.bytes > bytesMax) return false;
    this.length = length;
    this.count += next.count;
    this.bytes += next.bytes;
    return true;
  }

  /** It is the oldest, and given up. */
  dropFirst(ring: ByteRing): void {
    if (this.objects === null) ring.dropBefore(this.at + this.length);
  }

  /** It is the newest, and given up. */
  dropLast(ring: ByteRing): void {
    if (this.objects === null) ring.dropFrom(this.at);
  }
}

/** What is left in the place of one that was given up. */
const GONE = new Chunk(0, [], 0);

export interface DurableLogOptions {
  readonly dir: string;
  readonly points: PointIndex;
  readonly lastIndex: number;
  readonly hardState: HardState;
  /** As long as there is no snapshot. */
  readonly confState: ConfState;
  /** Of entries in memory. */
  readonly cacheBytesMax: number;
  /** What a segment holds at most, single large entries aside. */
  readonly segmentBytes: number;
  /** How fast old entries are read for a follower that catches up (ReadPace). */
  readonly catchUpBytesPerS: number;
}

export class DurableLog implements WalStorage {
  readonly points: PointIndex;
  private readonly reader: SegmentReader;
  private readonly old: OldEntries;
  private readonly pace: ReadPace;
  private readonly cacheBytesMax: number;
  private hardState: HardState;
  private readonly confState: ConfState;
  /** The entry before the first one; only its term is known. Invariant: base.index < tailFirst. */
  private base: LogBase = { index: 0, term: 0 };
  private newest: Snapshot = EMPTY_SNAPSHOT;
  /** Those from `head` on hold the entries from tailFirst on; the first may begin before it. */
  private chunks: Chunk[] = [];
  private head = 0;
  /** The first that is still to be folded. */
  private unfolded = 0;
  private readonly chunkBytesMax: number;
  private readonly ring: ByteRing;
  /** Index of the first entry in memory; last + 1: there is none. */
  private tailFirst: number;
  private last: number;
  /** Indexes of entries that change the membership, ascending. Invariant: all in (base.index, last]. */
  private confChanges: number[] = [];
  private readonly segmentBytes: number;
  cacheBytes = 0;
  settled = 0;

  constructor(options: DurableLogOptions) {
    const { dir, points, lastIndex, cacheBytesMax } = options;
    this.points = points;
    this.reader = new SegmentReader(dir, points);
    this.pace = new ReadPace(options.catchUpBytesPerS);
    this.old = new OldEntries(dir, points, this.reader, this, this.pace);
    this.last = lastIndex;
    this.tailFirst = lastIndex + 1;
    this.hardState = options.hardState;
    this.confState = options.confState;
    this.cacheBytesMax = cacheBytesMax;
    this.ring = new ByteRing(Math.min(cacheBytesMax, RING_BYTES_MAX));
    this.chunkBytesMax = Math.min(CHUNK_BYTES, cacheBytesMax * CHUNK_SHARE);
    this.segmentBytes = options.segmentBytes;
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
    if (index >= this.tailFirst) return this.chunks[this.chunkOf(index)].termAt(index);
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
    const index = lo + found.length;
    return index < hi ? this.cached(index, hi, maxSize, size, found) : found;
  }

  /** [lo, hi), which are in memory, behind those `found`, whose size is `had`. */
  private cached(lo: number, hi: number, maxSize: number, had: number, found: Entry[]): Entry[] {
    // hot
    let at = this.chunkOf(lo);
    let all = found;
    // They are measured one by one only where the limit may be near: none is larger than what it costs.
    let sizeMax = had;
    for (let index = lo; index < hi; at++) {
      const chunk = this.chunks[at];
      const { first } = chunk;
      const entries = chunk.entriesOf(this.ring);
      const from = index - first;
      const to = Math.min(hi - first, entries.length);
      sizeMax += chunk.bytes;
      let fit = to;
      if (sizeMax > maxSize) {
        let size = had;
        for (let i = found.length; i < all.length; i++) size += entrySize(all[i]);
        sizeMax = size;
        for (fit = from; fit < to; fit++) {
          size += entrySize(entries[fit]);
          if (size > maxSize && all.length + fit - from > 0) break;
          sizeMax = size;
        }
      }
      const part = from === 0 && fit === entries.length ? entries : entries.slice(from, fit);
      // A new array in any case: the chunk's is not the caller's to change.
      all = all.concat(part);
      if (fit < to) break;
      index = first + to;
    }
    return all;
  }

  /** The commit index that the log knows of. */
  get commit(): number {
    return this.hardState.commit;
  }

  /** Called, from the event loop, when entries that atHand() had to read are there. Null: reads wait for the disk. */
  get onRead(): ((reader: number) => void) | null {
    return this.old.onRead;
  }

  set onRead(call: ((reader: number) => void) | null) {
    this.old.onRead = call;
  }

  /** Since when a read on the side waits for the disk, performance.now(); Infinity: none does. */
  get readOwedSince(): number {
    return this.old.owedSince;
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

  release(reader: number): void {
    this.old.release(reader);
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
    const warm = Math.max(lo, cold);
    return warm < hi ? size + payloadsSize(this.cached(warm, hi, Infinity, 0, [])) : size;
  }

  snapshot(): Snapshot | RaftError {
    return this.newest;
  }

  /** Which chunk holds entry `index`, which is in memory. */
  private chunkOf(index: number): number {
    // hot
    assert(index >= this.tailFirst && index <= this.last, "hole in the cached log");
    const { chunks } = this;
    let high = chunks.length - 1;
    // Mostly it is one of the newest.
    if (index >= chunks[high].first) return high;
    let low = this.head;
    while (low + 1 < high) {
      const middle = (low + high) >>> 1;
      if (chunks[middle].first <= index) low = middle;
      else high = middle;
    }
    return low;
  }

  setHardState(hardState: HardState): void {
    this.hardState = hardState;
  }

  /**
   * Takes durable entries, ascending without a gap: the next ones, or some that overwrite the log from the first's index
   * on. The array is the log's own from now on.
   */
  append(entries: readonly Entry[]): void {
    // hot
    const count = entries.length;
    if (count === 0) return;
    const { index } = entries[0];
    // These are still raft's.
    this.settled = Math.min(this.settled, index - 1);
    if (index !== this.last + 1) this.truncate(index);
    let from = 0;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const { type, term, size, bytes: run, at } = entries[i];
      if (type !== EntryNormal) {
        this.confChanges.push(index + i);
        // What is made of it may have views of it.
        keepBytes(run.buffer);
      }
      const cost = size + ENTRY_COST;
      const before = entries[i > from ? i - 1 : i];
      // A run each, of one term, as far as they are of runs.
      const begins = (at !== -1 || before.at !== -1) && run !== before.bytes;
      if (begins || term !== before.term || (i > from && bytes + cost > this.chunkBytesMax)) {
        this.addChunk(index + from, entries.slice(from, i), bytes);
        from = i;
        bytes = 0;
      }
      bytes += cost;
    }
    this.addChunk(index + from, from === 0 ? entries : entries.slice(from), bytes);
    this.last = index + count - 1;
  }

  private addChunk(first: number, entries: readonly Entry[], bytes: number): void {
    this.pace.grew(bytes);
    this.chunks.push(new Chunk(first, entries, bytes));
    this.cacheBytes += bytes;
    // Before any is folded: the ring has no more room than the cache.
    while (this.cacheBytes > this.cacheBytesMax && this.head + 1 < this.chunks.length) this.evictFirst();
    const { chunks } = this;
    while (this.unfolded < chunks.length - RECENT_CHUNKS) {
      const at = this.unfolded;
      const chunk = chunks[at];
      if (chunk.last > this.settled && at >= chunks.length - UNSETTLED_CHUNKS_MAX) return;
      chunk.fold(this.ring, this.settled);
      // A chunk for each append would cost its reader a copy for each.
      if (at > this.head && chunks[at - 1].maybeJoin(chunk, this.ring, this.chunkBytesMax)) {
        for (let i = at + 1; i < chunks.length; i++) chunks[i - 1] = chunks[i];
        chunks.pop();
      } else this.unfolded++;
    }
  }

  // Entries from `index` on are overwritten.
  private truncate(index: number): void {
    assert(index <= this.last, "gap in the log");
    assert(index > this.base.index, "entry before the log");
    dropFrom(this.confChanges, index);
    this.old.forgetFrom(index);
    const { chunks } = this;
    while (chunks.length > this.head && chunks[chunks.length - 1].first >= index) this.dropLast();
    this.last = index - 1;
    if (chunks.length === this.head || index <= this.tailFirst) {
      this.forgetCached(index);
      return;
    }
    const { first } = chunks[chunks.length - 1];
    const entries = chunks[chunks.length - 1].entriesOf(this.ring).slice(0, index - first);
    this.dropLast();
    this.addChunk(first, entries, payloadsSize(entries) + entries.length * ENTRY_COST);
  }

  private dropLast(): void {
    const chunk = this.chunks.pop()!;
    chunk.dropLast(this.ring);
    this.cacheBytes -= chunk.bytes;
    this.unfolded = Math.min(this.unfolded, this.chunks.length);
  }

  /** Nothing is in memory; the next entry there is `index`. */
  private forgetCached(index: number): void {
    while (this.head < this.chunks.length) this.dropLast();
    this.chunks = [];
    this.head = 0;
    this.unfolded = 0;
    this.tailFirst = index;
  }

  private evictFirst(): void {
    const chunk = this.chunks[this.head];
    chunk.dropFirst(this.ring);
    this.cacheBytes -= chunk.bytes;
    this.tailFirst = chunk.last + 1;
    this.chunks[this.head++] = GONE;
    this.unfolded = Math.max(this.unfolded, this.head);
    if (this.head * 2 < this.chunks.length || this.head < DEAD_MIN) return;
    this.chunks = this.chunks.slice(this.head);
    this.unfolded -= this.head;
    this.head = 0;
  }

  /** Takes a snapshot that is recorded. One that the log does not lead up to replaces the log. */
  applySnapshot(metadata: SnapshotMetadata): void {
    const { index, term } = metadata;
    assert(index > this.newest.metadata.index, "snapshot older than the one held");
    this.newest = { data: NO_DATA, metadata };
    if (this.term(index) === term) return;
    this.points.forgetBefore(index + 1);
    this.old.forgetFrom(index + 1);
    this.forgetCached(index + 1);
    this.confChanges = [];
    this.base = { index, term };
    this.last = index;
  }

  get logBytes(): number {
    return this.points.spanBytes(this.segmentBytes);
  }

  /** An index with about `bytes` of log, or more, from behind it up to entry `index`; at least the base's. */
  backBy(index: number, bytes: number): number {
    if (bytes === 0) return index;
    return Math.max(this.base.index, this.points.backBy(index, bytes, this.segmentBytes) - 1);
  }

  /** Gives up the entries up to and including the base's. */
  compact(base: LogBase): void {
    if (base.index <= this.base.index) return;
    assert(base.index <= this.last, "compacting beyond the log");
    this.base = { index: base.index, term: base.term };
    while (this.tailFirst <= base.index && this.chunks[this.head].last <= base.index) this.evictFirst();
    // The rest of the first chunk stays with it.
    this.tailFirst = Math.max(this.tailFirst, base.index + 1);
    this.confChanges = this.confChanges.filter((index) => index > base.index);
    this.points.forgetBefore(base.index + 1);
  }

  /** Segments before number `seq` are being released: nothing reads them any more. */
  forgetSegments(seq: number): void {
    this.reader.forgetBefore(seq);
  }

  /** After opening: where the log begins, the newest snapshot, and where entries change the membership. */
  begin(base: LogBase, snapshot: SnapshotMetadata | null, confChanges: readonly number[]): void {
    assert(this.chunks.length === 0, "beginning a log in use");
    this.confChanges = confChanges.slice();
    // A leader appends a change of members only when it has applied the one before it. A write that a power loss tore may
    // have left the newest and not the commit index that came with it; without, this node could elect by members of long ago.
    const proven = confChanges.at(-2) ?? 0;
    if (proven > this.hardState.commit) this.hardState = { ...this.hardState, commit: proven };
    if (snapshot !== null) this.newest = { data: NO_DATA, metadata: snapshot };
    this.compact(base);
  }

  /** Resolved when nothing reads any more. */
  async close(): Promise<void> {
    await this.old.close();
    this.reader.close();
  }
}
