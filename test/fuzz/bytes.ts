// Draws of fuzzing, and what befalls bytes on their way: flips, cuts, splices with bytes of the same kind, and fields at
// the edges of what they can hold.
import type { Prng } from "../../src/base/prng.js";

const EDGES = [
  0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff,
];

export function pick<T>(prng: Prng, from: readonly T[]): T {
  return from[prng.below(from.length)]!;
}

export function chance(prng: Prng, probability: number): boolean {
  return prng.nextU32() < probability * 2 ** 32;
}

export function randomBytes(prng: Prng, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => prng.below(256));
}

/** A place in `length` bytes: anywhere, or near the beginning. */
function place(prng: Prng, length: number): number {
  return prng.below(Math.max(1, chance(prng, 0.3) ? Math.min(length, 64) : length));
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

const CHANGES: readonly ((prng: Prng, bytes: Uint8Array, other: Uint8Array) => Uint8Array)[] = [
  flipped,
  flipped,
  function edge(prng, bytes) {
    const copy = bytes.slice();
    copy[place(prng, copy.length)] = pick(prng, [0, 1, 0x7f, 0x80, 0xff]);
    return copy;
  },
  function number(prng, bytes) {
    const copy = bytes.slice();
    if (copy.length < 4) return copy;
    new DataView(copy.buffer).setUint32(place(prng, copy.length - 3), pick(prng, EDGES), true);
    return copy;
  },
  function cut(prng, bytes) {
    return bytes.slice(0, place(prng, bytes.length));
  },
  function left(prng, bytes) {
    const at = place(prng, bytes.length);
    return join(bytes.subarray(0, at), bytes.subarray(at + 1 + prng.below(40)));
  },
  function more(prng, bytes) {
    const at = place(prng, bytes.length);
    return join(bytes.subarray(0, at), randomBytes(prng, 1 + prng.below(20)), bytes.subarray(at));
  },
  function twice(prng, bytes) {
    const at = place(prng, bytes.length);
    const end = at + 1 + prng.below(bytes.length - at);
    return join(bytes.subarray(0, end), bytes.subarray(at));
  },
  function zeros(prng, bytes) {
    const copy = bytes.slice();
    const at = place(prng, copy.length);
    return copy.fill(0, at, at + 1 + prng.below(64));
  },
  function splice(prng, bytes, other) {
    return join(bytes.subarray(0, place(prng, bytes.length)), other.subarray(place(prng, other.length)));
  },
  function patch(prng, bytes, other) {
    const copy = bytes.slice();
    const from = place(prng, other.length);
    const at = place(prng, copy.length);
    const length = Math.min(1 + prng.below(64), copy.length - at, other.length - from);
    if (length > 0) copy.set(other.subarray(from, from + length), at);
    return copy;
  },
];

export function flipped(prng: Prng, bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes);
  if (copy.length > 0) copy[place(prng, copy.length)]! ^= 1 << prng.below(8);
  return copy;
}

/** A copy of `bytes` with one to three changes, some of them taken from `other`. */
export function changed(prng: Prng, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  let copy: Uint8Array = new Uint8Array(bytes);
  for (let i = 1 + prng.below(3); i > 0; i--) copy = pick(prng, CHANGES)(prng, copy, other);
  return copy;
}

export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
