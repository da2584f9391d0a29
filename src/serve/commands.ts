// What the service writes into the replicated log: one command an entry, and its bytes. Pure.
//
// A note of where clients reach a member (op 3) is a put whose key is the id, in a map of its own.
//
// op u8 | condition u8 | revision f64, little endian, if there is a condition | length of the key u16, little endian |
// key, UTF-8 | value, to the end (put alone). Members of different versions read each other's: what is there is not changed.
import { createHash } from "node:crypto";

/** A change of one key. With `ifRevision` it is made only if the key has that revision then; 0: only if it is absent. */
export type Command = {
  readonly key: string;
  /** Null: there is no condition. */
  readonly ifRevision: number | null;
} & ({ readonly op: "put" | "member"; readonly value: Uint8Array } | { readonly op: "delete" });

/** Bytes of a key at most: a u16 has room for more, but nobody needs it. */
export const KEY_BYTES_MAX = 1024;
/** What a command takes beside its key and value, at most. */
export const COMMAND_OVERHEAD_BYTES = 12;

const PUT = 1;
const DELETE = 2;
const MEMBER = 3;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The entry's bytes. The caller has checked the key: 1 to KEY_BYTES_MAX bytes. */
export function encodeCommand(command: Command): Uint8Array {
  const { ifRevision } = command;
  const key = encoder.encode(command.key);
  const value = command.op === "delete" ? null : command.value;
  const head = ifRevision === null ? 2 : 10;
  const bytes = new Uint8Array(head + 2 + key.length + (value?.length ?? 0));
  const view = new DataView(bytes.buffer);
  bytes[0] = command.op === "delete" ? DELETE : command.op === "put" ? PUT : MEMBER;
  if (ifRevision !== null) {
    bytes[1] = 1;
    view.setFloat64(2, ifRevision, true);
  }
  view.setUint16(head, key.length, true);
  bytes.set(key, head + 2);
  if (value !== null) bytes.set(value, head + 2 + key.length);
  return bytes;
}

/** The command of an entry; its value is a view of `bytes`. Throws for what is none: the log is another program's. */
export function decodeCommand(bytes: Uint8Array): Command {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [op, condition] = bytes;
  if (![PUT, DELETE, MEMBER].includes(op) || condition === undefined || condition > 1) throw notOurs();
  const head = condition === 1 ? 10 : 2;
  if (bytes.length < head + 2) throw notOurs();
  const keyEnd = head + 2 + view.getUint16(head, true);
  if (bytes.length < keyEnd || (op === DELETE && bytes.length > keyEnd)) throw notOurs();
  const ifRevision = condition === 1 ? view.getFloat64(2, true) : null;
  const key = decoder.decode(bytes.subarray(head + 2, keyEnd));
  if (op === DELETE) return { op: "delete", key, ifRevision };
  return { op: op === PUT ? "put" : "member", key, ifRevision, value: bytes.subarray(keyEnd) };
}

/** What tells a command's bytes from another's: the first half of their SHA-256, in hexadecimal. */
export function markOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 32);
}

function notOurs(): Error {
  return new Error(
    "the log has an entry that is no command of this service: it was written by another program",
  );
}
