// Frames and records as they lie in a segment (WAL-FORMAT sections 2 to 4): one cursor for recovery, for reads of
// old entries and for the tools. Parses; judges nothing, except what it cannot parse.
import { NO_DATA } from "../base/bytes.js";
import { Entry, type EntryType, type HardState } from "../raft/raftpb/index.js";

/** The cursor stands on a record. */
export const FrameOk = 0;
/** A length of zero, or the end exactly between frames. */
export const FrameEnd = 1;
/** The bytes end inside the frame. */
export const FrameShort = 2;
/** The record's protobuf does not parse. */
export const FrameBad = 3;
export type FrameResult = 0 | 1 | 2 | 3;

/** Walks over the frames in `bytes`. Fields speak of the record that `next` returned FrameOk for. */
export class FrameCursor {
  readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly limit: number;
  /** Start of the frame looked at last, and of the one after it. */
  offset: number;
  nextOffset: number;
  /** End of the record's protobuf, before the padding. */
  recordEnd = 0;
  type = 0;
  crc = 0;
  /** Data field of the record; both -1 where there is none. */
  dataStart = -1;
  dataEnd = -1;
  private readonly reader = new FieldReader();

  constructor(bytes: Uint8Array, start: number, limit: number) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.limit = limit;
    this.offset = start;
    this.nextOffset = start;
  }

  // hot
  next(): FrameResult {
    const { view, limit } = this;
    const start = this.nextOffset;
    this.offset = start;
    if (start === limit) return FrameEnd;
    if (start + 8 > limit) return FrameShort;
    const low = view.getUint32(start, true);
    const high = view.getUint32(start + 4, true);
    if (low === 0 && high === 0) return FrameEnd;
    const length = (high & 0xffffff) * 4294967296 + low;
    const padding = high >>> 31 === 1 ? (high >>> 24) & 7 : 0;
    if (start + 8 + length + padding > limit) return FrameShort;
    this.recordEnd = start + 8 + length;
    this.nextOffset = this.recordEnd + padding;
    return this.parse(start + 8) ? FrameOk : FrameBad;
  }

  private parse(start: number): boolean {
    const { reader } = this;
    reader.begin(this.bytes, start, this.recordEnd);
    this.type = 0;
    this.crc = 0;
    this.dataStart = -1;
    this.dataEnd = -1;
    while (reader.next()) {
      if (reader.tag === 0x08) this.type = reader.value;
      else if (reader.tag === 0x10) this.crc = reader.value % 4294967296;
      else if (reader.tag === 0x1a) {
        this.dataStart = reader.start;
        this.dataEnd = reader.end;
      }
    }
    return reader.ok;
  }
}

/** Walks over the fields of a protobuf message; unknown ones are for the caller to pass over. */
export class FieldReader {
  private bytes: Uint8Array = NO_DATA;
  private at = 0;
  private limit = 0;
  /** False: malformed. */
  ok = true;
  /** Field number and wire type, as on the wire. */
  tag = 0;
  /** A varint's value, exact up to 2^53. */
  value = 0;
  /** Where a length-delimited field lies. */
  start = 0;
  end = 0;

  /** Starts over, on the message in bytes [start, limit). */
  begin(bytes: Uint8Array, start: number, limit: number): void {
    this.bytes = bytes;
    this.at = start;
    this.limit = limit;
    this.ok = true;
  }

  // hot
  next(): boolean {
    if (!this.ok || this.at >= this.limit) return false;
    const tag = this.varint();
    this.tag = tag;
    const wire = tag % 8;
    if (wire === 0) this.value = this.varint();
    else if (wire === 2) {
      const length = this.varint();
      this.start = this.at;
      this.end = this.at + length;
      this.at = this.end;
    } else if (wire === 1) this.at += 8;
    else if (wire === 5) this.at += 4;
    else this.ok = false;
    if (this.at > this.limit || tag < 8) this.ok = false;
    return this.ok;
  }

  private varint(): number {
    const { bytes } = this;
    if (this.at < this.limit && bytes[this.at] < 128) return bytes[this.at++];
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (this.at >= this.limit) break;
      const byte = bytes[this.at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    this.ok = false;
    return 0;
  }
}

/** Decoding is over before the next begins, so one reader serves all. */
const shared = new FieldReader();

/**
 * Decodes raftpb.Entry in bytes [start, end); its data is a view of `bytes`. Null if malformed, or if term or index
 * are beyond 2^53-1.
 */
// hot
export function decodeEntry(bytes: Uint8Array, start: number, end: number): Entry | null {
  const reader = shared;
  reader.begin(bytes, start, end);
  const entry = new Entry(0, 0, 0, NO_DATA);
  while (reader.next()) {
    if (reader.tag === 0x08) entry.type = reader.value as EntryType;
    else if (reader.tag === 0x10) entry.term = reader.value;
    else if (reader.tag === 0x18) entry.index = reader.value;
    else if (reader.tag === 0x22) entry.data = bytes.subarray(reader.start, reader.end);
  }
  const fine = reader.ok && entry.type <= 2;
  return fine && Number.isSafeInteger(entry.term) && Number.isSafeInteger(entry.index) ? entry : null;
}

/** Decodes raftpb.HardState; null if malformed or beyond 2^53-1. */
export function decodeHardState(bytes: Uint8Array, start: number, end: number): HardState | null {
  const values = [0, 0, 0];
  const reader = shared;
  reader.begin(bytes, start, end);
  while (reader.next())
    if (reader.tag % 8 === 0 && reader.tag <= 24) values[reader.tag / 8 - 1] = reader.value;
  if (!reader.ok || !values.every(Number.isSafeInteger)) return null;
  return { term: values[0], vote: values[1], commit: values[2] };
}
