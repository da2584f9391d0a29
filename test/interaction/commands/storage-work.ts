// What a node's application does with the work raft gives it (FORMAT §4.2, §4.4): append to the storage, and
// apply to a state machine whose state is all data ever applied, one after the other.

import { RaftError } from "../../../src/raft/errors.js";
import {
  type Entry,
  EntryConfChange,
  EntryConfChangeV2,
  type HardState,
  type Snapshot,
  unmarshalConfChange,
  unmarshalConfChangeV2,
} from "../../../src/raft/raftpb/index.js";
import type { CommandError, EnvNode } from "../env.js";

export function append(
  node: EnvNode,
  hardState: HardState,
  entries: readonly Entry[],
  snapshot: Snapshot | null,
): CommandError {
  const { term, vote, commit } = hardState;
  if (term !== 0 || vote !== 0 || commit !== 0) node.storage.setHardState(hardState);
  if (snapshot !== null && snapshot.metadata.index !== 0) {
    if (entries.length > 0) return "can't apply snapshot and entries at the same time";
    return node.storage.applySnapshot(snapshot)?.message ?? null;
  }
  node.storage.append(entries);
  return null;
}

export function apply(node: EnvNode, entries: readonly Entry[]): CommandError {
  for (const entry of entries) {
    let update = entry.data;
    const last = node.history[node.history.length - 1];
    let { confState } = last.metadata;
    if (entry.type === EntryConfChange || entry.type === EntryConfChangeV2) {
      const decode = entry.type === EntryConfChange ? unmarshalConfChange : unmarshalConfChangeV2;
      const change = decode(entry.data);
      if (change === null) return "conf change can't be decoded";
      update = change.context;
      const applied = node.rawNode.applyConfChange(change);
      if (applied instanceof RaftError) return applied.message;
      confState = applied;
    }
    const data = new Uint8Array(last.data.length + update.length);
    data.set(last.data);
    data.set(update, last.data.length);
    node.history.push({ data, metadata: { confState, index: entry.index, term: entry.term } });
  }
  return null;
}
