// Where things lie in the memory that the main thread, the writer and the codecs share. Offsets in bytes unless
// named WORD_ (index of an Int32). The same numbers are in assembly/layout.ts; the tests compare what both make of
// them.

/** Below it: the WASM module's own data. */
export const CONTROL = 65536;
export const ENC = CONTROL + 512;
export const SCAN = CONTROL + 1024;
export const POINTS = CONTROL + 4096;
export const POINT_BYTES = 40;
export const POINTS_MAX = 4096;
/** Bytes of log between two points of the sparse index. */
export const POINT_SPACING = 65536;
/** Times of the latest batches (batch-times.ts), behind the points: f64 sequence, three times, durable writes. */
export const TIMES = POINTS + POINTS_MAX * POINT_BYTES;
export const TIME_BYTES = 40;
export const TIMES_MAX = 512;
/** The ring begins here, the output region behind it. Recovery puts a segment's bytes here instead. */
export const RING = 262144;

const WORDS = CONTROL / 4;
// Written by the main thread.
/** Raised whenever the writer has something to look at; it sleeps on this. */
export const WORD_WAKE = WORDS + 0;
/** Ring position up to which the writer may take. Positions count bytes modulo 2^32. */
export const WORD_TAIL = WORDS + 1;
export const WORD_CLOSING = WORDS + 2;
/** Segments prepared so far by this process. */
export const WORD_PREPARED = WORDS + 3;
/** The one that could not be prepared, counted with those; the writer has to make it itself. */
export const WORD_PREPARE_FAILED = WORDS + 4;
/** Points consumed. */
export const WORD_POINTS_HEAD = WORDS + 5;
/** 1: the writer notes when batches are encoded and durable. */
export const WORD_TIMING = WORDS + 6;
/** Odd while the items before WORD_TAIL end in the middle of an append whose rest follows at once. */
export const WORD_PART = WORDS + 7;
// Written by the writer, on another cache line.
/** Ring position up to which everything is taken and its space free. */
export const WORD_HEAD = WORDS + 16;
/** Raised whenever the main thread has something to look at. */
export const WORD_NOTICE = WORDS + 17;
/** Low 32 bits of the durable sequence. */
export const WORD_DURABLE = WORDS + 18;
/** Prepared segments taken so far. */
export const WORD_TAKEN = WORDS + 19;
/** Points published. */
export const WORD_POINTS_TAIL = WORDS + 20;
/** The writer waits for this many prepared segments: whoever fills one leaves the rest of it sparse. */
export const WORD_HURRY = WORDS + 21;
/** Times noted so far, modulo 2^32. */
export const WORD_TIMES = WORDS + 22;
/** Raised whenever the disk has done something. */
export const WORD_ANSWERS = WORDS + 23;

/** Counters of the writer, doubles. */
export const STAT_WRITES = CONTROL + 256;
export const STAT_SYNCS = CONTROL + 264;
export const STAT_BYTES = CONTROL + 272;
export const STAT_ENTRIES = CONTROL + 280;
/** Milliseconds that all durable writes took, and behind it how many took how long (sync-times.ts); up to ENC at most. */
export const STAT_SYNC_MS = CONTROL + 288;
export const STAT_SYNC_COUNTS = CONTROL + 296;

// Ring items: u32 kind | type << 8 | has data << 16, u32 length, then by kind. Multiples of 8 bytes.
/** f64 term, f64 index, data padded to 8. */
export const ITEM_ENTRY = 1;
/** f64 term, f64 vote, f64 commit. */
export const ITEM_STATE = 2;
/** f64 sequence number of the append that ends here. */
export const ITEM_END = 3;
/** Skip to the start of the ring. */
export const ITEM_WRAP = 4;
/** As ITEM_ENTRY without the data, which goes another way because it is too large for the ring. */
export const ITEM_LARGE = 5;
/** f64 term, f64 index of the snapshot, the data of its record padded to 8. */
export const ITEM_SNAPSHOT = 6;
/**
 * Entries that lie encoded one behind the other, as field 7 of raftpb.Message: the tag says, in place of a type, how many
 * bytes are left out in front of them; they are RUN_ITEM_BYTES behind it, and padded to 8.
 */
export const ITEM_RUN = 7;
export const RUN_ITEM_BYTES = 8;
export const ENTRY_ITEM_BYTES = 24;
export const STATE_ITEM_BYTES = 32;
export const END_ITEM_BYTES = 16;
export const HAS_DATA = 1 << 16;

// Encoder state.
export const ENC_CRC = ENC;
export const ENC_POINTS_TAIL = ENC + 4;
export const ENC_RING_BASE = ENC + 8;
export const ENC_RING_MASK = ENC + 12;
export const ENC_HEAD = ENC + 16;
export const ENC_STOP = ENC + 20;
export const ENC_POINTS_BASE = ENC + 24;
export const ENC_POINTS_MASK = ENC + 28;
export const ENC_FORCE_POINT = ENC + 32;
export const ENC_LAST_INDEX = ENC + 40;
export const ENC_LAST_TERM = ENC + 48;
export const ENC_SINCE_POINT = ENC + 56;
export const ENC_SEQ = ENC + 64;
export const ENC_HS_TERM = ENC + 72;
export const ENC_HS_VOTE = ENC + 80;
export const ENC_HS_COMMIT = ENC + 88;
export const ENC_ENTRIES = ENC + 96;
/** Bytes of the run at ENC_HEAD that are encoded. */
export const ENC_RUN = ENC + 104;

// Why encodeBatch stopped.
export const STOP_DRAINED = 0;
export const STOP_CAP = 1;
export const STOP_SEGMENT = 2;
export const STOP_POINTS = 3;
export const STOP_LARGE = 4;

// Scan state.
export const SCAN_CRC = SCAN;
export const SCAN_POS = SCAN + 4;
export const SCAN_POINTS = SCAN + 8;
export const SCAN_POINTS_BASE = SCAN + 12;
export const SCAN_POINTS_CAP = SCAN + 16;
export const SCAN_FORCE_POINT = SCAN + 20;
export const SCAN_TYPE = SCAN + 24;
export const SCAN_DATA = SCAN + 28;
export const SCAN_DATA_LEN = SCAN + 32;
export const SCAN_RECORD_CRC = SCAN + 36;
export const SCAN_RECORDS = SCAN + 40;
export const SCAN_ENTRIES = SCAN + 48;
export const SCAN_LAST_INDEX = SCAN + 56;
export const SCAN_LAST_TERM = SCAN + 64;
export const SCAN_SINCE_POINT = SCAN + 72;
export const SCAN_HS_TERM = SCAN + 80;
export const SCAN_HS_VOTE = SCAN + 88;
export const SCAN_HS_COMMIT = SCAN + 96;
export const SCAN_FIRST_INDEX = SCAN + 104;
/** Where the segment's first byte would lie, modulo 2^32: points carry offsets from it. */
export const SCAN_BASE = SCAN + 112;
/** Offset behind the last seal of this segment: the crc record that ends each write. 0: none. */
export const SCAN_SEALED = SCAN + 116;
/** Of an entry that SCAN_SPECIAL tells of: it takes the place of another. */
export const SCAN_OVERWRITES = SCAN + 120;

// State of unframe.
export const UNFRAME = CONTROL + 2048;
export const UNFRAME_POS = UNFRAME;
export const UNFRAME_CRC = UNFRAME + 4;
export const UNFRAME_OUT = UNFRAME + 8;
/** The index of the next entry record, and the term of all. */
export const UNFRAME_INDEX = UNFRAME + 16;
export const UNFRAME_TERM = UNFRAME + 24;
/** The first entry that is wanted, and the first behind the last. */
export const UNFRAME_WANTED = UNFRAME + 32;
export const UNFRAME_HI = UNFRAME + 40;
/** Four u32 an entry: where it begins, where its data does, the length of that, its type. */
export const UNFRAME_ROWS = POINTS;
export const UNFRAME_ROWS_MAX = 8192;

// What scan returns. Negative: the frame at SCAN_POS is damaged.
export const SCAN_END = 0;
export const SCAN_ZERO = 1;
export const SCAN_SPECIAL = 2;
export const SCAN_POINTS_FULL = 3;
export const SCAN_SHORT = -1;
export const SCAN_BAD_CRC = -2;
export const SCAN_BAD_PROTO = -3;
export const SCAN_GAP = -4;
export const SCAN_UNSAFE = -5;
/** Its checksum is right, but it is not what a record of its type is (NOT_OF_TYPE of recover/misfits.ts). */
export const SCAN_KIND = -6;
export const SCAN_STATE_BACK = -7;
export const SCAN_COMMITTED = -8;
export const SCAN_TERM_BACK = -9;
export const SCAN_HEAD = -10;
