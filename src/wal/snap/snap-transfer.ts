// A snapshot's file on its way between nodes: read piece by piece at one, and written as it comes at the other, which
// reads all of it back before it counts for anything. Main thread; nothing waits for the disk.
import { RaftmarkError } from "../../base/errors.js";
import type { ConfState, SnapshotMetadata } from "../../raft/raftpb/index.js";
import { type WalFs, withFile } from "../disk/wal-fs.js";
import { abortable, checkAborted, GrowingSync, NEW_FILE, SnapReader, verifySnapFile } from "./snap-file.js";

/** The file of a recorded snapshot, as it lies on the disk. */
export interface SnapshotFile {
  readonly metadata: SnapshotMetadata;
  /** Of the file. */
  readonly bytes: number;
  /** Fills `into` from `position` on; WAL_CORRUPT if the file ends before. */
  read(into: Uint8Array, position: number): Promise<void>;
  close(): Promise<void>;
}

/** It can be read to its end also if it is released meanwhile. */
export async function openSnapshotFile(path: string, metadata: SnapshotMetadata): Promise<SnapshotFile> {
  const file = await SnapReader.open(path);
  try {
    const bytes = await file.size();
    return {
      metadata,
      bytes,
      read: async (into, position) => {
        await file.fill(into, position);
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Writes and syncs what comes, and reads it back: WAL_CORRUPT if that is not a sound snapshot of `metadata`. On an error the
 * file is left behind.
 */
export async function receiveSnapFile(
  fs: WalFs,
  path: string,
  metadata: SnapshotMetadata,
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  await withFile(fs, path, NEW_FILE, async (fd) => {
    const sync = new GrowingSync(fs, fd);
    let written = 0;
    for await (const piece of abortable(pieces, signal)) {
      await fs.write(fd, piece, 0, piece.length, written);
      written += piece.length;
      await sync.wrote(piece.length);
    }
    await fs.fdatasync(fd);
  });
  await checkReceived(path, metadata);
  checkAborted(signal);
}

async function checkReceived(path: string, metadata: SnapshotMetadata): Promise<void> {
  let found: SnapshotMetadata;
  try {
    found = await verifySnapFile(path);
  } catch (cause) {
    if (!(cause instanceof RaftmarkError) || cause.code !== "WAL_CORRUPT") throw cause;
    throw notAsSent(metadata, "it does not have the checksum that it was written with", cause);
  }
  const isSame = found.index === metadata.index && found.term === metadata.term;
  if (!isSame) throw notAsSent(metadata, `it is of entry ${found.index}, term ${found.term}`);
  if (!sameMembers(found.confState, metadata.confState)) throw notAsSent(metadata, "it names other members");
}

function notAsSent({ index, term }: SnapshotMetadata, what: string, cause?: unknown): RaftmarkError {
  const text = `the snapshot at entry ${index}, term ${term}, was received, and is not the one that was sent: ${what}`;
  return new RaftmarkError("WAL_CORRUPT", text, { cause });
}

function sameMembers(a: ConfState, b: ConfState): boolean {
  const text = ({ voters, learners, votersOutgoing, learnersNext, autoLeave }: ConfState): string =>
    JSON.stringify([voters, learners, votersOutgoing, learnersNext, autoLeave]);
  return text(a) === text(b);
}
