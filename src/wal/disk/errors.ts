// From what the operating system says to the codes that users see.
import { refusedByFlag } from "../../base/environment.js";
import { RaftmarkError, textOf } from "../../base/errors.js";

interface SystemError {
  code?: string;
  message?: string;
}

/** "" for what is no system error. */
export function systemCode(error: unknown): string {
  return (error as SystemError | null)?.code ?? "";
}

/** Opening failed because there was no file descriptor left in this process, or on the machine. */
export function isNoDescriptor(error: unknown): boolean {
  const code = systemCode(error);
  return code === "EMFILE" || code === "ENFILE";
}

export function isNoSpace(error: unknown): boolean {
  const code = systemCode(error);
  return code === "ENOSPC" || code === "EDQUOT";
}

const MORE_FILES = "close files or connections, or allow more of them (ulimit -n)";

/** What to do about what the disk or its file system refused, unless it has too little space. */
function remedy(error: unknown): string {
  if (isNoDescriptor(error)) return MORE_FILES;
  if (systemCode(error) === "EFBIG") return "allow larger files (ulimit -f), or set a smaller segmentBytes";
  return "check the disk";
}

/** A failed write or sync of an open log. */
export function writeError(error: unknown, dir: string): RaftmarkError {
  if (error instanceof RaftmarkError) return error;
  const refused = refusedByFlag(error);
  if (refused !== null) return refused;
  const reason = textOf(error);
  if (isNoSpace(error)) {
    const text = `no space left for the log in ${dir} (${reason}); free space or enlarge the volume, then restart`;
    return new RaftmarkError("WAL_NO_SPACE", text, { mayCommit: true, cause: error });
  }
  const text = `writing the log in ${dir} failed (${reason}); ${remedy(error)}, then restart the node`;
  return new RaftmarkError("WAL_IO", text, { mayCommit: true, cause: error });
}

/** The log goes on without what failed: a segment prepared ahead, zeros written ahead. */
export function warningOf(error: unknown, dir: string): RaftmarkError {
  if (error instanceof RaftmarkError) return error;
  const reason = textOf(error);
  const code = isNoSpace(error) ? "WAL_NO_SPACE" : "WAL_IO";
  const what = isNoSpace(error) ? "free space before appends need it" : remedy(error);
  const text = `preparing space ahead for the log in ${dir} failed (${reason}); the log goes on, but ${what}`;
  return new RaftmarkError(code, text, { cause: error });
}

/** Old segments and snapshots that could not be removed. `ended`: it is not tried again. */
export function releaseWarning(error: unknown, dir: string, ended: boolean): RaftmarkError {
  const reason = textOf(error);
  let then = "tries again after the next snapshot: check the disk and the permissions";
  if (ended) then = "keeps it until it is opened again: check the disk and the permissions, then restart";
  else if (isNoDescriptor(error)) then = `tries again after the next snapshot: ${MORE_FILES}`;
  const text = `removing what a snapshot made superfluous in ${dir} failed (${reason}); the log goes on and ${then}`;
  return new RaftmarkError("WAL_IO", text, { cause: error });
}

/** A failure while opening the log. */
export function openError(error: unknown, dir: string): RaftmarkError {
  if (error instanceof RaftmarkError) return error;
  const refused = refusedByFlag(error);
  if (refused !== null) return refused;
  const code = systemCode(error);
  const reason = textOf(error);
  if (code === "ENOTEMPTY") {
    const text = `there is no log in ${dir}, but something else; move it elsewhere, or choose another directory`;
    return new RaftmarkError("WAL_NOT_WRITABLE", text, { cause: error });
  }
  if (["EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST", "ENAMETOOLONG"].includes(code)) {
    const text =
      `the log directory ${dir} cannot be written (${reason}); ` +
      "give this user write access to it and to the directory above it, or choose another directory";
    return new RaftmarkError("WAL_NOT_WRITABLE", text, { cause: error });
  }
  if (isNoSpace(error)) {
    const text = `no space left to open the log in ${dir} (${reason}); free space, or set a smaller segmentBytes`;
    return new RaftmarkError("WAL_NO_SPACE", text, { cause: error });
  }
  const text = `opening the log in ${dir} failed (${reason}); ${remedy(error)}, then start the node again`;
  return new RaftmarkError("WAL_IO", text, { cause: error });
}

/** What works today for a node whose log is damaged or gone. */
export const ADVICE =
  "Leave this node stopped: the others go on as long as they are a majority. Restore its whole directory only from a " +
  "copy that was taken while it was stopped, and only if it has not run since; never start it with an older copy or an " +
  "empty directory under its id, because it would have forgotten votes and entries that others count on. More: " +
  "docs/operate.md";

/** What is wrong, and no more than that, and where: the cause of a corruptError. */
export class DamageError extends Error {
  readonly file: string;
  /** -1: it is the whole file. */
  readonly offset: number;
  readonly record: number;

  constructor(file: string, offset: number, record: number, what: string) {
    super(what);
    this.file = file;
    this.offset = offset;
    this.record = record;
  }
}

/** Damage that must not be cut off, because what follows it may be committed. */
export function corruptError(file: string, offset: number, record: number, what: string): RaftmarkError {
  const text =
    `${file} is damaged at offset ${offset} (record ${record} of this segment): ${what}. ` +
    `Acknowledged entries may lie there or behind it, so nothing was cut. ${ADVICE}; ` +
    "`raftmark wal verify` shows what is readable";
  return new RaftmarkError("WAL_CORRUPT", text, { cause: new DamageError(file, offset, record, what) });
}

/** A snapshot that cannot be written. The log goes on without it. */
export function snapshotWriteError(error: unknown, file: string): RaftmarkError {
  if (error instanceof RaftmarkError) return error;
  const reason = textOf(error);
  if (isNoSpace(error)) {
    const text = `no space left for the snapshot ${file} (${reason}); free space, then take one again`;
    return new RaftmarkError("WAL_NO_SPACE", text, { cause: error });
  }
  const text = `writing the snapshot ${file} failed (${reason}); check the disk, then take one again`;
  return new RaftmarkError("WAL_IO", text, { cause: error });
}

/** Whose a snapshot file is: a member's, or nobody's who counts on it. */
export type SnapOwner = "member" | "backup";

const SNAPSHOT_ADVICE: Readonly<Record<SnapOwner, string>> = {
  member: `Restore that file from a copy if there is one. ${ADVICE}`,
  backup: "Take another copy of it, or an older snapshot",
};

/** A snapshot file that does not hold what was written. The cause says no more than what is wrong there. */
export function snapshotError(file: string, owner: SnapOwner, what: string): RaftmarkError {
  const text = `the snapshot ${file} is damaged: ${what}. ${SNAPSHOT_ADVICE[owner]}`;
  return new RaftmarkError("WAL_CORRUPT", text, { cause: new Error(what) });
}

/** What crosses from a worker instead of an error object, which would lose its code on the way. */
export type PlainError = Pick<RaftmarkError, "code" | "message" | "mayCommit">;

export function toPlain({ code, message, mayCommit }: RaftmarkError): PlainError {
  return { code, message, mayCommit };
}

export function fromPlain({ code, message, mayCommit }: PlainError): RaftmarkError {
  return new RaftmarkError(code, message, { mayCommit });
}
