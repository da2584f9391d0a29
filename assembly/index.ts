// What the WAL's WebAssembly module offers. Pointers and lengths are u32 into a memory that the host brings.
export { crc32c, init } from "./crc32c";
export { encode } from "./encode";
