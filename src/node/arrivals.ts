// Proposals that other members sent to this node because it leads: copied as they come, each request once, appended by a
// turn behind this node's own, and answered. What comes when this node does not lead that term is refused, and never sent
// on. Main thread.
//
// An answer has to be true however late, often and out of order requests come: a request is looked at only if its count
// is above all that were seen of that life of that member. One that came before, or was overtaken, gets no answer here;
// who sent it gives up in time. So a refusal means that no copy of the request was appended, or will be. A life of this
// node knows only its own terms: of what an earlier one led, nothing is said but that it is forgotten.
import { Fifo } from "../base/fifo.js";
import type { Message, RawNode } from "../raft/index.js";
import { type RaftError, StateLeader } from "../raft/index.js";
import { ENTRY_OVERHEAD_BYTES } from "../wire/index.js";
import {
  accepted,
  Forgotten,
  type ForwardRefusal,
  LIFE_BYTES,
  NoMember,
  NotLeading,
  Overloaded,
  refused,
  sequenceIn,
  TooLarge,
} from "./forward-wire.js";
import { PayloadCopies, type PayloadCopy } from "./payload-copies.js";

/** Lives of one member that are remembered. A connection outlives neither of its ends: one would do on a sound network. */
const LIVES_MAX = 8;

export interface ArrivalLimits {
  readonly maxProposalBytes: number;
  /** Of all members' together: what waits to be appended. */
  readonly maxQueuedProposals: number;
  readonly maxQueuedBytes: number;
}

interface Arrival {
  readonly request: Message;
  readonly copies: PayloadCopy[];
  readonly bytes: number;
}

export class Arrivals {
  private readonly limits: ArrivalLimits;
  /** The term that this node was opened in: of this one and those before, it may have led any in an earlier life. */
  private readonly openedIn: number;
  private readonly answer: (message: Message) => void;
  private readonly waiting = new Fifo<Arrival>();
  private proposals = 0;
  private bytes = 0;
  private readonly copies = new PayloadCopies();
  /** By member: its lives, the newest last, and the highest count seen of each. */
  private readonly lives = new Map<number, Map<string, number>>();
  /** This node closes: it takes no more. */
  isClosed = false;
  /** Proposals that were taken. */
  taken = 0;

  /** `answer` sends a message, in front of what the core wants sent for what is appended from then on. */
  constructor(limits: ArrivalLimits, openedIn: number, answer: (message: Message) => void) {
    this.limits = limits;
    this.openedIn = openedIn;
    this.answer = answer;
  }

  /** Requests that wait to be appended. */
  get count(): number {
    return this.waiting.length;
  }

  /** Takes a request that passed the door. Its entries are borrowed. */
  take(request: Message, { raft }: RawNode): void {
    if (!this.isNew(request)) return;
    const why = this.refusal(request, raft);
    if (why !== null) {
      this.answer(refused(request, why));
      return;
    }
    const { copies } = this;
    if (this.waiting.length === 0) copies.expect(raft.term, raft.raftLog.lastIndex() + 1);
    let bytes = 0;
    const taken = request.entries.map(({ data }) => {
      copies.copy(data);
      bytes += data.length;
      return { ...copies.last };
    });
    // What it lies in is the link's.
    request.entries = [];
    this.waiting.push({ request, copies: taken, bytes });
    this.proposals += taken.length;
    this.bytes += bytes;
  }

  private isNew({ from, context }: Message): boolean {
    let lives = this.lives.get(from);
    if (lives === undefined) {
      lives = new Map();
      this.lives.set(from, lives);
    }
    const life = Buffer.from(context.buffer, context.byteOffset, LIFE_BYTES).toString("latin1");
    const sequence = sequenceIn(context);
    const seen = lives.get(life);
    if (seen !== undefined && sequence <= seen) return false;
    lives.set(life, sequence);
    if (lives.size > LIVES_MAX) lives.delete(lives.keys().next().value!);
    return true;
  }

  private refusal({ from, term, entries }: Message, raft: RawNode["raft"]): ForwardRefusal | null {
    if (term <= this.openedIn || term > raft.term) return Forgotten;
    if (this.isClosed || raft.state !== StateLeader || term !== raft.term) return NotLeading;
    if (!raft.trk.progress.has(from)) return NoMember;
    const { maxProposalBytes, maxQueuedProposals, maxQueuedBytes } = this.limits;
    let bytes = 0;
    for (const { size } of entries) {
      if (size > maxProposalBytes) return TooLarge;
      bytes += size;
    }
    const isFull =
      this.proposals + entries.length > maxQueuedProposals || this.bytes + bytes > maxQueuedBytes;
    return isFull && this.waiting.length > 0 ? Overloaded : null;
  }

  /**
   * Appends what has waited longest: at least one request, then as many as fit `bytesMax`, with what their entries cost
   * besides. Returns how many proposals.
   */
  append(rawNode: RawNode, bytesMax: number, whyRefused: (refusal: RaftError) => ForwardRefusal): number {
    const { raft } = rawNode;
    let bytes = 0;
    let appended = 0;
    while (this.waiting.length > 0) {
      bytes += costOf(this.waiting.peek(0));
      if (bytes > bytesMax && appended > 0) break;
      const arrival = this.shift();
      const { request, copies } = arrival;
      if (raft.state !== StateLeader || raft.term !== request.term) {
        this.answer(refused(request, NotLeading));
        continue;
      }
      const first = raft.raftLog.lastIndex() + 1;
      const refusal = rawNode.proposeEntries(this.copies.entries(copies, copies.length, raft.term, first));
      if (refusal !== null) {
        this.answer(refused(request, whyRefused(refusal)));
        continue;
      }
      this.answer(accepted(request, rawNode.lastProposed.first));
      appended += copies.length;
    }
    this.taken += appended;
    return appended;
  }

  private shift(): Arrival {
    const arrival = this.waiting.shift();
    this.proposals -= arrival.copies.length;
    this.bytes -= arrival.bytes;
    return arrival;
  }

  /** This node leads no more. */
  refuseAll(): void {
    while (this.waiting.length > 0) this.answer(refused(this.shift().request, NotLeading));
  }
}

function costOf({ bytes, copies }: Arrival): number {
  return bytes + copies.length * ENTRY_OVERHEAD_BYTES;
}
