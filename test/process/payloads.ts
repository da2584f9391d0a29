// The payloads of a loaded node: what the `seq`-th proposal of a round holds follows from both, so that whoever reads a
// log can tell what must be in it.

const HEAD_BYTES = 8;

/** 8 to 1031 bytes: round, seq, and a run of bytes that depends on them. */
export function payload(round: number, seq: number): Uint8Array {
  const mixed = Math.imul(seq + 1, 0x9e3779b1) ^ Math.imul(round + 1, 0x85ebca77);
  const bytes = Buffer.alloc(HEAD_BYTES + ((mixed >>> 8) & 1023), mixed & 0xff);
  bytes.writeUInt32LE(round, 0);
  bytes.writeUInt32LE(seq, 4);
  return bytes;
}

/** Round and number of the payload; -1 and -1 for what is none. */
export function placeOf(bytes: Uint8Array): { readonly round: number; readonly seq: number } {
  if (bytes.length < HEAD_BYTES) return { round: -1, seq: -1 };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { round: view.getUint32(0, true), seq: view.getUint32(4, true) };
}
