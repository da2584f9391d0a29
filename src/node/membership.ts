// Who the members are when a log is opened: its newest snapshot says, or else what it was begun with, and then the
// committed changes behind that. The peers in the options begin an empty log and nothing else: a node that took other
// members from a file could win an election that the others know nothing of. Main thread.
import { RaftmarkError } from "../base/errors.js";
import {
  type ConfState,
  decodeConfChange,
  EMPTY_CONF_STATE,
  MemoryStorage,
  RaftError,
  RawNode,
} from "../raft/index.js";
import type { Wal } from "../wal/index.js";
import { decodeMetadata } from "./metadata.js";

/** What a log begins with that has no snapshot: `voters` only if it does not say itself. */
export function bootstrapConfState(metadata: Uint8Array, voters: readonly number[]): ConfState {
  return { ...EMPTY_CONF_STATE, voters: decodeMetadata(metadata).bootstrap?.voters ?? voters };
}

/** Throws RAFT_MEMBERSHIP_DIFFERS if the members of the log are not `given` (ascending). */
export function checkMembership(wal: Wal, id: number, given: readonly number[], dir: string): void {
  const { recovered, storage } = wal;
  const { hardState, confState } = storage.initialState();
  const begun = recovered.snapshot?.index ?? 0;
  let members = membersOf(confState);
  let replay: RawNode | null = null;
  for (const index of recovered.confChanges) {
    if (index <= begun) continue;
    // Whether it is committed is not known here: both memberships, before and after it, may be the cluster's.
    if (index > hardState.commit && same(members, given)) return;
    const page = storage.entries(index, index + 1, Number.POSITIVE_INFINITY);
    const change = page instanceof RaftError ? null : decodeConfChange(page[0]);
    if (change === null) continue;
    replay ??= replayFrom(id, confState);
    const next = replay.applyConfChange(change);
    if (!(next instanceof RaftError)) members = membersOf(next);
  }
  if (same(members, given)) return;
  const text =
    `option peers names ${nodes(given)}, and the log in ${dir} belongs to a cluster of ${nodes(members)}: peers says ` +
    "who the members are only to an empty log, as every node would go on with a list of its own otherwise. Give the " +
    "ids of the log (other addresses are fine), or another directory to a node of another cluster";
  throw new RaftmarkError("RAFT_MEMBERSHIP_DIFFERS", text);
}

/** Whoever may have to be reached: voters, old and new, and learners. Ascending. */
function membersOf(confState: ConfState): number[] {
  const { voters, learners, votersOutgoing, learnersNext } = confState;
  return [...new Set([...voters, ...learners, ...votersOutgoing, ...learnersNext])].sort((a, b) => a - b);
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

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}

function nodes(ids: readonly number[]): string {
  return ids.length === 1 ? `node ${ids[0]} alone` : `nodes ${ids.join(", ")}`;
}
