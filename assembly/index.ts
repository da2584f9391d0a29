// The WAL's inner loops: CRC-32C, batch encoding, verification. Works on memory that the host shares with it and
// imports nothing else. Exports speak u32; negative means error. To be instantiated once per memory: a second
// instance over a live one would run its data segments and start function again and spoil what is in flight.
import { initTables, update } from "./crc";

export { encodeBatch } from "./encode";
export { scan } from "./scan";
export { unframe } from "./unframe";

/** Fills the tables. Once, before any other call. */
export function init(): void {
  initTables();
}

/** CRC-32C of `length` bytes at `pointer`, continuing `seed`. */
export function crc32c(seed: u32, pointer: u32, length: u32): u32 {
  return update(seed, pointer, length);
}
