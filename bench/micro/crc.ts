// How fast is the log's checksum, CRC-32C in WASM, against slicing-by-8 in plain JavaScript of the same run? Beside it
// zlib.crc32 of Node's own, which is native code but another polynomial, so the log cannot use it.
import zlib from "node:zlib";
import { crc32cRange } from "../../src/base/crc32c.js";
import { bindWasmCodec, createWasmMemory, wasmModule } from "../../src/wal/format/codec-wasm.js";
import { RING } from "../../src/wal/format/layout.js";
import { consume, type MicroCase, type MicroSuite } from "./suite.js";

const SIZES: readonly [name: string, bytes: number][] = [
  ["64 B", 64],
  ["256 B", 256],
  ["4 KiB", 4096],
  ["1 MiB", 1 << 20],
];
const LARGEST = 1 << 20;
/** About what one call of a case sums; its clock costs nothing then. */
const CALL_BYTES = 1 << 18;

/** What the codecs are compared by: ns per byte of one divided by that of another. */
export const CRC_WASM = "crc32c in WASM";
export const CRC_JS = "crc32c in JavaScript (slicing-by-8)";
export const CRC_ZLIB = "zlib.crc32 (native, another polynomial)";
export const CRC_SIZES: readonly string[] = SIZES.map(([name]) => name);

type NativeCrc = (bytes: Uint8Array, seed?: number) => number;

/** zlib.crc32 came with Node 20.15; null before. */
export const nativeCrc: NativeCrc | null =
  ((zlib as unknown as Record<string, unknown>)["crc32"] as NativeCrc | undefined) ?? null;

export const crcCases: MicroSuite = () => {
  const codec = bindWasmCodec(wasmModule(), createWasmMemory(RING + LARGEST));
  const { u8 } = codec.memory;
  for (let i = RING; i < u8.length; i++) u8[i] = Math.imul(i, 2654435761) >>> 24;
  const plain = u8.slice(RING, RING + LARGEST);
  const cases: MicroCase[] = [];
  for (const [name, bytes] of SIZES) {
    cases.push(crcCase(`${CRC_WASM}, ${name}`, bytes, (seed) => codec.crc32c(seed, RING, bytes)));
    cases.push(crcCase(`${CRC_JS}, ${name}`, bytes, (seed) => crc32cRange(seed, plain, 0, bytes)));
    if (nativeCrc === null) continue;
    const part = plain.subarray(0, bytes);
    const native = nativeCrc;
    cases.push(crcCase(`${CRC_ZLIB}, ${name}`, bytes, (seed) => native(part, seed)));
  }
  return cases;
};

function crcCase(name: string, bytes: number, sum: (seed: number) => number): MicroCase {
  const ops = Math.max(1, Math.floor(CALL_BYTES / bytes));
  return {
    name,
    ops,
    bytes,
    run() {
      let crc = 0;
      for (let i = 0; i < ops; i++) crc = sum(crc);
      consume(crc);
    },
  };
}
