// When each group commit was encoded and durable: a ring of records in the writer's memory, so that the main thread
// can say where an append spent its time. The writer notes nothing until the main thread asks for it. Times are
// monotonicUs(), which all threads share.

import type { CodecMemory } from "../format/codec.js";
import * as L from "../format/layout.js";
import { monotonicUs } from "./monotonic.js";

/** Records this far behind the newest may be written over while they are read. */
const SAFE = L.TIMES_MAX / 2;

/** The batch that made an append durable. Fields are overwritten by the next find(). */
export class BatchTime {
  encodeStartUs = 0;
  encodeEndUs = 0;
  durableUs = 0;
  /** Durable writes of this log so far, this one included. */
  syncs = 0;
}

/** The writer's side. */
export class BatchTimer {
  private readonly memory: CodecMemory;
  private on = false;
  private startUs = 0;
  private encodedUs = 0;

  constructor(memory: CodecMemory) {
    this.memory = memory;
  }

  /** Before a batch is encoded. */
  // hot
  begin(): void {
    this.on = Atomics.load(this.memory.i32, L.WORD_TIMING) === 1;
    if (this.on) this.startUs = monotonicUs();
  }

  // hot
  encoded(): void {
    if (this.on) this.encodedUs = monotonicUs();
  }

  /** Everything up to append `seq` is durable; called before that is published. */
  // hot
  durable(seq: number): void {
    if (!this.on) return;
    const { i32, f64 } = this.memory;
    const count = Atomics.load(i32, L.WORD_TIMES) >>> 0;
    const at = placeOf(count);
    f64[at] = seq;
    f64[at + 1] = this.startUs;
    f64[at + 2] = this.encodedUs;
    f64[at + 3] = monotonicUs();
    f64[at + 4] = f64[L.STAT_SYNCS / 8];
    Atomics.store(i32, L.WORD_TIMES, (count + 1) | 0);
  }
}

/** The main thread's side. */
export class BatchTimes {
  private readonly memory: CodecMemory;
  /** The oldest record not passed. */
  private head = 0;
  /** Sequence of the record before it: what is not above was in a batch that is passed, or lost. */
  private passed = 0;
  private readonly found = new BatchTime();

  constructor(memory: CodecMemory) {
    this.memory = memory;
  }

  /** From now on the writer notes times, or no longer. */
  enable(on = true): void {
    Atomics.store(this.memory.i32, L.WORD_TIMING, on ? 1 : 0);
  }

  /** Durable writes of the log so far. */
  get syncs(): number {
    return this.memory.f64[L.STAT_SYNCS / 8];
  }

  /** The batch that made append `seq` durable; null: not noted, or written over. `seq` ascends from call to call. */
  // hot
  find(seq: number): BatchTime | null {
    const { i32, f64 } = this.memory;
    const tail = Atomics.load(i32, L.WORD_TIMES) >>> 0;
    if ((tail - this.head) >>> 0 > SAFE) {
      this.head = (tail - SAFE) >>> 0;
      this.passed = f64[placeOf(this.head - 1)];
    }
    for (; this.head !== tail; this.head = (this.head + 1) >>> 0) {
      if (seq <= this.passed) return null;
      const at = placeOf(this.head);
      if (f64[at] < seq) {
        this.passed = f64[at];
        continue;
      }
      this.found.encodeStartUs = f64[at + 1];
      this.found.encodeEndUs = f64[at + 2];
      this.found.durableUs = f64[at + 3];
      this.found.syncs = f64[at + 4];
      return this.found;
    }
    return null;
  }
}

/** Index of record `count` among the memory's doubles. */
// hot
function placeOf(count: number): number {
  return (L.TIMES + ((count >>> 0) % L.TIMES_MAX) * L.TIME_BYTES) / 8;
}
