// The storage of an interaction node: raft gets the newest state of the state machine whenever it wants a
// snapshot, whatever the storage itself holds.
import type { MemoryStorage } from "../../src/raft/memory-storage.js";
import type { Snapshot } from "../../src/raft/raftpb/index.js";
import type { Storage } from "../../src/raft/storage.js";

export function withHistory(storage: MemoryStorage, history: readonly Snapshot[]): Storage {
  return {
    initialState: () => storage.initialState(),
    entries: (lo, hi, maxSize) => storage.entries(lo, hi, maxSize),
    term: (index) => storage.term(index),
    lastIndex: () => storage.lastIndex(),
    firstIndex: () => storage.firstIndex(),
    snapshot: () => history[history.length - 1],
  };
}
