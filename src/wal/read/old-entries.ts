// Reads old entries without holding up the main thread: for peers that lag beyond the cache, and to apply what was
// committed before the log was opened. A reader (a peer's id; None: applying) asks for an entry, is told "not yet", and
// is called when it is there together with some of those behind it: one piece per reader. Pieces are read one at a
// time, in the order they were asked for, so that every reader gets on. A turn of the event loop takes in and hands
// over one run of a piece, or several if turns are long, so that the group's own work never waits for more. Committed
// entries go to peers at a pace (read-pace.ts); others are not held back, as the group may be waiting for them. The
// memory of a piece is used again when its reader has got the next one and nobody else holds any of it. Main thread;
// the reads are on libuv's.
import fs from "node:fs/promises";
import { keepBytes, letGoOfBytes, takeBytes } from "../../base/byte-pool.js";
import { type Entry, EntryNormal, entrySize, payloadsSize } from "../../raft/raftpb/index.js";
import { corruptError, isNoDescriptor } from "../disk/errors.js";
import { sortedSegments } from "../format/format.js";
import type { PointIndex } from "../format/point-index.js";
import { ENTRY_COST, type ReadPace } from "./read-pace.js";
import { CUT_SHORT, READ_BYTES, Run, type SegmentReader } from "./segment-reader.js";

/** Bytes of log that are read for a piece, more only for an entry that is larger. */
const PIECE_BYTES = 1 << 20;
/** A wait for the pace is thought over so often: the group may have nothing to do any more. */
const WAIT_MS_MAX = 100;
/** Without a file descriptor, the next try comes so much later. */
const NO_DESCRIPTOR_MS = 100;
/** A piece that nobody asked for between two looks at this distance is let go of. */
const LOOK_MS = 1000;
/** In a turn, runs are handed over for this share of the time that other work took in the last one; one at least. */
const TURN_SHARE = 1 / 4;

/** What one reader asked for. */
class Piece {
  readonly reader: number;
  /** The entry that was asked for. */
  readonly first: number;
  /** From `first` on, without gaps; more of them while it is read. Empty at first, and if that failed. */
  readonly entries: Entry[] = [];
  reading = true;
  /** Since the last look. */
  asked = true;
  /** What the entries lie in. */
  window: Uint8Array | null = null;
  /** What the reader had before, until this one is there. */
  before: Piece | null;

  constructor(reader: number, first: number, before: Piece | null) {
    this.reader = reader;
    this.first = first;
    this.before = before;
  }

  /** Behind the last entry that is there. */
  get end(): number {
    return this.first + this.entries.length;
  }

  /** Whether it is what asking for entry `index` leads to; while it is read, that may show when it is whole. */
  answers(index: number): boolean {
    return index === this.first || (index > this.first && (this.reading || index < this.end));
  }
}

/** How far the log reaches. */
export interface LogEnd {
  lastIndex(): number;
  /** Known to be committed up to here. */
  readonly commit: number;
  /** Up to here nobody holds entries that they took (WalStorage.settled). */
  readonly settled: number;
}

export class OldEntries {
  /** A reader may ask again: from the event loop. Must not throw. Null: nobody listens, so nobody may ask. */
  onRead: ((reader: number) => void) | null = null;
  /** When what the disk has not answered yet was asked of it, performance.now(); Infinity: nothing is asked. */
  owedSince = Number.POSITIVE_INFINITY;
  private readonly dir: string;
  private readonly points: PointIndex;
  /** Has a descriptor when there is none left. */
  private readonly reader: SegmentReader;
  private readonly log: LogEnd;
  private readonly pace: ReadPace;
  /** By reader. */
  private readonly pieces = new Map<number, Piece>();
  /** To be read; also pieces that nobody waits for any more. */
  private readonly queue: Piece[] = [];
  private isPumping = false;
  /** Resolved when it last ended, or ends. */
  private pumped: Promise<void> = Promise.resolve();
  /** How long the event loop was at other work between two runs that were handed over in turns of their own. */
  private turnMs = 0;
  /** When the work on a piece went on in this turn; performance.now(). */
  private begunAt = 0;
  private looking: NodeJS.Timeout | null = null;
  /** File names of segments by number, as of the last time that one was not among them. */
  private names = new Map<number, string>();

  constructor(dir: string, points: PointIndex, reader: SegmentReader, log: LogEnd, pace: ReadPace) {
    this.dir = dir;
    this.points = points;
    this.reader = reader;
    this.log = log;
    this.pace = pace;
  }

  /** Pieces that are held or on their way. */
  get count(): number {
    return this.pieces.size;
  }

  /**
   * Whether take() has entry `index`, which is durable; else it is being read for `reader`, and onRead follows. True as
   * well where reading failed: whoever reads it now, and waits for it, sees why.
   */
  atHand(reader: number, index: number): boolean {
    const held = this.pieces.get(reader);
    if (held?.answers(index)) {
      held.asked = true;
      return !held.reading || index < held.end;
    }
    const piece = new Piece(reader, index, held?.reading === true ? null : (held ?? null));
    this.pieces.set(reader, piece);
    this.begin(piece);
    this.looking ??= setInterval(this.look, LOOK_MS).unref();
    return false;
  }

  /** Reads it, when its turn comes and the pace lets it. */
  private begin(piece: Piece): void {
    const waitMs = this.isPaced(piece) ? this.pace.waitMs(piece.reader, this.log.commit) : 0;
    if (waitMs >= 1) {
      this.beginLater(piece, Math.min(waitMs, WAIT_MS_MAX));
      return;
    }
    this.queue.push(piece);
    // It may end before it returns: at pieces that nobody wants any more.
    if (!this.isPumping) this.pumped = this.pump();
  }

  private beginLater(piece: Piece, waitMs: number): void {
    const again = (): void => {
      if (this.onRead !== null) this.begin(piece);
    };
    setTimeout(again, waitMs).unref();
  }

  /** It is a peer's, and what it asks for, a quorum has. */
  private isPaced(piece: Piece): boolean {
    return piece.reader > 0 && piece.first <= this.log.commit && this.isWanted(piece);
  }

  /**
   * Puts entries from `lo` on into `into`, which is empty: before `hi`, up to `maxSize` encoded bytes (but one at
   * least), as far as they are there. Returns their bytes; 0: none is.
   */
  take(lo: number, hi: number, maxSize: number, into: Entry[]): number {
    for (const { first, end, entries } of this.pieces.values()) {
      if (lo < first || lo >= end) continue;
      let size = 0;
      for (let index = lo; index < Math.min(hi, end); index++) {
        const entry = entries[index - first]!;
        const bytes = entrySize(entry);
        if (size + bytes > maxSize && size > 0) break;
        into.push(entry);
        size += bytes;
      }
      return size;
    }
    return 0;
  }

  /** The reader finds what it needs in memory. */
  release(reader: number): void {
    this.pieces.delete(reader);
  }

  /** Entries from `index` on are overwritten, or not of the log any more. Who waits for them is called all the same. */
  forgetFrom(index: number): void {
    for (const piece of this.pieces.values()) {
      if (piece.reading || piece.end > index) this.pieces.delete(piece.reader);
    }
  }

  /** Resolved when nothing is being read any more. */
  async close(): Promise<void> {
    this.onRead = null;
    this.pieces.clear();
    this.look();
    await this.pumped;
  }

  private readonly look = (): void => {
    for (const piece of this.pieces.values()) {
      if (!piece.asked && !piece.reading) this.pieces.delete(piece.reader);
      piece.asked = false;
    }
    if (this.pieces.size > 0 || this.looking === null) return;
    clearInterval(this.looking);
    this.looking = null;
  };

  /**
   * Its reader took what it wanted of it. What others still hold, and may have made of a change of members, is the
   * collector's.
   */
  private letGo(piece: Piece | null): void {
    if (piece === null || piece.window === null || piece.end - 1 > this.log.settled) return;
    if (piece.entries.every(({ type }) => type === EntryNormal)) letGoOfBytes(piece.window.buffer);
  }

  private isWanted(piece: Piece): boolean {
    return this.pieces.get(piece.reader) === piece;
  }

  private async pump(): Promise<void> {
    this.isPumping = true;
    for (let piece = this.queue.shift(); piece !== undefined; piece = this.queue.shift()) {
      const { entries } = piece;
      try {
        if (this.isWanted(piece)) await this.read(piece, entries);
      } catch (error) {
        // Damage, or entries and their files that were given up meanwhile. What was read before is sound.
        if (isNoDescriptor(error) && this.isWanted(piece) && !this.readWaiting(piece)) {
          this.beginLater(piece, NO_DESCRIPTOR_MS);
          continue;
        }
      }
      if (this.isPaced(piece))
        this.pace.took(piece.reader, payloadsSize(entries) + entries.length * ENTRY_COST);
      piece.reading = false;
      this.letGo(piece.before);
      piece.before = null;
      // Also if it is not wanted any more: in place of what was overwritten, something else can be sent.
      this.onRead?.(piece.reader);
    }
    this.isPumping = false;
  }

  /**
   * There is no descriptor left: with the one that is kept, waiting for the disk. False: others were faster, and have that,
   * too. What else fails, who reads the piece sees.
   */
  private readWaiting({ first, entries }: Piece): boolean {
    try {
      if (entries.length === 0) this.reader.read(first, this.log.lastIndex() + 1, PIECE_BYTES, entries);
      return true;
    } catch (error) {
      return entries.length > 0 || !isNoDescriptor(error);
    }
  }

  private async read(piece: Piece, into: Entry[]): Promise<void> {
    const { points } = this;
    if (!this.names.has(points.segment(points.find(piece.first)))) {
      this.names = new Map(
        sortedSegments(await this.answer(fs.readdir(this.dir))).map(({ seq, name }) => [seq, name]),
      );
      if (!this.isWanted(piece)) return;
    }
    // All that the index says is taken now: entries may be overwritten, or given up, while the file is read.
    const runs = this.runsFrom(piece.first);
    const file = await this.answer(fs.open(runs[0]!.path));
    try {
      let start = runs[0]!.offset;
      let window = await this.answer(readAt(file, start, PIECE_BYTES));
      piece.window = window;
      this.begunAt = performance.now();
      for (const run of runs) {
        if (into.length > 0) await this.handOver(piece);
        if (!this.isWanted(piece)) return;
        let need = run.take(window, start, Number.POSITIVE_INFINITY, into);
        while (need > 0 && into.length === 0) {
          if (need > (await this.answer(file.stat())).size - run.offset) throw run.damaged(CUT_SHORT);
          start = run.offset;
          window = await this.answer(readAt(file, start, Math.max(READ_BYTES, need)));
          piece.window = window;
          need = run.take(window, start, Number.POSITIVE_INFINITY, into);
        }
        if (need > 0) break;
      }
    } finally {
      await this.answer(file.close());
      this.reader.keepSpare();
    }
  }

  /** What is there of it. Goes on in another turn when this one gave its share. */
  private async handOver({ reader }: Piece): Promise<void> {
    this.onRead?.(reader);
    const now = performance.now();
    if (now - this.begunAt < this.turnMs * TURN_SHARE) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.begunAt = performance.now();
    this.turnMs = this.begunAt - now;
  }

  private async answer<T>(asked: Promise<T>): Promise<T> {
    this.owedSince = performance.now();
    try {
      return await asked;
    } finally {
      this.owedSince = Number.POSITIVE_INFINITY;
    }
  }

  /** The runs that begin in a piece that begins with the run of entry `index`. */
  private runsFrom(index: number): Run[] {
    const { points } = this;
    const at = points.find(index);
    const segment = points.segment(at);
    const name = this.names.get(segment);
    if (name === undefined) throw corruptError(this.dir, 0, 0, `segment ${segment} has gone`);
    const path = `${this.dir}/${name}`;
    const until = this.log.lastIndex() + 1;
    const end = points.offset(at) + PIECE_BYTES;
    const runs = [new Run(points, path, at, index, until)];
    for (let next = at + 1; next < points.count && points.index(next) < until; next++) {
      if (points.segment(next) !== segment || points.offset(next) >= end) break;
      runs.push(new Run(points, path, next, points.index(next), until));
    }
    return runs;
  }
}

async function readAt(file: fs.FileHandle, position: number, bytes: number): Promise<Uint8Array> {
  const buffer = takeBytes(bytes);
  keepBytes(buffer.buffer);
  let filled = 0;
  while (filled < bytes) {
    const { bytesRead } = await file.read(buffer, filled, bytes - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}
