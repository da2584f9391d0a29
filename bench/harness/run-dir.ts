// Where a run keeps its data: one temporary directory, on a file system that has a disk under it where possible,
// removed at the end whatever happens.
import { constants, rmdirSync, rmSync } from "node:fs";
import { access, mkdtemp, readdir, readFile, rm, stat, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { BenchError, codeOf, messageOf } from "./bench-error.js";
import { makeDirs, removeEmpty } from "./make-dirs.js";

const PARENT_NAME = ".raftmark";
const RUN_PREFIX = "run-";

/** What the kernel does with a block device; null where it does not say, as of a network's or btrfs's. */
interface BlockDevice {
  readonly readAheadKb: number | null;
  readonly scheduler: string | null;
}

/** What lies under a directory. `volatile`: memory, where making an append durable costs and means nothing. */
export interface FileSystem extends BlockDevice {
  readonly type: string;
  readonly mount: string;
  readonly device: string;
  readonly options: string;
  readonly freeBytes: number;
  readonly volatile: boolean;
}

export class RunDir {
  readonly path: string;
  readonly fileSystem: FileSystem;
  readonly keep: boolean;
  /** Directories of ours around `path`, the innermost first, removed too if nothing else is in them. */
  private readonly around: readonly string[];

  private constructor(path: string, fileSystem: FileSystem, keep: boolean, around: readonly string[]) {
    this.path = path;
    this.fileSystem = fileSystem;
    this.keep = keep;
    this.around = around;
  }

  /**
   * A fresh directory below `dir`, or, where none is given, below `./.raftmark` or the system's temporary directory:
   * the first that can be written and is no memory file system. Throws BenchError (environment).
   */
  static async create(dir: string | null, keep: boolean): Promise<RunDir> {
    if (dir !== null) return RunDir.below(resolve(dir), keep, []);
    const local = resolve(PARENT_NAME);
    const temporary = join(tmpdir(), "raftmark");
    const candidates: string[] = [];
    for (const candidate of [local, temporary]) {
      const above = dirname(candidate);
      const writable = await access(above, constants.W_OK).then(
        () => true,
        () => false,
      );
      if (writable) candidates.push(candidate);
    }
    for (const candidate of candidates) {
      if (!(await fileSystemOf(dirname(candidate))).volatile)
        return RunDir.below(candidate, keep, [candidate]);
    }
    return RunDir.below(candidates[0] ?? local, keep, [candidates[0] ?? local]);
  }

  /** `ours`: what was there before may be removed all the same, as an earlier run's. */
  private static async below(base: string, keep: boolean, ours: readonly string[]): Promise<RunDir> {
    try {
      const made = await makeDirs(base, 0o700);
      await sweep(base);
      const path = await mkdtemp(join(base, `${RUN_PREFIX}${process.pid}-`));
      return new RunDir(path, await fileSystemOf(path), keep, [...new Set([...ours, ...made])]);
    } catch (cause) {
      const why = codeOf(cause) || messageOf(cause);
      const text = `cannot write to the data directory ${base} (${why}): choose another with --dir, or mend its rights.`;
      throw new BenchError("environment", text, cause);
    }
  }

  async remove(): Promise<void> {
    if (this.keep) return;
    await rm(this.path, { recursive: true, force: true, maxRetries: 3 });
    await removeEmpty(this.around);
  }

  /** For the last moments of the process, where nothing asynchronous runs any more. */
  removeSync(): void {
    if (this.keep) return;
    rmSync(this.path, { recursive: true, force: true });
    try {
      for (const directory of this.around) rmdirSync(directory);
    } catch {
      // Not empty: another run's.
    }
  }
}

/** Removes what runs left behind that were killed without warning: their process is gone. */
async function sweep(base: string): Promise<void> {
  for (const name of await readdir(base)) {
    const match = /^run-(\d+)-\w{6}$/.exec(name);
    if (match === null || isAlive(Number(match[1]))) continue;
    if ((await readdir(join(base, name)).catch(() => [] as string[])).includes(KEEP_MARK)) continue;
    await rm(join(base, name), { recursive: true, force: true });
  }
}

/** A file that says: kept on purpose. */
export const KEEP_MARK = "KEEP";

/** Whether there is a process `pid`, whoever's. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

const VOLATILE_TYPES = ["tmpfs", "ramfs", "devtmpfs"];

/** The file system that `path` lies on: from the kernel's mount table, else by number only. */
export async function fileSystemOf(path: string): Promise<FileSystem> {
  const space = await statfs(path);
  const about = { freeBytes: space.bavail * space.bsize, ...(await blockDeviceOf(path)) };
  const table = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  const found = findMount(table, resolve(path));
  if (found === null) {
    const type = `0x${space.type.toString(16)}`;
    return { type, mount: "?", device: "?", options: "", ...about, volatile: space.type === 0x01021994 };
  }
  return { ...found, ...about, volatile: VOLATILE_TYPES.includes(found.type) };
}

/** Of what lies under `path`. */
export async function blockDeviceOf(path: string, sys = "/sys/dev/block"): Promise<BlockDevice> {
  const { dev } = await stat(path);
  const [major, minor] = [((dev >>> 8) & 0xfff) >>> 0, (dev & 0xff) | ((dev >>> 12) & 0xfff00)];
  const read = async (name: string) => {
    // Of a partition the queue is the disk's.
    for (const queue of ["queue", "../queue"]) {
      const text = await readFile(`${sys}/${major}:${minor}/${queue}/${name}`, "utf8").catch(() => null);
      if (text !== null) return text.trim();
    }
    return null;
  };
  const [ahead, schedulers] = [await read("read_ahead_kb"), await read("scheduler")];
  const readAheadKb = ahead === null || !/^\d+$/.test(ahead) ? null : Number(ahead);
  return { readAheadKb, scheduler: /\[(.*)\]/.exec(schedulers ?? "")?.[1] ?? schedulers };
}

/** The deepest mount that holds `path`, from the text of /proc/self/mountinfo; a later line covers an earlier one. */
export function findMount(
  table: string,
  path: string,
): { type: string; mount: string; device: string; options: string } | null {
  let found: { type: string; mount: string; device: string; options: string } | null = null;
  for (const line of table.split("\n")) {
    const [left, right] = line.split(" - ");
    if (right === undefined) continue;
    const mount = unescapeOctal(left.split(" ")[4]);
    const holds = path === mount || path.startsWith(mount === "/" ? "/" : `${mount}/`);
    if (!holds || (found !== null && mount.length < found.mount.length)) continue;
    const [type, device, superOptions] = right.split(" ");
    found = { type, mount, device, options: `${left.split(" ")[5]} ${superOptions ?? ""}`.trim() };
  }
  return found;
}

/** mountinfo writes blanks and backslashes in octal. */
function unescapeOctal(text: string): string {
  return text.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
