// CRC-32C (Castagnoli, reflected 0x82F63B78): slicing by 16 below 144 bytes, above that a method without tables that
// takes 16 bytes a step (foldShort, fold). Runs on one machine, GB/s at 256 B / 512 B / 4 KiB / 1 MiB: 3.6 / 5.1 / 8.8 /
// 11; slicing by 16 alone 2.6 / 2.7 / 3.3 / 3.6, three interleaved streams of slicing by 8 at most 3.0, plain
// JavaScript 1.3. What is left of 16 costs little: 267 B take 76 ns where 256 B take 75.
// The scratch memory below belongs to the thread that the module is bound to.

/** 16 tables of 256 words: table k maps a byte to its effect k bytes later. Filled by init(). */
const TABLES: usize = memory.data(16 * 1024, 16);

/** 16 bytes from SLIDE + n on, for swizzle: a vector moved by 16 - n bytes, zeros where it was. */
const SLIDE: usize = memory.data(48, 16);
/** 16 bytes from KEEP + n on, for and: all but the first 16 - n bytes of a vector. */
const KEEP: usize = memory.data(32, 16);

/** Fills the tables. Once after instantiation, before anything else. */
export function initTables(): void {
  for (let n: u32 = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    store<u32>(TABLES + (n << 2), c);
  }
  for (let n: u32 = 0; n < 256; n++) {
    let c = load<u32>(TABLES + (n << 2));
    for (let t: u32 = 1; t < 16; t++) {
      c = load<u32>(TABLES + ((c & 0xff) << 2)) ^ (c >>> 8);
      store<u32>(TABLES + (t << 10) + (n << 2), c);
    }
  }
  memory.fill(SLIDE, 0x80, 48);
  for (let i: usize = 0; i < 16; i++) store<u8>(SLIDE + 16 + i, u8(i));
  memory.fill(KEEP, 0, 16);
  memory.fill(KEEP + 16, 255, 16);
}

/** From these lengths on folding is faster than the tables: with a short reach, with a long one. */
const SHORT_FOLD_BYTES_MIN: u32 = 144;
const FOLD_BYTES_MIN: u32 = 1536;

/** CRC of `length` bytes at `p`, continuing `seed` (0 to begin). */
export function update(seed: u32, p: usize, length: u32): u32 {
  if (length < SHORT_FOLD_BYTES_MIN) return ~slice(~seed, p, length);
  if (length < FOLD_BYTES_MIN) return ~foldShort(~seed, p, length);
  const folded = length & ~15;
  return ~slice(fold(~seed, p, folded), p + folded, length & 15);
}

/**
 * Slicing by 16; `c` is a CRC before its final inversion, and so is the result. Half of the bytes are taken out of
 * words, half are loaded one by one: that keeps both the load units and the others busy. Table addresses are written
 * out because only a constant offset costs no instruction.
 */
function slice(c: u32, p: usize, length: u32): u32 {
  while (length >= 16) {
    const a = load<u32>(p) ^ c;
    const b = load<u32>(p, 4);
    c =
      load<u32>((a << 2) & 0x3fc, TABLES + 15 * 1024) ^
      load<u32>((a >>> 6) & 0x3fc, TABLES + 14 * 1024) ^
      load<u32>((a >>> 14) & 0x3fc, TABLES + 13 * 1024) ^
      load<u32>((a >>> 22) & 0x3fc, TABLES + 12 * 1024) ^
      (load<u32>((b << 2) & 0x3fc, TABLES + 11 * 1024) ^
        load<u32>((b >>> 6) & 0x3fc, TABLES + 10 * 1024) ^
        load<u32>((b >>> 14) & 0x3fc, TABLES + 9 * 1024) ^
        load<u32>((b >>> 22) & 0x3fc, TABLES + 8 * 1024) ^
        (load<u32>(usize(load<u8>(p, 8)) << 2, TABLES + 7 * 1024) ^
          load<u32>(usize(load<u8>(p, 9)) << 2, TABLES + 6 * 1024) ^
          load<u32>(usize(load<u8>(p, 10)) << 2, TABLES + 5 * 1024) ^
          load<u32>(usize(load<u8>(p, 11)) << 2, TABLES + 4 * 1024) ^
          load<u32>(usize(load<u8>(p, 12)) << 2, TABLES + 3 * 1024) ^
          load<u32>(usize(load<u8>(p, 13)) << 2, TABLES + 2 * 1024) ^
          load<u32>(usize(load<u8>(p, 14)) << 2, TABLES + 1024) ^
          load<u32>(usize(load<u8>(p, 15)) << 2, TABLES)));
    p += 16;
    length -= 16;
  }
  if ((length & 8) !== 0) {
    const a = load<u32>(p) ^ c;
    const b = load<u32>(p, 4);
    c =
      load<u32>((a << 2) & 0x3fc, TABLES + 7 * 1024) ^
      load<u32>((a >>> 6) & 0x3fc, TABLES + 6 * 1024) ^
      load<u32>((a >>> 14) & 0x3fc, TABLES + 5 * 1024) ^
      load<u32>((a >>> 22) & 0x3fc, TABLES + 4 * 1024) ^
      (load<u32>((b << 2) & 0x3fc, TABLES + 3 * 1024) ^
        load<u32>((b >>> 6) & 0x3fc, TABLES + 2 * 1024) ^
        load<u32>((b >>> 14) & 0x3fc, TABLES + 1024) ^
        load<u32>((b >>> 22) & 0x3fc, TABLES));
    p += 8;
  }
  if ((length & 4) !== 0) {
    const a = load<u32>(p) ^ c;
    c =
      load<u32>((a << 2) & 0x3fc, TABLES + 3 * 1024) ^
      load<u32>((a >>> 6) & 0x3fc, TABLES + 2 * 1024) ^
      (load<u32>((a >>> 14) & 0x3fc, TABLES + 1024) ^ load<u32>((a >>> 22) & 0x3fc, TABLES));
    p += 4;
  }
  length &= 3;
  while (length !== 0) {
    c = load<u32>(((c ^ load<u8>(p)) << 2) & 0x3fc, TABLES) ^ (c >>> 8);
    p++;
    length--;
  }
  return c;
}

// Folding. The CRC is the remainder of the message modulo the polynomial P. A multiple of P with few terms is
//   x^266 + x^143 + x^121 + x^88 + x^71 + 1
// and, since squaring is additive over GF(2), so is the same with x^8 for x. So a byte of the message may be cleared if
// it is added to (XOR) the bytes 123, 145, 178, 195 and 266 places behind it: the remainder stays the same. Done from
// the front, this leaves the last 266 bytes or a few more, which go through the tables. None of the distances is below
// 16, so 16 bytes are done at a time. 266 was found by search: the fewest terms, all distances large enough that a
// load does not wait for the store before it.
const REACH: usize = 272; // 266, in whole vectors
const PIECE: usize = 16384;
/** What the bytes became when it was their turn to be cleared: REACH of the past, then a piece. */
const CLEARED: usize = memory.data(272 + 16384, 16) + REACH;
/** What is left at the end. */
const REST: usize = memory.data(288, 16);

/** What the cleared bytes add to the 16 bytes at `o`. */
// @ts-ignore: decorator
@inline
function carried(o: usize): v128 {
  return v128.xor(
    v128.xor(v128.load(o - 123), v128.load(o - 145)),
    v128.xor(v128.xor(v128.load(o - 178), v128.load(o - 195)), v128.load(o - 266)),
  );
}

/** As slice, for a length that is a multiple of 16 and at least REACH + 16. */
function fold(c: u32, p: usize, length: u32): u32 {
  let left = usize(length) - REACH;
  memory.fill(CLEARED - REACH, 0, REACH);
  // What the CRC was is added to the first four bytes.
  let first = i32x4.replace_lane(i32x4.splat(0), 0, c);
  while (left !== 0) {
    const n = min<usize>(left, PIECE);
    const end = CLEARED + n;
    for (let o: usize = CLEARED; o < end; o += 16) {
      v128.store(o, v128.xor(v128.xor(v128.load(p), first), carried(o)));
      first = i32x4.splat(0);
      p += 16;
    }
    left -= n;
    memory.copy(CLEARED - REACH, end - REACH, REACH);
  }
  // Nothing behind is cleared any more.
  memory.fill(CLEARED, 0, REACH);
  for (let o: usize = 0; o < REACH; o += 16) {
    v128.store(REST + o, v128.xor(v128.load(p + o), carried(CLEARED + o)));
  }
  return slice(0, REST, u32(REACH));
}

// For shorter messages: x^98 + x^77 + x^51 + x^38 + x^33 + x^28 + x^4 + 1 has the least reach of all multiples with so
// few terms whose distances (21, 47, 60, 65, 70, 94 and 98 bytes) are at least 16. So short a way back a load would
// wait for the stores, so the 112 bytes that were cleared last stay in registers, a to g, a the latest.
const SHORT_REACH: usize = 112;

/** What the cleared bytes add to the next 16: of two neighbours, the 16 bytes that begin so many places back. */
// @ts-ignore: decorator
@inline
function carriedShort(a: v128, b: v128, c: v128, d: v128, e: v128, f: v128, g: v128): v128 {
  const back98 = v128.shuffle<u8>(g, f, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29);
  const back94 = v128.shuffle<u8>(f, e, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17);
  const back70 = v128.shuffle<u8>(e, d, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25);
  const back65 = v128.shuffle<u8>(e, d, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
  const back60 = v128.shuffle<u8>(d, c, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19);
  const back47 = v128.shuffle<u8>(c, b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
  const back21 = v128.shuffle<u8>(b, a, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26);
  const far = v128.xor(v128.xor(v128.xor(back98, back94), v128.xor(back70, back65)), v128.xor(back60, back47));
  return v128.xor(far, back21); // The latest last: it is what the next step waits for.
}

/**
 * As slice, for a length of more than SHORT_REACH. What is not a whole vector is its beginning: zeros in front of
 * a message change nothing, so that it is read from up to 15 bytes before, and those are cleared. At the end, they would go
 * through the tables one by one.
 */
function foldShort(crc: u32, p: usize, length: u32): u32 {
  const end = p + usize(length);
  const rest = end - SHORT_REACH;
  const zero = i32x4.splat(0);
  const before = usize(-length & 15);
  // What the CRC was is added to the first four bytes, which may lie in two vectors.
  const seed = i32x4.replace_lane(zero, 0, crc);
  let o = p - before;
  let a = v128.xor(
    v128.and(v128.load(o), v128.load(KEEP + (16 - before))),
    i8x16.swizzle(seed, v128.load(SLIDE + (16 - before))),
  );
  let b = zero;
  let c = zero;
  let d = zero;
  let e = zero;
  let f = zero;
  let g = zero;
  let first = i8x16.swizzle(seed, v128.load(SLIDE + (32 - before)));
  for (o += 16; o < end; o += 16) {
    let next = v128.xor(v128.xor(v128.load(o), first), carriedShort(a, b, c, d, e, f, g));
    first = zero;
    if (o >= rest) {
      // Nothing behind is cleared any more.
      v128.store(REST + (o - rest), next);
      next = zero;
    }
    g = f;
    f = e;
    e = d;
    d = c;
    c = b;
    b = a;
    a = next;
  }
  return slice(0, REST, u32(SHORT_REACH));
}
