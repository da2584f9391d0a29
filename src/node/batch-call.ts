// One call of proposeMany(): several entries with one promise, which settles when each of them has an outcome. On their
// way they are runs: an object for as many as lie in one slab, not for each. Main thread.
import { assert } from "../base/assert.js";
import { RaftmarkError } from "../base/errors.js";
import type { Proposed } from "./api.js";
import type { Watched } from "./call-watch.js";
import type { PayloadCopy, PayloadRun } from "./payload-copies.js";
import { ELSEWHERE, Proposal } from "./proposal.js";

/**
 * Consecutive entries of one call, those that have no outcome yet: its first is at `place` in the call, and at `index`
 * in the log once it is there. What it says of its payloads holds until the first of them is applied.
 */
export class ProposalRun extends Proposal implements PayloadRun {
  readonly call: BatchCall;
  place: number;
  private left: number;

  constructor(
    copy: PayloadCopy,
    since: number,
    number: number,
    call: BatchCall,
    place: number,
    count: number,
  ) {
    super(copy, since, number, null, resolveOfRun, rejectOfRun);
    this.call = call;
    this.place = place;
    this.left = count;
  }

  override get count(): number {
    return this.left;
  }

  get places(): readonly number[] {
    return this.call.places;
  }

  /** The copy of the next payload lies behind its last. */
  grow(size: number): void {
    this.left++;
    this.size += size;
  }

  /** How many of its first payloads fit, with what each costs besides. */
  fitting(bytesMax: number, overheadBytes: number): number {
    const { places, place } = this;
    let count = 0;
    let room = bytesMax;
    while (count < this.left) {
      const at = 2 * (place + count);
      room -= places[at + 1] - places[at] + overheadBytes;
      if (room < 0) break;
      count++;
    }
    return count;
  }

  /** Ends behind its first `count`, and returns the run of the others. */
  cut(count: number): ProposalRun {
    assert(count > 0 && count < this.left, "a run was cut where it ends");
    assert(this.index !== ELSEWHERE, "a request that is under way would not be the same again");
    const { slab, since, number, call, place, places } = this;
    let bytes = 0;
    for (let at = 2 * place; at < 2 * (place + count); at += 2) bytes += places[at + 1] - places[at];
    const first = 2 * (place + count);
    const copy = { slab, at: places[first - 1], start: places[first], size: this.size - bytes, count: 1 };
    const rest = new ProposalRun(copy, since, number + count, call, place + count, this.left - count);
    if (this.index > 0) rest.index = this.index + count;
    rest.term = this.term;
    rest.settled = this.settled;
    this.left = count;
    this.size = bytes;
    call.runs.push(rest);
    return rest;
  }

  /** Its first has its outcome. */
  // hot
  shift(): void {
    assert(this.left > 1, "the last of a run was passed over");
    assert(this.index > 0, "an entry of a run has an outcome and no place");
    this.left--;
    this.place++;
    this.index++;
  }
}

/** A proposal that is in a log: its entries up to `index`, and those behind that. Both are there if it is cut between them. */
export function partedAt(proposal: Proposal, index: number): Proposal[] {
  const count = index + 1 - proposal.index;
  if (count <= 0 || count >= proposal.count) return [proposal];
  return [proposal, (proposal as ProposalRun).cut(count)];
}

// Functions that all of them share: closures for each entry are what their common promise saves.
function resolveOfRun(this: Proposal, value: Proposed): void {
  const { call, place } = this as ProposalRun;
  call.resolved(place, value);
}

function rejectOfRun(this: Proposal, reason: RaftmarkError): void {
  const { call, count } = this as ProposalRun;
  call.rejected(reason, count);
}

export class BatchCall implements Watched {
  readonly signal: AbortSignal | null;
  timer: NodeJS.Timeout | null = null;
  /** What it was made of and cut into, done or not. */
  readonly runs: ProposalRun[] = [];
  /** Where the copy of each payload begins and ends in its slab, in the order of the call. */
  readonly places: number[];
  private laidCount = 0;
  /** How many entries have no outcome yet. */
  private left: number;
  private readonly done: Proposed[];
  /** What the first that was rejected was rejected with. */
  private refusal: RaftmarkError | null = null;
  /** One of them is applied, or may be. */
  private mayCommit = false;
  private readonly resolve: (value: Proposed[]) => void;
  private readonly reject: (reason: RaftmarkError) => void;
  private readonly onEnd: (call: BatchCall) => void;

  /** `onEnd` is called as it settles. */
  constructor(
    count: number,
    signal: AbortSignal | null,
    resolve: (value: Proposed[]) => void,
    reject: (reason: RaftmarkError) => void,
    onEnd: (call: BatchCall) => void,
  ) {
    this.signal = signal;
    this.left = count;
    this.places = new Array(2 * count);
    this.done = new Array(count);
    this.resolve = resolve;
    this.reject = reject;
    this.onEnd = onEnd;
  }

  /** The copy of the next payload is this. Returns the run that begins with it; null: it goes on with the one before. */
  laid(copy: PayloadCopy, since: number, number: number): ProposalRun | null {
    const { runs, places } = this;
    const place = this.laidCount++;
    places[2 * place] = copy.start;
    places[2 * place + 1] = copy.start + copy.size;
    if (runs.length > 0 && runs[runs.length - 1].slab === copy.slab) {
      runs[runs.length - 1].grow(copy.size);
      return null;
    }
    const run = new ProposalRun(copy, since, number, this, place, 1);
    runs.push(run);
    return run;
  }

  /** That at `place` is applied. */
  // hot
  resolved(place: number, value: Proposed): void {
    this.done[place] = value;
    this.mayCommit = true;
    this.ended(1);
  }

  /** So many of them are rejected. */
  rejected(reason: RaftmarkError, count: number): void {
    this.refusal ??= reason;
    this.mayCommit ||= reason.mayCommit;
    this.ended(count);
  }

  private ended(count: number): void {
    assert(this.left >= count, "more outcomes than proposals");
    this.left -= count;
    if (this.left > 0) return;
    this.onEnd(this);
    const { refusal } = this;
    if (refusal === null) this.resolve(this.done);
    else if (refusal.mayCommit === this.mayCommit) this.reject(refusal);
    else this.reject(partly(refusal));
  }
}

function partly(refusal: RaftmarkError): RaftmarkError {
  const text = `${refusal.message}; others of the same call are committed, or may be`;
  return RaftmarkError.withoutStack(refusal.code, text, { mayCommit: true, cause: refusal });
}
