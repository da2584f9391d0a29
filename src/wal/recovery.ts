// Opening an existing directory: every record of every segment is read and its CRC checked before the log is used.
// A torn write at the very end is cut off with a copy kept; anything else that is wrong stops the node, because what
// lies there or behind it may have been acknowledged (WAL-FORMAT section 6; stricter than etcd, which cuts at any
// zeroed sector of the last segment even if good records follow).
import fs from "node:fs";
import { assert } from "../base/assert.js";
import { RaftmarkError } from "../base/errors.js";
import { EMPTY_HARD_STATE, type HardState, type SnapshotMetadata } from "../raft/raftpb/index.js";
import type { Codec } from "./codec.js";
import { corruptError } from "./errors.js";
import {
  FILE_MODE,
  RECORD_CRC,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  SEGMENT_BYTES_MIN,
  type SegmentName,
  sortedSegments,
} from "./format.js";
import * as L from "./layout.js";
import { PointIndex } from "./point-index.js";
import type { TailState } from "./segment-writer.js";
import { parseSnapshotRecord } from "./snapshot-record.js";
import { hasRecordAfter, isTorn, lastNonZero } from "./torn.js";
import type { TornTail } from "./types.js";

export interface RecoveredLog {
  /** Null: the metadata record has no data, or there is none. */
  metadata: Uint8Array | null;
  hardState: HardState;
  points: PointIndex;
  /** headEnd 0: the newest segment has no records at all, and needs a head. */
  tail: TailState;
  /** Size of the newest segment's file. */
  tailBytes: number;
  records: number;
  segments: number;
  torn: TornTail | null;
  /** All snapshot records, in order. */
  snapshots: SnapshotMetadata[];
}

/** Bytes of memory that a codec needs to recover `dir`. */
export function recoveryMemoryBytes(dir: string, segments: readonly SegmentName[]): number {
  let largest = SEGMENT_BYTES_MIN;
  for (const { name } of segments) largest = Math.max(largest, fs.statSync(`${dir}/${name}`).size);
  return L.RING + Math.ceil(largest / 8) * 8 + 64;
}

/** The segments of `dir`, complete from the first one there; WAL_CORRUPT if one is missing. */
export function listSegments(dir: string): SegmentName[] {
  const segments = sortedSegments(fs.readdirSync(dir));
  segments.forEach(({ name, seq }, at) => {
    const expected = segments[0]!.seq + at;
    if (seq === expected) return;
    const text =
      `segment ${expected} of the log in ${dir} is missing (the next one there is ${name}); restore it from a copy, ` +
      "or remove this node's data and let it rejoin the cluster as a new member";
    throw new RaftmarkError("WAL_CORRUPT", text);
  });
  return segments;
}

/** Reads and checks all of `segments`, cuts a torn tail. The codec is for this call alone. */
export function recover(dir: string, segments: readonly SegmentName[], codec: Codec): RecoveredLog {
  assert(segments.length > 0, "nothing to recover");
  return new Recovery(dir, codec).run(segments);
}

class Recovery {
  private readonly dir: string;
  private readonly codec: Codec;
  private readonly points = new PointIndex();
  private metadata: Uint8Array | null = null;
  private hasMetadata = false;
  private headEnd = 0;
  private torn: TornTail | null = null;
  private readonly snapshots: SnapshotMetadata[] = [];

  constructor(dir: string, codec: Codec) {
    this.dir = dir;
    this.codec = codec;
  }

  run(segments: readonly SegmentName[]): RecoveredLog {
    const { u32, f64 } = this.codec.memory;
    u32[L.SCAN_POINTS_BASE >>> 2] = L.POINTS;
    u32[L.SCAN_POINTS_CAP >>> 2] = L.POINTS_MAX;
    u32[L.SCAN_BASE >>> 2] = L.RING;
    // Where earlier segments were released, the log goes on from where the first one says it begins.
    f64[L.SCAN_LAST_INDEX >>> 3] = Math.max(0, segments[0]!.index - 1);
    let size = 0;
    let records = 0;
    segments.forEach((segment, at) => {
      size = this.segment(segment, at === segments.length - 1);
      records += f64[L.SCAN_RECORDS >>> 3];
    });
    const last = segments[segments.length - 1]!;
    const state = L.SCAN_HS_TERM >>> 3;
    const hardState: HardState = { term: f64[state], vote: f64[state + 1], commit: f64[state + 2] };
    return {
      metadata: this.metadata,
      hardState: hardState.term + hardState.vote + hardState.commit === 0 ? EMPTY_HARD_STATE : hardState,
      points: this.points,
      tail: {
        name: last.name,
        seq: last.seq,
        offset: u32[L.SCAN_POS >>> 2] - L.RING,
        headEnd: this.headEnd,
        crc: u32[L.SCAN_CRC >>> 2],
        lastIndex: f64[L.SCAN_LAST_INDEX >>> 3],
        lastTerm: f64[L.SCAN_LAST_TERM >>> 3],
        hardState,
      },
      tailBytes: size,
      records,
      segments: segments.length,
      torn: this.torn,
      snapshots: this.snapshots,
    };
  }

  // Scans one segment to its end; returns the size of its file.
  private segment(segment: SegmentName, isLast: boolean): number {
    const { u8, u32, f64 } = this.codec.memory;
    const path = `${this.dir}/${segment.name}`;
    const size = readFile(path, u8);
    u32[L.SCAN_POS >>> 2] = L.RING;
    u32[L.SCAN_FORCE_POINT >>> 2] = 1;
    f64[L.SCAN_RECORDS >>> 3] = 0;
    this.headEnd = 0;
    for (;;) {
      u32[L.SCAN_POINTS >>> 2] = 0;
      const result = this.codec.scan(L.RING + size);
      this.takePoints(segment.seq);
      if (result === L.SCAN_SPECIAL) this.special(path);
      else if (result === L.SCAN_POINTS_FULL) assert(u32[L.SCAN_POINTS >>> 2] > 0, "no room for points");
      else if (result === L.SCAN_END || (result === L.SCAN_ZERO && !isLast)) return size;
      else {
        this.end(path, size, result, isLast);
        return size;
      }
    }
  }

  private takePoints(segment: number): void {
    const { u32, f64 } = this.codec.memory;
    const count = u32[L.SCAN_POINTS >>> 2];
    for (let point = 0; point < count; point++) {
      const at = (L.POINTS + point * L.POINT_BYTES) / 8;
      this.points.add(f64[at], f64[at + 1], f64[at + 2], segment, f64[at + 4]);
    }
  }

  private special(path: string): void {
    const { u8, u32, f64 } = this.codec.memory;
    const type = u32[L.SCAN_TYPE >>> 2];
    const at = u32[L.SCAN_DATA >>> 2];
    const data = u8.slice(at, at + u32[L.SCAN_DATA_LEN >>> 2]);
    const end = u32[L.SCAN_POS >>> 2] - L.RING;
    const record = f64[L.SCAN_RECORDS >>> 3];
    if (type === RECORD_CRC) {
      const crc = u32[L.SCAN_RECORD_CRC >>> 2];
      const mine = u32[L.SCAN_CRC >>> 2];
      if (mine !== 0 && mine !== crc) {
        throw corruptError(path, 0, record, "its checksum does not continue the segment before it");
      }
      u32[L.SCAN_CRC >>> 2] = crc;
    } else if (type === RECORD_METADATA) {
      if (this.hasMetadata && !sameBytes(this.metadata, data)) {
        throw corruptError(path, end, record, "its metadata differs from that of earlier segments");
      }
      // at 0: the field is absent, the CRC covers nothing.
      this.metadata = at === 0 ? null : data;
      this.hasMetadata = true;
    } else if (type === RECORD_SNAPSHOT) {
      this.snapshot(parseSnapshotRecord(data));
    } else throw corruptError(path, end, record, `unexpected record type ${type}`);
    // The head of a segment: crc, metadata, and then perhaps a state, which the writer may put anywhere.
    if (record <= 2) this.headEnd = end;
  }

  // A snapshot that the log does not lead up to replaced the log: the next entry follows it.
  private snapshot(snapshot: SnapshotMetadata): void {
    const { u32, f64 } = this.codec.memory;
    const { index, term } = snapshot;
    this.snapshots.push(snapshot);
    u32[L.SCAN_FORCE_POINT >>> 2] = 1;
    const { points } = this;
    if (index <= f64[L.SCAN_LAST_INDEX >>> 3]) {
      if (index === 0 || points.count === 0 || index < points.index(0)) return;
      if (points.term(points.find(index)) === term) return;
    }
    points.clear();
    f64[L.SCAN_LAST_INDEX >>> 3] = index;
    f64[L.SCAN_LAST_TERM >>> 3] = term;
  }

  // The scan stopped at something that is no record.
  private end(path: string, size: number, result: number, isLast: boolean): void {
    const { u8, u32, f64 } = this.codec.memory;
    const at = u32[L.SCAN_POS >>> 2];
    const offset = at - L.RING;
    const record = f64[L.SCAN_RECORDS >>> 3] + 1;
    const bytes = u8.subarray(L.RING, L.RING + size);
    if (result === L.SCAN_ZERO) {
      const used = lastNonZero(bytes, offset);
      if (used <= offset) return;
      if (hasRecordAfter(bytes, offset, u32[L.SCAN_CRC >>> 2])) {
        throw corruptError(
          path,
          offset,
          record,
          "zeros where a record should be, and good records behind them",
        );
      }
      this.cut(path, bytes, offset, used);
      return;
    }
    const what = WRONG[-result] ?? "unreadable";
    const cannotBeTorn = !isLast || result === L.SCAN_GAP || result === L.SCAN_UNSAFE;
    if (cannotBeTorn) throw corruptError(path, offset, record, what);
    if (hasRecordAfter(bytes, offset, u32[L.SCAN_CRC >>> 2])) {
      throw corruptError(path, offset, record, `${what}, and good records follow`);
    }
    if (result !== L.SCAN_SHORT && !isTorn(bytes, offset)) throw corruptError(path, offset, record, what);
    this.cut(path, bytes, offset, Math.max(offset + 1, lastNonZero(bytes, offset)));
  }

  // Keeps a copy of the segment as it was, then overwrites the torn end with zeros (its size stays).
  private cut(path: string, bytes: Uint8Array, offset: number, used: number): void {
    let copy = `${path}.broken`;
    for (let n = 1; fs.existsSync(copy); n++) copy = `${path}.broken.${n}`;
    writeDurably(copy, fs.constants.O_CREAT | fs.constants.O_EXCL, bytes, 0, used);
    bytes.fill(0, offset, used);
    writeDurably(path, 0, bytes, offset, used);
    syncDir(this.dir);
    this.torn = { file: path, offset, bytesCut: used - offset, copy };
  }
}

/** By -result of scan. */
const WRONG: readonly string[] = [
  "",
  "the record reaches past the end of the file",
  "wrong checksum",
  "the record cannot be parsed",
  "an entry's index leaves a gap",
  "a term or index above 2^53-1, which this program does not handle",
];

function readFile(path: string, into: Uint8Array): number {
  const fd = fs.openSync(path, "r");
  try {
    const { size } = fs.fstatSync(fd);
    assert(L.RING + size <= into.length, "segment grew while it was opened");
    let filled = 0;
    while (filled < size) {
      const read = fs.readSync(fd, into, L.RING + filled, size - filled, filled);
      if (read === 0) break;
      filled += read;
    }
    return filled;
  } finally {
    fs.closeSync(fd);
  }
}

function writeDurably(path: string, flags: number, bytes: Uint8Array, from: number, to: number): void {
  const fd = fs.openSync(path, fs.constants.O_WRONLY | flags, FILE_MODE);
  try {
    for (let at = from; at < to; ) at += fs.writeSync(fd, bytes, at, to - at, at);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Makes names in `dir` durable. */
export function syncDir(dir: string): void {
  const fd = fs.openSync(dir, "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function sameBytes(a: Uint8Array | null, b: Uint8Array): boolean {
  return Buffer.compare(a ?? new Uint8Array(0), b) === 0;
}
