// The main thread's end of the shared ring: puts appends into it as records, and keeps in order what does not fit
// yet. Owns the bytes between HEAD and TAIL until they are published; never waits.
import { assert } from "../base/assert.js";
import { NO_DATA } from "../base/bytes.js";
import type { Entry, HardState } from "../raft/raftpb/index.js";
import * as at from "./layout.js";

/** An append that is not, or not wholly, in the ring. */
interface Waiting {
  readonly seq: number;
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
  readonly mustSync: boolean;
  /** Entries in the ring already. */
  done: number;
}

/** Payloads up to this are copied byte by byte: below it, that is cheaper than a call of `set`. */
const LOOP_COPY_MAX = 32;

export class RingProducer {
  private readonly bytes: Uint8Array;
  private readonly u32: Uint32Array;
  private readonly f64: Float64Array;
  private readonly control: Int32Array;
  private readonly capacity: number;
  /** Bytes ever put in and, as far as we looked, taken out. */
  private head = 0;
  private tail = 0;
  private readonly waiting: Waiting[] = [];
  /** Bytes of the appends in `waiting`: what the node slows its proposers by. */
  backlogBytes = 0;

  /** `capacity`: bytes of the ring, a power of two. */
  constructor(memory: WebAssembly.Memory, capacity: number) {
    assert((capacity & (capacity - 1)) === 0, "the ring's size is not a power of two");
    this.bytes = new Uint8Array(memory.buffer);
    this.u32 = new Uint32Array(memory.buffer);
    this.f64 = new Float64Array(memory.buffer);
    this.control = new Int32Array(memory.buffer);
    this.capacity = capacity;
  }

  /** Whether appends wait for room in the ring. */
  get crowded(): boolean {
    return this.waiting.length > 0;
  }

  /** The largest payload that one entry may have. */
  get entryBytesMax(): number {
    return this.capacity / 2 - at.ENTRY_HEADER;
  }

  /** Puts an append in, or in line. */
  // hot
  push(seq: number, hardState: HardState | null, entries: readonly Entry[], mustSync: boolean): void {
    const append: Waiting = { seq, hardState, entries, mustSync, done: 0 };
    if (this.waiting.length === 0 && this.put(append)) {
      this.publish();
      return;
    }
    for (let i = append.done; i < entries.length; i++) this.backlogBytes += entries[i].data.length;
    this.waiting.push(append);
    this.publish();
  }

  /** Moves what waits in line into the ring, as far as it fits. Returns whether anything moved. */
  refill(): boolean {
    if (this.waiting.length === 0) return false;
    const head = this.head;
    let moved = 0;
    while (moved < this.waiting.length) {
      const append = this.waiting[moved];
      const before = append.done;
      const whole = this.put(append);
      for (let i = before; i < append.done; i++) this.backlogBytes -= append.entries[i].data.length;
      if (!whole) break;
      moved++;
    }
    this.waiting.splice(0, moved);
    this.publish();
    return this.head !== head;
  }

  private publish(): void {
    Atomics.store(this.control, at.CONTROL_CROWDED, this.crowded ? 1 : 0);
    Atomics.store(this.control, at.CONTROL_HEAD, (this.head / 8) | 0);
  }

  /** Puts as much of `append` in as fits; true if that was all. */
  private put(append: Waiting): boolean {
    const { entries } = append;
    while (append.done < entries.length) {
      if (!this.putEntry(entries[append.done])) return false;
      append.done++;
    }
    // Hard state and end go together, so that the end never waits for room after everything else went.
    const size = at.END_SIZE + (append.hardState === null ? 0 : at.HARD_STATE_SIZE);
    let offset = this.reserve(size);
    if (offset < 0) return false;
    if (append.hardState !== null) {
      this.u32[offset / 4] = at.HARD_STATE_SIZE;
      this.u32[offset / 4 + 1] = at.KIND_HARD_STATE;
      this.f64[offset / 8 + 1] = append.hardState.term;
      this.f64[offset / 8 + 2] = append.hardState.vote;
      this.f64[offset / 8 + 3] = append.hardState.commit;
      offset += at.HARD_STATE_SIZE;
    }
    this.u32[offset / 4] = at.END_SIZE;
    this.u32[offset / 4 + 1] = at.KIND_END | (append.mustSync ? 256 : 0);
    this.f64[offset / 8 + 1] = append.seq;
    return true;
  }

  // hot
  private putEntry(entry: Entry): boolean {
    const data = entry.data;
    const length = data.length;
    const offset = this.reserve(at.ENTRY_HEADER + ((length + 7) & ~7));
    if (offset < 0) return false;
    const word = offset / 4;
    this.u32[word] = at.ENTRY_HEADER + ((length + 7) & ~7);
    this.u32[word + 1] = at.KIND_ENTRY | (entry.type << 8) | (data === NO_DATA ? 65536 : 0);
    this.u32[word + 2] = length;
    this.f64[offset / 8 + 2] = entry.term;
    this.f64[offset / 8 + 3] = entry.index;
    const body = offset + at.ENTRY_HEADER;
    if (length > LOOP_COPY_MAX) this.bytes.set(data, body);
    else for (let i = 0; i < length; i++) this.bytes[body + i] = data[i];
    return true;
  }

  /** Memory offset of `size` fresh bytes in one piece, or -1 if there is no room. */
  private reserve(size: number): number {
    const position = this.head % this.capacity;
    const left = this.capacity - position;
    const needed = size <= left ? size : left + size;
    if (this.head + needed - this.tail > this.capacity) {
      this.tail = this.head - ((this.head / 8 - Atomics.load(this.control, at.CONTROL_TAIL)) >>> 0) * 8;
      if (this.head + needed - this.tail > this.capacity) return -1;
    }
    if (size > left) {
      this.u32[(at.RING + position) / 4] = left;
      this.u32[(at.RING + position) / 4 + 1] = at.KIND_SKIP;
      this.head += left;
    }
    const offset = at.RING + (this.head % this.capacity);
    this.head += size;
    return offset;
  }
}
