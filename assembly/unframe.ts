// Takes the entries of a run off frames that were read back from a segment: each record is checked against the rolling
// CRC, and its entry moved behind the one before it, as field 7 of raftpb.Message. Only what is as we write it; the rest
// is the host's to look at (src/wal/read/segment-reader.ts).
import { update } from "./crc";
import { putVarint } from "./encode";
import * as L from "./layout";
import { data, dataEnd, parseRecord, crc as recordCrc, type } from "./scan";

/** Where the data of the entry at hand begins, set by isPlain; and its type. */
let payload: usize = 0;
let entryType: u32 = 0;

/** Set by readShort: where it stopped; 0: the varint is cut, above 2^56, or longer than it had to be. */
let next: usize = 0;

function readShort(p: usize, end: usize): u64 {
  let value: u64 = 0;
  for (let shift: u64 = 0; p < end && shift < 56; shift += 7) {
    const byte: u64 = load<u8>(p++);
    value |= (byte & 0x7f) << shift;
    if (byte >= 0x80) continue;
    next = byte === 0 && shift > 0 ? 0 : p;
    return value;
  }
  next = 0;
  return 0;
}

/** Whether this is entry `index` of `term`, encoded as we do it: type, term, index, and data to its end. */
function isPlain(p: usize, end: usize, index: u64, term: u64): bool {
  if (end - p < 8 || load<u8>(p) !== 0x08 || load<u8>(p, 2) !== 0x10) return false;
  entryType = load<u8>(p, 1);
  if (entryType > 2) return false;
  if (readShort(p + 3, end) !== term || next === 0 || next === end || load<u8>(next) !== 0x18) return false;
  if (readShort(next + 1, end) !== index || next === 0 || next === end || load<u8>(next) !== 0x22) return false;
  const length = readShort(next + 1, end);
  payload = next;
  return next !== 0 && length === u64(end - next);
}

/**
 * Goes over the frames from UNFRAME_POS to `end` until entry UNFRAME_HI, a frame that is not whole or not plain, or
 * `rowsMax` entries. Leaves the first frame not taken, the CRC and the index before it, and of each entry from
 * UNFRAME_WANTED on a row: where it begins, where its data does, how long that is, its type. The first one is moved to
 * where the frames began, the others behind it; UNFRAME_OUT is their end. Returns how many rows there are.
 */
export function unframe(end: u32, rowsMax: u32): u32 {
  let p: usize = load<u32>(L.UNFRAME + L.UNFRAME_POS);
  let out = p;
  let rolling = load<u32>(L.UNFRAME + L.UNFRAME_CRC);
  let index = u64(load<f64>(L.UNFRAME + L.UNFRAME_INDEX));
  const term = u64(load<f64>(L.UNFRAME + L.UNFRAME_TERM));
  const wanted = u64(load<f64>(L.UNFRAME + L.UNFRAME_WANTED));
  const hi = u64(load<f64>(L.UNFRAME + L.UNFRAME_HI));
  let rows: u32 = 0;
  while (index < hi && rows < rowsMax && usize(end) - p >= 8) {
    const head = load<u64>(p);
    const n = (head << 8) >>> 8;
    const padding = head >>> 63 !== 0 ? (head >>> 56) & 7 : 0;
    if (head === 0 || n + padding > u64(usize(end) - p - 8)) break;
    const following = p + 8 + usize(n) + usize(padding);
    if (!parseRecord(p + 8, p + 8 + usize(n))) break;
    const after = update(rolling, data, u32(dataEnd - data));
    if (after !== recordCrc) break;
    if (type === L.RECORD_ENTRY) {
      const from = data;
      const length = u32(dataEnd - from);
      if (!isPlain(from, dataEnd, index, term)) break;
      if (index >= wanted) {
        // A frame has more in front of its entry than this: it never reaches what is still to be read.
        store<u8>(out, 0x3a);
        const to = putVarint(out + 1, u64(length));
        const row = L.UNFRAME_ROWS + usize(rows) * 16;
        store<u32>(row, u32(out));
        store<u32>(row, u32(to + payload - from), 4);
        store<u32>(row, u32(dataEnd - payload), 8);
        store<u32>(row, entryType, 12);
        memory.copy(to, from, length);
        out = to + length;
        rows++;
      }
      index++;
    }
    rolling = after;
    p = following;
  }
  store<u32>(L.UNFRAME + L.UNFRAME_POS, u32(p));
  store<u32>(L.UNFRAME + L.UNFRAME_CRC, rolling);
  store<f64>(L.UNFRAME + L.UNFRAME_INDEX, f64(index));
  store<u32>(L.UNFRAME + L.UNFRAME_OUT, u32(out));
  return rows;
}
