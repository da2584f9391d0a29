// A log that no process has open, read as a node would find it that opens it: the same records count, and the same
// snapshot. Nothing is changed; its lock is held meanwhile.
import path from "node:path";
import { NO_DATA } from "../../base/bytes.js";
import type { Entry, HardState, SnapshotMetadata } from "../../raft/raftpb/index.js";
import { type DirLock, lockDir } from "../disk/lock.js";
import { snapDirBeside } from "../format/format.js";
import { SegmentReader } from "../read/segment-reader.js";
import { listSegments, recover, type ScanPool } from "../recover/recovery.js";
import { chooseSnapshot, provenState, snapName } from "../snap/snap-dir.js";
import { streamSnapFile } from "../snap/snap-file.js";
import type { SnapshotStream } from "../snap/snapshot-data.js";

export interface ClosedLog {
  readonly metadata: Uint8Array;
  readonly hardState: HardState;
  /** The newest that reads well; null: the log begins with entry 1. */
  readonly snapshot: SnapshotMetadata | null;
  /** Files of newer snapshots that are damaged. */
  readonly damaged: readonly string[];
  /** At least the snapshot's; 0 if there is nothing. */
  readonly lastIndex: number;
  /** Entries from `lo` on, in front of `hi`: as many as fit `bytesMax`, at least one. Throws WAL_CORRUPT. */
  entries(lo: number, hi: number, bytesMax: number): Entry[];
  /** The state of `snapshot`, which there has to be. */
  openSnapshot(): Promise<SnapshotStream>;
  close(): void;
}

/**
 * Rejects with WAL_LOCKED while a process has it open, and WAL_CORRUPT where no node would open it. There are segments.
 * `snapDir` null: the snapshots lie where a log has them by default.
 */
export async function readClosedLog(walDir: string, snapDir: string | null): Promise<ClosedLog> {
  const dir = path.resolve(walDir);
  const lock = await lockDir(dir);
  try {
    return await readLocked(dir, snapDir ?? snapDirBeside(dir), lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function readLocked(dir: string, snapDir: string, lock: DirLock): Promise<ClosedLog> {
  const log = await recover(dir, listSegments(dir), { js: false, threads: 0, pool: NO_POOL });
  const { snapshots, points, tail, metadata } = log;
  const { lastIndex, lastTerm } = tail;
  const { kept, damaged } = await chooseSnapshot(dir, snapDir, { snapshots, points, lastIndex });
  const snapshot = kept.at(-1) ?? null;
  const reader = new SegmentReader(dir, points);
  return {
    metadata: metadata ?? NO_DATA,
    hardState: provenState(log.hardState, lastTerm, snapshot),
    snapshot,
    damaged,
    lastIndex,
    entries: (lo, hi, bytesMax) => {
      const entries: Entry[] = [];
      reader.read(lo, hi, bytesMax, entries);
      return entries;
    },
    openSnapshot: () => streamSnapFile(path.join(snapDir, snapName(snapshot!))),
    close: () => {
      reader.close();
      lock.release();
    },
  };
}

/** Nobody waits for this thread meanwhile. */
const NO_POOL: ScanPool = {
  scan: () => {
    throw new Error("no threads were asked for");
  },
};
