// Encoded sizes of entries, as etcd's raftpb.Entry.Size(): the limits in Config count these bytes.
import { NO_DATA } from "../../base/bytes.js";
import { varintSize } from "../../base/varint.js";
import type { Entry } from "./entry.js";

/** Encoded bytes of an entry: type, term and index are always there, data unless absent. */
// hot
export function entrySize(e: Entry): number {
  const size = 4 + varintSize(e.term) + varintSize(e.index);
  return e.bytes === NO_DATA ? size : size + 1 + varintSize(e.size) + e.size;
}

/** Encoded bytes of all entries, without what frames them. */
// hot
export function entriesSize(entries: readonly Entry[]): number {
  let size = 0;
  for (let i = 0; i < entries.length; i++) size += entrySize(entries[i]);
  return size;
}

/** Bytes of data in the entries: what the in-flight and uncommitted limits count. */
// hot
export function payloadsSize(entries: readonly Entry[]): number {
  let size = 0;
  for (let i = 0; i < entries.length; i++) size += entries[i].size;
  return size;
}
