// Memory of a fixed size for what comes and goes in the order it came. Copies into it make no garbage: buffers that are
// kept for a while and given up again would be counted as the old space's, and have it collected every second.
import { assert } from "../../base/assert.js";

export class ByteRing {
  private readonly capacity: number;
  private memory: Uint8Array | null = null;
  /** Positions count bytes for ever; each lies at itself modulo the capacity. Invariant: tail - head <= capacity. */
  private head = 0;
  private tail = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Copies `bytes` behind what is here, in one piece; returns its position, or -1 where there is no room. */
  push(bytes: Uint8Array): number {
    // hot
    const { capacity } = this;
    const { length } = bytes;
    const offset = this.tail % capacity;
    const at = offset + length <= capacity ? this.tail : this.tail + capacity - offset;
    if (length > capacity || at + length - this.head > capacity) return -1;
    // Not filled with zeros first: pages that are never used take no memory.
    this.memory ??= new Uint8Array(Buffer.allocUnsafeSlow(capacity).buffer);
    this.memory.set(bytes, at % capacity);
    this.tail = at + length;
    return at;
  }

  /** Whether `length` bytes from `at` on, which are here, lie in one piece. */
  isOnePiece(at: number, length: number): boolean {
    return (at % this.capacity) + length <= this.capacity;
  }

  /** A copy of the `length` bytes at `at`. */
  copy(at: number, length: number): Uint8Array {
    assert(at >= this.head && at + length <= this.tail, "bytes that are not in the ring");
    const from = at % this.capacity;
    return this.memory!.slice(from, from + length);
  }

  /** Gives up everything before position `at`. */
  dropBefore(at: number): void {
    this.head = Math.max(this.head, at);
  }

  /** Gives up everything from position `at` on. */
  dropFrom(at: number): void {
    this.tail = at;
    this.head = Math.min(this.head, at);
  }
}
