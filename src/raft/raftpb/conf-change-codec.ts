// Protobuf bytes of ConfChange and ConfChangeV2, by hand: the core is pure and decodes the entries it
// applies. Fields that gogo protobuf always emits are emitted, in field order; any order and unknown fields
// are read.
import { assert } from "../../base/assert.js";
import { NO_DATA } from "../../base/bytes.js";
import type { ConfChange, ConfChangeSingle, ConfChangeType, ConfChangeV2 } from "./conf-change.js";
import { ConfChangeTransitionAuto, isConfChangeV2 } from "./conf-change.js";

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;

/** The bytes an entry of the matching type (EntryConfChange, EntryConfChangeV2) carries. */
export function marshalConfChange(cc: ConfChange | ConfChangeV2): Uint8Array {
  const out: number[] = [];
  if (isConfChangeV2(cc)) {
    putField(out, 1, cc.transition);
    for (const change of cc.changes) {
      const body: number[] = [];
      putField(body, 1, change.type);
      putField(body, 2, change.nodeId);
      putVarint(out, 2 * 8 + WIRE_BYTES);
      putVarint(out, body.length);
      out.push(...body);
    }
    putBytes(out, 3, cc.context);
  } else {
    putField(out, 1, cc.id);
    putField(out, 2, cc.type);
    putField(out, 3, cc.nodeId);
    putBytes(out, 4, cc.context);
  }
  return Uint8Array.from(out);
}

/** Reads a ConfChange; null for bytes that are none, or ids above 2^53-1. */
export function unmarshalConfChange(data: Uint8Array): ConfChange | null {
  const reader = new Reader(data, 0, data.length);
  let id = 0;
  let type = 0;
  let nodeId = 0;
  let context = NO_DATA;
  while (reader.next()) {
    if (reader.is(1, WIRE_VARINT)) id = reader.varint();
    else if (reader.is(2, WIRE_VARINT)) type = reader.varint();
    else if (reader.is(3, WIRE_VARINT)) nodeId = reader.varint();
    else if (reader.is(4, WIRE_BYTES)) context = reader.bytes();
    else reader.skip();
  }
  if (reader.failed || type > 3) return null;
  return { id, type: type as ConfChangeType, nodeId, context };
}

/** Reads a ConfChangeV2; no bytes are the change that leaves a joint configuration, null as above. */
export function unmarshalConfChangeV2(data: Uint8Array): ConfChangeV2 | null {
  const reader = new Reader(data, 0, data.length);
  const changes: ConfChangeSingle[] = [];
  let transition = ConfChangeTransitionAuto as number;
  let context = NO_DATA;
  while (reader.next()) {
    if (reader.is(1, WIRE_VARINT)) transition = reader.varint();
    else if (reader.is(2, WIRE_BYTES)) {
      const single = readSingle(reader.nested());
      if (single === null) return null;
      changes.push(single);
    } else if (reader.is(3, WIRE_BYTES)) context = reader.bytes();
    else reader.skip();
  }
  if (reader.failed || transition > 2) return null;
  return { transition: transition as ConfChangeV2["transition"], changes, context };
}

function readSingle(reader: Reader): ConfChangeSingle | null {
  let type = 0;
  let nodeId = 0;
  while (reader.next()) {
    if (reader.is(1, WIRE_VARINT)) type = reader.varint();
    else if (reader.is(2, WIRE_VARINT)) nodeId = reader.varint();
    else reader.skip();
  }
  if (reader.failed || type > 3) return null;
  return { type: type as ConfChangeType, nodeId };
}

function putField(out: number[], field: number, value: number): void {
  putVarint(out, field * 8 + WIRE_VARINT);
  putVarint(out, value);
}

function putBytes(out: number[], field: number, bytes: Uint8Array): void {
  if (bytes === NO_DATA) return;
  putVarint(out, field * 8 + WIRE_BYTES);
  putVarint(out, bytes.length);
  for (let i = 0; i < bytes.length; i++) out.push(bytes[i]);
}

function putVarint(out: number[], value: number): void {
  assert(Number.isSafeInteger(value), "encoding an unsafe integer");
  assert(value >= 0, "encoding a negative number");
  let rest = value;
  while (rest >= 0x80) {
    out.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  out.push(rest);
}

/** Walks the fields of one message. Damage sets `failed` and ends the walk; it never throws. */
class Reader {
  failed = false;
  private field = 0;
  private wire = 0;

  constructor(
    private readonly data: Uint8Array,
    private pos: number,
    private readonly end: number,
  ) {}

  /** Reads the next field's key; false at the end or after damage. */
  next(): boolean {
    if (this.failed || this.pos >= this.end) return false;
    const key = this.varint();
    this.wire = key % 8;
    this.field = Math.floor(key / 8);
    if (this.field === 0) this.failed = true;
    return !this.failed;
  }

  is(field: number, wire: number): boolean {
    return this.field === field && this.wire === wire;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10 && this.pos < this.end; i++) {
      const byte = this.data[this.pos++];
      value += (byte % 0x80) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      scale *= 0x80;
    }
    this.failed = true;
    return 0;
  }

  /** A copy: what is decoded outlives the entry's bytes. */
  bytes(): Uint8Array {
    const start = this.take(this.varint());
    return this.failed ? NO_DATA : this.data.slice(start, this.pos);
  }

  nested(): Reader {
    const start = this.take(this.varint());
    const inner = new Reader(this.data, start, this.pos);
    inner.failed = this.failed;
    return inner;
  }

  skip(): void {
    if (this.wire === WIRE_VARINT) this.skipVarint();
    else if (this.wire === WIRE_FIXED64) this.take(8);
    else if (this.wire === WIRE_BYTES) this.take(this.varint());
    else if (this.wire === WIRE_FIXED32) this.take(4);
    else this.failed = true;
  }

  /** An unknown field may use all 64 bits, so its value is not looked at. */
  private skipVarint(): void {
    for (let i = 0; i < 10 && this.pos < this.end; i++) {
      if (this.data[this.pos++] < 0x80) return;
    }
    this.failed = true;
  }

  /** Steps over `length` bytes and returns where they began. */
  private take(length: number): number {
    const start = this.pos;
    if (this.failed || length > this.end - start) this.failed = true;
    else this.pos = start + length;
    return start;
  }
}
