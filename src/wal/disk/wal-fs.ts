// The file operations of a writer, as an interface: a worker runs them synchronously, the main thread must not wait.
// A procedure is a generator that yields each operation that can take long; runSync and runAsync drive it. Tests
// inject faults by wrapping one of the two implementations.
import fs from "node:fs";
import { assert } from "../../base/assert.js";
import { DIRECT_FLAG } from "./direct.js";

/** Undefined: done. Otherwise it is under way. */
export type Step = void | Promise<void>;
export type Steps = Generator<Step, void, void>;

/**
 * How an append becomes durable: O_DSYNC writes past the page cache (O_DIRECT), or through it; fdatasync after each
 * write; "none" writes and does not sync: not safe, for measuring only.
 */
export type Durability = "o_direct" | "o_dsync" | "fdatasync" | "none";

export interface WalFs {
  open(path: string, flags: number): number;
  close(fd: number): void;
  rename(from: string, to: string): void;
  unlink(path: string): Step;
  /** Writes all of bytes[from, to) at `position`. */
  write(fd: number, bytes: Uint8Array, from: number, to: number, position: number): Step;
  fdatasync(fd: number): Step;
  truncate(fd: number, bytes: number): Step;
  /** Makes names in the directory durable. */
  syncDir(dir: string): Step;
}

/** File operations of tests that fail or wait on purpose: `module` exports `createWalFs(arg, base)`. */
export interface FsSpec {
  module: string;
  arg: unknown;
}

export const FILE_MODE = 0o600;

/** Where a copy of a segment is kept before its torn end is cut, by etcd's name; older ones are kept, so it may be numbered. */
export function brokenPath(segment: string): string {
  let copy = `${segment}.broken`;
  for (let n = 1; fs.existsSync(copy); n++) copy = `${segment}.broken.${n}`;
  return copy;
}

/** Waits in the calling thread: for workers. */
export const syncFs: WalFs = {
  open: (path, flags) => fs.openSync(path, flags, FILE_MODE),
  close: (fd) => fs.closeSync(fd),
  rename: (from, to) => fs.renameSync(from, to),
  unlink: (path) => fs.unlinkSync(path),
  write(fd, bytes, from, to, position) {
    while (from < to) {
      const written = fs.writeSync(fd, bytes, from, to - from, position);
      from += written;
      position += written;
    }
  },
  fdatasync: (fd) => fs.fdatasyncSync(fd),
  truncate: (fd, bytes) => fs.ftruncateSync(fd, bytes),
  syncDir(dir) {
    const fd = fs.openSync(dir, "r");
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  },
};

/** A write into the page cache of so much takes about 20 us, less than the way to libuv's threads and back. */
const CACHED_WRITE_BYTES_MAX = 128 << 10;
/** Files whose writes wait for the disk, or may. */
const durableFds = new Set<number>();

/** Leaves what takes long to libuv's threads: for the main thread. */
export const asyncFs: WalFs = {
  open(path, flags) {
    const fd = syncFs.open(path, flags);
    if ((flags & (fs.constants.O_DSYNC | DIRECT_FLAG)) !== 0) durableFds.add(fd);
    return fd;
  },
  close(fd) {
    durableFds.delete(fd);
    syncFs.close(fd);
  },
  rename: syncFs.rename,
  unlink: (path) => promised((done) => fs.unlink(path, done)),
  write(fd, bytes, from, to, position) {
    if (to - from <= CACHED_WRITE_BYTES_MAX && !durableFds.has(fd)) {
      return syncFs.write(fd, bytes, from, to, position);
    }
    return new Promise((resolve, reject) => {
      const more = (from: number, position: number): void => {
        fs.write(fd, bytes, from, to - from, position, (error, written) => {
          if (error !== null) reject(error);
          else if (from + written < to) more(from + written, position + written);
          else resolve();
        });
      };
      more(from, position);
    });
  },
  fdatasync: (fd) => promised((done) => fs.fdatasync(fd, done)),
  truncate: (fd, bytes) => promised((done) => fs.ftruncate(fd, bytes, done)),
  syncDir(dir) {
    const fd = fs.openSync(dir, "r");
    return promised((done) => fs.fsync(fd, done)).finally(() => fs.closeSync(fd));
  },
};

/** Not by promisify(), which would take the functions as they are now: the simulator puts others in their place. */
function promised(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error === null ? resolve() : reject(error)));
  });
}

/** Opens `file`, and closes it when `use` is done, or failed. */
export async function withFile(
  walFs: WalFs,
  file: string,
  flags: number,
  use: (fd: number) => Step,
): Promise<void> {
  const fd = walFs.open(file, flags);
  try {
    await use(fd);
  } finally {
    walFs.close(fd);
  }
}

/** Drives a procedure over synchronous operations to its end. */
export function runSync(steps: Steps): void {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return;
    assert(value === undefined, "asynchronous step in a synchronous run");
  }
}

/** Drives a procedure over asynchronous operations. Runs up to its first pending step before it returns. */
export async function runAsync(steps: Generator<Step, unknown, void>): Promise<void> {
  let failure: { error: unknown } | null = null;
  for (;;) {
    const { done, value } = failure === null ? steps.next() : steps.throw(failure.error);
    if (done === true) return;
    failure = null;
    if (value === undefined) continue;
    try {
      await value;
    } catch (error) {
      failure = { error };
    }
  }
}

/** Null: `base` itself. */
export async function loadFs(base: WalFs, spec: FsSpec | null): Promise<WalFs> {
  if (spec === null) return base;
  const loaded = (await import(spec.module)) as { createWalFs(arg: unknown, base: WalFs): WalFs };
  return loaded.createWalFs(spec.arg, base);
}
