// Opening an existing directory: every record of every segment is read and its CRC checked before the log is used.
// A torn write at the very end is cut off with a copy kept; anything else that is wrong stops the node, because what
// lies there or behind it may have been acknowledged (WAL-FORMAT section 6; stricter than etcd, which cuts at any
// zeroed sector of the last segment even if good records follow).
import fs from "node:fs";
import { assert } from "../base/assert.js";
import { RaftmarkError } from "../base/errors.js";
import { EMPTY_HARD_STATE, type HardState } from "../raft/raftpb/index.js";
import type { Codec } from "./codec.js";
import { corruptError } from "./errors.js";
import {
  FILE_MODE,
  RECORD_CRC,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  SECTOR_BYTES,
  SEGMENT_BYTES_MIN,
  type SegmentName,
  sortedSegments,
} from "./format.js";
import * as L from "./layout.js";
import { PointIndex } from "./point-index.js";
import { parseNumbers } from "./record.js";
import type { TailState } from "./segment-writer.js";
import { judgeEnd, lastNonZero, WRONG } from "./torn.js";
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
}

/** Bytes of memory that a codec needs to recover `dir`. */
export function recoveryMemoryBytes(dir: string, segments: readonly SegmentName[]): number {
  let largest = SEGMENT_BYTES_MIN;
  for (const { name } of segments) largest = Math.max(largest, fs.statSync(`${dir}/${name}`).size);
  return L.RING + Math.ceil(largest / 8) * 8 + 64;
}

/** The segments of `dir`, complete from number 0 on; WAL_CORRUPT if one is missing. */
export function listSegments(dir: string): SegmentName[] {
  const segments = sortedSegments(fs.readdirSync(dir));
  segments.forEach(({ name, seq }, at) => {
    if (seq === at) return;
    const text =
      `segment ${at} of the log in ${dir} is missing (the next one there is ${name}); restore it from a copy, ` +
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

  constructor(dir: string, codec: Codec) {
    this.dir = dir;
    this.codec = codec;
  }

  run(segments: readonly SegmentName[]): RecoveredLog {
    const { u32, f64 } = this.codec.memory;
    u32[L.SCAN_POINTS_BASE >>> 2] = L.POINTS;
    u32[L.SCAN_POINTS_CAP >>> 2] = L.POINTS_MAX;
    u32[L.SCAN_BASE >>> 2] = L.RING;
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
        sealed: this.sealed() === u32[L.SCAN_POS >>> 2] - L.RING,
      },
      tailBytes: size,
      records,
      segments: segments.length,
      torn: this.torn,
    };
  }

  // Scans one segment to its end; returns the size of its file.
  private segment(segment: SegmentName, isLast: boolean): number {
    const { u8, u32, f64 } = this.codec.memory;
    const path = `${this.dir}/${segment.name}`;
    const size = readFile(path, u8);
    u32[L.SCAN_POS >>> 2] = L.RING;
    u32[L.SCAN_SEALED >>> 2] = 0;
    u32[L.SCAN_FORCE_POINT >>> 2] = 1;
    f64[L.SCAN_RECORDS >>> 3] = 0;
    this.headEnd = 0;
    for (;;) {
      u32[L.SCAN_POINTS >>> 2] = 0;
      const result = this.codec.scan(L.RING + size);
      this.takePoints(segment.seq);
      if (result === L.SCAN_SPECIAL) this.special(path);
      else if (result === L.SCAN_POINTS_FULL) assert(u32[L.SCAN_POINTS >>> 2] > 0, "no room for points");
      else if ((result === L.SCAN_END || result === L.SCAN_ZERO) && !isLast) return size;
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
      const [index] = parseNumbers(data, 0, data.length);
      if (index > f64[L.SCAN_LAST_INDEX >>> 3]) {
        throw corruptError(
          path,
          end,
          record,
          `a snapshot at index ${index} is ahead of the log, which this version cannot open`,
        );
      }
    } else throw corruptError(path, end, record, `unexpected record type ${type}`);
    // The head of a segment: crc, metadata, and then perhaps a state, which the writer may put anywhere.
    if (record <= 2) this.headEnd = end;
  }

  // The scan stopped at something that is no record.
  private end(path: string, size: number, result: number, isLast: boolean): void {
    const { u8, u32, f64 } = this.codec.memory;
    const offset = u32[L.SCAN_POS >>> 2] - L.RING;
    const bytes = u8.subarray(L.RING, L.RING + size);
    const record = f64[L.SCAN_RECORDS >>> 3] + 1;
    if (!isLast) throw corruptError(path, offset, record, WRONG[-result] ?? "unreadable");
    const verdict = judgeEnd({ bytes, result, offset, crc: u32[L.SCAN_CRC >>> 2], sealed: this.sealed() });
    if (verdict === "clean") return;
    if (verdict !== "torn") throw corruptError(path, offset, record, verdict.damage);
    this.cut(path, bytes, offset, Math.max(offset + 1, lastNonZero(bytes, offset)));
  }

  /** End of the last seal of the segment; 0: it has none. */
  private sealed(): number {
    const at = this.codec.memory.u32[L.SCAN_SEALED >>> 2];
    return at === 0 ? 0 : at - L.RING;
  }

  // Keeps a copy of the segment as it was, then overwrites the torn end with zeros (its size stays). From behind: as
  // long as anything is left there, the sector of the damaged frame still tells that it is torn.
  private cut(path: string, bytes: Uint8Array, offset: number, used: number): void {
    let copy = `${path}.broken`;
    for (let n = 1; fs.existsSync(copy); n++) copy = `${path}.broken.${n}`;
    writeDurably(copy, fs.constants.O_CREAT | fs.constants.O_EXCL, bytes, 0, used);
    bytes.fill(0, offset, used);
    const next = Math.min(used, offset - (offset % SECTOR_BYTES) + SECTOR_BYTES);
    if (next < used) writeDurably(path, 0, bytes, next, used);
    writeDurably(path, 0, bytes, offset, next);
    syncDir(this.dir);
    this.torn = { file: path, offset, bytesCut: used - offset, copy };
  }
}

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
