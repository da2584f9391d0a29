// What a node shows of itself when a connection opens, before a frame counts (LinkHandler.hello): its log, for
// peer-logs.ts to judge, and where it is a member, for members.ts. Pure. Little-endian; older versions end before:
//
//   u8 version, log id (0: none), u64 incarnation, u64 last index that is durable now
//   f64 promise
//   f64 index of the newest change of members, u8 whether a change gave its address, and that address to the end
import { LOG_ID_BYTES } from "./metadata.js";

/** What is judged of it: its log, and what it promises to leaders. */
export interface ShownLog {
  /** In hexadecimal. */
  readonly logId: string;
  /** Drawn when the node opened: its log may have become shorter only between two of them. */
  readonly incarnation: bigint;
  readonly lastIndex: number;
  /** Milliseconds for which it elects nobody after a heartbeat, at least; 0: it promises nothing; Infinity: it did not say. */
  readonly promiseMs: number;
}

/** As what a node shows itself: a member since a change of members, at an address. */
export interface Standing {
  /** Index of the newest change that it has applied; 0: none, or it is no member. */
  readonly at: number;
  /** A change gave the address. Else it is what a first member was begun with, and others may reach it elsewhere. */
  readonly given: boolean;
  readonly address: string;
}

export interface Hello extends ShownLog {
  /** Null: it shows none, as an older version, or it is no member. */
  readonly standing: Standing | null;
}

/** A log of an older version has no id. */
export const NO_LOG_ID = "";

const VERSION = 1;
const LOG_ID_AT = 1;
const INCARNATION_AT = LOG_ID_AT + LOG_ID_BYTES;
const LAST_INDEX_AT = INCARNATION_AT + 8;
const PROMISE_AT = LAST_INDEX_AT + 8;
const STANDING_AT = PROMISE_AT + 8;
const GIVEN_AT = STANDING_AT + 8;
const ADDRESS_AT = GIVEN_AT + 1;
const ADDRESS_BYTES_MAX = 512;

/** Without the standing if its address is too long. */
export function encodeHello({ logId, incarnation, lastIndex, promiseMs, standing }: Hello): Uint8Array {
  const address = Buffer.from(standing?.address ?? "");
  const shown = address.length > ADDRESS_BYTES_MAX ? null : standing;
  const bytes = new Uint8Array(shown === null ? STANDING_AT : ADDRESS_AT + address.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = VERSION;
  bytes.set(Buffer.from(logId, "hex"), LOG_ID_AT);
  view.setBigUint64(INCARNATION_AT, incarnation, true);
  view.setBigUint64(LAST_INDEX_AT, BigInt(lastIndex), true);
  view.setFloat64(PROMISE_AT, promiseMs, true);
  if (shown === null) return bytes;
  view.setFloat64(STANDING_AT, shown.at, true);
  bytes[GIVEN_AT] = shown.given ? 1 : 0;
  bytes.set(address, ADDRESS_AT);
  return bytes;
}

/** Null: it is none, or a later version's. */
export function decodeHello(bytes: Uint8Array): Hello | null {
  if (bytes.length < PROMISE_AT || bytes[0] !== VERSION) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const logId = bytes.subarray(LOG_ID_AT, INCARNATION_AT);
  return {
    logId: logId.every((byte) => byte === 0) ? NO_LOG_ID : Buffer.from(logId).toString("hex"),
    incarnation: view.getBigUint64(INCARNATION_AT, true),
    lastIndex: Number(view.getBigUint64(LAST_INDEX_AT, true)),
    promiseMs: promiseIn(view),
    standing: standingIn(bytes, view),
  };
}

function promiseIn(hello: DataView): number {
  if (hello.byteLength < STANDING_AT) return Infinity;
  const promiseMs = hello.getFloat64(PROMISE_AT, true);
  return promiseMs >= 0 ? promiseMs : Infinity;
}

function standingIn(bytes: Uint8Array, view: DataView): Standing | null {
  if (bytes.length < ADDRESS_AT) return null;
  const at = view.getFloat64(STANDING_AT, true);
  const given = bytes[GIVEN_AT]!;
  const address = Buffer.from(bytes.subarray(ADDRESS_AT)).toString();
  if (!Number.isSafeInteger(at) || at <= 0 || given > 1 || address === "") return null;
  return { at, given: given === 1, address };
}
