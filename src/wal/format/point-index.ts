// The sparse index from entry indexes to places in segments. A point begins a run: entries with consecutive indexes
// and one term, one after the other in one segment (perhaps with states between them). Memory: 40 bytes a point,
// about one point for 64 KiB of log.
import { assert } from "../../base/assert.js";
import { POINT_SPACING } from "./layout.js";

const POINT_COLUMNS = 5;
/** What the record of an entry has beside its payload: length field, type, checksum, the entry's own fields. */
const RECORD_BYTES_MIN = 20;

export class PointIndex {
  /** Invariant: ascending by index. Columns of one table. */
  private indexes = new Float64Array(64);
  private terms = new Float64Array(64);
  private offsets = new Float64Array(64);
  private segments = new Float64Array(64);
  private crcs = new Float64Array(64);
  count = 0;
  /** Where the log ended when it was opened. */
  private endSegment = -1;
  private endOffset = 0;

  /** The log as recovered ends at this place: how large its newest run is. */
  setEnd(segment: number, offset: number): void {
    this.endSegment = segment;
    this.endOffset = offset;
  }

  /** Adds the newest point. It overwrites the log from `index` on, so points from there on go. */
  add(index: number, term: number, offset: number, segment: number, crc: number): void {
    while (this.count > 0 && this.indexes[this.count - 1] >= index) this.count--;
    if (this.count === this.indexes.length) this.grow();
    const at = this.count++;
    this.indexes[at] = index;
    this.terms[at] = term;
    this.offsets[at] = offset;
    this.segments[at] = segment;
    this.crcs[at] = crc;
  }

  /** Forgets everything. */
  clear(): void {
    this.count = 0;
  }

  /** Forgets runs that end before entry `index`. */
  forgetBefore(index: number): void {
    if (this.count === 0 || this.indexes[0] > index) return;
    const from = this.find(index);
    for (const column of [this.indexes, this.terms, this.offsets, this.segments, this.crcs]) {
      column.copyWithin(0, from, this.count);
    }
    this.count -= from;
  }

  /** The first entry of a log that ends at `last`. */
  first(last: number): number {
    return this.count > 0 ? this.indexes[0]! : last + 1;
  }

  /** All points, POINT_COLUMNS numbers each, for another thread. */
  rows(): Float64Array {
    const rows = new Float64Array(this.count * POINT_COLUMNS);
    for (let at = 0; at < this.count; at++) {
      rows[at * POINT_COLUMNS] = this.indexes[at];
      rows[at * POINT_COLUMNS + 1] = this.terms[at];
      rows[at * POINT_COLUMNS + 2] = this.offsets[at];
      rows[at * POINT_COLUMNS + 3] = this.segments[at];
      rows[at * POINT_COLUMNS + 4] = this.crcs[at];
    }
    return rows;
  }

  /** Adds what rows() of another index gave. */
  addRows(rows: Float64Array): void {
    for (let at = 0; at < rows.length; at += POINT_COLUMNS) {
      this.add(rows[at], rows[at + 1], rows[at + 2], rows[at + 3], rows[at + 4]);
    }
  }

  private grow(): void {
    const size = this.indexes.length * 2;
    const larger = (column: Float64Array): Float64Array<ArrayBuffer> => {
      const next = new Float64Array(size);
      next.set(column);
      return next;
    };
    this.indexes = larger(this.indexes);
    this.terms = larger(this.terms);
    this.offsets = larger(this.offsets);
    this.segments = larger(this.segments);
    this.crcs = larger(this.crcs);
  }

  /** Position of the point whose run holds entry `index`. */
  find(index: number): number {
    assert(this.count > 0, "no points");
    assert(this.indexes[0] <= index, "entry before the first point");
    let low = 0;
    let high = this.count;
    // Invariant: indexes[low] <= index, and index < indexes[high] or high === count.
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.indexes[middle] <= index) low = middle;
      else high = middle;
    }
    return low;
  }

  index(at: number): number {
    return this.indexes[at];
  }

  term(at: number): number {
    return this.terms[at];
  }

  offset(at: number): number {
    return this.offsets[at];
  }

  segment(at: number): number {
    return this.segments[at];
  }

  /** Rolling CRC before the run. */
  crc(at: number): number {
    return this.crcs[at];
  }

  /** First index that is not of this run any more. */
  limit(at: number): number {
    return at + 1 < this.count ? this.indexes[at + 1] : Number.POSITIVE_INFINITY;
  }

  /**
   * Bytes of log that the runs with entries [lo, hi) take, less what no record can do without: rather too many. A
   * segment's last run counts to where the segment must end.
   */
  bytesOf(lo: number, hi: number, segmentBytes: number): number {
    let bytes = 0;
    for (let at = this.find(lo); at < this.count && this.indexes[at] < hi; at++) {
      const rest = Math.max(0, segmentBytes - this.offsets[at]);
      bytes += at + 1 < this.count ? this.runBytes(at) || rest : this.newestRunBytes(rest);
    }
    return Math.max(0, bytes - (hi - lo) * RECORD_BYTES_MIN);
  }

  // One that was written since: the entry that made it longer than this is the newest of all, and in memory.
  private newestRunBytes(rest: number): number {
    const recovered = this.endOffset - this.offsets[this.count - 1];
    return this.segments[this.count - 1] === this.endSegment && recovered > 0
      ? recovered
      : Math.min(POINT_SPACING, rest);
  }

  /**
   * Where the runs begin that hold the `bytes` of log in front of entry `index`: the first index that is in them. As low
   * as the oldest point at most, and rather too many bytes than too few.
   */
  backBy(index: number, bytes: number, segmentBytes: number): number {
    if (this.count === 0 || this.indexes[0] > index) return index;
    let at = this.find(index);
    for (let size = 0; at > 0 && size < bytes; )
      size += this.runBytes(--at) || Math.max(0, segmentBytes - this.offsets[at]);
    return this.indexes[at];
  }

  /** Bytes of log from the first point on to the newest, about. */
  spanBytes(segmentBytes: number): number {
    if (this.count === 0) return 0;
    const last = this.count - 1;
    const segments = this.segments[last] - this.segments[0];
    return Math.max(0, segments * segmentBytes + this.offsets[last] - this.offsets[0]);
  }

  /** Bytes to the next point if it lies behind this one in the same segment, else 0 (unknown). */
  runBytes(at: number): number {
    if (at + 1 >= this.count || this.segments[at + 1] !== this.segments[at]) return 0;
    return Math.max(0, this.offsets[at + 1] - this.offsets[at]);
  }
}

/** Takes the indexes from `index` on off the end of an ascending list. */
export function dropFrom(indexes: number[], index: number): void {
  while (indexes.length > 0 && indexes[indexes.length - 1] >= index) indexes.pop();
}
