// Where things lie in the memory that this module shares with its host. The same numbers are in src/wal/format/layout.ts;
// the tests compare what both sides make of them.

export const CONTROL: usize = 65536;
export const ENC: usize = CONTROL + 512;
export const SCAN: usize = CONTROL + 1024;
export const POINT_BYTES: usize = 40;
/** Bytes of log between two points of the sparse index. */
export const POINT_SPACING: f64 = 65536;

// Ring items: u32 kind | type << 8 | has data << 16, u32 length, then by kind.
export const ITEM_ENTRY: u32 = 1; // f64 term, f64 index, data padded to 8
export const ITEM_STATE: u32 = 2; // f64 term, f64 vote, f64 commit
export const ITEM_END: u32 = 3; // f64 sequence number of the append that ends here
export const ITEM_WRAP: u32 = 4; // skip to the start of the ring
export const ITEM_LARGE: u32 = 5; // as ITEM_ENTRY without the data, which the host has
export const ITEM_SNAPSHOT: u32 = 6; // f64 term, f64 index of the snapshot, data of its record padded to 8
export const ITEM_RUN: u32 = 7; // encoded entries, behind as many bytes as the tag says in place of a type

// Encoder state, offsets from ENC.
export const ENC_CRC: usize = 0;
export const ENC_POINTS_TAIL: usize = 4;
export const ENC_RING_BASE: usize = 8;
export const ENC_RING_MASK: usize = 12;
export const ENC_HEAD: usize = 16;
export const ENC_STOP: usize = 20;
export const ENC_POINTS_BASE: usize = 24;
export const ENC_POINTS_MASK: usize = 28;
export const ENC_FORCE_POINT: usize = 32;
export const ENC_LAST_INDEX: usize = 40;
export const ENC_LAST_TERM: usize = 48;
export const ENC_SINCE_POINT: usize = 56;
export const ENC_SEQ: usize = 64;
export const ENC_HS_TERM: usize = 72;
export const ENC_HS_VOTE: usize = 80;
export const ENC_HS_COMMIT: usize = 88;
export const ENC_ENTRIES: usize = 96;
export const ENC_RUN: usize = 104;

// Why encodeBatch stopped.
export const STOP_DRAINED: u32 = 0;
export const STOP_CAP: u32 = 1;
export const STOP_SEGMENT: u32 = 2;
export const STOP_POINTS: u32 = 3;
export const STOP_LARGE: u32 = 4;

// Scan state, offsets from SCAN.
export const SCAN_CRC: usize = 0;
export const SCAN_POS: usize = 4;
export const SCAN_POINTS: usize = 8;
export const SCAN_POINTS_BASE: usize = 12;
export const SCAN_POINTS_CAP: usize = 16;
export const SCAN_FORCE_POINT: usize = 20;
export const SCAN_TYPE: usize = 24;
export const SCAN_DATA: usize = 28;
export const SCAN_DATA_LEN: usize = 32;
export const SCAN_RECORD_CRC: usize = 36;
export const SCAN_RECORDS: usize = 40;
export const SCAN_ENTRIES: usize = 48;
export const SCAN_LAST_INDEX: usize = 56;
export const SCAN_LAST_TERM: usize = 64;
export const SCAN_SINCE_POINT: usize = 72;
export const SCAN_HS_TERM: usize = 80;
export const SCAN_HS_VOTE: usize = 88;
export const SCAN_HS_COMMIT: usize = 96;
export const SCAN_FIRST_INDEX: usize = 104;
/** Where the segment's first byte would lie, modulo 2^32: points carry offsets from it. */
export const SCAN_BASE: usize = 112;
/** Offset behind the last seal of this segment: the crc record that ends each write. 0: none. */
export const SCAN_SEALED: usize = 116;
/** Of an entry that SCAN_SPECIAL tells of: it takes the place of another. */
export const SCAN_OVERWRITES: usize = 120;

// What scan returns. Negative: the frame at SCAN_POS is damaged.
export const SCAN_END: i32 = 0;
export const SCAN_ZERO: i32 = 1;
export const SCAN_SPECIAL: i32 = 2;
export const SCAN_POINTS_FULL: i32 = 3;
export const SCAN_SHORT: i32 = -1;
export const SCAN_BAD_CRC: i32 = -2;
export const SCAN_BAD_PROTO: i32 = -3;
export const SCAN_GAP: i32 = -4;
export const SCAN_UNSAFE: i32 = -5;
export const SCAN_KIND: i32 = -6;
export const SCAN_STATE_BACK: i32 = -7;
export const SCAN_COMMITTED: i32 = -8;
export const SCAN_TERM_BACK: i32 = -9;
export const SCAN_HEAD: i32 = -10;

// State of unframe, offsets from UNFRAME, and its rows.
export const UNFRAME: usize = CONTROL + 2048;
export const UNFRAME_POS: usize = 0;
export const UNFRAME_CRC: usize = 4;
export const UNFRAME_OUT: usize = 8;
/** The index of the next entry record, and the term of all. */
export const UNFRAME_INDEX: usize = 16;
export const UNFRAME_TERM: usize = 24;
/** The first entry that is wanted, and the first behind the last. */
export const UNFRAME_WANTED: usize = 32;
export const UNFRAME_HI: usize = 40;
export const UNFRAME_ROWS: usize = CONTROL + 4096;

export const RECORD_METADATA: u32 = 1;
export const RECORD_ENTRY: u32 = 2;
export const RECORD_STATE: u32 = 3;
export const RECORD_CRC: u32 = 4;
export const RECORD_SNAPSHOT: u32 = 5;
