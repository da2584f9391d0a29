// Who the members are when a log is opened: its newest snapshot says, or else what it was begun with, and then the
// committed changes behind that. The peers in the options begin an empty log and nothing else: a node that took other
// members from a file could win an election that the others know nothing of. A difference is told. Main thread.
import { type ConfState, EMPTY_CONF_STATE, MemoryStorage, RaftError, RawNode } from "../raft/index.js";
import type { Wal } from "../wal/index.js";
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

/**
 * The book of members as of the log's snapshot (`record` is what that keeps), from where applying goes on. Tells where the
 * options say something else than the log.
 */
export function openMembers(
  wal: Wal,
  options: ResolvedOptions,
  record: MemberRecord | null,
  teller: Teller,
): MemberBook {
  const { bootstrap } = decodeMetadata(wal.recovered.metadata);
  // Of whom nobody else says anything, the options do: a log of an older version has no addresses.
  const initial = new Map([...addressesOf(options), ...(bootstrap?.addresses ?? [])]);
  const now = new MemberBook(initial, record);
  const ids = committedMembers(wal, options.id, now);
  if (!wal.recovered.created) tellDifferences(options, ids, now, teller);
  return new MemberBook(initial, record);
}

/** Whoever may have to be reached: voters, old and new, and learners; ascending. `book` gets what they say, too. */
function committedMembers({ recovered, storage }: Wal, id: number, book: MemberBook): readonly number[] {
  const { hardState, confState } = storage.initialState();
  const begun = recovered.snapshot?.index ?? 0;
  const replay = replayFrom(id, confState);
  for (const index of recovered.confChanges) {
    if (index <= begun || index > hardState.commit) continue;
    const page = storage.entries(index, index + 1, Number.POSITIVE_INFINITY);
    if (!(page instanceof RaftError)) book.apply(replay, page[0]!);
  }
  return replay.raft.trk.peerIds;
}

/** A node that does nothing but take changes. */
function replayFrom(id: number, confState: ConfState): RawNode {
  const storage = new MemoryStorage();
  storage.applySnapshot({ data: new Uint8Array(0), metadata: { index: 1, term: 1, confState } });
  return new RawNode({
    id,
    electionTick: 2,
    heartbeatTick: 1,
    storage,
    maxSizePerMsg: 1,
    maxInflightMsgs: 1,
    random: () => 0,
  });
}

function tellDifferences(
  { voters: given, peers, dir, listen, id }: ResolvedOptions,
  ids: readonly number[],
  book: MemberBook,
  teller: Teller,
): void {
  // It has not heard yet who they are.
  if (ids.length === 0) return;
  if (given.join() !== ids.join()) {
    const text =
      `option peers names ${nodes(given)}, and by the log in ${dir} the members are ${nodes(ids)}: the log counts. ` +
      "changeMembership changes who they are";
    teller.warn({ given, members: ids }, text);
  }
  for (const member of ids) {
    const known = book.addressOf(member);
    const other = peers[member];
    if (known === undefined || other === undefined || known === other) continue;
    const whom =
      member === id ? `The others dial this node at ${known}, and it listens at ${listen}` : "The log counts";
    const text =
      `option peers.${member} is ${other}, and by the log in ${dir} node ${member} is at ${known}. ${whom}: ` +
      `changeMembership({ update: [{ id: ${member}, address: "${other}" }] }) changes the address for all members`;
    teller.warn({ member, given: other, address: known }, text);
  }
}

function nodes(ids: readonly number[]): string {
  return ids.length === 1 ? `node ${ids[0]} alone` : `nodes ${ids.join(", ")}`;
}
