// One process owns a log directory. Node has no flock, so the lock is a file beside the directory that names its
// owner: pid and the time that the kernel started it, because pids come back. A lock of a dead process (kill -9) is
// taken over; one that cannot be read is not. It lies beside where symbolic links lead, so that a directory has one under
// all its names. An owner in another pid namespace is known by its socket (life-socket.ts). It does not guard against
// owners on another kernel: another host, or a container with a kernel of its own.
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { RaftmarkError, textOf } from "../../base/errors.js";
import { endIfAborted } from "./abort.js";
import { isNoDescriptor, systemCode } from "./errors.js";
import { type HeldFile, heldLock, isHeld } from "./holding.js";
import { answers, type LifeSocket, listenAt } from "./life-socket.js";

interface Owner {
  pid: number;
  /** Field 22 of /proc/PID/stat with the boot id; empty where there is no /proc. */
  started: string;
  nonce: string;
}

export interface DirLock {
  /** Its file, as long as it is held. */
  readonly file: HeldFile;
  release(): void;
}

/** As they are drawn; what else a lock may have there becomes part of no path. */
const NONCE = /^[0-9a-f]{16}$/;
/** How long to wait for an owner that was killed and is not gone yet; one elsewhere may have been. */
const WAITS_MAX = { dying: 1000, elsewhere: 100 };
const WAIT_MS = 10;

/** Takes the lock of `dir`, or throws WAL_LOCKED; RAFT_ABORTED if `signal` ends the wait for an owner that is dying. */
export async function lockDir(dir: string, signal?: AbortSignal): Promise<DirLock> {
  const path = `${realPath(dir)}.lock`;
  const nonce = randomBytes(8).toString("hex");
  // It answers before the lock is there, and as long as it is.
  const socket = await listenAt(socketPath(path, nonce));
  try {
    const file = await take(dir, path, nonce, signal);
    return { file, release: () => release(file, nonce, socket) };
  } catch (error) {
    socket?.close();
    throw error;
  }
}

async function take(dir: string, path: string, nonce: string, signal?: AbortSignal): Promise<HeldFile> {
  const mine: Owner = { pid: process.pid, started: statOf(process.pid)?.started ?? "", nonce };
  const draft = `${path}.${nonce}`;
  // The lock appears with its content in one step: a link to a complete file.
  fs.writeFileSync(draft, `${JSON.stringify(mine)}\n`, { mode: 0o600, flag: "wx" });
  try {
    let attempts = 0;
    for (let waits = 0; attempts < 8; ) {
      if (tryLink(draft, path)) return heldLock(draft, path);
      const owner = readOwner(path);
      const life = owner === null ? "dead" : await lifeOf(owner, path);
      if (life === "dead") {
        setAside(path, owner, nonce);
        attempts++;
        continue;
      }
      if (life === "alive" || ++waits > WAITS_MAX[life]) throw lockedError(dir, path, owner!, life);
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
      endIfAborted(signal);
    }
  } finally {
    fs.rmSync(draft, { force: true });
  }
  throw new RaftmarkError("WAL_LOCKED", `the lock ${path} is contended by starting processes; try again`);
}

/** Of the owner `nonce`, beside the lock `path`; short, whatever the lock's own name is. */
function socketPath(path: string, nonce: string): string {
  return join(dirname(path), `wal.lock.${nonce}.sock`);
}

/** Of an absolute path, of which the end need not be there yet. */
export function realPath(at: string): string {
  try {
    return fs.realpathSync(at);
  } catch (error) {
    if (!["ENOENT", "ENOTDIR"].includes(systemCode(error))) throw error;
    return join(realPath(dirname(at)), basename(at));
  }
}

function lockedError(dir: string, path: string, owner: Owner, life: Life): RaftmarkError {
  if (life === "alive" && owner.pid === process.pid) {
    const text =
      `the log directory ${dir} is in use by process ${owner.pid} itself, this one (${path}); close what has it ` +
      "open, or give this node another directory. What a worker thread had open that was ended without close() is free " +
      "when the process ends";
    return new RaftmarkError("WAL_LOCKED", text);
  }
  const who =
    life === "elsewhere"
      ? `a process of another container or pid namespace, where it is process ${owner.pid}`
      : `process ${owner.pid}`;
  const text =
    `the log directory ${dir} is in use by ${who} (${path}); ` +
    "stop that process, or give this node another directory";
  return new RaftmarkError("WAL_LOCKED", text);
}

function tryLink(draft: string, path: string): boolean {
  try {
    fs.linkSync(draft, path);
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    throw error;
  }
}

// Two starters may find the same stale lock, and the slower one could move the fresh lock of the faster one away:
// so look at what was moved, and put it back if it is not what was judged stale.
function setAside(path: string, stale: Owner | null, nonce: string): void {
  const aside = `${path}.stale.${nonce}`;
  try {
    fs.renameSync(path, aside);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return;
    throw error;
  }
  let isStale = false;
  try {
    const moved = readOwner(aside);
    isStale = moved === null || moved.nonce === (stale?.nonce ?? "");
  } finally {
    if (!isStale) tryLink(aside, path);
    fs.rmSync(aside, { force: true });
  }
  const left = isStale && stale !== null && NONCE.test(stale.nonce);
  if (left) fs.rmSync(socketPath(path, stale.nonce), { force: true });
}

// To find it as it was made takes no file descriptor, of which there may be none. A copy of it is ours, too.
function release(file: HeldFile, nonce: string, socket: LifeSocket | null): void {
  if (isHeld(file) || isNamed(file.path, nonce)) fs.rmSync(file.path, { force: true });
  socket?.close();
}

function isNamed(path: string, nonce: string): boolean {
  try {
    return readOwner(path)?.nonce === nonce;
  } catch {
    return false;
  }
}

/** Null: it is not there, or names nobody. Throws if it cannot be read, as that says nothing of its owner. */
function readOwner(path: string): Owner | null {
  let text: string;
  try {
    text = fs.readFileSync(path, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return null;
    throw error;
  }
  try {
    const owner = JSON.parse(text) as Owner;
    // 0 and less are groups of processes to kill(2), and one of those always lives.
    const isProcess = Number.isSafeInteger(owner.pid) && owner.pid > 0;
    return isProcess && typeof owner.nonce === "string" ? owner : null;
  } catch {
    return null;
  }
}

/** "dying": killed, but a thread of it may still be inside a write. "elsewhere": it lives, and not under its id here. */
type Life = "alive" | "dying" | "elsewhere" | "dead";

async function lifeOf(owner: Owner, path: string): Promise<Life> {
  const life = lifeHere(owner);
  if (!NONCE.test(owner.nonce)) return life;
  const socket = socketPath(path, owner.nonce);
  // Where no /proc tells them apart: perhaps an earlier process, as each is number 1 in its container.
  const isNamesake = owner.pid === process.pid && owner.started === "" && fs.existsSync(socket);
  if (life !== "dead" && !isNamesake) return life;
  try {
    if (!(await answers(socket))) return "dead";
    return isNamesake ? "alive" : "elsewhere";
  } catch (error) {
    if (isNoDescriptor(error)) throw error;
    const text =
      `whether the process that made ${path} still lives cannot be told (${textOf(error)}); ` +
      "make sure that it does not, then delete that file";
    throw new RaftmarkError("WAL_LOCKED", text, { cause: error });
  }
}

/** By its process id. */
function lifeHere(owner: Owner): "alive" | "dying" | "dead" {
  const stat = statOf(owner.pid);
  if (stat === null) return signalReaches(owner.pid) ? "alive" : "dead";
  if (owner.started !== "" && stat.started !== owner.started) return "dead";
  if (stat.ended && stat.threads <= 1) return "dead";
  return stat.ended || stat.exiting ? "dying" : "alive";
}

// Where there is no /proc.
function signalReaches(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === "EPERM";
  }
}

interface ProcessStat {
  /** When the kernel started it, with the boot id. */
  started: string;
  /** Its main thread is a zombie; others may still run. */
  ended: boolean;
  /** Its main thread is on its way out. */
  exiting: boolean;
  threads: number;
}

/** PF_EXITING of the kernel's task flags. */
const EXITING = 4;

// Null: no such process, or no /proc.
function statOf(pid: number): ProcessStat | null {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command name may hold anything; fields are counted from behind its closing parenthesis.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return {
      started: `${boot}:${fields[19]}`,
      ended: fields[0] === "Z" || fields[0] === "X",
      exiting: (Number(fields[6]) & EXITING) !== 0,
      threads: Number(fields[17]),
    };
  } catch {
    return null;
  }
}
