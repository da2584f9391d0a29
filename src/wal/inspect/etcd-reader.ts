// Reads a log directory exactly as etcd 3.4 does, quirks and error texts included (WAL-FORMAT sections 6 and 7), with
// all 64 bits: for tools over foreign logs and for the conformance fixtures. Our own recovery is stricter and
// elsewhere (recovery.ts).
import fs from "node:fs";
import path from "node:path";
import { NO_DATA } from "../../base/bytes.js";
import { brokenPath, FILE_MODE, syncFs } from "../disk/wal-fs.js";
import { frameAt } from "../format/codec-js.js";
import { crc32c } from "../format/crc32c.js";
import { sameBytes } from "../recover/scan-segment.js";
import { hasZeroSector } from "../recover/torn.js";
import {
  decodeEntry,
  decodeRecord,
  decodeSnapFile,
  decodeSnapshot,
  decodeSnapshotId,
  decodeState,
  type EtcdEntry,
  type EtcdHardState,
  type EtcdRecord,
  type EtcdSnapshotId,
  ProtoError,
  UNEXPECTED_EOF,
  ZERO_STATE,
} from "./etcd-proto.js";

const RECORD_BYTES_MAX = 10 * 1024 * 1024;
const EOF = "EOF";
const CRC_MISMATCH = "wal: crc mismatch";
const NOT_FOUND = "wal: file not found";
/** What was read is there beside it. */
export const SNAPSHOT_NOT_FOUND = "wal: snapshot not found";
const CONFLICT = "wal: conflicting metadata found";

const METADATA = 1n;
const ENTRY = 2n;
const STATE = 3n;
const CRC = 4n;
const SNAPSHOT = 5n;

/** A refusal in etcd's words. */
export class EtcdError extends Error {
  override readonly name = "EtcdError";
}

/** A segment by its name: number, and index of the first entry that it may hold. */
export interface EtcdSegment {
  readonly name: string;
  readonly seq: bigint;
  readonly index: bigint;
}

/**
 * What etcd takes for a segment: a name that ends in ".wal" and that Go's Sscanf reads by "%016x-%016x.wal". It takes
 * fewer digits, large ones, space before a number, and anything behind what it read.
 */
const SCANNED = /^(?:[^\S\n\ufeff]|\x85)*([0-9a-fA-F]{1,16})-(?:[^\S\n\ufeff]|\x85)*([0-9a-fA-F]{1,16})\.wal/;

/** The segments of a directory to etcd, in its order: by name. */
export function etcdSegments(dir: string): EtcdSegment[] {
  const segments: EtcdSegment[] = [];
  for (const name of fs.readdirSync(dir).sort()) {
    const match = name.endsWith(".wal") ? SCANNED.exec(name) : null;
    if (match !== null) segments.push({ name, seq: BigInt(`0x${match[1]}`), index: BigInt(`0x${match[2]}`) });
  }
  return segments;
}

/** The bytes of a segment, read when they are wanted: one segment at a time is in memory. */
export type SegmentBytes = () => Uint8Array;

/** etcd's decoder: the records of some segments in a row. */
export class EtcdDecoder {
  private readonly files: readonly SegmentBytes[];
  private current = 0;
  private bytes: Uint8Array;
  private at = 0;
  crc = 0;
  /** End of the last good record in the newest segment read. */
  lastOffset = 0;

  constructor(files: readonly SegmentBytes[]) {
    this.files = files;
    this.bytes = files.length === 0 ? new Uint8Array(0) : files[0]();
  }

  /** The next record. Throws EtcdError "EOF" at the end. */
  next(): EtcdRecord {
    for (;;) {
      if (this.current === this.files.length) throw new EtcdError(EOF);
      const { bytes } = this;
      const left = bytes.length - this.at;
      if (left > 0 && left < 8) throw new EtcdError(UNEXPECTED_EOF);
      const frame = left === 0 ? null : frameAt(bytes, this.at);
      if (frame !== null && !frame.zero) return this.record(bytes, frame.length, frame.padding);
      this.current++;
      if (this.current === this.files.length) throw new EtcdError(EOF);
      this.bytes = this.files[this.current]();
      this.at = 0;
      this.lastOffset = 0;
    }
  }

  private record(bytes: Uint8Array, length: number, padding: number): EtcdRecord {
    if (length >= RECORD_BYTES_MAX - padding) throw new EtcdError("wal: max entry size limit exceeded");
    const start = this.at + 8;
    const end = start + length + padding;
    if (end > bytes.length) throw new EtcdError(UNEXPECTED_EOF);
    const record = this.parse(bytes, start, length, end);
    if (record.type !== CRC) {
      this.crc = crc32c(this.crc, record.data ?? new Uint8Array(0));
      if (record.crc !== this.crc) throw this.tornOr("walpb: crc mismatch", bytes, start, end);
    }
    this.at = end;
    this.lastOffset = end;
    return record;
  }

  private parse(bytes: Uint8Array, start: number, length: number, end: number): EtcdRecord {
    try {
      return decodeRecord(bytes.subarray(start, start + length));
    } catch (error) {
      if (error instanceof ProtoError) throw this.tornOr(error.message, bytes, start, end);
      throw error;
    }
  }

  // etcd's isTornEntry: a zeroed sector, in the last segment only, counts as a cut file.
  private tornOr(text: string, bytes: Uint8Array, start: number, end: number): EtcdError {
    if (this.current !== this.files.length - 1) return new EtcdError(text);
    return new EtcdError(hasZeroSector(bytes, start, end) ? UNEXPECTED_EOF : text);
  }
}

/** What etcd's ReadAll gives beside the entries. */
export interface EtcdRead {
  /** "" or etcd's error text; on some errors there are results beside it. */
  readonly error: string;
  readonly metadata: Uint8Array;
  readonly hardState: EtcdHardState;
}

/**
 * etcd's Open or OpenForRead, then ReadAll. `onEntry` gets each entry behind the snapshot as it is read: it takes the place
 * of an earlier one with its index, and of those behind that.
 */
export function etcdRead(
  dir: string,
  snap: EtcdSnapshotId,
  write: boolean,
  onEntry: (entry: EtcdEntry) => void = () => {},
): EtcdRead {
  const all = new ReadAll(snap, onEntry);
  const end = readOn(
    () => openAt(dir, snap),
    (record) => all.take(record),
  );
  const isEnd = end === EOF || (!write && end === UNEXPECTED_EOF);
  if (!isEnd) return { error: end, metadata: NO_DATA, hardState: all.stateBeside(end) };
  // In write mode 3.4 overwrites this error with that of making the encoder.
  const error = all.matched || write ? "" : SNAPSHOT_NOT_FOUND;
  return { error, metadata: all.metadata ?? NO_DATA, hardState: all.hardState };
}

/** Takes records until one cannot be read or taken: returns etcd's text of that. Their checksums are chained. */
function readOn(open: () => EtcdDecoder, take: (record: EtcdRecord) => void): string {
  try {
    const decoder = open();
    for (;;) {
      const record = decoder.next();
      if (record.type === CRC) chain(decoder, record);
      else take(record);
    }
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    return error.message;
  }
}

class ReadAll {
  metadata: Uint8Array | null = null;
  hardState: EtcdHardState = ZERO_STATE;
  matched = false;
  private readonly snap: EtcdSnapshotId;
  private readonly onEntry: (entry: EtcdEntry) => void;
  private count = 0n;

  constructor(snap: EtcdSnapshotId, onEntry: (entry: EtcdEntry) => void) {
    this.snap = snap;
    this.onEntry = onEntry;
  }

  take(record: EtcdRecord): void {
    if (record.type === ENTRY) this.entry(must(decodeEntry, record.data));
    else if (record.type === STATE) this.hardState = must(decodeState, record.data);
    else if (record.type === METADATA) this.metadata = sameMetadata(this.metadata, record.data);
    else if (record.type === SNAPSHOT) this.matched = matches(record, this.snap) || this.matched;
    else throw new EtcdError(`unexpected block type ${record.type}`);
  }

  private entry(entry: EtcdEntry): void {
    if (entry.index <= this.snap.index) return;
    const position = entry.index - this.snap.index - 1n;
    if (position > this.count) throw new EtcdError("wal: slice bounds out of range");
    this.count = position + 1n;
    this.onEntry(entry);
  }

  stateBeside(error: string): EtcdHardState {
    return error === "wal: slice bounds out of range" ? this.hardState : ZERO_STATE;
  }
}

function sameMetadata(before: Uint8Array | null, data: Uint8Array | null): Uint8Array | null {
  if (before !== null && !sameBytes(before, data)) throw new EtcdError(CONFLICT);
  return data;
}

function chain(decoder: EtcdDecoder, record: EtcdRecord): void {
  if (decoder.crc !== 0 && decoder.crc !== record.crc) throw new EtcdError(CRC_MISMATCH);
  decoder.crc = record.crc;
}

// A record of good CRC whose data is no message of its type: etcd panics.
function must<T>(decode: (bytes: Uint8Array | null) => T, bytes: Uint8Array | null): T {
  try {
    return decode(bytes);
  } catch (error) {
    if (!(error instanceof ProtoError)) throw error;
    throw new EtcdError(`panic: unmarshal should never fail (${error.message})`);
  }
}

function matches(record: EtcdRecord, snap: EtcdSnapshotId): boolean {
  const { index, term } = must(decodeSnapshotId, record.data);
  if (index !== snap.index) return false;
  if (term !== snap.term) throw new EtcdError("wal: snapshot mismatch");
  return true;
}

// The last segment that may begin at or before the snapshot, and all after it.
function openAt(dir: string, snap: EtcdSnapshotId): EtcdDecoder {
  const segments = etcdSegments(dir);
  const from = segments.findLastIndex((segment) => segment.index <= snap.index);
  if (from < 0) throw new EtcdError(NOT_FOUND);
  const chosen = segments.slice(from);
  let last = 0n;
  for (const { seq } of chosen) {
    // Quirk: 0 stands for "none yet", so a missing segment 1 behind segment 0 passes.
    if (last !== 0n && last !== seq - 1n) throw new EtcdError(NOT_FOUND);
    last = seq;
  }
  return new EtcdDecoder(sources(dir, chosen));
}

function sources(dir: string, segments: readonly EtcdSegment[]): SegmentBytes[] {
  return segments.map(
    ({ name }) =>
      () =>
        fs.readFileSync(`${dir}/${name}`),
  );
}

/** etcd's Verify: "" or the error text. */
export function etcdVerify(dir: string, snap: EtcdSnapshotId): string {
  let matched = false;
  let metadata: Uint8Array | null = null;
  const end = readOn(
    () => openAt(dir, snap),
    (record) => {
      if (record.type === METADATA) metadata = sameMetadata(metadata, record.data);
      else if (record.type === SNAPSHOT) matched = matches(record, snap) || matched;
      else if (record.type !== ENTRY && record.type !== STATE) {
        throw new EtcdError(`unexpected block type ${record.type}`);
      }
    },
  );
  if (end !== EOF && end !== UNEXPECTED_EOF) return end;
  return matched ? "" : SNAPSHOT_NOT_FOUND;
}

/** etcd's ValidSnapshotEntries. */
export function etcdValidSnapshots(dir: string): { snapshots: EtcdSnapshotId[]; error: string } {
  const segments = etcdSegments(dir);
  if (segments.length === 0) return { snapshots: [], error: NOT_FOUND };
  const snapshots: EtcdSnapshotId[] = [];
  let state = ZERO_STATE;
  const end = readOn(
    () => new EtcdDecoder(sources(dir, segments)),
    (record) => {
      if (record.type === SNAPSHOT) snapshots.push(must(decodeSnapshotId, record.data));
      else if (record.type === STATE) state = must(decodeState, record.data);
    },
  );
  if (end !== EOF && end !== UNEXPECTED_EOF) return { snapshots: [], error: end };
  return { snapshots: snapshots.filter(({ index }) => index <= state.commit), error: "" };
}

/** What etcd's Repair would do: leave a sound end alone, cut behind the last good record, or refuse. */
export interface EtcdRepairPlan {
  readonly answer: "clean" | "cut" | "refuse";
  /** "" or the error it stumbled on, in etcd's words. */
  readonly error: string;
  /** The newest segment; "" if there is none. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** End of the last good record. */
  readonly offset: number;
}

/** etcd's Repair without its deed: it looks at the last of the segments alone. */
export function etcdPlanRepair(
  dir: string,
  segments: readonly EtcdSegment[] = etcdSegments(dir),
): EtcdRepairPlan {
  const last = segments.at(-1);
  if (last === undefined) {
    return { answer: "refuse", error: NOT_FOUND, name: "", bytes: new Uint8Array(0), offset: 0 };
  }
  const bytes = fs.readFileSync(`${dir}/${last.name}`);
  const decoder = new EtcdDecoder([() => bytes]);
  const end = readOn(
    () => decoder,
    () => {},
  );
  const error = end === EOF ? "" : end;
  const answer = error === "" ? "clean" : error === UNEXPECTED_EOF ? "cut" : "refuse";
  return { answer, error, name: last.name, bytes, offset: decoder.lastOffset };
}

/**
 * Does what a plan to cut says, the copy first and durably. Returns the name of the copy; an older one is kept, so it
 * may carry a number. `zeros` are left behind the cut: without any, a segment of ours that ends with a seal is closed,
 * and another has to follow.
 */
export function applyRepair(dir: string, plan: EtcdRepairPlan, zeros = 0): string {
  const segment = `${dir}/${plan.name}`;
  const copy = brokenPath(segment);
  fs.writeFileSync(copy, plan.bytes, { mode: FILE_MODE, flag: "wx", flush: true });
  const file = fs.openSync(segment, "r+");
  try {
    fs.ftruncateSync(file, plan.offset + zeros);
    fs.writeSync(file, new Uint8Array(zeros), 0, zeros, plan.offset);
    fs.fsyncSync(file);
  } finally {
    fs.closeSync(file);
  }
  syncFs.syncDir(dir);
  return path.basename(copy);
}

/** What etcd 3.4's entry points answer for a log: "" is no error. */
export interface EtcdAnswers {
  readonly read: string;
  readonly write: string;
  readonly verify: string;
  readonly validSnapshots: string;
}

/** Asks all of them, at a snapshot. One segment at a time is in memory. */
export function etcdAnswers(dir: string, snap: EtcdSnapshotId): EtcdAnswers {
  return {
    read: etcdRead(dir, snap, false).error,
    write: etcdRead(dir, snap, true).error,
    verify: etcdVerify(dir, snap),
    validSnapshots: etcdValidSnapshots(dir).error,
  };
}

/** A .snap file's content, or etcd's error text. */
export function etcdReadSnap(bytes: Uint8Array): {
  error: string;
  crc: number;
  snapshot: EtcdSnapshot | null;
} {
  const refuse = (error: string) => ({ error, crc: 0, snapshot: null });
  try {
    if (bytes.length === 0) return refuse("snap: empty snapshot");
    const { crc, data } = decodeSnapFile(bytes);
    if (data.length === 0 || crc === 0) return refuse("snap: empty snapshot");
    if (crc32c(0, data) !== crc) return refuse("snap: crc mismatch");
    return { error: "", crc, snapshot: decodeSnapshot(data) };
  } catch (error) {
    if (error instanceof ProtoError) return refuse(error.message);
    throw error;
  }
}

export type EtcdSnapshot = ReturnType<typeof decodeSnapshot>;
