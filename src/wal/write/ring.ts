// The producer's side of the ring: one thread (main) writes items, one (the writer's) takes them, in order, over
// memory that both see. An item never wraps. Nothing is visible to the writer before publish().
import { assert } from "../../base/assert.js";
import { NO_DATA } from "../../base/bytes.js";
import type { Entry, HardState } from "../../raft/raftpb/index.js";
import type { CodecMemory } from "../format/codec.js";
import * as L from "../format/layout.js";

/**
 * A run goes in pieces of at most this, unless one entry is longer, so that the writer encodes one while the next is
 * copied.
 */
const PIECE_BYTES = 64 << 10;
/** Up to here a loop of byte stores beats the call of TypedArray.set. */
const SMALL_COPY = 24;

export class RingProducer {
  private readonly memory: CodecMemory;
  readonly ringBytes: number;
  /** Entries whose item would be larger go as ITEM_LARGE: any other item fits an empty ring, wherever it starts. */
  readonly itemBytesMax: number;
  private readonly pieceBytesMax: number;
  /** Position behind the last item, modulo 2^32. */
  private tail = 0;
  /** The writer's position when last looked at. */
  private head = 0;
  private published = 0;
  /** WORD_PART is odd. */
  private inPart = false;

  constructor(memory: CodecMemory, ringBytes: number) {
    assert((ringBytes & (ringBytes - 1)) === 0, "ring size is no power of two");
    this.memory = memory;
    this.ringBytes = ringBytes;
    this.itemBytesMax = ringBytes >>> 2;
    this.pieceBytesMax = Math.min(PIECE_BYTES, this.itemBytesMax);
  }

  /** Offset in memory for an item of `size` bytes, or 0 if the ring is full. */
  private reserve(size: number): number {
    // hot
    const at = this.tail & (this.ringBytes - 1);
    const toEnd = this.ringBytes - at;
    const wraps = size > toEnd;
    const need = wraps ? toEnd + size : size;
    if (need > this.ringBytes - ((this.tail - this.head) >>> 0)) {
      this.head = Atomics.load(this.memory.i32, L.WORD_HEAD) >>> 0;
      if (need > this.ringBytes - ((this.tail - this.head) >>> 0)) return 0;
    }
    this.tail = (this.tail + need) >>> 0;
    if (!wraps) return L.RING + at;
    this.memory.u32[(L.RING + at) >>> 2] = L.ITEM_WRAP;
    return L.RING;
  }

  isLarge(entry: Entry): boolean {
    return entry.size + L.ENTRY_ITEM_BYTES + 8 > this.itemBytesMax;
  }

  /** Of no run, or `large`: only the head of the item then, its data goes another way. False: the ring is full. */
  pushEntry(entry: Entry, large: boolean): boolean {
    // hot
    const { bytes: data, size: length } = entry;
    const at = this.reserve(large ? L.ENTRY_ITEM_BYTES : L.ENTRY_ITEM_BYTES + ((length + 7) & ~7));
    if (at === 0) return false;
    const { u32, f64, u8 } = this.memory;
    const kind = large ? L.ITEM_LARGE : L.ITEM_ENTRY;
    u32[at >>> 2] = kind | (entry.type << 8) | (data === NO_DATA ? 0 : L.HAS_DATA);
    u32[(at + 4) >>> 2] = length;
    f64[(at + 8) >>> 3] = entry.term;
    f64[(at + 16) >>> 3] = entry.index;
    if (large) return true;
    const to = at + L.ENTRY_ITEM_BYTES;
    if (length > SMALL_COPY) u8.set(data, to);
    else for (let i = 0; i < length; i++) u8[to + i] = data[i];
    return true;
  }

  /** Where the part of a run ends that goes into the ring at once, from entries[from] on, which is not large. */
  pieceEnd(entries: readonly Entry[], from: number): number {
    // hot
    const { bytes, at } = entries[from];
    const end = at + this.pieceBytesMax;
    let to = from + 1;
    while (to < entries.length && entries[to].bytes === bytes && entries[to].start + entries[to].size <= end)
      to++;
    return to;
  }

  /** Entries of one run. False: the ring is full. */
  pushRun(first: Entry, last: Entry): boolean {
    // hot
    const run = first.bytes.subarray(first.at, last.start + last.size);
    // Source and target lie alike within a word: everything else is copied into shared memory byte by byte.
    const skip = run.byteOffset & 7;
    const at = this.reserve(L.RUN_ITEM_BYTES + ((skip + run.length + 7) & ~7));
    if (at === 0) return false;
    const { u32, u8 } = this.memory;
    u32[at >>> 2] = L.ITEM_RUN | (skip << 8);
    u32[(at + 4) >>> 2] = run.length;
    u8.set(run, at + L.RUN_ITEM_BYTES + skip);
    return true;
  }

  pushState(state: HardState): boolean {
    const at = this.reserve(L.STATE_ITEM_BYTES);
    if (at === 0) return false;
    const { u32, f64 } = this.memory;
    u32[at >>> 2] = L.ITEM_STATE;
    f64[(at + 8) >>> 3] = state.term;
    f64[(at + 16) >>> 3] = state.vote;
    f64[(at + 24) >>> 3] = state.commit;
    return true;
  }

  /** `record`: the data of its record. */
  pushSnapshot(term: number, index: number, record: Uint8Array): boolean {
    const size = L.ENTRY_ITEM_BYTES + ((record.length + 7) & ~7);
    assert(size <= this.itemBytesMax, "snapshot record too large for the ring");
    const at = this.reserve(size);
    if (at === 0) return false;
    const { u32, f64, u8 } = this.memory;
    u32[at >>> 2] = L.ITEM_SNAPSHOT;
    u32[(at + 4) >>> 2] = record.length;
    f64[(at + 8) >>> 3] = term;
    f64[(at + 16) >>> 3] = index;
    u8.set(record, at + L.ENTRY_ITEM_BYTES);
    return true;
  }

  pushEnd(seq: number): boolean {
    const at = this.reserve(L.END_ITEM_BYTES);
    if (at === 0) return false;
    this.memory.u32[at >>> 2] = L.ITEM_END;
    this.memory.f64[(at + 8) >>> 3] = seq;
    return true;
  }

  /** Shows the writer everything pushed so far. False if it has seen it all. */
  publish(): boolean {
    if (this.published === this.tail && !this.inPart) return false;
    this.show();
    if (this.inPart) this.turnPart();
    return true;
  }

  /** Bytes that the writer was shown and has not taken: commit state that waits for the next append is none of them. */
  get waitingBytes(): number {
    return (this.published - Atomics.load(this.memory.i32, L.WORD_HEAD)) >>> 0;
  }

  /** Bytes that `publish` would show. */
  get hiddenBytes(): number {
    return (this.tail - this.published) >>> 0;
  }

  /**
   * Shows the writer the beginning of an append: it may encode it, and writes it with the rest, which `publish` shows
   * before this turn of the event loop ends. True if the writer may be asleep.
   */
  publishPart(): boolean {
    const first = !this.inPart;
    if (first) this.turnPart();
    this.show();
    return first;
  }

  private show(): void {
    this.published = this.tail;
    Atomics.store(this.memory.i32, L.WORD_TAIL, this.tail);
  }

  private turnPart(): void {
    this.inPart = !this.inPart;
    Atomics.add(this.memory.i32, L.WORD_PART, 1);
  }
}
