// What does the log cost per entry: taking a batch in, handing it to the storage, and cutting it off again?
import { RaftLog } from "../../src/raft/log.js";
import { MemoryStorage } from "../../src/raft/memory-storage.js";
import { Entry, EntryNormal } from "../../src/raft/raftpb/index.js";
import { consume, type MicroCase } from "./suite.js";

const OPS = 1024;
const PAYLOAD = new Uint8Array(64);

export function logCases(): MicroCase[] {
  return [...[1, 64].map(appendAndStore), ...[64].map(slice)];
}

/** A leader's way: append, take the unstable part, store it, mark it as stored; compact once per call. */
function appendAndStore(batch: number): MicroCase {
  const storage = new MemoryStorage();
  const log = new RaftLog(storage, null, Infinity);
  return {
    name: `log append and store, batches of ${batch}`,
    ops: OPS,
    run() {
      for (let done = 0; done < OPS; done += batch) {
        log.append(makeEntries(log.lastIndex() + 1, batch));
        const unstable = log.nextUnstableEnts();
        log.unstable.acceptInProgress();
        storage.append(unstable);
        log.stableTo(1, log.lastIndex());
        log.commitTo(log.lastIndex());
      }
      storage.compact(log.lastIndex());
      consume(log.lastIndex());
    },
  };
}

/** What a follower that lags is sent: entries that are stored, `count` at a time. */
function slice(count: number): MicroCase {
  const storage = new MemoryStorage();
  storage.append(makeEntries(1, OPS));
  const log = new RaftLog(storage, null, Infinity);
  return {
    name: `log slice of ${count} stored entries (per entry)`,
    ops: OPS,
    run() {
      let sum = 0;
      for (let lo = 1; lo <= OPS; lo += count) {
        const entries = log.entries(lo, (PAYLOAD.length + 9) * count);
        sum += Array.isArray(entries) ? entries.length : 0;
      }
      consume(sum);
    },
  };
}

function makeEntries(first: number, count: number): Entry[] {
  const entries: Entry[] = [];
  for (let i = 0; i < count; i++) entries.push(new Entry(EntryNormal, 1, first + i, PAYLOAD));
  return entries;
}
