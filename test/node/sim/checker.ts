// What must hold in a simulated world, whatever happens in it: one log for all, no acknowledged write gone, nothing
// applied that its caller was told is lost, no read that misses what was acknowledged before it began.
import type { RaftmarkError } from "../../../src/base/errors.js";
import type { Entry } from "../../../src/raft/index.js";

/** A call that waits. */
export interface Call {
  readonly what: string;
  readonly at: number;
  /** Reads: the index to have been applied. */
  readonly need: number;
}

export class Checker {
  /** By index: what was applied there first, wherever that was. Index 0 holds nothing. */
  private readonly log: string[] = [""];
  private readonly applied = new Set<string>();
  /** Payloads whose callers were told that they are lost. */
  private readonly lost = new Set<string>();
  /** The highest index of an acknowledged write. */
  acked = 0;
  ackedWrites = 0;
  reads = 0;
  lostWrites = 0;
  readonly waiting = new Set<Call>();
  /** The first promise of the engine's that was broken; null: none. */
  broken: string | null = null;

  /** Node `id` applies `entries`, the first of them after a start from index 1 on. */
  apply(id: number, entries: readonly Entry[]): void {
    for (const { index, data } of entries) {
      const text = Buffer.from(data).toString();
      const known = this.log[index];
      if (known === undefined) this.log[index] = text;
      else if (known !== text)
        this.fail(`node ${id} applied ${text} at ${index}, where ${known} was applied`);
      if (this.lost.has(text)) this.fail(`node ${id} applied ${text}, which its caller was told is lost`);
      this.applied.add(text);
    }
  }

  acknowledge(text: string, index: number): void {
    if (this.log[index] !== text)
      this.fail(`${text} was acknowledged at ${index}, where ${this.log[index]} is`);
    this.acked = Math.max(this.acked, index);
    this.ackedWrites++;
  }

  /** `text` was rejected. */
  reject(text: string, error: RaftmarkError): void {
    if (error.mayCommit) return;
    if (this.applied.has(text)) this.fail(`${text} was applied, and then called lost: ${error.message}`);
    this.lost.add(text);
    this.lostWrites++;
  }

  /** A read is asked for at `at`. */
  begin(id: number, at: number): Call {
    const call = { what: `read on node ${id}`, at, need: this.acked };
    this.waiting.add(call);
    return call;
  }

  /** It was let go on a node that has applied up to `applied`. */
  end(call: Call, applied: number, now: number): void {
    this.waiting.delete(call);
    this.reads++;
    if (applied >= call.need) return;
    this.fail(
      `stale: ${call.what}, asked at ${call.at.toFixed(3)} and let go at ${now.toFixed(3)} with ${applied} applied; ` +
        `a write at ${call.need} was acknowledged before it was asked`,
    );
  }

  fail(what: string): void {
    this.broken ??= what;
  }
}
