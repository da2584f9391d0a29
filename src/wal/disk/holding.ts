// Whether an open log is still in its place and still this process's: its lock and its newest segment must be found
// under their names. A file that was removed or moved can still be written to, but nobody will ever read it. The writer
// asks after each write and before reporting it, so that nothing is acknowledged that a process which took over the
// directory would not find. In the writer's thread.
import fs from "node:fs";
import path from "node:path";
import { RaftmarkError } from "../../base/errors.js";

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

const RESTORE =
  "put it back whole if it was moved, then start the node again; if anything of it was deleted, leave the node " +
  "stopped (docs/operate.md, A lost log)";
const UNLOCK = "make sure that no other process uses the directory, then start the node again";

/**
 * What an open log holds: its lock, and its newest segment in its directory. While the directory's time of change stays,
 * no name in it was taken away, and the segment is not looked at itself: where a file's times were asked for, Linux 6.13
 * and later write its inode with the next durable write.
 */
export class Holding {
  private readonly lock: HeldFile;
  private readonly dir: string;
  private segment: HeldFile;
  /** The directory as it was when the segment was found in it last; ino 0: it has to be looked for. */
  private found = { dev: 0, ino: 0, mtimeMs: 0 };

  /** `segment`: path of the newest, which is open: while it is, no other file gets its inode number. */
  constructor(lock: HeldFile, segment: string) {
    this.lock = lock;
    this.dir = path.dirname(segment);
    this.segment = heldSegment(segment);
  }

  /** The newest segment is another one from now on. */
  moveTo(segment: string): void {
    this.segment = heldSegment(segment);
    this.found.ino = 0;
  }

  /** Throws WAL_GONE if lock or segment are not under their names any more. About 4 us. */
  check(): void {
    // hot
    if (!isHeld(this.lock)) throw this.goneError();
    const { found } = this;
    const dir = fs.statSync(this.dir, NO_ENTRY);
    if (dir?.ino === found.ino && dir.mtimeMs === found.mtimeMs && dir.dev === found.dev) return;
    if (dir === undefined || !isHeld(this.segment)) throw this.goneError();
    this.found = { dev: dir.dev, ino: isSettled(dir.mtimeMs) ? dir.ino : 0, mtimeMs: dir.mtimeMs };
  }

  private goneError(): RaftmarkError {
    const text =
      `the log in ${this.dir} is not this process's any more: ${this.whatIsGone()}. What was written since is ` +
      `not acknowledged: stop this node, ${isHeld(this.segment) ? UNLOCK : RESTORE}`;
    return new RaftmarkError("WAL_GONE", text, { mayCommit: true });
  }

  private whatIsGone(): string {
    const { dir, lock, segment } = this;
    if (!fs.existsSync(dir)) return "the directory was deleted or renamed";
    if (!isHeld(segment)) {
      const name = path.basename(segment.path);
      if (fs.existsSync(segment.path)) return `another file is under the name of its newest segment, ${name}`;
      return `its newest segment, ${name}, is not there: it was deleted, or the directory replaced by another`;
    }
    return `its lock ${lock.path} was ${fs.existsSync(lock.path) ? "replaced or changed" : "deleted"}`;
  }
}

/** By its name, since some file systems know an open file by another number. */
function heldSegment(path: string): HeldFile {
  const { dev, ino } = fs.statSync(path);
  return { path, dev, ino, mtimeMs: 0 };
}

/**
 * Whether another change now would give a later time: a kernel's clock for this moves in ticks, an old file system's in
 * seconds.
 */
function isSettled(mtimeMs: number): boolean {
  return Date.now() - mtimeMs > (mtimeMs % 1000 === 0 ? 2_000 : 100);
}

const NO_ENTRY = { throwIfNoEntry: false } as const;

/** It is under its name, and was not changed. */
export function isHeld(file: HeldFile): boolean {
  // hot
  const found = fs.statSync(file.path, NO_ENTRY);
  if (found === undefined || found.ino !== file.ino || found.dev !== file.dev) return false;
  return file.mtimeMs === 0 || found.mtimeMs === file.mtimeMs;
}
