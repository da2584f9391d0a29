// The one place where the bench reads a log from disk.

import type { Entry } from "../../src/index.js";
import { readWal } from "../../src/wal/index.js";

/** What a node's log says of itself, besides its entries. */
export interface LogEnd {
  readonly term: number;
  readonly commit: number;
  /** 0: empty. */
  readonly lastIndex: number;
}

/**
 * Reads the log of the node whose data lies in `dir`, read-only, and calls `visit` for each entry in index order,
 * entries that were overwritten left out. Throws what the WAL throws for a log that cannot be trusted.
 */
export async function readLog(dir: string, visit: (entry: Entry) => void): Promise<LogEnd> {
  const log = await readWal(`${dir}/wal`);
  for (const entry of log.entries) visit(entry);
  const lastIndex = log.entries.length === 0 ? 0 : log.entries[log.entries.length - 1].index;
  return { term: log.hardState.term, commit: log.hardState.commit, lastIndex };
}
