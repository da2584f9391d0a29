// Elections (§5.2, §5.4.1; pre-votes: dissertation §9.6): campaigning, granting votes, counting them.
import { assert } from "../base/assert.js";
import { hex } from "./logger.js";
import type { VoteResult } from "./quorum/index.js";
import type { Raft } from "./raft.js";
import {
  MESSAGE_TYPE_NAMES,
  Message,
  type MessageType,
  MsgPreVote,
  MsgPreVoteResp,
  MsgVote,
  MsgVoteResp,
  None,
} from "./raftpb/index.js";
import { StateFollower, StateLeader } from "./ready.js";

/** Kinds of campaign: the round that only asks, a real one, and one at the leader's request. */
export const campaignPreElection = 0;
export const campaignElection = 1;
export const campaignTransfer = 2;
export type CampaignType = 0 | 1 | 2;

/** Context of a vote request that the leader asked for: voters grant it although they hear a leader. */
const CAMPAIGN_TRANSFER = ascii("CampaignTransfer");

/** Starts an election if this node may: it is a voter, and has applied what may have changed who is. */
export function hup(r: Raft, type: CampaignType): void {
  if (r.state === StateLeader) {
    r.logger?.debug(`${hex(r.id)} ignoring MsgHup because already leader`);
    return;
  }
  if (!r.promotable()) {
    r.logger?.warn(`${hex(r.id)} is unpromotable and can not campaign`);
    return;
  }
  if (r.raftLog.hasUnappliedConfChange()) {
    r.logger?.warn(
      `${hex(r.id)} cannot campaign at term ${r.term} since there are still pending configuration ` +
        `changes to apply`,
    );
    return;
  }
  if (type !== campaignTransfer && r.ticks < r.promisedUntil) {
    // Voting for itself would break the lease as any other vote would. Not by timeout: that comes later.
    r.logger?.info(
      `${hex(r.id)} cannot campaign at term ${r.term} while a leader's lease may rest on its vote`,
    );
    return;
  }
  r.logger?.info(`${hex(r.id)} is starting a new election at term ${r.term}`);
  campaign(r, type);
}

/** Asks all voters for their votes, this node included. */
export function campaign(r: Raft, type: CampaignType): void {
  if (!r.promotable()) {
    r.logger?.warn(`${hex(r.id)} is unpromotable; campaign() should have been called`);
  }
  const pre = type === campaignPreElection;
  if (pre) r.becomePreCandidate();
  else r.becomeCandidate();
  assert(r.term < Number.MAX_SAFE_INTEGER, "no term is left");
  const term = pre ? r.term + 1 : r.term;
  const request = pre ? MsgPreVote : MsgVote;
  const lastIndex = r.raftLog.lastIndex();
  const lastTerm = r.raftLog.lastTerm();
  for (const id of r.trk.voterNodes()) {
    const own = id === r.id;
    // The own vote counts when it is stored, like everybody's: it comes back after the append as a response.
    const m = new Message(own ? voteRespMsgType(request) : request);
    m.to = id;
    m.term = term;
    if (!own) {
      m.index = lastIndex;
      m.logTerm = lastTerm;
      if (type === campaignTransfer) m.context = CAMPAIGN_TRANSFER;
      r.logger?.info(
        `${hex(r.id)} [logterm: ${lastTerm}, index: ${lastIndex}] sent ${MESSAGE_TYPE_NAMES[request]} ` +
          `request to ${hex(id)} at term ${r.term}`,
      );
    }
    r.send(m);
  }
}

/** Counts one vote of this node's campaign, and tells what all votes so far mean. */
export function poll(r: Raft, m: Message): VoteResult {
  const name = MESSAGE_TYPE_NAMES[m.type];
  const rejection = m.reject ? " rejection" : "";
  r.logger?.info(`${hex(r.id)} received ${name}${rejection} from ${hex(m.from)} at term ${r.term}`);
  r.trk.recordVote(m.from, !m.reject);
  const { granted, rejected, result } = r.trk.tallyVotes();
  r.logger?.info(`${hex(r.id)} has received ${granted} ${name} votes and ${rejected} vote rejections`);
  return result;
}

/**
 * True if a vote would break a leader's lease (Config.readOnlyOption), of whatever term, and whether or not this node
 * still remembers that leader: it may have been restarted since.
 */
export function breaksPromise(r: Raft, m: Message): boolean {
  if (r.ticks >= r.promisedUntil || isCampaignTransfer(m.context)) return false;
  if (r.logger !== null)
    logVote(r, m, "ignored", "from", `: promised for ${r.promisedUntil - r.ticks} more ticks`);
  return true;
}

/** True if a vote request of a higher term must not disturb the leader we hear (dissertation §4.2.3). */
export function inLease(r: Raft, m: Message): boolean {
  if (!r.settings.checkQuorum || r.lead === None) return false;
  if (r.electionElapsed >= r.settings.electionTick || isCampaignTransfer(m.context)) return false;
  if (r.logger !== null) {
    const left = r.settings.electionTick - r.electionElapsed;
    logVote(r, m, "ignored", "from", `: lease is not expired (remaining ticks: ${left})`);
  }
  return true;
}

/** A vote request of this term, or a pre-vote of a later one. */
export function handleVoteRequest(r: Raft, m: Message): void {
  const canVote =
    // A repeat of a vote already given,
    r.vote === m.from ||
    // or nobody has it, and no leader of this term is known,
    (r.vote === None && r.lead === None) ||
    // or it is no vote at all, but a question about a later term.
    (m.type === MsgPreVote && m.term > r.term);
  const response = new Message(voteRespMsgType(m.type));
  response.to = m.from;
  // §5.4.1: only whoever has all committed entries may lead. Learners vote too: a node that does not know yet
  // that it was promoted would else hold up an election that needs it.
  if (canVote && r.raftLog.isUpToDate(m.index, m.logTerm)) {
    if (r.logger !== null) logVote(r, m, "cast", "for", "");
    // A pre-vote's answer has the term that was asked about, not ours.
    response.term = m.term;
    r.send(response);
    if (m.type === MsgVote) {
      r.electionElapsed = 0;
      r.vote = m.from;
    }
    return;
  }
  rejectVote(r, m);
}

/**
 * A rejection carries the voter's own term, so that a candidate that is behind learns it. A voter that cannot lead
 * itself adds what it knows to be committed (Config.beyondEtcd): it may have led, with entries that nobody else has, until a change
 * committed that took its vote away. Members that do not know of the change still need its vote, and would never get it.
 */
export function rejectVote(r: Raft, m: Message): void {
  if (r.logger !== null) logVote(r, m, "rejected", "from", "");
  const response = new Message(voteRespMsgType(m.type));
  response.to = m.from;
  response.term = r.term;
  response.reject = true;
  if (r.settings.beyondEtcd && !r.promotable()) {
    response.commit = r.raftLog.committed;
    response.logTerm = r.raftLog.termOrZero(response.commit);
  }
  r.send(response);
}

/** Takes what a rejection says to be committed, if this node has it: that is so whatever the terms are. */
export function learnCommit(r: Raft, { commit, logTerm }: Message): void {
  if (commit <= r.raftLog.committed || r.state === StateLeader || !r.raftLog.matchTerm(commit, logTerm))
    return;
  r.raftLog.commitTo(commit);
  // It asks again when the change is applied, whoever votes then.
  if (r.state !== StateFollower && r.raftLog.hasUnappliedConfChange()) r.becomeFollower(r.term, None);
}

function voteRespMsgType(request: MessageType): MessageType {
  if (request === MsgVote) return MsgVoteResp;
  assert(request === MsgPreVote, "not a vote message");
  return MsgPreVoteResp;
}

function logVote(r: Raft, m: Message, verb: string, preposition: string, tail: string): void {
  const log = r.raftLog;
  r.logger?.info(
    `${hex(r.id)} [logterm: ${log.lastTerm()}, index: ${log.lastIndex()}, vote: ${hex(r.vote)}] ${verb} ` +
      `${MESSAGE_TYPE_NAMES[m.type]} ${preposition} ${hex(m.from)} ` +
      `[logterm: ${m.logTerm}, index: ${m.index}] at term ${r.term}${tail}`,
  );
}

/** Whether a vote request has the leader's word for it. */
export function isCampaignTransfer(context: Uint8Array): boolean {
  if (context.length !== CAMPAIGN_TRANSFER.length) return false;
  for (let i = 0; i < context.length; i++) {
    if (context[i] !== CAMPAIGN_TRANSFER[i]) return false;
  }
  return true;
}

function ascii(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
