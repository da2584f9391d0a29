// What the bench's state machine takes of a node's CPU: entries as a node hands them over, applied and nothing else. For
// the null run, which has no entries.
import { Entry, EntryNormal } from "../../src/raft/raftpb/index.js";
import { BenchStateMachine } from "./state-machine.js";

/** A turn's worth, which lies in one buffer; less of large ones. */
const BATCH = 64;
const BYTES_MAX = 4 << 20;

/** Microseconds of this process's CPU an entry, measured for `ms` after as long a warm-up. */
export function weighHash(entryBytes: number, ms: number): number {
  const most = Math.max(1, Math.floor(BYTES_MAX / entryBytes));
  const size = Math.min(BATCH, most);
  const batches = Array.from({ length: Math.ceil(most / size) }, (_, i) => batchOf(i, size, entryBytes));
  const stateMachine = new BenchStateMachine();
  const applyFor = (until: number): number => {
    let applied = 0;
    while (performance.now() < until) {
      for (const batch of batches) stateMachine.apply(batch);
      applied += size * batches.length;
    }
    return applied;
  };
  applyFor(performance.now() + ms);
  const before = process.cpuUsage();
  const applied = applyFor(performance.now() + ms);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / Math.max(1, applied);
}

function batchOf(number: number, size: number, entryBytes: number): Entry[] {
  const bytes = new Uint8Array(size * entryBytes).fill(number + 1);
  return Array.from({ length: size }, (_, i) => {
    const at = i * entryBytes;
    return new Entry(EntryNormal, 1, number * size + i + 1, bytes, at, entryBytes, at);
  });
}
