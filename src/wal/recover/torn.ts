// Telling a write that a crash tore from damage to what was already written. Pure; recovery and the readers ask.
//
// Segments are full of zeros before use, a write begins only when the one before it is durable, and ends with a seal
// (record.ts). So what a torn write leaves is: everything up to the seal of the write before it; behind that, sectors
// of 512 bytes that arrived and sectors that did not, which are zeros; and nothing behind its own seal. Damage that
// looks otherwise, with good records behind it, hit something that was durable, and must not be cut off. An entry's
// data may look like a log itself: where heads tell, nothing is looked for in it; where they are lost, such a torn write
// is refused, and nothing cut.

import { crc32cRange } from "../../base/crc32c.js";
import { FieldReader, LENGTH, unlessMalformed, VARINT } from "../../base/protobuf.js";
import { frameAt } from "../format/codec-js.js";
import { RECORD_CRC, SECTOR_BYTES } from "../format/format.js";
import * as L from "../format/layout.js";
import { type RecordSpan, recordIn } from "../format/record.js";
import { flippedBytes } from "./flipped.js";
import { COMMITTED, NO_SEGMENT_HEAD, NOT_OF_TYPE, STATE_BACK, TERM_BACK } from "./misfits.js";

/** Where the scan of the newest segment stopped. */
export interface Stop {
  /** The segment. */
  readonly bytes: Uint8Array;
  /** What scan returned. */
  readonly result: number;
  /** Start of the frame that is none. */
  readonly offset: number;
  /** Rolling CRC before it. */
  readonly crc: number;
  /** Where the write that this frame belongs to began: behind the last seal. 0: no seal in this segment. */
  readonly sealed: number;
}

/** "clean": nothing is behind. "torn": everything behind is the rest of a write that was never acknowledged. */
export type Verdict = "clean" | "torn" | { readonly damage: string };

/** What the end of the newest segment means. */
export function judgeEnd(stop: Stop): Verdict {
  const { bytes, result, offset, crc } = stop;
  if (isMisplaced(offset)) return { damage: MISPLACED };
  if (result === L.SCAN_END) return "clean";
  const zero = result === L.SCAN_ZERO;
  if (zero && lastNonZero(bytes, offset) === offset) return "clean";
  const what = wrongText(result);
  // Its checksum is right: nothing of it was torn.
  if (result <= L.SCAN_GAP) return { damage: what };
  if (hasWrongLength(stop)) return { damage: "its length is wrong, and all else of it is right" };
  if (hasRecordAfter(bytes, offset, crc)) {
    if (!isHole(stop)) return { damage: `${what}, and good records behind` };
  } else if (!zero && result !== L.SCAN_SHORT && !isTorn(bytes, offset)) return { damage: what };
  return hasFlippedBit(bytes, offset, crc) ? { damage: `${what}: one bit of it is another` } : "torn";
}

/** What is wrong where scan stopped with `result` and other bytes follow. */
export function wrongText(result: number): string {
  if (result === L.SCAN_ZERO) return "zeros where a record should be";
  return WRONG[-result] ?? "unreadable";
}

/** What is wrong with a number that is sound to etcd. */
export const UNSAFE_NUMBER = "a term or index above 2^53-1, which this program does not handle";

/** By -result of scan. */
const WRONG: readonly string[] = [
  "",
  "the record reaches past the end of the file",
  "wrong checksum",
  "the record cannot be parsed",
  "an entry's index leaves a gap",
  UNSAFE_NUMBER,
  NOT_OF_TYPE,
  STATE_BACK,
  COMMITTED,
  TERM_BACK,
  NO_SEGMENT_HEAD,
];

/** What stands at an offset that no frame begins at. */
export const MISPLACED = "no record begins here: the padding that the one before it claims is wrong";

/** Frames begin at multiples of 8, torn ones, too. */
export function isMisplaced(offset: number): boolean {
  return offset % 8 !== 0;
}

/** Whether the record is a good one but for the length that stands before it, which no checksum covers. */
function hasWrongLength({ bytes, offset, crc }: Stop): boolean {
  const frame = frameAt(bytes, offset);
  // Zeros at a sector's end: it did not arrive, and the next one did.
  if (frame.zero && (offset + 8) % SECTOR_BYTES === 0) return false;
  const at = offset + 8;
  return [2, 3].some((fields) => {
    const end = endOfFields(bytes, at, fields);
    if (end === -1 || end - at === frame.length) return false;
    const record = recordIn(bytes, at, end);
    if (record === null) return false;
    return record.hasData ? continues(bytes, record, crc) : isSeal(record) && record.crc === crc;
  });
}

/** Where fields 1 to `count`, one of each from `at` on, end; -1: they are not there. */
function endOfFields(bytes: Uint8Array, at: number, count: number): number {
  const end = unlessMalformed(() => {
    const reader = new FieldReader(bytes, at);
    for (let field = 1; field <= count; field++) {
      if (!reader.next() || !reader.is(field, field === 3 ? LENGTH : VARINT)) return -1;
      reader.skip();
    }
    return reader.at;
  });
  return end ?? -1;
}

/**
 * Whether good records behind the damage are of the same write: a sector of the damaged frame did not arrive at all,
 * and no write was sealed behind it and another one begun. What it cannot tell is a sector of the last write, or the
 * one it begins in, that became zeros later.
 */
function isHole({ bytes, result, offset, sealed }: Stop): boolean {
  // Not written by us, or a length that no write of ours had.
  if (sealed === 0 || result === L.SCAN_SHORT) return false;
  const frame = frameAt(bytes, offset);
  const end = offset + 8 + frame.length;
  const first = offset - (offset % SECTOR_BYTES);
  for (let sector = first; sector < end; sector += SECTOR_BYTES) {
    const to = Math.min(bytes.length, sector + SECTOR_BYTES);
    // A write leaves alone what is before it in its first sector.
    if (allZero(bytes, Math.max(sector, sealed), to))
      return endsSealed(bytes, offset) || !wentOnBehind(bytes, offset);
  }
  return false;
}

/**
 * Whether the damaged record at `at` is followed by the rest of its write, record by record up to the seal, and that by
 * nothing.
 */
function endsSealed(bytes: Uint8Array, at: number): boolean {
  const used = lastNonZero(bytes, at);
  let frame = exactFrame(bytes, at);
  while (frame !== null) {
    const { crc }: RecordSpan = frame.record;
    const seal = parseFrame(bytes, frame.end);
    if (seal !== null && isSeal(seal.record)) return seal.record.crc === crc && used <= seal.end;
    frame = exactFrame(bytes, frame.end);
    if (frame !== null && !continues(bytes, frame.record, crc)) return false;
  }
  return false;
}

/** Whether a seal lies at `at` or behind it, and a write behind the seal. */
function wentOnBehind(bytes: Uint8Array, at: number): boolean {
  const used = lastNonZero(bytes, at);
  for (let from = at; from < used; from += 8) {
    if (bytes[from + 8] !== 0x08 || bytes[from + 10] !== 0x10) continue;
    const frame = parseFrame(bytes, from);
    const next = frame === null ? null : parseFrame(bytes, frame.end);
    if (frame === null || next === null) continue;
    // Data may look like a seal: one of ours repeats the CRC of the record before it, or is continued behind it.
    if (isSeal(frame.record)) {
      if (next.record.hasData && continues(bytes, next.record, frame.record.crc)) return true;
    } else if (isSeal(next.record)) {
      if (next.record.crc === frame.record.crc && next.end < used) return true;
    }
  }
  return false;
}

function isSeal(record: RecordSpan): boolean {
  return record.type === RECORD_CRC && !record.hasData;
}

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
function isTorn(bytes: Uint8Array, at: number): boolean {
  const frame = frameAt(bytes, at);
  const end = Math.min(bytes.length, at + 8 + frame.length + frame.padding);
  return hasZeroSector(bytes, at + 8, end) || lastNonZero(bytes, at) < at + 8 + frame.length;
}

/**
 * Whether the frame at `at` has all its bytes and zeros of its own, and is whole but for one bit: a write that a crash tore
 * has lost sectors, and so more than that. A bit missing from what is all zeros may be such a loss.
 */
function hasFlippedBit(bytes: Uint8Array, at: number, crc: number): boolean {
  const { zero, length, padding } = frameAt(bytes, at);
  const end = at + 8 + length + padding;
  // The seal of its write, at least, is behind it.
  if (zero || lastNonZero(bytes, at) <= end) return false;
  return flippedBytes(bytes, at + 8, at + 8 + length, crc).some((place) => {
    const sector = place - (place % SECTOR_BYTES);
    return !allZero(bytes, Math.max(at + 8, sector), Math.min(end, sector + SECTOR_BYTES));
  });
}

/** Whether a piece of bytes[from, end), split at sectors of the file, is all zeros: etcd's isTornEntry. */
export function hasZeroSector(bytes: Uint8Array, from: number, end: number): boolean {
  for (let piece = from; piece < end; ) {
    const next = Math.min(end, piece - (piece % SECTOR_BYTES) + SECTOR_BYTES);
    if (allZero(bytes, piece, next)) return true;
    piece = next;
  }
  return false;
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
  const own = exactFrame(bytes, at);
  if (own !== null && used <= own.end) return false;
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

interface Frame {
  readonly record: RecordSpan;
  readonly end: number;
}

/** One with data, whose length, padding and fields agree on where it ends: damage to one of them makes it none. */
function exactFrame(bytes: Uint8Array, at: number): Frame | null {
  const frame = parseFrame(bytes, at);
  if (frame === null || frame.end % 8 !== 0) return null;
  return endOfFields(bytes, at + 8, 3) === at + 8 + frameAt(bytes, at).length ? frame : null;
}

function parseFrame(bytes: Uint8Array, at: number): Frame | null {
  if (at + 8 > bytes.length) return null;
  const frame = frameAt(bytes, at);
  const end = at + 8 + frame.length + frame.padding;
  if (frame.zero || end > bytes.length) return null;
  const record = recordIn(bytes, at + 8, at + 8 + frame.length);
  return record === null ? null : { record, end };
}
