// Bootstrap: the first entries of a new group's log, made up identically on every initial member.
import { assert } from "../base/assert.js";
import { ErrBadConfChange, ErrBootstrapNoPeers, ErrBootstrapNotEmpty, RaftError } from "./errors.js";
import { applyConfChange } from "./membership.js";
import type { Raft } from "./raft.js";
import {
  type ConfChange,
  ConfChangeAddNode,
  Entry,
  EntryConfChange,
  marshalConfChange,
  None,
} from "./raftpb/index.js";

/** A member of the initial configuration, for RawNode.bootstrap. */
export interface Peer {
  readonly id: number;
  readonly context: Uint8Array;
}

/**
 * Appends one "add node" change a peer, as entries of term 1 that count as committed, and applies them to the
 * membership, so that the node may campaign at once. They are handed out to be applied like all others:
 * applying a change twice changes nothing.
 */
export function bootstrap(r: Raft, peers: readonly Peer[]): RaftError | null {
  if (peers.length === 0) return ErrBootstrapNoPeers;
  if (r.raftLog.lastIndex() !== 0 || r.term !== 0) return ErrBootstrapNotEmpty;
  for (const peer of peers) {
    if (!Number.isSafeInteger(peer.id) || peer.id <= None) return ErrBadConfChange;
  }
  const changes: ConfChange[] = peers.map(({ id, context }) => {
    return { id: 0, type: ConfChangeAddNode, nodeId: id, context };
  });
  r.becomeFollower(1, None);
  const entries = changes.map((cc, i) => new Entry(EntryConfChange, 1, i + 1, marshalConfChange(cc)));
  r.raftLog.append(entries);
  r.raftLog.commitTo(entries.length);
  for (const cc of changes) {
    const applied = applyConfChange(r, cc);
    assert(!(applied instanceof RaftError), "adding a voter was refused");
  }
  return null;
}
