// A first-in first-out queue on a ring of slots: no shifting, no garbage in steady state. Grows, never shrinks.
import { assert } from "./assert.js";

export class Fifo<T> {
  private slots: (T | undefined)[] = new Array<T | undefined>(64).fill(undefined);
  private start = 0;
  private count = 0;

  get length(): number {
    return this.count;
  }

  push(item: T): void {
    // hot
    if (this.count === this.slots.length) this.grow();
    this.slots[(this.start + this.count) & (this.slots.length - 1)] = item;
    this.count++;
  }

  /** The item `at` places behind the oldest. */
  peek(at: number): T {
    // hot
    assert(at < this.count, "peek behind the end of the queue");
    return this.slots[(this.start + at) & (this.slots.length - 1)] as T;
  }

  shift(): T {
    // hot
    assert(this.count > 0, "shift of an empty queue");
    const item = this.slots[this.start] as T;
    this.slots[this.start] = undefined;
    this.start = (this.start + 1) & (this.slots.length - 1);
    this.count--;
    return item;
  }

  private grow(): void {
    const larger = new Array<T | undefined>(this.slots.length * 2).fill(undefined);
    for (let i = 0; i < this.count; i++) larger[i] = this.slots[(this.start + i) & (this.slots.length - 1)];
    this.slots = larger;
    this.start = 0;
  }
}
