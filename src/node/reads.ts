// Linearizable read points (§6.4 of the Raft thesis, etcd's ReadIndex): callers wait here until the leader has
// confirmed its leadership for their read and this node has applied up to the index it was given. Main thread.
import { RaftmarkError } from "../base/errors.js";
import type { RawNode, ReadState } from "../raft/index.js";

interface Waiter {
  settled: boolean;
  resolve(): void;
  reject(error: RaftmarkError): void;
}

/** All callers of one turn share one ReadIndex request, told apart by a counter in its context. */
interface Round {
  readonly sequence: number;
  readonly waiters: Waiter[];
  /** Ticks since it was sent; a request lost on the way is asked again. */
  ticks: number;
  /** The index to be applied before the waiters go on; 0 while unconfirmed. */
  index: number;
}

export class Reads {
  private readonly retryTicks: number;
  private waiting: Waiter[] = [];
  private rounds: Round[] = [];
  private sequence = 0;

  /** `retryTicks`: an unanswered request is sent again after so many ticks. */
  constructor(retryTicks: number) {
    this.retryTicks = retryTicks;
  }

  get waitingCount(): number {
    return this.waiting.length;
  }

  add(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(aborted(signal));
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { settled: false, resolve, reject };
      signal?.addEventListener("abort", () => settle(waiter, aborted(signal)), { once: true });
      this.waiting.push(waiter);
    });
  }

  /** One ReadIndex request for all that wait. */
  ask(rawNode: RawNode): void {
    const round: Round = { sequence: ++this.sequence, waiters: this.waiting, ticks: 0, index: 0 };
    this.waiting = [];
    this.rounds.push(round);
    rawNode.readIndex(contextOf(round.sequence));
  }

  /** Confirmations out of a Ready. A confirmed round confirms every earlier one: it was asked later. */
  confirmed(states: readonly ReadState[], applied: number): void {
    for (const state of states) {
      const sequence = sequenceOf(state.requestCtx);
      for (const round of this.rounds) {
        if (round.sequence <= sequence && round.index === 0) round.index = Math.max(1, state.index);
      }
    }
    this.applied(applied);
  }

  /** Lets go whoever waited for `index` or less. */
  applied(index: number): void {
    if (this.rounds.length === 0) return;
    const rest: Round[] = [];
    for (const round of this.rounds) {
      if (round.index === 0 || round.index > index) rest.push(round);
      else for (const waiter of round.waiters) settle(waiter, null);
    }
    this.rounds = rest;
  }

  tick(rawNode: RawNode): void {
    for (const round of this.rounds) {
      if (round.index !== 0 || ++round.ticks < this.retryTicks) continue;
      round.ticks = 0;
      rawNode.readIndex(contextOf(round.sequence));
    }
  }

  end(error: RaftmarkError): void {
    for (const waiter of this.waiting) settle(waiter, error);
    for (const round of this.rounds) for (const waiter of round.waiters) settle(waiter, error);
    this.waiting = [];
    this.rounds = [];
  }
}

function settle(waiter: Waiter, error: RaftmarkError | null): void {
  if (waiter.settled) return;
  waiter.settled = true;
  if (error === null) waiter.resolve();
  else waiter.reject(error);
}

function aborted(signal: AbortSignal): RaftmarkError {
  return new RaftmarkError("RAFT_ABORTED", "the read was aborted", { cause: signal.reason });
}

function contextOf(sequence: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, sequence);
  return bytes;
}

function sequenceOf(context: Uint8Array): number {
  return new DataView(context.buffer, context.byteOffset, 8).getFloat64(0);
}
