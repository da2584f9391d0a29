// One `.snap` file in etcd's format (WAL-FORMAT section 7), streamed both ways in bounded memory. Runs on the main
// thread, where the chunks come from and go to: file operations do not wait, and the CRC is taken in WASM 256 KiB at a
// time (0.1 ms), which is no more work than handing each chunk to a worker.
//
// The file begins with the CRC and the lengths of what follows. Where the state is known as a whole, or ends within the
// first piece, the file is etcd's byte for byte. A longer stream gets its head last, into the place kept for it: its
// varints are as long as they can get, which every protobuf reader takes (etcd's too), and no byte is written twice.
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { types } from "node:util";
import { assert } from "../../base/assert.js";
import { NO_DATA } from "../../base/bytes.js";
import { crc32cCombine } from "../../base/crc32c.js";
import { RaftmarkError } from "../../base/errors.js";
import { FieldReader, LENGTH, MalformedError, pushBytes, VARINT } from "../../base/protobuf.js";
import { putVarint, varintSize } from "../../base/varint.js";
import {
  EMPTY_CONF_STATE,
  marshalSnapshotMetadata,
  readConfState,
  type SnapshotMetadata,
} from "../../raft/raftpb/index.js";
import { endIfAborted } from "../disk/abort.js";
import { type SnapOwner, snapshotError } from "../disk/errors.js";
import { PiecePace } from "../disk/piece-pace.js";
import { type WalFs, withFile } from "../disk/wal-fs.js";
import { crc32c } from "../format/crc32c.js";
import type { SnapshotData, SnapshotStream } from "./snapshot-data.js";

const PIECE_BYTES = 256 << 10;
/** Synced this often at least: one sync of a whole GiB would hold up the log's own, which wait behind it on the same disk. */
const SYNC_BYTES_MAX = 4 << 20;
/** Bytes of varints that are patched in later: 5 hold any CRC, 8 any length up to 2^53. */
const WIDE_CRC = 5;
const WIDE_LENGTH = 8;
/** Head of a file whose state's length is not known: three tags and their varints. */
const WIDE_HEAD_BYTES = 3 + WIDE_CRC + 2 * WIDE_LENGTH;
/** More than this is no metadata. */
const METADATA_BYTES_MAX = 16 << 20;

/** Flags. */
export const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;

/** Syncs a file as it grows. */
export class GrowingSync {
  private readonly fs: WalFs;
  private readonly fd: number;
  private readonly pace = new PiecePace(SYNC_BYTES_MAX);
  private unsynced = 0;

  constructor(fs: WalFs, fd: number) {
    this.fs = fs;
    this.fd = fd;
  }

  /** So many bytes were written. */
  async wrote(bytes: number): Promise<void> {
    this.unsynced += bytes;
    if (this.unsynced < this.pace.bytes) return;
    const begun = performance.now();
    await this.fs.fdatasync(this.fd);
    this.pace.took(this.unsynced, performance.now() - begun);
    this.unsynced = 0;
  }
}

/** Writes and syncs the file. On an error it is closed and left behind. */
export async function writeSnapFile(
  fs: WalFs,
  path: string,
  metadata: SnapshotMetadata,
  data: SnapshotData,
  signal: AbortSignal,
): Promise<void> {
  const isWhole = types.isUint8Array(data);
  if (!isWhole && typeof (data as AsyncIterable<unknown> | null)?.[Symbol.asyncIterator] !== "function")
    throw noBytes("a snapshot's data must be a Uint8Array, or an async iterable of them", data);
  await withFile(fs, path, NEW_FILE, async (fd) => {
    const suffix = encodeMetadataField(metadata);
    if (isWhole) await writeKnown(fs, fd, data, suffix, signal);
    else await writeStream(fs, fd, data, suffix, signal);
    await fs.fdatasync(fd);
  });
}

async function writeKnown(
  fs: WalFs,
  fd: number,
  data: Uint8Array,
  suffix: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  let crc = 0;
  for (let at = 0; at < data.length; at += PIECE_BYTES) {
    checkAborted(signal);
    crc = crc32c(crc, data.subarray(at, at + PIECE_BYTES));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const head = encodeHead(data === NO_DATA ? null : data.length, crc, suffix, false);
  await fs.write(fd, head, 0, head.length, 0);
  const sync = new GrowingSync(fs, fd);
  for (let at = 0; at < data.length; at += PIECE_BYTES) {
    checkAborted(signal);
    const end = Math.min(data.length, at + PIECE_BYTES);
    await fs.write(fd, data, at, end, head.length + at);
    await sync.wrote(end - at);
  }
  await fs.write(fd, suffix, 0, suffix.length, head.length + data.length);
}

async function writeStream(
  fs: WalFs,
  fd: number,
  data: AsyncIterable<Uint8Array>,
  suffix: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  const piece = new Uint8Array(PIECE_BYTES);
  let filled = 0;
  let size = 0;
  let crc = 0;
  const sync = new GrowingSync(fs, fd);
  const flush = async (): Promise<void> => {
    crc = crc32c(crc, piece.subarray(0, filled));
    await fs.write(fd, piece, 0, filled, WIDE_HEAD_BYTES + size);
    await sync.wrote(filled);
    size += filled;
    filled = 0;
  };
  for await (const chunk of abortable(data, signal)) {
    for (let at = 0; at < chunk.length; ) {
      if (filled === PIECE_BYTES) await flush();
      const bytes = Math.min(chunk.length - at, PIECE_BYTES - filled);
      piece.set(chunk.subarray(at, at + bytes), filled);
      filled += bytes;
      at += bytes;
    }
  }
  if (size === 0) return await writeKnown(fs, fd, piece.subarray(0, filled), suffix, signal);
  await flush();
  await fs.write(fd, suffix, 0, suffix.length, WIDE_HEAD_BYTES + size);
  const head = encodeHead(size, crc, suffix, true);
  assert(head.length === WIDE_HEAD_BYTES, "head does not fill its place");
  await fs.write(fd, head, 0, head.length, 0);
}

/** The source of a snapshot's state failed, with `cause`; not the disk. */
export class SourceError extends Error {
  override readonly name = "SourceError";
}

function noBytes(rule: string, value: unknown): SourceError {
  const what = value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
  return new SourceError("", { cause: new RaftmarkError("RAFT_BAD_OPTION", `${rule}, not ${what}`) });
}

// A source that never answers must not hold up an abort.
export async function* abortable(
  data: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const iterator = data[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      checkAborted(signal);
      const result = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        const onAbort = (): void => reject(signal.reason);
        signal.addEventListener("abort", onAbort, { once: true });
        const settled = (): void => signal.removeEventListener("abort", onAbort);
        iterator
          .next()
          .then(resolve, (error: unknown) => reject(new SourceError("", { cause: error })))
          .finally(settled);
      });
      ended = result.done === true;
      if (ended) return;
      if (!types.isUint8Array(result.value))
        throw noBytes("a chunk of a snapshot must be a Uint8Array", result.value);
      yield result.value;
    }
  } finally {
    if (!ended) void iterator.return?.().catch(() => {});
  }
}

export function checkAborted(signal: AbortSignal): void {
  if (signal.aborted) throw signal.reason;
}

/**
 * What stands before the state: {crc = 1, data = 2: {data = 1}}. `crc` is that of the state alone; `suffix` is what
 * follows the state. Size null: the state is absent.
 */
function encodeHead(size: number | null, crc: number, suffix: Uint8Array, wide: boolean): Uint8Array {
  const lengthWidth = wide ? WIDE_LENGTH : 0;
  const inner = size === null ? NO_DATA : concat(Uint8Array.of(0x0a), varint(size, lengthWidth));
  const state = size ?? 0;
  const before = combine(crc32c(0, inner), crc, state);
  const whole = crc32cCombine(before, crc32c(0, suffix), suffix.length);
  const innerSize = inner.length + state + suffix.length;
  const outerCrc = varint(whole, wide ? WIDE_CRC : 0);
  return concat(Uint8Array.of(0x08), outerCrc, Uint8Array.of(0x12), varint(innerSize, lengthWidth), inner);
}

/** crc32cCombine for any length. */
function combine(crcA: number, crcB: number, lengthB: number): number {
  const step = 2 ** 30;
  let shifted = crcA;
  let left = lengthB;
  for (; left > step; left -= step) shifted = crc32cCombine(shifted, 0, step);
  return crc32cCombine(shifted, crcB, left);
}

/** At least `width` bytes: padded with zero bits, which are no canonical form but the same number. */
function varint(value: number, width: number): Uint8Array {
  const size = varintSize(value);
  const bytes = new Uint8Array(Math.max(size, width));
  putVarint(bytes, 0, value);
  for (let at = size - 1; at < bytes.length - 1; at++) bytes[at] |= 0x80;
  return bytes;
}

function concat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** A field of ours in raftpb.SnapshotMetadata, which etcd's readers skip: bytes. */
const MEMBERS = 1000;

/** Field 2 of raftpb.Snapshot. */
function encodeMetadataField(metadata: SnapshotMetadata): Uint8Array {
  const body = marshalSnapshotMetadata(metadata);
  if (metadata.members !== undefined) pushBytes(body, MEMBERS, metadata.members);
  const field: number[] = [];
  pushBytes(field, 2, body);
  return Uint8Array.from(field);
}

/** Where the parts of a file lie. */
interface SnapLayout {
  crc: number;
  /** What the CRC covers. */
  start: number;
  end: number;
  stateStart: number;
  stateEnd: number;
  metadata: SnapshotMetadata;
}

/** A file that is being read. */
export class SnapReader {
  readonly path: string;
  private readonly handle: FileHandle;
  private readonly owner: SnapOwner;

  private constructor(path: string, owner: SnapOwner, handle: FileHandle) {
    this.path = path;
    this.owner = owner;
    this.handle = handle;
  }

  static async open(path: string, owner: SnapOwner = "member"): Promise<SnapReader> {
    try {
      return new SnapReader(path, owner, await open(path, "r"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT")
        throw snapshotError(path, owner, "it is missing");
      throw error;
    }
  }

  async size(): Promise<number> {
    return (await this.handle.stat()).size;
  }

  /** Fills `into`; the file holding fewer is damage. */
  async fill(into: Uint8Array, position: number): Promise<Uint8Array> {
    for (let filled = 0; filled < into.length; ) {
      const { bytesRead } = await this.handle.read(into, filled, into.length - filled, position + filled);
      if (bytesRead === 0) throw this.damaged("it ends early");
      filled += bytesRead;
    }
    return into;
  }

  damaged(what: string): RaftmarkError {
    return snapshotError(this.path, this.owner, what);
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

/** Reads the whole file and gives its metadata; WAL_CORRUPT if it is not sound. */
export async function verifySnapFile(path: string, signal?: AbortSignal): Promise<SnapshotMetadata> {
  const file = await SnapReader.open(path);
  try {
    const layout = await readLayout(file);
    await checkCrc(file, layout, signal);
    return layout.metadata;
  } finally {
    await file.close();
  }
}

async function checkCrc(file: SnapReader, layout: SnapLayout, signal?: AbortSignal): Promise<void> {
  const piece = new Uint8Array(PIECE_BYTES);
  let crc = 0;
  for (let at = layout.start; at < layout.end; ) {
    endIfAborted(signal);
    const bytes = await file.fill(piece.subarray(0, Math.min(PIECE_BYTES, layout.end - at)), at);
    crc = crc32c(crc, bytes);
    at += bytes.length;
  }
  if (crc !== layout.crc) throw file.damaged("wrong checksum");
}

/**
 * Opens a file for reading its state. The file stays open until the stream was read, left or closed, which `onClosed` hears;
 * reading on then rejects with RAFT_CLOSED.
 */
export async function streamSnapFile(
  path: string,
  { owner = "member", onClosed = () => {} }: { owner?: SnapOwner; onClosed?: () => void } = {},
): Promise<SnapshotStream> {
  const file = await SnapReader.open(path, owner);
  try {
    const layout = await readLayout(file);
    const size = layout.stateEnd - layout.stateStart;
    const { metadata } = layout;
    let taken = false;
    let isClosed = false;
    const close = (): Promise<void> => {
      isClosed = true;
      onClosed();
      return file.close();
    };
    const read = async function* (): AsyncGenerator<Uint8Array> {
      try {
        yield* readState(file, layout);
      } catch (error) {
        throw isClosed ? new RaftmarkError("RAFT_CLOSED", `the snapshot ${path} was closed`) : error;
      } finally {
        await close();
      }
    };
    return {
      metadata,
      size,
      [Symbol.asyncIterator]() {
        assert(!taken, "a snapshot stream is read once");
        taken = true;
        return read();
      },
      close,
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function* readState(file: SnapReader, layout: SnapLayout): AsyncGenerator<Uint8Array> {
  let crc = await crcOf(file, 0, layout.start, layout.stateStart);
  for (let at = layout.stateStart; at < layout.stateEnd; ) {
    const bytes = await file.fill(new Uint8Array(Math.min(PIECE_BYTES, layout.stateEnd - at)), at);
    crc = crc32c(crc, bytes);
    at += bytes.length;
    yield bytes;
  }
  crc = await crcOf(file, crc, layout.stateEnd, layout.end);
  if (crc !== layout.crc) throw file.damaged("wrong checksum");
}

async function crcOf(file: SnapReader, seed: number, from: number, to: number): Promise<number> {
  if (to - from > METADATA_BYTES_MAX) throw file.damaged("it cannot be parsed");
  return crc32c(seed, await file.fill(new Uint8Array(to - from), from));
}

/** A field of a message in the file: a number, or where its bytes lie. */
interface Field {
  id: number;
  value: number;
  start: number;
  end: number;
}

async function readLayout(file: SnapReader): Promise<SnapLayout> {
  try {
    const size = await file.size();
    const layout = { crc: 0, start: 0, end: 0, stateStart: 0, stateEnd: 0, metadata: EMPTY_METADATA };
    for (let at = 0; at < size; ) {
      const field = await readField(file, at, size);
      if (field.id === 1) layout.crc = field.value;
      if (field.id === 2) [layout.start, layout.end] = [field.start, field.end];
      at = field.end;
    }
    if (layout.start === layout.end) throw new MalformedError("no data");
    // Absent state: the CRC of what is before it is that of nothing.
    [layout.stateStart, layout.stateEnd] = [layout.start, layout.start];
    for (let at = layout.start; at < layout.end; ) {
      const field = await readField(file, at, layout.end);
      if (field.id === 1) [layout.stateStart, layout.stateEnd] = [field.start, field.end];
      if (field.id === 2) {
        const bytes = field.end - field.start;
        if (bytes > METADATA_BYTES_MAX) throw new MalformedError("metadata too large");
        layout.metadata = parseMetadata(await file.fill(new Uint8Array(bytes), field.start));
      }
      at = field.end;
    }
    return layout;
  } catch (error) {
    if (error instanceof MalformedError) throw file.damaged("it cannot be parsed");
    throw error;
  }
}

const EMPTY_METADATA: SnapshotMetadata = { confState: EMPTY_CONF_STATE, index: 0, term: 0 };

/** A tag and a varint take at most 20 bytes. */
const FIELD_HEAD_BYTES = 32;

async function readField(file: SnapReader, at: number, limit: number): Promise<Field> {
  const window = new Uint8Array(Math.min(FIELD_HEAD_BYTES, limit - at));
  const reader = new FieldReader(await file.fill(window, at));
  if (!reader.next()) throw new MalformedError("field is cut");
  if (reader.wire === LENGTH) {
    const length = reader.varint();
    const start = at + reader.at;
    if (length > limit - start) throw new MalformedError("field is cut");
    return { id: reader.field, value: 0, start, end: start + length };
  }
  if (reader.wire === VARINT) {
    const value = reader.varint();
    return { id: reader.field, value, start: at, end: at + reader.at };
  }
  reader.skip();
  return { id: 0, value: 0, start: at, end: at + reader.at };
}

function parseMetadata(bytes: Uint8Array): SnapshotMetadata {
  let { confState, index, term } = EMPTY_METADATA;
  let members: Uint8Array | undefined;
  const reader = new FieldReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) confState = readConfState(reader.view());
    else if (reader.field === 2) index = reader.number();
    else if (reader.field === 3) term = reader.number();
    else if (reader.field === MEMBERS) members = reader.view().slice();
    else reader.skip();
  }
  return members === undefined ? { confState, index, term } : { confState, index, term, members };
}
