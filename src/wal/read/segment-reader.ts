// Reads entries back from segments through the sparse index: for followers that lag further than the cache reaches, and
// for what was committed and not applied when the log was opened. Every record read is checked against the rolling CRC
// again. SegmentReader waits for the disk; old-entries.ts does not, and takes runs off their bytes with what is here.
import fs from "node:fs";
import { assert } from "../../base/assert.js";
import { Entry, type EntryType, entrySize } from "../../raft/raftpb/index.js";
import { corruptError, isNoDescriptor } from "../disk/errors.js";
import { SpareDescriptors } from "../disk/spare-descriptors.js";
import { frameAt } from "../format/codec-js.js";
import { wasmModule } from "../format/codec-wasm.js";
import { crc32c } from "../format/crc32c.js";
import { putVarint, RECORD_CRC, RECORD_ENTRY, sortedSegments } from "../format/format.js";
import type { PointIndex } from "../format/point-index.js";
import { canonicalEntry, MalformedError, parseEntry, parseRecord } from "../format/record.js";

export const READ_BYTES = 96 * 1024;
const OPEN_FILES_MAX = 4;
/** Field 7 of raftpb.Message, length-delimited: how an entry of a run begins. */
const TAG_ENTRIES = 0x3a;
export const CUT_SHORT = "the file ends inside a record";

/** A run of the sparse index, of which entries [next, hi) are wanted. */
export class Run {
  readonly path: string;
  /** Offset in the file of the next frame, and the rolling CRC before it. */
  offset: number;
  private crc: number;
  /** What the next entry record has to be: a run has consecutive indexes, and one term. */
  private expected: number;
  private readonly term: number;
  /** The next entry to be taken. Those before it are stepped over: frames have no index of their own. */
  next: number;
  readonly hi: number;
  /** Encoded bytes of the entries taken. */
  size = 0;
  /** `maxSize` of take() is reached. */
  full = false;
  /** Of the entry that is being read: its type, term and index. */
  private readonly numbers: [number, number, number] = [0, 0, 0];
  /** What the entries taken lie in, one behind the other up to `end`, if they do. */
  private bytes: Uint8Array | null = null;
  private end = 0;

  /** The run at point `at`; entries from `lo` on, and before `hi`. */
  constructor(points: PointIndex, path: string, at: number, lo: number, hi: number) {
    this.path = path;
    this.offset = points.offset(at);
    this.crc = points.crc(at);
    this.expected = points.index(at);
    this.term = points.term(at);
    this.next = lo;
    this.hi = Math.min(hi, points.limit(at));
  }

  get done(): boolean {
    return this.full || this.next === this.hi;
  }

  /**
   * Takes entries off `window`, which lies at `start` in the file: all wanted, or as many as fit `maxSize` encoded
   * bytes; the first of `into` in any case. Returns 0 when done, or how many bytes from `offset` on it needs to go on.
   * The window is theirs from then on: they are moved together in it, to be one run (Entry.at), which is sent as a whole.
   */
  take(window: Uint8Array, start: number, maxSize: number, into: Entry[]): number {
    this.bytes = null;
    try {
      return this.takeFrames(window, start, maxSize, into);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      throw this.damaged(`the record cannot be parsed (${error.message})`);
    }
  }

  private takeFrames(window: Uint8Array, start: number, maxSize: number, into: Entry[]): number {
    while (!this.done) {
      const at = this.offset - start;
      if (at + 8 > window.length) return 8;
      const frame = frameAt(window, at);
      if (frame.zero) throw this.damaged("zeros where a record was written");
      const frameBytes = 8 + frame.length + frame.padding;
      if (at + frameBytes > window.length) return frameBytes;
      const record = parseRecord(window, at + 8, at + 8 + frame.length);
      let crc = this.crc;
      if (record.type !== RECORD_CRC) {
        crc = crc32c(crc, window.subarray(record.dataStart, record.dataEnd));
        if (crc !== record.crc) throw this.damaged("wrong checksum on reading back");
      } else if (crc !== record.crc) throw this.damaged("a checksum record does not continue the log");
      if (record.type === RECORD_ENTRY) {
        const { dataStart, dataEnd } = record;
        const entry = this.moved(window, at, dataStart, dataEnd) ?? parseEntry(window, dataStart, dataEnd);
        // No checksum covers a record's type: it may be a state that became an entry, or hides one.
        if (entry.index !== this.expected || entry.term !== this.term) {
          throw this.damaged(
            `entry ${entry.index} of term ${entry.term} where entry ${this.expected} of term ${this.term} was written`,
          );
        }
        if (entry.index >= this.next) {
          const bytes = entrySize(entry);
          if (this.size + bytes > maxSize && into.length > 0) {
            this.full = true;
            return 0;
          }
          into.push(entry);
          this.size += bytes;
          this.next++;
        }
        this.expected++;
      }
      this.crc = crc;
      this.offset += frameBytes;
    }
    return 0;
  }

  /**
   * The entry in window[start, end), if it lies there as we encode it: moved to the end of the run that begins with the
   * first one taken off this window, whose frame was at `at`. A frame has more in front of it than it gets there.
   */
  private moved(window: Uint8Array, at: number, start: number, end: number): Entry | null {
    // hot
    const { numbers } = this;
    const data = canonicalEntry(window, start, end, numbers);
    if (data === -1) {
      // What comes behind it is another run.
      this.bytes = null;
      return null;
    }
    const [type, term, index] = numbers;
    if (index < this.next) return new Entry(type as EntryType, term, index, window.subarray(data, end));
    if (this.bytes === null) {
      // Entries of one run share this very object.
      this.bytes = window.subarray();
      this.end = at;
    }
    const from = this.end;
    window[from] = TAG_ENTRIES;
    const to = putVarint(window, from + 1, end - start);
    assert(to <= start, "a frame without room for its entry's head");
    window.copyWithin(to, start, end);
    this.end = to + end - start;
    return new Entry(type as EntryType, term, index, this.bytes, to + data - start, end - data, from);
  }

  damaged(what: string): Error {
    return corruptError(this.path, this.offset, 0, what);
  }
}

interface OpenFile {
  segment: number;
  path: string;
  fd: number;
}

export class SegmentReader {
  private readonly dir: string;
  private readonly points: PointIndex;
  /** Most recently used last. */
  private readonly open: OpenFile[] = [];
  /** Invariant: between calls it has one, or a file is open, as long as there was one to be had. */
  private readonly spare: SpareDescriptors;

  constructor(dir: string, points: PointIndex) {
    this.dir = dir;
    this.points = points;
    this.spare = new SpareDescriptors(dir, 1);
    // Checksums need it, and later there may be no descriptor left to load it.
    wasmModule();
  }

  /**
   * Appends entries [lo, hi) to `into`, at most `maxSize` encoded bytes of them but at least one. Returns the bytes
   * it added.
   */
  read(lo: number, hi: number, maxSize: number, into: Entry[]): number {
    let size = 0;
    let next = lo;
    while (next < hi) {
      const at = this.points.find(next);
      const file = this.file(this.points.segment(at));
      const run = new Run(this.points, file.path, at, next, hi);
      readRun(file.fd, run, this.points.runBytes(at), maxSize - size, into);
      size += run.size;
      next = run.next;
      if (run.full || size >= maxSize) break;
    }
    return size;
  }

  private file(segment: number): OpenFile {
    const at = this.open.findIndex((file) => file.segment === segment);
    if (at >= 0) {
      const [file] = this.open.splice(at, 1);
      this.open.push(file!);
      return file!;
    }
    if (this.open.length === OPEN_FILES_MAX) this.closeOldest();
    let file: OpenFile;
    try {
      file = this.openFile(segment);
    } catch (error) {
      if (!isNoDescriptor(error)) throw error;
      if (this.open.length > 0) this.closeOldest();
      else this.spare.giveUp();
      file = this.openFile(segment);
    }
    this.open.push(file);
    return file;
  }

  private openFile(segment: number): OpenFile {
    const name = sortedSegments(fs.readdirSync(this.dir)).find(({ seq }) => seq === segment);
    if (name === undefined) throw corruptError(this.dir, 0, 0, `segment ${segment} has gone`);
    const path = `${this.dir}/${name.name}`;
    return { segment, path, fd: fs.openSync(path, "r") };
  }

  private closeOldest(): void {
    fs.closeSync(this.open.shift()!.fd);
  }

  /** Segments before number `seq` go, and their files get another use. */
  forgetBefore(seq: number): void {
    for (let at = this.open.length - 1; at >= 0; at--) {
      if (this.open[at]!.segment < seq) fs.closeSync(this.open.splice(at, 1)[0]!.fd);
    }
    this.spare.refill();
  }

  close(): void {
    for (const file of this.open) fs.closeSync(file.fd);
    this.open.length = 0;
    this.spare.close();
  }
}

function readRun(fd: number, run: Run, runBytes: number, maxSize: number, into: Entry[]): void {
  let bytes = Math.max(READ_BYTES, Math.min(runBytes, 1 << 20));
  for (;;) {
    const start = run.offset;
    const window = readAt(fd, start, bytes);
    const need = run.take(window, start, maxSize, into);
    if (need === 0) return;
    if (window.length < bytes || (need > READ_BYTES && need > fs.fstatSync(fd).size - run.offset)) {
      throw run.damaged(CUT_SHORT);
    }
    bytes = Math.max(READ_BYTES, need);
  }
}

function readAt(fd: number, offset: number, bytes: number): Uint8Array {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  let filled = 0;
  while (filled < bytes) {
    const read = fs.readSync(fd, buffer, filled, bytes - filled, offset + filled);
    if (read === 0) break;
    filled += read;
  }
  return buffer.subarray(0, filled);
}
