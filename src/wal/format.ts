// Names and numbers of etcd's write-ahead log (conformance/WAL-FORMAT.md): files, record types, limits.

export const RECORD_METADATA = 1;
export const RECORD_ENTRY = 2;
export const RECORD_STATE = 3;
export const RECORD_CRC = 4;
export const RECORD_SNAPSHOT = 5;

/** etcd's segment size: decimal megabytes. A segment is cut in the first write that begins at or past it. */
export const SEGMENT_BYTES_DEFAULT = 64_000_000;
/** What etcd 3.4 accepts of one record; larger ones are ours alone. */
export const SECTOR_BYTES = 512;

export const FILE_MODE = 0o600;
export const DIR_MODE = 0o700;

/** A segment file by its name: number from 0, and the index of the first entry it may hold. */
export interface SegmentName {
  readonly name: string;
  readonly seq: number;
  readonly index: number;
}

const SEGMENT_NAME = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/;

/** `SSSSSSSSSSSSSSSS-IIIIIIIIIIIIIIII.wal`, 16 hex digits each. */
export function segmentName(seq: number, index: number): string {
  return `${hex16(seq)}-${hex16(index)}.wal`;
}

/** Null for a name that is none of ours, or one with numbers beyond 2^53-1. */
export function parseSegmentName(name: string): SegmentName | null {
  const match = SEGMENT_NAME.exec(name);
  if (match === null) return null;
  const seq = Number.parseInt(match[1], 16);
  const index = Number.parseInt(match[2], 16);
  return Number.isSafeInteger(seq) && Number.isSafeInteger(index) ? { name, seq, index } : null;
}

function hex16(value: number): string {
  return value.toString(16).padStart(16, "0");
}
