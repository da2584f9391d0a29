// One call of proposeMany(): several proposals with one promise, which settles when each of them has an outcome. Main
// thread.
import { assert } from "../base/assert.js";
import { RaftmarkError } from "../base/errors.js";
import type { Proposed } from "./api.js";
import type { Watched } from "./call-watch.js";

export class BatchCall implements Watched {
  readonly signal: AbortSignal | null;
  timer: NodeJS.Timeout | null = null;
  /** In the order of the call. */
  readonly proposals: { readonly settled: boolean }[] = [];
  /** How many have no outcome yet. */
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
    this.done = new Array(count);
    this.resolve = resolve;
    this.reject = reject;
    this.onEnd = onEnd;
  }

  /** That at `place` is applied. */
  // hot
  resolved(place: number, value: Proposed): void {
    this.done[place] = value;
    this.mayCommit = true;
    this.ended();
  }

  /** One of them is rejected. */
  rejected(reason: RaftmarkError): void {
    this.refusal ??= reason;
    this.mayCommit ||= reason.mayCommit;
    this.ended();
  }

  private ended(): void {
    assert(this.left > 0, "more outcomes than proposals");
    if (--this.left > 0) return;
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
