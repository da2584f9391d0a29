// What two nodes say to each other over the connection that a snapshot is fetched through: which piece of which file is
// wanted, and the pieces. A piece says where it belongs and has a CRC, whatever the link does besides. Pure.
// Little-endian:
//
//   all:    u8 kind, u8 flag, u64 group, u64 index and u64 term of the snapshot
//   want:   u64 from, u64 to: bytes of the file that may be sent; flag 1: from `from` on, whatever was sent before
//   end:    flag 1: the file is whole and taken; 2: it was read, and is not what it should be; 0: it is not wanted any more
//   piece:  u64 length of the file, u64 place in it, u32 CRC-32C of the rest, bytes
//   gone:   there is no such snapshot here any more
import { crc32c } from "../wal/index.js";
import { getU32, getU64, putU32, putU64 } from "../wire/index.js";

export const WANT = 1;
export const END = 2;
export const PIECE = 3;
export const GONE = 4;

/** Of an END. */
export const NOT_WANTED = 0;
export const TAKEN = 1;
export const UNSOUND = 2;

const HEAD_BYTES = 26;
const RANGE_BYTES = HEAD_BYTES + 16;
export const PIECE_HEAD_BYTES = RANGE_BYTES + 4;
const EMPTY = new Uint8Array(0);

/** Any of the four; what a kind does not have is 0 or empty. */
export interface SnapshotMessage {
  readonly kind: number;
  readonly flag: number;
  readonly group: number;
  readonly index: number;
  readonly term: number;
  /** WANT: from; PIECE: length of the file. */
  readonly a: number;
  /** WANT: to; PIECE: place. */
  readonly b: number;
  /** Of a PIECE; borrowed from the message. */
  readonly bytes: Uint8Array;
  /** PIECE: the bytes have the CRC that was sent with them. */
  readonly isSound: boolean;
}

export interface SnapshotName {
  readonly group: number;
  readonly index: number;
  readonly term: number;
}

export function encodeWant(of: SnapshotName, from: number, to: number, anew: boolean): Uint8Array {
  const bytes = begin(WANT, anew ? 1 : 0, of, RANGE_BYTES);
  putU64(bytes, HEAD_BYTES, from);
  putU64(bytes, HEAD_BYTES + 8, to);
  return bytes;
}

export function encodeEnd(of: SnapshotName, how: number): Uint8Array {
  return begin(END, how, of, HEAD_BYTES);
}

export function encodeGone(of: SnapshotName): Uint8Array {
  return begin(GONE, 0, of, HEAD_BYTES);
}

/** A piece of `size` bytes, to be filled from PIECE_HEAD_BYTES on, and then sealed. */
export function beginPiece(of: SnapshotName, fileBytes: number, at: number, size: number): Uint8Array {
  const bytes = begin(PIECE, 0, of, PIECE_HEAD_BYTES + size);
  putU64(bytes, HEAD_BYTES, fileBytes);
  putU64(bytes, HEAD_BYTES + 8, at);
  return bytes;
}

export function sealPiece(bytes: Uint8Array): void {
  putU32(bytes, RANGE_BYTES, crc32c(0, bytes.subarray(PIECE_HEAD_BYTES)));
}

/** Null: it is none of these. */
export function decodeSnapshotMessage(bytes: Uint8Array): SnapshotMessage | null {
  if (bytes.length < HEAD_BYTES) return null;
  const kind = bytes[0]!;
  const least = kind === WANT ? RANGE_BYTES : kind === PIECE ? PIECE_HEAD_BYTES + 1 : HEAD_BYTES;
  const isLong = kind === PIECE ? bytes.length < least : bytes.length !== least;
  if (kind < WANT || kind > GONE || isLong) return null;
  const hasRange = kind === WANT || kind === PIECE;
  const body = kind === PIECE ? bytes.subarray(PIECE_HEAD_BYTES) : EMPTY;
  const message = {
    kind,
    flag: bytes[1]!,
    group: getU64(bytes, 2),
    index: getU64(bytes, 10),
    term: getU64(bytes, 18),
    a: hasRange ? getU64(bytes, HEAD_BYTES) : 0,
    b: hasRange ? getU64(bytes, HEAD_BYTES + 8) : 0,
    bytes: body,
    isSound: kind === PIECE && crc32c(0, body) === getU32(bytes, RANGE_BYTES),
  };
  const { group, index, term, a, b } = message;
  return [group, index, term, a, b].every(Number.isSafeInteger) ? message : null;
}

function begin(kind: number, flag: number, of: SnapshotName, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes[0] = kind;
  bytes[1] = flag;
  putU64(bytes, 2, of.group);
  putU64(bytes, 10, of.index);
  putU64(bytes, 18, of.term);
  return bytes;
}
