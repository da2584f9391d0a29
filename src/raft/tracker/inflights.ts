// Inflights: the sliding window of MsgApp on the wire to one follower, limited in messages and in bytes.
// Owns the last index and the size of each; a ring of doubles that grows on demand, so that a generous limit
// costs memory only where the window really gets that wide.
import { assert } from "../../base/assert.js";

const CAPACITY_FIRST = 8;

/** Appends to one member that are on their way. */
export class Inflights {
  readonly maxCount: number;
  /** 0 or Infinity is no limit. Reached by the message that crosses it, which may overshoot. */
  readonly maxBytes: number;

  /** Slot of the oldest message. Invariant: start < indexes.length or both are 0. */
  private start = 0;
  /** Invariant: held <= indexes.length <= maxCount. */
  private held = 0;
  private bytes = 0;
  /** Last index of each message, ascending from `start` around the ring. */
  private indexes: Float64Array;
  private sizes: Float64Array;

  constructor(maxCount: number, maxBytes: number) {
    assert(Number.isSafeInteger(maxCount) && maxCount > 0, "max in-flight messages must be positive");
    assert(maxBytes >= 0, "max in-flight bytes must not be negative");
    this.maxCount = maxCount;
    this.maxBytes = maxBytes;
    this.indexes = new Float64Array(0);
    this.sizes = new Float64Array(0);
  }

  /** Notes a message that ends at `index`. The caller asks full() first. */
  // hot
  add(index: number, bytes: number): void {
    assert(!this.full(), "cannot add into a full inflights");
    if (this.held === this.indexes.length) this.grow();
    let slot = this.start + this.held;
    if (slot >= this.indexes.length) slot -= this.indexes.length;
    this.indexes[slot] = index;
    this.sizes[slot] = bytes;
    this.held++;
    this.bytes += bytes;
  }

  /** Frees every message that ends at or below `to`. */
  // hot
  freeLE(to: number): void {
    const indexes = this.indexes;
    let slot = this.start;
    let left = this.held;
    while (left > 0 && indexes[slot] <= to) {
      this.bytes -= this.sizes[slot];
      left--;
      slot++;
      if (slot === indexes.length) slot = 0;
    }
    assert(this.bytes >= 0, "in-flight bytes below zero");
    this.held = left;
    // An empty window starts over at the front: the slots in use stay few and warm.
    this.start = left === 0 ? 0 : slot;
  }

  // hot
  full(): boolean {
    return this.held === this.maxCount || (this.maxBytes !== 0 && this.bytes >= this.maxBytes);
  }

  count(): number {
    return this.held;
  }

  /** Bytes of them all. */
  size(): number {
    return this.bytes;
  }

  reset(): void {
    this.start = 0;
    this.held = 0;
    this.bytes = 0;
  }

  private grow(): void {
    const before = this.indexes.length;
    const capacity = Math.min(before === 0 ? CAPACITY_FIRST : before * 2, this.maxCount);
    assert(capacity > before, "growing a window that is at its limit");
    const indexes = new Float64Array(capacity);
    const sizes = new Float64Array(capacity);
    for (let i = 0; i < this.held; i++) {
      const slot = (this.start + i) % before;
      indexes[i] = this.indexes[slot];
      sizes[i] = this.sizes[slot];
    }
    this.indexes = indexes;
    this.sizes = sizes;
    this.start = 0;
  }
}
