// Entries of client sessions: which session and which of its proposals an entry is, in front of what is proposed, inside
// the entry's data, so that etcd's format stays as it is. Big-endian: 8 bytes that begin no other entry, u64 session, u64
// sequence, payload. Session 0: one is opened; then there is no more. Pure.
import { bytesIn } from "../base/bytes.js";
import { Entry } from "../raft/index.js";
import type { SessionPlace } from "./api.js";

/** Drawn at random. Payloads of callers that begin so are refused at the door. */
const MAGIC = Uint8Array.of(0xf5, 0x9a, 0x1c, 0xe3, 0x6b, 0xd0, 0x82, 0x47);
const FIRST_BYTE = MAGIC[0];
export const SESSION_HEAD_BYTES = MAGIC.length + 16;

/** Of a session, or what opens one (0, 0, nothing). */
export function sessionBytes(session: number, sequence: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(SESSION_HEAD_BYTES + bytesIn(payload));
  bytes.set(MAGIC);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(MAGIC.length, BigInt(session));
  view.setBigUint64(MAGIC.length + 8, BigInt(sequence));
  bytes.set(payload, SESSION_HEAD_BYTES);
  return bytes;
}

/** Whether bytes[start, ...) begin as an entry of a session does. */
// hot
export function isOfSession(bytes: Uint8Array, start: number, size: number): boolean {
  if (size === 0 || bytes[start] !== FIRST_BYTE || size < SESSION_HEAD_BYTES) return false;
  for (let i = 1; i < MAGIC.length; i++) if (bytes[start + i] !== MAGIC[i]) return false;
  return true;
}

/** Whose it is. Of an entry of a session. */
export function placeIn({ bytes, start }: Entry): SessionPlace {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start + MAGIC.length, 16);
  return { id: Number(view.getBigUint64(0)), sequence: Number(view.getBigUint64(8)) };
}

/** The entry as its proposer made it: it shares the bytes. */
export function withoutHead({ type, term, index, bytes, start, size, at }: Entry): Entry {
  const from = start + SESSION_HEAD_BYTES;
  const left = size - SESSION_HEAD_BYTES;
  if (at !== -1) return new Entry(type, term, index, bytes, from, left, at);
  return new Entry(type, term, index, new Uint8Array(bytes.buffer, bytes.byteOffset + from, left));
}
