// CRC-32C in plain TypeScript, slicing by 8. For short inputs, and wherever no WASM memory is at hand.

const TABLES: Int32Array = makeTables();

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    tables[n] = c;
  }
  for (let n = 0; n < 256; n++) {
    let c = tables[n];
    for (let t = 1; t < 8; t++) {
      c = tables[c & 0xff] ^ (c >>> 8);
      tables[t * 256 + n] = c;
    }
  }
  return tables;
}

/** CRC-32C of bytes[from, to), continuing `seed` (0 to begin). */
export function crc32cJs(seed: number, bytes: Uint8Array, from: number, to: number): number {
  // hot
  const t = TABLES;
  let c = ~seed;
  let p = from;
  for (const end = to - 7; p < end; p += 8) {
    c ^= bytes[p] | (bytes[p + 1] << 8) | (bytes[p + 2] << 16) | (bytes[p + 3] << 24);
    c =
      t[1792 + (c & 0xff)] ^
      t[1536 + ((c >>> 8) & 0xff)] ^
      t[1280 + ((c >>> 16) & 0xff)] ^
      t[1024 + (c >>> 24)] ^
      t[768 + bytes[p + 4]] ^
      t[512 + bytes[p + 5]] ^
      t[256 + bytes[p + 6]] ^
      t[bytes[p + 7]];
  }
  while (p < to) c = t[(c ^ bytes[p++]) & 0xff] ^ (c >>> 8);
  return ~c >>> 0;
}
