// Ring items in, framed WAL records out, with the rolling CRC and the points of the sparse index. One call a batch.
// Twin: encodeBatch in src/wal/format/codec-js.ts.
import { update } from "./crc";
import * as L from "./layout";

export function putVarint(p: usize, value: u64): usize {
  while (value >= 0x80) {
    store<u8>(p++, u8(value) | 0x80);
    value >>>= 7;
  }
  store<u8>(p, u8(value));
  return p + 1;
}

function varintSize32(value: u32): u32 {
  return (38 - clz<u32>(value | 1)) / 7;
}

/**
 * Frames the record whose `n` data bytes start at `data` = frame + 17 + varintSize(n): 8 bytes of length, type, 6
 * bytes of CRC field at its longest, tag and length of the data. A shorter CRC moves the data down. Returns the end.
 */
function finishFrame(frame: usize, type: u32, data: usize, n: u32): usize {
  const crc = update(load<u32>(L.ENC + L.ENC_CRC), data, n);
  store<u32>(L.ENC + L.ENC_CRC, crc);
  store<u16>(frame, u16(0x08 | (type << 8)), 8);
  store<u8>(frame, 0x10, 10);
  let p = putVarint(frame + 11, u64(crc));
  store<u8>(p, 0x1a);
  p = putVarint(p + 1, u64(n));
  if (p !== data) memory.copy(p, data, n);
  p += n;
  const length = u32(p - frame - 8);
  const padding = (8 - (length & 7)) & 7;
  store<u64>(frame, u64(length) | (padding !== 0 ? u64(0x80 | padding) << 56 : 0));
  store<u64>(p, 0);
  return p + padding;
}

function encodeEntry(frame: usize, item: usize, tag: u32, length: u32): usize {
  const term = u64(load<f64>(item, 8));
  const index = u64(load<f64>(item, 16));
  // The entry's own length decides where it starts; it depends on the sizes of its varints.
  let n: u32 = 4 + varintSize64(term) + varintSize64(index);
  const hasData = (tag >>> 16) & 1;
  if (hasData !== 0) n += 1 + varintSize32(length) + length;
  const data = frame + 17 + varintSize32(n);
  store<u8>(data, 0x08);
  store<u8>(data, u8(tag >>> 8), 1);
  store<u8>(data, 0x10, 2);
  let p = putVarint(data + 3, term);
  store<u8>(p, 0x18);
  p = putVarint(p + 1, index);
  if (hasData !== 0) {
    store<u8>(p, 0x22);
    p = putVarint(p + 1, u64(length));
    memory.copy(p, item + 24, length);
  }
  return finishFrame(frame, 2, data, n);
}

let varintEnd: usize = 0;

/** The varint at `p`; where it ends is left in varintEnd. */
function getVarint(p: usize): u64 {
  let byte: u64 = load<u8>(p++);
  let value = byte & 0x7f;
  for (let shift: u64 = 7; byte >= 0x80 && shift < 64; shift += 7) {
    byte = load<u8>(p++);
    value |= (byte & 0x7f) << shift;
  }
  varintEnd = p;
  return value;
}

/** What stopped encodeRun, where it is, and how many points are left. */
let runStop: u32 = 0;
let runEntries: u32 = 0;
let runPoints: u32 = 0;

/**
 * Frames the entries of an ITEM_RUN from ENC_RUN on, to `to`, within the limits of encodeBatch. Returns the end of what
 * it wrote. ENC_RUN is the item's length once all are framed.
 */
function encodeRun(item: usize, to: usize, out: u32, capLimit: u32, segmentLimit: u32): usize {
  const length = load<u32>(item, 4);
  const run = item + 8 + ((load<u32>(item) >>> 8) & 0xff);
  let p = to;
  let taken = load<u32>(L.ENC + L.ENC_RUN);
  while (taken < length) {
    // Behind the tag.
    const n = u32(getVarint(run + taken + 1));
    const entry = varintEnd;
    const end = p + 64 + n;
    if (end > usize(capLimit) && p !== usize(out)) {
      runStop = L.STOP_CAP;
      break;
    }
    if (end > usize(segmentLimit)) {
      runStop = L.STOP_SEGMENT;
      break;
    }
    const term = f64(getVarint(entry + 3));
    const index = f64(getVarint(varintEnd + 1));
    if (needsPoint(index, term)) {
      if (runPoints === 0) {
        runStop = L.STOP_POINTS;
        break;
      }
      runPoints--;
      putPoint(index, term, u32(p) - out);
    }
    const data = p + 17 + varintSize32(n);
    memory.copy(data, entry, n);
    const next = finishFrame(p, 2, data, n);
    store<f64>(L.ENC + L.ENC_LAST_INDEX, index);
    store<f64>(L.ENC + L.ENC_LAST_TERM, term);
    store<f64>(L.ENC + L.ENC_SINCE_POINT, load<f64>(L.ENC + L.ENC_SINCE_POINT) + f64(u32(next - p)));
    p = next;
    runEntries++;
    taken = u32(entry + n - run);
  }
  store<u32>(L.ENC + L.ENC_RUN, taken);
  return p;
}

function varintSize64(value: u64): u32 {
  return u32((70 - clz<u64>(value | 1)) / 7);
}

function encodeState(frame: usize, item: usize): usize {
  const term = load<f64>(item, 8);
  const vote = load<f64>(item, 16);
  const commit = load<f64>(item, 24);
  store<f64>(L.ENC + L.ENC_HS_TERM, term);
  store<f64>(L.ENC + L.ENC_HS_VOTE, vote);
  store<f64>(L.ENC + L.ENC_HS_COMMIT, commit);
  const data = frame + 18;
  store<u8>(data, 0x08);
  let p = putVarint(data + 1, u64(term));
  store<u8>(p, 0x10);
  p = putVarint(p + 1, u64(vote));
  store<u8>(p, 0x18);
  p = putVarint(p + 1, u64(commit));
  return finishFrame(frame, 3, data, u32(p - data));
}

// The entry behind it begins a run: the snapshot may have replaced the log.
function encodeSnapshot(frame: usize, item: usize, length: u32): usize {
  const index = load<f64>(item, 16);
  if (index > load<f64>(L.ENC + L.ENC_LAST_INDEX)) {
    store<f64>(L.ENC + L.ENC_LAST_INDEX, index);
    store<f64>(L.ENC + L.ENC_LAST_TERM, load<f64>(item, 8));
  }
  store<u32>(L.ENC + L.ENC_FORCE_POINT, 1);
  const data = frame + 17 + varintSize32(length);
  memory.copy(data, item + 24, length);
  return finishFrame(frame, 5, data, length);
}

function needsPoint(index: f64, term: f64): bool {
  return (
    load<u32>(L.ENC + L.ENC_FORCE_POINT) !== 0 ||
    index !== load<f64>(L.ENC + L.ENC_LAST_INDEX) + 1 ||
    term !== load<f64>(L.ENC + L.ENC_LAST_TERM) ||
    load<f64>(L.ENC + L.ENC_SINCE_POINT) >= L.POINT_SPACING
  );
}

function putPoint(index: f64, term: f64, offset: u32): void {
  const tail = load<u32>(L.ENC + L.ENC_POINTS_TAIL);
  const slot = tail & load<u32>(L.ENC + L.ENC_POINTS_MASK);
  const p = load<u32>(L.ENC + L.ENC_POINTS_BASE) + slot * u32(L.POINT_BYTES);
  store<f64>(p, index);
  store<f64>(p, term, 8);
  store<f64>(p, f64(offset), 16);
  store<f64>(p, f64(load<u32>(L.ENC + L.ENC_CRC)), 32);
  store<u32>(L.ENC + L.ENC_POINTS_TAIL, tail + 1);
  store<u32>(L.ENC + L.ENC_FORCE_POINT, 0);
  store<f64>(L.ENC + L.ENC_SINCE_POINT, 0);
}

/**
 * Encodes ring items from ENC_HEAD on, up to `tail`, to `at`: the batch's beginning `out`, or behind what it has. No
 * frame may reach past `segmentLimit`, nor, except for the batch's first, past `capLimit` (addresses). `pointsFree`:
 * free slots for points. Returns the bytes of the batch and leaves why it stopped in ENC_STOP.
 */
export function encodeBatch(
  out: u32,
  at: u32,
  tail: u32,
  capLimit: u32,
  segmentLimit: u32,
  pointsFree: u32,
): i32 {
  const base = load<u32>(L.ENC + L.ENC_RING_BASE);
  const mask = load<u32>(L.ENC + L.ENC_RING_MASK);
  let head = load<u32>(L.ENC + L.ENC_HEAD);
  let entries: u32 = 0;
  let stop = L.STOP_DRAINED;
  let p: usize = at;
  while (head !== tail) {
    const item: usize = base + (head & mask);
    const tag = load<u32>(item);
    const kind = tag & 0xff;
    if (kind === L.ITEM_END) {
      store<f64>(L.ENC + L.ENC_SEQ, load<f64>(item, 8));
      head += 16;
      continue;
    }
    if (kind === L.ITEM_WRAP) {
      head += mask + 1 - (head & mask);
      continue;
    }
    if (kind === L.ITEM_LARGE) {
      stop = L.STOP_LARGE;
      break;
    }
    if (kind === L.ITEM_RUN) {
      runStop = L.STOP_DRAINED;
      runEntries = 0;
      runPoints = pointsFree;
      p = encodeRun(item, p, out, capLimit, segmentLimit);
      entries += runEntries;
      pointsFree = runPoints;
      if (runStop !== L.STOP_DRAINED) {
        stop = runStop;
        break;
      }
      store<u32>(L.ENC + L.ENC_RUN, 0);
      head += 8 + ((((tag >>> 8) & 0xff) + load<u32>(item, 4) + 7) & ~7);
      continue;
    }
    const length: u32 = kind === L.ITEM_STATE ? 0 : load<u32>(item, 4);
    const end = p + 64 + length;
    if (end > usize(capLimit) && p !== usize(out)) {
      stop = L.STOP_CAP;
      break;
    }
    if (end > usize(segmentLimit)) {
      stop = L.STOP_SEGMENT;
      break;
    }
    const frame = p;
    if (kind === L.ITEM_ENTRY) {
      const term = load<f64>(item, 8);
      const index = load<f64>(item, 16);
      if (needsPoint(index, term)) {
        if (pointsFree === 0) {
          stop = L.STOP_POINTS;
          break;
        }
        pointsFree--;
        putPoint(index, term, u32(p) - out);
      }
      p = encodeEntry(p, item, tag, length);
      store<f64>(L.ENC + L.ENC_LAST_INDEX, index);
      store<f64>(L.ENC + L.ENC_LAST_TERM, term);
      entries++;
      head += 24 + ((length + 7) & ~7);
    } else if (kind === L.ITEM_STATE) {
      p = encodeState(p, item);
      head += 32;
    } else {
      p = encodeSnapshot(p, item, length);
      head += 24 + ((length + 7) & ~7);
    }
    store<f64>(L.ENC + L.ENC_SINCE_POINT, load<f64>(L.ENC + L.ENC_SINCE_POINT) + f64(u32(p - frame)));
  }
  store<u32>(L.ENC + L.ENC_HEAD, head);
  store<u32>(L.ENC + L.ENC_STOP, stop);
  store<f64>(L.ENC + L.ENC_ENTRIES, load<f64>(L.ENC + L.ENC_ENTRIES) + f64(entries));
  return i32(u32(p) - out);
}
