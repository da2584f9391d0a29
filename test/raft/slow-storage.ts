// A storage whose old entries have to be read before they can be had (Storage.atHand), when the test says so. Refuses
// what it was not asked for, and tells runs of a term.
import assert from "node:assert/strict";
import {
  type Entry,
  EntryNormal,
  ErrCompacted,
  MemoryStorage,
  type RaftError,
} from "../../src/raft/index.js";

export class SlowStorage extends MemoryStorage {
  /** Calls of term(). */
  terms = 0;
  /** Entries from the newest on that are at hand anyhow. */
  readonly recent: number;
  /** What each reader waits for, oldest first, and what was read for it. */
  private readonly waiting = new Map<number, number>();
  private readonly held = new Map<number, number>();

  constructor(recent = 0) {
    super();
    this.recent = recent;
  }

  private isOld(index: number): boolean {
    return index >= this.firstIndex() && index <= this.lastIndex() - this.recent;
  }

  atHand(reader: number, index: number): boolean {
    if (!this.isOld(index) || this.held.get(reader) === index) return true;
    this.held.delete(reader);
    this.waiting.set(reader, index);
    return false;
  }

  /** Reads for who waits longest, and returns it; undefined: nobody waits. */
  read(): number | undefined {
    for (const [reader, index] of this.waiting) {
      this.waiting.delete(reader);
      this.held.set(reader, index);
      return reader;
    }
    return undefined;
  }

  /** Two old ones at most. */
  override entries(lo: number, hi: number, maxSize: number): Entry[] | RaftError {
    if (!this.isOld(lo)) return super.entries(lo, hi, maxSize);
    assert.ok([...this.held.values()].includes(lo), `entry ${lo} was not asked for`);
    return super.entries(lo, Math.min(hi, lo + 2), maxSize);
  }

  override append(entries: readonly Entry[]): void {
    super.append(entries);
    // What waited for an entry that was overwritten is called all the same.
    for (const [reader, index] of this.held)
      if (index >= (entries[0]?.index ?? index)) this.held.delete(reader);
  }

  private all(lo: number, hi: number): Entry[] {
    const found = super.entries(lo, hi, Infinity);
    assert.ok(Array.isArray(found));
    return found;
  }

  confChangesAfter(index: number): readonly number[] {
    const all = this.all(Math.max(index + 1, this.firstIndex()), this.lastIndex() + 1);
    return all.filter(({ type }) => type !== EntryNormal).map((entry) => entry.index);
  }

  sizeOf(lo: number, hi: number): number {
    return this.all(lo, hi).reduce((size, { data }) => size + data.length, 0);
  }

  override term(index: number): number | RaftError {
    this.terms++;
    return super.term(index);
  }

  runStart(index: number): number {
    const term = super.term(index);
    assert.ok(index >= this.firstIndex() && typeof term === "number", "the run of an entry outside the log");
    let start = index;
    while (start > this.firstIndex() && super.term(start - 1) === term) start--;
    assert.notEqual(super.term(start), ErrCompacted);
    return start;
  }
}
