// The codec in plain TypeScript: the oracle for the WebAssembly one, and the writer `inline-js` of the bench.
import { crc32c } from "../base/crc32c.js";
import type { Codec } from "./codec.js";
import * as at from "./layout.js";

/** Creates the twin over `memory`. */
export function createJsCodec(memory: WebAssembly.Memory): Codec {
  return new JsCodec(memory.buffer);
}

class JsCodec implements Codec {
  readonly kind = "js";
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  /** The message before its CRC, and so the length of what precedes it, is known. */
  private readonly scratch = new Uint8Array(64);
  private scratchLength = 0;

  constructor(buffer: ArrayBufferLike) {
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }

  crc32c(seed: number, pointer: number, length: number): number {
    return crc32c(seed, this.bytes.subarray(pointer, pointer + length));
  }

  encode(source: number, sourceEnd: number, base: number, out: number, outEnd: number): number {
    const { view } = this;
    let from = source;
    let to = out;
    while (from < sourceEnd) {
      const size = view.getUint32(from, true);
      const kind = view.getUint32(from + 4, true);
      if (to + size + at.FRAME_OVERHEAD_MAX > outEnd) break;
      if ((kind & 255) === at.KIND_ENTRY) {
        if (!this.point(from, to - base)) break;
        const end = this.entry(from, to);
        this.addU32(at.STATE_SINCE_POINT, end - to);
        this.addU32(at.STATE_ENTRIES, 1);
        view.setFloat64(at.STATE_LAST_INDEX, view.getFloat64(from + 24, true), true);
        to = end;
      } else if ((kind & 255) === at.KIND_HARD_STATE) {
        to = this.hardState(from, to);
      } else if ((kind & 255) === at.KIND_END) {
        view.setFloat64(at.STATE_LAST_SEQ, view.getFloat64(from + 8, true), true);
        if ((kind >>> 8) & 1) view.setUint32(at.STATE_MUST_SYNC, 1, true);
      }
      from += size;
    }
    view.setUint32(at.STATE_CONSUMED, from, true);
    return to;
  }

  private addU32(field: number, value: number): void {
    this.view.setUint32(field, this.view.getUint32(field, true) + value, true);
  }

  private point(source: number, offset: number): boolean {
    const { view } = this;
    const index = view.getFloat64(source + 24, true);
    const jump = index !== view.getFloat64(at.STATE_LAST_INDEX, true) + 1;
    if (!jump && view.getUint32(at.STATE_SINCE_POINT, true) < at.POINT_BYTES) return true;
    const count = view.getUint32(at.STATE_POINTS, true);
    if (count === at.POINTS_MAX) return false;
    view.setFloat64(at.POINTS + count * 16, index, true);
    view.setUint32(at.POINTS + count * 16 + 8, offset, true);
    view.setUint32(at.STATE_POINTS, count + 1, true);
    view.setUint32(at.STATE_SINCE_POINT, 0, true);
    return true;
  }

  private entry(source: number, out: number): number {
    const { view } = this;
    const kind = view.getUint32(source + 4, true);
    const length = view.getUint32(source + 8, true);
    this.scratchLength = 0;
    this.field(0x08, (kind >>> 8) & 255);
    this.field(0x10, view.getFloat64(source + 16, true));
    this.field(0x18, view.getFloat64(source + 24, true));
    if (((kind >>> 16) & 1) === 0) this.field(0x22, length);
    return this.frame(out, 2, source + at.ENTRY_HEADER, length);
  }

  private hardState(source: number, out: number): number {
    const { view } = this;
    this.scratchLength = 0;
    for (let i = 0; i < 3; i++) {
      const value = view.getFloat64(source + 8 + i * 8, true);
      view.setFloat64(at.STATE_TERM + i * 8, value, true);
      this.field(0x08 + i * 8, value);
    }
    view.setUint32(at.STATE_HAS_HARD_STATE, 1, true);
    return this.frame(out, 3, 0, 0);
  }

  private field(tag: number, value: number): void {
    this.scratch[this.scratchLength++] = tag;
    this.scratchLength = putVarint(this.scratch, this.scratchLength, value);
  }

  private frame(out: number, type: number, body: number, bodyLength: number): number {
    const { bytes, view, scratch, scratchLength } = this;
    const head = scratch.subarray(0, scratchLength);
    let crc = crc32c(view.getUint32(at.STATE_CRC, true), head);
    if (bodyLength > 0) crc = crc32c(crc, bytes.subarray(body, body + bodyLength));
    view.setUint32(at.STATE_CRC, crc, true);
    let to = out + 8;
    bytes[to++] = 0x08;
    bytes[to++] = type;
    bytes[to++] = 0x10;
    to = putVarint(bytes, to, crc);
    bytes[to++] = 0x1a;
    to = putVarint(bytes, to, scratchLength + bodyLength);
    bytes.set(head, to);
    to += scratchLength;
    bytes.copyWithin(to, body, body + bodyLength);
    to += bodyLength;
    return finishFrame(bytes, view, out, to);
  }
}

/** Writes the length field of the frame that begins at `out` and the padding after its record's end `end`. */
export function finishFrame(bytes: Uint8Array, view: DataView, out: number, end: number): number {
  const length = end - out - 8;
  const padding = (8 - (length % 8)) % 8;
  view.setUint32(out, length, true);
  view.setUint32(out + 4, padding === 0 ? 0 : (0x80 | padding) << 24, true);
  bytes.fill(0, end, end + padding);
  return end + padding;
}

/** Appends `value` (0 to 2^53-1) as a varint at `to`; returns the end. */
export function putVarint(bytes: Uint8Array, to: number, value: number): number {
  let rest = value;
  let end = to;
  while (rest >= 128) {
    bytes[end++] = (rest % 128) + 128;
    rest = Math.floor(rest / 128);
  }
  bytes[end++] = rest;
  return end;
}
