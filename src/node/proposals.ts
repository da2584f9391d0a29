// Proposals on their way: first waiting for the driver's turn, then appended and waiting to be applied. Owns the
// promises handed out by propose(); knows nothing of Raft but (term, index). Main thread.
import { assert } from "../base/assert.js";
import { RaftmarkError } from "../base/errors.js";
import type { Entry } from "../raft/raftpb/index.js";
import type { Proposed } from "./api.js";
import type { Trace } from "./trace.js";

/** One call of propose(). `index` is 0 until it is appended; `settled` once its promise is. */
class Proposal {
  readonly data: Uint8Array;
  term = 0;
  index = 0;
  settled = false;
  /** The trace's ticket, if it is followed; else 0. */
  ticket = 0;
  private readonly resolvePromise: (value: Proposed) => void;
  private readonly rejectPromise: (reason: RaftmarkError) => void;
  private signal: AbortSignal | null = null;
  private onAbort: (() => void) | null = null;

  constructor(
    data: Uint8Array,
    resolvePromise: (value: Proposed) => void,
    rejectPromise: (reason: RaftmarkError) => void,
  ) {
    this.data = data;
    this.resolvePromise = resolvePromise;
    this.rejectPromise = rejectPromise;
  }

  listen(signal: AbortSignal, onAbort: () => void): void {
    this.signal = signal;
    this.onAbort = onAbort;
    signal.addEventListener("abort", onAbort, { once: true });
  }

  resolve(result: unknown): void {
    if (this.settle()) this.resolvePromise({ index: this.index, term: this.term, result });
  }

  reject(error: RaftmarkError): void {
    if (this.settle()) this.rejectPromise(error);
  }

  private settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    if (this.signal !== null && this.onAbort !== null) {
      this.signal.removeEventListener("abort", this.onAbort);
    }
    return true;
  }
}

/** Bounds of the queue in front of the driver. */
export interface ProposalLimits {
  readonly maxProposalBytes: number;
  readonly maxQueuedProposals: number;
  readonly maxQueuedBytes: number;
}

/** The proposals of one node in one group. Promises resolve in index order. */
export class Proposals {
  private readonly limits: ProposalLimits;
  private waiting: Proposal[] = [];
  private waitingBytes = 0;
  /** Appended, ascending by index; those before `head` are done. */
  private appended: Proposal[] = [];
  private head = 0;
  private readonly trace: Trace | null;

  constructor(limits: ProposalLimits, trace: Trace | null = null) {
    this.limits = limits;
    this.trace = trace;
  }

  get waitingCount(): number {
    return this.waiting.length;
  }

  get appendedCount(): number {
    return this.appended.length - this.head;
  }

  /**
   * Queues `data` (borrowed until the promise settles) and returns its promise. Rejects with
   * RAFT_PROPOSAL_TOO_LARGE, RAFT_OVERLOADED or RAFT_ABORTED; later also with whatever the node's fate is.
   */
  add(data: Uint8Array, signal: AbortSignal | undefined): Promise<Proposed> {
    const refusal = this.refusal(data, signal);
    if (refusal !== null) return Promise.reject(refusal);
    const promise = new Promise<Proposed>((resolve, reject) => {
      const proposal = new Proposal(data, resolve, reject);
      if (signal !== undefined) proposal.listen(signal, () => this.abort(proposal));
      this.waiting.push(proposal);
      this.waitingBytes += data.length;
    });
    const ticket = this.trace === null ? 0 : this.trace.proposed(this.waiting.length - 1);
    if (ticket > 0) this.follow(promise, ticket);
    return promise;
  }

  /** The proposal that was queued last and its promise. Apart from add(), where its closures would cost every call. */
  private follow(promise: Promise<Proposed>, ticket: number): void {
    const trace = this.trace!;
    this.waiting[this.waiting.length - 1].ticket = ticket;
    // The promise's first reaction: it runs right before the caller's.
    promise.then(
      ({ index }) => trace.resolved(index),
      () => {},
    );
  }

  private refusal(data: Uint8Array, signal: AbortSignal | undefined): RaftmarkError | null {
    const { maxProposalBytes, maxQueuedProposals, maxQueuedBytes } = this.limits;
    if (data.length === 0) {
      return new RaftmarkError(
        "RAFT_BAD_OPTION",
        "an empty proposal: Raft itself writes empty entries; give it a byte",
      );
    }
    if (data.length > maxProposalBytes) {
      const text = `a proposal of ${data.length} bytes exceeds maxProposalBytes (${maxProposalBytes}): split it`;
      return new RaftmarkError("RAFT_PROPOSAL_TOO_LARGE", text);
    }
    if (this.waiting.length >= maxQueuedProposals || this.waitingBytes + data.length > maxQueuedBytes) {
      const text =
        `${this.waiting.length} proposals (${this.waitingBytes} bytes) wait already: ` +
        "propose again when earlier ones are done, or raise maxQueuedProposals or maxQueuedBytes";
      return new RaftmarkError("RAFT_OVERLOADED", text);
    }
    if (signal?.aborted) return aborted(false, signal.reason);
    return null;
  }

  private abort(proposal: Proposal): void {
    const queued = proposal.index === 0;
    if (queued) {
      const at = this.waiting.indexOf(proposal);
      assert(at >= 0, "an aborted proposal is neither waiting nor appended");
      this.waiting.splice(at, 1);
      this.waitingBytes -= proposal.data.length;
    }
    proposal.reject(aborted(!queued));
  }

  /**
   * The data of what has waited longest, in order, for one MsgProp: at least one, then as many as fit `bytesMax`.
   * They stay waiting until appendedAt or refuseWaiting.
   */
  // hot
  nextBatch(bytesMax: number): Uint8Array[] {
    const { waiting } = this;
    let count = 0;
    let bytes = 0;
    while (count < waiting.length && (count === 0 || bytes + waiting[count].data.length <= bytesMax)) {
      bytes += waiting[count++].data.length;
    }
    const datas: Uint8Array[] = new Array(count);
    for (let i = 0; i < count; i++) datas[i] = waiting[i].data;
    return datas;
  }

  /** The first `count` that waited have become the entries from `firstIndex` on, in `term`. */
  // hot
  appendedAt(term: number, firstIndex: number, count: number): void {
    const { waiting, appended } = this;
    const last = appended.length > 0 ? appended[appended.length - 1].index : 0;
    for (let i = 0; i < count; i++) {
      const proposal = waiting[i];
      proposal.term = term;
      proposal.index = firstIndex + i;
      appended.push(proposal);
      if (proposal.ticket > 0) this.trace?.taken(proposal.index, proposal.ticket);
      this.waitingBytes -= proposal.data.length;
    }
    this.trace?.took(firstIndex + count);
    if (firstIndex <= last) this.dropOverwritten(appended.length - count, firstIndex);
    if (count === waiting.length) this.waiting = [];
    else waiting.splice(0, count);
  }

  /**
   * This node led before, lost entries to another leader, and leads again: what it now appends at the same
   * indexes replaces them for good, so that they can never commit.
   */
  private dropOverwritten(end: number, firstIndex: number): void {
    let from = end;
    while (from > this.head && this.appended[from - 1].index >= firstIndex) from--;
    for (const lost of this.appended.splice(from, end - from)) lost.reject(overwritten(lost));
  }

  /** Rejects all that waits; none of it was appended anywhere. */
  refuseWaiting(error: RaftmarkError): void {
    const batch = this.waiting;
    this.waiting = [];
    this.waitingBytes = 0;
    for (const proposal of batch) proposal.reject(error);
  }

  /** Entry `entry` is applied, with `result`: settles the proposal at its index, if this node has one there. */
  // hot
  applied(entry: Entry, result: unknown): void {
    while (this.head < this.appended.length) {
      const proposal = this.appended[this.head];
      if (proposal.index > entry.index) return;
      this.head++;
      if (proposal.index === entry.index && proposal.term === entry.term) proposal.resolve(result);
      else proposal.reject(overwritten(proposal));
      if (proposal.index === entry.index) break;
    }
    if (this.head === this.appended.length) {
      this.appended = [];
      this.head = 0;
    } else if (this.head >= 4096) {
      this.appended.splice(0, this.head);
      this.head = 0;
    }
  }

  /** The node ends: nothing waits any more, and what was appended may or may not commit. */
  end(code: "RAFT_CLOSED" | "RAFT_FENCED", why: string): void {
    this.refuseWaiting(new RaftmarkError(code, why));
    const rest = this.appended.slice(this.head);
    this.appended = [];
    this.head = 0;
    if (rest.length === 0) return;
    const error = new RaftmarkError(code, `${why}; the proposal is in the log and may still commit`, {
      mayCommit: true,
    });
    for (const proposal of rest) proposal.reject(error);
  }
}

function overwritten(proposal: Proposal): RaftmarkError {
  const text = `another leader's entry took index ${proposal.index}: the proposal is lost, propose it again`;
  return new RaftmarkError("RAFT_PROPOSAL_DROPPED", text);
}

function aborted(mayCommit: boolean, cause?: unknown): RaftmarkError {
  const text = mayCommit
    ? "aborted while in the log: it may still commit"
    : "aborted before it was in the log";
  return new RaftmarkError("RAFT_ABORTED", text, { mayCommit, cause });
}
