// The one place where the bench reads a log from disk.

import type { Entry } from "../../src/index.js";
import { realFileSystem, scanWal } from "../../src/wal/index.js";

/** What a node's log says of itself, besides its entries. */
export interface LogEnd {
  readonly term: number;
  readonly commit: number;
  /** 0: empty. */
  readonly lastIndex: number;
}

/**
 * Reads the log of the node whose data lies in `dir`, read-only, every CRC checked, and visits its entries in index
 * order, borrowed for the call. Entries that were overwritten are left out; since the first reading may come upon
 * one late, `begin` is called for each reading and returns that one's visitor. Throws what the WAL throws for a log
 * that cannot be trusted.
 */
export function readLog(dir: string, begin: () => (entry: Entry) => void): LogEnd {
  const runs: Run[] = [];
  let visit = begin();
  let lastIndex = 0;
  let entries = 0;
  const scan = scanWal(realFileSystem, `${dir}/wal`, {
    entry(entry) {
      if (entry.index !== lastIndex + 1) runs.push({ first: entries, index: entry.index });
      lastIndex = entry.index;
      entries++;
      if (runs.length === 0) visit(entry);
    },
  });
  if (runs.length > 0) {
    visit = begin();
    visitLiving(dir, runs, visit);
  }
  return { term: scan.hardState.term, commit: scan.hardState.commit, lastIndex };
}

/** The entry with ordinal `first` broke the sequence with `index`. */
interface Run {
  readonly first: number;
  readonly index: number;
}

/** Visits the entries that no later run begins at or below. */
function visitLiving(dir: string, runs: readonly Run[], visit: (entry: Entry) => void): void {
  const lowestFrom = runs.map((_, i) => Math.min(...runs.slice(i).map(({ index }) => index)));
  let ordinal = 0;
  let next = 0;
  scanWal(realFileSystem, `${dir}/wal`, {
    entry(entry) {
      while (next < runs.length && runs[next].first <= ordinal) next++;
      ordinal++;
      if (next === runs.length || entry.index < lowestFrom[next]) visit(entry);
    },
  });
}
