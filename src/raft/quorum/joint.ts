// JointConfig: two majorities that must agree while the membership changes (Raft §6, joint consensus).
// Outside a change the outgoing half is empty, and an empty half agrees with everything. Immutable.
import { assert } from "../../base/assert.js";
import {
  type AckedIndexer,
  MajorityConfig,
  VoteLost,
  VotePending,
  type VoteResult,
  VoteWon,
} from "./majority.js";

/** Voters: of one majority, or of two while members change. */
export class JointConfig {
  readonly incoming: MajorityConfig;
  /** Empty unless the config is joint. */
  readonly outgoing: MajorityConfig;
  private readonly union: readonly number[];

  constructor(incoming: MajorityConfig, outgoing: MajorityConfig) {
    this.incoming = incoming;
    this.outgoing = outgoing;
    const onlyOutgoing = outgoing.ids.filter((id) => !incoming.has(id));
    this.union = incoming.ids.concat(onlyOutgoing).sort((a, b) => a - b);
    assert(this.union.length >= incoming.ids.length, "union lost an incoming voter");
  }

  /** All voters of both halves, ascending, each once. */
  ids(): readonly number[] {
    return this.union;
  }

  has(id: number): boolean {
    return this.incoming.has(id) || this.outgoing.has(id);
  }

  /** Committed only where both halves have a majority. Infinity if both are empty. */
  // hot
  committedIndex(acked: AckedIndexer): number {
    const first = this.incoming.committedIndex(acked);
    if (this.outgoing.ids.length === 0) return first;
    return Math.min(first, this.outgoing.committedIndex(acked));
  }

  /** Won needs both halves; one lost half loses. */
  voteResult(votes: ReadonlyMap<number, boolean>): VoteResult {
    const first = this.incoming.voteResult(votes);
    const second = this.outgoing.voteResult(votes);
    if (first === second) return first;
    if (first === VoteLost || second === VoteLost) return VoteLost;
    assert(first === VoteWon || second === VoteWon, "two different results, neither won nor lost");
    return VotePending;
  }

  /** As MajorityConfig.describe, over the voters of both halves. */
  describe(acked: AckedIndexer): string {
    return new MajorityConfig(this.union).describe(acked);
  }

  toString(): string {
    const incoming = this.incoming.toString();
    return this.outgoing.ids.length === 0 ? incoming : `${incoming}&&${this.outgoing.toString()}`;
  }
}
