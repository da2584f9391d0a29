// The one place where the bench reads a log from disk.
import type { Entry } from "../../src/index.js";
import { realFileSystem, scanWal } from "../../src/wal/index.js";

/**
 * Reads the log of the node whose data lies in `dir`, read-only, every CRC checked, and calls `visit` for each entry as
 * it was written: a later one replaces those from its index on. Bytes are borrowed for the call. Returns the commit
 * index that the log knows. Throws what the WAL throws for a log that cannot be trusted.
 */
export function readLog(dir: string, visit: (entry: Entry) => void): { readonly commit: number } {
  const { hardState } = scanWal(realFileSystem, `${dir}/wal`, { entry: visit });
  return { commit: hardState.commit };
}
