// What two nodes say to each other over the connection that a snapshot is fetched through: which piece of which file is
// wanted, and the pieces. A piece says where it belongs and has a CRC, whatever the link does besides. Pure.
// Little-endian:
//
//   all:    u8 kind, u8 flag, u64 group, u64 index and u64 term of the snapshot
//   want:   u64 from, u64 to: bytes of the file that may be sent; flag 1: from `from` on, whatever was sent before
//   end:    flag 1: the file is whole and taken; 2: it was read, and is not what it should be; 0: it is not wanted any more
//   piece:  u64 length of the file, u64 place in it, u32 CRC-32C of the rest, bytes
//   gone:   there is no such snapshot here any more
//   wait:   u64 bytes of it that are there: it comes from another node, so that the log behind it is wanted, and nothing sent
import { crc32c } from "../wal/index.js";
import { getU32, getU64, putU32, putU64 } from "../wire/index.js";

export const WANT = 1;
export const END = 2;
export const PIECE = 3;
export const GONE = 4;
export const WAIT = 5;

/** Of an END. */
export const NOT_WANTED = 0;
export const TAKEN = 1;
export const UNSOUND = 2;

const HEAD_BYTES = 26;
const WAIT_BYTES = HEAD_BYTES + 8;
const RANGE_BYTES = HEAD_BYTES + 16;
export const PIECE_HEAD_BYTES = RANGE_BYTES + 4;

/** Which snapshot it is about. */
export interface SnapshotName {
  readonly group: number;
  readonly index: number;
  readonly term: number;
}

/** Bytes [from, to) of the file may be sent. */
export interface Want extends SnapshotName {
  readonly kind: typeof WANT;
  /** From `from` on, whatever was sent before. */
  readonly anew: boolean;
  readonly from: number;
  readonly to: number;
}

export interface End extends SnapshotName {
  readonly kind: typeof END;
  /** TAKEN, UNSOUND, or else it is not wanted any more. */
  readonly how: number;
}

export interface Piece extends SnapshotName {
  readonly kind: typeof PIECE;
  /** Length of the whole file. */
  readonly fileBytes: number;
  /** Place in it. */
  readonly at: number;
  /** At least one; borrowed from the message. */
  readonly bytes: Uint8Array;
  /** The bytes have the CRC that was sent with them. */
  readonly isSound: boolean;
}

export interface Gone extends SnapshotName {
  readonly kind: typeof GONE;
}

export interface Wait extends SnapshotName {
  readonly kind: typeof WAIT;
  /** Bytes of the file that came from elsewhere. */
  readonly received: number;
}

export type SnapshotMessage = Want | End | Piece | Gone | Wait;

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

export function encodeWait(of: SnapshotName, received: number): Uint8Array {
  const bytes = begin(WAIT, 0, of, WAIT_BYTES);
  putU64(bytes, HEAD_BYTES, received);
  return bytes;
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
  const of = { group: getU64(bytes, 2), index: getU64(bytes, 10), term: getU64(bytes, 18) };
  if (![of.group, of.index, of.term].every(Number.isSafeInteger)) return null;
  const kind = bytes[0]!;
  if (kind === WANT) return decodeWant(of, bytes);
  if (kind === PIECE) return decodePiece(of, bytes);
  if (kind === WAIT) return decodeWait(of, bytes);
  if (bytes.length !== HEAD_BYTES) return null;
  if (kind === END) return { kind, ...of, how: bytes[1]! };
  return kind === GONE ? { kind, ...of } : null;
}

function decodeWant(of: SnapshotName, bytes: Uint8Array): Want | null {
  if (bytes.length !== RANGE_BYTES) return null;
  const from = getU64(bytes, HEAD_BYTES);
  const to = getU64(bytes, HEAD_BYTES + 8);
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) return null;
  return { kind: WANT, ...of, anew: bytes[1] === 1, from, to };
}

function decodeWait(of: SnapshotName, bytes: Uint8Array): Wait | null {
  if (bytes.length !== WAIT_BYTES) return null;
  const received = getU64(bytes, HEAD_BYTES);
  return Number.isSafeInteger(received) ? { kind: WAIT, ...of, received } : null;
}

function decodePiece(of: SnapshotName, message: Uint8Array): Piece | null {
  if (message.length <= PIECE_HEAD_BYTES) return null;
  const fileBytes = getU64(message, HEAD_BYTES);
  const at = getU64(message, HEAD_BYTES + 8);
  if (!Number.isSafeInteger(fileBytes) || !Number.isSafeInteger(at)) return null;
  const bytes = message.subarray(PIECE_HEAD_BYTES);
  return {
    kind: PIECE,
    ...of,
    fileBytes,
    at,
    bytes,
    isSound: crc32c(0, bytes) === getU32(message, RANGE_BYTES),
  };
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
