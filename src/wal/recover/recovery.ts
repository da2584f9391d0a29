// Opening an existing directory: every record of every segment is read and its CRC checked before the log is used.
// Segments are scanned apart from each other, on a pool where that pays (scan-segment.ts), and joined here in order, so
// what is reported does not depend on who finishes first. A torn write at the very end is cut off with a copy kept;
// anything else that is wrong stops the node, because what lies there or behind it may have been acknowledged
// (WAL-FORMAT section 6; stricter than etcd, which cuts at any zeroed sector of the last segment even if good records
// follow). Main thread; nothing here holds it for long.
import fs from "node:fs";
import { availableParallelism } from "node:os";
import { assert } from "../../base/assert.js";
import { RaftmarkError } from "../../base/errors.js";
import { EMPTY_HARD_STATE, type HardState } from "../../raft/raftpb/index.js";
import { endIfAborted } from "../disk/abort.js";
import { ADVICE, corruptError } from "../disk/errors.js";
import { brokenPath, runAsync, type WalFs, withFile } from "../disk/wal-fs.js";
import type { Codec } from "../format/codec.js";
import { wasmModule } from "../format/codec-wasm.js";
import { SECTOR_BYTES, type SegmentName, sortedSegments } from "../format/format.js";
import { dropFrom, PointIndex } from "../format/point-index.js";
import { fillZeros } from "../write/prepare.js";
import type { TailState } from "../write/segment-writer.js";
import { goesBack } from "./misfits.js";
import {
  codecsOf,
  fitsLog,
  type LogBefore,
  METADATA_DIFFERS,
  type ScanTask,
  type SegmentScan,
  SegmentScanner,
  type SnapshotMark,
  sameBytes,
  scanMemoryBytes,
} from "./scan-segment.js";
import { closedText, lostText, NO_HEAD } from "./segment-form.js";
import { asyncSource } from "./segment-source.js";

/** A cut tail: everything from `offset` on was copied with its segment and then overwritten with zeros. */
export interface TornTail {
  file: string;
  offset: number;
  bytesCut: number;
  copy: string;
}

export interface RecoveredLog {
  /** Null: the metadata record has no data, or there is none. */
  metadata: Uint8Array | null;
  hardState: HardState;
  /** All snapshot records, in order; the first of a new log is at index 0. */
  snapshots: SnapshotMark[];
  points: PointIndex;
  /** Indexes of entries that change the membership, ascending. */
  confChanges: number[];
  /** headEnd 0: the newest segment has no records at all, and needs a head. */
  tail: TailState;
  /** Size of the newest segment's file. */
  tailBytes: number;
  records: number;
  segments: number;
  /** A write that a crash tore, to be cut off before anything else is written. */
  torn: TornEnd | null;
  /** The segment before the newest one, if a crash came before it got its final size. */
  unclosed: { path: string; bytes: number } | null;
}

/** Bytes [offset, used) of `file`. */
export interface TornEnd {
  readonly file: string;
  readonly offset: number;
  readonly used: number;
}

export interface RecoverOptions {
  /** Scan with the TypeScript codec. */
  js: boolean;
  /** WalOptions.recoveryThreads. */
  threads?: number | undefined;
  pool: ScanPool;
  /** Ends it with RAFT_ABORTED. */
  signal?: AbortSignal | undefined;
  /** Told of the bytes of all segments that are read by now. */
  progress?: (bytes: number) => void;
}

/** What scans segments on threads (pool/log-pool.ts). */
export interface ScanPool {
  /** The scans in the order of `tasks`, by so many threads. */
  scan(tasks: readonly ScanTask[], threads: number, js: boolean): AsyncIterable<SegmentScan>;
}

/** Below it, without the newest segment (mostly zeros), starting threads takes longer than scanning. */
const THREADS_FROM_BYTES = 32_000_000;
/** What the main thread scans before it looks at anything else: about 0.1 ms, and 0.5 ms in TypeScript. */
const WINDOW_BYTES = 256 << 10;
const JS_WINDOW_BYTES = 64 << 10;

/** The segments of `dir`, with consecutive numbers; WAL_CORRUPT if one is missing between two others. */
export function listSegments(dir: string): SegmentName[] {
  const segments = sortedSegments(fs.readdirSync(dir));
  segments.forEach(({ name, seq }, at) => {
    const expected = segments[0]!.seq + at;
    if (seq !== expected) throw missingError(dir, expected, name);
  });
  return segments;
}

function missingError(dir: string, seq: number, next: string): RaftmarkError {
  const text = `segment ${seq} of the log in ${dir} is missing (the next one there is ${next}). ${ADVICE}`;
  return new RaftmarkError("WAL_CORRUPT", text);
}

/** Reads and checks all of `segments`. Changes nothing. */
export async function recover(
  dir: string,
  segments: readonly SegmentName[],
  options: RecoverOptions,
): Promise<RecoveredLog> {
  assert(segments.length > 0, "nothing to recover");
  const tasks = segments.map(({ name, seq }, at) => ({
    path: `${dir}/${name}`,
    seq,
    isLast: at === segments.length - 1,
  }));
  const recovery = new Recovery(dir, options, segments[0]!);
  const threads = Math.min(options.threads ?? usualThreads(tasks), segments.length);
  const scans = threads > 0 ? options.pool.scan(tasks, threads, options.js) : recovery.scanHere(tasks);
  let at = 0;
  let bytes = 0;
  for await (const scan of scans) {
    endIfAborted(options.signal);
    await recovery.join(tasks[at++]!, scan);
    bytes += scan.size;
    options.progress?.(bytes);
  }
  assert(at === tasks.length, "a segment was not scanned");
  return recovery.finish(segments);
}

function usualThreads(tasks: readonly ScanTask[]): number {
  const bytes = tasks.slice(0, -1).reduce((sum, { path }) => sum + fs.statSync(path).size, 0);
  // One core is left to this thread.
  return bytes < THREADS_FROM_BYTES ? 0 : Math.max(1, availableParallelism() - 1);
}

class Recovery implements LogBefore {
  private readonly dir: string;
  private readonly js: boolean;
  private readonly signal: AbortSignal | undefined;
  private codec: Codec | null = null;
  readonly points = new PointIndex();
  private readonly snapshots: SnapshotMark[] = [];
  private readonly confChanges: number[] = [];
  private metadata: Uint8Array | null = null;
  private hasMetadata = false;
  hardState = EMPTY_HARD_STATE;
  crc = 0;
  lastIndex = 0;
  lastTerm = 0;
  private records = 0;
  private newest: SegmentScan | null = null;
  private newestPath = "";
  private unclosed: RecoveredLog["unclosed"] = null;

  constructor(dir: string, { js, signal }: RecoverOptions, first: SegmentName) {
    this.dir = dir;
    this.js = js;
    this.signal = signal;
    // Older segments were released: its name says where it begins.
    if (first.seq > 0) this.lastIndex = Math.max(0, first.index - 1);
  }

  /** Each segment as the continuation of those joined before it. */
  async *scanHere(tasks: readonly ScanTask[]): AsyncGenerator<SegmentScan, void, void> {
    for (const task of tasks) yield await this.scan(task);
  }

  // Everything before the segment is joined, and it is scanned as its continuation.
  private async scan(task: ScanTask): Promise<SegmentScan> {
    const codecOf = codecsOf(this.js ? null : wasmModule());
    this.codec ??= codecOf(scanMemoryBytes(this.js ? JS_WINDOW_BYTES : WINDOW_BYTES));
    const source = asyncSource(task.path, this.signal);
    try {
      const scanner = new SegmentScanner(task, source, this.codec, codecOf, this);
      await runAsync(scanner.run());
      return scanner.result;
    } finally {
      source.close();
    }
  }

  /** Continues the log by the next segment. Throws WAL_CORRUPT. */
  async join(task: ScanTask, scan: SegmentScan): Promise<void> {
    // Rare, or damage: scanned as the continuation of what is before, it says exactly what is wrong and where.
    const found = this.continues(scan) ? scan : await this.scan(task);
    const { metadata, damage } = found;
    if (metadata !== null) {
      if (this.hasMetadata && !sameBytes(this.metadata, metadata.data)) {
        throw corruptError(task.path, metadata.end, metadata.record, METADATA_DIFFERS);
      }
      this.metadata = metadata.data;
      this.hasMetadata = true;
    }
    if (damage !== null) throw corruptError(task.path, damage.offset, damage.record, damage.what);
    this.checkHead(task, found);
    if (found.forgets) {
      this.points.clear();
      this.confChanges.length = 0;
    }
    // The first row has the lowest index that the segment wrote: from there on it overwrites the log before it.
    if (found.points.length > 0) dropFrom(this.confChanges, found.points[0]!);
    for (const index of found.confChanges) this.confChanges.push(index);
    if (found.forgets || found.firstIndex > 0) {
      this.lastIndex = found.lastIndex;
      this.lastTerm = found.lastTerm;
    }
    this.points.addRows(found.points);
    for (const { index, term, confState } of found.snapshots) this.snapshots.push({ index, term, confState });
    this.hardState = found.hardState ?? this.hardState;
    this.crc = found.crc;
    this.records += found.records;
    this.newest = found;
    this.newestPath = task.path;
  }

  // A segment gets its name when its head is durable: two records at least, and in a log of ours the seal behind them.
  // A log as etcd writes it is left to etcd's rules, by which an empty newest segment is used.
  private checkHead({ path, isLast }: ScanTask, { records, sealed, offset }: SegmentScan): void {
    const { newest } = this;
    const isOurs = newest !== null && endsWithSeal(newest);
    if ((newest === null && records < 2) || (isOurs && sealed === 0)) {
      throw corruptError(path, offset, 1, NO_HEAD);
    }
    const isUnclosed = isLast && isOurs && newest.size > newest.offset;
    this.unclosed = isUnclosed ? { path: this.newestPath, bytes: newest.offset } : null;
  }

  /** Whether scanning the segment by itself gave what scanning it in order would have given. */
  private continues(scan: SegmentScan): boolean {
    if (scan.continues) return true;
    if (scan.unsure || scan.leadingCrc === null || (this.crc !== 0 && this.crc !== scan.leadingCrc))
      return false;
    const { firstState, firstIndex, firstTerm } = scan;
    if (firstState !== null && goesBack(this.hardState, firstState)) return false;
    if (firstIndex > 0) {
      // One that overwrites the log before it, or that leaves a gap.
      if (firstIndex !== this.lastIndex + 1) return false;
      if (firstTerm < this.lastTerm) return false;
    }
    return scan.snapshots.every((mark) => mark.placed || fitsLog(mark, this.points, this.lastIndex));
  }

  /** In front of them, or behind. */
  private checkNothingIsMissing(segments: readonly SegmentName[]): void {
    const first = segments[0]!;
    const last = segments[segments.length - 1]!;
    const newest = this.newest!;
    // Older segments go only when a snapshot holds what was in them. What later ones overwrote no longer counts: the
    // oldest that a release leaves may hold nothing else, and begin behind the snapshot.
    const firstHeld = this.points.first(this.lastIndex);
    const isCovered = this.snapshots.some(({ index }) => index > 0 && index + 1 >= firstHeld);
    if (first.seq > 0 && !isCovered) throw missingError(this.dir, first.seq - 1, first.name);
    if (newest.size === newest.offset && endsWithSeal(newest)) {
      throw corruptError(
        this.newestPath,
        newest.offset,
        newest.records + 1,
        closedText(last.seq, this.lastIndex),
      );
    }
    if (this.hardState.commit > this.lastIndex) {
      const what = lostText(this.lastIndex, this.hardState.commit);
      throw corruptError(this.newestPath, newest.offset, newest.records + 1, what);
    }
  }

  /** All segments are joined: what they come to, without a torn tail. Throws WAL_CORRUPT where something is missing. */
  finish(segments: readonly SegmentName[]): RecoveredLog {
    this.checkNothingIsMissing(segments);
    const last = segments[segments.length - 1]!;
    const newest = this.newest!;
    const { hardState } = this;
    this.points.setEnd(last.seq, newest.offset);
    return {
      metadata: this.metadata,
      hardState: hardState.term + hardState.vote + hardState.commit === 0 ? EMPTY_HARD_STATE : hardState,
      snapshots: this.snapshots,
      points: this.points,
      confChanges: this.confChanges,
      tail: {
        name: last.name,
        seq: last.seq,
        offset: newest.offset,
        headEnd: newest.headEnd,
        crc: this.crc,
        lastIndex: this.lastIndex,
        lastTerm: this.lastTerm,
        hardState,
        sealed: newest.sealed === newest.offset,
      },
      tailBytes: newest.size,
      records: this.records,
      segments: segments.length,
      torn:
        newest.tornUsed > 0 ? { file: this.newestPath, offset: newest.offset, used: newest.tornUsed } : null,
      unclosed: this.unclosed,
    };
  }
}

function endsWithSeal({ sealed, offset }: SegmentScan): boolean {
  return sealed > 0 && sealed === offset;
}

const COPY_BYTES = 256 << 10;

/**
 * Keeps a copy of the segment as it was, then overwrites the torn end, [offset, used), with zeros (its size stays). From
 * behind: while anything is left there, the sector of the damaged frame still tells that it is torn.
 */
export async function cutTorn(walFs: WalFs, dir: string, { file, offset, used }: TornEnd): Promise<TornTail> {
  const copy = brokenPath(file);
  await copyTo(walFs, copy, file, used);
  await walFs.syncDir(dir);
  await withFile(walFs, file, fs.constants.O_WRONLY, async (fd) => {
    const next = Math.min(used, offset - (offset % SECTOR_BYTES) + SECTOR_BYTES);
    await runAsync(fillZeros(walFs, fd, next, used));
    await runAsync(fillZeros(walFs, fd, offset, next));
  });
  return { file, offset, bytesCut: used - offset, copy };
}

/** The first `bytes` of `file`, durably. Where that fails nothing of it is left: on a full disk each start would leave one. */
async function copyTo(walFs: WalFs, copy: string, file: string, bytes: number): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL } = fs.constants;
  const source = asyncSource(file);
  try {
    await withFile(walFs, copy, O_WRONLY | O_CREAT | O_EXCL, async (fd) => {
      const piece = new Uint8Array(Math.min(COPY_BYTES, bytes));
      for (let at = 0; at < bytes; at += source.got) {
        await source.read(piece, 0, Math.min(piece.length, bytes - at), at);
        assert(source.got > 0, "segment became shorter while it was opened");
        await walFs.write(fd, piece, 0, source.got, at);
      }
      await walFs.fdatasync(fd);
    });
  } catch (error) {
    fs.rmSync(copy, { force: true });
    throw error;
  } finally {
    source.close();
  }
}
