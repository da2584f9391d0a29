// `raftmark wal dump`: a line each snapshot file, then a line an entry, state or snapshot, or a line a record, as text
// or NDJSON, in the order in which they were written. One segment at a time is in memory; stops at the first thing that
// is wrong.
import fs from "node:fs";
import { RECORD_CRC, RECORD_ENTRY, RECORD_METADATA, RECORD_STATE } from "../wal/format/format.js";
import { RECORD_NAMES } from "../wal/inspect/check-segment.js";
import { decodeSnapshotId, decodeState, ProtoError } from "../wal/inspect/etcd-proto.js";
import type { LogPlace } from "../wal/inspect/log-place.js";
import { RecordOrder } from "../wal/inspect/record-order.js";
import { entryOf, RecordScan, type ScannedRecord } from "../wal/inspect/record-scan.js";
import type { SnapReport } from "./snap-report.js";

export interface DumpOptions {
  readonly json: boolean;
  /** Raw records instead of what they mean. */
  readonly records: boolean;
  /** Entries [from, to] alone; null: everything. */
  readonly range: { readonly from: bigint; readonly to: bigint } | null;
}

const ENTRY_TYPES = ["EntryNormal", "EntryConfChange", "EntryConfChangeV2"];
const PREVIEW_BYTES = 16;
const CHUNK_CHARS = 64 << 10;

type Fields = Readonly<Record<string, string | number | boolean | null>>;

export class Dump {
  /** Null while nothing is wrong; then where and what, as a sentence. */
  problem: string | null = null;
  /** Bytes gone through. */
  done = 0;
  private readonly place: LogPlace;
  private readonly options: DumpOptions;
  private readonly snaps: readonly SnapReport[];
  private metadataShown = false;
  private firstIndex = -1n;
  private lastIndex = -1n;
  private shown = 0;

  /** `snaps`: the snapshot files to show in front of the log. */
  constructor(place: LogPlace, options: DumpOptions, snaps: readonly SnapReport[]) {
    this.place = place;
    this.options = options;
    this.snaps = snaps;
  }

  /** What to say of a range that nothing is in; null: something is. */
  get nothing(): string | null {
    if (this.options.range === null || this.shown > 0) return null;
    return this.lastIndex < 0n
      ? "the log has no entries"
      : `the log has no entry of that range: it goes from ${this.firstIndex} to ${this.lastIndex}`;
  }

  /** The text in pieces of some KiB. */
  *text(): Generator<string, void, void> {
    let piece = "";
    for (const line of this.lines()) {
      piece += `${line}\n`;
      if (piece.length < CHUNK_CHARS) continue;
      yield piece;
      piece = "";
    }
    if (piece !== "") yield piece;
  }

  private *lines(): Generator<string, void, void> {
    const { walDir, segments } = this.place;
    let crc: number | null = null;
    let expected: bigint | null = null;
    const order = new RecordOrder();
    for (const snap of this.snaps) yield this.snapFile(snap);
    for (const { name, seq } of segments) {
      if (expected !== null && seq !== expected) {
        this.problem = `segment ${expected} is missing before ${name}`;
        return;
      }
      expected = seq + 1n;
      const bytes = fs.readFileSync(`${walDir}/${name}`);
      const scan: RecordScan = new RecordScan(bytes, crc);
      const before = this.done;
      for (let record = scan.next(); record !== null; record = scan.next()) {
        this.done = before + scan.offset;
        const line = this.line(name, scan, record, order);
        if (line !== null) {
          this.shown++;
          yield line;
        }
        if (scan.damage !== null) break;
      }
      if (scan.damage !== null) {
        const { offset, record, what } = scan.damage;
        this.problem = `${name} is damaged at offset ${offset} (record ${record} of this segment): ${what}`;
        return;
      }
      if (scan.records > 0) crc = scan.crc;
      this.done = before + bytes.length;
    }
  }

  private snapFile({ name, bytes, error, id, confState }: SnapReport): string {
    const [index, term] = id === null ? [null, null] : [`${id.index}`, `${id.term}`];
    const members = confState === null ? null : membersOf(confState);
    if (this.options.json)
      return JSON.stringify({ type: "snapFile", name, bytes, error, index, term, confState: members });
    if (members === null) return `file ${name} ${bytes} B damaged: ${error}`;
    const lists = Object.entries(members).filter(([, ids]) => Array.isArray(ids) && ids.length > 0);
    return `file ${name} ${bytes} B sound index ${index} term ${term} ${lists.map(([kind, ids]) => `${kind} ${ids}`).join(" ")}`;
  }

  private line(segment: string, scan: RecordScan, record: ScannedRecord, order: RecordOrder): string | null {
    try {
      const wrong = order.add(record);
      if (wrong !== "") {
        scan.reject(record, wrong);
        return null;
      }
      return this.options.records ? this.raw(segment, record) : this.meaning(record);
    } catch (error) {
      if (!(error instanceof ProtoError)) throw error;
      scan.reject(record, `what the ${RECORD_NAMES[record.type]} record holds cannot be parsed`);
      return null;
    }
  }

  private raw(segment: string, record: ScannedRecord): string | null {
    const { offset, number, type, length, padding, crc, data } = record;
    if (this.options.range !== null && (type !== RECORD_ENTRY || !this.wants(entryOf(data).index)))
      return null;
    const name = RECORD_NAMES[type];
    const sum = crc.toString(16).padStart(8, "0");
    if (this.options.json) {
      const place = { segment, offset, record: number, type: name, length, padding, crc: sum };
      return JSON.stringify({ ...place, dataBytes: data?.length ?? 0, dataHex: hex(data) });
    }
    const size = data === null ? "no data" : `data ${data.length} B${preview(data)}`;
    return `${segment} offset ${offset} record ${number} ${name} length ${length} padding ${padding} crc ${sum} ${size}`;
  }

  private meaning(record: ScannedRecord): string | null {
    const { type, data } = record;
    if (type === RECORD_ENTRY) return this.entry(data);
    if (type === RECORD_CRC || this.options.range !== null) return null;
    if (type === RECORD_METADATA) {
      // Every segment repeats it.
      if (this.metadataShown) return null;
      this.metadataShown = true;
      return this.show({ type: "metadata", dataHex: hex(data) }, `metadata ${hex(data) ?? "none"}`);
    }
    if (type === RECORD_STATE) {
      const state = decodeState(data);
      const [term, vote, commit] = [`${state.term}`, `${state.vote}`, `${state.commit}`];
      return this.show(
        { type: "state", term, vote, commit },
        `state term ${term} vote ${vote} commit ${commit}`,
      );
    }
    const { index, term } = decodeSnapshotId(data);
    return this.show(
      { type: "snapshot", index: `${index}`, term: `${term}` },
      `snapshot index ${index} term ${term}`,
    );
  }

  private entry(record: Uint8Array | null): string | null {
    const { index, term, type, data } = entryOf(record);
    const replaces = index <= this.lastIndex;
    if (!this.wants(index)) return null;
    const entryType = ENTRY_TYPES[type] ?? `type ${type}`;
    const dataBytes = data?.length ?? 0;
    const place = { type: "entry", index: `${index}`, term: `${term}`, entryType, replaces };
    const size = data === null ? "no data" : `${dataBytes} B${preview(data)}`;
    const tail = replaces ? " (replaces the entries from here on)" : "";
    return this.show(
      { ...place, dataBytes, dataHex: this.options.json ? hex(data) : null },
      `entry ${index} term ${term} ${entryType} ${size}${tail}`,
    );
  }

  /** Whether entry `index`, which comes next, is to be shown. */
  private wants(index: bigint): boolean {
    const { range } = this.options;
    if (this.firstIndex < 0n) this.firstIndex = index;
    this.lastIndex = index;
    return range === null || (index >= range.from && index <= range.to);
  }

  private show(fields: Fields, text: string): string {
    return this.options.json ? JSON.stringify(fields) : text;
  }
}

/** With ids as strings. */
function membersOf(confState: NonNullable<SnapReport["confState"]>): Record<string, string[] | boolean> {
  const fields = Object.entries(confState);
  return Object.fromEntries(fields.map(([name, ids]) => [name, Array.isArray(ids) ? ids.map(String) : ids]));
}

function hex(data: Uint8Array | null): string | null {
  return data === null ? null : Buffer.from(data.buffer, data.byteOffset, data.length).toString("hex");
}

/** " 0a1b2c... |..,|": the first bytes, and those of them that are text. */
function preview(data: Uint8Array): string {
  if (data.length === 0) return "";
  const head = data.subarray(0, PREVIEW_BYTES);
  const text = String.fromCharCode(...head).replaceAll(/[^\x20-\x7e]/g, ".");
  return ` ${hex(head)}${data.length > PREVIEW_BYTES ? "..." : ""} |${text}|`;
}
