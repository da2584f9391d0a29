// Proposals on their way: first waiting for the driver's turn, then appended and waiting to be applied. Owns the
// promises handed out by propose(); knows nothing of Raft but (term, index). Main thread.
//
// What was appended may be in logs that can still win for as long as nothing is committed that excludes it, whatever
// this node's own log says meanwhile. So only what is applied tells that a proposal is lost: another term's entry at its
// index, or any entry of a later term in front of it, since terms never fall along a log (Raft paper, Figure 3).
//
// What queues and lists hold is one call of propose(), or a run: several entries of one proposeMany() as one object. Counts
// and bounds are of entries, so that a run is cut in two where a batch ends in the middle of it.
import { assert } from "../base/assert.js";
import { bytesIn } from "../base/bytes.js";
import { RaftmarkError } from "../base/errors.js";
import { Fifo } from "../base/fifo.js";
import type { Entry } from "../raft/raftpb/index.js";
import type { CallOptions, Proposed } from "./api.js";
import { BatchCall, type ProposalRun, partedAt } from "./batch-call.js";
import { type CallEnd, CallWatch, endedCall } from "./call-watch.js";
import { PayloadCopies } from "./payload-copies.js";
import { ELSEWHERE, Proposal } from "./proposal.js";
import type { Trace } from "./trace.js";

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
  /** In the order they came; `dead` of them were given up meanwhile and do not count below. */
  private waiting: Proposal[] = [];
  private dead = 0;
  private waitingEntries = 0;
  private waitingBytes = 0;
  /** Appended, batch by batch, ascending by (term, index); the first `head` of the first batch are done. No batch is empty. */
  private appended = new Fifo<readonly Proposal[]>();
  private head = 0;
  private readonly copies = new PayloadCopies();
  /** Entries that were taken from `waiting` and are not settled. */
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

  /** Entries that wait. */
  get waitingCount(): number {
    return this.waitingEntries;
  }

  /** Entries that have no outcome. */
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
    this.waitingEntries++;
    this.waitingBytes += length;
    const ticket = this.trace === null ? 0 : this.trace.proposed(this.waitingCount - 1);
    if (ticket > 0) this.follow(promise, ticket);
    return promise;
  }

  /**
   * As add(), for several: an entry each, in this order; all or none of them are queued. The array is nobody else's. A trace
   * follows none.
   */
  addMany(batch: readonly Uint8Array[], options: CallOptions = NO_OPTIONS): Promise<Proposed[]> {
    const { signal, timeoutMs } = options;
    const refusal = this.refusalOfMany(batch, signal);
    if (refusal !== null) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      const { batchCalls, copies, waiting, ticks } = this;
      const call = new BatchCall(batch.length, signal ?? null, resolve, reject, (call) =>
        batchCalls.remove(call),
      );
      batchCalls.add(call, timeoutMs);
      for (let i = 0; i < batch.length; i++) {
        copies.copy(batch[i]!);
        const begun = call.laid(copies.last, ticks, this.came++);
        if (begun !== null) waiting.push(begun);
        this.waitingBytes += copies.last.size;
      }
      this.waitingEntries += batch.length;
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

  private giveUpAll({ runs }: BatchCall, end: CallEnd): void {
    for (const run of runs) if (!run.settled) this.giveUp(run, end);
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
      this.waitingEntries -= proposal.count;
      this.waitingBytes -= proposal.size;
      if (this.dead * 2 > this.waiting.length) this.sweep();
    } else this.open -= proposal.count;
    const texts = queued ? WAITING : proposal.index === ELSEWHERE ? SENT : APPENDED;
    proposal.reject(endedCall(end, texts, !queued));
  }

  private sweep(): void {
    if (this.dead === 0) return;
    this.waiting = this.waiting.filter((proposal) => !proposal.settled);
    this.dead = 0;
  }

  /**
   * How many entries of what has waited longest fit, with what each costs besides: at least one. Call it after sweep().
   */
  // hot
  private fitting(bytesMax: number, overheadBytes: number): number {
    const { waiting } = this;
    let count = 0;
    let room = bytesMax;
    for (let i = 0; i < waiting.length; i++) {
      const proposal = waiting[i];
      const bytes = proposal.size + proposal.count * overheadBytes;
      if (bytes > room) {
        if (proposal.count > 1) count += (proposal as ProposalRun).fitting(room, overheadBytes);
        return Math.max(count, 1);
      }
      room -= bytes;
      count += proposal.count;
    }
    return count;
  }

  /** Takes the first `count` entries out of the queue. Call it after sweep(). */
  // hot
  private takeFirst(count: number): Proposal[] {
    const { waiting } = this;
    assert(this.dead === 0 && count <= this.waitingEntries, "more are taken than wait");
    const all = count === this.waitingEntries;
    this.waitingEntries -= count;
    // Where all go, the array itself: moving each one would be a store that the garbage collector has to track.
    if (all) {
      this.waiting = [];
      return waiting;
    }
    let length = 0;
    let rest = count;
    while (rest > 0) {
      const proposal = waiting[length++];
      if (proposal.count > rest) waiting.splice(length, 0, (proposal as ProposalRun).cut(rest));
      rest -= proposal.count;
    }
    return waiting.splice(0, length);
  }

  /** Takes what has waited longest, to be sent to the leader: as much as fits, at least one entry. */
  take(bytesMax: number, overheadBytes: number): Proposal[] {
    this.sweep();
    const count = this.fitting(bytesMax, overheadBytes);
    const taken = this.takeFirst(count);
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
      this.open -= proposal.count;
      this.waitingEntries += proposal.count;
      this.waitingBytes += proposal.size;
    }
    const { waiting } = this;
    let older = 0;
    while (older < waiting.length && waiting[older].number < rest[0].number) older++;
    this.waiting = waiting.slice(0, older).concat(rest, waiting.slice(older));
  }

  private settle(proposal: Proposal): boolean {
    if (proposal.settled) return false;
    proposal.settled = true;
    if (proposal.index !== 0) this.open -= proposal.count;
    if (proposal.signal !== null || proposal.timer !== null) this.calls.remove(proposal);
    return true;
  }

  /** Of a proposal that was taken, the first entry without an outcome is applied, as `value` says. True: it was the last. */
  // hot
  resolveFirst(proposal: Proposal, value: Proposed): boolean {
    if (proposal.count === 1) {
      if (this.settle(proposal)) proposal.resolve(value);
      return true;
    }
    const run = proposal as ProposalRun;
    if (!run.settled) {
      this.open--;
      run.resolve(value);
    }
    run.shift();
    return false;
  }

  /** All of its entries that have no outcome have this one. */
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
    copies.expect(term, firstIndex + this.waitingEntries);
    return copies.entries(waiting, this.fitting(bytesMax, 0), term, firstIndex);
  }

  /** The first `count` entries that waited have become those from `firstIndex` on, in `term`. */
  // hot
  appendedAt(term: number, firstIndex: number, count: number): void {
    assert(count > 0, "a batch without proposals");
    const batch = this.takeFirst(count);
    let index = firstIndex;
    for (let i = 0; i < batch.length; i++) {
      const proposal = batch[i];
      proposal.term = term;
      proposal.index = index;
      if (proposal.ticket > 0) this.trace?.taken(index, proposal.ticket);
      this.waitingBytes -= proposal.size;
      index += proposal.count;
    }
    assert(index === firstIndex + count, "a run was not cut where its batch ends");
    this.open += count;
    this.trace?.took(index);
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
      this.waitingEntries -= proposal.count;
      this.waitingBytes -= proposal.size;
      this.rejectOne(proposal, why());
    }
  }

  /** Rejects all that waits; none of it was appended anywhere. */
  refuseWaiting(error: RaftmarkError): void {
    const batch = this.waiting;
    this.waiting = [];
    this.dead = 0;
    this.waitingEntries = 0;
    this.waitingBytes = 0;
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
      if (proposal.term < term) {
        this.pass();
        this.rejectOne(proposal, lost(proposal, entry));
        continue;
      }
      if (this.resolveFirst(proposal, { index, term, result })) this.pass();
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
    const rest = this.takeAppended().flatMap((proposal) => partedAt(proposal, index));
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
