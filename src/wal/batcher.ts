// The writer's end of the shared ring: takes what waits as one batch, has it encoded into the output region, and
// tells the main thread in the news ring what became durable. Runs in the pool's worker, or on the main thread for
// the inline writers; in one place only.
import { assert } from "../base/assert.js";
import type { Codec } from "./codec.js";
import * as at from "./layout.js";

/** The memory of one writer: ring, output region, and all that is between them. */
export interface WriterMemory {
  readonly memory: WebAssembly.Memory;
  /** Bytes of the ring, a power of two. */
  readonly ringBytes: number;
  /** Bytes of the output region, which follows the ring. */
  readonly outBytes: number;
}

export class Batcher {
  readonly bytes: Uint8Array;
  private readonly u32: Uint32Array;
  private readonly f64: Float64Array;
  private readonly control: Int32Array;
  private readonly codec: Codec;
  private readonly ringBytes: number;
  private readonly batchBytesMax: number;
  /** Start of the output region, and the end of what is encoded in it. */
  readonly out: number;
  private readonly outLimit: number;
  private outEnd: number;
  private tail = 0;

  constructor(memory: WriterMemory, codec: Codec, batchBytesMax: number) {
    const { buffer } = memory.memory;
    this.bytes = new Uint8Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.control = new Int32Array(buffer);
    this.codec = codec;
    this.ringBytes = memory.ringBytes;
    this.batchBytesMax = batchBytesMax;
    this.out = at.RING + memory.ringBytes;
    this.outLimit = this.out + memory.outBytes;
    this.outEnd = this.out;
  }

  /** The rolling CRC after all that is encoded. */
  get crc(): number {
    return this.u32[at.STATE_CRC / 4];
  }

  set crc(value: number) {
    this.u32[at.STATE_CRC / 4] = value;
  }

  /** Index of the last entry encoded, or recovered. */
  get lastIndex(): number {
    return this.f64[at.STATE_LAST_INDEX / 8];
  }

  set lastIndex(value: number) {
    this.f64[at.STATE_LAST_INDEX / 8] = value;
    // The next entry begins a run whose place the index does not know yet.
    this.u32[at.STATE_SINCE_POINT / 4] = at.POINT_BYTES;
  }

  /** The hard state encoded last in this life of the writer, for a new segment's head; null before the first. */
  get hardState(): { term: number; vote: number; commit: number } | null {
    if (this.u32[at.STATE_HAS_HARD_STATE / 4] === 0) return null;
    const { f64 } = this;
    return { term: f64[at.STATE_TERM / 8], vote: f64[at.STATE_VOTE / 8], commit: f64[at.STATE_COMMIT / 8] };
  }

  /** Bytes encoded and not yet handed to `written`. */
  get pendingBytes(): number {
    return this.outEnd - this.out;
  }

  /**
   * Whether the pending bytes must be written now: one of the appends among them must be synced, or there is no room
   * for the rest of them, or for more of what waits.
   */
  get due(): boolean {
    // The end of an append may come alone, when the bytes before it filled a batch: its news are due all the same.
    if (this.u32[at.STATE_MUST_SYNC / 4] !== 0) return true;
    if (this.pendingBytes === 0) return false;
    if (this.waiting) return true;
    return Atomics.load(this.control, at.CONTROL_CROWDED) !== 0;
  }

  /** Sequence number of the last append that is wholly among the pending bytes, or before them. */
  get lastSeq(): number {
    return this.f64[at.STATE_LAST_SEQ / 8];
  }

  /** Encodes what waits in the ring behind the pending bytes, up to the batch's cap. Returns whether it found any. */
  // hot
  take(): boolean {
    const head = Atomics.load(this.control, at.CONTROL_HEAD);
    const limit = Math.min(this.outLimit, Math.max(this.outEnd, this.out + this.batchBytesMax));
    const before = this.tail;
    for (;;) {
      const waiting = ((head - this.tail / 8) >>> 0) * 8;
      if (waiting === 0) break;
      const position = this.tail % this.ringBytes;
      const piece = Math.min(waiting, this.ringBytes - position);
      const source = at.RING + position;
      let end = this.codec.encode(source, source + piece, this.out, this.outEnd, limit);
      let consumed = this.u32[at.STATE_CONSUMED / 4] - source;
      if (consumed === 0 && this.outEnd === this.out) {
        // One record larger than the cap is a batch of its own.
        const size = this.u32[source / 4];
        end = this.codec.encode(source, source + size, this.out, this.outEnd, this.outLimit);
        consumed = this.u32[at.STATE_CONSUMED / 4] - source;
        assert(consumed === size, "a record larger than the output region");
      }
      this.outEnd = end;
      this.tail += consumed;
      if (consumed < piece) break;
    }
    if (this.tail === before) return false;
    Atomics.store(this.control, at.CONTROL_TAIL, this.seenHead);
    return true;
  }

  /** HEAD of a ring that `take` has emptied. */
  get seenHead(): number {
    return (this.tail / 8) | 0;
  }

  /** Whether the ring has records that `take` has not seen. */
  get waiting(): boolean {
    return Atomics.load(this.control, at.CONTROL_HEAD) !== this.seenHead;
  }

  /** Room in the news ring for what `written` may have to tell. */
  get newsFits(): boolean {
    const used =
      (this.control[at.CONTROL_NEWS_HEAD] - Atomics.load(this.control, at.CONTROL_NEWS_TAIL)) >>> 0;
    return at.NEWS_SLOTS - used > at.POINTS_MAX + 2;
  }

  /**
   * The pending bytes were written at `offset` of segment `segment` and are as durable as asked: tells so, and
   * begins a new batch. `syncs`: what that took.
   */
  written(segment: number, offset: number, syncs: number): void {
    assert(this.newsFits, "the news ring is full");
    const points = this.u32[at.STATE_POINTS / 4];
    for (let i = 0; i < points; i++) {
      const place = at.POINTS + i * 16;
      this.news(at.NEWS_POINT, this.f64[place / 8], segment, offset + this.u32[(place + 8) / 4]);
    }
    this.f64[at.COUNTER_WRITES]++;
    this.f64[at.COUNTER_SYNCS] += syncs;
    this.f64[at.COUNTER_BYTES] += this.pendingBytes;
    this.f64[at.COUNTER_ENTRIES] += this.u32[at.STATE_ENTRIES / 4];
    this.news(at.NEWS_DURABLE, this.lastSeq, 0, 0);
    this.u32[at.STATE_POINTS / 4] = 0;
    this.u32[at.STATE_ENTRIES / 4] = 0;
    this.u32[at.STATE_MUST_SYNC / 4] = 0;
    this.outEnd = this.out;
    Atomics.notify(this.control, at.CONTROL_NEWS_HEAD);
  }

  /** A segment was cut: the next entry begins a run in `segment`, whose head left the rolling CRC at `crc`. */
  cut(segment: number, crc: number): void {
    assert(this.pendingBytes === 0, "a cut with bytes pending for the old segment");
    this.crc = crc;
    this.u32[at.STATE_SINCE_POINT / 4] = at.POINT_BYTES;
    this.news(at.NEWS_CUT, segment, this.lastIndex + 1, 0);
  }

  private news(kind: number, a: number, b: number, c: number): void {
    const head = this.control[at.CONTROL_NEWS_HEAD];
    const slot = at.NEWS / 8 + ((head >>> 0) % at.NEWS_SLOTS) * 4;
    this.f64[slot] = kind;
    this.f64[slot + 1] = a;
    this.f64[slot + 2] = b;
    this.f64[slot + 3] = c;
    Atomics.store(this.control, at.CONTROL_NEWS_HEAD, (head + 1) | 0);
  }
}
