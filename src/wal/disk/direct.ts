// Writes that go from our memory to the disk without a copy in the kernel's page cache (O_DIRECT): whole blocks, from
// addresses, and to places in the file, that are multiples of a block.
import { closeSync, constants, openSync, readSync } from "node:fs";
import { createMemory } from "../format/codec-wasm.js";

/** A multiple of what any common disk and file system asks for. */
export const BLOCK_BYTES = 4096;

/** Undefined where the system has none, as macOS. */
const O_DIRECT: number | undefined = constants.O_DIRECT;

/** Flags for opening, beside those of the durability; 0 where there is nothing to add. */
export const DIRECT_FLAG = O_DIRECT ?? 0;

/**
 * Whether what O_DSYNC wrote survives a power loss. On macOS it may lie in the drive's own cache; there Node.js' fsync and
 * fdatasync are F_FULLFSYNC, which empties that (libuv's uv__fs_fsync).
 */
export const DSYNC_REACHES_DISK = process.platform !== "darwin";

/** For writing zeros ahead; lies on a block's border. */
export const ZEROS = new Uint8Array(createMemory(1 << 20, false).buffer);

export function blocksUp(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

/** Whether the file system of `file`, which has a block or more, takes direct reads and writes. */
export function takesDirect(file: string): boolean {
  if (O_DIRECT === undefined) return false;
  try {
    const fd = openSync(file, constants.O_RDONLY | O_DIRECT);
    try {
      readSync(fd, new Uint8Array(createMemory(BLOCK_BYTES, false).buffer), 0, BLOCK_BYTES, 0);
    } finally {
      closeSync(fd);
    }
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EINVAL" || code === "ENOTSUP" || code === "EOPNOTSUPP") return false;
    throw error;
  }
}
