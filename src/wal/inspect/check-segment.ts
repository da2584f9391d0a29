// What one segment holds and what is wrong with it, as plain data: the part of `raftmark wal verify` that runs on any
// thread, a segment at a time. check-log.ts joins the parts.
import fs from "node:fs";
import {
  RECORD_CRC,
  RECORD_ENTRY,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  RECORD_STATE,
} from "../format/format.js";
import { sameBytes } from "../recover/scan-segment.js";
import {
  decodeSnapshotId,
  decodeState,
  type EtcdHardState,
  type EtcdSnapshotId,
  ProtoError,
} from "./etcd-proto.js";
import { RecordOrder, type SegmentOrder } from "./record-order.js";
import { entryOf, type RecordDamage, RecordScan, type ScannedRecord } from "./record-scan.js";

/** Names of record types, by number. */
export const RECORD_NAMES = ["", "metadata", "entry", "state", "crc", "snapshot"] as const;

/** Plain data: it is posted from workers. */
export interface SegmentReport {
  readonly name: string;
  /** Of the file. */
  readonly bytes: number;
  /** End of the last good record. */
  readonly usedBytes: number;
  /** End of the last seal; 0: there is none. */
  readonly sealed: number;
  readonly records: number;
  /** Records by type. */
  readonly counts: readonly number[];
  /** What the segment's first record says of the one before it; null if it has no records. */
  readonly firstCrc: number | null;
  readonly finalCrc: number;
  readonly metadata: Uint8Array | null;
  /** The segment's first metadata record; null if it has none. */
  readonly metadataAt: { readonly offset: number; readonly record: number } | null;
  readonly firstEntry: FirstEntry | null;
  /** Of the entries in the segment, those that were overwritten later included. */
  readonly lowestIndex: bigint;
  readonly highestIndex: bigint;
  /** The log reaches to here behind this segment: an entry, or a snapshot ahead of all entries; null: it has neither. */
  readonly reach: bigint | null;
  readonly lastEntry: EtcdSnapshotId | null;
  /** A snapshot that entries go on behind, with a gap before it. */
  readonly jumpTo: bigint | null;
  readonly lastState: EtcdHardState | null;
  readonly snapshots: readonly EtcdSnapshotId[];
  readonly longestRecord: number;
  /** A term, vote or index above 2^53-1 is in it. */
  readonly unsafe: boolean;
  readonly damage: RecordDamage | null;
  readonly order: SegmentOrder;
}

/** The first entry, which has to continue what lies in segments before. */
export interface FirstEntry {
  readonly index: bigint;
  readonly offset: number;
  readonly record: number;
  /** The highest snapshot in the segment before it. */
  readonly snapshot: bigint;
}

/** Snapshot records kept of one segment: the first and the newest ones; a log has a handful. */
const SNAPSHOTS_MAX = 10_000;
const SAFE = BigInt(Number.MAX_SAFE_INTEGER);
const PROGRESS_BYTES = 4 << 20;
export const CONFLICT = "metadata that differs from what came before";

/** Reads and checks one segment; `progress` is told of bytes checked since it was last told. */
export function checkSegment(dir: string, name: string, progress: (bytes: number) => void): SegmentReport {
  const bytes = fs.readFileSync(`${dir}/${name}`);
  const scan = new RecordScan(bytes, null);
  const content = new Content();
  let told = 0;
  for (let record = scan.next(); record !== null; record = scan.next()) {
    const wrong = content.add(record);
    if (wrong !== "") {
      scan.reject(record, wrong);
      break;
    }
    if (scan.offset - told >= PROGRESS_BYTES) {
      progress(scan.offset - told);
      told = scan.offset;
    }
  }
  progress(bytes.length - told);
  return {
    name,
    bytes: bytes.length,
    usedBytes: scan.offset,
    sealed: scan.sealed,
    records: scan.records,
    finalCrc: scan.crc,
    damage: scan.damage,
    ...content.report(),
  };
}

type ContentReport = Omit<
  SegmentReport,
  "name" | "bytes" | "usedBytes" | "sealed" | "records" | "finalCrc" | "damage"
>;

class Content {
  private readonly counts = [0, 0, 0, 0, 0, 0];
  private firstCrc: number | null = null;
  private metadata: Uint8Array | null = null;
  private metadataAt: { offset: number; record: number } | null = null;
  private firstEntry: FirstEntry | null = null;
  private lowestIndex = 0n;
  private highestIndex = 0n;
  private reach: bigint | null = null;
  private lastEntry: EtcdSnapshotId | null = null;
  private jumpTo: bigint | null = null;
  private lastState: EtcdHardState | null = null;
  private readonly snapshots: EtcdSnapshotId[] = [];
  private highest = 0n;
  private longestRecord = 0;
  private readonly order = new RecordOrder();

  /** Takes a record in; returns what is wrong with it, or "". */
  add(record: ScannedRecord): string {
    const { type, data, length } = record;
    this.counts[type]++;
    if (length > this.longestRecord) this.longestRecord = length;
    try {
      const wrong = this.order.add(record);
      if (wrong !== "") return wrong;
      if (type === RECORD_ENTRY) this.entry(record);
      else if (type === RECORD_STATE) this.state(decodeState(data));
      else if (type === RECORD_SNAPSHOT) this.snapshot(decodeSnapshotId(data));
      else if (type === RECORD_METADATA) return this.meta(record);
      else if (type === RECORD_CRC) this.firstCrc ??= record.crc;
    } catch (error) {
      if (!(error instanceof ProtoError)) throw error;
      return `what the ${RECORD_NAMES[type]} record holds cannot be parsed`;
    }
    return "";
  }

  private entry(record: ScannedRecord): void {
    const { index, term } = entryOf(record.data);
    if (this.firstEntry === null) {
      const { offset, number } = record;
      this.firstEntry = { index, offset, record: number, snapshot: this.reach ?? 0n };
      this.lowestIndex = index;
      this.highestIndex = index;
    } else if (index > this.lastEntry!.index + 1n) this.jumpTo = this.reach;
    if (index < this.lowestIndex) this.lowestIndex = index;
    if (index > this.highestIndex) this.highestIndex = index;
    this.lastEntry = { index, term };
    this.reach = index;
    this.raise(index, term, 0n);
  }

  private state(state: EtcdHardState): void {
    this.lastState = state;
    this.raise(state.term, state.vote, state.commit);
  }

  private snapshot({ index, term }: EtcdSnapshotId): void {
    if (this.snapshots.length < SNAPSHOTS_MAX) this.snapshots.push({ index, term });
    else this.snapshots[SNAPSHOTS_MAX - 1] = { index, term };
    if (index > (this.reach ?? 0n)) this.reach = index;
    this.raise(index, term, 0n);
  }

  private meta({ data, offset, number }: ScannedRecord): string {
    if (this.metadataAt !== null) return sameBytes(this.metadata, data) ? "" : CONFLICT;
    this.metadata = data === null ? null : Uint8Array.from(data);
    this.metadataAt = { offset, record: number };
    return "";
  }

  private raise(a: bigint, b: bigint, c: bigint): void {
    if (a > this.highest) this.highest = a;
    if (b > this.highest) this.highest = b;
    if (c > this.highest) this.highest = c;
  }

  report(): ContentReport {
    return {
      counts: this.counts,
      firstCrc: this.firstCrc,
      metadata: this.metadata,
      metadataAt: this.metadataAt,
      firstEntry: this.firstEntry,
      lowestIndex: this.lowestIndex,
      highestIndex: this.highestIndex,
      reach: this.reach,
      lastEntry: this.lastEntry,
      jumpTo: this.jumpTo,
      lastState: this.lastState,
      snapshots: this.snapshots,
      longestRecord: this.longestRecord,
      unsafe: this.highest > SAFE,
      order: this.order.report(),
    };
  }
}
