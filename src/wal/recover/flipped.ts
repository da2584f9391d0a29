// Finds the bit that damage flipped in a record, by the record's checksum: that of data with one bit changed differs from
// the right one by what depends on the bit's place alone. Pure.
import { crc32cRange } from "../../base/crc32c.js";
import { recordIn } from "../format/record.js";

/**
 * In a longer record none is looked for: of so many bits, one in 4,096 records that are damaged otherwise would have one
 * that fits.
 */
const RECORD_BYTES_MAX = 128 << 10;
/** Type, checksum and length of the data, each with its tag, are no longer. */
const HEAD_BYTES_MAX = 14;

/**
 * Where a byte of the record bytes[at, end) lies of which one bit, turned round, makes the record the one that follows
 * `crc`: none, one, or more by chance.
 */
export function flippedBytes(bytes: Uint8Array, at: number, end: number, crc: number): number[] {
  if (end - at > RECORD_BYTES_MAX) return [];
  return [...inHead(bytes, at, end, crc), ...inData(bytes, at, end, crc)];
}

/** By trying each: a tag or a length says what the other bytes are. */
function inHead(bytes: Uint8Array, at: number, end: number, crc: number): number[] {
  const copy = bytes.slice(at, end);
  const found: number[] = [];
  for (let place = 0; place < Math.min(HEAD_BYTES_MAX, copy.length); place++) {
    const was = copy[place];
    for (let bit = 0; bit < 8; bit++) {
      copy[place] = was ^ (1 << bit);
      const record = recordIn(copy, 0, copy.length);
      if (record === null || record.dataEnd !== copy.length || record.dataStart <= place) continue;
      if (crc32cRange(crc, copy, record.dataStart, record.dataEnd) === record.crc) found.push(at + place);
    }
    copy[place] = was;
  }
  return found;
}

function inData(bytes: Uint8Array, at: number, end: number, crc: number): number[] {
  const record = recordIn(bytes, at, end);
  if (record === null) return [];
  const { dataStart, dataEnd } = record;
  const difference = crc32cRange(crc, bytes, dataStart, dataEnd) ^ record.crc;
  const found: number[] = [];
  // By bit: what one that differs there makes of a checksum, so many bytes before the end.
  const differs = Int32Array.from({ length: 8 }, (_, bit) => withoutInversions(Uint8Array.of(1 << bit)));
  const zero = new Uint8Array(1);
  for (let place = dataEnd - 1; place >= dataStart; place--) {
    for (let bit = 0; bit < 8; bit++) {
      if (differs[bit] === difference) found.push(place);
      differs[bit] = withoutInversions(zero, differs[bit]);
    }
  }
  return found;
}

/** The linear part of a CRC. */
function withoutInversions(bytes: Uint8Array, state = 0): number {
  return ~crc32cRange(~state, bytes, 0, bytes.length) | 0;
}
