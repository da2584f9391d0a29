// Telling a write that a crash tore from damage to what was already written. Segments are full of zeros before use,
// so a torn write leaves zeros where sectors did not arrive, and nothing good behind it.

import { crc32cRange } from "../base/crc32c.js";
import { frameAt } from "./codec-js.js";
import { SECTOR_BYTES } from "./format.js";
import { parseRecord, type RecordSpan } from "./record.js";

/** End of the bytes that are not zero; at least `from`. */
export function lastNonZero(bytes: Uint8Array, from: number): number {
  let end = bytes.length;
  // Eight bytes a step where the memory allows it: the rest of a segment may be 64 MB of zeros.
  const aligned = Math.floor((end - from) / 8);
  const start = end - aligned * 8;
  if ((bytes.byteOffset + start) % 8 === 0) {
    const words = new Float64Array(bytes.buffer, bytes.byteOffset + start, aligned);
    let at = aligned;
    // Object.is: -0 equals 0, but has a bit set.
    while (at > 0 && Object.is(words[at - 1], 0)) at--;
    end = start + at * 8;
  }
  while (end > from && bytes[end - 1] === 0) end--;
  return end;
}

/**
 * Whether the damaged frame at `at` can come from a torn write: a piece of it, split at sectors of the file, is all
 * zeros (etcd's rule), or it runs out in zeros that go on to the end of the file.
 */
export function isTorn(bytes: Uint8Array, at: number): boolean {
  const frame = frameAt(bytes, at);
  const end = Math.min(bytes.length, at + 8 + frame.length + frame.padding);
  for (let piece = at + 8; piece < end; ) {
    const next = Math.min(end, piece - (piece % SECTOR_BYTES) + SECTOR_BYTES);
    if (allZero(bytes, piece, next)) return true;
    piece = next;
  }
  return lastNonZero(bytes, at) < at + 8 + frame.length;
}

function allZero(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    if (bytes[at] !== 0) return false;
  }
  return true;
}

/**
 * Whether a record that was certainly written by us lies behind the damage at `at`: its CRC continues the rolling
 * CRC of the record before it, or the one the damaged record claims, or `crc`, the last good one.
 */
export function hasRecordAfter(bytes: Uint8Array, at: number, crc: number): boolean {
  const seeds = [crc];
  const damaged = parseFrame(bytes, at);
  if (damaged !== null) seeds.push(damaged.record.crc);
  const used = lastNonZero(bytes, at);
  for (let from = at + 8; from < used; from += 8) {
    if (bytes[from + 8] !== 0x08 || bytes[from + 10] !== 0x10) continue;
    const frame = parseFrame(bytes, from);
    if (frame === null || frame.record.type < 1 || frame.record.type > 5) continue;
    if (seeds.some((seed) => continues(bytes, frame.record, seed))) return true;
    const next = parseFrame(bytes, frame.end);
    if (next?.record.hasData === true && continues(bytes, next.record, frame.record.crc)) return true;
  }
  return false;
}

function continues(bytes: Uint8Array, record: RecordSpan, seed: number): boolean {
  if (record.dataEnd === record.dataStart) return false;
  return crc32cRange(seed, bytes, record.dataStart, record.dataEnd) === record.crc;
}

function parseFrame(bytes: Uint8Array, at: number): { record: RecordSpan; end: number } | null {
  if (at + 8 > bytes.length) return null;
  const frame = frameAt(bytes, at);
  const end = at + 8 + frame.length + frame.padding;
  if (frame.zero || end > bytes.length) return null;
  try {
    return { record: parseRecord(bytes, at + 8, at + 8 + frame.length), end };
  } catch {
    return null;
  }
}
