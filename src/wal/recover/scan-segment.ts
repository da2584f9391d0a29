// Goes over one segment in pieces and says what it found, as plain data that a worker can post: what is needed to join
// segments that were scanned apart (recovery.ts), and where something is wrong. Decides nothing about the log, changes
// no file. A procedure of steps (wal-fs.ts): a worker reads synchronously, the main thread does not wait.
import { assert } from "../../base/assert.js";
import { NO_DATA } from "../../base/bytes.js";
import { MalformedError } from "../../base/protobuf.js";
import type { ConfState, HardState } from "../../raft/raftpb/index.js";
import type { Steps } from "../disk/wal-fs.js";
import type { Codec } from "../format/codec.js";
import { createJsCodec, frameAt } from "../format/codec-js.js";
import { bindWasmCodec, createWasmMemory } from "../format/codec-wasm.js";
import { RECORD_CRC, RECORD_ENTRY, RECORD_METADATA, RECORD_STATE } from "../format/format.js";
import * as L from "../format/layout.js";
import { dropFrom, PointIndex } from "../format/point-index.js";
import { parseEntry, parseSnapshotRecord } from "../format/record.js";
import { misplaced } from "./misfits.js";
import type { SegmentSource } from "./segment-source.js";
import { isMisplaced, judgeEnd, lastNonZero, MISPLACED, wrongText } from "./torn.js";

/** Makes a codec with so much memory. */
export type CodecOf = (bytes: number) => Codec;

/** `module`: of the WASM codec; null: the TypeScript one. */
export function codecsOf(module: object | null): CodecOf {
  if (module === null) return (bytes) => createJsCodec(new ArrayBuffer(bytes));
  return (bytes) => bindWasmCodec(module, createWasmMemory(bytes));
}

/** Memory for a codec that scans with a window of this size. */
export function scanMemoryBytes(windowBytes: number): number {
  return L.RING + Math.ceil(windowBytes / 8) * 8 + 64;
}

/** A snapshot record. */
export interface SnapshotMark {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
}

/** What is wrong, and where: offset in the file, number of the record in the segment, from 1. */
export interface Damage {
  offset: number;
  record: number;
  what: string;
}

export interface SegmentScan {
  /** Bytes of the file. */
  size: number;
  records: number;
  /** Null: the segment does not begin with a crc record. */
  leadingCrc: number | null;
  /** Rolling CRC behind the last good record. */
  crc: number;
  /** End of the last good record. */
  offset: number;
  /** End of the last seal (torn.ts); 0: there is none. */
  sealed: number;
  /** End of the segment's head. */
  headEnd: number;
  metadata: { data: Uint8Array | null; end: number; record: number } | null;
  hardState: HardState | null;
  /** It was scanned as what follows the log before it. */
  continues: boolean;
  /** Only then can be told whether it does: what it says of that is not all. */
  unsure: boolean;
  /** The first state record; null: there is none, or `continues`. */
  firstState: HardState | null;
  /** The first entry, before any overwriting; 0: there are none. */
  firstIndex: number;
  /** Its term, unless `continues`. */
  firstTerm: number;
  /** Valid if there are entries, or `forgets`. */
  lastIndex: number;
  lastTerm: number;
  /** Rows of the sparse index (PointIndex.rows). */
  points: Float64Array;
  /** A snapshot replaced the log: nothing before `points` counts. */
  forgets: boolean;
  /** Indexes of its entries that change the membership, ascending; overwritten ones are not among them. */
  confChanges: number[];
  /** In order. `placed`: what it means for the log is accounted for; otherwise only the log before can tell. */
  snapshots: (SnapshotMark & { placed: boolean })[];
  damage: Damage | null;
  /** A write that a crash tore: bytes [offset, used) are to be cut. */
  tornUsed: number;
}

/** Of a segment of so many bytes, nothing of which is scanned yet. */
function emptyScan(size: number, continues: boolean): SegmentScan {
  return {
    size,
    records: 0,
    leadingCrc: null,
    crc: 0,
    offset: 0,
    sealed: 0,
    headEnd: 0,
    metadata: null,
    hardState: null,
    continues,
    unsure: false,
    firstState: null,
    firstIndex: 0,
    firstTerm: 0,
    lastIndex: 0,
    lastTerm: 0,
    points: new Float64Array(0),
    forgets: false,
    confChanges: [],
    snapshots: [],
    damage: null,
    tornUsed: 0,
  };
}

/** What the log before a segment comes to. */
export interface LogBefore {
  readonly crc: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly hardState: HardState;
  readonly points: PointIndex;
}

/** One segment to scan. Plain data: it is posted to workers. */
export interface ScanTask {
  path: string;
  seq: number;
  isLast: boolean;
}

export class SegmentScanner {
  readonly result: SegmentScan;
  private codec: Codec;
  private readonly codecOf: CodecOf;
  private readonly task: ScanTask;
  private before: LogBefore | null;
  private readonly source: SegmentSource;
  private readonly points = new PointIndex();
  /** Of the newest entry that takes another's place: the terms of the one before it and of that other; -1: not known. */
  private under = -1;
  private replaced = -1;
  /** The window holds bytes [start, start + filled) of the file, from L.RING on. */
  private start = 0;
  private filled = 0;

  /**
   * `codec`'s memory has the window; `codecOf` makes a larger one if a frame does not fit. `before` null: not known,
   * the first crc record and the first entry are taken as they are.
   */
  constructor(
    task: ScanTask,
    source: SegmentSource,
    codec: Codec,
    codecOf: CodecOf,
    before: LogBefore | null,
  ) {
    this.task = task;
    this.source = source;
    this.codec = codec;
    this.codecOf = codecOf;
    this.before = before;
    this.result = emptyScan(source.size, before !== null);
    this.begin(before);
    this.place();
  }

  /** Tells the codec what the log is before the segment. */
  private begin(before: LogBefore | null): void {
    const { u32, f64 } = this.codec.memory;
    u32[L.SCAN_POINTS_BASE >>> 2] = L.POINTS;
    u32[L.SCAN_POINTS_CAP >>> 2] = L.POINTS_MAX;
    u32[L.SCAN_FORCE_POINT >>> 2] = 1;
    u32[L.SCAN_SEALED >>> 2] = 0;
    u32[L.SCAN_CRC >>> 2] = before?.crc ?? 0;
    for (const field of [L.SCAN_RECORDS, L.SCAN_ENTRIES, L.SCAN_SINCE_POINT, L.SCAN_FIRST_INDEX]) {
      f64[field >>> 3] = 0;
    }
    // Infinity: any first entry continues the log. -1: no state record yet.
    f64[L.SCAN_LAST_INDEX >>> 3] = before?.lastIndex ?? Number.POSITIVE_INFINITY;
    f64[L.SCAN_LAST_TERM >>> 3] = before?.lastTerm ?? 0;
    const state = L.SCAN_HS_TERM >>> 3;
    f64[state] = before?.hardState.term ?? -1;
    f64[state + 1] = before?.hardState.vote ?? 0;
    f64[state + 2] = before?.hardState.commit ?? -1;
  }

  // The window moved: tells the codec.
  private place(): void {
    const { u32 } = this.codec.memory;
    u32[L.SCAN_POS >>> 2] = L.RING;
    u32[L.SCAN_BASE >>> 2] = (L.RING - this.start) >>> 0;
  }

  *run(): Steps {
    yield* this.scan();
    const { result } = this;
    const { u32, f64 } = this.codec.memory;
    result.records = f64[L.SCAN_RECORDS >>> 3];
    result.crc = u32[L.SCAN_CRC >>> 2];
    result.firstIndex = f64[L.SCAN_FIRST_INDEX >>> 3];
    result.lastIndex = f64[L.SCAN_LAST_INDEX >>> 3];
    result.lastTerm = f64[L.SCAN_LAST_TERM >>> 3];
    result.hardState = this.hardState();
    result.points = this.points.rows();
  }

  private hardState(): HardState | null {
    const { f64 } = this.codec.memory;
    const state = L.SCAN_HS_TERM >>> 3;
    return f64[state] < 0 ? null : { term: f64[state], vote: f64[state + 1], commit: f64[state + 2] };
  }

  private *scan(): Steps {
    for (;;) {
      const { u32 } = this.codec.memory;
      u32[L.SCAN_POINTS >>> 2] = 0;
      let found = this.codec.scan(L.RING + this.filled);
      this.takePoints();
      if (found === L.SCAN_SPECIAL) {
        this.special();
        if (this.result.damage !== null) return;
        continue;
      }
      if (found === L.SCAN_POINTS_FULL) {
        assert(u32[L.SCAN_POINTS >>> 2] > 0, "no room for points");
        continue;
      }
      const at = u32[L.SCAN_POS >>> 2] - L.RING;
      if ((found === L.SCAN_END || found === L.SCAN_SHORT) && (yield* this.refill(at))) continue;
      this.result.offset = this.start + at;
      this.result.sealed = u32[L.SCAN_SEALED >>> 2];
      // The window ends with a record, and the file inside the next length field.
      if (found === L.SCAN_END && this.result.offset < this.source.size) found = L.SCAN_SHORT;
      if (isMisplaced(this.result.offset)) {
        this.damaged(this.result.offset, this.codec.memory.f64[L.SCAN_RECORDS >>> 3]! + 1, MISPLACED);
        return;
      }
      if (found === L.SCAN_END) return;
      return yield* this.end(found, at);
    }
  }

  /** Moves the window on to `at` and fills it; false if the file ends before the next frame does. */
  private *refill(at: number): Generator<void | Promise<void>, boolean, void> {
    const { source } = this;
    let { u8 } = this.codec.memory;
    const left = this.filled - at;
    const rest = source.size - this.start - at;
    if (rest <= left) return false;
    const need = left < 8 ? Math.min(8, rest) : frameBytes(u8, L.RING + at);
    if (need > rest) return false;
    const window = u8.length - L.RING;
    if (need > window) {
      const larger = this.codecOf(scanMemoryBytes(need));
      larger.memory.u8.set(u8.subarray(L.SCAN, L.POINTS), L.SCAN);
      larger.memory.u8.set(u8.subarray(L.RING + at, L.RING + this.filled), L.RING);
      this.codec = larger;
      u8 = larger.memory.u8;
    } else u8.copyWithin(L.RING, L.RING + at, L.RING + this.filled);
    this.start += at;
    this.filled = left;
    this.place();
    while (this.filled < need) {
      const room = Math.min(u8.length - L.RING - this.filled, source.size - this.start - this.filled);
      yield source.read(u8, L.RING + this.filled, room, this.start + this.filled);
      // The file became shorter under us: what is left of it counts.
      if (source.got === 0) source.size = this.start + this.filled;
      this.filled += source.got;
      if (source.got === 0) break;
    }
    return true;
  }

  private takePoints(): void {
    const { u32, f64 } = this.codec.memory;
    const count = u32[L.SCAN_POINTS >>> 2];
    for (let point = 0; point < count; point++) {
      const at = (L.POINTS + point * L.POINT_BYTES) / 8;
      // An entry that overwrites the log begins a run, and is the last that the scan went over.
      dropFrom(this.result.confChanges, f64[at]);
      if (point === count - 1 && u32[L.SCAN_OVERWRITES >>> 2] !== 0) {
        this.under = f64[at] === 1 ? 0 : this.termOf(f64[at] - 1);
        this.replaced = this.termOf(f64[at]);
      }
      this.points.add(f64[at], f64[at + 1], f64[at + 2], this.task.seq, f64[at + 4]);
    }
  }

  /** The term of entry `index`; -1: not known. */
  private termOf(index: number): number {
    for (const points of [this.points, this.before?.points]) {
      if (points !== undefined && points.count > 0 && index >= points.index(0)) {
        return points.term(points.find(index));
      }
    }
    return -1;
  }

  private special(): void {
    const { u8, u32, f64 } = this.codec.memory;
    const { result } = this;
    const type = u32[L.SCAN_TYPE >>> 2];
    if (type === RECORD_ENTRY) {
      this.entry();
      return;
    }
    if (type === RECORD_STATE) {
      result.firstState = this.hardState();
      return;
    }
    const at = u32[L.SCAN_DATA >>> 2];
    const data = u8.slice(at, at + u32[L.SCAN_DATA_LEN >>> 2]);
    const end = this.start + u32[L.SCAN_POS >>> 2] - L.RING;
    const record = f64[L.SCAN_RECORDS >>> 3];
    if (type === RECORD_CRC) {
      const crc = u32[L.SCAN_RECORD_CRC >>> 2];
      const mine = u32[L.SCAN_CRC >>> 2];
      if (record === 1) result.leadingCrc = crc;
      if (mine !== 0 && mine !== crc) {
        this.damaged(0, record, "its checksum does not continue the segment before it");
        return;
      }
      u32[L.SCAN_CRC >>> 2] = crc;
    } else if (type === RECORD_METADATA) {
      // at 0: the field is absent, the CRC covers nothing.
      const metadata = at === 0 ? null : data;
      if (result.metadata !== null && !sameBytes(result.metadata.data, metadata)) {
        this.damaged(end, record, METADATA_DIFFERS);
        return;
      }
      result.metadata = { data: metadata, end, record };
    } else this.snapshot(data, end, record);
    // The head of a segment: crc, metadata, and then perhaps a state, which the writer may put anywhere.
    if (record <= 2) result.headEnd = end;
  }

  // An entry that changes the membership, or takes another's place.
  private entry(): void {
    const { u8, u32, f64 } = this.codec.memory;
    const { result } = this;
    const at = u32[L.SCAN_DATA >>> 2];
    const { type, term, index, data } = parseEntry(u8, at, at + u32[L.SCAN_DATA_LEN >>> 2]);
    if (type !== 0) result.confChanges.push(index);
    if (u32[L.SCAN_OVERWRITES >>> 2] === 0) return;
    if (this.before === null && f64[L.SCAN_ENTRIES >>> 3] === 1) {
      result.firstTerm = term;
      return;
    }
    // Before its first entry there may be what is committed: no state record of its own tells.
    const isBeforeFirst = index < f64[L.SCAN_FIRST_INDEX >>> 3];
    result.unsure ||= this.before === null && (this.under === -1 || isBeforeFirst);
    const wrong = misplaced(term, data !== NO_DATA, this.under, this.replaced);
    if (wrong !== "")
      this.damaged(this.points.offset(this.points.count - 1), f64[L.SCAN_RECORDS >>> 3], wrong);
  }

  // A snapshot that the log does not lead up to replaced the log: it was received. The next entry follows it.
  private snapshot(data: Uint8Array, end: number, record: number): void {
    const { u32, f64 } = this.codec.memory;
    let mark: SnapshotMark;
    try {
      mark = parseSnapshotRecord(data);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.damaged(end, record, `the snapshot record cannot be parsed (${error.message})`);
      return;
    }
    const { index, term } = mark;
    const last = f64[L.SCAN_LAST_INDEX >>> 3];
    const isInside = this.points.count > 0 && index >= this.points.index(0);
    const placed = index === 0 || isInside || this.before !== null || this.result.forgets;
    this.result.snapshots.push({ ...mark, placed });
    if (!placed || index === 0) return;
    const points = isInside ? this.points : (this.before?.points ?? this.points);
    if (fitsLog(mark, points, last)) return;
    this.points.clear();
    this.before = null;
    this.result.forgets = true;
    this.result.confChanges.length = 0;
    f64[L.SCAN_LAST_INDEX >>> 3] = index;
    f64[L.SCAN_LAST_TERM >>> 3] = term;
    u32[L.SCAN_FORCE_POINT >>> 2] = 1;
  }

  private damaged(offset: number, record: number, what: string): void {
    this.result.damage = { offset, record, what };
  }

  // The scan stopped at something that is no record, `at` in the window.
  private *end(found: number, at: number): Steps {
    if (found === L.SCAN_ZERO && (yield* this.isZeroFrom(at))) return;
    const { offset, sealed } = this.result;
    const { u32, f64 } = this.codec.memory;
    const record = f64[L.SCAN_RECORDS >>> 3] + 1;
    if (!this.task.isLast) return this.damaged(offset, record, wrongText(found));
    const bytes = new Uint8Array(this.source.size);
    for (let read = 0; read < bytes.length; read += this.source.got) {
      yield this.source.read(bytes, read, bytes.length - read, read);
      if (this.source.got === 0) break;
    }
    const verdict = judgeEnd({ bytes, result: found, offset, crc: u32[L.SCAN_CRC >>> 2], sealed });
    if (verdict === "torn") this.result.tornUsed = Math.max(offset + 1, lastNonZero(bytes, offset));
    else if (verdict !== "clean") this.damaged(offset, record, verdict.damage);
  }

  /** Whether nothing but zeros follows; reads to the end of the file through the window. */
  private *isZeroFrom(at: number): Generator<void | Promise<void>, boolean, void> {
    const { u8 } = this.codec.memory;
    const { source } = this;
    if (lastNonZero(u8.subarray(L.RING, L.RING + this.filled), at) > at) return false;
    for (let position = this.start + this.filled; position < source.size; position += source.got) {
      const room = Math.min(u8.length - L.RING, source.size - position);
      yield source.read(u8, L.RING, room, position);
      if (source.got === 0) return true;
      if (lastNonZero(u8.subarray(L.RING, L.RING + source.got), 0) > 0) return false;
    }
    return true;
  }
}

/** Whether a log that ends at `last` leads up to the snapshot, as far as `points` can tell. */
export function fitsLog(snapshot: SnapshotMark, points: PointIndex, last: number): boolean {
  const { index, term } = snapshot;
  if (index > last) return false;
  if (points.count === 0 || index < points.index(0)) return true;
  return points.term(points.find(index)) === term;
}

/** Absent and empty count as the same, as in etcd. */
export function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return Buffer.compare(a ?? NO_DATA, b ?? NO_DATA) === 0;
}

export const METADATA_DIFFERS = "its metadata differs from that of earlier segments";

function frameBytes(bytes: Uint8Array, at: number): number {
  const frame = frameAt(bytes, at);
  return 8 + frame.length + frame.padding;
}
