// Memory for what comes in over the network or from callers in bulk, used again when the log has let go of it: an
// ArrayBuffer for each frame would start a major collection for each 8 MiB of frames, since a scavenge seldom comes in
// time to free them.
// Who keeps bytes of a buffer beyond the turn that it came in says so, and says when it is done: a buffer of which
// somebody kept some, and all of whom are done, is used again. One that nobody kept, or of which not all is given back,
// is the collector's. One for each thread.
import { assert } from "./assert.js";

// The core is compiled with this folder, and without Node's types.
declare function setImmediate(run: () => void): unknown;
declare const Buffer: { allocUnsafeSlow(size: number): { readonly buffer: ArrayBuffer } };

/** Smaller ones are not worth it. */
export const POOLED_BYTES_MIN = 16 * 1024;
/** Larger ones are rare. */
const POOLED_BYTES_MAX = 1 << 20;
/** What is not in use is kept up to here. */
const IDLE_BYTES_MAX = 8 << 20;

/** Of a pooled buffer: how many keep some of it. */
interface Lease {
  holders: number;
}

const leases = new WeakMap<ArrayBufferLike, Lease>();
/** By the logarithm of their size. */
const idle: ArrayBuffer[][] = [];
let idleBytes = 0;
/** Given back in this turn of the event loop, and in the one before: whoever reads on meanwhile does no harm. */
let fresh: ArrayBuffer[] = [];
let rested: ArrayBuffer[] = [];
let turning = false;

/** For tests and simulations. */
export const bytePoolTesting = {
  /** What may be used again is written over at once. */
  poison: false,
  /** Everything is as at the start: for who takes the event loop away while something waits for its next turn. */
  reset(): void {
    idle.length = 0;
    idleBytes = 0;
    fresh = [];
    rested = [];
    turning = false;
  },
};

/** Memory for `size` bytes, which hold anything. hot */
export function takeBytes(size: number): Uint8Array {
  if (size < POOLED_BYTES_MIN || size > POOLED_BYTES_MAX) {
    // Not filled with zeros first; and no Buffer, beside which plain arrays would make their readers polymorphic.
    return new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);
  }
  const log = 32 - Math.clz32(size - 1);
  const buffer = idle[log]?.pop() ?? null;
  if (buffer !== null) {
    idleBytes -= buffer.byteLength;
    return new Uint8Array(buffer, 0, size);
  }
  const made = new ArrayBuffer(1 << log);
  leases.set(made, { holders: 0 });
  return new Uint8Array(made, 0, size);
}

/** The caller keeps bytes of `buffer`, pooled or not, until it lets go of it, or for ever. */
export function keepBytes(buffer: ArrayBufferLike): void {
  // hot
  const lease = leases.get(buffer);
  if (lease !== undefined) lease.holders++;
}

/** One who kept bytes of it, and whoever had them from there, will not read them any more. */
export function letGoOfBytes(buffer: ArrayBufferLike): void {
  // hot
  const lease = leases.get(buffer);
  if (lease === undefined) return;
  assert(lease.holders > 0, "a buffer was let go of twice");
  if (--lease.holders > 0) return;
  if (bytePoolTesting.poison) {
    // Simulated processes share the thread, and each has turns of its own.
    setImmediate(() => setImmediate(() => putBack(buffer as ArrayBuffer)));
    return;
  }
  fresh.push(buffer as ArrayBuffer);
  if (turning) return;
  turning = true;
  setImmediate(turn);
}

function turn(): void {
  for (let i = 0; i < rested.length; i++) putBack(rested[i]);
  const back = rested;
  back.length = 0;
  rested = fresh;
  fresh = back;
  turning = rested.length > 0;
  if (turning) setImmediate(turn);
}

function putBack(buffer: ArrayBuffer): void {
  if (bytePoolTesting.poison) new Uint8Array(buffer).fill(0xdb);
  if (idleBytes + buffer.byteLength > IDLE_BYTES_MAX) {
    leases.delete(buffer);
    return;
  }
  idleBytes += buffer.byteLength;
  const log = 31 - Math.clz32(buffer.byteLength);
  idle[log] ??= [];
  idle[log].push(buffer);
}
