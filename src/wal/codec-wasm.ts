// The codec in WebAssembly (assembly/). One instance a memory: instantiating again over a live memory would refill
// its tables under a running CRC.
import { readFileSync } from "node:fs";
import { assert } from "../base/assert.js";
import type { Codec } from "./codec.js";

interface Exports {
  init(): void;
  crc32c(seed: number, pointer: number, length: number): number;
  encode(source: number, sourceEnd: number, base: number, out: number, outEnd: number): number;
}

let compiled: WebAssembly.Module | null = null;

/** Instantiates the module over `memory` and fills its tables. */
export function createWasmCodec(memory: WebAssembly.Memory): Codec {
  compiled ??= new WebAssembly.Module(readFileSync(new URL("../../assembly/wal.wasm", import.meta.url)));
  const instance = new WebAssembly.Instance(compiled, { env: { memory } });
  const exports = instance.exports as unknown as Exports;
  exports.init();
  return {
    kind: "wasm",
    crc32c: (seed, pointer, length) => exports.crc32c(seed, pointer, length) >>> 0,
    encode: (source, sourceEnd, base, out, outEnd) => {
      assert(out <= outEnd, "an output that ends before it begins");
      const end = exports.encode(source, sourceEnd, base, out, outEnd) >>> 0;
      assert(end <= outEnd, "encoded past the end of the output");
      return end;
    },
  };
}
