// Where entries lie in the segments: a sparse index of runs, and reads of old entries by it. Synchronous, bounded.
import { closeSync, openSync, readSync } from "node:fs";
import { assert } from "../base/assert.js";
import { RaftmarkError } from "../base/errors.js";
import type { Entry } from "../raft/raftpb/index.js";
import { RECORD_ENTRY } from "./format.js";
import { decodeEntry, FrameCursor, FrameEnd, FrameOk, FrameShort } from "./frames.js";

const READ_BYTES = 256 * 1024;

/**
 * Runs of entries, ascending by index: from `indexes[i]` on, entries lie behind `offsets[i]` of `segments[i]`, and
 * those that count end where the next run begins. What a later append replaced is no longer in any run.
 */
export class LogIndex {
  private readonly pathOf: (segment: number) => string;
  private readonly indexes: number[] = [];
  private readonly segments: number[] = [];
  private readonly offsets: number[] = [];

  constructor(pathOf: (segment: number) => string) {
    this.pathOf = pathOf;
  }

  /** A run begins at `index`; what the index knew from there on is replaced. */
  add(index: number, segment: number, offset: number): void {
    let length = this.indexes.length;
    while (length > 0 && this.indexes[length - 1] >= index) length--;
    this.indexes.length = length;
    this.segments.length = length;
    this.offsets.length = length;
    this.indexes.push(index);
    this.segments.push(segment);
    this.offsets.push(offset);
  }

  /**
   * Entries from `lo` on, below `hi`: at least one, then as many as fit `maxBytes` of data. Throws WAL_IO or
   * WAL_CORRUPT if the file does not hold what was written to it.
   */
  read(lo: number, hi: number, maxBytes: number): Entry[] {
    const found: Entry[] = [];
    let bytes = 0;
    while (lo + found.length < hi) {
      const run = this.runOf(lo + found.length);
      const end = Math.min(hi, run + 1 < this.indexes.length ? this.indexes[run + 1] : hi);
      const before = found.length;
      const more = this.readRun(run, lo + found.length, end, (entry) => {
        if (found.length > 0 && bytes + entry.data.length > maxBytes) return false;
        bytes += entry.data.length;
        found.push(entry);
        return true;
      });
      if (!more) return found;
      assert(found.length > before, "a run without the entries that the index promises");
    }
    return found;
  }

  private runOf(index: number): number {
    let low = 0;
    let high = this.indexes.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.indexes[middle] <= index) low = middle + 1;
      else high = middle;
    }
    assert(low > 0, "an entry that no run holds");
    return low - 1;
  }

  /** Visits entries [lo, end) of one run until `visit` says no; returns whether it never did. */
  private readRun(run: number, lo: number, end: number, visit: (entry: Entry) => boolean): boolean {
    const path = this.pathOf(this.segments[run]);
    const fd = openSync(path, "r");
    try {
      let at = this.offsets[run];
      let size = READ_BYTES;
      for (let next = lo; next < end; ) {
        const chunk = new Uint8Array(size);
        const read = readSync(fd, chunk, 0, size, at);
        const cursor = new FrameCursor(chunk, 0, read);
        let result = cursor.next();
        for (; result === FrameOk; result = cursor.next()) {
          if (cursor.type !== RECORD_ENTRY) continue;
          const entry = decodeEntry(chunk, cursor.dataStart, cursor.dataEnd);
          if (entry === null || entry.index > next) throw damaged(path, at + cursor.offset);
          if (entry.index < next) continue;
          if (!visit(entry)) return false;
          next++;
          if (next === end) return true;
        }
        if (result !== FrameShort && result !== FrameEnd) throw damaged(path, at + cursor.offset);
        if (read < size || (result === FrameEnd && cursor.offset < read))
          throw damaged(path, at + cursor.offset);
        // A frame longer than the chunk: read again from its start, twice as much.
        if (cursor.offset === 0) size *= 2;
        at += cursor.offset;
      }
      return true;
    } finally {
      closeSync(fd);
    }
  }
}

function damaged(path: string, offset: number): RaftmarkError {
  const text = `${path}: what was written at offset ${offset} cannot be read back; the disk or another process changed it`;
  return new RaftmarkError("WAL_CORRUPT", text);
}
