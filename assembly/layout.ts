// Where things lie in the memory that a writer and its host share. src/wal/layout.ts has the same numbers for the
// host's side; a test compares them.

/** CRC-32C tables: 16 of 256 words. */
export const TABLES: usize = 0x1000;
/** What `encode` is told and tells; see the fields below. */
export const STATE: usize = 0x5000;
export const STATE_CRC: usize = STATE;
export const STATE_CONSUMED: usize = STATE + 4;
export const STATE_POINTS: usize = STATE + 8;
export const STATE_MUST_SYNC: usize = STATE + 12;
export const STATE_LAST_SEQ: usize = STATE + 16;
export const STATE_LAST_INDEX: usize = STATE + 24;
export const STATE_ENTRIES: usize = STATE + 32;
export const STATE_SINCE_POINT: usize = STATE + 36;
export const STATE_TERM: usize = STATE + 40;
export const STATE_VOTE: usize = STATE + 48;
export const STATE_COMMIT: usize = STATE + 56;
export const STATE_HAS_HARD_STATE: usize = STATE + 64;
/** Index points: { index: f64, offset in the output: u32, unused: u32 }. */
export const POINTS: usize = 0x6000;
export const POINTS_MAX: u32 = 128;
/** A point at least every so many bytes of output. */
export const POINT_BYTES: u32 = 65536;

/** Records in the ring: { size: u32, kind: u32, ... }, 8-byte aligned, size included in itself. */
export const KIND_ENTRY: u32 = 1;
export const KIND_HARD_STATE: u32 = 2;
export const KIND_SKIP: u32 = 3;
export const KIND_END: u32 = 4;
/** Bytes of an entry's ring record before its data: size, kind|type<<8|nil<<16, length, 0, term f64, index f64. */
export const ENTRY_HEADER: u32 = 32;
/** No frame is longer than its data by more than this. */
export const FRAME_OVERHEAD_MAX: u32 = 64;
