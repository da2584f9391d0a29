// Reads entries back from segments through the sparse index: for followers that lag further than the cache reaches, and
// for what was committed and not applied when the log was opened. Every record read is checked against the rolling CRC
// again. SegmentReader waits for the disk; old-entries.ts does not, and takes runs off their bytes with what is here.
// Frames are taken off in WASM, a run at once.
import fs from "node:fs";
import { MalformedError } from "../../base/protobuf.js";
import { Entry, type EntryType, entrySize } from "../../raft/raftpb/index.js";
import { corruptError, isNoDescriptor } from "../disk/errors.js";
import { SpareDescriptors } from "../disk/spare-descriptors.js";
import { frameAt } from "../format/codec-js.js";
import { bindWasmCodec, createWasmMemory, type WasmCodec, wasmModule } from "../format/codec-wasm.js";
import { crc32c } from "../format/crc32c.js";
import { RECORD_CRC, RECORD_ENTRY, sortedSegments } from "../format/format.js";
import * as L from "../format/layout.js";
import type { PointIndex } from "../format/point-index.js";
import { parseEntry, parseRecord } from "../format/record.js";

export const READ_BYTES = 96 * 1024;
const OPEN_FILES_MAX = 4;
/** Of frames, that are taken at once: a run of the sparse index, and what it may be longer. */
const UNFRAME_BYTES = L.POINT_SPACING + 8192;
export const CUT_SHORT = "the file ends inside a record";

/** In which frames are taken: one for this thread, used within a call. */
let codec: WasmCodec | null = null;

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
   * The window is theirs from then on: they are moved together in it.
   */
  take(window: Uint8Array, start: number, maxSize: number, into: Entry[]): number {
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
      if (frameBytes <= UNFRAME_BYTES && this.takeRun(window, at, maxSize, into)) continue;
      const record = parseRecord(window, at + 8, at + 8 + frame.length);
      let crc = this.crc;
      if (record.type !== RECORD_CRC) {
        crc = crc32c(crc, window.subarray(record.dataStart, record.dataEnd));
        if (crc !== record.crc) throw this.damaged("wrong checksum on reading back");
      } else if (crc !== record.crc) throw this.damaged("a checksum record does not continue the log");
      if (record.type === RECORD_ENTRY) {
        const entry = parseEntry(window, record.dataStart, record.dataEnd);
        // No checksum covers a record's type: it may be a state that became an entry, or hides one.
        if (entry.index !== this.expected || entry.term !== this.term) {
          throw this.damaged(
            `entry ${entry.index} of term ${entry.term} where entry ${this.expected} of term ${this.term} was written`,
          );
        }
        if (entry.index >= this.next && !this.add(entry, maxSize, into)) return 0;
        this.expected++;
      }
      this.crc = crc;
      this.offset += frameBytes;
    }
    return 0;
  }

  /**
   * Takes what it can of the frames in window[at, ...) at once, in WASM: 0.34 us an entry of 1 KiB and 0.17 us one of
   * 256 B, which take 0.53 and 0.41 us one by one. False: nothing, the first of them has to be looked at. The entries
   * lie where the frames began then, as a run (Entry.at), which is sent as a whole.
   */
  private takeRun(window: Uint8Array, at: number, maxSize: number, into: Entry[]): boolean {
    // hot
    codec ??= bindWasmCodec(wasmModule(), createWasmMemory(L.RING + 8 + UNFRAME_BYTES));
    const { u8, u32, f64 } = codec.memory;
    // Into shared memory, and out of it, V8 copies byte by byte, unless source and target lie alike.
    const base = L.RING + ((window.byteOffset + at) & 7);
    const frames = window.subarray(at, Math.min(window.length, at + UNFRAME_BYTES));
    u8.set(frames, base);
    u32[L.UNFRAME_POS >>> 2] = base;
    u32[L.UNFRAME_CRC >>> 2] = this.crc;
    f64[L.UNFRAME_INDEX >>> 3] = this.expected;
    f64[L.UNFRAME_TERM >>> 3] = this.term;
    f64[L.UNFRAME_WANTED >>> 3] = this.next;
    f64[L.UNFRAME_HI >>> 3] = this.hi;
    const rows = codec.unframe(base + frames.length, L.UNFRAME_ROWS_MAX);
    const framesTaken = u32[L.UNFRAME_POS >>> 2] - base;
    this.offset += framesTaken;
    this.crc = u32[L.UNFRAME_CRC >>> 2];
    this.expected = f64[L.UNFRAME_INDEX >>> 3];
    if (rows === 0) return framesTaken > 0;
    const bytes = u32[L.UNFRAME_OUT >>> 2] - base;
    frames.set(u8.subarray(base, base + bytes));
    // Entries of one run share this very object.
    const run = frames.subarray(0, bytes);
    for (let row = L.UNFRAME_ROWS >>> 2; row < (L.UNFRAME_ROWS >>> 2) + rows * 4; row += 4) {
      const type = u32[row + 3] as EntryType;
      const entry = new Entry(
        type,
        this.term,
        this.next,
        run,
        u32[row + 1] - base,
        u32[row + 2],
        u32[row] - base,
      );
      if (!this.add(entry, maxSize, into)) return true;
    }
    return true;
  }

  /** The next wanted entry; false if it does not fit. */
  private add(entry: Entry, maxSize: number, into: Entry[]): boolean {
    const bytes = entrySize(entry);
    if (this.size + bytes > maxSize && into.length > 0) {
      this.full = true;
      return false;
    }
    into.push(entry);
    this.size += bytes;
    this.next++;
    return true;
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
    this.keepSpare();
    return size;
  }

  /** Takes a descriptor for when there is none left, if it has none. */
  keepSpare(): void {
    this.spare.refill(true);
  }

  private file(segment: number): OpenFile {
    const at = this.open.findIndex((file) => file.segment === segment);
    if (at >= 0) {
      const [file] = this.open.splice(at, 1);
      this.open.push(file!);
      return file!;
    }
    if (this.open.length === OPEN_FILES_MAX) this.closeOldest();
    for (;;) {
      try {
        const file = this.openFile(segment);
        this.open.push(file);
        return file;
      } catch (error) {
        // More than once where another thread is faster.
        if (!isNoDescriptor(error) || !this.makeRoom()) throw error;
      }
    }
  }

  /** For one more open file. False: there is none to give up. */
  private makeRoom(): boolean {
    if (this.open.length === 0) return this.spare.giveUp();
    this.closeOldest();
    return true;
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
    const { length } = this.open;
    for (let at = length - 1; at >= 0; at--) {
      if (this.open[at]!.segment < seq) fs.closeSync(this.open.splice(at, 1)[0]!.fd);
    }
    this.spare.refill(this.open.length < length);
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
