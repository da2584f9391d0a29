// Directories of a case: in memory where the system has such a place, since no case waits for a disk.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

const MEMORY = "/dev/shm";

function isWritable(dir: string): boolean {
  try {
    fs.accessSync(dir, fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const root = isWritable(MEMORY) ? MEMORY : os.tmpdir();

/** Runs `use` with a directory, which goes with it. */
export async function withDir(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = fs.mkdtempSync(path.join(root, "raftmark-fuzz-"));
  try {
    await use(dir);
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}
