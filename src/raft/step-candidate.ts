// What a candidate and a pre-candidate do with a message of their term (§5.2).
import { assert } from "../base/assert.js";
import { campaign, campaignElection, poll } from "./election.js";
import { ErrProposalDroppedNoLeader, type RaftError } from "./errors.js";
import { hex } from "./logger.js";
import { VoteLost, VoteWon } from "./quorum/index.js";
import type { Raft } from "./raft.js";
import {
  type Message,
  MsgApp,
  MsgHeartbeat,
  MsgPreVoteResp,
  MsgProp,
  MsgReadIndexResp,
  MsgSnap,
  MsgTimeoutNow,
  MsgVoteResp,
  None,
} from "./raftpb/index.js";
import { STATE_NAMES, StateCandidate, StatePreCandidate } from "./ready.js";
import { bcastAppend } from "./replicate.js";
import { handleAppendEntries, handleHeartbeat, handleSnapshot, takeReadIndex } from "./step-follower.js";

export function stepCandidate(r: Raft, m: Message): RaftError | null {
  assert(r.state === StateCandidate || r.state === StatePreCandidate, "not a candidate");
  switch (m.type) {
    case MsgProp:
      r.logger?.info(`${hex(r.id)} no leader at term ${r.term}; dropping proposal`);
      return ErrProposalDroppedNoLeader;
    // Whoever sends these leads the term: the election is over.
    case MsgApp:
      r.becomeFollower(m.term, m.from);
      handleAppendEntries(r, m);
      return null;
    case MsgHeartbeat:
      r.becomeFollower(m.term, m.from);
      handleHeartbeat(r, m);
      return null;
    case MsgSnap:
      r.becomeFollower(m.term, m.from);
      handleSnapshot(r, m);
      return null;
    case MsgPreVoteResp:
    case MsgVoteResp:
      handleVoteResponse(r, m);
      return null;
    // Who leads this term proved it for a read of ours: that counts, whatever we were about to ask the others. A heartbeat
    // may end this campaign before anybody hears of it, and then nobody asks again.
    case MsgReadIndexResp:
      takeReadIndex(r, m);
      return null;
    case MsgTimeoutNow:
      r.logger?.debug(
        `${hex(r.id)} [term ${r.term} state ${STATE_NAMES[r.state]}] ignored MsgTimeoutNow ` +
          `from ${hex(m.from)}`,
      );
      return null;
    default:
      return null;
  }
}

function handleVoteResponse(r: Raft, m: Message): void {
  // A candidate may still get answers to its pre-vote: they say nothing about this round.
  const awaited = r.state === StatePreCandidate ? MsgPreVoteResp : MsgVoteResp;
  if (m.type !== awaited) return;
  const result = poll(r, m);
  if (result === VoteWon) {
    if (r.state === StatePreCandidate) {
      campaign(r, campaignElection);
    } else if (r.trk.votes.has(r.id) || !r.settings.beyondEtcd) {
      // Not on the votes of others alone, as etcd raft does: with async storage writes their requests left before this
      // node's term and vote were stored. If it led now and crashed, it could be elected again in the same term, with
      // another log.
      r.becomeLeader();
      bcastAppend(r);
    }
  } else if (result === VoteLost) {
    // A pre-vote's answers carry a later term; ours stays.
    r.becomeFollower(r.term, None);
  }
}
