// File operations that fail or hang on demand. Loaded by the log through its walFs option, on the main thread or a
// worker; what test and operations tell each other goes through shared memory.
import fs from "node:fs";
import { isMainThread } from "node:worker_threads";
import type { Step, WalFs } from "../../src/wal/disk/wal-fs.js";

type Operation = "write" | "fdatasync" | "open" | "unlink" | "truncate" | "rename" | "syncDir";

export interface FaultPlan {
  op: Operation;
  /** Fails from this call on, counting from 1 the calls that all of the following fit. */
  from: number;
  /** Up to this one; absent: for ever. */
  to?: number;
  code: string;
  /** Only writes larger than this. */
  over?: number;
  /** Only where the path contains it; a file's path is its present one. */
  path?: string;
  /** Only files that were opened to be made, or (false) only others. */
  creates?: boolean;
  /** Only right after this operation on the same file. */
  after?: Operation;
  /** Only once word OPENED is raised: opening does such operations, too. */
  opened?: true;
  /** Words FAILED, LATER, HANGS and OPENED of shared memory. */
  shared?: Int32Array;
}

/** Raised by each failure. */
export const FAILED = 0;
/** Raised by each write, sync, cut or renaming that is tried after a failure. */
export const LATER = 1;
/** While it is 1, writes and syncs do not return; while it is 2, removals do not. */
export const HANGS = 2;
/** Raised by the test when the log is open. */
export const OPENED = 3;

export function sharedWords(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(16));
}

interface OpenFile {
  path: string;
  created: boolean;
  last: Operation;
}

class Faults {
  private readonly plan: FaultPlan;
  private readonly files = new Map<number, OpenFile>();
  private calls = 0;

  constructor(plan: FaultPlan) {
    this.plan = plan;
  }

  opened(fd: number, path: string, flags: number): void {
    this.files.set(fd, { path, created: (flags & fs.constants.O_CREAT) !== 0, last: "open" });
  }

  renamed(from: string, to: string): void {
    for (const file of this.files.values()) if (file.path === from) file.path = to;
  }

  /** Throws if the plan wants this call to fail. */
  pass(op: Operation, path: string, created: boolean, last: Operation | null, bytes = 0): void {
    const { plan } = this;
    const { shared } = plan;
    if (shared !== undefined && Atomics.load(shared, FAILED) > 0 && op !== "open")
      Atomics.add(shared, LATER, 1);
    if (op !== plan.op || !path.includes(plan.path ?? "") || bytes <= (plan.over ?? -1)) return;
    if (plan.creates !== undefined && plan.creates !== created) return;
    if (plan.after !== undefined && plan.after !== last) return;
    if (plan.opened === true && Atomics.load(shared!, OPENED) === 0) return;
    if (++this.calls < plan.from || this.calls > (plan.to ?? Infinity)) return;
    if (shared !== undefined) Atomics.add(shared, FAILED, 1);
    throw Object.assign(new Error(`${plan.code}: injected`), { code: plan.code });
  }

  onFile(op: Operation, fd: number, bytes = 0): void {
    const file = this.files.get(fd) ?? { path: "", created: false, last: "open" };
    const { last } = file;
    file.last = op;
    this.pass(op, file.path, file.created, last, bytes);
  }

  /** Runs `operation` once the disk does not hang with `word`. */
  waiting(operation: () => Step, word = 1): Step {
    const { shared } = this.plan;
    if (shared === undefined || Atomics.load(shared, HANGS) !== word) return operation();
    if (isMainThread) return whenReleased(shared, word).then(operation);
    while (Atomics.load(shared, HANGS) === word) Atomics.wait(shared, HANGS, word);
    return operation();
  }
}

async function whenReleased(shared: Int32Array, word: number): Promise<void> {
  while (Atomics.load(shared, HANGS) === word) await new Promise((resolve) => setTimeout(resolve, 2));
}

export function createWalFs(plan: FaultPlan, base: WalFs): WalFs {
  const faults = new Faults(plan);
  return {
    ...base,
    open(path, flags) {
      faults.pass("open", path, (flags & fs.constants.O_CREAT) !== 0, null);
      const fd = base.open(path, flags);
      faults.opened(fd, path, flags);
      return fd;
    },
    write(fd, bytes, from, to, position) {
      faults.onFile("write", fd, to - from);
      return faults.waiting(() => base.write(fd, bytes, from, to, position));
    },
    fdatasync(fd) {
      faults.onFile("fdatasync", fd);
      return faults.waiting(() => base.fdatasync(fd));
    },
    truncate(fd, bytes) {
      faults.onFile("truncate", fd);
      return base.truncate(fd, bytes);
    },
    rename(from, to) {
      faults.pass("rename", from, false, null);
      base.rename(from, to);
      faults.renamed(from, to);
    },
    unlink(path) {
      faults.pass("unlink", path, false, null);
      return faults.waiting(() => base.unlink(path), 2);
    },
    syncDir(dir) {
      faults.pass("syncDir", dir, false, null);
      return base.syncDir(dir);
    },
  };
}
