// What the snapshots of a node say of its state, read from disk as a whole, every CRC checked.
import { join } from "node:path";
import { listSnapshots } from "../../src/wal/snap/snap-dir.js";
import { streamSnapFile } from "../../src/wal/snap/snap-file.js";
import { readSnapshotHead } from "./state-machine.js";

/** The state up to `index` has this hash. */
export interface SnapshotClaim {
  readonly index: number;
  readonly hash: string;
}

/**
 * Of the node whose data lies in `dir`, those that it keeps; none of a log that begins behind an empty one (begin-log.ts).
 * Throws WAL_CORRUPT for a file that is not sound, and Error for one that the bench did not make.
 */
export async function readSnapshots(dir: string): Promise<SnapshotClaim[]> {
  const snapDir = join(dir, "snap");
  const claims: SnapshotClaim[] = [];
  for (const { name, index } of listSnapshots(snapDir)) {
    const stream = await streamSnapFile(join(snapDir, name));
    let head: ReturnType<typeof readSnapshotHead> = null;
    let at = 0;
    for await (const chunk of stream) {
      if (at === 0) head = readSnapshotHead(chunk);
      at += chunk.length;
    }
    if (stream.size === 0) continue;
    if (head === null) throw new Error(`${name} does not begin as a snapshot of the bench does`);
    claims.push({ index, hash: head.hash });
  }
  return claims;
}
