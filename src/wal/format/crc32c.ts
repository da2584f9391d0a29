// The CRC-32C that everyone outside the codecs calls. Short inputs in TypeScript; longer ones are copied into a
// small WASM memory, which pays from about 64 bytes on (256 B with the copy: 0.14 us, against 0.24 us in plain TypeScript).

import { crc32cRange } from "../../base/crc32c.js";
import type { Codec } from "./codec.js";
import { bindWasmCodec, createWasmMemory, wasmModule } from "./codec-wasm.js";
import { RING } from "./layout.js";

const WASM_FROM_BYTES = 64;
const CHUNK_BYTES = 65536;

let codec: Codec | null = null;

/** CRC-32C of `bytes`, continuing `seed` (0 to begin): crc32c(crc32c(0, a), b) is that of a and b in a row. */
export function crc32c(seed: number, bytes: Uint8Array): number {
  // hot
  const length = bytes.length;
  if (length < WASM_FROM_BYTES) return crc32cRange(seed, bytes, 0, length);
  codec ??= bindWasmCodec(wasmModule(), createWasmMemory(RING + 8 + CHUNK_BYTES));
  // Into shared memory V8 copies byte by byte, unless source and target lie alike.
  const to = RING + (bytes.byteOffset & 7);
  if (length <= CHUNK_BYTES) {
    codec.memory.u8.set(bytes, to);
    return codec.crc32c(seed, to, length);
  }
  let crc = seed;
  for (let at = 0; at < length; at += CHUNK_BYTES) {
    const chunk = bytes.subarray(at, Math.min(length, at + CHUNK_BYTES));
    codec.memory.u8.set(chunk, to);
    crc = codec.crc32c(crc, to, chunk.length);
  }
  return crc;
}
