// What a change of the members carries as its context, and a snapshot beside its ConfState: addresses, whose ids are used
// up, and which log each member has. JSON, as etcd's contexts are. Pure.
import * as v from "valibot";
import type { ConfState } from "../raft/index.js";

/** Ids as keys, in the order of ids. */
export type AddressTable = Readonly<Record<string, string>>;

/** Where the members listen, as of one index of the log. */
export interface MemberRecord {
  /**
   * In a change alone: the membership that it was made from. A member that joins begins with it, and one whose own is
   * another would do damage.
   */
  readonly before?: ConfState | undefined;
  /** Addresses that changes gave. All members have the same ones. */
  readonly given: AddressTable;
  /** Those of the first members, as the writer was begun with: each may reach them at others (a proxy, a mapped port). */
  readonly initial: AddressTable;
  /** Index of the newest change of members that is in it; 0, and in a change itself: none. */
  readonly at: number;
  /** Ids of members that were removed, in that order; the last REMOVED_KEPT_MAX of them. They are not to be used again. */
  readonly removed: readonly number[];
  /** The ids of members' logs, as far as who made the change knew them; an older version says none. */
  readonly logs: AddressTable;
}

/** More ids than that are not remembered: a group has at most 1000 members at a time. */
export const REMOVED_KEPT_MAX = 1000;

const id = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const table = v.record(v.pipe(v.string(), v.regex(/^[1-9]\d*$/)), v.string());
const schema = v.object({
  version: v.literal(1),
  before: v.optional(
    v.object({
      voters: v.array(id),
      learners: v.array(id),
      votersOutgoing: v.array(id),
      learnersNext: v.array(id),
      autoLeave: v.boolean(),
    }),
  ),
  given: table,
  initial: table,
  at: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), 0),
  removed: v.array(id),
  logs: v.optional(table, {}),
});

export function encodeMemberRecord(record: MemberRecord): Uint8Array {
  return new Uint8Array(Buffer.from(JSON.stringify({ version: 1, ...record })));
}

/** Null: bytes of somebody else, or of a later version; they say nothing here. */
export function decodeMemberRecord(bytes: Uint8Array | undefined): MemberRecord | null {
  if (bytes === undefined || bytes.length === 0) return null;
  try {
    const { version: _, ...record } = v.parse(schema, JSON.parse(Buffer.from(bytes).toString()));
    return record;
  } catch {
    return null;
  }
}
