// Where things lie in the memory that a log writer and the main thread share, and how work and news pass through it.
// Only offsets travel between threads; each field has one writer. The first part is also in assembly/layout.ts.

export const TABLES = 0x1000;
export const STATE = 0x5000;
export const STATE_CRC = STATE;
export const STATE_CONSUMED = STATE + 4;
export const STATE_POINTS = STATE + 8;
export const STATE_MUST_SYNC = STATE + 12;
export const STATE_LAST_SEQ = STATE + 16;
export const STATE_LAST_INDEX = STATE + 24;
export const STATE_ENTRIES = STATE + 32;
export const STATE_SINCE_POINT = STATE + 36;
export const STATE_TERM = STATE + 40;
export const STATE_VOTE = STATE + 48;
export const STATE_COMMIT = STATE + 56;
export const STATE_HAS_HARD_STATE = STATE + 64;
export const POINTS = 0x6000;
export const POINTS_MAX = 128;
export const POINT_BYTES = 65536;

export const KIND_ENTRY = 1;
export const KIND_HARD_STATE = 2;
/** Fills the end of the ring where the next record does not fit. */
export const KIND_SKIP = 3;
/** Ends one append: its sequence number, and whether it must be synced. */
export const KIND_END = 4;
export const ENTRY_HEADER = 32;
export const HARD_STATE_SIZE = 32;
export const END_SIZE = 16;
export const FRAME_OVERHEAD_MAX = 64;

/** Int32 fields between the threads, from here on. Ring positions are in units of 8 bytes, modulo 2^32. */
export const CONTROL = 0x7000;
/** Main: records up to here are written. The worker sleeps on it. */
export const CONTROL_HEAD = CONTROL / 4;
/** Worker: records up to here are taken. */
export const CONTROL_TAIL = CONTROL / 4 + 1;
/** Worker: news up to here are written. The main thread waits on it, asynchronously. */
export const CONTROL_NEWS_HEAD = CONTROL / 4 + 2;
/** Main: news up to here are read. */
export const CONTROL_NEWS_TAIL = CONTROL / 4 + 3;
/** Main: 1 asks the worker to write what it holds and end. */
export const CONTROL_CLOSING = CONTROL / 4 + 4;
/** Main: 1 while an append waits for room, so that what is in the ring must be written to make some. */
export const CONTROL_CROWDED = CONTROL / 4 + 5;

/** Float64 counters of the writer, for metrics. */
export const COUNTERS = 0x7100 / 8;
export const COUNTER_WRITES = COUNTERS;
export const COUNTER_SYNCS = COUNTERS + 1;
export const COUNTER_BYTES = COUNTERS + 2;
export const COUNTER_ENTRIES = COUNTERS + 3;

/** News ring: slots of four Float64. */
export const NEWS = 0x8000;
export const NEWS_SLOTS = 2048;
/** { NEWS_POINT, index, segment, offset }: the run of entries from `index` on begins there. */
export const NEWS_POINT = 1;
/** { NEWS_DURABLE, seq }: everything up to append `seq` is durable. */
export const NEWS_DURABLE = 2;
/** { NEWS_CUT, seq, index }: segment `seq`, named with `index`, was begun. */
export const NEWS_CUT = 3;

/** The ring of records begins here; the output region follows it. */
export const RING = NEWS + NEWS_SLOTS * 32;
