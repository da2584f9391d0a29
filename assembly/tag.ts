// Hash of a frame under a secret key, for its tag (src/link/frame-tags.ts): NH, which makes 32 bytes of each 1024, and
// Poly1305's polynomial over those and over the frame's length. NH is UMAC's (Black et al. 1999, RFC 4418), with 4
// passes over pairs of words as in NHPoly1305 (Crowley and Biggers 2018), 8 multiplications for 16 bytes; Poly1305 is
// Bernstein's (2005). A module of its own, with a memory of its own that is not shared: copies into it are fast.
//
// The host puts the key's two parts and up to INPUT_BYTES of the frame to where the exports say, calls begin(), update()
// for each piece, and finish().

/** Bytes of a frame that make one sum of each pass. */
const UNIT_BYTES: u32 = 1024;
const PASSES: u32 = 4;
/** Each pass has the key of the one before it, 16 bytes on (Toeplitz). */
const NH_KEY_BYTES: u32 = UNIT_BYTES + 16 * (PASSES - 1);
export const INPUT_BYTES: u32 = 65536;

const NH_KEY: usize = memory.data(1072, 16);
const POLY_KEY: usize = memory.data(16, 16);
const PAD: usize = memory.data(16, 16);
const TAG: usize = memory.data(16, 16);
/** And 16 bytes for the zeros behind the last piece. */
const INPUT: usize = memory.data(65552, 16);

export function nhKey(): u32 {
  return <u32>NH_KEY;
}
export function nhKeyBytes(): u32 {
  return NH_KEY_BYTES;
}
export function polyKey(): u32 {
  return <u32>POLY_KEY;
}
export function pad(): u32 {
  return <u32>PAD;
}
export function tag(): u32 {
  return <u32>TAG;
}
export function input(): u32 {
  return <u32>INPUT;
}

const MASK: u64 = 0x3ffffff;

// The polynomial's sum and key in limbs of 26 bits.
let h0: u64 = 0;
let h1: u64 = 0;
let h2: u64 = 0;
let h3: u64 = 0;
let h4: u64 = 0;
let r0: u64 = 0;
let r1: u64 = 0;
let r2: u64 = 0;
let r3: u64 = 0;
let r4: u64 = 0;

/** Takes the polynomial's key, clamped as Poly1305 wants it, and begins a frame. */
export function begin(): void {
  const lo = load<u64>(POLY_KEY) & 0x0ffffffc0fffffff;
  const hi = load<u64>(POLY_KEY, 8) & 0x0ffffffc0ffffffc;
  r0 = lo & MASK;
  r1 = (lo >> 26) & MASK;
  r2 = ((lo >> 52) | (hi << 12)) & MASK;
  r3 = (hi >> 14) & MASK;
  r4 = hi >> 40;
  h0 = h1 = h2 = h3 = h4 = 0;
}

/** Takes `length` bytes at INPUT: whole units, but for a frame's last piece. */
export function update(length: u32): void {
  const end = INPUT + length;
  v128.store(end, i64x2.splat(0));
  for (let p = INPUT; p < end; p += UNIT_BYTES) unit(p, min<usize>(UNIT_BYTES, end - p));
}

/** One unit, or what there is of the last, filled with zeros to 16 bytes. */
function unit(p: usize, length: usize): void {
  let sum0 = i64x2.splat(0);
  let sum1 = sum0;
  let sum2 = sum0;
  let sum3 = sum0;
  let k = NH_KEY;
  let k0 = v128.load(k);
  let k1 = v128.load(k, 16);
  let k2 = v128.load(k, 32);
  for (const end = p + length; p < end; p += 16, k += 16) {
    const m = v128.load(p);
    const k3 = v128.load(k, 48);
    sum0 = i64x2.add(sum0, product(i32x4.add(m, k0)));
    sum1 = i64x2.add(sum1, product(i32x4.add(m, k1)));
    sum2 = i64x2.add(sum2, product(i32x4.add(m, k2)));
    sum3 = i64x2.add(sum3, product(i32x4.add(m, k3)));
    k0 = k1;
    k1 = k2;
    k2 = k3;
  }
  block(both(sum0), both(sum1));
  block(both(sum2), both(sum3));
}

/** Words 0 times 2, and 1 times 3. */
// @ts-ignore: decorator
@inline
function product(t: v128): v128 {
  return i64x2.extmul_low_i32x4_u(t, v128.shuffle<i32>(t, t, 2, 3, 0, 1));
}

// @ts-ignore: decorator
@inline
function both(sum: v128): u64 {
  return i64x2.extract_lane(sum, 0) + i64x2.extract_lane(sum, 1);
}

/** h = (h + block + 2^128) r mod 2^130 - 5, not reduced to the end. */
function block(lo: u64, hi: u64): void {
  const a0 = h0 + (lo & MASK);
  const a1 = h1 + ((lo >> 26) & MASK);
  const a2 = h2 + (((lo >> 52) | (hi << 12)) & MASK);
  const a3 = h3 + ((hi >> 14) & MASK);
  const a4 = h4 + ((hi >> 40) | (1 << 24));
  const s1 = r1 * 5;
  const s2 = r2 * 5;
  const s3 = r3 * 5;
  const s4 = r4 * 5;
  const d0 = a0 * r0 + a1 * s4 + a2 * s3 + a3 * s2 + a4 * s1;
  const d1 = a0 * r1 + a1 * r0 + a2 * s4 + a3 * s3 + a4 * s2 + (d0 >> 26);
  const d2 = a0 * r2 + a1 * r1 + a2 * r0 + a3 * s4 + a4 * s3 + (d1 >> 26);
  const d3 = a0 * r3 + a1 * r2 + a2 * r1 + a3 * r0 + a4 * s4 + (d2 >> 26);
  const d4 = a0 * r4 + a1 * r3 + a2 * r2 + a3 * r1 + a4 * r0 + (d3 >> 26);
  const c0 = (d0 & MASK) + (d4 >> 26) * 5;
  h0 = c0 & MASK;
  h1 = (d1 & MASK) + (c0 >> 26);
  h2 = d2 & MASK;
  h3 = d3 & MASK;
  h4 = d4 & MASK;
}

/** Takes the frame's `length`, and writes the sum with PAD added mod 2^128 to TAG. */
export function finish(length: u32): void {
  block(length, 0);
  // Carried through: h < 2^130, in limbs of 26 bits.
  let c = h1 >> 26;
  h1 &= MASK;
  h2 += c;
  c = h2 >> 26;
  h2 &= MASK;
  h3 += c;
  c = h3 >> 26;
  h3 &= MASK;
  h4 += c;
  c = h4 >> 26;
  h4 &= MASK;
  h0 += c * 5;
  c = h0 >> 26;
  h0 &= MASK;
  h1 += c;
  // h - p, and whichever of both is in range.
  let g0 = h0 + 5;
  let g1 = h1 + (g0 >> 26);
  let g2 = h2 + (g1 >> 26);
  let g3 = h3 + (g2 >> 26);
  let g4 = h4 + (g3 >> 26);
  const reduce: u64 = 0 - (g4 >> 26);
  g0 = (h0 & ~reduce) | (g0 & MASK & reduce);
  g1 = (h1 & ~reduce) | (g1 & MASK & reduce);
  g2 = (h2 & ~reduce) | (g2 & MASK & reduce);
  g3 = (h3 & ~reduce) | (g3 & MASK & reduce);
  g4 = (h4 & ~reduce) | (g4 & MASK & reduce);
  const lo = g0 | (g1 << 26) | (g2 << 52);
  const hi = (g2 >> 12) | (g3 << 14) | (g4 << 40);
  const sum = lo + load<u64>(PAD);
  const carry: u64 = sum < lo ? 1 : 0;
  store<u64>(TAG, sum);
  store<u64>(TAG, hi + load<u64>(PAD, 8) + carry, 8);
}
