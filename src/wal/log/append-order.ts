// What a log was given so far, written or not: the last entry and the hard state. Refuses what cannot follow, before any
// of it is written: recovery would refuse the whole log for it, with all that was acknowledged behind it. What only the
// terms of older entries would tell is left to recovery, which lets a commit index fall with a new term, as etcd's package
// writes what it is given. Main thread.
import { assert } from "../../base/assert.js";
import type { Entry, HardState } from "../../raft/raftpb/index.js";
import type { LogBase } from "../read/wal-storage.js";

export class AppendOrder {
  hardState: HardState;
  private last: number;
  private lastTerm: number;

  constructor(hardState: HardState, last: number, lastTerm: number) {
    this.hardState = hardState;
    this.last = last;
    this.lastTerm = lastTerm;
  }

  /** Takes an append in. Throws InvariantError, and nothing is changed, if it cannot follow. */
  // hot
  take(hardState: HardState | null, entries: readonly Entry[]): void {
    const count = entries.length;
    if (count > 0) this.checkEntries(entries);
    if (hardState !== null) {
      this.checkState(hardState);
      this.hardState = hardState;
    }
    if (count > 0) {
      this.last = entries[count - 1].index;
      this.lastTerm = entries[count - 1].term;
    }
  }

  /**
   * Throws InvariantError for a snapshot that cannot be of this log: `termOf` says what is known of an entry's term. It would
   * drop committed entries behind it.
   */
  checkSnapshot({ index, term }: LogBase, termOf: (index: number) => number | null): void {
    const { commit } = this.hardState;
    const known = termOf(Math.min(index, commit));
    if (known === null) return;
    assert(
      index > commit || term === known,
      "a snapshot of another term than the committed entry at its index",
    );
    assert(term >= known, "a snapshot of a lower term than a committed entry before it");
  }

  /** A snapshot's record is appended, and the hard state that it proves. `known`: the term of the entry at its index. */
  snapshot({ index, term }: LogBase, raised: HardState, known: number | null): void {
    this.hardState = raised;
    // Of another term than the entry, it replaces the log.
    if (index < this.last && known === term) return;
    this.last = index;
    this.lastTerm = term;
  }

  /** A commit index may be above the entries, as of who writes it first: they may come. */
  private checkState({ term, vote, commit }: HardState): void {
    assert(isCount(term) && isCount(vote) && isCount(commit), "a hard state of other than whole numbers");
    assert(term > 0 || (vote === 0 && commit === 0), "a vote or a commit index without a term");
    const before = this.hardState;
    assert(term >= before.term && commit >= before.commit, "a hard state goes back behind the one before it");
  }

  // hot
  private checkEntries(entries: readonly Entry[]): void {
    const { index: first, term: firstTerm } = entries[0];
    assert(
      isCount(first) && isCount(first + entries.length),
      "an entry's index is no whole number below 2^53",
    );
    assert(first <= this.last + 1, "gap between the log and the entries to append");
    assert(first > Math.min(this.hardState.commit, this.last), "an entry in place of a committed one");
    assert(
      first <= this.last || firstTerm >= this.lastTerm,
      "an entry of a lower term than the one before it",
    );
    let term = 1;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i];
      assert(entry.index === first + i, "gap between the entries to append");
      assert(entry.term >= term, "an entry of a lower term than the one before it");
      term = entry.term;
    }
    assert(isCount(term), "an entry's term is no whole number below 2^53");
  }
}

// hot
function isCount(value: number): boolean {
  return value >= 0 && Number.isSafeInteger(value);
}
