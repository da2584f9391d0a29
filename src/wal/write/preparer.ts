// Decides when and how the segments to come are prepared (prepare.ts), and has it done, one at a time. Main thread.
import type { Durability } from "../disk/wal-fs.js";
import type { CodecMemory } from "../format/codec.js";
import * as L from "../format/layout.js";
import { isHurried, type PrepareTask, preparedBytes, preparedName } from "./prepare.js";
import type { WriterSetup } from "./segment-writer.js";

/**
 * From this size of a write on, a whole segment is not filled beside the appends: as fast as the disk can, that took
 * most of it from them. The segment stays sparse, and the writer fills it as it goes (SegmentWriter.fillAhead).
 */
const LARGE_WRITE_BYTES = 32 << 10;

/** A segment is prepared once this share of the one before it is written: not all at once when nodes start. */
const PREPARE_FROM = 1 / 4;

/** Where segments are prepared for a Preparer. */
export interface PrepareHooks {
  prepare(task: PrepareTask): Promise<void>;
  /** It failed. The writer tries for itself when it needs the segment, and only then it is a fault. */
  warn(error: unknown): void;
  /** The control words say how it ended. */
  ended(): void;
}

export class Preparer {
  /** The one that is prepared now, or was last. */
  underWay: Promise<void> = Promise.resolve();
  private readonly dir: string;
  private readonly bytes: number;
  private readonly durability: Durability;
  private readonly memory: CodecMemory;
  private readonly hooks: PrepareHooks;
  private stopped = false;
  private count = 0;
  /** Segments taken when the counters below were read. */
  private takenBefore = 0;
  private writesBefore = 0;
  private bytesBefore: number;

  constructor(
    { dir, segmentBytes, durability, tail }: WriterSetup,
    memory: CodecMemory,
    hooks: PrepareHooks,
  ) {
    this.dir = dir;
    this.bytesBefore = -tail.offset;
    this.bytes = preparedBytes(segmentBytes, durability);
    this.durability = durability;
    this.memory = memory;
    this.hooks = hooks;
  }

  /** Begins the next, unless it is too early, or a prepared segment is there or under way. */
  next(): void {
    const task = this.plan(false);
    if (task !== null) this.begin(task, Promise.resolve());
  }

  /**
   * Makes a released segment the next one. `rename` gives it that name, durably: what is under the old name after a crash
   * must not be half overwritten. False, and nothing happened, if none is wanted: one is there or under way, or filling it
   * would cost the appends more than it gives. Rejects as `rename` does.
   */
  async recycle(rename: (to: string) => Promise<void>): Promise<boolean> {
    const task = this.plan(true);
    if (task === null) return false;
    const renamed = rename(task.path);
    this.begin(task, renamed);
    await renamed;
    return true;
  }

  /** No segment is needed any more; what is being filled may stop. Resolved when nothing is under way. */
  stop(): Promise<void> {
    this.stopped = true;
    Atomics.store(this.memory.i32, L.WORD_HURRY, 0x7fffffff);
    return this.underWay;
  }

  private begin(task: PrepareTask, ready: Promise<void>): void {
    const { memory, hooks } = this;
    this.underWay = ready
      .then(() => hooks.prepare(task))
      .then(
        () => {
          Atomics.store(memory.i32, L.WORD_PREPARED, task.count);
        },
        (error: unknown) => {
          hooks.warn(error);
          Atomics.store(memory.i32, L.WORD_PREPARE_FAILED, task.count);
        },
      )
      .then(() => hooks.ended());
  }

  private plan(recycled: boolean): PrepareTask | null {
    const { i32, f64 } = this.memory;
    const taken = Atomics.load(i32, L.WORD_TAKEN);
    if (this.stopped || this.count > taken) return null;
    if (this.takenBefore !== taken) {
      this.takenBefore = taken;
      this.writesBefore = f64[L.STAT_WRITES / 8];
      this.bytesBefore = f64[L.STAT_BYTES / 8];
    }
    const writes = f64[L.STAT_WRITES / 8] - this.writesBefore;
    const bytes = f64[L.STAT_BYTES / 8] - this.bytesBefore;
    const early = bytes < this.bytes * PREPARE_FROM && !isHurried(i32, this.count + 1);
    // Without syncs there is nothing to gain from written blocks, and a sparse file is free.
    const sparse = this.durability === "none" || bytes > (writes + 1) * LARGE_WRITE_BYTES;
    if (recycled ? sparse : early) return null;
    const path = preparedName(this.dir, this.count++);
    const direct = this.durability === "o_direct";
    return { path, bytes: this.bytes, sparse, recycled, direct, count: this.count };
  }
}
