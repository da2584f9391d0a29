// Proposals that other members sent to this node because it leads: copied as they come, each request once, appended by a
// turn behind this node's own, and answered. Requests for a term that this node does not lead are refused, and never sent on;
// requests that come while it hands its leadership over wait until that is over. Main thread.
//
// An answer has to be true however late, often and out of order requests come. So the outcomes of the last requests of each
// life of a member are remembered, and a request that comes again, as after a broken connection, gets the same answer. A
// request older than those gets none; its sender gives it up in time. So a refusal means that no copy of the request was
// appended, or will be. A life of this node knows only its own terms: requests for a term that an earlier life led are
// answered with Forgotten.
import { Fifo } from "../base/fifo.js";
import {
  ErrProposalDroppedRemoved,
  ErrProposalDroppedTransferring,
  type Message,
  None,
  type RaftError,
  type RawNode,
  StateLeader,
} from "../raft/index.js";
import { ENTRY_OVERHEAD_BYTES } from "../wire/index.js";
import {
  accepted,
  Forgotten,
  type ForwardRefusal,
  LIFE_BYTES,
  NoMember,
  NotLeading,
  Overloaded,
  REQUESTS_MAX,
  refused,
  sequenceIn,
  TooLarge,
  Transferring,
  UncommittedLimit,
} from "./forward-wire.js";
import { PayloadCopies, type PayloadCopy } from "./payload-copies.js";

/** How many lives of one member are remembered. A connection ends with either of its ends: on a sound network, one would do. */
const LIVES_MAX = 8;
/** Requests of one life whose answers are remembered: more than are under way at once. */
const ANSWERS_KEPT = 4 * REQUESTS_MAX;

export interface ArrivalLimits {
  readonly maxProposalBytes: number;
  /** What may wait to be appended, of all members together. */
  readonly maxQueuedProposals: number;
  readonly maxQueuedBytes: number;
}

/** One life of a member. */
interface Life {
  /** By the request's count, in the order in which requests came; null: it is not answered yet. */
  readonly answers: Map<number, Message | null>;
  /** Some requests up to this count are not remembered any more. */
  forgotten: number;
}

interface Arrival {
  readonly request: Message;
  readonly life: Life;
  readonly copies: PayloadCopy[];
  readonly bytes: number;
}

export class Arrivals {
  private readonly limits: ArrivalLimits;
  /** The term that this node was opened in: of this one and those before, it may have led any in an earlier life. */
  private readonly openedIn: number;
  private readonly post: (message: Message) => void;
  private readonly waiting = new Fifo<Arrival>();
  private proposals = 0;
  private bytes = 0;
  private readonly copies = new PayloadCopies();
  /** By member: its lives, the newest last. */
  private readonly lives = new Map<number, Map<string, Life>>();
  private isClosed = false;
  /** Proposals that were taken. */
  taken = 0;

  /** `post` sends a message, in front of what the core wants sent for what is appended from then on. */
  constructor(limits: ArrivalLimits, openedIn: number, post: (message: Message) => void) {
    this.limits = limits;
    this.openedIn = openedIn;
    this.post = post;
  }

  /** Requests that wait to be appended. */
  get count(): number {
    return this.waiting.length;
  }

  /** Takes a request that passed the door. Its entries are borrowed. */
  take(request: Message, { raft }: RawNode): void {
    const life = this.lifeIfNew(request);
    if (life === null) return;
    // What it lies in is the link's.
    request.context = request.context.slice();
    noteWaiting(life, sequenceIn(request.context));
    const why = this.refusal(request, raft);
    if (why !== null) {
      this.answer(life, refused(request, why));
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
    request.entries = [];
    this.waiting.push({ request, life, copies: taken, bytes });
    this.proposals += taken.length;
    this.bytes += bytes;
  }

  /** Null: it came before, and is answered as it was then. */
  private lifeIfNew({ from, context }: Message): Life | null {
    const life = this.lifeOf(from, context);
    const sequence = sequenceIn(context);
    const known = life.answers.get(sequence);
    if (known !== undefined && known !== null) this.post(known);
    return known === undefined && sequence > life.forgotten ? life : null;
  }

  private lifeOf(member: number, context: Uint8Array): Life {
    let lives = this.lives.get(member);
    if (lives === undefined) {
      lives = new Map();
      this.lives.set(member, lives);
    }
    const name = Buffer.from(context.buffer, context.byteOffset, LIFE_BYTES).toString("latin1");
    let life = lives.get(name);
    if (life === undefined) {
      life = { answers: new Map(), forgotten: 0 };
      lives.set(name, life);
      if (lives.size > LIVES_MAX) lives.delete(lives.keys().next().value!);
    }
    return life;
  }

  private answer({ answers }: Life, answer: Message): void {
    const sequence = sequenceIn(answer.context);
    if (answers.has(sequence)) answers.set(sequence, answer);
    this.post(answer);
  }

  private refusal({ from, term, entries }: Message, raft: RawNode["raft"]): ForwardRefusal | null {
    if (term <= this.openedIn || term > raft.term) return Forgotten;
    if (this.isClosed || raft.state !== StateLeader || term !== raft.term) return NotLeading;
    if (!raft.trk.progress.has(from)) return NoMember;
    const { maxProposalBytes, maxQueuedProposals, maxQueuedBytes } = this.limits;
    let bytes = 0;
    for (const { size } of entries) {
      // Who sent several sends them one by one then.
      if (size > maxProposalBytes) return TooLarge;
      bytes += size;
    }
    const isFull =
      this.proposals + entries.length > maxQueuedProposals || this.bytes + bytes > maxQueuedBytes;
    if (!isFull || this.waiting.length === 0) return null;
    // Its sender has room for it, and nobody proposed too much.
    return raft.leadTransferee === None ? Overloaded : Transferring;
  }

  /** Some wait, and not for the end of a transfer of leadership. */
  canAppend({ leadTransferee }: RawNode["raft"]): boolean {
    return this.waiting.length > 0 && leadTransferee === None;
  }

  /**
   * Appends what has waited longest: at least one request, then as many as fit `bytesMax`, with what their entries cost
   * besides. Returns how many proposals.
   */
  append(rawNode: RawNode, bytesMax: number): number {
    const { raft } = rawNode;
    let bytes = 0;
    let appended = 0;
    while (this.waiting.length > 0) {
      bytes += costOf(this.waiting.peek(0));
      if (bytes > bytesMax && appended > 0) break;
      const arrival = this.shift();
      const { request, life, copies } = arrival;
      if (raft.state !== StateLeader || raft.term !== request.term) {
        this.answer(life, refused(request, NotLeading));
        continue;
      }
      const first = raft.raftLog.lastIndex() + 1;
      const refusal = rawNode.proposeEntries(this.copies.entries(copies, copies.length, raft.term, first));
      if (refusal !== null) {
        this.answer(life, refused(request, reasonOf(refusal)));
        continue;
      }
      this.answer(life, accepted(request, rawNode.lastProposed.first));
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

  /**
   * This node closes: it takes no more. What waits for a transfer of leadership would hold up its end, and so the next
   * leader.
   */
  close({ leadTransferee }: RawNode["raft"]): void {
    this.isClosed = true;
    if (leadTransferee !== None) this.refuseAll();
  }

  /** This node leads no more. */
  refuseAll(): void {
    while (this.waiting.length > 0) {
      const { request, life } = this.shift();
      this.answer(life, refused(request, NotLeading));
    }
  }
}

/** It is to be answered. */
function noteWaiting(life: Life, sequence: number): void {
  const { answers } = life;
  answers.set(sequence, null);
  if (answers.size <= ANSWERS_KEPT) return;
  const oldest: number = answers.keys().next().value!;
  answers.delete(oldest);
  life.forgotten = Math.max(life.forgotten, oldest);
}

function reasonOf(refusal: RaftError): ForwardRefusal {
  if (refusal === ErrProposalDroppedTransferring) return Transferring;
  // A leader that removed itself appends nothing more: for the members' proposals another one will lead.
  return refusal === ErrProposalDroppedRemoved ? NotLeading : UncommittedLimit;
}

function costOf({ bytes, copies }: Arrival): number {
  return bytes + copies.length * ENTRY_OVERHEAD_BYTES;
}
