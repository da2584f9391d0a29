// Whether an open log is still where it was opened, and still this process's: its lock and its newest segment are found
// under their names. A file that was removed or moved can be written on and on, and nobody will ever read it. Asked by
// the writer between each write and its being reported, so that nothing is acknowledged that a process which took the
// directory over meanwhile does not find; in the writer's thread.
import fs from "node:fs";
import path from "node:path";
import { RaftmarkError } from "../base/errors.js";

/** A file as it was when it was made or opened. Plain data: it is posted to workers. */
export interface HeldFile {
  path: string;
  dev: number;
  ino: number;
  /** Of a lock, which is written once; an inode number may be given again to the next. 0: it changes. */
  mtimeMs: number;
}

/** The lock `path`, of which `draft` is another link. */
export function heldLock(draft: string, path: string): HeldFile {
  const { dev, ino, mtimeMs } = fs.statSync(draft);
  return { path, dev, ino, mtimeMs };
}

/**
 * A segment, which is open: while it is, no other file gets its inode number. By its name, since some file systems know
 * an open file by another number.
 */
export function heldSegment(path: string): HeldFile {
  const { dev, ino } = fs.statSync(path);
  return { path, dev, ino, mtimeMs: 0 };
}

const NO_ENTRY = { throwIfNoEntry: false } as const;

/** Throws WAL_GONE if a file is not under its name any more. About 2 us a file. */
export function checkHeld(segment: HeldFile, lock: HeldFile): void {
  // hot
  if (!isHeld(lock) || !isHeld(segment)) throw goneError(segment, lock);
}

function isHeld(file: HeldFile): boolean {
  // hot
  const found = fs.statSync(file.path, NO_ENTRY);
  if (found === undefined || found.ino !== file.ino || found.dev !== file.dev) return false;
  return file.mtimeMs === 0 || found.mtimeMs === file.mtimeMs;
}

const RESTORE =
  "put it back whole if it was moved, then start the node again; if anything of it was deleted, leave the node " +
  "stopped (docs/operate.md, A lost log)";
const UNLOCK = "make sure that no other process uses the directory, then start the node again";

function goneError(segment: HeldFile, lock: HeldFile): RaftmarkError {
  const dir = path.dirname(segment.path);
  const text =
    `the log in ${dir} is not this process's any more: ${whatIsGone(dir, segment, lock)}. What was written since is ` +
    `not acknowledged: stop this node, ${isHeld(segment) ? UNLOCK : RESTORE}`;
  return new RaftmarkError("WAL_GONE", text, { mayCommit: true });
}

function whatIsGone(dir: string, segment: HeldFile, lock: HeldFile): string {
  if (!fs.existsSync(dir)) return "the directory was deleted or renamed";
  if (!isHeld(segment)) {
    const name = path.basename(segment.path);
    if (fs.existsSync(segment.path)) return `another file is under the name of its newest segment, ${name}`;
    return `its newest segment, ${name}, is not there: it was deleted, or the directory replaced by another`;
  }
  return `its lock ${lock.path} was ${fs.existsSync(lock.path) ? "replaced or changed" : "deleted"}`;
}
