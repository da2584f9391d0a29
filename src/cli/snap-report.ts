// The .snap files beside a log, ours or etcd's, for the tools: what each is of, and whether it is sound.
import fs from "node:fs";
import path from "node:path";
import { RaftmarkError, textOf } from "../base/errors.js";
import type { ConfState } from "../raft/raftpb/index.js";
import type { EtcdConfState, EtcdSnapshotId } from "../wal/inspect/etcd-proto.js";
import { etcdReadSnap } from "../wal/inspect/etcd-reader.js";
import type { LogPlace } from "../wal/inspect/log-place.js";
import { verifySnapFile } from "../wal/snap/snap-file.js";

const SNAP_BYTES_AT_ONCE = 64 << 20;

export interface SnapReport {
  readonly name: string;
  readonly bytes: number;
  /** "" or what is wrong. */
  readonly error: string;
  /** Null if it cannot be read. */
  readonly id: EtcdSnapshotId | null;
  /** Null if it cannot be read. */
  readonly confState: ConfState | EtcdConfState | null;
}

/** All of them, newest first. Throws the system's error for a file that cannot be read. */
export async function checkSnaps({ snaps, snapDir }: LogPlace): Promise<SnapReport[]> {
  const reports: SnapReport[] = [];
  for (const name of snaps) reports.push(await checkSnap(path.join(snapDir!, name)));
  return reports;
}

// A large one is streamed, and judged in our own words.
async function checkSnap(file: string): Promise<SnapReport> {
  const about = { name: path.basename(file), bytes: fs.statSync(file).size };
  const bad = (error: string) => ({ ...about, error, id: null, confState: null });
  try {
    if (about.bytes > SNAP_BYTES_AT_ONCE) {
      const { index, term, confState } = await verifySnapFile(file);
      return { ...about, error: "", id: { index: BigInt(index), term: BigInt(term) }, confState };
    }
  } catch (error) {
    if (!(error instanceof RaftmarkError) || error.code !== "WAL_CORRUPT") throw error;
    return bad(textOf(error.cause));
  }
  const { error, snapshot } = etcdReadSnap(fs.readFileSync(file));
  if (snapshot === null) return bad(error);
  const { index, term, confState } = snapshot;
  return { ...about, error, id: { index, term }, confState };
}
