// The etcd WAL format in numbers and names (WAL-FORMAT): segment names, frame header, record types. Pure; both
// codecs, the writer, recovery and the tools take it from here.
import path from "node:path";
import { assert } from "../../base/assert.js";

export const RECORD_METADATA = 1;
export const RECORD_ENTRY = 2;
export const RECORD_STATE = 3;
export const RECORD_CRC = 4;
export const RECORD_SNAPSHOT = 5;

/** 64 * 1000 * 1000, as etcd has it; not 64 MiB. */
export const SEGMENT_BYTES_DEFAULT = 64_000_000;
/** Smallest segment: room for its head and some records. */
export const SEGMENT_BYTES_MIN = 1024;
/** A torn write shows as zeros in whole pieces of this size (etcd's minSectorSize). */
export const SECTOR_BYTES = 512;

/** Bytes of a seal, whatever the CRC in it: see putSeal. */
export const SEAL_BYTES = 16;

/**
 * Zeros that a segment has behind its last record while it is written: room for a length field that says so. One that
 * ends with a seal is closed: it was cut when the next one was durable.
 */
export const SEGMENT_END_BYTES = 8;

export const DIR_MODE = 0o700;

/** Where a log has its snapshots unless it is told another place: beside its own directory, as etcd has them. */
export function snapDirBeside(walDir: string): string {
  return path.join(path.dirname(path.resolve(walDir)), "snap");
}

/** `seq`: number of the segment, from 0. `index`: first entry that it may hold. */
export interface SegmentName {
  readonly name: string;
  readonly seq: number;
  readonly index: number;
}

/** The file name of segment `seq` whose first entry is `index`. */
export function segmentName(seq: number, index: number): string {
  assert(Number.isSafeInteger(seq), "segment number out of range");
  assert(Number.isSafeInteger(index), "segment index out of range");
  return numbersName(seq, index, ".wal");
}

/** Those of `names` that are segments, in order. */
export function sortedSegments(names: readonly string[]): SegmentName[] {
  return sortedByNumbers(names, ".wal").map(({ name, numbers: [seq, index] }) => ({ name, seq, index }));
}

/** As etcd names segments and snapshots. */
export function numbersName(first: number, second: number, suffix: string): string {
  return `${first.toString(16).padStart(16, "0")}-${second.toString(16).padStart(16, "0")}${suffix}`;
}

/** Those of `names` that are such, in order. Numbers above 2^53 lose digits; etcd-reader.ts keeps all of them. */
export function sortedByNumbers(
  names: readonly string[],
  suffix: string,
): { name: string; numbers: [number, number] }[] {
  const pattern = new RegExp(`^([0-9a-f]{16})-([0-9a-f]{16})\\${suffix}$`);
  return [...names].sort().flatMap((name) => {
    const match = pattern.exec(name);
    if (match === null) return [];
    return [{ name, numbers: [Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)] }];
  });
}

/** Zero bytes behind a record of `n` bytes. */
export function framePadding(n: number): number {
  return (8 - (n % 8)) % 8;
}

/** Writes the length field of a record of `n` bytes (n < 2^32). */
export function putFrameHeader(bytes: Uint8Array, at: number, n: number): void {
  const padding = framePadding(n);
  bytes[at] = n & 0xff;
  bytes[at + 1] = (n >>> 8) & 0xff;
  bytes[at + 2] = (n >>> 16) & 0xff;
  bytes[at + 3] = n >>> 24;
  bytes[at + 4] = 0;
  bytes[at + 5] = 0;
  bytes[at + 6] = 0;
  bytes[at + 7] = padding === 0 ? 0 : 0x80 | padding;
}
