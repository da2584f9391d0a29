// Proposals of a node that does not lead. They are sent to the leader, which answers where in its log they are, or that they
// are nowhere; then they are settled by what this node applies at that place, as a leader's own are. They wait until there is
// a leader that is connected and was heard. Main thread.
//
// A request that is not answered may be in the leader's log. When the connection with that node broke and another was
// opened, the same request is sent again: whether or not that node still leads, it repeats the answer that it gave before, or
// answers a request that it never got. A request is given up, `mayCommit` true, when it is not answered for long; sooner if
// that node is cut off or leads no more. Proposals that the leader did not append wait again, for the next leader.
import { randomBytes } from "node:crypto";
import { NO_DATA } from "../base/bytes.js";
import { RaftmarkError } from "../base/errors.js";
import { Fifo } from "../base/fifo.js";
import { Entry, EntryNormal, Message, MsgProp, None, type RawNode, StateLeader } from "../raft/index.js";
import { ENTRY_OVERHEAD_BYTES } from "../wire/index.js";
import { isNormal } from "./applier.js";
import { partedAt } from "./batch-call.js";
import { noLeader } from "./call-watch.js";
import {
  type ForwardRefusal,
  forwardContext,
  LIFE_BYTES,
  NoMember,
  NotLeading,
  Overloaded,
  REQUESTS_MAX,
  sequenceIn,
  TooLarge,
  Transferring,
  UncommittedLimit,
} from "./forward-wire.js";
import { payloadsOf } from "./payload-copies.js";
import type { Proposal } from "./proposal.js";
import { lost, type Proposals, timedOut } from "./proposals.js";

type Raft = RawNode["raft"];

export interface ForwardLimits {
  /** Bytes of one request, with what entries cost besides; a single proposal may have more. */
  readonly batchBytes: number;
  /** Of proposals that were sent and are not answered, with what entries cost besides. */
  readonly windowBytes: number;
  /** A request that is not answered for so many ticks is given up. */
  readonly answerTicks: number;
  /** Besides, it has the time that a path takes which carries so many bytes a tick. */
  readonly pathBytesPerTick: number;
  /** The same, once that node is cut off or leads no more. A leader that refused is not asked again for as long, either. */
  readonly graceTicks: number;
  /** Without a leader to send it to, a proposal is given up after so many ticks. */
  readonly leaderlessTicks: number;
  readonly timeoutTicks: number;
}

/** What was sent in one message. */
interface Request {
  readonly to: number;
  readonly term: number;
  /** Empty: all were given up, but the message may still be on its way. */
  proposals: Proposal[];
  readonly bytes: number;
  /** The tick at which it was sent last, and the one at which it is given up. */
  sentAt: number;
  dueAt: number;
  /** The node that has it is cut off, or leads no more. */
  isCutOff: boolean;
}

/** Entries of one term that were applied together, one behind the other, all of them normal. */
interface AppliedRun {
  readonly first: number;
  readonly term: number;
  readonly count: number;
  /** Of each; undefined: none has any. */
  readonly results: readonly unknown[] | undefined;
}

/**
 * How many applied entries are remembered while a request is unanswered: where a connection broke, a request's entries may be
 * applied here before the answer says which they are.
 */
const RECENT_ENTRIES_MAX = 16_384;

export class Forwards {
  private readonly id: number;
  private readonly limits: ForwardLimits;
  private readonly proposals: Proposals;
  private readonly post: (message: Message) => void;
  private readonly obstacles: () => readonly string[];
  /** LIFE_BYTES drawn by this process; empty: nothing was sent yet. */
  private life: Uint8Array = NO_DATA;
  private sequence = 0;
  private readonly requests = new Map<number, Request>();
  private sentBytes = 0;
  /** Proposals whose place in the log is known and not applied yet: ascending by term, and by index within a term. */
  private placed: Proposal[] = [];
  private readonly recent = new Fifo<AppliedRun>();
  private recentEntries = 0;
  private ticks = 0;
  private readonly hearers = new Set<number>();
  /** Members that hear this node: what is sent to them now has a way. */
  readonly connected: ReadonlySet<number> = this.hearers;
  /** Those of them that were heard as leader over the present connection. */
  private readonly heard = new Set<number>();
  /** Members that were asked for a sign of life since a connection with them was opened. */
  private readonly asked = new Set<number>();
  /** Members with a new connection: what was under way on the one before may be lost, so they are to be asked again. */
  private readonly reopened = new Set<number>();
  /** Bytes of the requests that were sent again since the last tick. */
  private askedAgainBytes = 0;
  /** A leader that refused, in which term, and until when it is not asked again. */
  private refuser = 0;
  private refusedIn = 0;
  private refusedUntil = 0;
  /** Proposals up to this number are sent each by itself: a leader found one among some of them too large. */
  private aloneUpTo = -1;
  /** Ticks without a leader to send to, and without one that is known. */
  private stuckTicks = 0;
  private leaderlessTicks = 0;
  /** Proposals that were sent, those that were sent again included. */
  sent = 0;

  /** `post` sends a message, in front of what the core wants sent from then on. `obstacles`: PeerLines, for errors. */
  constructor(
    id: number,
    proposals: Proposals,
    limits: ForwardLimits,
    post: (message: Message) => void,
    obstacles = (): readonly string[] => [],
  ) {
    this.id = id;
    this.proposals = proposals;
    this.limits = limits;
    this.post = post;
    this.obstacles = obstacles;
  }

  /** What is applied settles some proposals now, or may have settled them once their place is known. */
  get awaits(): boolean {
    return this.placed.length > 0 || this.requests.size > 0;
  }

  /** Whether something that waits can be sent now. */
  canSend(raft: Raft): boolean {
    const hasRoom = this.sentBytes < this.limits.windowBytes && this.requests.size < REQUESTS_MAX;
    return hasRoom && this.hasLeader(raft);
  }

  /**
   * Whether there is a leader that is connected, and was heard over that connection: after a connection broke the leader may
   * have restarted, and would not know what its earlier life appended.
   */
  private hasLeader({ lead, term }: Raft): boolean {
    if (lead === None || lead === this.id || !this.heard.has(lead)) return false;
    return lead !== this.refuser || term !== this.refusedIn || this.ticks >= this.refusedUntil;
  }

  /** The leader of this term said something that nobody else says. */
  // hot
  heardLeader(lead: number): void {
    if (!this.heard.has(lead) && this.connected.has(lead)) this.heard.add(lead);
  }

  /** Something waits for the leader to be heard, and may wait until its next heartbeat. True once for each connection. */
  wantsSign({ lead }: Raft): boolean {
    if (this.proposals.waitingCount === 0 || this.heard.has(lead)) return false;
    if (!this.connected.has(lead) || this.asked.has(lead)) return false;
    this.asked.add(lead);
    return true;
  }

  /** Sends what waits, as far as the window goes. */
  send(raft: Raft): void {
    const { proposals, limits } = this;
    if (this.life.length === 0) this.life = randomBytes(LIFE_BYTES);
    while (proposals.waitingCount > 0 && this.canSend(raft)) {
      const bytesMax = proposals.oldestWaiting <= this.aloneUpTo ? 0 : limits.batchBytes;
      const batch = proposals.take(bytesMax, ENTRY_OVERHEAD_BYTES);
      const bytes = batch.reduce((sum, { size, count }) => sum + size + count * ENTRY_OVERHEAD_BYTES, 0);
      this.sentBytes += bytes;
      const { lead: to, term } = raft;
      const request = {
        to,
        term,
        proposals: batch,
        bytes,
        sentAt: this.ticks,
        dueAt: this.dueBehind(this.sentBytes),
        isCutOff: false,
      };
      this.requests.set(++this.sequence, request);
      this.sent += entriesIn(batch);
      this.post(this.messageOf(this.sequence, request));
    }
  }

  /** The tick at which a request that is sent now is given up; `bytes` are on the path in front of its end. */
  private dueBehind(bytes: number): number {
    const { answerTicks, pathBytesPerTick } = this.limits;
    return this.ticks + answerTicks + Math.ceil(bytes / pathBytesPerTick);
  }

  private messageOf(sequence: number, { to, term, proposals }: Request): Message {
    const message = new Message(MsgProp);
    message.to = to;
    message.from = this.id;
    message.term = term;
    message.context = forwardContext(this.life, sequence);
    message.entries = payloadsOf(proposals).map((data) => new Entry(EntryNormal, 0, 0, data));
    return message;
  }

  /**
   * Sends again, in the same order, what a member with a new connection has not answered, whether or not it still leads: it
   * knows what became of it. Several connections often break together: what would be more than a window in one tick waits
   * for the next.
   */
  askAgain(raft: Raft): void {
    const { reopened, limits } = this;
    for (const peer of reopened) {
      if (!this.connected.has(peer)) continue;
      if (this.askedAgainBytes > 0 && this.askedAgainBytes + this.sentBytes > limits.windowBytes) return;
      reopened.delete(peer);
      this.askedAgainBytes += this.askOneAgain(peer, raft);
    }
  }

  /** Returns the bytes of what was sent again. */
  private askOneAgain(peer: number, { lead, term }: Raft): number {
    let bytes = 0;
    for (const [sequence, request] of this.requests) {
      if (request.to !== peer) continue;
      const { proposals } = request;
      // All of its proposals are given up. If one is not, all are sent: it has to be the same request.
      if (proposals.every(({ settled }) => settled)) {
        this.forget(sequence, request);
        continue;
      }
      request.isCutOff = false;
      bytes += request.bytes;
      request.sentAt = this.ticks;
      request.dueAt = this.dueBehind(bytes);
      if (peer !== lead || request.term !== term) this.hurry(request);
      this.sent += entriesIn(proposals);
      this.post(this.messageOf(sequence, request));
    }
    return bytes;
  }

  private forget(sequence: number, { bytes }: Request): void {
    this.requests.delete(sequence);
    this.sentBytes -= bytes;
  }

  /** No request is unanswered, so nothing will be looked up in `recent`. */
  private forgetRecent(): void {
    while (this.recent.length > 0) this.recent.shift();
    this.recentEntries = 0;
  }

  /** A leader's answer, which passed refusalOfMessages. */
  answered(answer: Message, raft: Raft, applied: number): void {
    const sequence = sequenceIn(answer.context);
    const request = this.requests.get(sequence);
    if (
      !this.isOurs(answer.context) ||
      request === undefined ||
      request.to !== answer.from ||
      request.term !== answer.term
    )
      return;
    this.forget(sequence, request);
    if (answer.reject) {
      this.refused(request, answer.rejectHint as ForwardRefusal);
      return;
    }
    let { index } = answer;
    for (const proposal of request.proposals) {
      // Before its place is known, since some of it may have an outcome then.
      const { count } = proposal;
      this.place(proposal, request, index, raft, applied);
      index += count;
    }
  }

  private isOurs(context: Uint8Array): boolean {
    return this.life.length > 0 && this.life.every((byte, at) => byte === context[at]);
  }

  private place(proposal: Proposal, { to, term }: Request, index: number, raft: Raft, applied: number): void {
    if (proposal.settled) return;
    proposal.term = term;
    proposal.index = index;
    let rest: Proposal | undefined = proposal;
    // Of a run, what became of each entry by itself.
    while (rest !== undefined && rest.index <= applied) {
      const [first, behind] = partedAt(rest, rest.index);
      this.placedLate(first!, to, raft);
      rest = behind;
    }
    if (rest !== undefined) this.placeAhead(rest, raft, applied);
  }

  /** Its place is not applied yet. */
  private placeAhead(proposal: Proposal, raft: Raft, applied: number): void {
    const { term, index } = proposal;
    const lastTerm = raft.raftLog.termOrZero(applied);
    if (lastTerm > term) {
      // An entry that excludes it is applied already, and perhaps no other follows that would settle it.
      this.proposals.rejectOne(proposal, lost(proposal, { index: applied, term: lastTerm }));
      return;
    }
    const { placed } = this;
    let at = placed.length;
    while (at > 0 && isBehind(placed[at - 1], term, index)) at--;
    placed.splice(at, 0, proposal);
  }

  /** This node applied that place before it heard of it: perhaps it still knows what became of the proposal there. */
  private placedLate(proposal: Proposal, to: number, raft: Raft): void {
    const { term, index } = proposal;
    const run = this.recentRun(index);
    if (run?.term === term) {
      const result = run.results?.[index - run.first];
      this.proposals.resolveFirst(proposal, { index, term, result });
      return;
    }
    const found = run?.term ?? raft.raftLog.termOrZero(index);
    if (found !== 0 && found !== term) {
      this.proposals.rejectOne(proposal, lost(proposal, { index, term: found }));
      return;
    }
    const text = `node ${to}, which led, said too late where the proposal is: its result is not known here any more`;
    this.proposals.rejectOne(proposal, unknown(text));
  }

  private recentRun(index: number): AppliedRun | null {
    for (let at = this.recent.length - 1; at >= 0; at--) {
      const run = this.recent.peek(at);
      if (index >= run.first) return index < run.first + run.count ? run : null;
    }
    return null;
  }

  /** Keeps runs of normal entries. A new leader's first entry is none, and comes in one call with those that waited for it. */
  private remember(entries: readonly Entry[], results: readonly unknown[] | undefined): void {
    const { recent } = this;
    let result = 0;
    for (let at = 0; at < entries.length; ) {
      const { index: first, term } = entries[at];
      let count = 0;
      while (at < entries.length && isNormal(entries[at]) && entries[at].term === term) {
        at++;
        count++;
      }
      if (count === 0) {
        at++;
        continue;
      }
      // The state machine may use its array again.
      recent.push({ first, term, count, results: results?.slice(result, result + count) });
      result += count;
      this.recentEntries += count;
    }
    while (this.recentEntries > RECENT_ENTRIES_MAX) this.recentEntries -= recent.shift().count;
  }

  private refused(request: Request, why: ForwardRefusal): void {
    const { proposals } = this;
    if (why === NotLeading || why === Transferring) {
      this.refuser = request.to;
      this.refusedIn = request.term;
      this.refusedUntil = this.ticks + this.limits.graceTicks;
      proposals.giveBack(request.proposals);
      return;
    }
    // One of them is too large, and the answer does not say which.
    if (why === TooLarge && entriesIn(request.proposals) > 1) {
      const { number, count } = request.proposals.at(-1)!;
      this.aloneUpTo = Math.max(this.aloneUpTo, number + count - 1);
      proposals.giveBack(request.proposals);
      return;
    }
    const error = errorOf(request.to, why);
    for (const proposal of request.proposals) proposals.rejectOne(proposal, error);
  }

  /** This node has applied `entries` and everything before them; `results` are of the normal ones. */
  // hot
  applied(entries: readonly Entry[], results: readonly unknown[] | undefined): void {
    const { placed, proposals } = this;
    if (this.requests.size > 0) this.remember(entries, results);
    let result = 0;
    let done = 0;
    for (let i = 0; i < entries.length && done < placed.length; i++) {
      const entry = entries[i];
      const { term, index } = entry;
      const value = isNormal(entry) ? results?.[result++] : undefined;
      while (done < placed.length && !isBehind(placed[done], term, index)) {
        const proposal = placed[done];
        if (proposal.term < term) proposals.rejectOne(proposal, lost(proposal, { term, index }));
        else if (proposal.index !== index)
          proposals.rejectOne(proposal, unknown("the entry was passed over"));
        // The rest of a run is behind this entry.
        else if (!proposals.resolveFirst(proposal, { index, term, result: value })) break;
        done++;
      }
    }
    // Once: there may be tens of thousands behind them.
    if (done > 0) placed.splice(0, done);
  }

  /** A snapshot stands for the entries up to `last`: nobody can tell here which of those were this node's proposals. */
  skippedTo(last: { readonly index: number; readonly term: number }): void {
    const { proposals } = this;
    const placed = this.placed.flatMap((proposal) => partedAt(proposal, last.index));
    this.placed = placed.filter((proposal) => {
      const isIn = proposal.index <= last.index;
      if (!isIn && proposal.term >= last.term) return true;
      const why = isIn
        ? unknown(
            "a snapshot of the leader's stands for the place of the proposal: its result is not known here",
          )
        : lost(proposal, last);
      proposals.rejectOne(proposal, why);
      return false;
    });
  }

  /** Another leader is known, or none any more, or another term began. */
  leaderChanged({ lead, term }: Raft): void {
    for (const request of this.requests.values()) {
      if (request.to !== lead || request.term !== term) this.hurry(request);
    }
  }

  peerChanged(peer: number, connected: boolean): void {
    this.heard.delete(peer);
    if (connected) {
      this.hearers.add(peer);
      return;
    }
    this.hearers.delete(peer);
    this.unreachable(peer);
  }

  /** A connection with it was opened, to it or from it. */
  pathOpened(peer: number): void {
    this.reopened.add(peer);
    this.asked.delete(peer);
  }

  /** What was sent to it may be lost. */
  unreachable(peer: number): void {
    for (const request of this.requests.values()) if (request.to === peer) this.hurry(request);
  }

  private hurry(request: Request): void {
    request.isCutOff = true;
    request.dueAt = Math.min(request.dueAt, this.ticks + this.limits.graceTicks);
  }

  /** A tick passed. */
  tick(raft: Raft): void {
    this.ticks++;
    this.askedAgainBytes = 0;
    const { leaderlessTicks, timeoutTicks } = this.limits;
    const isStuck = raft.state !== StateLeader && !this.hasLeader(raft);
    this.stuckTicks = isStuck ? this.stuckTicks + 1 : 0;
    this.leaderlessTicks = raft.lead === None ? this.leaderlessTicks + 1 : 0;
    // Each has its time from when it came.
    if (this.stuckTicks > leaderlessTicks)
      this.proposals.refuseOlder(leaderlessTicks, () =>
        noLeader(raft.lead, "did not take proposals of this node", this.obstacles()),
      );
    for (const [sequence, request] of this.requests) this.look(sequence, request);
    if (this.requests.size === 0 && this.recent.length > 0) this.forgetRecent();
    if (this.placed.length === 0) return;
    const isLeaderless = this.leaderlessTicks > leaderlessTicks;
    this.placed = this.placed.filter((proposal) => {
      if (proposal.settled) return false;
      const isLate = this.proposals.isOlder(proposal, timeoutTicks);
      if (isLate) this.proposals.rejectOne(proposal, timedOut(true));
      else if (isLeaderless)
        this.proposals.rejectOne(
          proposal,
          unknown("the leader that has the proposal in its log is gone, and no other is known"),
        );
      return !isLate && !isLeaderless;
    });
  }

  private look(sequence: number, request: Request): void {
    const { proposals, limits } = this;
    const { to, proposals: batch, isCutOff } = request;
    const isDue = this.ticks > request.dueAt;
    const text = `node ${to}, which led, has not said what became of the proposal: it may be in its log`;
    for (const proposal of batch) {
      if (isDue) proposals.rejectOne(proposal, unknown(text));
      else if (proposals.isOlder(proposal, limits.timeoutTicks))
        proposals.rejectOne(proposal, timedOut(true));
    }
    if (!isDue) return;
    if (batch.length > 0 && !isCutOff) {
      // Its bytes may fill the path for long yet, so the window still counts them: as long again, since they may also be lost.
      request.proposals = [];
      request.dueAt = Math.min(2 * this.ticks - request.sentAt, this.ticks + limits.timeoutTicks);
      return;
    }
    this.forget(sequence, request);
  }

  /** The node ends: what was sent may or may not commit. */
  end({ code, message, cause }: RaftmarkError): void {
    const text = `${message}; the proposal was sent to the leader and may still commit`;
    const error = new RaftmarkError(code, text, { mayCommit: true, cause });
    const all = [...this.requests.values()].flatMap((request) => request.proposals).concat(this.placed);
    for (const proposal of all) this.proposals.rejectOne(proposal, error);
    this.requests.clear();
    this.placed = [];
    this.sentBytes = 0;
  }
}

function entriesIn(proposals: readonly Proposal[]): number {
  return proposals.reduce((sum, { count }) => sum + count, 0);
}

/** Whether it is behind (term, index). */
function isBehind(proposal: Proposal, term: number, index: number): boolean {
  return proposal.term > term || (proposal.term === term && proposal.index > index);
}

function unknown(text: string): RaftmarkError {
  return RaftmarkError.withoutStack("RAFT_LEADERSHIP_LOST", text, { mayCommit: true });
}

function errorOf(to: number, why: ForwardRefusal): RaftmarkError {
  switch (why) {
    case Overloaded: {
      const text = `node ${to}, which leads, has too many proposals waiting: propose again when earlier ones are done`;
      return RaftmarkError.withoutStack("RAFT_OVERLOADED", text);
    }
    case UncommittedLimit: {
      const text = `node ${to} leads and takes no proposals now (too much waits to be committed): propose again soon`;
      return RaftmarkError.withoutStack("RAFT_PROPOSAL_DROPPED", text);
    }
    case NoMember: {
      const text = `node ${to} leads a group of which this node is no member any more`;
      return RaftmarkError.withoutStack("RAFT_PROPOSAL_DROPPED", text);
    }
    case TooLarge: {
      const text = `the proposal exceeds maxProposalBytes of node ${to}, which leads: all members should have the same`;
      return RaftmarkError.withoutStack("RAFT_PROPOSAL_TOO_LARGE", text);
    }
    default:
      return unknown(`node ${to} led, started anew, and does not know whether the proposal is in the log`);
  }
}
