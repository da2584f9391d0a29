// Joins the reports of a log's segments, in order: do the checksums, the metadata and the indexes go on from one to
// the next, is a segment missing. Pure; check-segment.ts reads.

import { gapText } from "../recover/misfits.js";
import { sameBytes } from "../recover/scan-segment.js";
import { closedText, lostText, NO_HEAD } from "../recover/segment-form.js";
import { CONFLICT, type SegmentReport } from "./check-segment.js";
import type { EtcdHardState, EtcdSnapshotId } from "./etcd-proto.js";
import type { EtcdSegment } from "./etcd-reader.js";
import { JoinedOrder } from "./record-order.js";

/** Something wrong, and where. */
export interface Finding {
  readonly file: string;
  /** -1: of the file as a whole. */
  readonly offset: number;
  /** From 1 in each segment; 0: not at a record. */
  readonly record: number;
  readonly what: string;
  /** The end of the log, as a crash may leave it: opening cuts it off. */
  readonly torn: boolean;
  readonly recordsFollow: boolean;
}

export interface LogReport {
  readonly bytes: number;
  readonly records: number;
  /** Records by type. */
  readonly counts: readonly number[];
  /** Null: there are no entries. */
  readonly entries: { readonly first: bigint; readonly last: EtcdSnapshotId } | null;
  readonly lastState: EtcdHardState | null;
  readonly snapshots: readonly EtcdSnapshotId[];
  readonly finalCrc: number;
  readonly longestRecord: number;
  readonly unsafe: boolean;
  /** A snapshot that entries go on behind, with a gap before it: the log starts from its file alone. */
  readonly jumpTo: bigint | null;
  /** Older segments are gone, and the snapshot that a reader begins with replaces them. */
  readonly released: boolean;
  readonly findings: readonly Finding[];
}

/** `start`: where a reader would begin, 0:0 if from the log alone. */
export function joinSegments(
  segments: readonly EtcdSegment[],
  reports: readonly SegmentReport[],
  start: EtcdSnapshotId,
): LogReport {
  // What later entries overwrote needs no snapshot: the oldest segment that a release leaves may hold nothing else.
  const held = reports.flatMap(({ firstEntry, lowestIndex }) => (firstEntry === null ? [] : [lowestIndex]));
  const isCovered = held.some((index) => index <= start.index + 1n);
  const join = new Join(start, isCovered);
  segments.forEach((segment, at) => {
    join.add(segment, reports[at], at === segments.length - 1);
  });
  return join.report();
}

class Join {
  private readonly start: EtcdSnapshotId;
  /** Behind `start` no entry is missing. */
  private readonly isCovered: boolean;
  private released = false;
  private readonly findings: Finding[] = [];
  private bytes = 0;
  private records = 0;
  private readonly counts = [0, 0, 0, 0, 0, 0];
  private first: bigint | null = null;
  private last: EtcdSnapshotId | null = null;
  private lastState: EtcdHardState | null = null;
  private readonly snapshots: EtcdSnapshotId[] = [];
  private crc = 0;
  private longestRecord = 0;
  private unsafe = false;
  private jumpTo: bigint | null = null;
  private metadata: { data: Uint8Array | null } | null = null;
  private before: EtcdSegment | null = null;
  /** The segment before ends with a seal. */
  private isOurs = false;
  /** Null: damage before here hides it. */
  private chain: number | null = 0;
  private reach: bigint | null = null;
  /** The same, of what is good before damage in the newest segment. */
  private end: bigint | null = null;
  private readonly order = new JoinedOrder();

  constructor(start: EtcdSnapshotId, isCovered: boolean) {
    this.start = start;
    this.isCovered = isCovered;
  }

  add(segment: EtcdSegment, report: SegmentReport, isLast: boolean): void {
    this.sequence(segment);
    this.continuity(report);
    const misfit = this.order.add(report.order, report.lastState);
    if (misfit !== null) this.find(report.name, misfit);
    const hasHead = this.head(report);
    if (report.damage !== null)
      this.find(report.name, report.damage, hasHead && isLast && report.damage.torn);
    this.carry(report);
    this.sum(report);
    this.before = segment;
    this.isOurs = report.sealed > 0 && report.sealed === report.usedBytes;
    if (isLast && this.findings.every(({ torn }) => torn)) this.closed(segment, report);
    if (isLast && this.findings.every(({ torn }) => torn)) this.committed(report);
  }

  // What opening asks of a segment's head, and of the newest segment's form (recovery.ts).
  private head({ name, usedBytes, sealed, records }: SegmentReport): boolean {
    const hasHead = this.before === null ? records >= 2 : !this.isOurs || sealed > 0;
    if (!hasHead) this.find(name, { offset: usedBytes, what: NO_HEAD, recordsFollow: false });
    return hasHead;
  }

  private closed({ seq }: EtcdSegment, { name, bytes, usedBytes, records }: SegmentReport): void {
    if (!this.isOurs || bytes !== usedBytes) return;
    const what = closedText(seq, this.end ?? 0n);
    this.find(name, { offset: usedBytes, record: records + 1, what, recordsFollow: false });
  }

  private find(file: string, damage: Partial<Finding> & { what: string }, torn = false): void {
    this.findings.push({ offset: 0, record: 1, recordsFollow: true, ...damage, file, torn });
  }

  private sequence(segment: EtcdSegment): void {
    const expected = this.before === null ? 0n : this.before.seq + 1n;
    const isReleased =
      this.before === null && this.start.index > 0n && (segment.index <= this.start.index || this.isCovered);
    this.released ||= isReleased && segment.seq > 0n;
    if (this.before === null) this.reach = segment.index === 0n ? 0n : segment.index - 1n;
    if (segment.seq === expected || isReleased) return;
    const missing =
      segment.seq - 1n === expected
        ? `segment ${expected} is`
        : `segments ${expected} to ${segment.seq - 1n} are`;
    const why = this.before === null ? ", and no snapshot replaces what they held" : "";
    this.find(segment.name, { offset: -1, record: 0, what: `${missing} missing before it${why}` });
    this.chain = null;
    if (this.before !== null) this.reach = null;
  }

  private continuity(report: SegmentReport): void {
    const { name, firstCrc, metadataAt, firstEntry } = report;
    const isBroken = firstCrc !== null && this.chain !== null && this.chain !== 0 && firstCrc !== this.chain;
    if (isBroken) this.find(name, { what: "its checksum does not continue the segment before it" });
    if (metadataAt !== null && this.metadata !== null && !sameBytes(this.metadata.data, report.metadata)) {
      this.find(name, { ...metadataAt, what: CONFLICT });
    }
    if (firstEntry === null || this.reach === null) return;
    const { index, snapshot, offset, record } = firstEntry;
    if (index <= this.reach + 1n) return;
    if (index <= snapshot + 1n) this.jumpTo = snapshot;
    else
      this.find(name, {
        offset,
        record,
        what: gapText(this.reach > snapshot ? this.reach : snapshot, index),
      });
  }

  private carry(report: SegmentReport): void {
    const { damage, records, metadataAt, reach, firstEntry } = report;
    if (metadataAt !== null) this.metadata ??= { data: report.metadata };
    if (records > 0) this.chain = report.finalCrc;
    if (reach !== null) {
      const isAhead = firstEntry !== null || this.reach === null || reach > this.reach;
      if (isAhead) this.reach = reach;
    }
    this.end = this.reach;
    if (damage !== null) {
      this.order.forget();
      this.chain = null;
      this.reach = null;
    }
    if (report.jumpTo !== null) this.jumpTo = report.jumpTo;
  }

  private sum(report: SegmentReport): void {
    this.bytes += report.bytes;
    this.records += report.records;
    report.counts.forEach((count, type) => {
      this.counts[type] += count;
    });
    if (report.firstEntry !== null && (this.first === null || report.lowestIndex < this.first)) {
      this.first = report.lowestIndex;
    }
    this.last = report.lastEntry ?? this.last;
    this.lastState = report.lastState ?? this.lastState;
    for (const snapshot of report.snapshots) this.snapshots.push(snapshot);
    if (report.records > 0) this.crc = report.finalCrc;
    this.longestRecord = Math.max(this.longestRecord, report.longestRecord);
    this.unsafe ||= report.unsafe;
  }

  // Nothing else wrong: then the newest state tells whether the end was cut off between two records.
  private committed(report: SegmentReport): void {
    const commit = this.lastState?.commit ?? 0n;
    const reach = this.end ?? 0n;
    if (commit <= reach || commit <= this.start.index) return;
    const what = lostText(reach, commit);
    const { usedBytes, records } = report;
    this.find(report.name, { offset: usedBytes, record: records + 1, what, recordsFollow: false });
  }

  report(): LogReport {
    return {
      bytes: this.bytes,
      records: this.records,
      counts: this.counts,
      entries: this.first === null || this.last === null ? null : { first: this.first, last: this.last },
      lastState: this.lastState,
      snapshots: this.snapshots,
      finalCrc: this.crc,
      longestRecord: this.longestRecord,
      unsafe: this.unsafe,
      jumpTo: this.jumpTo,
      released: this.released,
      findings: this.findings,
    };
  }
}
