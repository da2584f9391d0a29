// One process owns a log directory. Node has no flock, so the owner is named in a file beside the directory: process
// id and start time, which together survive neither kill -9 nor a reused id.
import { closeSync, constants, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { RaftmarkError } from "../base/errors.js";
import { FILE_MODE } from "./format.js";

/** Directories locked by this process: its own id in the file says nothing about a second opening. */
const held = new Set<string>();

/** Takes the lock of `dir` and returns what gives it back. Throws WAL_LOCKED, naming the owner. */
export function lockDirectory(dir: string): () => void {
  const path = `${dir}.lock`;
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const fd = openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, FILE_MODE);
      writeSync(fd, `${process.pid} ${startTime(process.pid)}\n`);
      closeSync(fd);
      held.add(path);
      return () => {
        held.delete(path);
        rmSync(path, { force: true });
      };
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
      const owner = ownerOf(path);
      if (owner !== null) {
        const text = `${dir} is in use by process ${owner} (${path}): stop it first, or use another directory`;
        throw new RaftmarkError("WAL_LOCKED", text);
      }
      rmSync(path, { force: true });
    }
  }
  throw new RaftmarkError("WAL_LOCKED", `${path} keeps coming back: another process is opening ${dir}`);
}

/** The living owner's process id, or null if the lock is stale. */
function ownerOf(path: string): number | null {
  if (held.has(path)) return process.pid;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return null;
  }
  const [pid, start] = text.trim().split(" ");
  const id = Number(pid);
  if (!Number.isInteger(id) || id <= 0 || id === process.pid) return null;
  try {
    process.kill(id, 0);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EPERM") return null;
  }
  return startTime(id) === start ? id : null;
}

/** When process `pid` started, in clock ticks since boot; "0" where the system does not tell. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // Fields after the name, which may itself hold spaces and brackets.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return "0";
  }
}
