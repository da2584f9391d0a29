// Linearizable read points (§6.4 of the Raft thesis, etcd's ReadIndex): callers wait here until the leader has
// confirmed its leadership for their read and this node has applied up to the index it was given. Main thread.
//
// The context of a request is unique among all nodes and all times: the node, its incarnation (drawn when it opened) and a
// count. So neither a repeated request nor a late answer can be taken for another one.
import { randomBytes } from "node:crypto";
import { RaftmarkError } from "../base/errors.js";
import type { RawNode, ReadState } from "../raft/index.js";
import type { CallOptions } from "./api.js";
import { CallWatch, endedCall, noLeader, type Watched } from "./call-watch.js";

interface Waiter extends Watched {
  settled: boolean;
  resolve(): void;
  reject(error: RaftmarkError): void;
}

/** All callers of one turn share one request. */
interface Round {
  /** The count of the first request that covers it: an answer to this count or a later one confirms the round. */
  readonly sequence: number;
  readonly waiters: Waiter[];
  /** A request was made for it; false: it waits for a leader to be known, or for earlier requests to be answered. */
  asked: boolean;
  /** Ticks since it was made, since it was asked last, and since a leader was last known. */
  age: number;
  askedTicks: number;
  leaderlessTicks: number;
  /** The index to be applied before the waiters go on; 0 while unconfirmed. */
  index: number;
}

/** In ticks. */
export interface ReadLimits {
  /** A request that has no answer for so long is asked again: it, or its answer, may be lost. */
  readonly retryTicks: number;
  /** A read gives up when no leader was known for so long; Infinity: never. */
  readonly leaderlessTicks: number;
  /** A read gives up after so long, whatever is known; Infinity: never. */
  readonly timeoutTicks: number;
}

/**
 * How many requests may be unanswered at once. Reads beyond that wait, and share the next request: otherwise a leader that
 * cannot answer yet, or a path that stands still, would be sent one more with each turn.
 */
const UNANSWERED_MAX = 64;
const INCARNATION_BYTES = 8;
const CONTEXT_BYTES = 8 + INCARNATION_BYTES + 8;

/** The node that asked for the read with this context; 0: it is not the context of a read. */
export function readerOf(context: Uint8Array): number {
  if (context.length !== CONTEXT_BYTES) return 0;
  const view = new DataView(context.buffer, context.byteOffset, context.length);
  return Number(view.getBigUint64(0));
}

export class Reads {
  private readonly limits: ReadLimits;
  private readonly obstacles: () => readonly string[];
  /** What every context begins with: node and incarnation. */
  private readonly prefix: Uint8Array;
  private readonly calls = new CallWatch<Waiter>((waiter, end) => this.finish(waiter, endedCall(end, TEXTS)));
  private waiting: Waiter[] = [];
  private rounds: Round[] = [];
  private sequence = 0;
  /** Requests up to this count are answered, or nobody waits for their answers any more. */
  private answered = 0;
  /** Callers that have no answer yet. */
  openCount = 0;

  /** `obstacles`: PeerLines, for errors. */
  constructor(id: number, limits: ReadLimits, obstacles = (): readonly string[] => []) {
    this.limits = limits;
    this.obstacles = obstacles;
    this.prefix = new Uint8Array(8 + INCARNATION_BYTES);
    new DataView(this.prefix.buffer).setBigUint64(0, BigInt(id));
    this.prefix.set(randomBytes(INCARNATION_BYTES), 8);
  }

  get waitingCount(): number {
    return this.waiting.length;
  }

  add({ signal, timeoutMs }: CallOptions = {}): Promise<void> {
    if (signal?.aborted)
      return Promise.reject(endedCall({ code: "RAFT_ABORTED", cause: signal.reason }, TEXTS));
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { settled: false, signal: signal ?? null, timer: null, resolve, reject };
      this.calls.add(waiter, timeoutMs);
      this.waiting.push(waiter);
      this.openCount++;
    });
  }

  /** Some reads have no request yet, and can have one as soon as a leader is known. */
  get heldBack(): boolean {
    return this.rounds.at(-1)?.asked === false && this.sequence - this.answered < UNANSWERED_MAX;
  }

  /** Makes one request for all reads that wait, unless they have to wait longer; `leader`: one is known. */
  ask(rawNode: RawNode, leader: boolean): void {
    if (this.waiting.length > 0) this.gather();
    if (leader && this.heldBack) this.request(rawNode);
  }

  /** Waiting reads join the last round if it is of the same tick and has no request yet; else they become the next round. */
  private gather(): void {
    const { waiting } = this;
    this.waiting = [];
    const last = this.rounds.at(-1);
    if (last?.asked === false && last.age === 0) {
      for (const waiter of waiting) last.waiters.push(waiter);
      return;
    }
    this.rounds.push({
      sequence: this.sequence + 1,
      waiters: waiting,
      asked: false,
      age: 0,
      askedTicks: 0,
      leaderlessTicks: 0,
      index: 0,
    });
  }

  /** A leader became known: unanswered requests may have gone to another one, so this one is asked at once. */
  leaderKnown(rawNode: RawNode): void {
    this.askAgain(rawNode, 0);
  }

  /** A request that no read waits for: its answer shows that the leader is there. */
  askForSign(rawNode: RawNode): void {
    // Earlier requests may be lost with a connection: they must not hold this one back.
    this.answered = this.sequence;
    this.request(rawNode);
  }

  /** Makes one request for every round that has none yet. No two requests have the same context. */
  private request(rawNode: RawNode): void {
    const { rounds } = this;
    for (let i = rounds.length - 1; i >= 0 && !rounds[i].asked; i--) {
      rounds[i].asked = true;
      rounds[i].askedTicks = 0;
    }
    const context = new Uint8Array(CONTEXT_BYTES);
    context.set(this.prefix);
    new DataView(context.buffer).setBigUint64(this.prefix.length, BigInt(++this.sequence));
    rawNode.readIndex(context);
  }

  /** Makes one request for all rounds that were asked so many ticks ago: its answer confirms all earlier rounds as well. */
  private askAgain(rawNode: RawNode, ticks: number): void {
    let any = false;
    for (const round of this.rounds) {
      if (round.index !== 0 || round.askedTicks < ticks) continue;
      round.asked = true;
      round.askedTicks = 0;
      any = true;
    }
    if (!any) return;
    this.answered = this.sequence;
    this.request(rawNode);
  }

  /** The read states of a Ready. Each confirms every round that was there when its request was made. */
  confirmed(states: readonly ReadState[], applied: number): void {
    const { rounds } = this;
    // Rounds ascend, so that confirmed ones come first: thousands of rounds and states in one Ready take linear time.
    let next = 0;
    for (const state of states) {
      const sequence = this.sequenceOf(state.requestCtx);
      this.answered = Math.max(this.answered, sequence);
      while (next < rounds.length && (rounds[next].index !== 0 || rounds[next].sequence <= sequence)) {
        if (rounds[next].index === 0) rounds[next].index = Math.max(1, state.index);
        next++;
      }
    }
    this.applied(applied);
  }

  /** The count in a context; 0: the request is not one that this node made since it opened. */
  private sequenceOf(context: Uint8Array): number {
    if (context.length !== CONTEXT_BYTES) return 0;
    for (let i = 0; i < this.prefix.length; i++) if (context[i] !== this.prefix[i]) return 0;
    const view = new DataView(context.buffer, context.byteOffset, context.length);
    return Number(view.getBigUint64(this.prefix.length));
  }

  /** Lets go whoever waited for `index` or less. */
  applied(index: number): void {
    if (this.rounds.length === 0) return;
    const rest: Round[] = [];
    for (const round of this.rounds) {
      if (round.index === 0 || round.index > index) rest.push(round);
      else this.settleAll(round, null);
    }
    this.rounds = rest;
  }

  /** `leader`: whether one is known, and can be asked. */
  tick(rawNode: RawNode, leader: boolean): void {
    if (this.rounds.length === 0) return;
    const { leaderlessTicks, timeoutTicks, retryTicks } = this.limits;
    const rest: Round[] = [];
    for (const round of this.rounds) {
      round.age++;
      round.askedTicks++;
      round.leaderlessTicks = leader ? 0 : round.leaderlessTicks + 1;
      if (round.waiters.every((waiter) => waiter.settled)) continue;
      if (round.age > timeoutTicks) this.settleAll(round, timedOut());
      else if (round.index === 0 && round.leaderlessTicks > leaderlessTicks)
        this.settleAll(round, noLeader(rawNode.raft.lead, "this node could not ask it", this.obstacles()));
      else rest.push(round);
    }
    this.rounds = rest;
    if (leader) this.askAgain(rawNode, retryTicks);
  }

  end(error: RaftmarkError): void {
    const rounds = this.rounds;
    const waiting = this.waiting;
    this.waiting = [];
    this.rounds = [];
    for (const round of rounds) this.settleAll(round, error);
    for (const waiter of waiting) this.finish(waiter, error);
  }

  private settleAll(round: Round, error: RaftmarkError | null): void {
    for (const waiter of round.waiters) this.finish(waiter, error);
  }

  private finish(waiter: Waiter, error: RaftmarkError | null): void {
    if (waiter.settled) return;
    this.openCount--;
    this.calls.remove(waiter);
    waiter.settled = true;
    if (error === null) waiter.resolve();
    else waiter.reject(error);
  }
}

const TEXTS = {
  aborted: "the read was aborted",
  late: "the read was not answered in time: read again",
};

function timedOut(): RaftmarkError {
  return RaftmarkError.withoutStack(
    "RAFT_TIMEOUT",
    "the read was not answered within requestTimeoutMs: read again",
  );
}
