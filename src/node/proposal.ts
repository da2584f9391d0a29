// What Proposals and Forwards keep of a call: a proposal on its way. Main thread.
import type { RaftmarkError } from "../base/errors.js";
import type { Proposed } from "./api.js";
import type { Watched } from "./call-watch.js";
import type { PayloadCopy, Slab } from "./payload-copies.js";

/** `index` of a proposal that was sent to the leader, until the leader says where in its log the proposal is. */
export const ELSEWHERE = -1;

/**
 * One call of propose(), which becomes one entry; or several consecutive entries of a call of proposeMany() (ProposalRun),
 * which is why it has a `count`. `index` is 0 until it is appended; `settled` once it has its outcome.
 */
export class Proposal implements PayloadCopy, Watched {
  readonly slab: Slab;
  readonly at: number;
  readonly start: number;
  size: number;
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

  /** Entries without an outcome. No field, which each of tens of thousands of one entry would have to carry. */
  get count(): number {
    return 1;
  }
}
