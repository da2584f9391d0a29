// Makes the file of a segment ahead of need, full of zeros: appending over blocks that were written before takes
// about 100 us durable, into a growing file 150 to 200 us, because no metadata changes.
import { constants, rmSync } from "node:fs";
import type { Durability } from "../node/api.js";
import * as L from "./layout.js";
import type { Steps, WalFs } from "./wal-fs.js";

const CHUNK_BYTES = 1 << 20;
const ZEROS = new Uint8Array(CHUNK_BYTES);

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
  const fd = fs.open(task.path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC);
  try {
    if (!task.sparse) yield* fillZeros(fs, fd, 0, task.bytes, hurry);
    if (task.sparse || hurry()) {
      yield fs.truncate(fd, task.bytes);
      yield fs.fdatasync(fd);
    }
  } finally {
    fs.close(fd);
  }
}

export const noHurry = (): boolean => false;

/** Overwrites [from, to) with zeros. Synced piece by piece, so that appends beside it do not wait behind it. */
export function* fillZeros(fs: WalFs, fd: number, from: number, to: number, hurry: () => boolean): Steps {
  for (let at = from; at < to && !hurry(); at += CHUNK_BYTES) {
    const bytes = Math.min(CHUNK_BYTES, to - at);
    yield fs.write(fd, ZEROS, 0, bytes, at);
    yield fs.fdatasync(fd);
  }
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
    this.bytes = segmentBytes;
    this.durability = durability;
  }

  /** The next task, or null while it is too early, or a prepared segment is there or under way. */
  next(i32: Int32Array, f64: Float64Array): PrepareTask | null {
    const taken = Atomics.load(i32, L.CONTROL / 4 + L.WORD_TAKEN);
    if (this.count > taken) return null;
    if (this.takenBefore !== taken) {
      this.takenBefore = taken;
      this.writesBefore = f64[L.STAT_WRITES / 8];
      this.bytesBefore = f64[L.STAT_BYTES / 8];
    }
    const writes = f64[L.STAT_WRITES / 8] - this.writesBefore;
    const bytes = f64[L.STAT_BYTES / 8] - this.bytesBefore;
    if (bytes < this.bytes * PREPARE_FROM && !isHurried(i32, this.count + 1)) return null;
    const path = preparedName(this.dir, this.count++);
    // Without syncs there is nothing to gain from written blocks, and a sparse file is free.
    const sparse = this.durability === "none" || bytes > (writes + 1) * LARGE_WRITE_BYTES;
    return { path, bytes: this.bytes, sparse, count: this.count };
  }
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
