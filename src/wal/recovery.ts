// Reading a log back: every CRC checked, a torn end told from corruption. Never changes a file; cutting a torn end
// is `cutTorn`, called by whoever opens the log for writing.
import { join } from "node:path";
import { RaftmarkError } from "../base/errors.js";
import { EMPTY_HARD_STATE, type Entry, type HardState } from "../raft/raftpb/index.js";
import { allocateMemory, type Codec } from "./codec.js";
import { createWasmCodec } from "./codec-wasm.js";
import type { FileSystem } from "./file-system.js";
import {
  parseSegmentName,
  RECORD_CRC,
  RECORD_ENTRY,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  RECORD_STATE,
  SECTOR_BYTES,
  type SegmentName,
} from "./format.js";
import {
  decodeEntry,
  decodeHardState,
  FrameBad,
  FrameCursor,
  FrameEnd,
  FrameOk,
  FrameShort,
} from "./frames.js";
import { RING } from "./layout.js";
import { writeFully } from "./segments.js";

/** What a reader is told, record by record, in order. Bytes are borrowed for the call. */
export interface WalVisitor {
  /** Entry at `offset` of segment `segment`. A later entry replaces those from its index on. */
  entry(entry: Entry, segment: number, offset: number): void;
  /** The segment whose records follow. */
  segmentFound?(segment: number, name: string): void;
}

/** A torn end: an append that a crash cut short, and that was never reported durable. */
export interface Torn {
  readonly file: string;
  readonly offset: number;
}

/** All that a log says besides its entries. */
export interface WalScan {
  readonly metadata: Uint8Array;
  readonly hardState: HardState;
  readonly records: number;
  readonly segments: number;
  /** The last segment, and where its last good record ends. */
  readonly tail: { readonly name: string; readonly seq: number; readonly offset: number };
  /** Rolling CRC at the end. */
  readonly crc: number;
  readonly torn: Torn | null;
}

/** The segments of a log in order. Throws WAL_NOT_FOUND or WAL_CORRUPT. */
export function listSegments(fs: FileSystem, dir: string): SegmentName[] {
  let names: string[];
  try {
    names = fs.readdirSync(dir);
  } catch (cause) {
    throw new RaftmarkError(
      "WAL_NOT_FOUND",
      `cannot read the log directory ${dir}: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
  const segments = names.sort().flatMap((name) => parseSegmentName(name) ?? []);
  if (segments.length === 0) throw new RaftmarkError("WAL_NOT_FOUND", `${dir} holds no segment (*.wal)`);
  segments.forEach((segment, i) => {
    if (segment.seq === segments[0].seq + i) return;
    const text =
      `${dir}: segment ${segments[0].seq + i} is missing before ${segment.name}; ` +
      "bring the file back, or remove this node's directory and let it rejoin as a new member";
    throw new RaftmarkError("WAL_CORRUPT", text);
  });
  return segments;
}

/**
 * Reads the whole log in `dir` and checks it. Throws WAL_NOT_FOUND, WAL_IO, or WAL_CORRUPT with file, offset and
 * record number.
 */
export function scanWal(fs: FileSystem, dir: string, visitor: WalVisitor): WalScan {
  return new Scanner(fs, dir, visitor).run();
}

/** Cuts a torn end: keeps a copy of the file, then zeroes it from the last good record on, as etcd's reopening does. */
export function cutTorn(
  fs: FileSystem,
  torn: Torn,
): { file: string; offset: number; bytesCut: number; copy: string } {
  const copy = `${torn.file}.broken`;
  fs.copyFileSync(torn.file, copy);
  const fd = fs.openSync(torn.file, "r+");
  try {
    const { size } = fs.fstatSync(fd);
    writeFully(fs, fd, new Uint8Array(size - torn.offset), torn.offset);
    fs.fdatasyncSync(fd);
    return { ...torn, bytesCut: size - torn.offset, copy };
  } finally {
    fs.closeSync(fd);
  }
}

class Scanner {
  private readonly fs: FileSystem;
  private readonly dir: string;
  private readonly visitor: WalVisitor;
  private memory: WebAssembly.Memory | null = null;
  private codec: Codec | null = null;
  private bytes: Uint8Array = new Uint8Array(0);
  private metadata: Uint8Array | null = null;
  private hardState: HardState = EMPTY_HARD_STATE;
  private records = 0;
  private crc = 0;
  private torn: Torn | null = null;
  private validEnd = 0;
  /** Bytes of the segment at hand. */
  private size = 0;

  constructor(fs: FileSystem, dir: string, visitor: WalVisitor) {
    this.fs = fs;
    this.dir = dir;
    this.visitor = visitor;
  }

  run(): WalScan {
    const segments = listSegments(this.fs, this.dir);
    for (let i = 0; i < segments.length; i++) this.segment(segments[i], i === 0, i === segments.length - 1);
    const last = segments[segments.length - 1];
    return {
      metadata: this.metadata ?? new Uint8Array(0),
      hardState: this.hardState,
      records: this.records,
      segments: segments.length,
      tail: { name: last.name, seq: last.seq, offset: this.validEnd },
      crc: this.crc,
      torn: this.torn,
    };
  }

  private segment(segment: SegmentName, first: boolean, last: boolean): void {
    this.visitor.segmentFound?.(segment.seq, segment.name);
    this.size = this.load(segment.name);
    const cursor = new FrameCursor(this.bytes, 0, this.size);
    const before = this.records;
    this.validEnd = 0;
    for (;;) {
      const result = cursor.next();
      if (result === FrameEnd) break;
      const wrong = result === FrameOk ? this.check(cursor, first && this.records === 0) : describe(result);
      if (wrong !== null) {
        if (last && this.isTorn(cursor, result)) {
          this.torn = { file: join(this.dir, segment.name), offset: cursor.offset };
          break;
        }
        this.refuse(segment, cursor.offset, this.records - before, wrong);
      }
      this.records++;
      this.validEnd = cursor.nextOffset;
      const problem = this.record(cursor, segment.seq);
      if (problem !== null) this.refuse(segment, cursor.offset, this.records - before - 1, problem);
    }
  }

  /** Reads a segment into the codec's memory, so that CRCs are computed in place. */
  private load(name: string): number {
    const { fs } = this;
    const path = join(this.dir, name);
    const fd = fs.openSync(path, "r");
    try {
      const { size } = fs.fstatSync(fd);
      if (this.bytes.length < size) {
        this.memory = allocateMemory(RING + size);
        this.codec = createWasmCodec(this.memory);
        this.bytes = new Uint8Array(this.memory.buffer, RING);
      }
      let at = 0;
      while (at < size) {
        const read = fs.readSync(fd, this.bytes, at, size - at, at);
        if (read === 0) throw new RaftmarkError("WAL_IO", `${path}: shorter than the file system says`);
        at += read;
      }
      return size;
    } finally {
      fs.closeSync(fd);
    }
  }

  /** Checks and rolls the CRC; says what is wrong. */
  private check(cursor: FrameCursor, first: boolean): string | null {
    if (cursor.type === RECORD_CRC) {
      // Reading may begin at any segment: the first record of the first one says where the chain stands.
      if (!first && this.crc !== cursor.crc) return `crc mismatch: the segment continues another log`;
      this.crc = cursor.crc;
      return null;
    }
    const length = cursor.dataEnd - cursor.dataStart;
    const crc = length === 0 ? this.crc : this.codec!.crc32c(this.crc, RING + cursor.dataStart, length);
    if (crc !== cursor.crc) return `crc mismatch: stored ${hex(cursor.crc)}, computed ${hex(crc)}`;
    this.crc = crc;
    return null;
  }

  private record(cursor: FrameCursor, segment: number): string | null {
    const { bytes, dataStart, dataEnd } = cursor;
    switch (cursor.type) {
      case RECORD_ENTRY: {
        const entry = decodeEntry(bytes, dataStart, dataEnd);
        if (entry === null) return "an entry that cannot be read, or whose term or index is beyond 2^53-1";
        this.visitor.entry(entry, segment, cursor.offset);
        return null;
      }
      case RECORD_STATE: {
        const state = decodeHardState(bytes, dataStart, dataEnd);
        if (state === null) return "a hard state that cannot be read";
        this.hardState = state;
        return null;
      }
      case RECORD_METADATA: {
        const metadata = bytes.slice(Math.max(dataStart, 0), Math.max(dataEnd, 0));
        if (this.metadata !== null && !equal(this.metadata, metadata)) return "conflicting metadata";
        this.metadata = metadata;
        return null;
      }
      case RECORD_CRC:
      case RECORD_SNAPSHOT:
        return null;
      default:
        return `an unknown record type ${cursor.type}`;
    }
  }

  /**
   * Whether what is wrong in the last segment can be an append cut short: the file ends inside it, or a sector of it
   * was never written (WAL-FORMAT, "Torn write"). Where a sound record follows, it is damage to what was durable,
   * which etcd would cut and we refuse.
   */
  private isTorn(cursor: FrameCursor, result: number): boolean {
    if (result === FrameShort) return !this.soundRecordAfter(cursor.offset);
    const start = cursor.offset + 8;
    for (let at = start; at < cursor.nextOffset; ) {
      const end = Math.min(cursor.nextOffset, at - (at % SECTOR_BYTES) + SECTOR_BYTES);
      if (isZero(this.bytes, at, end)) return !this.soundRecordAfter(cursor.offset);
      at = end;
    }
    return false;
  }

  /** Whether two frames stand somewhere after `offset` of which the second continues the first one's CRC. */
  private soundRecordAfter(offset: number): boolean {
    const limit = this.size;
    for (let at = offset + 8; at + 16 <= limit; at += 8) {
      if (this.bytes[at + 8] !== 0x08) continue;
      const cursor = new FrameCursor(this.bytes, at, limit);
      if (cursor.next() !== FrameOk || cursor.type < 1 || cursor.type > 5) continue;
      const seed = cursor.crc;
      if (cursor.next() !== FrameOk || cursor.dataEnd <= cursor.dataStart) continue;
      const length = cursor.dataEnd - cursor.dataStart;
      if (this.codec!.crc32c(seed, RING + cursor.dataStart, length) === cursor.crc) return true;
    }
    return false;
  }

  private refuse(segment: SegmentName, offset: number, record: number, what: string): never {
    const text =
      `${join(this.dir, segment.name)}: ${what} at offset ${offset} (record ${record} of the file). ` +
      "What was acknowledged may lie behind it, so nothing is cut: restore the file from a copy, or remove this " +
      "node's directory and let it rejoin as a new member";
    throw new RaftmarkError("WAL_CORRUPT", text);
  }
}

function describe(result: number): string {
  return result === FrameBad ? "a record that cannot be parsed" : "the file ends inside a record";
}

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
