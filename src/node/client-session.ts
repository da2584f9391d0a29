// A client's session with the group, as a program on one member sees it: each proposal has a number of its own in it, is
// proposed until its outcome is known, and is applied once however often it is. Holds nothing that the group does not know
// but which numbers are under way here. Main thread.
import { bytesIn } from "../base/bytes.js";
import { RaftmarkError } from "../base/errors.js";
import type { CallOptions, Proposed, SessionCallOptions } from "./api.js";
import { refusalOfBytes, refusalOfSessionCall } from "./arguments.js";
import { hideFields } from "./hide-fields.js";
import { sessionBytes } from "./session-entry.js";
import { decodeResult } from "./session-results.js";
import { SESSION_WINDOW, type SessionAnswer } from "./sessions.js";

/** Between two tries, in milliseconds: a leader that hands over takes nothing for a moment. */
const RETRY_MS = 20;
/** With these another try is worth it. */
const RETRIED = ["RAFT_PROPOSAL_DROPPED", "RAFT_LEADERSHIP_LOST"];

/** What a session asks of its node. */
export interface SessionHost {
  propose(bytes: Uint8Array, options: CallOptions): Promise<Proposed>;
  /** Milliseconds that any call may take. */
  readonly requestTimeoutMs: number;
  readonly pauses: Pauses;
}

/** Calls that wait for their next try; they end with the node, not after it. */
export class Pauses {
  private readonly waiting = new Map<NodeJS.Timeout, () => void>();
  private hasEnded = false;

  for(ms: number): Promise<void> {
    if (this.hasEnded) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.waiting.delete(timer);
        resolve();
      }, ms);
      this.waiting.set(timer, resolve);
    });
  }

  /** The node takes no further call. */
  end(): void {
    this.hasEnded = true;
    for (const [timer, resolve] of this.waiting) {
      clearTimeout(timer);
      resolve();
    }
    this.waiting.clear();
  }
}

/**
 * A session, from RaftNode.openSession or RaftNode.session. The group keeps 10,000 of them: the one that nobody has
 * proposed in for the longest (counted in entries of the log, not in time) goes for another.
 */
export class ClientSession {
  /** The same on every member, and for ever: give it to another process, or another member, to go on with. */
  readonly id: number;
  private readonly host: SessionHost;
  /** The number of the next proposal that is given none; null: who used which before is not known here. */
  private next: number | null;
  /** How many calls there are of a number. */
  private readonly underWay = new Map<number, number>();

  /** @internal */
  constructor(host: SessionHost, id: number, next: number | null) {
    this.host = host;
    this.id = id;
    this.next = next;
  }

  /** Its id, for JSON.stringify; console.log shows the same. */
  toJSON(): { readonly id: number } {
    return { id: this.id };
  }

  /**
   * As RaftNode.propose, and applied once: what may have been lost is proposed again, under the same number, until its
   * outcome is known or time is up. Who retries a call of an earlier process, or through another member, gives that
   * call's `sequence`, with the same bytes: nothing compares them. They take 24 bytes more than out of a session, of
   * maxProposalBytes and maxQueuedBytes. Then it resolves with the outcome of the first that was applied, its index,
   * and its result (undefined, bytes, or a copy of what JSON can carry, 64 KiB at most).
   *
   * Rejects as RaftNode.propose does, with `mayCommit` true if any try of this call may be applied; and with
   * RAFT_SESSION_EXPIRED (the group has no such session any more: this try was not applied; whether a call before this
   * one was, nobody knows) or RAFT_OUTCOME_FORGOTTEN (`mayCommit` is true: it was applied before, and its outcome is
   * not kept; or it is 64 or more behind the session's highest number, and may have been). The group keeps the last
   * 65,536 outcomes of all sessions, with 16 MiB of results. Of one session at most 64 numbers, from the lowest under
   * way on, are used at once (RAFT_OVERLOADED).
   */
  async propose(bytes: Uint8Array, options: SessionCallOptions = {}): Promise<Proposed> {
    const refusal = refusalOfBytes(bytes) ?? refusalOfSessionCall(options);
    if (refusal !== null) throw refusal;
    if (bytesIn(bytes) === 0) throw new RaftmarkError("RAFT_BAD_OPTION", "an empty proposal: give it a byte");
    const sequence = options.sequence ?? this.next;
    if (sequence === null) {
      const text = `session ${this.id} was taken up again, and which numbers were used in it is not known here: give option sequence`;
      throw new RaftmarkError("RAFT_BAD_OPTION", text);
    }
    if (sequence > Number.MAX_SAFE_INTEGER) {
      const text = `session ${this.id}: its last number, 2^53-1, was used: open another`;
      throw new RaftmarkError("RAFT_BAD_OPTION", text);
    }
    const lowest = Math.min(sequence, ...this.underWay.keys());
    const highest = Math.max(sequence, ...this.underWay.keys());
    if (highest - lowest >= SESSION_WINDOW) {
      const text = `session ${this.id}: number ${lowest} is under way, and ${sequence} is to be: ${SESSION_WINDOW} at most are told apart`;
      throw new RaftmarkError("RAFT_OVERLOADED", text);
    }
    if (this.next !== null) this.next = Math.max(this.next, sequence + 1);
    this.underWay.set(sequence, (this.underWay.get(sequence) ?? 0) + 1);
    try {
      const framed = sessionBytes(this.id, sequence, bytes);
      return outcomeOf(this.id, sequence, await proposeUntil(this.host, framed, options));
    } finally {
      const left = this.underWay.get(sequence)! - 1;
      if (left === 0) this.underWay.delete(sequence);
      else this.underWay.set(sequence, left);
    }
  }
}

hideFields(ClientSession);

/** Opens a session of a group. */
export async function openSession(host: SessionHost, options: CallOptions): Promise<ClientSession> {
  const { proposed } = await proposeUntil(host, sessionBytes(0, 0, new Uint8Array(0)), options);
  const answer = proposed.result as SessionAnswer;
  if (answer.kind !== "opened") throw new TypeError("a session was opened, and is none");
  return new ClientSession(host, answer.session, 1);
}

interface Known {
  readonly proposed: Proposed;
  /** A try before the one that this came of may be applied, too. */
  readonly mayCommit: boolean;
}

/** Proposes the same until it is known what became of it. */
async function proposeUntil(host: SessionHost, bytes: Uint8Array, options: CallOptions): Promise<Known> {
  const { signal } = options;
  const endsAt = performance.now() + Math.min(options.timeoutMs ?? Infinity, host.requestTimeoutMs);
  let mayCommit = false;
  for (;;) {
    const timeoutMs = Math.max(1, Math.ceil(endsAt - performance.now()));
    try {
      return { proposed: await host.propose(bytes, { signal, timeoutMs }), mayCommit };
    } catch (cause) {
      const error = cause as RaftmarkError;
      mayCommit ||= error.mayCommit;
      if (!RETRIED.includes(error.code) || performance.now() + RETRY_MS >= endsAt)
        throw mayCommit && !error.mayCommit ? mayHaveCommitted(error) : error;
    }
    await host.pauses.for(RETRY_MS);
  }
}

/** An earlier try may be applied, whatever became of the last. */
function mayHaveCommitted({ code, message, leader, cause }: RaftmarkError): RaftmarkError {
  const text = `${message}; an earlier try may be applied`;
  return new RaftmarkError(code, text, { mayCommit: true, leader, cause });
}

function outcomeOf(session: number, sequence: number, { proposed, mayCommit }: Known): Proposed {
  const answer = proposed.result as SessionAnswer;
  if (answer.kind === "applied") return { ...proposed, result: answer.result };
  const which = `number ${sequence} of session ${session}`;
  if (answer.kind === "again") {
    const { outcome } = answer;
    if (outcome !== null && outcome.result !== null)
      return { index: outcome.index, term: outcome.term, result: decodeResult(outcome.result) };
    const what = outcome === null ? "its outcome is" : `its result, of entry ${outcome.index}, is`;
    const text = `${which} was applied before, and ${what} not kept: read the state to see what came of it`;
    throw new RaftmarkError("RAFT_OUTCOME_FORGOTTEN", text, { mayCommit: true });
  }
  if (answer.kind === "behind") {
    const text = `${which} is ${SESSION_WINDOW} or more behind its highest: whether it was applied is not known any more`;
    throw new RaftmarkError("RAFT_OUTCOME_FORGOTTEN", text, { mayCommit: true });
  }
  // One before may have been, while there was the session.
  const what = mayCommit ? "may be applied, or not" : "was not applied";
  const text = `${which} ${what}: the group has no such session any more, or never had: open another`;
  throw new RaftmarkError("RAFT_SESSION_EXPIRED", text, { mayCommit });
}
