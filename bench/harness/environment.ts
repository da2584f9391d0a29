// Everything about the machine and the program that changes a figure: it stands beside the figures.
import {
  closeSync,
  constants,
  fdatasyncSync,
  openSync,
  readFileSync,
  realpathSync,
  writeSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DSYNC_REACHES_DISK, takesDirect } from "../../src/wal/disk/direct.js";
import { BenchError, codeOf } from "./bench-error.js";
import { whyStale } from "./built-from.js";
import { gitIn } from "./git.js";
import type { FileSystem } from "./run-dir.js";

const GIT_MS_MAX = 5000;
const PACKAGE_ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export interface Environment {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly loadAverage1m: number;
  readonly kernel: string;
  readonly node: string;
  readonly v8: string;
  readonly raftmark: string;
  /** Commit that is checked out; null outside the program's repository. */
  readonly commit: string | null;
  /** The working tree differs from the commit, or the program was built from other sources. */
  readonly dirty: boolean | null;
  readonly fileSystem: {
    readonly type: string;
    readonly mount: string;
    readonly device: string;
    readonly options: string;
    /** Of its block device; null: not known. */
    readonly readAheadKb: number | null;
    readonly scheduler: string | null;
  };
  readonly volatileStorage: boolean;
}

export async function readEnvironment(fileSystem: FileSystem): Promise<Environment> {
  const { freeBytes: _, volatile, ...known } = fileSystem;
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    loadAverage1m: loadavg()[0],
    kernel: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    v8: process.versions.v8,
    raftmark: packageVersion(),
    ...(await commit()),
    fileSystem: known,
    volatileStorage: volatile,
  };
}

export function packageVersion(): string {
  const text = readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8");
  return String((JSON.parse(text) as { version: unknown }).version);
}

/** The commit of the package's own repository, not of one it happens to be installed in. */
async function commit(): Promise<{ commit: string | null; dirty: boolean | null }> {
  const git = (...args: string[]) => gitIn(PACKAGE_ROOT, args, GIT_MS_MAX);
  try {
    const top = await git("rev-parse", "--show-toplevel");
    if (realpathSync(top) !== realpathSync(PACKAGE_ROOT)) return { commit: null, dirty: null };
    const dirty = whyStale(PACKAGE_ROOT) !== null || (await git("status", "--porcelain")) !== "";
    return { commit: await git("rev-parse", "HEAD"), dirty };
  } catch {
    return { commit: null, dirty: null }; // No git, or no repository: an installed package.
  }
}

export interface DiskProbe {
  readonly writes: number;
  readonly bytes: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** The file system takes direct writes, which is how nodes write there by default. */
  readonly direct: boolean;
}

const FULL_PROBE = { writes: 200, msMax: 2000 } as const;
const PROBE_BYTES = 4096;

/** What one durable 4 KiB write costs here: O_DSYNC over blocks written before, one after the other. */
export async function probeDisk(
  dir: string,
  { writes, msMax }: { readonly writes: number; readonly msMax: number } = FULL_PROBE,
): Promise<DiskProbe> {
  const path = join(dir, "probe");
  try {
    return probe(path, writes, msMax);
  } catch (cause) {
    const text = `cannot write to ${dir} (${codeOf(cause)}): free space or mend its rights, or choose another place with --dir.`;
    throw new BenchError("environment", text, cause);
  } finally {
    await rm(path, { force: true });
  }
}

function probe(path: string, writes: number, msMax: number): DiskProbe {
  const block = Buffer.alloc(PROBE_BYTES, 0x5a);
  const prepared = openSync(path, "w", 0o600);
  for (let i = 0; i < writes; i++) writeSync(prepared, block);
  closeSync(prepared);
  const direct = takesDirect(path);
  const fd = openSync(path, constants.O_WRONLY | (DSYNC_REACHES_DISK ? constants.O_DSYNC : 0));
  const micros: number[] = [];
  const begun = performance.now();
  try {
    for (let i = 0; i < writes && performance.now() - begun < msMax; i++) {
      const from = performance.now();
      writeSync(fd, block, 0, PROBE_BYTES, i * PROBE_BYTES);
      if (!DSYNC_REACHES_DISK) fdatasyncSync(fd);
      micros.push((performance.now() - from) * 1000);
    }
  } finally {
    closeSync(fd);
  }
  micros.sort((a, b) => a - b);
  const at = (share: number) =>
    Math.round(micros[Math.min(micros.length - 1, Math.floor(micros.length * share))]);
  return { writes: micros.length, bytes: PROBE_BYTES, p50Us: at(0.5), p99Us: at(0.99), direct };
}
