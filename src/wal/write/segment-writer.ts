// The consumer of the ring: turns what waits in it into records, writes them to the newest segment, cuts segments,
// publishes what is durable. Runs on a worker (synchronously) or on the main thread (asynchronously), see wal-fs.ts.
// One batch is one write (on a slow disk in pieces), and ends with a seal. A failed write or sync ends it: the caller
// fences the log and never calls it again.
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { assert } from "../../base/assert.js";
import { Entry, type EntryType, type HardState } from "../../raft/raftpb/index.js";
import { BLOCK_BYTES, blocksUp, DIRECT_FLAG, ZEROS } from "../disk/direct.js";
import { isNoDescriptor, isNoSpace } from "../disk/errors.js";
import { type HeldFile, Holding } from "../disk/holding.js";
import { PiecePace } from "../disk/piece-pace.js";
import { SpareDescriptors } from "../disk/spare-descriptors.js";
import type { Durability, Step, Steps, WalFs } from "../disk/wal-fs.js";
import type { Codec } from "../format/codec.js";
import { needsPoint, putPoint } from "../format/codec-js.js";
import {
  RECORD_CRC,
  RECORD_ENTRY,
  RECORD_METADATA,
  RECORD_STATE,
  SEAL_BYTES,
  SEGMENT_BYTES_MIN,
  SEGMENT_END_BYTES,
  segmentName,
} from "../format/format.js";
import * as L from "../format/layout.js";
import { encodeEntry, encodeHardState, FrameBuilder, putSeal } from "../format/record.js";
import { BatchTimer } from "./batch-times.js";
import { enlarge, preparedBytes, preparedName } from "./prepare.js";
import { noteSync } from "./sync-times.js";

/** Where the newest segment ends, and what the next record continues. */
export interface TailState {
  name: string;
  seq: number;
  offset: number;
  /** End of the segment's head; records of its own start here. */
  headEnd: number;
  crc: number;
  lastIndex: number;
  lastTerm: number;
  hardState: HardState;
  /** The last frame is a seal. Invariant while the log is open: true. */
  sealed: boolean;
}

/** Plain data: it is posted to workers. */
export interface WriterSetup {
  dir: string;
  /** Of the directory. */
  lock: HeldFile;
  /** Null: the metadata record carries no data. */
  metadata: Uint8Array | null;
  durability: Durability;
  segmentBytes: number;
  ringBytes: number;
  outBytes: number;
  batchBytesMax: number;
  tail: TailState;
}

/** What the thread around the writer provides. */
export interface WriterHooks {
  /** The control words have news for the main thread. */
  notify(): void;
  /** Done when a prepared segment is there, or preparing it failed. */
  waitPrepared(taken: number): Step;
  /** Done when the main thread consumed points beyond `head`. */
  waitPoints(head: number): Step;
  /** Done when the ring's tail is not `tail` any more, or WORD_PART not `part`. */
  waitRest(tail: number, part: number): Step;
  /** Done after a moment: somebody may have closed a file. */
  waitDescriptor(): Step;
  /**
   * Something failed that the log can do without: writing ahead for lack of space, opening a file while a spare
   * descriptor is left.
   */
  warn(error: unknown): void;
  /** The data of the next ITEM_LARGE. */
  takeLarge(): Uint8Array;
}

/** Bytes of memory for a codec with this ring and output region, which has a block more at either end. */
export function writerMemoryBytes(ringBytes: number, outBytes: number): number {
  return outRegion(ringBytes) + outBytes + 2 * BLOCK_BYTES;
}

function outRegion(ringBytes: number): number {
  return blocksUp(L.RING + ringBytes);
}

/**
 * A cut has two more files open than the log otherwise: the next segment, and the directory while it is synced. Two more,
 * because what it closes is not always its own again: another thread may be faster.
 */
const SPARE_DESCRIPTORS = 4;
/** How long a cut waits for a descriptor, if somebody else took those that it gave up, before it has failed. */
const NO_DESCRIPTOR_MS_MAX = 30_000;
/** What the thread around the writer takes for a moment (waitDescriptor). */
export const DESCRIPTOR_WAIT_MS = 20;
/** Since when the last look at lock and directory must be before a write starts with another one. */
const UNSEEN_MS_MAX = 10;
/** Zeros are written ahead when fewer than so many of them are left. */
const FILL_LOW_BYTES = 256 << 10;
/** What a write of this size saves by them is less than they take: the disk has to take twice as much. */
const FILL_WRITE_BYTES_MAX = 256 << 10;

export class SegmentWriter {
  private readonly codec: Codec;
  private readonly fs: WalFs;
  private readonly setup: WriterSetup;
  private readonly hooks: WriterHooks;
  private readonly timer: BatchTimer;
  private readonly spares: SpareDescriptors;
  /** The output region; lies on a block's border. */
  private readonly out: number;
  private readonly direct: boolean;
  private fd: number;
  private readonly holding: Holding;
  /** When lock and segment were seen under their names last; performance.now(). */
  private seenAt = 0;
  private seq: number;
  /** Bytes of the newest segment that are written. */
  private offset: number;
  /** Invariant: headEnd <= offset; equal while the segment has no records but its head. */
  private headEnd: number;
  /** Of the newest segment's file. Invariant: offset + SEGMENT_END_BYTES <= size, so that it does not look closed. */
  private size: number;
  /** The newest segment's blocks are on the disk up to here; behind it the file has holes. */
  private filled: number;
  private lastWriteBytes = 0;
  private readonly pace: PiecePace;
  /** Ring position up to which this commit goes, and WORD_PART with it. */
  private tail = 0;
  private part = 0;
  private taken = 0;

  constructor(codec: Codec, fs: WalFs, setup: WriterSetup, hooks: WriterHooks) {
    assert(setup.segmentBytes >= SEGMENT_BYTES_MIN, "segment too small for its head");
    this.codec = codec;
    this.fs = answering(fs, codec.memory.i32);
    this.setup = setup;
    this.hooks = hooks;
    this.pace = new PiecePace(setup.outBytes);
    this.timer = new BatchTimer(codec.memory);
    this.spares = new SpareDescriptors(setup.dir, SPARE_DESCRIPTORS);
    this.out = outRegion(setup.ringBytes);
    this.direct = setup.durability === "o_direct";
    const { tail } = setup;
    this.seq = tail.seq;
    this.offset = tail.offset;
    this.headEnd = tail.headEnd;
    const { u32, f64 } = codec.memory;
    u32[L.ENC_CRC >>> 2] = tail.crc;
    u32[L.ENC_RING_BASE >>> 2] = L.RING;
    u32[L.ENC_RING_MASK >>> 2] = setup.ringBytes - 1;
    u32[L.ENC_POINTS_BASE >>> 2] = L.POINTS;
    u32[L.ENC_POINTS_MASK >>> 2] = L.POINTS_MAX - 1;
    u32[L.ENC_FORCE_POINT >>> 2] = 1;
    f64[L.ENC_LAST_INDEX >>> 3] = tail.lastIndex;
    f64[L.ENC_LAST_TERM >>> 3] = tail.lastTerm;
    f64[L.ENC_HS_TERM >>> 3] = tail.hardState.term;
    f64[L.ENC_HS_VOTE >>> 3] = tail.hardState.vote;
    f64[L.ENC_HS_COMMIT >>> 3] = tail.hardState.commit;
    const path = `${setup.dir}/${tail.name}`;
    this.fd = fs.open(path, this.openFlags());
    this.holding = new Holding(setup.lock, path);
    this.size = fstatSync(this.fd).size;
    this.filled = filledTo(this.fd, this.offset);
    if (this.lead > 0)
      readAt(path, codec.memory.u8.subarray(this.out, this.out + this.lead), this.offset - this.lead);
  }

  private openFlags(): number {
    if (this.direct) return constants.O_WRONLY | constants.O_DSYNC | DIRECT_FLAG;
    return constants.O_WRONLY | (this.setup.durability === "o_dsync" ? constants.O_DSYNC : 0);
  }

  /**
   * Where only whole blocks can be written: bytes of the block in which the log ends. They lie at the beginning of the
   * output region, and what is encoded begins behind them.
   */
  private get lead(): number {
    return this.direct ? this.offset % BLOCK_BYTES : 0;
  }

  /** Takes everything that is in the ring, batch by batch, and publishes after each. */
  *commit(): Steps {
    // hot
    const { u32, u8 } = this.codec.memory;
    // Whoever took an idle log over, where its lock was deleted, must not be written over. A busy one is seen all the time.
    if (performance.now() - this.seenAt > UNSEEN_MS_MAX) this.checkHeld();
    this.spares.refill();
    this.look();
    for (;;) {
      const pointsBefore = u32[L.ENC_POINTS_TAIL >>> 2];
      this.timer.begin();
      let bytes = this.encode(0);
      // An append is one write if it can be: its rest is on its way.
      while (this.part % 2 !== 0 && u32[L.ENC_STOP >>> 2] === L.STOP_DRAINED) {
        yield this.hooks.waitRest(this.tail, this.part);
        this.lookForRest();
        bytes = this.encode(bytes);
      }
      this.timer.encoded();
      const stop = u32[L.ENC_STOP >>> 2];
      this.placePoints(pointsBefore);
      if (bytes > 0) {
        putSeal(u8, this.out + this.lead + bytes, u32[L.ENC_CRC >>> 2]);
        yield* this.write(bytes + SEAL_BYTES);
      }
      if (stop === L.STOP_LARGE) yield* this.writeLarge();
      this.checkHeld();
      this.publish();
      if (stop === L.STOP_DRAINED) return yield* this.fillAhead();
      if (stop === L.STOP_SEGMENT) yield* this.cut();
      else if (stop === L.STOP_POINTS) yield this.hooks.waitPoints(this.pointsHead());
    }
  }

  // hot
  private checkHeld(): void {
    this.holding.check();
    this.seenAt = performance.now();
  }

  private look(): void {
    const { i32 } = this.codec.memory;
    do {
      this.part = Atomics.load(i32, L.WORD_PART);
      this.tail = Atomics.load(i32, L.WORD_TAIL) >>> 0;
    } while (Atomics.load(i32, L.WORD_PART) !== this.part);
  }

  // Once the append is whole, the beginning of the next is not waited for.
  private lookForRest(): void {
    const { i32 } = this.codec.memory;
    if (Atomics.load(i32, L.WORD_PART) !== this.part) this.part = 0;
    this.tail = Atomics.load(i32, L.WORD_TAIL) >>> 0;
  }

  /** Adds to a batch that has `had` bytes; returns what it has then. */
  private encode(had: number): number {
    // hot
    const { i32, u32 } = this.codec.memory;
    const { tail } = this;
    const out = this.out + this.lead;
    const end = out + this.setup.outBytes - SEAL_BYTES;
    const left = this.setup.segmentBytes - this.offset - SEAL_BYTES - SEGMENT_END_BYTES;
    const segmentLimit = Math.min(end, Math.max(out, out + left));
    const capLimit = out + this.setup.batchBytesMax;
    const free = L.POINTS_MAX - ((u32[L.ENC_POINTS_TAIL >>> 2] - this.pointsHead()) >>> 0);
    let bytes = this.codec.encodeBatch(out, out + had, tail, capLimit, segmentLimit, free);
    assert(bytes >= 0, "encoder failed");
    assert(bytes <= this.setup.outBytes - SEAL_BYTES, "encoder wrote past its region");
    if (bytes === 0 && u32[L.ENC_STOP >>> 2] === L.STOP_SEGMENT && this.offset === this.headEnd) {
      // Larger than an empty segment: it gets one for itself.
      bytes = this.codec.encodeBatch(out, out, tail, out, end, free);
    }
    // The records are in the output region: the ring's space is free before the write.
    Atomics.store(i32, L.WORD_HEAD, u32[L.ENC_HEAD >>> 2]);
    return bytes;
  }

  private pointsHead(): number {
    return Atomics.load(this.codec.memory.i32, L.WORD_POINTS_HEAD) >>> 0;
  }

  // The encoder counts from the start of the batch; the index wants offsets in a segment.
  private placePoints(from: number): void {
    const { u32, f64 } = this.codec.memory;
    const to = u32[L.ENC_POINTS_TAIL >>> 2];
    for (let point = from; point !== to; point = (point + 1) >>> 0) {
      const at = (L.POINTS + (point % L.POINTS_MAX) * L.POINT_BYTES) / 8;
      f64[at + 2] += this.offset;
      f64[at + 3] = this.seq;
    }
  }

  /** What was encoded, durably. */
  private *write(bytes: number): Steps {
    const { f64 } = this.codec.memory;
    const end = this.offset + bytes + SEGMENT_END_BYTES;
    if (end > this.size) yield* this.enlarge(end);
    const begun = performance.now();
    yield* this.put(bytes);
    f64[L.STAT_WRITES / 8]++;
    f64[L.STAT_BYTES / 8] += bytes;
    if (this.setup.durability === "fdatasync") yield this.fs.fdatasync(this.fd);
    if (this.setup.durability !== "none") {
      f64[L.STAT_SYNCS / 8]++;
      noteSync(this.codec.memory, performance.now() - begun);
    }
    this.lastWriteBytes = bytes;
  }

  /** Writes what was encoded to where the log ends; whole blocks with zeros behind it where it must be. */
  private *put(bytes: number): Steps {
    // hot
    const { u8, f64 } = this.codec.memory;
    const { lead } = this;
    const end = this.out + lead + bytes;
    const to = this.direct ? blocksUp(end) : end;
    // Shared memory is filled element by element.
    const words = Math.min(to, end + (-end & 7));
    u8.fill(0, end, words);
    f64.fill(0, words >>> 3, to >>> 3);
    yield* this.putPieces(to, this.offset - lead);
    this.offset += bytes;
    this.size = Math.max(this.size, this.offset + to - end);
    const tail = end - this.lead;
    if (tail !== this.out) u8.copyWithin(this.out, tail, end);
  }

  /** The output region up to `to`, in pieces that are durable one by one; but the last is not synced yet. */
  private *putPieces(to: number, position: number): Steps {
    // hot
    const { u8 } = this.codec.memory;
    const isSynced = this.setup.durability === "fdatasync";
    for (let from = this.out; from < to; ) {
      const bytes = Math.min(to - from, this.pace.bytes);
      const begun = performance.now();
      yield this.fs.write(this.fd, u8, from, from + bytes, position);
      const isLast = from + bytes === to;
      if (isSynced && !isLast) yield this.fs.fdatasync(this.fd);
      if (!isSynced || !isLast) this.pace.took(bytes, performance.now() - begun);
      from += bytes;
      position += bytes;
    }
  }

  /** Frames that were made elsewhere, by way of the output region. */
  private *writeFrames(bytes: Uint8Array): Steps {
    const { outBytes } = this.setup;
    for (let at = 0; at < bytes.length; at += outBytes) {
      const piece = bytes.subarray(at, at + outBytes);
      this.codec.memory.u8.set(piece, this.out + this.lead);
      yield* this.write(piece.length);
    }
  }

  // Durably before the write: a crash must not leave a file that ends with it.
  private *enlarge(size: number): Steps {
    yield this.fs.truncate(this.fd, size);
    if (this.setup.durability !== "none") yield this.fs.fdatasync(this.fd);
    this.size = size;
  }

  /**
   * Writes zeros ahead of the records, a piece at a time, when nothing waits: an append over blocks that were written
   * before changes no metadata of the file, and need not wait for the file system's journal.
   */
  private *fillAhead(): Steps {
    if (this.setup.durability === "none" || this.lastWriteBytes >= FILL_WRITE_BYTES_MAX) return;
    if (this.filled - this.offset >= FILL_LOW_BYTES) return;
    let from = Math.max(this.filled, this.offset);
    if (this.direct) from = blocksUp(from);
    const to = Math.min(preparedBytes(this.setup.segmentBytes, this.setup.durability), from + ZEROS.length);
    if (to <= from) return;
    try {
      yield this.fs.write(this.fd, ZEROS, 0, to - from, from);
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      // Nothing was lost: appends go into what space there is, and fail if there is none.
      this.filled = this.setup.segmentBytes;
      this.hooks.warn(error);
      return;
    }
    if (this.setup.durability === "fdatasync") yield this.fs.fdatasync(this.fd);
    this.filled = to;
  }

  private publish(): void {
    const { i32, u32, f64 } = this.codec.memory;
    f64[L.STAT_ENTRIES / 8] = f64[L.ENC_ENTRIES / 8];
    Atomics.store(i32, L.WORD_POINTS_TAIL, u32[L.ENC_POINTS_TAIL >>> 2]);
    this.timer.durable(f64[L.ENC_SEQ / 8]);
    Atomics.store(i32, L.WORD_DURABLE, f64[L.ENC_SEQ / 8] >>> 0);
    this.hooks.notify();
  }

  // An entry too large for the ring came another way; it is a batch of its own.
  private *writeLarge(): Steps {
    const { i32, u32, f64 } = this.codec.memory;
    const head = u32[L.ENC_HEAD >>> 2];
    const item = L.RING + ((head & (this.setup.ringBytes - 1)) >>> 0);
    assert((u32[item >>> 2] & 0xff) === L.ITEM_LARGE, "not a large item");
    const type = ((u32[item >>> 2] >>> 8) & 0xff) as EntryType;
    const data = this.hooks.takeLarge();
    assert(data.length === u32[(item + 4) >>> 2], "large data is not the item's");
    const entry = new Entry(type, f64[(item + 8) >>> 3], f64[(item + 16) >>> 3], data);
    u32[L.ENC_HEAD >>> 2] = (head + L.ENTRY_ITEM_BYTES) >>> 0;
    Atomics.store(i32, L.WORD_HEAD, u32[L.ENC_HEAD >>> 2]);
    const encoded = encodeEntry(entry);
    const over = this.offset + encoded.length + 64 + SEAL_BYTES + SEGMENT_END_BYTES > this.setup.segmentBytes;
    if (over && this.offset !== this.headEnd) yield* this.cut();
    while (needsPoint(this.codec.memory, entry.index, entry.term)) {
      const before = u32[L.ENC_POINTS_TAIL >>> 2];
      if ((before - this.pointsHead()) >>> 0 === L.POINTS_MAX) {
        this.checkHeld();
        this.publish();
        yield this.hooks.waitPoints(this.pointsHead());
        continue;
      }
      putPoint(this.codec.memory, entry.index, entry.term, 0);
      this.placePoints(before);
      break;
    }
    const frames = new FrameBuilder(u32[L.ENC_CRC >>> 2]);
    frames.record(RECORD_ENTRY, encoded);
    u32[L.ENC_CRC >>> 2] = frames.crc;
    f64[L.ENC_LAST_INDEX >>> 3] = entry.index;
    f64[L.ENC_LAST_TERM >>> 3] = entry.term;
    f64[L.ENC_SINCE_POINT >>> 3] += frames.bytes;
    f64[L.ENC_ENTRIES >>> 3]++;
    frames.seal();
    yield* this.writeFrames(frames.take());
  }

  // WAL-FORMAT section 5, "Cut", but in another order: the next segment gets its name when its head is durable, and
  // only when that name is, too, the old one gets its final size, which ends exactly after its last record. So a segment
  // of that form proves that another one follows (recovery.ts).
  private *cut(): Steps {
    const { u32, f64 } = this.codec.memory;
    const { dir, durability, segmentBytes } = this.setup;
    const synced = durability !== "none";
    Atomics.store(this.codec.memory.i32, L.WORD_HURRY, this.taken + 1);
    this.hooks.notify();
    yield this.hooks.waitPrepared(this.taken);
    const path = preparedName(dir, this.taken);
    const flags = this.prepareFailed() ? constants.O_CREAT | constants.O_TRUNC : 0;
    // It may have waited long, and renames by name.
    this.checkHeld();
    const full = { fd: this.fd, offset: this.offset };
    this.fd = yield* this.withDescriptor(() => this.fs.open(path, this.openFlags() | flags));
    try {
      if (flags !== 0) yield* enlarge(this.fs, this.fd, segmentBytes);
      this.taken++;
      const head = segmentHead(u32[L.ENC_CRC >>> 2], this.setup.metadata, {
        term: f64[L.ENC_HS_TERM >>> 3],
        vote: f64[L.ENC_HS_VOTE >>> 3],
        commit: f64[L.ENC_HS_COMMIT >>> 3],
      });
      this.size = fstatSync(this.fd).size;
      const end = head.bytes.length + SEGMENT_END_BYTES;
      if (end > this.size) yield* this.enlarge(end);
      this.offset = 0;
      this.codec.memory.u8.set(head.bytes, this.out);
      yield* this.put(head.bytes.length);
      if (synced) yield this.fs.fdatasync(this.fd);
      const named = `${dir}/${segmentName(this.seq + 1, f64[L.ENC_LAST_INDEX >>> 3] + 1)}`;
      this.fs.rename(path, named);
      if (synced) yield yield* this.withDescriptor(() => this.fs.syncDir(dir));
      this.spares.refill(true);
      yield this.fs.truncate(full.fd, full.offset);
      if (synced) yield this.fs.fdatasync(full.fd);
      this.holding.moveTo(named);
      this.seq++;
      this.headEnd = head.bytes.length;
      this.filled = filledTo(this.fd, this.offset);
      u32[L.ENC_CRC >>> 2] = head.crc;
      u32[L.ENC_FORCE_POINT >>> 2] = 1;
    } finally {
      this.fs.close(full.fd);
      this.spares.refill(true);
    }
    Atomics.store(this.codec.memory.i32, L.WORD_TAKEN, this.taken);
  }

  /** What `open` gives: where no descriptor is left, with one that was kept for it, or as soon as there is one. */
  private *withDescriptor<T>(open: () => T): Generator<Step, T, void> {
    const since = performance.now();
    for (;;) {
      try {
        return open();
      } catch (error) {
        if (!isNoDescriptor(error) || performance.now() - since > NO_DESCRIPTOR_MS_MAX) throw error;
        if (this.spares.giveUp()) {
          this.hooks.warn(error);
          continue;
        }
      }
      // Another thread was faster.
      yield this.hooks.waitDescriptor();
    }
  }

  private prepareFailed(): boolean {
    return Atomics.load(this.codec.memory.i32, L.WORD_PREPARED) <= this.taken;
  }

  close(): void {
    this.spares.close();
    if (this.fd >= 0) this.fs.close(this.fd);
    this.fd = -1;
  }
}

/** The same, which tells the main thread of each answer. */
function answering(fs: WalFs, i32: Int32Array): WalFs {
  const answered = (): void => void Atomics.add(i32, L.WORD_ANSWERS, 1);
  const after = (step: Step): Step => (step === undefined ? answered() : step.then(answered));
  return {
    open: (path, flags) => fs.open(path, flags),
    close: (fd) => fs.close(fd),
    rename: (from, to) => fs.rename(from, to),
    unlink: (path) => fs.unlink(path),
    write: (fd, bytes, from, to, position) => after(fs.write(fd, bytes, from, to, position)),
    fdatasync: (fd) => after(fs.fdatasync(fd)),
    truncate: (fd, bytes) => after(fs.truncate(fd, bytes)),
    syncDir: (dir) => after(fs.syncDir(dir)),
  };
}

/** What a segment begins with: the rolling CRC so far, metadata, the last hard state unless it is all 0; sealed. */
export function segmentHead(
  crc: number,
  metadata: Uint8Array | null,
  state: HardState,
): { bytes: Uint8Array; crc: number } {
  const frames = new FrameBuilder(crc);
  frames.record(RECORD_CRC, null);
  frames.record(RECORD_METADATA, metadata);
  if (state.term !== 0 || state.vote !== 0 || state.commit !== 0) {
    frames.record(RECORD_STATE, encodeHardState(state));
  }
  frames.seal();
  return { bytes: frames.take(), crc: frames.crc };
}

function readAt(path: string, bytes: Uint8Array, position: number): void {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    const read = readSync(fd, bytes, 0, bytes.length, position);
    assert(read === bytes.length, "the log ends before its end");
  } finally {
    closeSync(fd);
  }
}

/** Where the holes of an open segment begin: at its end if it has none, else we only know of what is written. */
function filledTo(fd: number, offset: number): number {
  const { size, blocks } = fstatSync(fd);
  return blocks * 512 >= size ? size : offset;
}
