// The WASM codec: loads dist/assembly/wal.wasm and instantiates it over a memory. A module must never be
// instantiated twice over one live memory (its data segments and start function would run again), so each memory
// is made by createWasmMemory and bound by exactly one thread.
import { readFileSync } from "node:fs";
import { assert } from "../../base/assert.js";
import { ownMemory, ownModule } from "../../base/environment.js";
import { type Codec, memoryOver } from "./codec.js";

const PAGE = 65536;
const MAXIMUM_PAGES = 65536;

export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
}

interface Exports {
  init(): void;
  crc32c(seed: number, pointer: number, length: number): number;
  encodeBatch(out: number, at: number, tail: number, cap: number, segment: number, points: number): number;
  scan(end: number): number;
  unframe(end: number, rowsMax: number): number;
}

export interface WasmCodec extends Codec {
  /**
   * Takes entries of a run off the frames from UNFRAME_POS to `end`, `rowsMax` at most: those that are encoded as we do
   * it lie from where the frames began up to UNFRAME_OUT then, one behind the other as field 7 of raftpb.Message.
   * Returns how many of UNFRAME_ROWS there are.
   */
  unframe(end: number, rowsMax: number): number;
}

/** Read as this file is, in each thread: when the module is wanted there may be no descriptor left to read it by. */
// dist/src/wal/format/codec-wasm.js -> dist/assembly/wal.wasm
const BYTES = ownModule("wal.wasm", () =>
  readFileSync(new URL("../../../assembly/wal.wasm", import.meta.url)),
);

let compiled: WebAssembly.Module | null = null;

/** The compiled module; can be posted to a worker. */
export function wasmModule(): object {
  compiled ??= new WebAssembly.Module(BYTES);
  return compiled;
}

/** A shared memory of at least `bytes` that does not grow. */
export function createWasmMemory(bytes: number): WasmMemory {
  return createMemory(bytes, true) as WasmMemory;
}

/** As createWasmMemory, and also not shared: begins on a page's border, which no other buffer in JavaScript is sure to. */
export function createMemory(bytes: number, shared: boolean): { readonly buffer: ArrayBufferLike } {
  const pages = Math.ceil(bytes / PAGE);
  assert(pages <= MAXIMUM_PAGES, "memory too large for WASM");
  return ownMemory(() => new WebAssembly.Memory({ initial: pages, maximum: pages, shared }));
}

/** Instantiates the module over `memory`: once per memory. */
export function bindWasmCodec(module: object, memory: WasmMemory): WasmCodec {
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  const exports = instance.exports as unknown as Exports;
  exports.init();
  return {
    memory: memoryOver(memory.buffer),
    crc32c: (seed, pointer, length) => exports.crc32c(seed, pointer, length) >>> 0,
    encodeBatch: exports.encodeBatch,
    scan: exports.scan,
    unframe: exports.unframe,
  };
}
