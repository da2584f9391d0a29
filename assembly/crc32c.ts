// CRC-32C (Castagnoli), slicing by 16. Values are finished CRCs: crc32c(crc32c(0, a), b) is the CRC of a then b.
import { TABLES } from "./layout";

const POLYNOMIAL: u32 = 0x82f63b78;

/** Fills the tables; once, before anything else runs over this memory. */
export function init(): void {
  for (let i: u32 = 0; i < 256; i++) {
    let crc = i;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    store<u32>(TABLES + (i << 2), crc);
  }
  for (let i: u32 = 256; i < 16 * 256; i++) {
    const previous = load<u32>(TABLES + ((i - 256) << 2));
    store<u32>(TABLES + (i << 2), (previous >>> 8) ^ load<u32>(TABLES + ((previous & 255) << 2)));
  }
}

// @ts-ignore: decorator
@inline
function table(k: u32, byte: u32): u32 {
  return load<u32>(TABLES + (k << 10) + (byte << 2));
}

// @ts-ignore: decorator
@inline
function word(k: u32, value: u32): u32 {
  return (
    table(k + 3, value & 255) ^
    table(k + 2, (value >>> 8) & 255) ^
    table(k + 1, (value >>> 16) & 255) ^
    table(k, value >>> 24)
  );
}

/** Continues `seed` over `length` bytes at `pointer`. */
export function crc32c(seed: u32, pointer: u32, length: u32): u32 {
  let crc = ~seed;
  let at: usize = pointer;
  const end: usize = at + length;
  while (at + 16 <= end) {
    crc =
      word(12, load<u32>(at) ^ crc) ^ word(8, load<u32>(at, 4)) ^ word(4, load<u32>(at, 8)) ^ word(0, load<u32>(at, 12));
    at += 16;
  }
  while (at < end) {
    crc = (crc >>> 8) ^ table(0, (crc ^ load<u8>(at)) & 255);
    at++;
  }
  return ~crc;
}
