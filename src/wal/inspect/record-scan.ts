// The records of one segment in memory, up to its end or to what is wrong with it, with all 64 bits: for the tools,
// which read any etcd-format log. Stricter than etcd's reader (an end must be followed by nothing but zeros), and it
// says where the damage is. Recovery has its own scan in the codecs.
import { NO_DATA } from "../../base/bytes.js";
import { FieldReader, LENGTH, unlessMalformed, VARINT } from "../../base/protobuf.js";
import { frameAt } from "../format/codec-js.js";
import { crc32c } from "../format/crc32c.js";
import { RECORD_CRC, RECORD_METADATA, RECORD_SNAPSHOT } from "../format/format.js";
import * as L from "../format/layout.js";
import { parseEntry, recordIn } from "../format/record.js";
import { NO_SEGMENT_HEAD, NOT_OF_TYPE } from "../recover/misfits.js";
import { hasRecordAfter, isMisplaced, judgeEnd, lastNonZero, MISPLACED } from "../recover/torn.js";
import { decodeEntry, decodeRecord, type EtcdEntry, ProtoError } from "./etcd-proto.js";

/** One record. `data` is a view of the segment, null where the field is absent. */
export interface ScannedRecord {
  /** Where its frame begins. */
  readonly offset: number;
  /** Bytes of the record, without length field and padding. */
  readonly length: number;
  readonly padding: number;
  /** From 1 in each segment. */
  readonly number: number;
  readonly type: number;
  readonly crc: number;
  readonly data: Uint8Array | null;
}

/** Something that is wrong at one place. */
export interface RecordDamage {
  readonly offset: number;
  readonly record: number;
  readonly what: string;
  /** A write that a crash tore can look like this, if it is the end of the log. */
  readonly torn: boolean;
  /** Records that continue the log lie behind it. */
  readonly recordsFollow: boolean;
}

export class RecordScan {
  /** Rolling CRC behind the last record. */
  crc: number;
  /** End of the last good record. */
  offset = 0;
  /** Good records so far. */
  records = 0;
  /** Null: none so far. */
  damage: RecordDamage | null = null;
  private readonly bytes: Uint8Array;
  /** End of the last seal; 0: there is none. */
  sealed = 0;
  /** False: a crc record is believed, as the head of a segment whose predecessor is not known. */
  private seeded: boolean;
  /** The seed is not known yet. */
  private headless: boolean;

  /** The bytes begin with a segment's head. */
  private readonly hasHead: boolean;

  /**
   * `seed`: the rolling CRC before the segment; null: taken from the crc record that it begins with. `hasHead` false: the
   * bytes are from the middle of a segment.
   */
  constructor(bytes: Uint8Array, seed: number | null, hasHead = true) {
    this.bytes = bytes;
    this.hasHead = hasHead;
    this.crc = seed ?? 0;
    this.seeded = seed !== null && seed !== 0;
    this.headless = seed === null;
  }

  /** The next good record; null at the end, which is sound if there is no damage. */
  next(): ScannedRecord | null {
    const { bytes, offset } = this;
    if (this.damage !== null || offset === bytes.length) return null;
    if (isMisplaced(offset)) return this.fail(MISPLACED, null);
    if (offset + 8 > bytes.length) return this.fail("the file ends inside a length field", L.SCAN_SHORT);
    const { zero, length, padding } = frameAt(bytes, offset);
    if (zero) return this.end();
    if (offset + 8 + length + padding > bytes.length) {
      return this.fail("the record reaches past the end of the file", L.SCAN_SHORT);
    }
    let record: { type: number; crc: number; data: Uint8Array | null };
    try {
      record = recordOf(bytes, offset + 8, length);
    } catch (error) {
      if (!(error instanceof ProtoError)) throw error;
      return this.fail("the record cannot be parsed", L.SCAN_BAD_PROTO);
    }
    const { type, crc, data } = record;
    if (type === RECORD_CRC) {
      if (this.seeded && crc !== this.crc) {
        return this.fail("a checksum record does not continue the log", offset === 0 ? null : L.SCAN_BAD_CRC);
      }
    } else if (crc !== crc32c(this.crc, data ?? NOTHING)) {
      return this.fail("wrong checksum", L.SCAN_BAD_CRC);
    }
    if (this.headless && type !== RECORD_CRC) {
      return this.fail("the segment does not begin with a checksum record", null);
    }
    if (type < 1 || type > 5) return this.fail(`there is no record type ${type}`, null);
    const isInHead = this.hasHead && this.records < 2;
    if (isInHead && type !== (this.records === 0 ? RECORD_CRC : RECORD_METADATA)) {
      return this.fail(NO_SEGMENT_HEAD, null);
    }
    // No checksum covers the type: what a record of it has, and has not.
    if ((type === RECORD_CRC && data !== null) || (type === RECORD_SNAPSHOT && data === null)) {
      return this.fail(NOT_OF_TYPE, null);
    }
    this.crc = crc;
    this.seeded = crc !== 0;
    this.headless = false;
    this.records++;
    this.offset = offset + 8 + length + padding;
    if (type === RECORD_CRC && offset > 0) this.sealed = this.offset;
    return { offset, length, padding, number: this.records, type, crc, data };
  }

  /** Behind the last record a segment has zeros only; anything else was lost or torn. */
  private end(): null {
    if (lastNonZero(this.bytes, this.offset) === this.offset) return null;
    return this.fail("zeros where a record should be, and other bytes behind them", L.SCAN_ZERO);
  }

  /** Reports what the last record given contains as damage. */
  reject(record: ScannedRecord, what: string): void {
    this.damage = {
      offset: record.offset,
      record: record.number,
      what,
      torn: false,
      recordsFollow: this.offset < this.bytes.length && !frameAtIsZero(this.bytes, this.offset),
    };
  }

  /** `result`: what the codec's scan would say, for the verdict that recovery gives; null: certainly no torn write. */
  private fail(what: string, result: number | null): null {
    const { bytes, offset, crc, sealed } = this;
    const recordsFollow = offset + 8 <= bytes.length && hasRecordAfter(bytes, offset, crc);
    const torn = result !== null && judgeEnd({ bytes, result, offset, crc, sealed }) === "torn";
    this.damage = { offset, record: this.records + 1, what, torn, recordsFollow };
    return null;
  }
}

const NOTHING = new Uint8Array(0);

function frameAtIsZero(bytes: Uint8Array, at: number): boolean {
  return at + 8 > bytes.length || frameAt(bytes, at).zero;
}

// The quick decoders refuse what is rare, numbers above 2^53-1 among it; the slow one has the last word.
function recordOf(
  bytes: Uint8Array,
  at: number,
  length: number,
): { type: number; crc: number; data: Uint8Array | null } {
  const quick = recordIn(bytes, at, at + length);
  if (quick === null) {
    const { type, crc, data } = decodeRecord(bytes.subarray(at, at + length));
    return { type: Number(type), crc, data };
  }
  const { type, crc, hasData, dataStart, dataEnd } = quick;
  return { type, crc, data: hasData ? bytes.subarray(dataStart, dataEnd) : null };
}

/** An entry record's entry. The quick decoder does for all but numbers above 2^53-1. */
export function entryOf(data: Uint8Array | null): EtcdEntry {
  const bytes = data ?? NOTHING;
  const quick = unlessMalformed(() => parseEntry(bytes, 0, bytes.length));
  if (quick === null) return decodeEntry(bytes);
  const { type, term, index, data: own } = quick;
  return { type, term: BigInt(term), index: BigInt(index), data: own === NO_DATA ? null : own };
}

/**
 * What can be told of a record that is not good: the type that it claims and, of an entry, the index. Null: nothing.
 */
export function glimpse(bytes: Uint8Array, frame: number): { type: number; index: bigint | null } | null {
  const reader = new FieldReader(bytes, frame + 8);
  const varint = (field: number, wire = VARINT): bigint | null =>
    unlessMalformed(() => (reader.next() && reader.is(field, wire) ? reader.varint64() : null));
  const type = varint(1);
  if (type === null || type < 1n || type > 5n) return null;
  if (type !== 2n || varint(2) === null || varint(3, LENGTH) === null)
    return { type: Number(type), index: null };
  const isEntry = varint(1) !== null && varint(2) !== null;
  return { type: 2, index: isEntry ? varint(3) : null };
}
