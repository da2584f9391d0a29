// What encodes and verifies: one interface, two implementations of the same bytes (codec-wasm.ts, and its plain
// twin codec-js.ts). Both work in place on a memory laid out as layout.ts says.

/** The memory and its views. `buffer` is shared where two threads meet in it. */
export interface CodecMemory {
  readonly buffer: ArrayBufferLike;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
}

export interface Codec {
  readonly memory: CodecMemory;
  /** CRC-32C of bytes in the memory, continuing `seed`. */
  crc32c(seed: number, pointer: number, length: number): number;
  /**
   * Encodes ring items from ENC_HEAD up to `tail` to `at`: the batch's beginning `out`, or behind what it has. No frame
   * may reach past `segmentLimit`, nor, except for the batch's first, past `capLimit` (addresses). `pointsFree`: free
   * slots for points. Returns the bytes of the batch; ENC_STOP says why it stopped.
   */
  encodeBatch(
    out: number,
    at: number,
    tail: number,
    capLimit: number,
    segmentLimit: number,
    pointsFree: number,
  ): number;
  /**
   * Scans from SCAN_POS to `end`. Entries, states and seals are taken in; after any other record, and after an entry
   * whose type is not EntryNormal, it returns SCAN_SPECIAL with the record described in the scan state and SCAN_POS
   * behind it.
   */
  scan(end: number): number;
}

/** Views over `buffer`. */
export function memoryOver(buffer: ArrayBufferLike): CodecMemory {
  return {
    buffer,
    u8: new Uint8Array(buffer),
    i32: new Int32Array(buffer),
    u32: new Uint32Array(buffer),
    f64: new Float64Array(buffer),
  };
}
