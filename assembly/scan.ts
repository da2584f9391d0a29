// Goes over the frames of a segment in memory: structure, rolling CRC, order of indexes. Twin: scan in codec-js.ts.
// A broken frame is left to the host, with SCAN_POS at its start and everything before it accounted for.
import { update } from "./crc";
import * as L from "./layout";

/** Set by readVarint: where it stopped, or 0 if the varint is cut or longer than 64 bits. */
let next: usize = 0;

function readVarint(p: usize, end: usize): u64 {
  let value: u64 = 0;
  let bits: u64 = 0;
  while (p < end) {
    const b = load<u8>(p++);
    value |= u64(b & 0x7f) << bits;
    if (b < 0x80) {
      next = p;
      return value;
    }
    bits += 7;
    if (bits >= 70) break;
  }
  next = 0;
  return 0;
}

/** Where the field of this wire type ends; 0 if it does not end before `end`. */
function skipField(p: usize, end: usize, wire: u32): usize {
  if (wire === 0) {
    readVarint(p, end);
    return next;
  }
  if (wire === 2) {
    const n = readVarint(p, end);
    if (next === 0) return 0;
    return n <= u64(end - next) ? next + usize(n) : 0;
  }
  const width: usize = wire === 1 ? 8 : wire === 5 ? 4 : 0;
  return width !== 0 && end - p >= width ? p + width : 0;
}

/** Set by parseRecord. */
export let type: u32 = 0;
export let crc: u32 = 0;
export let data: usize = 0;
export let dataEnd: usize = 0;

export function parseRecord(p: usize, end: usize): bool {
  type = 0;
  crc = 0;
  data = 0;
  dataEnd = 0;
  while (p < end) {
    const tag = readVarint(p, end);
    if (next === 0 || tag >>> 3 === 0 || tag > 0xffffffff) return false;
    p = next;
    if (tag === 0x1a) {
      const n = readVarint(p, end);
      if (next === 0 || n > u64(end - next)) return false;
      data = next;
      dataEnd = next + usize(n);
      p = dataEnd;
    } else if (tag === 0x08) {
      const value = readVarint(p, end);
      if (next === 0) return false;
      type = value > 0xff ? 0xff : u32(value);
      p = next;
    } else if (tag === 0x10) {
      crc = u32(readVarint(p, end));
      if (next === 0) return false;
      p = next;
    } else {
      if (tag >>> 3 <= 3) return false;
      p = skipField(p, end, u32(tag & 7));
      if (p === 0) return false;
    }
  }
  return true;
}

/** The host has to look at the last entry or state accepted. */
let isSpecial: bool = false;

let fieldA: u64 = 0;
let fieldB: u64 = 0;
let fieldC: u64 = 0;

/** Wire type of the message's field 4, -1: it has none. With bytes, it is an entry's. */
let wireOfFour: i32 = -1;

/** Varint fields 1 to 3 of the message; of the others only whether they fit. */
function parseNumbers(p: usize, end: usize): bool {
  wireOfFour = -1;
  fieldA = 0;
  fieldB = 0;
  fieldC = 0;
  while (p < end) {
    const tag = readVarint(p, end);
    if (next === 0 || tag >>> 3 === 0 || tag > 0xffffffff) return false;
    p = next;
    const field = tag >>> 3;
    if (field <= 3) {
      if ((tag & 7) !== 0) return false;
      const value = readVarint(p, end);
      if (next === 0) return false;
      p = next;
      if (field === 1) fieldA = value;
      else if (field === 2) fieldB = value;
      else fieldC = value;
    } else {
      if (field === 4) wireOfFour = i32(tag & 7);
      p = skipField(p, end, u32(tag & 7));
      if (p === 0) return false;
    }
  }
  return true;
}

const SAFE: u64 = 0x1fffffffffffff;

function putPoint(index: f64, term: f64, p: usize, crcBefore: u32): void {
  const count = load<u32>(L.SCAN + L.SCAN_POINTS);
  const slot = load<u32>(L.SCAN + L.SCAN_POINTS_BASE) + count * u32(L.POINT_BYTES);
  store<f64>(slot, index);
  store<f64>(slot, term, 8);
  store<f64>(slot, f64(u32(p) - load<u32>(L.SCAN + L.SCAN_BASE)), 16);
  store<f64>(slot, f64(crcBefore), 32);
  store<u32>(L.SCAN + L.SCAN_POINTS, count + 1);
  store<u32>(L.SCAN + L.SCAN_FORCE_POINT, 0);
  store<f64>(L.SCAN + L.SCAN_SINCE_POINT, 0);
}

/** 0, or what is wrong with the entry: its checksum is right, so that it is none if it does not read as one. */
function acceptEntry(frame: usize): i32 {
  if (!parseNumbers(data, dataEnd) || (wireOfFour !== -1 && wireOfFour !== 2)) return L.SCAN_KIND;
  // EntryNormal, EntryConfChange, EntryConfChangeV2; term 0 has no leader.
  if (fieldA > 2 || fieldB === 0) return L.SCAN_KIND;
  if (fieldB > SAFE || fieldC > SAFE) return L.SCAN_UNSAFE;
  const term = f64(fieldB);
  const index = f64(fieldC);
  const last = load<f64>(L.SCAN + L.SCAN_LAST_INDEX);
  const count = load<f64>(L.SCAN + L.SCAN_ENTRIES);
  if (index > last + 1 || index < 1) return L.SCAN_GAP;
  // Infinity: what is before the segment is not known.
  const overwrites = index <= last && last !== Infinity;
  if (overwrites && index <= load<f64>(L.SCAN + L.SCAN_HS_COMMIT)) return L.SCAN_COMMITTED;
  if (index === last + 1 && term < load<f64>(L.SCAN + L.SCAN_LAST_TERM)) return L.SCAN_TERM_BACK;
  if (count === 0) store<f64>(L.SCAN + L.SCAN_FIRST_INDEX, index);
  store<u32>(L.SCAN + L.SCAN_OVERWRITES, u32(index <= last));
  isSpecial = fieldA !== 0 || index <= last;
  if (
    load<u32>(L.SCAN + L.SCAN_FORCE_POINT) !== 0 ||
    index !== last + 1 ||
    term !== load<f64>(L.SCAN + L.SCAN_LAST_TERM) ||
    load<f64>(L.SCAN + L.SCAN_SINCE_POINT) >= L.POINT_SPACING
  ) {
    putPoint(index, term, frame, load<u32>(L.SCAN + L.SCAN_CRC));
  }
  store<f64>(L.SCAN + L.SCAN_LAST_INDEX, index);
  store<f64>(L.SCAN + L.SCAN_LAST_TERM, term);
  store<f64>(L.SCAN + L.SCAN_ENTRIES, count + 1);
  return 0;
}

function acceptState(): i32 {
  if (!parseNumbers(data, dataEnd) || wireOfFour === 2) return L.SCAN_KIND;
  if (fieldA === 0 && (fieldB !== 0 || fieldC !== 0)) return L.SCAN_KIND;
  if (fieldA > SAFE || fieldB > SAFE || fieldC > SAFE) return L.SCAN_UNSAFE;
  const term = load<f64>(L.SCAN + L.SCAN_HS_TERM);
  if (f64(fieldA) < term) return L.SCAN_STATE_BACK;
  if (f64(fieldA) === term && f64(fieldC) < load<f64>(L.SCAN + L.SCAN_HS_COMMIT)) return L.SCAN_STATE_BACK;
  // Nothing was known before it: only the host can tell whether it goes back.
  isSpecial = term < 0;
  store<f64>(L.SCAN + L.SCAN_HS_TERM, f64(fieldA));
  store<f64>(L.SCAN + L.SCAN_HS_VOTE, f64(fieldB));
  store<f64>(L.SCAN + L.SCAN_HS_COMMIT, f64(fieldC));
  return 0;
}

/** 0, or why the record cannot be of its type: a flipped bit in the type, which no checksum covers. */
function checkKind(records: f64): i32 {
  if (records < 2 && type !== (records === 0 ? L.RECORD_CRC : L.RECORD_METADATA)) return L.SCAN_HEAD;
  if (type < L.RECORD_METADATA || type > L.RECORD_SNAPSHOT) return L.SCAN_KIND;
  if (type === L.RECORD_CRC && data !== 0) return L.SCAN_KIND;
  if (type === L.RECORD_SNAPSHOT && data === 0) return L.SCAN_KIND;
  return 0;
}

/**
 * Scans from SCAN_POS to `end`. Entries and states are taken in; after any other record, an entry that changes the
 * membership or takes the place of another, and the first state if none was known, it returns SCAN_SPECIAL with the
 * record described in the state and SCAN_POS behind it. A crc record leaves SCAN_CRC to the host.
 */
export function scan(end: u32): i32 {
  let p: usize = load<u32>(L.SCAN + L.SCAN_POS);
  while (true) {
    store<u32>(L.SCAN + L.SCAN_POS, u32(p));
    const left = usize(end) - p;
    if (left === 0) return L.SCAN_END;
    if (left < 8) return L.SCAN_SHORT;
    const head = load<u64>(p);
    if (head === 0) return L.SCAN_ZERO;
    const n = (head << 8) >>> 8;
    const padding = head >>> 63 !== 0 ? (head >>> 56) & 7 : 0;
    if (n + padding > u64(left - 8)) return L.SCAN_SHORT;
    if (!parseRecord(p + 8, p + 8 + usize(n))) return L.SCAN_BAD_PROTO;
    if (load<u32>(L.SCAN + L.SCAN_POINTS) === load<u32>(L.SCAN + L.SCAN_POINTS_CAP))
      return L.SCAN_POINTS_FULL;
    let after = load<u32>(L.SCAN + L.SCAN_CRC);
    // A crc record inside a segment: the end of a write. At a segment's start it hands the chain over.
    const seal = type === L.RECORD_CRC && u32(p) !== load<u32>(L.SCAN + L.SCAN_BASE) && after !== 0;
    if (type !== L.RECORD_CRC) after = update(after, data, u32(dataEnd - data));
    if (after !== crc && (seal || type !== L.RECORD_CRC)) return L.SCAN_BAD_CRC;
    const records = load<f64>(L.SCAN + L.SCAN_RECORDS);
    isSpecial = !seal && type !== L.RECORD_ENTRY && type !== L.RECORD_STATE;
    let wrong = checkKind(records);
    if (wrong !== 0) return wrong;
    if (type === L.RECORD_ENTRY) wrong = acceptEntry(p);
    else if (type === L.RECORD_STATE) wrong = acceptState();
    if (wrong !== 0) return wrong;
    store<u32>(L.SCAN + L.SCAN_CRC, after);
    const following = p + 8 + usize(n) + usize(padding);
    store<f64>(L.SCAN + L.SCAN_RECORDS, records + 1);
    store<f64>(L.SCAN + L.SCAN_SINCE_POINT, load<f64>(L.SCAN + L.SCAN_SINCE_POINT) + f64(u32(following - p)));
    p = following;
    if (seal) store<u32>(L.SCAN + L.SCAN_SEALED, u32(p) - load<u32>(L.SCAN + L.SCAN_BASE));
    if (isSpecial) {
      store<u32>(L.SCAN + L.SCAN_TYPE, type);
      store<u32>(L.SCAN + L.SCAN_DATA, u32(data));
      store<u32>(L.SCAN + L.SCAN_DATA_LEN, u32(dataEnd - data));
      store<u32>(L.SCAN + L.SCAN_RECORD_CRC, crc);
      store<u32>(L.SCAN + L.SCAN_POS, u32(p));
      return L.SCAN_SPECIAL;
    }
  }
}
