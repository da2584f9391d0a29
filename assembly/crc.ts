// CRC-32C (Castagnoli, reflected 0x82F63B78), slicing by 16; long runs in three interleaved streams, so that three
// chains of table look-ups overlap where one would wait for itself.

/** 16 tables of 256 words: table k maps a byte to its effect k bytes later. Filled by init(). */
const TABLES: usize = memory.data(16 * 1024, 16);
/** Operators that shift a CRC over LANE zero bytes and over 2 * LANE, as 4 tables of 256 words each. */
const SHIFT: usize = memory.data(2 * 4 * 1024, 16);
/** Bytes of one of the three streams. */
const LANE: u32 = 512;

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
  initShift(SHIFT, LANE);
  initShift(SHIFT + 4096, 2 * LANE);
}

// A CRC register is linear in its bits: what LANE zero bytes do to byte b of it is what they do to that byte alone.
function initShift(table: usize, zeros: u32): void {
  for (let b: u32 = 0; b < 4; b++) {
    for (let n: u32 = 0; n < 256; n++) {
      let c = n << (b << 3);
      for (let i: u32 = 0; i < zeros; i++) c = load<u32>(TABLES + ((c & 0xff) << 2)) ^ (c >>> 8);
      store<u32>(table + (b << 10) + (n << 2), c);
    }
  }
}

function shift(table: usize, c: u32): u32 {
  return (
    load<u32>(table + ((c & 0xff) << 2)) ^
    load<u32>(table + (((c >>> 8) & 0xff) << 2), 1024) ^
    load<u32>(table + (((c >>> 16) & 0xff) << 2), 2048) ^
    load<u32>(table + ((c >>> 24) << 2), 3072)
  );
}

function step8(c: u32, p: usize): u32 {
  const word = load<u64>(p) ^ u64(c);
  const a = u32(word);
  const b = u32(word >>> 32);
  return (
    load<u32>(TABLES + ((a & 0xff) << 2), 7168) ^
    load<u32>(TABLES + (((a >>> 8) & 0xff) << 2), 6144) ^
    load<u32>(TABLES + (((a >>> 16) & 0xff) << 2), 5120) ^
    load<u32>(TABLES + ((a >>> 24) << 2), 4096) ^
    load<u32>(TABLES + ((b & 0xff) << 2), 3072) ^
    load<u32>(TABLES + (((b >>> 8) & 0xff) << 2), 2048) ^
    load<u32>(TABLES + (((b >>> 16) & 0xff) << 2), 1024) ^
    load<u32>(TABLES + ((b >>> 24) << 2))
  );
}

function lookup4(word: u32, table: usize): u32 {
  return (
    load<u32>(TABLES + table + ((word & 0xff) << 2), 3072) ^
    load<u32>(TABLES + table + (((word >>> 8) & 0xff) << 2), 2048) ^
    load<u32>(TABLES + table + (((word >>> 16) & 0xff) << 2), 1024) ^
    load<u32>(TABLES + table + ((word >>> 24) << 2))
  );
}

/** CRC of `length` bytes at `p`, continuing `seed` (0 to begin). */
export function update(seed: u32, p: usize, length: u32): u32 {
  let c = ~seed;
  while (length >= 3 * LANE) {
    let c1: u32 = 0;
    let c2: u32 = 0;
    const end = p + LANE;
    for (let q = p; q < end; q += 8) {
      c = step8(c, q);
      c1 = step8(c1, q + LANE);
      c2 = step8(c2, q + 2 * LANE);
    }
    c = shift(SHIFT + 4096, c) ^ shift(SHIFT, c1) ^ c2;
    p += 3 * LANE;
    length -= 3 * LANE;
  }
  while (length >= 16) {
    c =
      lookup4(load<u32>(p) ^ c, 12 * 1024) ^
      lookup4(load<u32>(p, 4), 8 * 1024) ^
      lookup4(load<u32>(p, 8), 4 * 1024) ^
      lookup4(load<u32>(p, 12), 0);
    p += 16;
    length -= 16;
  }
  while (length !== 0) {
    c = load<u32>(TABLES + (((c ^ load<u8>(p)) & 0xff) << 2)) ^ (c >>> 8);
    p++;
    length--;
  }
  return ~c;
}
