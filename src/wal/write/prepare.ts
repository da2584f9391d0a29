// Makes the file of a segment ahead of need, full of zeros: appending over blocks that were written before takes
// about 100 us durable, into a growing file 150 to 200 us, because no metadata changes.
import { constants, rmSync } from "node:fs";
import { blocksUp, DIRECT_FLAG, ZEROS } from "../disk/direct.js";
import type { Durability, Step, Steps, WalFs } from "../disk/wal-fs.js";
import * as L from "../format/layout.js";

/**
 * From this size of a write on, a whole segment is not filled beside the appends: as fast as the disk can, that took
 * most of it from them. The segment stays sparse, and the writer fills it as it goes (SegmentWriter.fillAhead).
 */
const LARGE_WRITE_BYTES = 32 << 10;

/** Which segment to prepare, and how. */
export interface PrepareTask {
  path: string;
  bytes: number;
  /** Leave it sparse. */
  sparse: boolean;
  /** The file is there, with the content of a released segment. */
  recycled: boolean;
  /** Write past the page cache; `bytes` is whole blocks. */
  direct: boolean;
  /** How many segments are prepared with this one. */
  count: number;
}

/** The same for a task on the pool. */
export interface PoolPrepareTask extends PrepareTask {
  control: SharedArrayBuffer;
  walFs: { module: string; arg: unknown } | null;
}

/** Creates the segment's file at its full size, durably. `hurry`: the writer waits for it. */
export function* prepareSegment(fs: WalFs, task: PrepareTask, hurry: () => boolean): Steps {
  const flags = task.recycled ? 0 : constants.O_CREAT | constants.O_TRUNC;
  const fd = fs.open(task.path, constants.O_WRONLY | flags | (task.direct ? DIRECT_FLAG : 0));
  try {
    const filled = task.sparse ? 0 : yield* fillZeros(fs, fd, 0, task.bytes, hurry);
    // Old content behind the zeros goes.
    if (task.recycled && filled < task.bytes) yield fs.truncate(fd, filled);
    if (task.recycled || filled < task.bytes) yield* enlarge(fs, fd, task.bytes);
  } finally {
    fs.close(fd);
  }
}

/** The open file gets its full size, durably; what is behind its end now is a hole. */
export function* enlarge(fs: WalFs, fd: number, bytes: number): Steps {
  yield fs.truncate(fd, bytes);
  yield fs.fdatasync(fd);
}

export const noHurry = (): boolean => false;

/**
 * Overwrites [from, to) with zeros. Synced piece by piece, so that appends beside it do not wait behind it. Returns how
 * far it came.
 */
export function* fillZeros(
  fs: WalFs,
  fd: number,
  from: number,
  to: number,
  hurry: () => boolean,
): Generator<Step, number, void> {
  let at = from;
  while (at < to && !hurry()) {
    const bytes = Math.min(ZEROS.length, to - at);
    yield fs.write(fd, ZEROS, 0, bytes, at);
    yield fs.fdatasync(fd);
    at += bytes;
  }
  return at;
}

/** A segment is prepared once this share of the one before it is written: not all at once when nodes start. */
const PREPARE_FROM = 1 / 4;

/** Decides when and how the segments to come are prepared. */
export class Preparer {
  private readonly dir: string;
  private readonly bytes: number;
  private readonly durability: Durability;
  private count = 0;
  /** Segments taken when the counters below were read. */
  private takenBefore = 0;
  private writesBefore = 0;
  private bytesBefore: number;

  /** `offset`: what is already written of the newest segment. */
  constructor(dir: string, segmentBytes: number, offset: number, durability: Durability) {
    this.dir = dir;
    this.bytesBefore = -offset;
    this.bytes = preparedBytes(segmentBytes, durability);
    this.durability = durability;
  }

  /** The next task, or null while it is too early, or a prepared segment is there or under way. */
  next(i32: Int32Array, f64: Float64Array): PrepareTask | null {
    return this.plan(i32, f64, false);
  }

  /**
   * The next task over a released segment, which the caller renames to the task's path; null if a prepared one is
   * there or under way, or if filling it would cost the appends more than it gives.
   */
  recycle(i32: Int32Array, f64: Float64Array): PrepareTask | null {
    return this.plan(i32, f64, true);
  }

  private plan(i32: Int32Array, f64: Float64Array, recycled: boolean): PrepareTask | null {
    const taken = Atomics.load(i32, L.CONTROL / 4 + L.WORD_TAKEN);
    if (this.count > taken) return null;
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

/** Of a segment's file as it is made. */
export function preparedBytes(segmentBytes: number, durability: Durability): number {
  return durability === "o_direct" ? blocksUp(segmentBytes) : segmentBytes;
}

/** Whether the writer waits for the `count`-th prepared segment. */
export function isHurried(i32: Int32Array, count: number): boolean {
  return Atomics.load(i32, L.CONTROL / 4 + L.WORD_HURRY) >= count;
}

/** Removes what was prepared and not used. */
export function removePrepared(dir: string): void {
  rmSync(preparedName(dir, 0), { force: true });
  rmSync(preparedName(dir, 1), { force: true });
}

/** Name of the n-th prepared file, as etcd's file pipeline names it. */
export function preparedName(dir: string, count: number): string {
  return `${dir}/${count % 2}.tmp`;
}
