// The write-ahead log of one node: opens (or makes) the directory, recovers what is durable, queues appends for the
// writer and says when they are. Main thread.
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { assert } from "../base/assert.js";
import { RaftmarkError } from "../base/errors.js";
import { type ConfState, EMPTY_CONF_STATE, type Entry, type HardState } from "../raft/raftpb/index.js";
import { createPool, PoolWriter, prepareOnPool } from "../worker/pool.js";
import { Batcher, type WriterMemory } from "./batcher.js";
import { allocateMemory } from "./codec.js";
import { createJsCodec } from "./codec-js.js";
import { createWasmCodec } from "./codec-wasm.js";
import { type FileSystem, realFileSystem } from "./file-system.js";
import { DIR_MODE, SEGMENT_BYTES_DEFAULT, segmentName } from "./format.js";
import { InlineWriter } from "./inline-writer.js";
import {
  CONTROL_NEWS_HEAD,
  CONTROL_NEWS_TAIL,
  COUNTER_BYTES,
  COUNTER_ENTRIES,
  COUNTER_SYNCS,
  COUNTER_WRITES,
  NEWS,
  NEWS_CUT,
  NEWS_DURABLE,
  NEWS_POINT,
  NEWS_SLOTS,
  RING,
} from "./layout.js";
import { Loader } from "./loader.js";
import { lockDirectory } from "./lock.js";
import { cutTorn, scanWal, type WalScan } from "./recovery.js";
import { RingProducer } from "./ring.js";
import { createLog, removeTemporaries, Segments, type SyncMode } from "./segments.js";
import { WalStorage } from "./wal-storage.js";
import type { Writer } from "./writer.js";

export interface WalOptions {
  /** The directory that holds, or will hold, the segments. Its parent is made if missing. */
  dir: string;
  /** First record of every segment; etcd's is {NodeID, ClusterID}. Must equal what an existing log has. */
  metadata: Uint8Array;
  /** Where encoding and writing run; see WriterKind in node/api.ts. */
  writer: "inline-js" | "inline-wasm" | "pool-wasm";
  durability: SyncMode;
  /** Membership before any conf change. Default: nobody. */
  confState?: ConfState;
  segmentBytes?: number;
  /**
   * Bytes of recent entries kept in memory. Default 4 MiB: what a follower in step needs. More costs the garbage
   * collector, which copies what is kept; a follower that lags is served from the segments, by way of the page cache.
   */
  logCacheBytes?: number;
  /** Bytes of the ring to the writer, a power of two; an entry may take half. Default 16 MiB. */
  ringBytes?: number;
  /** Cap on one durable write. Default 1 MiB. */
  batchBytesMax?: number;
  /** Things that went wrong and cost nothing but speed. */
  onWarning?: (text: string) => void;
  /** For tests: a disk that is full, fails or hangs; inline writers only. */
  fileSystem?: FileSystem;
}

/** What was found on opening. */
export interface Recovered {
  /** The directory was made now. */
  readonly created: boolean;
  readonly metadata: Uint8Array;
  readonly hardState: HardState;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly records: number;
  readonly segments: number;
  /** An append that a crash cut short was removed; the file as it was is kept at `copy`. */
  readonly torn: { file: string; offset: number; bytesCut: number; copy: string } | null;
}

/** Counters since opening; `backlogBytes` is a gauge. */
export interface WalStats {
  readonly appends: number;
  readonly writes: number;
  readonly syncs: number;
  readonly bytes: number;
  readonly entries: number;
  readonly backlogBytes: number;
}

const MiB = 1024 * 1024;
/** A log that takes at least this long for half a segment has the next one filled with zeros ahead. */
const PREPARE_HALF_SEGMENT_MS = 4000;
const LOG_CACHE_BYTES_DEFAULT = 4 * MiB;

/**
 * Opens the log in `options.dir`, or makes it. Rejects with WAL_LOCKED, WAL_CORRUPT (file, offset, record),
 * WAL_NOT_WRITABLE, WAL_NO_SPACE or WAL_IO; nothing is left open or locked then.
 */
export async function openWal(options: WalOptions): Promise<Wal> {
  const { dir, fileSystem: fs = realFileSystem, segmentBytes = SEGMENT_BYTES_DEFAULT } = options;
  let unlock: (() => void) | null = null;
  try {
    mkdirSync(dirname(dir), { recursive: true, mode: DIR_MODE });
    unlock = lockDirectory(dir);
    const created = !existsSync(dir);
    if (created) createLog(fs, dir, options.metadata, segmentBytes);
    removeTemporaries(fs, dir);
    const loader = new Loader(dir, options.logCacheBytes ?? LOG_CACHE_BYTES_DEFAULT);
    const scan = scanWal(fs, dir, loader);
    const torn = scan.torn === null ? null : cutTorn(fs, scan.torn);
    return new Wal(options, unlock, loader, scan, created, torn);
  } catch (error) {
    unlock?.();
    throw walError(error, dir);
  }
}

/** A node's log. Created by openWal. */
export class Wal {
  readonly recovered: Recovered;
  /** The durable log, as raft reads it. */
  readonly storage: WalStorage;
  /** Called with the highest durable append, from the event loop, after `storage` has its entries. */
  onDurable: (seq: number) => void = () => {};
  /** Called once: a write or sync failed. Nothing is retried, and every later append throws. */
  onFault: (error: RaftmarkError) => void = () => {};

  private readonly dir: string;
  private readonly unlock: () => void;
  private readonly ring: RingProducer;
  private readonly writer: Writer;
  private readonly endPool: () => Promise<void>;
  private readonly control: Int32Array;
  private readonly f64: Float64Array;
  private readonly loader: Loader;
  private fault: RaftmarkError | null = null;
  private closing: Promise<void> | null = null;
  private seq = 0;
  /** The last append that must be synced, and the last one that is. */
  private syncSeq = 0;
  private durableSeq = 0;
  private toldSeq = 0;
  private tellScheduled = false;
  /** Entries of the appends that are not durable, oldest first from `pendingHead`, for append durableSeq + 1 on. */
  private pending: (readonly Entry[])[] = [];
  private pendingHead = 0;
  /** Runs that were written, and not all of whose entries are in `storage`: { index, segment, offset }. */
  private runs: number[] = [];
  private readonly segmentBytes: number;
  /** When the present segment was begun, and whether it was decided if the next one is to be prepared. */
  private segmentSince = performance.now();
  private preparationDecided = false;

  /** See openWal. */
  constructor(
    options: WalOptions,
    unlock: () => void,
    loader: Loader,
    scan: WalScan,
    created: boolean,
    torn: Recovered["torn"],
  ) {
    const { dir, segmentBytes = SEGMENT_BYTES_DEFAULT, ringBytes = 16 * MiB } = options;
    this.dir = dir;
    this.segmentBytes = segmentBytes;
    this.unlock = unlock;
    this.loader = loader;
    const { metadata, hardState, records, segments } = scan;
    const { lastIndex } = loader;
    this.recovered = { created, metadata, hardState, firstIndex: 1, lastIndex, records, segments, torn };
    const confState = options.confState ?? EMPTY_CONF_STATE;
    this.storage = new WalStorage(
      hardState,
      confState,
      loader.index,
      options.logCacheBytes ?? LOG_CACHE_BYTES_DEFAULT,
    );
    this.storage.restore(loader.recent, lastIndex);
    const batchBytesMax = options.batchBytesMax ?? MiB;
    const outBytes = Math.max(batchBytesMax, ringBytes / 2) + 4096;
    const memory: WriterMemory = { memory: allocateMemory(RING + ringBytes + outBytes), ringBytes, outBytes };
    this.control = new Int32Array(memory.memory.buffer);
    this.f64 = new Float64Array(memory.memory.buffer);
    this.ring = new RingProducer(memory.memory, ringBytes);
    const pool = createPool();
    this.endPool = () => pool.close();
    const mode = options.durability;
    const segment = { dir, metadata, mode, segmentBytes };
    const prepare = () => prepareOnPool(pool, segment, options.onWarning ?? (() => {}));
    const events = { onNews: () => this.news(), onFailure: (error: Error) => this.fail(error) };
    const at = { tail: scan.tail, crc: scan.crc, lastIndex };
    if (options.writer === "pool-wasm") {
      this.writer = new PoolWriter(pool, { ...memory, ...segment, ...at, batchBytesMax }, prepare, events);
    } else {
      const codec =
        options.writer === "inline-js" ? createJsCodec(memory.memory) : createWasmCodec(memory.memory);
      const batcher = new Batcher(memory, codec, batchBytesMax);
      batcher.crc = scan.crc;
      batcher.lastIndex = lastIndex;
      const fs = options.fileSystem ?? realFileSystem;
      this.writer = new InlineWriter(
        fs,
        batcher,
        new Segments(fs, segment, scan.tail),
        mode,
        prepare,
        events,
      );
    }
  }

  /**
   * Queues a hard state (null: unchanged) and entries, in that order of calls; returns the append's number, from 1.
   * `mustSync` false is for a mere change of commit: it rides with the next append that must. The Entry objects are
   * kept, the array too and so must not change. Throws the fault, once there is one.
   */
  // hot
  append(hardState: HardState | null, entries: readonly Entry[], mustSync: boolean): number {
    if (this.fault !== null) throw this.fault;
    assert(this.closing === null, "an append to a log that is closing");
    const seq = ++this.seq;
    this.pending.push(entries);
    this.ring.push(seq, hardState, entries, mustSync);
    if (mustSync) {
      this.syncSeq = seq;
      this.writer.poke();
    } else if (this.syncSeq <= this.durableSeq) {
      // Nothing before it is under way, so it is as durable as it must be.
      this.scheduleTell();
    }
    return seq;
  }

  /** Bytes that wait for room in the ring: the measure for slowing proposers down. */
  get backlogBytes(): number {
    return this.ring.backlogBytes;
  }

  stats(): WalStats {
    return {
      appends: this.seq,
      writes: this.f64[COUNTER_WRITES],
      syncs: this.f64[COUNTER_SYNCS],
      bytes: this.f64[COUNTER_BYTES],
      entries: this.f64[COUNTER_ENTRIES],
      backlogBytes: this.ring.backlogBytes,
    };
  }

  /** Makes all that was appended durable, closes the files, ends the workers and gives the lock back. */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async shutDown(): Promise<void> {
    while (this.fault === null && this.ring.crowded) await new Promise(setImmediate);
    // An append of its own, so that the writer sees the ring change however it was about to fall asleep.
    if (this.fault === null) this.ring.push(++this.seq, null, [], true);
    this.pending.push([]);
    await this.writer.close();
    await this.endPool();
    removeTemporaries(realFileSystem, this.dir);
    this.unlock();
  }

  /** Reads the news ring, refills the record ring, and says what became durable. */
  // hot
  private news(): void {
    const { control, f64 } = this;
    const head = Atomics.load(control, CONTROL_NEWS_HEAD);
    let tail = control[CONTROL_NEWS_TAIL];
    while (tail !== head) {
      const slot = NEWS / 8 + ((tail >>> 0) % NEWS_SLOTS) * 4;
      const kind = f64[slot];
      if (kind === NEWS_DURABLE) this.durable(f64[slot + 1]);
      else if (kind === NEWS_POINT) {
        this.runs.push(f64[slot + 1], f64[slot + 2], f64[slot + 3]);
        if (f64[slot + 3] * 2 > this.segmentBytes) this.decidePreparation();
      } else if (kind === NEWS_CUT) {
        this.loader.segmentFound(f64[slot + 1], segmentName(f64[slot + 1], f64[slot + 2]));
        this.segmentSince = performance.now();
        this.preparationDecided = false;
      }
      tail = (tail + 1) | 0;
    }
    Atomics.store(control, CONTROL_NEWS_TAIL, tail);
    if (this.ring.refill()) this.writer.poke();
    this.tell();
  }

  /**
   * The present segment is half full. Zeros written ahead halve the latency of an append, and double what the disk
   * has to take: worth it for a log that grows slowly, whose appends are small, and harmful for one that grows as
   * fast as the disk lets it, whose appends share the cost of a growing file among hundreds of entries.
   */
  private decidePreparation(): void {
    if (this.preparationDecided || this.closing !== null) return;
    this.preparationDecided = true;
    if (performance.now() - this.segmentSince >= PREPARE_HALF_SEGMENT_MS) this.writer.prepare();
  }

  /** Appends up to `seq` are on disk: their entries and runs become part of `storage`. */
  private durable(seq: number): void {
    while (this.durableSeq < seq) {
      this.storage.append(this.pending[this.pendingHead]);
      this.pendingHead++;
      this.durableSeq++;
    }
    this.dropDone();
    // A run belongs to an append that is durable unless the next one, partly written, begins at or below it.
    const next = this.firstPendingIndex();
    let done = 0;
    while (done < this.runs.length && this.runs[done] < next) {
      this.loader.index.add(this.runs[done], this.runs[done + 1], this.runs[done + 2]);
      done += 3;
    }
    if (done > 0) this.runs.splice(0, done);
  }

  private firstPendingIndex(): number {
    for (let i = this.pendingHead; i < this.pending.length; i++) {
      if (this.pending[i].length > 0) return this.pending[i][0].index;
    }
    return Number.POSITIVE_INFINITY;
  }

  private dropDone(): void {
    if (this.pendingHead < 1024 && this.pendingHead < this.pending.length) return;
    this.pending.splice(0, this.pendingHead);
    this.pendingHead = 0;
  }

  private scheduleTell(): void {
    if (this.tellScheduled) return;
    this.tellScheduled = true;
    setImmediate(() => {
      this.tellScheduled = false;
      this.tell();
    });
  }

  /** Tells the highest append that is durable, those after it that need no sync included. */
  private tell(): void {
    if (this.fault !== null) return;
    const seq = this.syncSeq <= this.durableSeq ? this.seq : this.durableSeq;
    while (this.durableSeq < seq) {
      this.pendingHead++;
      this.durableSeq++;
    }
    this.dropDone();
    if (seq <= this.toldSeq) return;
    this.toldSeq = seq;
    this.onDurable(seq);
  }

  private fail(cause: Error): void {
    if (this.fault !== null) return;
    const error = walError(cause, this.dir);
    this.fault =
      error instanceof RaftmarkError ? error : new RaftmarkError("WAL_IO", error.message, { cause });
    this.onFault(this.fault);
  }
}

/** What the file system said, as an error of ours that says what to do. */
function walError(cause: unknown, dir: string): Error {
  if (cause instanceof RaftmarkError || !(cause instanceof Error)) return cause as Error;
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") {
    const text = `no space left for the log in ${dir} (${message}): free some, then restart the node`;
    return new RaftmarkError("WAL_NO_SPACE", text, { cause });
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS" || code === "ENOTDIR") {
    const text = `cannot write the log in ${dir} (${message}): mend its rights or choose another directory`;
    return new RaftmarkError("WAL_NOT_WRITABLE", text, { cause });
  }
  if (code === undefined) return cause;
  const text = `the log in ${dir} failed (${message}): what was reported durable is safe; check the disk, then restart`;
  return new RaftmarkError("WAL_IO", text, { cause });
}
