// Records one at a time, for what is rare: segment heads, snapshot records, entries too large for the ring, reading
// back from disk, tools. The batch path is in the codecs. Numbers are safe integers; etcd-reader.ts keeps 64 bits.
import { NO_DATA } from "../../base/bytes.js";
import { FieldReader, pushBytes, pushNumber, unlessMalformed } from "../../base/protobuf.js";
import { putVarint, varintSize } from "../../base/varint.js";
import {
  type ConfState,
  EMPTY_CONF_STATE,
  Entry,
  type EntryType,
  entrySize,
  type HardState,
  marshalConfState,
  readConfState,
} from "../../raft/raftpb/index.js";
import { crc32c } from "./crc32c.js";
import { framePadding, putFrameHeader, RECORD_CRC, SEAL_BYTES } from "./format.js";

/** Builds frames in a row under one rolling CRC. */
export class FrameBuilder {
  /** Rolling CRC behind the last frame. */
  crc: number;
  private readonly parts: Uint8Array[] = [];
  bytes = 0;

  constructor(crc: number) {
    this.crc = crc;
  }

  /** Appends a record whose data is covered by the rolling CRC; null data is left out. */
  record(type: number, data: Uint8Array | null): void {
    if (data !== null) this.crc = crc32c(this.crc, data);
    this.push(frame(type, this.crc, data));
  }

  /** Ends a write. */
  seal(): void {
    const bytes = new Uint8Array(SEAL_BYTES);
    putSeal(bytes, 0, this.crc);
    this.push(bytes);
  }

  private push(part: Uint8Array): void {
    this.parts.push(part);
    this.bytes += part.length;
  }

  /** All frames so far in one array; the builder is empty again afterwards, its CRC stays. */
  take(): Uint8Array {
    const all = new Uint8Array(this.bytes);
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    this.parts.length = 0;
    this.bytes = 0;
    return all;
  }
}

/** Length field, record and padding. */
export function frame(type: number, crc: number, data: Uint8Array | null): Uint8Array {
  let n = 1 + varintSize(type) + 1 + varintSize(crc);
  if (data !== null) n += 1 + varintSize(data.length) + data.length;
  const bytes = new Uint8Array(8 + n + framePadding(n));
  putFrameHeader(bytes, 0, n);
  bytes[8] = 0x08;
  let at = putVarint(bytes, 9, type);
  bytes[at] = 0x10;
  at = putVarint(bytes, at + 1, crc);
  if (data !== null) {
    bytes[at] = 0x1a;
    at = putVarint(bytes, at + 1, data.length);
    bytes.set(data, at);
  }
  return bytes;
}

/**
 * The seal of a write: a crc record with the rolling CRC so far, as its last frame. Readers check it and go on; to
 * recovery it says that all before it was one write, or several, and that the next write begins behind it (torn.ts).
 */
export function putSeal(bytes: Uint8Array, at: number, crc: number): void {
  // hot
  const n = 3 + varintSize(crc);
  putFrameHeader(bytes, at, n);
  bytes[at + 8] = 0x08;
  bytes[at + 9] = RECORD_CRC;
  bytes[at + 10] = 0x10;
  for (let p = putVarint(bytes, at + 11, crc); p < at + SEAL_BYTES; ) bytes[p++] = 0;
}

export function encodeEntry(entry: Entry): Uint8Array {
  const bytes = new Uint8Array(entrySize(entry));
  bytes[0] = 0x08;
  bytes[1] = entry.type;
  bytes[2] = 0x10;
  let at = putVarint(bytes, 3, entry.term);
  bytes[at] = 0x18;
  at = putVarint(bytes, at + 1, entry.index);
  const { data } = entry;
  if (data !== NO_DATA) {
    bytes[at] = 0x22;
    at = putVarint(bytes, at + 1, data.length);
    bytes.set(data, at);
  }
  return bytes;
}

export function encodeHardState({ term, vote, commit }: HardState): Uint8Array {
  const out: number[] = [];
  pushNumber(out, 1, term);
  pushNumber(out, 2, vote);
  pushNumber(out, 3, commit);
  return Uint8Array.from(out);
}

/** walpb.Snapshot. etcd wants a conf state since 3.5 where the index is not 0; null: left out. */
export function encodeSnapshotRecord(index: number, term: number, confState: ConfState | null): Uint8Array {
  const out: number[] = [];
  pushNumber(out, 1, index);
  pushNumber(out, 2, term);
  if (confState !== null) pushBytes(out, 3, marshalConfState(confState));
  return Uint8Array.from(out);
}

/** A record as parsed; data lies in bytes[dataStart, dataEnd), hasData tells absent from empty. */
export interface RecordSpan {
  type: number;
  crc: number;
  hasData: boolean;
  dataStart: number;
  dataEnd: number;
}

/** Parses the record in bytes[at, end). */
export function parseRecord(bytes: Uint8Array, at: number, end: number): RecordSpan {
  const record: RecordSpan = { type: 0, crc: 0, hasData: false, dataStart: 0, dataEnd: 0 };
  const reader = new FieldReader(bytes, at, end);
  while (reader.next()) {
    if (reader.field === 1) record.type = reader.number();
    else if (reader.field === 2) record.crc = reader.number() % 4294967296;
    else if (reader.field === 3) {
      const span = reader.span();
      record.hasData = true;
      record.dataStart = span.start;
      record.dataEnd = span.end;
    } else reader.skip();
  }
  return record;
}

/** The same; null: these bytes are none. */
export function recordIn(bytes: Uint8Array, at: number, end: number): RecordSpan | null {
  return unlessMalformed(() => parseRecord(bytes, at, end));
}

/** The entry in bytes[at, end). Its data is a view of `bytes`. */
export function parseEntry(bytes: Uint8Array, at: number, end: number): Entry {
  let type = 0;
  let term = 0;
  let index = 0;
  let data = NO_DATA;
  const reader = new FieldReader(bytes, at, end);
  while (reader.next()) {
    if (reader.field === 1) type = reader.number();
    else if (reader.field === 2) term = reader.number();
    else if (reader.field === 3) index = reader.number();
    else if (reader.field === 4) data = reader.view();
    else reader.skip();
  }
  return new Entry(type as EntryType, term, index, data);
}

/** Fields 1 to 3 as numbers: a HardState, or a walpb.Snapshot's index and term. */
export function parseNumbers(bytes: Uint8Array, at: number, end: number): [number, number, number] {
  const values: [number, number, number] = [0, 0, 0];
  const reader = new FieldReader(bytes, at, end);
  while (reader.next()) {
    if (reader.field <= 3 && reader.wire === 0) values[(reader.field - 1) as 0 | 1 | 2] = reader.number();
    else reader.skip();
  }
  return values;
}

/** walpb.Snapshot. Throws MalformedError. Without a conf state (etcd 3.4, the first record of a log) an empty one. */
export function parseSnapshotRecord(bytes: Uint8Array): {
  index: number;
  term: number;
  confState: ConfState;
} {
  let index = 0;
  let term = 0;
  let confState = EMPTY_CONF_STATE;
  const reader = new FieldReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) index = reader.number();
    else if (reader.field === 2) term = reader.number();
    else if (reader.field === 3) confState = readConfState(reader.view());
    else reader.skip();
  }
  return { index, term, confState };
}
