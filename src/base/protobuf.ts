// Protobuf messages field by field, for what is rare: the records of a log, changes of members. What comes often is read and
// written in place (wire, the log's codecs); with etcd's own answers to damage, by etcd-proto.ts. Pure.
import { assert } from "./assert.js";

/** Wire types. */
export const VARINT = 0;
export const LENGTH = 2;
const FIXED64 = 1;
const FIXED32 = 5;

/** The bytes are no such message; callers turn it into an error that names the place. */
export class MalformedError extends Error {
  override readonly name = "MalformedError";
}

/** What `read` returns; null if it meets damage. */
export function unlessMalformed<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof MalformedError) return null;
    throw error;
  }
}

/** Reads the fields of the message in bytes[at, end). Throws MalformedError. */
export class FieldReader {
  private readonly bytes: Uint8Array;
  private readonly end: number;
  at: number;
  field = 0;
  wire = 0;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  /** Steps to the next field; false at the end. */
  next(): boolean {
    if (this.at === this.end) return false;
    const tag = this.varint();
    this.field = Math.floor(tag / 8);
    this.wire = tag % 8;
    if (this.field === 0 || tag > 0xffffffff) throw new MalformedError("bad field tag");
    return true;
  }

  is(field: number, wire: number): boolean {
    return this.field === field && this.wire === wire;
  }

  /** A varint as a number; one above 2^53-1 is refused. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (this.at >= this.end) throw new MalformedError("varint is cut");
      const byte = this.bytes[this.at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) throw new MalformedError("number above 2^53-1");
        return value;
      }
      scale *= 128;
    }
    throw new MalformedError("varint is too long");
  }

  /** A varint with all 64 bits. */
  varint64(): bigint {
    const start = this.at;
    for (let i = 0; i < 10; i++) {
      if (this.at >= this.end) throw new MalformedError("varint is cut");
      if (this.bytes[this.at++] >= 0x80) continue;
      let value = 0n;
      for (let at = this.at - 1; at >= start; at--) value = (value << 7n) | BigInt(this.bytes[at] & 0x7f);
      return BigInt.asUintN(64, value);
    }
    throw new MalformedError("varint is too long");
  }

  /** The value of a varint field. */
  number(): number {
    if (this.wire !== VARINT) throw new MalformedError("wrong wire type");
    return this.varint();
  }

  /** Start of a length-delimited value, `at` moves behind it. */
  span(): { start: number; end: number } {
    if (this.wire !== LENGTH) throw new MalformedError("wrong wire type");
    const length = this.varint();
    if (length > this.end - this.at) throw new MalformedError("field is cut");
    const start = this.at;
    this.at += length;
    return { start, end: this.at };
  }

  /** A length-delimited value; borrowed. */
  view(): Uint8Array {
    const { start, end } = this.span();
    return this.bytes.subarray(start, end);
  }

  /** The varints of a packed field. */
  packed(): number[] {
    const reader = new FieldReader(this.view());
    const values: number[] = [];
    while (reader.at < reader.end) values.push(reader.varint());
    return values;
  }

  /** An unknown varint may use all 64 bits. */
  skip(): void {
    if (this.wire === VARINT) this.varint64();
    else if (this.wire === LENGTH) this.span();
    else if (this.wire === FIXED64) this.at += 8;
    else if (this.wire === FIXED32) this.at += 4;
    else throw new MalformedError("unknown wire type");
    if (this.at > this.end) throw new MalformedError("field is cut");
  }
}

/** Appends a varint field. */
export function pushNumber(out: number[], field: number, value: number): void {
  pushVarint(out, field * 8 + VARINT);
  pushVarint(out, value);
}

/** Appends a length-delimited field. */
export function pushBytes(out: number[], field: number, bytes: ArrayLike<number>): void {
  pushVarint(out, field * 8 + LENGTH);
  pushVarint(out, bytes.length);
  for (let i = 0; i < bytes.length; i++) out.push(bytes[i]);
}

export function pushVarint(out: number[], value: number): void {
  assert(Number.isSafeInteger(value), "encoding an unsafe integer");
  assert(value >= 0, "encoding a negative number");
  let rest = value;
  while (rest >= 0x80) {
    out.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  out.push(rest);
}
