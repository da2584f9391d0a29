// Proposals on their way: first waiting for the driver's turn, then appended and waiting to be applied. Owns the
// promises handed out by propose(); knows nothing of Raft but (term, index). Main thread.
//
// What was appended may be in logs that can still win for as long as nothing is committed that excludes it, whatever
// this node's own log says meanwhile. So only what is applied tells that a proposal is lost: another term's entry at its
// index, or any entry of a later term in front of it, since terms never fall along a log (Raft paper, Figure 3).
import { assert } from "../base/assert.js";
import { bytesIn } from "../base/bytes.js";
import { RaftmarkError } from "../base/errors.js";
import { Fifo } from "../base/fifo.js";
import type { Entry } from "../raft/raftpb/index.js";
import type { CallOptions, Proposed } from "./api.js";
import { BatchCall } from "./batch-call.js";
import { type CallEnd, CallWatch, endedCall, type Watched } from "./call-watch.js";
import { PayloadCopies, type PayloadCopy, type Slab } from "./payload-copies.js";
import type { Trace } from "./trace.js";

/** `index` of a proposal that was sent to the leader, until the leader says where in its log the proposal is. */
const ELSEWHERE = -1;

/** One call of propose(). `index` is 0 until it is appended; `settled` once its promise is. */
export class Proposal implements PayloadCopy, Watched {
  readonly slab: Slab;
  readonly at: number;
  readonly start: number;
  readonly size: number;
  term: number;
  index: number;
  settled: boolean;
  /** The trace's ticket, if it is followed; else 0. */
  ticket: number;
  /** The tick at which it came, and how many came before it. */
  readonly since: number;
  readonly number: number;
  readonly signal: AbortSignal | null;
  timer: NodeJS.Timeout | null;
  readonly resolve: (this: Proposal, value: Proposed) => void;
  readonly reject: (this: Proposal, reason: RaftmarkError) => void;

  constructor(
    { slab, at, start, size }: PayloadCopy,
    since: number,
    number: number,
    signal: AbortSignal | null,
    resolve: (this: Proposal, value: Proposed) => void,
    reject: (this: Proposal, reason: RaftmarkError) => void,
  ) {
    this.slab = slab;
    this.at = at;
    this.start = start;
    this.size = size;
    this.term = 0;
    this.index = 0;
    this.settled = false;
    this.ticket = 0;
    this.since = since;
    this.number = number;
    this.signal = signal;
    this.timer = null;
    this.resolve = resolve;
    this.reject = reject;
  }
}

/** The proposal at `place` in a call of proposeMany(); the call has the promise. */
class ProposalOfMany extends Proposal {
  readonly call: BatchCall;
  readonly place: number;

  constructor(copy: PayloadCopy, since: number, number: number, call: BatchCall, place: number) {
    super(copy, since, number, null, resolveOfMany, rejectOfMany);
    this.call = call;
    this.place = place;
  }
}

// Functions that all of them share: a closure for each is what their common promise saves.
function resolveOfMany(this: Proposal, value: Proposed): void {
  const { call, place } = this as ProposalOfMany;
  call.resolved(place, value);
}

function rejectOfMany(this: Proposal, reason: RaftmarkError): void {
  (this as ProposalOfMany).call.rejected(reason);
}

/** Bounds of the queue in front of the driver, and of how long a proposal may go without an outcome. */
export interface ProposalLimits {
  readonly maxProposalBytes: number;
  readonly maxQueuedProposals: number;
  readonly maxQueuedBytes: number;
  /** What was appended is given up, its outcome unknown, when this node has not led for so many ticks. */
  readonly leaderlessTicks: number;
  /** Any proposal is given up after so many ticks; Infinity: never. */
  readonly timeoutTicks: number;
}

/** The proposals of one node in one group. Promises resolve in index order. */
export class Proposals {
  private readonly limits: ProposalLimits;
  private came = 0;
  /** In the order they came; `dead` of them were given up meanwhile and do not count. */
  private waiting: Proposal[] = [];
  private dead = 0;
  private waitingBytes = 0;
  /** Appended, batch by batch, ascending by (term, index); the first `head` of the first batch are done. No batch is empty. */
  private appended = new Fifo<readonly Proposal[]>();
  private head = 0;
  private readonly copies = new PayloadCopies();
  /** Of those in `appended`, how many are not settled. */
  private open = 0;
  private readonly calls = new CallWatch<Proposal>((proposal, end) => this.giveUp(proposal, end));
  private readonly batchCalls = new CallWatch<BatchCall>((call, end) => this.giveUpAll(call, end));
  private ticks = 0;
  /** Ticks since this node led last. */
  private leaderlessTicks = 0;
  private readonly trace: Trace | null;

  constructor(limits: ProposalLimits, trace: Trace | null = null) {
    this.limits = limits;
    this.trace = trace;
  }

  get waitingCount(): number {
    return this.waiting.length - this.dead;
  }

  /** Proposals whose promise is not settled. */
  get openCount(): number {
    return this.waitingCount + this.open;
  }

  /**
   * Queues a copy of `data` and returns its promise. Rejects with RAFT_PROPOSAL_TOO_LARGE, RAFT_OVERLOADED,
   * RAFT_ABORTED or RAFT_TIMEOUT; later also with whatever the node's fate is.
   */
  add(data: Uint8Array, options: CallOptions = NO_OPTIONS): Promise<Proposed> {
    const { signal, timeoutMs } = options;
    const length = bytesIn(data);
    const refusal = this.refusalOfSize(length) ?? this.refusalNow(1, length, signal);
    if (refusal !== null) return Promise.reject(refusal);
    const promise = new Promise<Proposed>(capture);
    this.copies.copy(data);
    const proposal = new Proposal(
      this.copies.last,
      this.ticks,
      this.came++,
      signal ?? null,
      resolveLast,
      rejectLast,
    );
    if (options !== NO_OPTIONS) {
      try {
        this.calls.add(proposal, timeoutMs);
      } catch (error) {
        proposal.reject(error as RaftmarkError);
        return promise;
      }
    }
    this.waiting.push(proposal);
    this.waitingBytes += length;
    const ticket = this.trace === null ? 0 : this.trace.proposed(this.waitingCount - 1);
    if (ticket > 0) this.follow(promise, ticket);
    return promise;
  }

  /** As add(), for several: an entry each, in this order; all or none of them are queued. A trace follows none. */
  addMany(given: readonly Uint8Array[], options: CallOptions = NO_OPTIONS): Promise<Proposed[]> {
    const { signal, timeoutMs } = options;
    // A copy, so that the proposals whose size is checked are those that are queued.
    const batch = Array.from(given);
    const refusal = this.refusalOfMany(batch, signal);
    if (refusal !== null) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      const { batchCalls, copies, waiting } = this;
      const call = new BatchCall(batch.length, signal ?? null, resolve, reject, (call) =>
        batchCalls.remove(call),
      );
      batchCalls.add(call, timeoutMs);
      for (let place = 0; place < batch.length; place++) {
        copies.copy(batch[place]!);
        const proposal = new ProposalOfMany(copies.last, this.ticks, this.came++, call, place);
        call.proposals.push(proposal);
        waiting.push(proposal);
        this.waitingBytes += proposal.size;
      }
    });
  }

  private refusalOfMany(batch: readonly Uint8Array[], signal: AbortSignal | undefined): RaftmarkError | null {
    let bytes = 0;
    for (const data of batch) {
      const length = bytesIn(data);
      const refusal = this.refusalOfSize(length);
      if (refusal !== null) return refusal;
      bytes += length;
    }
    const { maxQueuedProposals, maxQueuedBytes } = this.limits;
    if (batch.length > maxQueuedProposals || bytes > maxQueuedBytes) {
      const text =
        `${batch.length} proposals (${bytes} bytes) in one call exceed maxQueuedProposals (${maxQueuedProposals}) ` +
        `or maxQueuedBytes (${maxQueuedBytes}): split the call`;
      return new RaftmarkError("RAFT_PROPOSAL_TOO_LARGE", text);
    }
    return this.refusalNow(batch.length, bytes, signal);
  }

  /** Traces the proposal that was queued last. Not in add() itself, where these closures would cost every call. */
  private follow(promise: Promise<Proposed>, ticket: number): void {
    const trace = this.trace!;
    this.waiting[this.waiting.length - 1].ticket = ticket;
    // The promise's first reaction: it runs right before the caller's.
    promise.then(
      ({ index }) => trace.resolved(index),
      () => {},
    );
  }

  /** Why a proposal of this length is never taken, even by an empty queue. */
  private refusalOfSize(length: number): RaftmarkError | null {
    const { maxProposalBytes, maxQueuedBytes } = this.limits;
    if (length === 0) {
      return new RaftmarkError(
        "RAFT_BAD_OPTION",
        "an empty proposal: Raft itself writes empty entries; give it a byte",
      );
    }
    if (length > maxProposalBytes) {
      const text = `a proposal of ${length} bytes exceeds maxProposalBytes (${maxProposalBytes}): split it`;
      return new RaftmarkError("RAFT_PROPOSAL_TOO_LARGE", text);
    }
    if (length > maxQueuedBytes) {
      const text = `a proposal of ${length} bytes exceeds maxQueuedBytes (${maxQueuedBytes}): split it, or raise that`;
      return new RaftmarkError("RAFT_PROPOSAL_TOO_LARGE", text);
    }
    return null;
  }

  /** Why `count` more are not taken now, beside what waits. */
  private refusalNow(count: number, bytes: number, signal: AbortSignal | undefined): RaftmarkError | null {
    const { maxQueuedProposals, maxQueuedBytes } = this.limits;
    if (this.waitingCount + count > maxQueuedProposals || this.waitingBytes + bytes > maxQueuedBytes) {
      const text =
        `${this.waitingCount} proposals (${this.waitingBytes} bytes) wait already: ` +
        "propose again when earlier ones are done, or raise maxQueuedProposals or maxQueuedBytes";
      return new RaftmarkError("RAFT_OVERLOADED", text);
    }
    if (signal?.aborted) return endedCall({ code: "RAFT_ABORTED", cause: signal.reason }, WAITING);
    return null;
  }

  private giveUpAll({ proposals }: BatchCall, end: CallEnd): void {
    for (const proposal of proposals) if (!proposal.settled) this.giveUp(proposal as Proposal, end);
  }

  /** Its caller has stopped waiting. */
  private giveUp(proposal: Proposal, end: CallEnd): void {
    assert(!proposal.settled, "a settled proposal was given up");
    proposal.settled = true;
    const queued = proposal.index === 0;
    if (queued) {
      // It keeps its place until half of the queue is given up, or the next turn: searching the queue for each of a storm of
      // aborts would take quadratic time, and no turn sweeps while the log has fallen behind.
      this.dead++;
      this.waitingBytes -= proposal.size;
      if (this.dead * 2 > this.waiting.length) this.sweep();
    } else this.open--;
    const texts = queued ? WAITING : proposal.index === ELSEWHERE ? SENT : APPENDED;
    proposal.reject(endedCall(end, texts, !queued));
  }

  private emptyQueue(): void {
    this.waiting = [];
    this.dead = 0;
    assert(this.waitingBytes === 0, "an empty queue holds bytes");
  }

  private sweep(): void {
    if (this.dead === 0) return;
    this.waiting = this.waiting.filter((proposal) => !proposal.settled);
    this.dead = 0;
  }

  /** Takes what has waited longest, to be sent to the leader: as much as fits, at least one. */
  take(bytesMax: number, overheadBytes: number): Proposal[] {
    this.sweep();
    const { waiting } = this;
    let count = 0;
    let bytes = 0;
    while (count < waiting.length) {
      bytes += waiting[count].size + overheadBytes;
      if (count > 0 && bytes > bytesMax) break;
      count++;
    }
    const taken = waiting.splice(0, count);
    for (const proposal of taken) {
      proposal.index = ELSEWHERE;
      this.waitingBytes -= proposal.size;
    }
    this.open += count;
    return taken;
  }

  /** Proposal.number of what has waited longest; something must wait. */
  get oldestWaiting(): number {
    return this.waiting[0].number;
  }

  /** Proposals that were taken but are in no log wait again, in front of all that came later. */
  giveBack(taken: readonly Proposal[]): void {
    const rest = taken.filter((proposal) => !proposal.settled);
    if (rest.length === 0) return;
    for (const proposal of rest) {
      proposal.index = 0;
      this.waitingBytes += proposal.size;
    }
    this.open -= rest.length;
    const { waiting } = this;
    let older = 0;
    while (older < waiting.length && waiting[older].number < rest[0].number) older++;
    this.waiting = waiting.slice(0, older).concat(rest, waiting.slice(older));
  }

  private settle(proposal: Proposal): boolean {
    if (proposal.settled) return false;
    proposal.settled = true;
    if (proposal.index !== 0) this.open--;
    if (proposal.signal !== null || proposal.timer !== null) this.calls.remove(proposal);
    return true;
  }

  /** A proposal that was taken is applied, as the entry that `value` names. */
  resolveOne(proposal: Proposal, value: Proposed): void {
    if (this.settle(proposal)) proposal.resolve(value);
  }

  rejectOne(proposal: Proposal, error: RaftmarkError): void {
    if (this.settle(proposal)) proposal.reject(error);
  }

  /**
   * What has waited longest, in order, for one MsgProp: at least one, then as many as fit `bytesMax`, as the entries
   * from `firstIndex` on in `term`. They stay waiting until appendedAt or refuseWaiting.
   */
  // hot
  nextBatch(bytesMax: number, term: number, firstIndex: number): Entry[] {
    this.sweep();
    const { waiting, copies } = this;
    let count = 0;
    let bytes = 0;
    while (count < waiting.length && (count === 0 || bytes + waiting[count].size <= bytesMax)) {
      bytes += waiting[count++].size;
    }
    copies.expect(term, firstIndex + waiting.length);
    return copies.entries(waiting, count, term, firstIndex);
  }

  /** The first `count` that waited have become the entries from `firstIndex` on, in `term`. */
  // hot
  appendedAt(term: number, firstIndex: number, count: number): void {
    assert(count > 0, "a batch without proposals");
    const all = count === this.waiting.length;
    // Where all go, the array itself: moving each one would be a store that the garbage collector has to track.
    const batch = all ? this.waiting : this.waiting.splice(0, count);
    if (all) this.waiting = [];
    for (let i = 0; i < count; i++) {
      const proposal = batch[i];
      proposal.term = term;
      proposal.index = firstIndex + i;
      if (proposal.ticket > 0) this.trace?.taken(proposal.index, proposal.ticket);
      this.waitingBytes -= proposal.size;
    }
    this.open += count;
    this.trace?.took(firstIndex + count);
    this.appended.push(batch);
  }

  /** The oldest that is appended and not done. */
  // hot
  private oldest(): Proposal | null {
    return this.appended.length === 0 ? null : this.appended.peek(0)[this.head];
  }

  /** The oldest is done. */
  // hot
  private pass(): void {
    if (++this.head < this.appended.peek(0).length) return;
    this.appended.shift();
    this.head = 0;
  }

  /** All that is appended and not done; then nothing is. */
  private takeAppended(): Proposal[] {
    const taken: Proposal[] = [];
    for (let proposal = this.oldest(); proposal !== null; proposal = this.oldest()) {
      taken.push(proposal);
      this.pass();
    }
    return taken;
  }

  /** It has been here for more than so many ticks. */
  isOlder({ since }: Proposal, ticks: number): boolean {
    return this.ticks - since > ticks;
  }

  /** Rejects what has waited for more than so many ticks. */
  refuseOlder(ticks: number, why: () => RaftmarkError): void {
    let late = 0;
    while (late < this.waiting.length && this.isOlder(this.waiting[late], ticks)) late++;
    if (late === 0) return;
    for (const proposal of this.waiting.splice(0, late)) {
      if (proposal.settled) {
        this.dead--;
        continue;
      }
      this.waitingBytes -= proposal.size;
      this.rejectOne(proposal, why());
    }
  }

  /** Rejects all that waits; none of it was appended anywhere. */
  refuseWaiting(error: RaftmarkError): void {
    const batch = this.waiting;
    this.waitingBytes = 0;
    this.emptyQueue();
    for (const proposal of batch) this.rejectOne(proposal, error);
  }

  /**
   * `entry` is applied, with `result`, and so is everything before it. Settles the proposal that it is, and those that it
   * excludes: all of earlier terms, since any of them in front of it would have been applied.
   */
  // hot
  applied(entry: Entry, result: unknown): void {
    const { term, index } = entry;
    for (let proposal = this.oldest(); proposal !== null; proposal = this.oldest()) {
      if (proposal.term > term || (proposal.term === term && proposal.index > index)) break;
      // Before pass(), so that end() still finds and settles it if this fails.
      assert(proposal.term < term || proposal.index === index, "an entry was passed over");
      this.pass();
      if (proposal.term < term) {
        this.rejectOne(proposal, lost(proposal, entry));
        continue;
      }
      if (this.settle(proposal)) proposal.resolve({ index, term, result });
      // Only here: a slab with a proposal that was lost, given up, or appended by another node is never used again.
      proposal.slab.letGo();
    }
  }

  /**
   * A snapshot stands for the entries up to its last one, and nobody can tell here which of those were this node's
   * proposals. Like an applied entry, its last entry excludes proposals behind it that are of an earlier term.
   */
  skippedTo(last: { readonly index: number; readonly term: number }): void {
    const { index, term } = last;
    const rest = this.takeAppended();
    const left = rest.filter((proposal) => proposal.index > index && proposal.term >= term);
    if (left.length > 0) this.appended.push(left);
    for (const proposal of rest) {
      if (proposal.index <= index) this.rejectOne(proposal, leadershipLost());
      else if (proposal.term < term) this.rejectOne(proposal, lost(proposal, last));
    }
  }

  /**
   * A tick passed. Rejects what was appended and is not settled once this node has not led for long, and whatever has taken
   * too long; `mayCommit` is true for what was appended.
   */
  tick(leads: boolean): void {
    this.ticks++;
    this.leaderlessTicks = leads ? 0 : this.leaderlessTicks + 1;
    const { leaderlessTicks, timeoutTicks } = this.limits;
    const deposed = this.leaderlessTicks > leaderlessTicks;
    for (let proposal = this.oldest(); proposal !== null; proposal = this.oldest()) {
      if (!deposed && this.ticks - proposal.since <= timeoutTicks) break;
      this.pass();
      this.rejectOne(proposal, deposed ? leadershipLost() : timedOut(true));
    }
    this.refuseOlder(timeoutTicks, () => timedOut(false));
  }

  /** The node ends: nothing waits any more, and what was appended may or may not commit. */
  end(why: RaftmarkError): void {
    this.refuseWaiting(why);
    const rest = this.takeAppended();
    if (rest.length === 0) return;
    const { code, message, cause } = why;
    const text = `${message}; the proposal is in the log and may still commit`;
    const error = new RaftmarkError(code, text, { mayCommit: true, cause });
    for (const proposal of rest) this.rejectOne(proposal, error);
  }
}

// Without a stack: all that was on its way may be lost in one turn, and 60,000 stacks, which all say "the driver's turn",
// take more than an election timeout.
export function lost(
  proposal: Proposal,
  entry: { readonly index: number; readonly term: number },
): RaftmarkError {
  const text =
    `an entry of term ${entry.term} is committed at index ${entry.index}, so that this proposal (index ` +
    `${proposal.index}, term ${proposal.term}) never will be: propose it again`;
  return RaftmarkError.withoutStack("RAFT_PROPOSAL_DROPPED", text);
}

function leadershipLost(): RaftmarkError {
  const text =
    "this node leads no more, and does not know whether the proposal, which is in its log, will be committed";
  return RaftmarkError.withoutStack("RAFT_LEADERSHIP_LOST", text, { mayCommit: true });
}

export function timedOut(mayCommit: boolean): RaftmarkError {
  const text = mayCommit
    ? "not committed within requestTimeoutMs; the proposal is in the log and may still commit"
    : IN_NO_LOG;
  return RaftmarkError.withoutStack("RAFT_TIMEOUT", text, { mayCommit });
}

const NO_OPTIONS: CallOptions = {};

/** Of the promise made last. All promises share one executor: a closure for each would be garbage that shows. */
let resolveLast: (value: Proposed) => void;
let rejectLast: (reason: RaftmarkError) => void;
const capture = (resolve: typeof resolveLast, reject: typeof rejectLast): void => {
  resolveLast = resolve;
  rejectLast = reject;
};

const IN_NO_LOG =
  "in no log in time: this node cannot reach a leader that takes it, or is too busy, or its disk is too slow";
const WAITING = {
  aborted: "aborted before it was in the log",
  late: IN_NO_LOG,
};
const SENT = {
  aborted: "aborted on the way to the leader: it may still commit",
  late: "the leader, which was sent it, has not said in time what became of it: it may still commit",
};
const APPENDED = {
  aborted: "aborted while in the log: it may still commit",
  late: "not committed in time; the proposal is in the log and may still commit",
};
