// A second way to compute a committed index: slow, obvious, and with nothing in common with the engine's.
import type { AckedIndexer } from "../../src/raft/quorum/index.js";

/** The highest index known of any voter that a majority of `ids` has reached; 0 if there is none. */
export function alternativeCommittedIndex(ids: readonly number[], acked: AckedIndexer): number {
  if (ids.length === 0) return Number.POSITIVE_INFINITY;
  const thresholds = [...new Set(ids.map((id) => acked.ackedIndex(id)))].filter((index) => index >= 0);
  const quorum = Math.floor(ids.length / 2) + 1;
  let best = 0;
  for (const threshold of thresholds) {
    const reached = ids.filter((id) => acked.ackedIndex(id) >= threshold).length;
    if (reached >= quorum && threshold > best) best = threshold;
  }
  return best;
}
