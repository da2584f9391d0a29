// Reads entries back from segments through the sparse index: for followers that lag further than the cache reaches.
// Synchronous and bounded by the caller. Every record read is checked against the rolling CRC again.
import fs from "node:fs";
import { assert } from "../base/assert.js";
import type { Entry } from "../raft/raftpb/index.js";
import { frameAt } from "./codec-js.js";
import { wasmModule } from "./codec-wasm.js";
import { crc32c } from "./crc32c.js";
import { corruptError, isNoDescriptor } from "./errors.js";
import { RECORD_CRC, RECORD_ENTRY, sortedSegments } from "./format.js";
import type { PointIndex } from "./point-index.js";
import { entrySize, parseEntry, parseRecord } from "./record.js";
import { SpareDescriptors } from "./spare-descriptors.js";

const READ_BYTES = 96 * 1024;
const OPEN_FILES_MAX = 4;

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
      const before = into.length;
      size += this.readRun(
        at,
        next,
        Math.min(hi, this.points.limit(at)),
        maxSize - size,
        into,
        into.length > 0,
      );
      const added = into.length - before;
      next += added;
      if (added === 0 || size >= maxSize) break;
    }
    return size;
  }

  // One run, from its point on: entries before `lo` are stepped over, because frames have no index of their own.
  private readRun(
    at: number,
    lo: number,
    hi: number,
    maxSize: number,
    into: Entry[],
    hasSome: boolean,
  ): number {
    const file = this.file(this.points.segment(at));
    let offset = this.points.offset(at);
    let crc = this.points.crc(at);
    let window = readAt(file.fd, offset, Math.max(READ_BYTES, Math.min(this.points.runBytes(at), 1 << 20)));
    let start = 0;
    let size = 0;
    for (;;) {
      const frame = start + 8 <= window.length ? frameAt(window, start) : null;
      const frameBytes = frame === null ? 8 : 8 + frame.length + frame.padding;
      if (frame === null || start + frameBytes > window.length) {
        offset += start;
        window = readAt(file.fd, offset, Math.max(READ_BYTES, frameBytes));
        start = 0;
        if (window.length < frameBytes)
          throw corruptError(file.path, offset, 0, "the file ends inside a record");
        continue;
      }
      if (frame.zero) throw corruptError(file.path, offset + start, 0, "zeros where a record was written");
      const record = parseRecord(window, start + 8, start + 8 + frame.length);
      if (record.type !== RECORD_CRC) {
        crc = crc32c(crc, window.subarray(record.dataStart, record.dataEnd));
        if (crc !== record.crc)
          throw corruptError(file.path, offset + start, 0, "wrong checksum on reading back");
      }
      start += frameBytes;
      if (record.type !== RECORD_ENTRY) continue;
      const entry = parseEntry(window, record.dataStart, record.dataEnd);
      if (entry.index < lo) continue;
      assert(entry.index < hi, "run ended early");
      const bytes = entrySize(entry);
      if (size + bytes > maxSize && (hasSome || size > 0)) return size;
      into.push(entry);
      size += bytes;
      if (entry.index === hi - 1) return size;
    }
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
