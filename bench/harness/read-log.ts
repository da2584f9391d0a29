// The one place where the bench reads a log from disk.
import type { Entry } from "../../src/index.js";
import { readWal } from "../../src/wal/index.js";

/**
 * Reads the log of the node whose data lies in `dir`, read-only, every CRC checked, and calls `visit` for each entry as
 * it was written: a later one replaces those from its index on. Bytes are borrowed for the call. Returns the commit
 * index that the log knows. Throws what the WAL throws for a log that cannot be trusted.
 */
export function readLog(dir: string, visit: (entry: Entry) => void): { readonly commit: number } {
  let commit = 0;
  for (const record of readWal(`${dir}/wal`)) {
    if (record.type === "entry") visit(record.entry);
    else if (record.type === "state") commit = record.hardState.commit;
  }
  return { commit };
}
