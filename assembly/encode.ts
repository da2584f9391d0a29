// Ring records to etcd's WAL frames: protobuf of the entry or hard state, record with rolling CRC, frame with length
// field and padding (WAL-FORMAT sections 2 to 4). src/wal/codec-js.ts is the twin, byte for byte.
import { crc32c } from "./crc32c";
import {
  ENTRY_HEADER,
  FRAME_OVERHEAD_MAX,
  KIND_END,
  KIND_ENTRY,
  KIND_HARD_STATE,
  POINT_BYTES,
  POINTS,
  POINTS_MAX,
  STATE_COMMIT,
  STATE_CONSUMED,
  STATE_CRC,
  STATE_ENTRIES,
  STATE_HAS_HARD_STATE,
  STATE_LAST_INDEX,
  STATE_LAST_SEQ,
  STATE_MUST_SYNC,
  STATE_POINTS,
  STATE_SINCE_POINT,
  STATE_TERM,
  STATE_VOTE,
} from "./layout";

/** Where a message is built before its CRC, and so the length of what precedes it, is known. */
const SCRATCH: usize = 0x5100;

// @ts-ignore: decorator
@inline
function varint(at: usize, value: u64): usize {
  while (value >= 128) {
    store<u8>(at++, <u8>(value | 128));
    value >>>= 7;
  }
  store<u8>(at++, <u8>value);
  return at;
}

/**
 * Frames a record of `type` whose data is `headLength` bytes at SCRATCH and `bodyLength` at `body`, at `out`, and
 * rolls the CRC on. Returns the end of the frame.
 */
function frame(out: usize, type: u8, headLength: u32, body: usize, bodyLength: u32): usize {
  let crc = crc32c(load<u32>(STATE_CRC), <u32>SCRATCH, headLength);
  if (bodyLength > 0) crc = crc32c(crc, <u32>body, bodyLength);
  store<u32>(STATE_CRC, crc);
  let at = out + 8;
  store<u8>(at++, 0x08);
  store<u8>(at++, type);
  store<u8>(at++, 0x10);
  at = varint(at, crc);
  store<u8>(at++, 0x1a);
  at = varint(at, headLength + bodyLength);
  memory.copy(at, SCRATCH, headLength);
  at += headLength;
  if (bodyLength > 0) memory.copy(at, body, bodyLength);
  at += bodyLength;
  const length = <u64>(at - out - 8);
  const padding = (8 - (length & 7)) & 7;
  store<u64>(out, padding == 0 ? length : length | ((0x80 | padding) << 56));
  for (let i: u64 = 0; i < padding; i++) store<u8>(at++, 0);
  return at;
}

function entry(source: usize, out: usize): usize {
  const kind = load<u32>(source, 4);
  const length = load<u32>(source, 8);
  let at = SCRATCH;
  store<u8>(at++, 0x08);
  store<u8>(at++, <u8>(kind >>> 8));
  store<u8>(at++, 0x10);
  at = varint(at, <u64>load<f64>(source, 16));
  store<u8>(at++, 0x18);
  at = varint(at, <u64>load<f64>(source, 24));
  if (((kind >>> 16) & 1) == 0) {
    store<u8>(at++, 0x22);
    at = varint(at, length);
  }
  return frame(out, 2, <u32>(at - SCRATCH), source + ENTRY_HEADER, length);
}

function hardState(source: usize, out: usize): usize {
  store<f64>(STATE_TERM, load<f64>(source, 8));
  store<f64>(STATE_VOTE, load<f64>(source, 16));
  store<f64>(STATE_COMMIT, load<f64>(source, 24));
  store<u32>(STATE_HAS_HARD_STATE, 1);
  let at = SCRATCH;
  store<u8>(at++, 0x08);
  at = varint(at, <u64>load<f64>(source, 8));
  store<u8>(at++, 0x10);
  at = varint(at, <u64>load<f64>(source, 16));
  store<u8>(at++, 0x18);
  at = varint(at, <u64>load<f64>(source, 24));
  return frame(out, 3, <u32>(at - SCRATCH), 0, 0);
}

/** Whether a new index point is due for the entry at `source`, about to be written at `offset`. */
function point(source: usize, offset: u32): bool {
  const index = load<f64>(source, 24);
  const jump = index != load<f64>(STATE_LAST_INDEX) + 1;
  if (!jump && load<u32>(STATE_SINCE_POINT) < POINT_BYTES) return true;
  const count = load<u32>(STATE_POINTS);
  if (count == POINTS_MAX) return false;
  store<f64>(POINTS + (count << 4), index);
  store<u32>(POINTS + (count << 4), offset, 8);
  store<u32>(STATE_POINTS, count + 1);
  store<u32>(STATE_SINCE_POINT, 0);
  return true;
}

/**
 * Encodes the ring records in [source, sourceEnd) to `out`, until they end or one may not fit before `outEnd`.
 * `base` is where the output began, for the offsets of points. Tells in STATE how far it came. Returns the end of
 * the output.
 */
export function encode(source: u32, sourceEnd: u32, base: u32, out: u32, outEnd: u32): u32 {
  let from: usize = source;
  let at: usize = out;
  while (from < sourceEnd) {
    const size = load<u32>(from);
    const kind = load<u32>(from, 4) & 255;
    if (at + size + FRAME_OVERHEAD_MAX > outEnd) break;
    if (kind == KIND_ENTRY) {
      if (!point(from, <u32>at - base)) break;
      const end = entry(from, at);
      store<u32>(STATE_SINCE_POINT, load<u32>(STATE_SINCE_POINT) + <u32>(end - at));
      store<f64>(STATE_LAST_INDEX, load<f64>(from, 24));
      store<u32>(STATE_ENTRIES, load<u32>(STATE_ENTRIES) + 1);
      at = end;
    } else if (kind == KIND_HARD_STATE) {
      at = hardState(from, at);
    } else if (kind == KIND_END) {
      store<f64>(STATE_LAST_SEQ, load<f64>(from, 8));
      store<u32>(STATE_MUST_SYNC, load<u32>(STATE_MUST_SYNC) | ((load<u32>(from, 4) >>> 8) & 1));
    }
    from += size;
  }
  store<u32>(STATE_CONSUMED, <u32>from);
  return <u32>at;
}
