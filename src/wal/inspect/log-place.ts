// Where a log lies, from the directory that a user of the tools names: the log's own, or a node's with `wal` and
// `snap` in it, ours or etcd's. Reads names only.
import fs from "node:fs";
import path from "node:path";
import { RaftmarkError } from "../../base/errors.js";
import { snapDirBeside } from "../format/format.js";
import { type EtcdSegment, etcdSegments } from "./etcd-reader.js";

export interface LogPlace {
  /** As it was named. */
  readonly dir: string;
  /** The directory of the segments. */
  readonly walDir: string;
  /** In order; none if there is no log. */
  readonly segments: readonly EtcdSegment[];
  /** What etcd takes for a segment by a name that it never gives. */
  readonly foreign: readonly string[];
  /** Null: there is no directory of snapshots. */
  readonly snapDir: string | null;
  /** Names of .snap files, newest first. */
  readonly snaps: readonly string[];
}

/** Throws WAL_NOT_FOUND for what is no directory; a directory without a log is returned as such. */
export function findLog(dir: string): LogPlace {
  const stat = fs.statSync(dir, { throwIfNoEntry: false });
  if (stat === undefined) throw new RaftmarkError("WAL_NOT_FOUND", `there is no directory ${dir}`);
  if (!stat.isDirectory()) {
    const text = `${dir} is a file; name the directory that it lies in`;
    throw new RaftmarkError("WAL_NOT_FOUND", text);
  }
  const own = segmentsIn(dir);
  const child = path.join(dir, "wal");
  const isMember = own.segments.length === 0 && isDirectory(child);
  const walDir = isMember ? child : dir;
  const { segments, foreign } = isMember ? segmentsIn(child) : own;
  const candidates = [path.join(dir, "snap"), snapDirBeside(walDir)];
  const besideOnly = path.basename(path.resolve(walDir)) === "wal";
  const snapDir =
    snapNames(dir).length > 0 ? dir : (candidates.slice(0, besideOnly ? 2 : 1).find(isDirectory) ?? null);
  return { dir, walDir, segments, foreign, snapDir, snaps: snapDir === null ? [] : snapNames(snapDir) };
}

function segmentsIn(dir: string): Pick<LogPlace, "segments" | "foreign"> {
  const all = etcdSegments(dir);
  const segments = all.filter(({ name }) => /^[0-9a-f]{16}-[0-9a-f]{16}\.wal$/.test(name));
  return { segments, foreign: all.filter((one) => !segments.includes(one)).map(({ name }) => name) };
}

function isDirectory(at: string): boolean {
  return fs.statSync(at, { throwIfNoEntry: false })?.isDirectory() === true;
}

// The names begin with the term, then the index, so they sort by age.
function snapNames(dir: string): string[] {
  const names = fs.readdirSync(dir).filter((name) => /^[0-9a-f]{16}-[0-9a-f]{16}\.snap$/.test(name));
  return names.sort().reverse();
}
