// Segment files for one writer: create, prepare ahead, write at the end, cut. Synchronous; the pool's worker calls
// it freely, the inline writers only to cut. One WAL, one writer, one order.
import { constants } from "node:fs";
import { join } from "node:path";
import { assert } from "../base/assert.js";
import { crc32c } from "../base/crc32c.js";
import type { HardState } from "../raft/raftpb/index.js";
import { finishFrame, putVarint } from "./codec-js.js";
import type { FileSystem } from "./file-system.js";
import {
  DIR_MODE,
  FILE_MODE,
  RECORD_CRC,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  RECORD_STATE,
  segmentName,
} from "./format.js";

/** How writes become durable; see Durability in node/api.ts. */
export type SyncMode = "o_dsync" | "fdatasync" | "none";

/** The open end of the log. */
export interface Tail {
  readonly name: string;
  readonly seq: number;
  /** Where the next frame goes. */
  readonly offset: number;
}

/** A segment filled with zeros ahead of need; the next cut takes it. */
export const PREPARED_NAME = "0.tmp";
/** What a cut begins where none is prepared: another name, since one may be renamed into place meanwhile. */
const UNPREPARED_NAME = "1.tmp";
/** A segment being filled; renamed to PREPARED_NAME when it is. */
const FILLING_NAME = "2.tmp";

const FILL_BYTES = 4 * 1024 * 1024;

export class Segments {
  readonly dir: string;
  private readonly fs: FileSystem;
  private readonly metadata: Uint8Array;
  private readonly mode: SyncMode;
  private readonly segmentBytes: number;
  fd: number;
  name: string;
  seq: number;
  offset: number;
  constructor(
    fs: FileSystem,
    options: { dir: string; metadata: Uint8Array; mode: SyncMode; segmentBytes: number },
    tail: Tail,
  ) {
    this.fs = fs;
    this.dir = options.dir;
    this.metadata = options.metadata;
    this.mode = options.mode;
    this.segmentBytes = options.segmentBytes;
    this.name = tail.name;
    this.seq = tail.seq;
    this.offset = tail.offset;
    this.fd = openForAppend(fs, join(options.dir, tail.name), options.mode);
  }

  /** Syncs one write takes to be durable, for the counters. */
  get syncsPerWrite(): number {
    return this.mode === "none" ? 0 : 1;
  }

  get full(): boolean {
    return this.offset >= this.segmentBytes;
  }

  /** Writes `bytes` at the end and makes them durable, as the mode says. Throws what the file system throws. */
  write(bytes: Uint8Array): void {
    writeFully(this.fs, this.fd, bytes, this.offset);
    if (this.mode === "fdatasync") this.fs.fdatasyncSync(this.fd);
    this.offset += bytes.length;
  }

  /**
   * Ends this segment after its last record and begins the next one with crc, metadata and hard state
   * (WAL-FORMAT section 5). Returns the rolling CRC after the new head.
   */
  cut(crc: number, lastIndex: number, hardState: HardState | null): number {
    const { fs } = this;
    fs.ftruncateSync(this.fd, this.offset);
    if (this.mode !== "none") fs.fdatasyncSync(this.fd);
    fs.closeSync(this.fd);
    const head = new Head(crc).crc().metadata(this.metadata);
    if (hardState !== null) head.state(hardState);
    const prepared = join(this.dir, PREPARED_NAME);
    const temporary = fs.existsSync(prepared) ? prepared : join(this.dir, UNPREPARED_NAME);
    this.name = segmentName(this.seq + 1, lastIndex + 1);
    const fd = fs.openSync(temporary, constants.O_RDWR | constants.O_CREAT, FILE_MODE);
    writeFully(fs, fd, head.bytes(), 0);
    // Where nothing was prepared: the full size all the same, sparse, as etcd preallocates it.
    if (fs.fstatSync(fd).size < this.segmentBytes) fs.ftruncateSync(fd, this.segmentBytes);
    if (this.mode !== "none") fs.fdatasyncSync(fd);
    fs.closeSync(fd);
    fs.renameSync(temporary, join(this.dir, this.name));
    syncDirectory(fs, this.dir);
    this.fd = openForAppend(fs, join(this.dir, this.name), this.mode);
    this.seq++;
    this.offset = head.bytes().length;
    return head.value;
  }

  close(): void {
    assert(this.fd >= 0, "closed twice");
    if (this.mode !== "none") this.fs.fdatasyncSync(this.fd);
    this.fs.closeSync(this.fd);
    this.fd = -1;
  }
}

/** Makes `dir` with its first segment: all in `dir.tmp`, then renamed, so that a crash leaves all or nothing. */
export function createLog(fs: FileSystem, dir: string, metadata: Uint8Array, segmentBytes: number): void {
  const temporary = `${dir}.tmp`;
  fs.rmSync(temporary, { recursive: true, force: true });
  fs.mkdirSync(temporary, { recursive: true, mode: DIR_MODE });
  const path = join(temporary, segmentName(0, 0));
  fillWithZeros(fs, path, segmentBytes);
  const fd = fs.openSync(path, constants.O_RDWR);
  writeFully(fs, fd, new Head(0).crc().metadata(metadata).emptySnapshot().bytes(), 0);
  fs.fdatasyncSync(fd);
  fs.closeSync(fd);
  fs.renameSync(temporary, dir);
  syncDirectory(fs, join(dir, ".."));
}

/**
 * Writes `size` zeros to a new file at `path` and syncs it: an append over blocks that were written before changes
 * no metadata, which halves its latency.
 */
export function fillWithZeros(fs: FileSystem, path: string, size: number): void {
  const fd = fs.openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC, FILE_MODE);
  try {
    const zeros = new Uint8Array(Math.min(size, FILL_BYTES));
    for (let at = 0; at < size; at += zeros.length) {
      writeFully(fs, fd, zeros.subarray(0, Math.min(zeros.length, size - at)), at);
    }
    fs.fdatasyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * Prepares the segment after the present one in `dir`, unless one is. Calls must not overlap: a rename over a
 * prepared segment that a cut is just taking would give the cut a file without a head.
 */
export function prepareSegment(fs: FileSystem, dir: string, segmentBytes: number): void {
  if (fs.existsSync(join(dir, PREPARED_NAME))) return;
  fillWithZeros(fs, join(dir, FILLING_NAME), segmentBytes);
  fs.renameSync(join(dir, FILLING_NAME), join(dir, PREPARED_NAME));
}

/** Removes what an earlier process had under way. */
export function removeTemporaries(fs: FileSystem, dir: string): void {
  for (const name of [PREPARED_NAME, UNPREPARED_NAME, FILLING_NAME]) {
    fs.rmSync(join(dir, name), { force: true });
  }
}

export function syncDirectory(fs: FileSystem, dir: string): void {
  const fd = fs.openSync(dir, constants.O_RDONLY);
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}

export function writeFully(fs: FileSystem, fd: number, bytes: Uint8Array, position: number): void {
  let done = 0;
  while (done < bytes.length) done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done);
}

function openForAppend(fs: FileSystem, path: string, mode: SyncMode): number {
  return fs.openSync(path, constants.O_RDWR | (mode === "o_dsync" ? constants.O_DSYNC : 0));
}

/** Builds the records at the start of a segment. */
class Head {
  value: number;
  private readonly buffer: Uint8Array = new Uint8Array(4096);
  private readonly view = new DataView(this.buffer.buffer);
  private end = 0;

  constructor(crc: number) {
    this.value = crc;
  }

  crc(): this {
    return this.record(RECORD_CRC, null);
  }

  metadata(metadata: Uint8Array): this {
    assert(metadata.length <= 2048, "metadata larger than a segment's head has room for");
    return this.record(RECORD_METADATA, metadata);
  }

  state(hardState: HardState): this {
    return this.record(RECORD_STATE, message([hardState.term, hardState.vote, hardState.commit]));
  }

  emptySnapshot(): this {
    return this.record(RECORD_SNAPSHOT, message([0, 0]));
  }

  bytes(): Uint8Array {
    return this.buffer.subarray(0, this.end);
  }

  private record(type: number, data: Uint8Array | null): this {
    const { buffer } = this;
    if (data !== null) this.value = crc32c(this.value, data);
    let to = this.end + 8;
    buffer[to++] = 0x08;
    buffer[to++] = type;
    buffer[to++] = 0x10;
    to = putVarint(buffer, to, this.value);
    if (data !== null) {
      buffer[to++] = 0x1a;
      to = putVarint(buffer, to, data.length);
      buffer.set(data, to);
      to += data.length;
    }
    this.end = finishFrame(buffer, this.view, this.end, to);
    return this;
  }
}

/** A protobuf message of varint fields 1, 2, ... */
function message(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 11);
  let to = 0;
  values.forEach((value, i) => {
    bytes[to++] = (i + 1) << 3;
    to = putVarint(bytes, to, value);
  });
  return bytes.subarray(0, to);
}
