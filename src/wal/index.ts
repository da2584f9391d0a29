// STAND-IN, to be overwritten at merge: reads what the stand-in of RaftNode (src/index.ts) writes.
import { existsSync, readFileSync } from "node:fs";
import { Entry, type HardState } from "../raft/raftpb/index.js";

export async function readWal(dir: string): Promise<{ hardState: HardState; entries: readonly Entry[] }> {
  const path = `${dir}/standin.log`;
  const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
  const entries: Entry[] = [];
  let at = 0;
  while (at + 4 <= bytes.length) {
    const length = bytes.readUInt32LE(at);
    if (at + 4 + length > bytes.length) break;
    entries.push(new Entry(0, 1, entries.length + 1, bytes.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return { hardState: { term: 1, vote: 1, commit: entries.length }, entries };
}
