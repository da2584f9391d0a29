// The boundary between the log writers and whoever encodes for them: WebAssembly, or its plain TypeScript twin.

/** Works over one memory laid out as layout.ts says; not shared with another codec. */
export interface Codec {
  readonly kind: "js" | "wasm";
  /** Continues CRC-32C `seed` over memory [pointer, pointer + length). */
  crc32c(seed: number, pointer: number, length: number): number;
  /**
   * Encodes the ring records in [source, sourceEnd) to `out`, until they end or one may not fit before `outEnd`.
   * Offsets of points count from `base`. Results in STATE; returns the end of the output.
   */
  encode(source: number, sourceEnd: number, base: number, out: number, outEnd: number): number;
}

/** Memory of `bytes`, in whole pages, that threads and WebAssembly can share. */
export function allocateMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.ceil(bytes / 65536);
  // The module declares 65536 as its maximum; only what is touched is ever backed by the system.
  return new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true });
}
