// Proposals that go from one node to another, as a driver sees them: its own that it sends to the leader (forwards.ts), and
// those that come to it because it leads (arrivals.ts). Main thread.
import type { Message, RawNode } from "../raft/index.js";
import {
  ErrProposalDroppedRemoved,
  ErrProposalDroppedTransferring,
  ErrProposalDroppedUncommittedLimit,
  MsgApp,
  MsgHeartbeat,
  MsgReadIndexResp,
  None,
  type RaftError,
} from "../raft/index.js";
import { Arrivals } from "./arrivals.js";
import { Forwards } from "./forwards.js";
import type { ResolvedOptions } from "./options.js";
import type { Proposals } from "./proposals.js";
import { FRAME_ROOM_BYTES } from "./sizes.js";

/** Bytes of proposals that a node may have sent without an answer: for each member, the leader holds as much in memory. */
const WINDOW_BYTES = 4 << 20;
/** The slowest path that is waited for: a request has the time that the bytes in front of it take at this pace. */
const PATH_BYTES_PER_S = 32 << 10;
/** How long a connected leader may take to answer, in election timeouts: it may wait for its disk. */
const ANSWER_ELECTIONS = 5;

type Raft = RawNode["raft"];

export class Forwarding {
  readonly forwards: Forwards;
  readonly arrivals: Arrivals;
  /** Option forwardProposals: while another node leads, proposals made here are sent to it. */
  readonly isOn: boolean;
  /** Sends a message in front of all that the core wants sent from then on. */
  post: (message: Message) => void = () => {};

  /** `openedIn`: the term of the log when it was opened. `obstacles`: PeerLines, for errors. */
  constructor(
    options: ResolvedOptions,
    proposals: Proposals,
    openedIn: number,
    obstacles?: () => readonly string[],
  ) {
    const { id, tickMs, electionTicks, proposalBatchBytes, maxFrameBytes } = options;
    this.isOn = options.forwardProposals;
    const post = (message: Message): void => this.post(message);
    this.arrivals = new Arrivals(options, openedIn, post);
    const limits = {
      batchBytes: Math.min(proposalBatchBytes, maxFrameBytes - FRAME_ROOM_BYTES),
      windowBytes: Math.min(WINDOW_BYTES, options.maxInflightBytes),
      answerTicks: ANSWER_ELECTIONS * electionTicks,
      pathBytesPerTick: (PATH_BYTES_PER_S * tickMs) / 1000,
      graceTicks: electionTicks,
      leaderlessTicks: options.leaderlessTicks,
      timeoutTicks: options.timeoutTicks,
    };
    this.forwards = new Forwards(id, proposals, limits, post, obstacles);
  }

  /** A MsgProp that passed the door: a request, or an answer to one. */
  receive(message: Message, rawNode: RawNode, applied: number): void {
    if (message.entries.length > 0) this.arrivals.take(message, rawNode);
    else this.forwards.answered(message, rawNode.raft, applied);
  }

  /** A message was stepped. */
  // hot
  stepped({ type, from, term }: Message, { lead, term: ours }: Raft): void {
    if (from !== lead || term !== ours) return;
    // A node that led this term and restarted still answers votes and proposals, but sends none of these.
    if (type === MsgApp || type === MsgHeartbeat || type === MsgReadIndexResp)
      this.forwards.heardLeader(from);
  }

  /** Sends the waiting proposals to the leader, which is not this node. True: the leader has to be heard first. */
  send(raft: Raft): boolean {
    this.forwards.send(raft);
    return this.forwards.wantsSign(raft);
  }

  /** A tick passed. */
  tick(raft: Raft): void {
    this.forwards.tick(raft);
    this.askAgain(raft);
  }

  /** Sends unanswered requests again to members with a new connection. */
  askAgain(raft: Raft): void {
    this.forwards.askAgain(raft);
  }

  /** A leader is known, and is this node or connected. */
  reachesLeader({ lead, id }: Raft): boolean {
    return lead === id || (lead !== None && this.forwards.connected.has(lead));
  }

  canSend(raft: Raft): boolean {
    return this.isOn && this.forwards.canSend(raft);
  }

  leaderChanged(raft: Raft): void {
    this.forwards.leaderChanged(raft);
    this.askAgain(raft);
    // This node leads no more: the requests that wait here were for a term in which it did.
    if (raft.lead !== raft.id) this.arrivals.refuseAll();
  }
}

/** Why the core of a leader does not take a proposal, as the end of a sentence. */
export function whyDropped(refusal: RaftError): string {
  if (refusal === ErrProposalDroppedTransferring) return "it hands its leadership over";
  if (refusal === ErrProposalDroppedUncommittedLimit) return "too much waits to be committed";
  if (refusal === ErrProposalDroppedRemoved) return "it is no member any more";
  return refusal.message;
}
