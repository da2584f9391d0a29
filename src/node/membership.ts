// Who the members are when a log is opened: its newest snapshot says, or else what it was begun with, and then the
// committed changes behind that. The peers in the options begin an empty log and nothing else: a node that took other
// members from a file could win an election that the others know nothing of. A difference is told. Main thread.
import { type ConfState, EMPTY_CONF_STATE } from "../raft/index.js";
import type { Wal } from "../wal/index.js";
import type { Member } from "./api.js";
import { MemberBook } from "./member-book.js";
import type { MemberRecord } from "./member-record.js";
import { decodeMetadata } from "./metadata.js";
import type { ResolvedOptions } from "./options.js";
import type { Teller } from "./teller.js";

/** What a log begins with that has no snapshot: `voters` only if it does not say itself. */
export function bootstrapConfState(metadata: Uint8Array, voters: readonly number[]): ConfState {
  return { ...EMPTY_CONF_STATE, voters: decodeMetadata(metadata).bootstrap?.voters ?? voters };
}

/** What the options call `peers`, with ids as numbers. */
export function addressesOf({ peers }: Pick<ResolvedOptions, "peers">): Map<number, string> {
  return new Map(Object.entries(peers).map(([id, address]) => [Number(id), address]));
}

/** The book of members as of the log's snapshot (`record` is what that keeps), from where applying goes on. */
export function openMembers(wal: Wal, options: ResolvedOptions, record: MemberRecord | null): MemberBook {
  const { bootstrap } = decodeMetadata(wal.recovered.metadata);
  // Of whom nobody else says anything, the options do: a log of an older version has no addresses.
  return new MemberBook(new Map([...addressesOf(options), ...(bootstrap?.addresses ?? [])]), record);
}

/**
 * Where the options say something else than the log, by which these are the members; none: it has not heard yet.
 * `open`: changes in the log may be committed or not, and this is whom they name, and where. The options may be right by them.
 */
export function tellDifferences(
  { voters: given, peers, dir, listen, id }: ResolvedOptions,
  members: readonly Member[],
  open: ReadonlyMap<number, string | undefined> | null,
  teller: Teller,
): void {
  const ids = members.map((member) => member.id);
  if (ids.length === 0) return;
  if (open === null && given.join() !== ids.join()) {
    const text =
      `option peers names ${nodes(given)}, and by the log in ${dir} the members are ${nodes(ids)}: the log counts. ` +
      "A change of members (changeMembership, POST /members) changes who they are";
    teller.warn({ given, members: ids }, text);
  }
  for (const { id: member, address: known } of members) {
    const other = peers[member];
    if (known === "" || other === undefined || known === other || open?.get(member) === other) continue;
    const whom =
      member === id ? `The others dial this node at ${known}, and it listens at ${listen}` : "The log counts";
    const text =
      `option peers.${member} is ${other}, and by the log in ${dir} node ${member} is at ${known}. ${whom}: ` +
      `changeMembership({ update: [{ id: ${member}, address: "${other}" }] }), or POST /members, changes the address for all members`;
    teller.warn({ member, given: other, address: known }, text);
  }
}

function nodes(ids: readonly number[]): string {
  return ids.length === 1 ? `node ${ids[0]} alone` : `nodes ${ids.join(", ")}`;
}
