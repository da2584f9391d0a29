// ReadOnly: the rounds of heartbeats by which a leader learns that it still leads, and the read requests that wait for
// one (§8; dissertation §6.4). Owns the numbers of the rounds, when each was sent, and the order of the requests: a
// round confirms every request that came before it was sent.
import { assert } from "../base/assert.js";
import type { ReadOnlyOption } from "./config.js";
import type { Message } from "./raftpb/index.js";

/**
 * How far the clocks of two members may run apart, as a share of time, for a lease to hold (Config.readOnlyOption,
 * ReadOnlyLeaseBased): a voter's clock may be faster than the leader's by a tenth.
 */
export const LEASE_DRIFT = 0.1;

/** Rounds whose time of sending is remembered; an answer to an older one extends no lease. A power of two. */
const ROUNDS_KEPT = 1024;
/** Length of a round's context in heartbeats and their answers. */
export const ROUND_CONTEXT_BYTES = 8;

/** One waiting request. */
export interface ReadIndexStatus {
  readonly request: Message;
  /** The commit index when it came: what the reader must have applied. */
  readonly index: number;
  /** The first round that was sent after it came. */
  readonly round: number;
}

/** Reads that wait until a quorum has confirmed the leader. */
export class ReadOnly {
  readonly option: ReadOnlyOption;
  /** In the order they came, so ascending by round. */
  private pending: ReadIndexStatus[] = [];
  /**
   * Number of the last round. Never reset: no two heartbeats of this node carry the same number, so an answer says
   * which of them it answers, whatever the request in it was called by whoever asked.
   */
  private last = 0;
  /** When round n was sent, in ticks, at n & (ROUNDS_KEPT - 1). */
  private readonly sentAt = new Float64Array(ROUNDS_KEPT);

  constructor(option: ReadOnlyOption) {
    this.option = option;
  }

  /** The number of the round that was started last. */
  get lastRound(): number {
    return this.last;
  }

  get waiting(): number {
    return this.pending.length;
  }

  /** Notes a request that came while the commit index was `index`; the round started next confirms it. */
  addRequest(index: number, request: Message): void {
    this.pending.push({ request, index, round: this.last + 1 });
  }

  /** Starts a round, sent at `now` (ticks): the context of its heartbeats. */
  startRound(now: number): Uint8Array {
    assert(this.last < Number.MAX_SAFE_INTEGER, "no round is left");
    this.last++;
    this.sentAt[this.last & (ROUNDS_KEPT - 1)] = now;
    return contextOf(this.last);
  }

  /** The round that a heartbeat's answer with this context answers; 0: none of ours. */
  roundOf(context: Uint8Array): number {
    if (context.length !== ROUND_CONTEXT_BYTES) return 0;
    const view = new DataView(context.buffer, context.byteOffset, ROUND_CONTEXT_BYTES);
    const round = view.getUint32(0) * 4294967296 + view.getUint32(4);
    return round <= this.last ? round : 0;
  }

  /** When `round` was sent, in ticks; -Infinity if that is too long ago to be known, or there was no such round. */
  sent(round: number): number {
    if (round <= 0 || round > this.last || this.last - round >= ROUNDS_KEPT) return -Infinity;
    return this.sentAt[round & (ROUNDS_KEPT - 1)];
  }

  /** Takes out the requests that a quorum's answer to `round` confirms. */
  advance(round: number): ReadIndexStatus[] {
    let count = 0;
    while (count < this.pending.length && this.pending[count].round <= round) count++;
    return count === 0 ? [] : this.pending.splice(0, count);
  }

  /** Forgets the requests; the rounds go on counting. */
  reset(): void {
    this.pending = [];
  }
}

function contextOf(round: number): Uint8Array {
  const bytes = new Uint8Array(ROUND_CONTEXT_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(round / 4294967296));
  view.setUint32(4, round % 4294967296);
  return bytes;
}
