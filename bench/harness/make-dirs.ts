// Creates a directory and what is missing above it. Not mkdir's own `recursive`: where the parent exists and still
// says ENOENT, as below /proc, Node 20 never returns from that.
import { mkdir, rmdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { codeOf } from "./bench-error.js";

/**
 * Rejects with the system's error for what cannot be created; ENOTDIR where a file is in the way. Returns what was not there
 * before, the innermost first.
 */
export async function makeDirs(path: string, mode = 0o777): Promise<string[]> {
  const target = resolve(path);
  const missing: string[] = [];
  for (let at = target; !(await isDirectory(at)); at = dirname(at)) missing.push(at);
  for (const directory of missing.toReversed()) {
    await mkdir(directory, { mode }).catch((error: unknown) => {
      if (codeOf(error) !== "EEXIST") throw error; // Another run was faster.
    });
  }
  return missing;
}

/** Removes those of `made` that are empty; for what makeDirs() returned. */
export async function removeEmpty(made: readonly string[]): Promise<void> {
  for (const directory of made) await rmdir(directory).catch(() => {}); // Somebody uses it, or it is gone.
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
  throw Object.assign(new Error(`ENOTDIR: not a directory, ${path}`), { code: "ENOTDIR" });
}
