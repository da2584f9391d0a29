// ProgressTracker: the active membership, the leader's Progress of every member, and the votes of an
// election. Owns who counts; what follows from the counts is for the state machine to decide.
import { assert } from "../../base/assert.js";
import { JointConfig, MajorityConfig, type VoteResult, VoteWon } from "../quorum/index.js";
import type { ConfState } from "../raftpb/index.js";
import { Inflights } from "./inflights.js";
import { Progress } from "./progress.js";

/** Progress by the id of the member. */
export type ProgressMap = ReadonlyMap<number, Progress>;

/** A membership. Immutable; id lists ascending. Only a Changer makes new ones. */
export interface TrackerConfig {
  readonly voters: JointConfig;
  /** Receive the log and have no vote. Disjoint from both halves of the voters. */
  readonly learners: readonly number[];
  /** Voters of the outgoing half that become learners when the joint config is left. */
  readonly learnersNext: readonly number[];
  /** The leader leaves the joint config by itself. False unless the config is joint. */
  readonly autoLeave: boolean;
}

const NO_VOTERS = new MajorityConfig([]);

const EMPTY_TRACKER_CONFIG: TrackerConfig = {
  voters: new JointConfig(NO_VOTERS, NO_VOTERS),
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

/** Votes that were given, and what they decide. */
export interface VoteTally {
  readonly granted: number;
  readonly rejected: number;
  readonly result: VoteResult;
}

/** Who the members are, how far each is, and who voted for whom. */
export class ProgressTracker {
  config: TrackerConfig = EMPTY_TRACKER_CONFIG;
  /** Exactly the members of config: voters of both halves and learners. */
  progress: ProgressMap = new Map();
  /** Yes or no of this election, by id; the first vote of each counts. */
  readonly votes = new Map<number, boolean>();
  readonly maxInflight: number;
  readonly maxInflightBytes: number;

  /** Members ascending, and their Progress at the same places: what hot loops run over. */
  peerIds: readonly number[] = [];
  peers: readonly Progress[] = [];

  constructor(maxInflight: number, maxInflightBytes: number) {
    this.maxInflight = maxInflight;
    this.maxInflightBytes = maxInflightBytes;
  }

  get voters(): JointConfig {
    return this.config.voters;
  }

  get learners(): readonly number[] {
    return this.config.learners;
  }

  get learnersNext(): readonly number[] {
    return this.config.learnersNext;
  }

  get autoLeave(): boolean {
    return this.config.autoLeave;
  }

  /** Replaces the membership by what a Changer computed. References to a Progress taken before are dead. */
  install(config: TrackerConfig, progress: ProgressMap): void {
    const ids = [...progress.keys()].sort((a, b) => a - b);
    for (const id of config.voters.ids()) assert(progress.has(id), "no progress for a voter");
    this.config = config;
    this.progress = progress;
    this.peerIds = ids;
    this.peers = ids.map((id) => progress.get(id)!);
  }

  /** A Progress for a member nobody knows anything about yet. */
  newProgress(match: number, next: number, isLearner: boolean): Progress {
    return new Progress({
      match,
      next,
      inflights: new Inflights(this.maxInflight, this.maxInflightBytes),
      isLearner,
      // Active at first, so that a quorum check right after it was added does not count it as lost.
      recentActive: true,
    });
  }

  confState(): ConfState {
    return {
      voters: this.config.voters.incoming.ids,
      learners: this.config.learners,
      votersOutgoing: this.config.voters.outgoing.ids,
      learnersNext: this.config.learnersNext,
      autoLeave: this.config.autoLeave,
    };
  }

  /** AckedIndexer: a voter has acknowledged up to its match. */
  // hot
  ackedIndex(id: number): number {
    const progress = this.progress.get(id);
    return progress === undefined ? -1 : progress.match;
  }

  /** The highest index that a quorum holds. */
  // hot
  committed(): number {
    return this.config.voters.committedIndex(this);
  }

  /** The latest round of heartbeats that a quorum answered; `self` answers each at once. Infinity without voters. */
  confirmedRound(self: number, lastRound: number): number {
    const acked = {
      ackedIndex: (id: number) => (id === self ? lastRound : (this.progress.get(id)?.heartbeatRound ?? -1)),
    };
    return this.config.voters.committedIndex(acked);
  }

  /** Whether no vote but that of `id` counts, whoever learns. */
  isSoleVoter(id: number): boolean {
    const { incoming, outgoing } = this.config.voters;
    return outgoing.ids.length === 0 && incoming.ids.length === 1 && incoming.ids[0] === id;
  }

  /** Calls `fn` for every member, ids ascending. Hot loops run over peerIds and peers instead. */
  visit(fn: (id: number, progress: Progress) => void): void {
    // Local references: `fn` may change the membership.
    const { peerIds, peers } = this;
    for (let i = 0; i < peerIds.length; i++) fn(peerIds[i], peers[i]);
  }

  /** Whether a quorum was heard of since the last check (Raft dissertation §6.2). */
  quorumActive(): boolean {
    const active = new Map<number, boolean>();
    this.visit((id, progress) => {
      if (!progress.isLearner) active.set(id, progress.recentActive);
    });
    return this.config.voters.voteResult(active) === VoteWon;
  }

  /** All voters of both halves, ascending. */
  voterNodes(): readonly number[] {
    return this.config.voters.ids();
  }

  resetVotes(): void {
    this.votes.clear();
  }

  /** Notes a vote unless `id` has voted already. */
  recordVote(id: number, vote: boolean): void {
    if (!this.votes.has(id)) this.votes.set(id, vote);
  }

  /** Votes cast by voters (a learner's is not counted), and what they mean. */
  tallyVotes(): VoteTally {
    let granted = 0;
    let rejected = 0;
    this.visit((id, progress) => {
      const vote = progress.isLearner ? undefined : this.votes.get(id);
      if (vote === undefined) return;
      if (vote) granted++;
      else rejected++;
    });
    assert(granted + rejected <= this.votes.size, "counted a vote that was not cast");
    return { granted, rejected, result: this.config.voters.voteResult(this.votes) };
  }

  configString(): string {
    return describeTrackerConfig(this.config);
  }
}

/** `voters=(1 2)&&(1) learners=(3) learners_next=(2) autoleave`, absent parts left out; ids in hex. */
function describeTrackerConfig(config: TrackerConfig): string {
  let text = `voters=${config.voters.toString()}`;
  if (config.learners.length > 0) text += ` learners=${new MajorityConfig(config.learners).toString()}`;
  if (config.learnersNext.length > 0) {
    text += ` learners_next=${new MajorityConfig(config.learnersNext).toString()}`;
  }
  return config.autoLeave ? `${text} autoleave` : text;
}

/** One line per member, ids (decimal) ascending. */
export function describeProgressMap(progress: ProgressMap): string {
  const ids = [...progress.keys()].sort((a, b) => a - b);
  return ids.map((id) => `${id}: ${progress.get(id)!.toString()}\n`).join("");
}
