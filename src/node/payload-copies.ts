// The node's own copy of what callers propose. Their buffers are theirs again when propose() returns: one that is filled
// anew or transferred afterwards would be another entry in each log that it reaches later. Small copies share slabs,
// since an ArrayBuffer each costs more than the bytes in it. Main thread.

/** A slab stays as long as any entry in it: it bounds what one entry can keep alive. */
const SLAB_BYTES = 64 * 1024;
/** From here on a copy has its own memory. */
const ALONE_BYTES = SLAB_BYTES / 8;

/**
 * How many bytes there are, whatever `length` a subclass or a property of the caller's gives itself: a copy by that one
 * would hold what happens to lie in the slab, or let the next be written over it.
 */
export const bytesIn: (bytes: Uint8Array) => number = lengthOf();

function lengthOf(): (bytes: Uint8Array) => number {
  const getter = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), "length")!.get!;
  return (bytes) => getter.call(bytes);
}

export class PayloadCopies {
  private slab: Uint8Array = new Uint8Array(0);
  private used = 0;

  /** The bytes as they are now, at a multiple of 8, as whoever copies them further likes it. */
  // hot
  copy(bytes: Uint8Array): Uint8Array {
    const length = bytesIn(bytes);
    if (length >= ALONE_BYTES) return new Uint8Array(bytes);
    if (this.used + length > this.slab.length) {
      // Not from the pool, and not filled with zeros first.
      this.slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.used = 0;
    }
    const copy = new Uint8Array(this.slab.buffer, this.used, length);
    copy.set(bytes);
    this.used = (this.used + length + 7) & ~7;
    return copy;
  }
}
