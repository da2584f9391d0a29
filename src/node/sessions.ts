// The sessions of a group's clients, part of the replicated state (§6.3 of the Raft thesis): which of its proposals each
// has had applied, so that none is applied twice, and what came of them. Every member makes the same of the same log,
// however many entries it applies at once, and a snapshot carries it: nothing here asks for time or options. Main thread.
//
// What decides whether an entry is applied is changed entry by entry, before the state machine is asked (plan); what it
// returned is kept entry by entry behind that (SessionPlan.results). Neither decides anything for the other, so that it
// does not matter where one call of apply ends and the next begins.
import { assert } from "../base/assert.js";
import { Fifo } from "../base/fifo.js";
import type { Entry } from "../raft/index.js";
import { isNormal } from "./applier.js";
import { isOfSession, placeIn, SESSION_HEAD_BYTES, withoutHead } from "./session-entry.js";
import { decodeResult, encodeResult } from "./session-results.js";

/** Of a session's sequences: as many up to the highest are told apart, and those before are refused. */
export const SESSION_WINDOW = 64;

/** The same on every member, for ever: whoever has others makes another state of the same log. */
export interface SessionLimits {
  /** Open at once: the one whose last proposal is the longest ago, in the log, goes for another. */
  readonly sessions: number;
  /** Outcomes that are kept, of all sessions, and bytes of their results: the oldest goes for another. */
  readonly outcomes: number;
  readonly outcomeBytes: number;
}

const LIMITS: SessionLimits = { sessions: 10_000, outcomes: 65_536, outcomeBytes: 16 << 20 };

/** What was applied of a session, in a ring of all by who proposed last. */
class Session {
  readonly id: number;
  highest: number;
  /** Bit i: highest - i was applied; of SESSION_WINDOW. */
  applied: bigint;
  /** Whose last proposal comes right before its own in the log, and right behind; of one that is in no ring: itself. */
  older: Session = this;
  newer: Session = this;

  constructor(id: number, highest: number, applied: bigint) {
    this.id = id;
    this.highest = highest;
    this.applied = applied;
  }

  leave(): void {
    this.older.newer = this.newer;
    this.newer.older = this.older;
  }

  /** Of a ring that it is not in. */
  standBefore(newer: Session): void {
    this.older = newer.older;
    this.newer = newer;
    this.older.newer = this;
    newer.older = this;
  }
}

/** The first, and only, time that it was applied. */
export interface Outcome {
  readonly index: number;
  readonly term: number;
  /** encodeResult's; null: it is nothing that could be kept. */
  readonly result: Uint8Array | null;
}

/** What a proposal of a session is resolved with, by way of Proposed.result. */
export type SessionAnswer =
  | { readonly kind: "opened"; readonly session: number }
  | { readonly kind: "applied"; readonly result: unknown }
  /** It was applied before. Null: its outcome is not kept any more, or its result could not be kept. */
  | { readonly kind: "again"; readonly outcome: Outcome | null }
  /** Not applied: so far behind that nobody knows whether it was before. */
  | { readonly kind: "behind" }
  /** Not applied: there is no such session, any more or yet. */
  | { readonly kind: "expired" };

/** Of a table, read before others get their turn: some 2,000 outcomes without results. */
const BYTES_PER_TURN = 64 << 10;

const APPLIED_BITS = (1n << BigInt(SESSION_WINDOW)) - 1n;

export class Sessions {
  private sessions = new Map<number, Session>();
  /**
   * No session: where the ring of all of them begins and ends. The order is not the map's own, as whoever proposes goes to
   * its end: a map's first key is found behind all that were taken out before it.
   */
  private ends = new Session(0, 0, 0n);
  /** By session and sequence; the oldest first. */
  private outcomes = new Map<string, Outcome>();
  /** Their keys, the oldest first, for the same reason. */
  private order = new Fifo<string>();
  private outcomeBytes = 0;
  private readonly limits: SessionLimits;

  /** `limits`: others than those of all nodes, for tests. */
  constructor(limits = LIMITS) {
    this.limits = limits;
  }

  get count(): number {
    return this.sessions.size;
  }

  /** What is to be applied of `entries`, and how their proposals are answered. */
  plan(entries: readonly Entry[]): SessionPlan {
    const plan = new SessionPlan(this);
    for (const entry of entries) {
      if (!isNormal(entry)) continue;
      if (isOfSession(entry.bytes, entry.start, entry.size)) this.planOne(plan, entry);
      else plan.apply(entry, null);
    }
    return plan;
  }

  private planOne(plan: SessionPlan, entry: Entry): void {
    const { id, sequence } = placeIn(entry);
    if (id === 0) {
      this.open(entry.index);
      plan.answer({ kind: "opened", session: entry.index });
      return;
    }
    // A number that nobody gives could not be kept: no snapshot would be read again.
    const session = Number.isSafeInteger(sequence) ? this.sessions.get(id) : undefined;
    if (session === undefined) {
      plan.answer({ kind: "expired" });
      return;
    }
    session.leave();
    session.standBefore(this.ends);
    const behind = session.highest - sequence;
    if (behind >= SESSION_WINDOW) plan.answer({ kind: "behind" });
    else if (behind >= 0 && (session.applied >> BigInt(behind)) % 2n === 1n) plan.again(keyOf(id, sequence));
    else if (entry.size === SESSION_HEAD_BYTES) plan.answer({ kind: "applied", result: undefined });
    else {
      mark(session, sequence);
      plan.apply(withoutHead(entry), keyOf(id, sequence));
    }
  }

  private open(id: number): void {
    this.add(new Session(id, 0, 0n));
    if (this.sessions.size <= this.limits.sessions) return;
    const oldest = this.ends.newer;
    oldest.leave();
    this.sessions.delete(oldest.id);
  }

  private add(session: Session): void {
    this.sessions.set(session.id, session);
    session.standBefore(this.ends);
  }

  /** For SessionPlan. */
  keep(key: string, outcome: Outcome): void {
    const { outcomes } = this;
    outcomes.set(key, outcome);
    this.order.push(key);
    this.outcomeBytes += bytesOf(outcome);
    while (outcomes.size > this.limits.outcomes || this.outcomeBytes > this.limits.outcomeBytes) {
      const oldest = this.order.shift();
      this.outcomeBytes -= bytesOf(outcomes.get(oldest)!);
      outcomes.delete(oldest);
    }
  }

  /** For SessionPlan. */
  outcomeOf(key: string): Outcome | null {
    return this.outcomes.get(key) ?? null;
  }

  // ---- in a snapshot

  /** All of it; empty: there is nothing. */
  encode(): Uint8Array {
    const { sessions, ends, outcomes } = this;
    if (sessions.size === 0 && outcomes.size === 0) return new Uint8Array(0);
    const bytes = Buffer.alloc(8 + sessions.size * 24 + outcomes.size * 36 + this.outcomeBytes);
    let at = bytes.writeUInt32BE(sessions.size, 0);
    for (let session = ends.newer; session !== ends; session = session.newer) {
      at = writeU64(bytes, session.id, at);
      at = writeU64(bytes, session.highest, at);
      at = bytes.writeBigUInt64BE(session.applied, at);
    }
    at = bytes.writeUInt32BE(outcomes.size, at);
    for (const [key, { index, term, result }] of outcomes) {
      const space = key.indexOf(" ");
      at = writeU64(bytes, Number(key.slice(0, space)), at);
      at = writeU64(bytes, Number(key.slice(space + 1)), at);
      at = writeU64(bytes, index, at);
      at = writeU64(bytes, term, at);
      at = bytes.writeUInt32BE(result === null ? NOT_KEPT : result.length, at);
      if (result === null) continue;
      bytes.set(result, at);
      at += result.length;
    }
    assert(at === bytes.length, "sessions take other than they were thought to");
    return bytes;
  }

  /**
   * Reads what encode() gave, a piece a turn: a running node takes in a snapshot, too. Calling the result takes it in place of
   * all there is. Null: encode() did not give that.
   */
  async decode(bytes: Uint8Array): Promise<(() => void) | null> {
    const read = new Sessions(this.limits);
    if (bytes.length > 0) {
      const filling = read.fill(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
      try {
        let step = filling.next();
        for (; !step.done; step = filling.next()) await new Promise((resolve) => setImmediate(resolve));
        if (step.value !== bytes.length) return null;
      } catch {
        // Beyond the end, a number that is no safe integer, or no result.
        return null;
      }
    }
    return () => {
      this.sessions = read.sessions;
      this.ends = read.ends;
      this.outcomes = read.outcomes;
      this.order = read.order;
      this.outcomeBytes = read.outcomeBytes;
    };
  }

  /** Gives the bytes that it took, -1 for what is no table; yields after each piece. */
  private *fill(bytes: Buffer): Generator<void, number> {
    let at = 0;
    let pieceEnd = BYTES_PER_TURN;
    const isPieceDone = (): boolean => {
      if (at < pieceEnd) return false;
      pieceEnd = at + BYTES_PER_TURN;
      return true;
    };
    const u32 = (): number => bytes.readUInt32BE((at += 4) - 4);
    const u64 = (): number => safe(bytes.readBigUInt64BE((at += 8) - 8));
    for (let left = u32(); left > 0; left--) {
      const id = u64();
      const highest = u64();
      if (this.sessions.has(id)) return -1;
      this.add(new Session(id, highest, bytes.readBigUInt64BE((at += 8) - 8)));
      if (isPieceDone()) yield;
    }
    for (let left = u32(); left > 0; left--) {
      const key = keyOf(u64(), u64());
      const [index, term, size] = [u64(), u64(), u32()];
      const result = size === NOT_KEPT ? null : Uint8Array.from(bytes.subarray(at, at + size));
      if (result !== null && result.length !== size) return -1;
      // What cannot be read must not be found out by a retry.
      if (result !== null) decodeResult(result);
      at += result?.length ?? 0;
      this.outcomes.set(key, { index, term, result });
      this.order.push(key);
      this.outcomeBytes += result?.length ?? 0;
      if (isPieceDone()) yield;
    }
    const isBounded =
      this.order.length === this.outcomes.size &&
      this.sessions.size <= this.limits.sessions &&
      this.outcomes.size <= this.limits.outcomes &&
      this.outcomeBytes <= this.limits.outcomeBytes;
    return isBounded ? at : -1;
  }
}

/** Of the entries of one call of apply. */
export class SessionPlan {
  /** What the state machine gets: its array, of entries as they were proposed. */
  readonly toApply: Entry[] = [];
  private readonly sessions: Sessions;
  /** An entry each: whether, and as whose, it is applied; an outcome that is asked for; or an answer that is known. */
  private readonly steps: Step[] = [];
  private hasSessions = false;

  constructor(sessions: Sessions) {
    this.sessions = sessions;
  }

  /** `key`: of a session's; null: of none. */
  apply(entry: Entry, key: string | null): void {
    this.toApply.push(entry);
    this.steps.push({ entry, key, answer: null });
    this.hasSessions ||= key !== null;
  }

  again(key: string): void {
    this.steps.push({ entry: null, key, answer: null });
    this.hasSessions = true;
  }

  answer(answer: SessionAnswer): void {
    this.steps.push({ entry: null, key: null, answer });
    this.hasSessions = true;
  }

  /** What the proposals of the normal entries are resolved with, given what apply returned for those that it got. */
  results(returned: readonly unknown[] | undefined): readonly unknown[] | undefined {
    if (!this.hasSessions) return returned;
    let next = 0;
    return this.steps.map(({ entry, key, answer }): unknown => {
      if (answer !== null) return answer;
      if (entry === null)
        return { kind: "again", outcome: this.sessions.outcomeOf(key!) } satisfies SessionAnswer;
      const result = returned?.[next++];
      if (key === null) return result;
      const { index, term } = entry;
      this.sessions.keep(key, { index, term, result: encodeResult(result) });
      return { kind: "applied", result } satisfies SessionAnswer;
    });
  }
}

interface Step {
  readonly entry: Entry | null;
  readonly key: string | null;
  readonly answer: SessionAnswer | null;
}

const NOT_KEPT = 0xffffffff;

function mark(session: Session, sequence: number): void {
  const ahead = sequence - session.highest;
  if (ahead > 0) {
    const kept = ahead >= SESSION_WINDOW ? 0n : session.applied << BigInt(ahead);
    session.applied = (kept | 1n) & APPLIED_BITS;
    session.highest = sequence;
  } else session.applied |= 1n << BigInt(-ahead);
}

function keyOf(session: number, sequence: number): string {
  return `${session} ${sequence}`;
}

/** A full table has 300,000 numbers, which are written in one piece of work: a BigInt each took most of its time. */
function writeU64(bytes: Buffer, value: number, at: number): number {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  return bytes.writeUInt32BE(value % 2 ** 32, at + 4);
}

function bytesOf({ result }: Outcome): number {
  return result?.length ?? 0;
}

function safe(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError("no safe integer");
  return Number(value);
}
