// The calls of node:fs that an engine makes, on a simulated disk: same arguments, results and error codes. What waits
// for the disk is answered later, by the simulated clock; what it fails with is drawn by whoever owns the disk. A call
// that is missing here fails loudly (host.ts), it never reaches a real disk.
import { constants } from "node:fs";
import { SimDir, type SimDisk, SimFile, type SimNode } from "./disk.js";

/** Paths of simulated processes begin so; each process sees its own disk there. */
export const SIM_ROOT = "/sim";
/** No real descriptor gets that high. */
export const SIM_FD_MIN = 1 << 24;

/** Kinds of operations, as far as faults and times tell them apart. */
export type DiskOp = "read" | "write" | "sync" | "name";

/** What the owner of a disk decides. */
export interface DiskHost {
  /** Before any operation: the process may end here, and then this throws. */
  touch(op: DiskOp): void;
  /** An error code that the operation fails with; null: none. */
  fails(op: DiskOp): "EIO" | "ENOSPC" | null;
  /** Runs `done` in the process when the disk has done `op`. */
  later(op: DiskOp, done: () => void): void;
  /** A sync failed: what becomes of what was not written is drawn. */
  failSync(file: SimFile): void;
}

type Callback<T> = (error: Error | null, result?: T) => void;

interface OpenFile {
  readonly node: SimNode;
  readonly path: string;
  /** Its writes wait for the disk (O_DSYNC). */
  readonly durable: boolean;
}

interface SimStats {
  readonly size: number;
  readonly blocks: number;
  readonly dev: number;
  readonly ino: number;
  readonly mtimeMs: number;
}

// Nobody here asks for times but to see that they are as they were.
function statsOf(node: SimNode): SimStats {
  if (node instanceof SimDir) return { size: 0, blocks: 0, ino: node.ino, dev: 1, mtimeMs: node.changed };
  const { size, blocks, ino } = node;
  return { size, blocks, ino, dev: 1, mtimeMs: 1 };
}

const TEXTS: Record<string, string> = {
  ENOENT: "no such file or directory",
  EEXIST: "file already exists",
  ENOTEMPTY: "directory not empty",
  ENOTDIR: "not a directory",
  EISDIR: "illegal operation on a directory",
  EBADF: "bad file descriptor",
  EIO: "i/o error",
  ENOSPC: "no space left on device",
  EMFILE: "too many open files",
};

/** Without a stack, which takes longer than all else and which nobody asks for: many look whether a file is there. */
function fsError(code: string, syscall: string, path: string): Error {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const error = new Error(`${code}: ${TEXTS[code]}, ${syscall} '${path}'`);
  Error.stackTraceLimit = stackTraceLimit;
  return Object.assign(error, { code, syscall, path });
}

/** Never given twice: the engine remembers some for all of a process, and here it runs many. */
let nextFd = SIM_FD_MIN;
/** Where disks are mounted. */
const TOP = new SimDir();

export class DiskFs {
  private readonly disk: SimDisk;
  private readonly host: DiskHost;
  private readonly fds = new Map<number, OpenFile>();
  /** So many descriptors may be open in this process for files. */
  private fdsMax = Infinity;

  constructor(disk: SimDisk, host: DiskHost) {
    this.disk = disk;
    this.host = host;
  }

  /** Whatever else this process does has all other descriptors; false: it has enough again. */
  exhaustDescriptors(on: boolean): void {
    this.fdsMax = on ? this.fds.size : Infinity;
  }

  // ---- names

  private parts(path: string, syscall: string): { dir: SimDir; name: string } {
    const at = path.lastIndexOf("/");
    const dir = this.node(path.slice(0, at));
    if (dir === null) throw fsError("ENOENT", syscall, path);
    if (!(dir instanceof SimDir)) throw fsError("ENOTDIR", syscall, path);
    return { dir, name: path.slice(at + 1) };
  }

  private node(path: string): SimNode | null {
    // What else it asks for (/proc) is not there.
    if (path === "/") return TOP;
    const isOurs = path === SIM_ROOT || path.startsWith(`${SIM_ROOT}/`);
    return isOurs ? this.disk.find(path.slice(SIM_ROOT.length)) : null;
  }

  private existing(path: string, syscall: string): SimNode {
    const node = this.node(path);
    if (node === null) throw fsError("ENOENT", syscall, path);
    return node;
  }

  private file(path: string, syscall: string): SimFile {
    const node = this.existing(path, syscall);
    if (node instanceof SimDir) throw fsError("EISDIR", syscall, path);
    return node;
  }

  existsSync(path: string): boolean {
    this.host.touch("name");
    return this.node(path) !== null;
  }

  accessSync(path: string): void {
    this.host.touch("name");
    this.existing(path, "access");
  }

  statSync(path: string, options: { throwIfNoEntry?: boolean } = {}): SimStats | undefined {
    this.host.touch("name");
    if (options.throwIfNoEntry === false && this.node(path) === null) return undefined;
    return statsOf(this.existing(path, "stat"));
  }

  /** There are no symbolic links. */
  realpathSync(path: string): string {
    this.host.touch("name");
    this.existing(path, "realpath");
    return path;
  }

  readdirSync(path: string): string[] {
    this.host.touch("name");
    const node = this.existing(path, "scandir");
    if (node instanceof SimFile) throw fsError("ENOTDIR", "scandir", path);
    return [...node.entries.keys()].sort();
  }

  /** The first directory that was made; undefined: all were there. */
  mkdirSync(path: string, options: { recursive?: boolean } = {}): string | undefined {
    this.host.touch("name");
    if (options.recursive !== true) {
      const { dir, name } = this.parts(path, "mkdir");
      if (dir.entries.has(name)) throw fsError("EEXIST", "mkdir", path);
      dir.change([[name, new SimDir()]]);
      return path;
    }
    let first: string | undefined;
    for (let at = path.indexOf("/", SIM_ROOT.length + 1); ; at = path.indexOf("/", at + 1)) {
      const each = at < 0 ? path : path.slice(0, at);
      const { dir, name } = this.parts(each, "mkdir");
      const node = dir.entries.get(name);
      if (node instanceof SimFile) throw fsError("EEXIST", "mkdir", each);
      if (node === undefined) {
        dir.change([[name, new SimDir()]]);
        first ??= each;
      }
      if (at < 0) return first;
    }
  }

  renameSync(from: string, to: string): void {
    this.host.touch("name");
    const source = this.parts(from, "rename");
    const target = this.parts(to, "rename");
    const node = source.dir.entries.get(source.name);
    if (node === undefined) throw fsError("ENOENT", "rename", from);
    const old = target.dir.entries.get(target.name);
    if (old instanceof SimDir && old.entries.size > 0) throw fsError("ENOTEMPTY", "rename", to);
    if (source.dir !== target.dir)
      throw new Error(`not simulated: a rename between directories, ${from} ${to}`);
    source.dir.change([
      [source.name, null],
      [target.name, node],
    ]);
  }

  linkSync(from: string, to: string): void {
    this.host.touch("name");
    const node = this.file(from, "link");
    const { dir, name } = this.parts(to, "link");
    if (dir.entries.has(name)) throw fsError("EEXIST", "link", to);
    dir.change([[name, node]]);
  }

  unlinkSync(path: string): void {
    this.host.touch("name");
    this.file(path, "unlink");
    const { dir, name } = this.parts(path, "unlink");
    dir.change([[name, null]]);
  }

  rmSync(path: string, options: { recursive?: boolean; force?: boolean } = {}): void {
    this.host.touch("name");
    const node = this.node(path);
    if (node === null) {
      if (options.force === true) return;
      throw fsError("ENOENT", "rm", path);
    }
    if (node instanceof SimDir && options.recursive !== true) throw fsError("EISDIR", "rm", path);
    const { dir, name } = this.parts(path, "rm");
    dir.change([[name, null]]);
  }

  // ---- files

  openSync(path: string, flags: number | string): number {
    this.host.touch("name");
    const bits = typeof flags === "number" ? flags : flagBits(flags);
    if (this.fds.size >= this.fdsMax) throw fsError("EMFILE", "open", path);
    let node = this.node(path);
    if (node === null) {
      if ((bits & constants.O_CREAT) === 0) throw fsError("ENOENT", "open", path);
      const { dir, name } = this.parts(path, "open");
      node = new SimFile();
      dir.change([[name, node]]);
    } else if ((bits & constants.O_EXCL) !== 0) throw fsError("EEXIST", "open", path);
    if (node instanceof SimFile && (bits & constants.O_TRUNC) !== 0) node.truncate(0);
    const fd = nextFd++;
    this.fds.set(fd, { node, path, durable: (bits & constants.O_DSYNC) !== 0 });
    return fd;
  }

  closeSync(fd: number): void {
    if (!this.fds.delete(fd)) throw fsError("EBADF", "close", String(fd));
  }

  private opened(fd: number, syscall: string): { node: SimFile; path: string; durable: boolean } {
    const open = this.fds.get(fd);
    if (open === undefined || open.node instanceof SimDir) throw fsError("EBADF", syscall, String(fd));
    return { node: open.node, path: open.path, durable: open.durable };
  }

  fstatSync(fd: number): SimStats {
    this.host.touch("name");
    return statsOf(this.opened(fd, "fstat").node);
  }

  readSync(fd: number, into: Uint8Array, at: number, bytes: number, position: number): number {
    this.host.touch("read");
    return this.opened(fd, "read").node.read(into.subarray(at, at + bytes), position);
  }

  /** Into the page cache; a descriptor whose writes wait for the disk cannot be written so by a simulated process. */
  writeSync(fd: number, bytes: Uint8Array, at: number, length: number, position: number): number {
    this.host.touch("write");
    const { node, path, durable } = this.opened(fd, "write");
    if (durable) throw new Error(`not simulated: a durable write that holds its thread, ${path}`);
    const code = this.host.fails("write");
    if (code !== null) throw fsError(code, "write", path);
    node.write(bytes.subarray(at, at + length), position);
    return length;
  }

  writeFileSync(path: string, text: string, options: { flag?: string } = {}): void {
    const fd = this.openSync(path, options.flag ?? "w");
    const bytes = Buffer.from(text);
    this.writeSync(fd, bytes, 0, bytes.length, 0);
    this.closeSync(fd);
  }

  readFileSync(path: string): string {
    this.host.touch("read");
    const { bytes, size } = this.file(path, "open");
    return Buffer.from(bytes.subarray(0, size)).toString();
  }

  // ---- what waits for the disk

  /** `begin` runs now, `end` when the disk is done; what one of them throws is the result. */
  private wait<B, T>(op: DiskOp, done: Callback<T>, begin: () => B, end: (begun: B) => T): void {
    this.host.touch(op);
    let begun: B;
    try {
      begun = begin();
    } catch (error) {
      this.host.later(op, () => done(error as Error));
      return;
    }
    this.host.later(op, () => {
      let result: T;
      try {
        result = end(begun);
      } catch (error) {
        done(error as Error);
        return;
      }
      done(null, result);
    });
  }

  write(
    fd: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    position: number,
    done: Callback<number>,
  ): void {
    const code = this.host.fails("write");
    this.wait(
      "write",
      done,
      () => {
        const { node, path, durable } = this.opened(fd, "write");
        if (code === "ENOSPC") throw fsError(code, "write", path);
        node.write(bytes.subarray(at, at + length), position);
        return { node, path, sync: durable ? node.beginSync(position, position + length) : null };
      },
      ({ node, path, sync }) => {
        if (code !== null) {
          this.host.failSync(node);
          throw fsError(code, "write", path);
        }
        if (sync !== null) node.endSync(sync);
        return length;
      },
    );
  }

  fsync(fd: number, done: Callback<void>): void {
    const code = this.host.fails("sync");
    this.wait(
      "sync",
      done,
      () => {
        const open = this.fds.get(fd);
        if (open === undefined) throw fsError("EBADF", "fsync", String(fd));
        const { node, path } = open;
        return { node, path, end: synced(node) };
      },
      ({ node, path, end }) => {
        if (code !== null) {
          if (node instanceof SimFile) this.host.failSync(node);
          throw fsError(code, "fsync", path);
        }
        end();
      },
    );
  }

  fdatasync(fd: number, done: Callback<void>): void {
    this.fsync(fd, done);
  }

  ftruncate(fd: number, bytes: number, done: Callback<void>): void {
    this.wait(
      "write",
      done,
      () => this.opened(fd, "ftruncate").node.truncate(bytes),
      () => {},
    );
  }

  unlink(path: string, done: Callback<void>): void {
    this.wait(
      "name",
      done,
      () => this.unlinkSync(path),
      () => {},
    );
  }

  read(
    fd: number,
    into: Uint8Array,
    at: number,
    bytes: number,
    position: number,
    done: Callback<number>,
  ): void {
    const { node } = this.opened(fd, "read");
    this.wait(
      "read",
      done,
      () => {},
      () => node.read(into.subarray(at, at + bytes), position),
    );
  }

  /** What node:fs/promises has of it. */
  readonly promises = {
    open: async (path: string, flags: number | string = "r"): Promise<SimHandle> => {
      const fd = this.openSync(path, flags);
      return new SimHandle(this, fd);
    },
    readFile: (path: string): Promise<string> =>
      promised((done) =>
        this.wait(
          "read",
          done,
          () => {},
          () => this.readFileSync(path),
        ),
      ),
    rename: async (from: string, to: string): Promise<void> => this.renameSync(from, to),
    mkdir: async (path: string, options?: { recursive?: boolean }): Promise<string | undefined> =>
      this.mkdirSync(path, options),
    readdir: async (path: string): Promise<string[]> => this.readdirSync(path),
    // A disk without a size.
    statfs: async (path: string): Promise<{ blocks: number; bavail: number; bsize: number }> => {
      this.statSync(path);
      return { blocks: 0, bavail: 0, bsize: 4096 };
    },
  };
}

/** A sync of it begins; what is returned ends it. */
function synced(node: SimNode): () => void {
  if (node instanceof SimFile) {
    const point = node.beginSync();
    return () => node.endSync(point);
  }
  const last = node.beginSync();
  return () => node.endSync(last);
}

/** A FileHandle. */
class SimHandle {
  private readonly fs: DiskFs;
  private readonly fd: number;
  private isClosed = false;

  constructor(fs: DiskFs, fd: number) {
    this.fs = fs;
    this.fd = fd;
  }

  async read(into: Uint8Array, at: number, bytes: number, position: number): Promise<{ bytesRead: number }> {
    const bytesRead = await promised<number>((done) =>
      this.fs.read(this.fd, into, at, bytes, position, done),
    );
    return { bytesRead };
  }

  async write(
    bytes: Uint8Array,
    at: number,
    length: number,
    position: number,
  ): Promise<{ bytesWritten: number }> {
    const bytesWritten = await promised<number>((done) =>
      this.fs.write(this.fd, bytes, at, length, position, done),
    );
    return { bytesWritten };
  }

  async stat(): Promise<SimStats> {
    return this.fs.fstatSync(this.fd);
  }

  async writeFile(text: string): Promise<void> {
    const bytes = Buffer.from(text);
    await this.write(bytes, 0, bytes.length, 0);
  }

  sync(): Promise<void> {
    return promised((done) => this.fs.fsync(this.fd, done));
  }

  /** As a FileHandle: once more does nothing. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.fs.closeSync(this.fd);
  }
}

function promised<T>(start: (done: Callback<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, result) => (error === null ? resolve(result as T) : reject(error)));
  });
}

function flagBits(flags: string): number {
  const { O_RDONLY, O_WRONLY, O_CREAT, O_TRUNC, O_EXCL } = constants;
  if (flags === "r") return O_RDONLY;
  if (flags === "w") return O_WRONLY | O_CREAT | O_TRUNC;
  if (flags === "wx") return O_WRONLY | O_CREAT | O_EXCL;
  throw new Error(`not simulated: open flags ${flags}`);
}
