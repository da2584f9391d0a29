// MajorityConfig: a set of voters that decides by simple majority (Raft §5.2 for votes, §5.3 for commit).
// Owns the arithmetic of one majority; who voted and who acknowledged what comes in. Immutable.
import { assert } from "../../base/assert.js";

/** raft's quorum.VoteResult. */
export const VotePending = 1;
export const VoteLost = 2;
export const VoteWon = 3;

/** VotePending, VoteLost or VoteWon. */
export type VoteResult = 1 | 2 | 3;

/** Names by number, as etcd prints them. */
export const VOTE_RESULT_NAMES: readonly string[] = ["", "VotePending", "VoteLost", "VoteWon"];

/** What is known about how far each voter has acknowledged the log. */
export interface AckedIndexer {
  /** The highest index `id` has acknowledged, or -1 if nothing is known of it. */
  ackedIndex(id: number): number;
}

/** A set of voters that decides by its majority. */
export class MajorityConfig {
  /** Ascending, distinct. */
  readonly ids: readonly number[];
  /** Room to sort the acknowledged indexes in; one slot a voter, so that committedIndex allocates nothing. */
  private readonly scratch: Float64Array;

  constructor(ids: readonly number[]) {
    const sorted = ids.slice().sort((a, b) => a - b);
    for (let i = 0; i < sorted.length; i++) {
      assert(Number.isSafeInteger(sorted[i]), "voter id is no safe integer");
      assert(i === 0 || sorted[i - 1] < sorted[i], "voter listed twice");
    }
    this.ids = sorted;
    this.scratch = new Float64Array(sorted.length);
  }

  has(id: number): boolean {
    const ids = this.ids;
    for (let i = 0; i < ids.length; i++) {
      if (ids[i] === id) return true;
    }
    return false;
  }

  /** The highest index that a majority has acknowledged. Infinity for the empty set: see JointConfig. */
  // hot
  committedIndex(acked: AckedIndexer): number {
    const ids = this.ids;
    const n = ids.length;
    if (n === 0) return Number.POSITIVE_INFINITY;
    const sorted = this.scratch;
    // Insertion sort while gathering: n is 3 to 7, and the order changes little from call to call.
    for (let i = 0; i < n; i++) {
      const index = Math.max(acked.ackedIndex(ids[i]), 0);
      let j = i;
      while (j > 0 && sorted[j - 1] > index) {
        sorted[j] = sorted[j - 1];
        j--;
      }
      sorted[j] = index;
    }
    // §5.3: n/2+1 voters hold this index or a later one.
    return sorted[n - ((n >>> 1) + 1)];
  }

  /** What the votes cast so far mean: true is yes, false is no, absent is not yet. */
  voteResult(votes: ReadonlyMap<number, boolean>): VoteResult {
    const ids = this.ids;
    // By convention the empty set wins: it is the absent half of a joint config.
    if (ids.length === 0) return VoteWon;
    let yes = 0;
    let missing = 0;
    for (let i = 0; i < ids.length; i++) {
      const vote = votes.get(ids[i]);
      if (vote === undefined) missing++;
      else if (vote) yes++;
    }
    const quorum = (ids.length >>> 1) + 1;
    assert(yes + missing <= ids.length, "more votes than voters");
    if (yes >= quorum) return VoteWon;
    return yes + missing >= quorum ? VotePending : VoteLost;
  }

  /** A bar chart of who acknowledged what, for people and for the data-driven tests. */
  describe(acked: AckedIndexer): string {
    const n = this.ids.length;
    if (n === 0) return "<empty majority quorum>";
    const rows = this.ids.map((id) => ({ id, index: acked.ackedIndex(id), bar: 0 }));
    const ranked = rows.slice().sort((a, b) => Math.max(a.index, 0) - Math.max(b.index, 0) || a.id - b.id);
    for (let i = 1; i < n; i++) {
      const rises = Math.max(ranked[i - 1].index, 0) < Math.max(ranked[i].index, 0);
      ranked[i].bar = rises ? i : ranked[i - 1].bar;
    }
    let text = `${" ".repeat(n)}    idx\n`;
    for (const row of rows) {
      text += row.index < 0 ? `?${" ".repeat(n)}` : `${"x".repeat(row.bar)}>${" ".repeat(n - row.bar)}`;
      text += ` ${String(Math.max(row.index, 0)).padStart(5)}    (id=${row.id.toString(16)})\n`;
    }
    return text;
  }

  toString(): string {
    return `(${this.ids.map((id) => id.toString(16)).join(" ")})`;
  }
}
