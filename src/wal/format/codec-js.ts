// The plain twin of the WASM module: the same calls on the same memory, the same bytes. The writer "inline-js" runs
// on it, and the tests hold the WASM against it.

import { crc32cRange } from "../../base/crc32c.js";
import { FieldReader, MalformedError } from "../../base/protobuf.js";
import { putVarint, varintSize } from "../../base/varint.js";
import { type Codec, type CodecMemory, memoryOver } from "./codec.js";
import {
  framePadding,
  putFrameHeader,
  RECORD_CRC,
  RECORD_ENTRY,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  RECORD_STATE,
} from "./format.js";
import * as L from "./layout.js";
import type { RecordSpan } from "./record.js";

/** A codec over `buffer`, laid out as layout.ts says. */
export function createJsCodec(buffer: ArrayBufferLike): Codec {
  const memory = memoryOver(buffer);
  return {
    memory,
    crc32c: (seed, pointer, length) => crc32cRange(seed, memory.u8, pointer, pointer + length),
    encodeBatch: (out, at, tail, cap, segment, points) =>
      encodeBatch(memory, out, at, tail, cap, segment, points),
    scan: (end) => scan(memory, end),
  };
}

function encodeBatch(
  memory: CodecMemory,
  out: number,
  at: number,
  tail: number,
  capLimit: number,
  segmentLimit: number,
  pointsFree: number,
): number {
  // hot
  const { u32, f64 } = memory;
  const base = u32[L.ENC_RING_BASE >>> 2];
  const mask = u32[L.ENC_RING_MASK >>> 2];
  let head = u32[L.ENC_HEAD >>> 2];
  let entries = 0;
  let stop = L.STOP_DRAINED;
  let p = at;
  while (head !== tail) {
    const item = base + ((head & mask) >>> 0);
    const tag = u32[item >>> 2];
    const kind = tag & 0xff;
    if (kind === L.ITEM_END) {
      f64[L.ENC_SEQ >>> 3] = f64[(item + 8) >>> 3];
      head = (head + L.END_ITEM_BYTES) >>> 0;
      continue;
    }
    if (kind === L.ITEM_WRAP) {
      head = (head + mask + 1 - ((head & mask) >>> 0)) >>> 0;
      continue;
    }
    if (kind === L.ITEM_LARGE) {
      stop = L.STOP_LARGE;
      break;
    }
    if (kind === L.ITEM_RUN) {
      run.stop = L.STOP_DRAINED;
      run.entries = 0;
      run.points = pointsFree;
      p = encodeRun(memory, item, p, out, capLimit, segmentLimit);
      entries += run.entries;
      pointsFree = run.points;
      if (run.stop !== L.STOP_DRAINED) {
        stop = run.stop;
        break;
      }
      u32[L.ENC_RUN >>> 2] = 0;
      head = (head + L.RUN_ITEM_BYTES + ((((tag >>> 8) & 0xff) + u32[(item + 4) >>> 2] + 7) & ~7)) >>> 0;
      continue;
    }
    const length = kind === L.ITEM_STATE ? 0 : u32[(item + 4) >>> 2];
    if (p + 64 + length > capLimit && p !== out) {
      stop = L.STOP_CAP;
      break;
    }
    if (p + 64 + length > segmentLimit) {
      stop = L.STOP_SEGMENT;
      break;
    }
    const frame = p;
    if (kind === L.ITEM_ENTRY) {
      const term = f64[(item + 8) >>> 3];
      const index = f64[(item + 16) >>> 3];
      if (needsPoint(memory, index, term)) {
        if (pointsFree === 0) {
          stop = L.STOP_POINTS;
          break;
        }
        pointsFree--;
        putPoint(memory, index, term, p - out);
      }
      p = encodeEntry(memory, p, item, tag, length);
      f64[L.ENC_LAST_INDEX >>> 3] = index;
      f64[L.ENC_LAST_TERM >>> 3] = term;
      entries++;
      head = (head + L.ENTRY_ITEM_BYTES + ((length + 7) & ~7)) >>> 0;
    } else if (kind === L.ITEM_STATE) {
      p = encodeState(memory, p, item);
      head = (head + L.STATE_ITEM_BYTES) >>> 0;
    } else {
      p = encodeSnapshot(memory, p, item, length);
      head = (head + L.ENTRY_ITEM_BYTES + ((length + 7) & ~7)) >>> 0;
    }
    f64[L.ENC_SINCE_POINT >>> 3] += p - frame;
  }
  u32[L.ENC_HEAD >>> 2] = head;
  u32[L.ENC_STOP >>> 2] = stop;
  f64[L.ENC_ENTRIES >>> 3] += entries;
  return p - out;
}

let varintEnd = 0;

/** The varint at `p`, exact for a safe integer; where it ends is left in varintEnd. */
function getVarint(u8: Uint8Array, at: number): number {
  let p = at;
  let byte = u8[p++];
  let value = byte & 0x7f;
  for (let scale = 128; byte >= 0x80; scale *= 128) {
    byte = u8[p++];
    value += (byte & 0x7f) * scale;
  }
  varintEnd = p;
  return value;
}

/** What stopped encodeRun, how many entries it framed, and how many points are left. */
const run = { stop: L.STOP_DRAINED, entries: 0, points: 0 };

/**
 * Frames the entries of an ITEM_RUN from ENC_RUN on, to `to`, within the limits of encodeBatch. Returns the end of what
 * it wrote. ENC_RUN is the item's length once all are framed.
 */
function encodeRun(
  memory: CodecMemory,
  item: number,
  to: number,
  out: number,
  capLimit: number,
  segmentLimit: number,
): number {
  const { u8, u32, f64 } = memory;
  const length = u32[(item + 4) >>> 2];
  const start = item + L.RUN_ITEM_BYTES + ((u32[item >>> 2] >>> 8) & 0xff);
  let p = to;
  let taken = u32[L.ENC_RUN >>> 2];
  while (taken < length) {
    // Behind the tag.
    const n = getVarint(u8, start + taken + 1);
    const entry = varintEnd;
    if (p + 64 + n > capLimit && p !== out) {
      run.stop = L.STOP_CAP;
      break;
    }
    if (p + 64 + n > segmentLimit) {
      run.stop = L.STOP_SEGMENT;
      break;
    }
    const term = getVarint(u8, entry + 3);
    const index = getVarint(u8, varintEnd + 1);
    if (needsPoint(memory, index, term)) {
      if (run.points === 0) {
        run.stop = L.STOP_POINTS;
        break;
      }
      run.points--;
      putPoint(memory, index, term, p - out);
    }
    const data = p + 17 + varintSize(n);
    u8.copyWithin(data, entry, entry + n);
    const next = finishFrame(memory, p, RECORD_ENTRY, data, n);
    f64[L.ENC_LAST_INDEX >>> 3] = index;
    f64[L.ENC_LAST_TERM >>> 3] = term;
    f64[L.ENC_SINCE_POINT >>> 3] += next - p;
    p = next;
    run.entries++;
    taken = entry + n - start;
  }
  u32[L.ENC_RUN >>> 2] = taken;
  return p;
}

/** Whether the entry begins a run of the sparse index. */
export function needsPoint(memory: CodecMemory, index: number, term: number): boolean {
  const { u32, f64 } = memory;
  return (
    u32[L.ENC_FORCE_POINT >>> 2] !== 0 ||
    index !== f64[L.ENC_LAST_INDEX >>> 3] + 1 ||
    term !== f64[L.ENC_LAST_TERM >>> 3] ||
    f64[L.ENC_SINCE_POINT >>> 3] >= L.POINT_SPACING
  );
}

/** Notes a point at `offset` under the rolling CRC before it. */
export function putPoint(memory: CodecMemory, index: number, term: number, offset: number): void {
  const { u32, f64 } = memory;
  const tail = u32[L.ENC_POINTS_TAIL >>> 2];
  const at = (u32[L.ENC_POINTS_BASE >>> 2] + (tail & u32[L.ENC_POINTS_MASK >>> 2]) * L.POINT_BYTES) >>> 3;
  f64[at] = index;
  f64[at + 1] = term;
  f64[at + 2] = offset;
  f64[at + 4] = u32[L.ENC_CRC >>> 2];
  u32[L.ENC_POINTS_TAIL >>> 2] = tail + 1;
  u32[L.ENC_FORCE_POINT >>> 2] = 0;
  f64[L.ENC_SINCE_POINT >>> 3] = 0;
}

function encodeEntry(memory: CodecMemory, frame: number, item: number, tag: number, length: number): number {
  const { u8, f64 } = memory;
  const term = f64[(item + 8) >>> 3];
  const index = f64[(item + 16) >>> 3];
  const hasData = (tag & L.HAS_DATA) !== 0;
  let n = 4 + varintSize(term) + varintSize(index);
  if (hasData) n += 1 + varintSize(length) + length;
  const data = frame + 17 + varintSize(n);
  u8[data] = 0x08;
  u8[data + 1] = (tag >>> 8) & 0xff;
  u8[data + 2] = 0x10;
  let p = putVarint(u8, data + 3, term);
  u8[p] = 0x18;
  p = putVarint(u8, p + 1, index);
  if (hasData) {
    u8[p] = 0x22;
    p = putVarint(u8, p + 1, length);
    u8.copyWithin(p, item + L.ENTRY_ITEM_BYTES, item + L.ENTRY_ITEM_BYTES + length);
  }
  return finishFrame(memory, frame, RECORD_ENTRY, data, n);
}

function encodeState(memory: CodecMemory, frame: number, item: number): number {
  const { u8, f64 } = memory;
  const data = frame + 18;
  let p = data;
  for (let field = 0; field < 3; field++) {
    const value = f64[((item + 8) >>> 3) + field];
    f64[(L.ENC_HS_TERM >>> 3) + field] = value;
    u8[p] = (field + 1) << 3;
    p = putVarint(u8, p + 1, value);
  }
  return finishFrame(memory, frame, RECORD_STATE, data, p - data);
}

// The entry behind it begins a run: the snapshot may have replaced the log.
function encodeSnapshot(memory: CodecMemory, frame: number, item: number, length: number): number {
  const { u8, u32, f64 } = memory;
  const term = f64[(item + 8) >>> 3];
  const index = f64[(item + 16) >>> 3];
  if (index > f64[L.ENC_LAST_INDEX >>> 3]) {
    f64[L.ENC_LAST_INDEX >>> 3] = index;
    f64[L.ENC_LAST_TERM >>> 3] = term;
  }
  u32[L.ENC_FORCE_POINT >>> 2] = 1;
  const data = frame + 17 + varintSize(length);
  u8.copyWithin(data, item + L.ENTRY_ITEM_BYTES, item + L.ENTRY_ITEM_BYTES + length);
  return finishFrame(memory, frame, RECORD_SNAPSHOT, data, length);
}

// `data` was laid down for a CRC field at its longest; a shorter one moves it down.
function finishFrame(memory: CodecMemory, frame: number, type: number, data: number, n: number): number {
  const { u8, u32 } = memory;
  const crc = crc32cRange(u32[L.ENC_CRC >>> 2], u8, data, data + n);
  u32[L.ENC_CRC >>> 2] = crc;
  u8[frame + 8] = 0x08;
  u8[frame + 9] = type;
  u8[frame + 10] = 0x10;
  let p = putVarint(u8, frame + 11, crc);
  u8[p] = 0x1a;
  p = putVarint(u8, p + 1, n);
  if (p !== data) u8.copyWithin(p, data, data + n);
  p += n;
  const length = p - frame - 8;
  putFrameHeader(u8, frame, length);
  for (let padding = framePadding(length); padding > 0; padding--) u8[p++] = 0;
  return p;
}

function scan(memory: CodecMemory, end: number): number {
  const { u8, u32, f64 } = memory;
  let p = u32[L.SCAN_POS >>> 2];
  for (;;) {
    u32[L.SCAN_POS >>> 2] = p;
    const left = end - p;
    if (left === 0) return L.SCAN_END;
    if (left < 8) return L.SCAN_SHORT;
    const frame = frameAt(u8, p);
    if (frame.zero) return L.SCAN_ZERO;
    if (frame.length + frame.padding > left - 8) return L.SCAN_SHORT;
    const record = tryParseRecord(u8, p + 8, p + 8 + frame.length);
    if (record === null) return L.SCAN_BAD_PROTO;
    if (u32[L.SCAN_POINTS >>> 2] === u32[L.SCAN_POINTS_CAP >>> 2]) return L.SCAN_POINTS_FULL;
    let after = u32[L.SCAN_CRC >>> 2];
    // A crc record inside a segment: the end of a write. At a segment's start it hands the chain over.
    const seal = record.type === RECORD_CRC && p !== u32[L.SCAN_BASE >>> 2] && after !== 0;
    if (record.type !== RECORD_CRC) after = crc32cRange(after, u8, record.dataStart, record.dataEnd);
    if (after !== record.crc && (seal || record.type !== RECORD_CRC)) return L.SCAN_BAD_CRC;
    isSpecial = !seal && record.type !== RECORD_ENTRY && record.type !== RECORD_STATE;
    let wrong = checkKind(record, f64[L.SCAN_RECORDS >>> 3]);
    if (wrong !== 0) return wrong;
    if (record.type === RECORD_ENTRY) wrong = acceptEntry(memory, p, record);
    else if (record.type === RECORD_STATE) wrong = acceptState(memory, record);
    if (wrong !== 0) return wrong;
    u32[L.SCAN_CRC >>> 2] = after;
    const size = 8 + frame.length + frame.padding;
    f64[L.SCAN_RECORDS >>> 3]++;
    f64[L.SCAN_SINCE_POINT >>> 3] += size;
    p += size;
    if (seal) u32[L.SCAN_SEALED >>> 2] = p - u32[L.SCAN_BASE >>> 2];
    if (isSpecial) {
      u32[L.SCAN_TYPE >>> 2] = record.type;
      u32[L.SCAN_DATA >>> 2] = record.dataStart;
      u32[L.SCAN_DATA_LEN >>> 2] = record.dataEnd - record.dataStart;
      u32[L.SCAN_RECORD_CRC >>> 2] = record.crc;
      u32[L.SCAN_POS >>> 2] = p;
      return L.SCAN_SPECIAL;
    }
  }
}

/** A frame's length field. A length above 2^53 comes out inexact, but still larger than any file. */
export interface FrameHead {
  zero: boolean;
  length: number;
  padding: number;
}

/** The length field at bytes[at, at + 8). */
export function frameAt(bytes: Uint8Array, at: number): FrameHead {
  const low = (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
  const high = bytes[at + 4] | (bytes[at + 5] << 8) | (bytes[at + 6] << 16);
  const top = bytes[at + 7];
  return {
    zero: low === 0 && high === 0 && top === 0,
    length: high * 4294967296 + low,
    padding: top >= 0x80 ? top & 7 : 0,
  };
}

// CRCs wrap at 32 bits, as the WASM has them.
function tryParseRecord(bytes: Uint8Array, at: number, end: number): RecordSpan | null {
  const record: RecordSpan = { type: 0, crc: 0, hasData: false, dataStart: 0, dataEnd: 0 };
  const reader = new FieldReader(bytes, at, end);
  try {
    while (reader.next()) {
      if (reader.field === 1) record.type = typeOf(reader);
      else if (reader.field === 2) record.crc = Number(varint64(reader) & 0xffffffffn);
      else if (reader.field === 3) {
        const span = reader.span();
        record.hasData = true;
        record.dataStart = span.start;
        record.dataEnd = span.end;
      } else reader.skip();
    }
  } catch (error) {
    if (error instanceof MalformedError) return null;
    throw error;
  }
  return record;
}

function typeOf(reader: FieldReader): number {
  const type = varint64(reader);
  return type > 255n ? 255 : Number(type);
}

function varint64(reader: FieldReader): bigint {
  if (reader.wire !== 0) throw new MalformedError("wrong wire type");
  return reader.varint64();
}

/** 0, or why the record cannot be of its type: a flipped bit in the type, which no checksum covers. */
function checkKind({ type, hasData }: RecordSpan, records: number): number {
  if (records < 2 && type !== (records === 0 ? RECORD_CRC : RECORD_METADATA)) return L.SCAN_HEAD;
  if (type < RECORD_METADATA || type > RECORD_SNAPSHOT) return L.SCAN_KIND;
  if (type === RECORD_CRC && hasData) return L.SCAN_KIND;
  if (type === RECORD_SNAPSHOT && !hasData) return L.SCAN_KIND;
  return 0;
}

/** The host has to look at the last entry or state accepted. */
let isSpecial = false;
/** Wire type of the message's field 4, -1: it has none. With bytes, it is an entry's. */
let wireOfFour = -1;

// Varint fields 1 to 3 into `numbers`; false if malformed.
const numbers = [0n, 0n, 0n];
function parseNumbers(bytes: Uint8Array, record: RecordSpan): boolean {
  numbers.fill(0n);
  wireOfFour = -1;
  const reader = new FieldReader(bytes, record.dataStart, record.dataEnd);
  try {
    while (reader.next()) {
      if (reader.field <= 3) {
        if (reader.wire !== 0) return false;
        numbers[reader.field - 1] = reader.varint64();
      } else {
        if (reader.field === 4) wireOfFour = reader.wire;
        reader.skip();
      }
    }
  } catch (error) {
    if (error instanceof MalformedError) return false;
    throw error;
  }
  return true;
}

const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

function acceptEntry(memory: CodecMemory, frame: number, record: RecordSpan): number {
  const { u8, u32, f64 } = memory;
  if (!parseNumbers(u8, record) || (wireOfFour !== -1 && wireOfFour !== 2)) return L.SCAN_KIND;
  // EntryNormal, EntryConfChange, EntryConfChangeV2; term 0 has no leader.
  if (numbers[0] > 2n || numbers[1] === 0n) return L.SCAN_KIND;
  if (numbers[1] > SAFE || numbers[2] > SAFE) return L.SCAN_UNSAFE;
  const term = Number(numbers[1]);
  const index = Number(numbers[2]);
  const last = f64[L.SCAN_LAST_INDEX >>> 3];
  if (index > last + 1 || index < 1) return L.SCAN_GAP;
  // Infinity: what is before the segment is not known.
  const overwrites = index <= last && last !== Number.POSITIVE_INFINITY;
  if (overwrites && index <= f64[L.SCAN_HS_COMMIT >>> 3]) return L.SCAN_COMMITTED;
  if (index === last + 1 && term < f64[L.SCAN_LAST_TERM >>> 3]) return L.SCAN_TERM_BACK;
  if (f64[L.SCAN_ENTRIES >>> 3] === 0) f64[L.SCAN_FIRST_INDEX >>> 3] = index;
  u32[L.SCAN_OVERWRITES >>> 2] = index <= last ? 1 : 0;
  isSpecial = numbers[0] !== 0n || index <= last;
  if (
    u32[L.SCAN_FORCE_POINT >>> 2] !== 0 ||
    index !== last + 1 ||
    term !== f64[L.SCAN_LAST_TERM >>> 3] ||
    f64[L.SCAN_SINCE_POINT >>> 3] >= L.POINT_SPACING
  ) {
    const count = u32[L.SCAN_POINTS >>> 2];
    const at = (u32[L.SCAN_POINTS_BASE >>> 2] + count * L.POINT_BYTES) >>> 3;
    f64[at] = index;
    f64[at + 1] = term;
    f64[at + 2] = (frame - u32[L.SCAN_BASE >>> 2]) >>> 0;
    f64[at + 4] = u32[L.SCAN_CRC >>> 2];
    u32[L.SCAN_POINTS >>> 2] = count + 1;
    u32[L.SCAN_FORCE_POINT >>> 2] = 0;
    f64[L.SCAN_SINCE_POINT >>> 3] = 0;
  }
  f64[L.SCAN_LAST_INDEX >>> 3] = index;
  f64[L.SCAN_LAST_TERM >>> 3] = term;
  f64[L.SCAN_ENTRIES >>> 3]++;
  return 0;
}

function acceptState(memory: CodecMemory, record: RecordSpan): number {
  const { u8, f64 } = memory;
  if (!parseNumbers(u8, record) || wireOfFour === 2) return L.SCAN_KIND;
  const [term, vote, commit] = numbers;
  if (term === 0n && (vote !== 0n || commit !== 0n)) return L.SCAN_KIND;
  for (let field = 0; field < 3; field++) {
    if (numbers[field] > SAFE) return L.SCAN_UNSAFE;
  }
  const state = L.SCAN_HS_TERM >>> 3;
  const before = f64[state];
  if (Number(term) < before) return L.SCAN_STATE_BACK;
  if (Number(term) === before && Number(commit) < f64[state + 2]) return L.SCAN_STATE_BACK;
  // Nothing was known before it: only the host can tell whether it goes back.
  isSpecial = before < 0;
  for (let field = 0; field < 3; field++) f64[state + field] = Number(numbers[field]);
  return 0;
}
