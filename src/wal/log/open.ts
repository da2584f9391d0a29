// Opens a log: takes the lock, creates or recovers the directory, starts the writer.
import fs from "node:fs";
import path from "node:path";
import { NO_DATA } from "../../base/bytes.js";
import { RaftmarkError } from "../../base/errors.js";
import { EMPTY_CONF_STATE, EMPTY_HARD_STATE, type SnapshotMetadata } from "../../raft/raftpb/index.js";
import { BLOCK_BYTES, takesDirect } from "../disk/direct.js";
import { ADVICE, openError } from "../disk/errors.js";
import { type DirLock, lockDir } from "../disk/lock.js";
import { asyncFs, type Durability, FILE_MODE, loadFs, runAsync, type WalFs } from "../disk/wal-fs.js";
import { createJsCodec } from "../format/codec-js.js";
import { bindWasmCodec, createMemory, createWasmMemory, wasmModule } from "../format/codec-wasm.js";
import {
  DIR_MODE,
  RECORD_CRC,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  SEAL_BYTES,
  SEGMENT_BYTES_DEFAULT,
  SEGMENT_BYTES_MIN,
  SEGMENT_END_BYTES,
  type SegmentName,
  segmentName,
} from "../format/format.js";
import { PointIndex } from "../format/point-index.js";
import { encodeSnapshotRecord, FrameBuilder } from "../format/record.js";
import { DurableLog } from "../read/wal-storage.js";
import {
  cutTorn,
  listSegments,
  type RecoveredLog,
  recover,
  type ScanPool,
  type TornTail,
} from "../recover/recovery.js";
import {
  chooseSnapshot,
  listSnapshots,
  raisedBy,
  removeDrafts,
  type SnapshotChoice,
} from "../snap/snap-dir.js";
import type { SnapshotSetup } from "../snap/snapshot-keeper.js";
import { InlineWriter } from "../write/inline-writer.js";
import { fillZeros, preparedBytes, prepareSegment, removePrepared } from "../write/prepare.js";
import { segmentHead, type TailState, type WriterSetup, writerMemoryBytes } from "../write/segment-writer.js";
import { BUSY_POLL_US_MAX, type Writer, type WriterOptions } from "../write/writer.js";
import type { Recovered, Wal, WalOptions } from "./types.js";
import { RingWal } from "./wal.js";

const LOG_CACHE_BYTES_DEFAULT = 64 << 20;
const SNAPSHOTS_KEPT_DEFAULT = 2;
const RING_BYTES_DEFAULT = 16 << 20;
const RING_BYTES_MIN = 1024;
const RING_BYTES_MAX = 1 << 30;

/** The threads of a log (pool/log-pool.ts): they scan it when it is opened, and write it from then on. */
export interface LogThreads extends ScanPool {
  /** The writer takes the threads over. */
  startWriter(options: WriterOptions): Promise<Writer>;
  /** Ends the threads, unless a writer has them. */
  end(): Promise<void>;
}

/**
 * Opens the log in `options.dir`, or creates it. One process at a time: WAL_LOCKED otherwise. `makeThreads` starts none
 * before they are asked for; `writes`: startWriter will be called, so that they stay when the scan is over.
 */
export async function openLog(
  options: WalOptions,
  makeThreads: (writes: boolean) => LogThreads,
): Promise<Wal> {
  const dir = path.resolve(options.dir);
  const { ringBytes, segmentBytes, snapshotsKept, catchUpBytes, busyPollUs } = checkNumbers(options);
  let lock: DirLock | null = null;
  let storage: DurableLog | null = null;
  const pool = makeThreads(options.writer === "pool-wasm");
  try {
    fs.mkdirSync(path.dirname(dir), { recursive: true, mode: DIR_MODE });
    lock = await lockDir(dir);
    const walFs = await loadFs(asyncFs, options.walFs ?? null);
    const segments = removeLeftovers(dir);
    const created = segments.length === 0;
    const snapDir = path.resolve(options.snapDir ?? path.join(path.dirname(dir), "snap"));
    if (created) checkNoSnapshots(dir, snapDir);
    const newest = created ? beginDraft(dir) : `${dir}/${segments[segments.length - 1]!.name}`;
    const durability = chooseDurability(options.durability, newest);
    const plan = { ...options, durability, segmentBytes };
    const log = created
      ? await create(dir, newest, plan, walFs)
      : await recoverDir(dir, segments, plan, walFs, pool);
    const { base, kept, broken } = await chooseSnapshots(dir, snapDir, log, { snapshotsKept, catchUpBytes });
    // All is read and judged: only now something is changed, and what is refused stays as it was.
    const torn = created ? null : await mendDir(dir, log, plan, walFs);
    const snapshot = kept[kept.length - 1] ?? null;
    const recovered = describe(log, { created, durability, torn }, base.index, snapshot, broken);
    storage = new DurableLog(
      dir,
      log.points,
      log.tail.lastIndex,
      log.hardState,
      typeof options.confState === "function"
        ? options.confState(recovered.metadata)
        : (options.confState ?? EMPTY_CONF_STATE),
      options.logCacheBytes ?? LOG_CACHE_BYTES_DEFAULT,
      segmentBytes,
      options.catchUpBytesPerS ?? Infinity,
    );
    storage.begin(base, snapshot, recovered.confChanges);
    const outBytes = Math.max(ringBytes >>> 1, 64 << 10);
    const setup: WriterSetup = {
      dir,
      lock: lock.file,
      metadata: log.metadata,
      durability,
      segmentBytes,
      ringBytes,
      outBytes,
      batchBytesMax: Math.max(1, Math.min(options.batchBytesMax ?? outBytes, outBytes)),
      tail: log.tail,
    };
    const writer = await startWriter(
      options.writer,
      { setup, walFs: options.walFs ?? null, busyPollUs },
      walFs,
      pool,
    );
    const synced = durability !== "none";
    const keep = snapshotsKept;
    const reserveBytes = 2 * segmentBytes;
    const places = { dir, snapDir, fs: walFs, kept };
    const snapshots: SnapshotSetup = { ...places, keep, catchUpBytes, reserveBytes, synced };
    const wal = new RingWal(
      recovered,
      storage,
      writer,
      ringBytes,
      lock,
      snapshots,
      options.onWarning ?? (() => {}),
    );
    await writer.ready;
    const fault = wal.faulted();
    if (fault !== null) {
      await wal.close();
      throw fault;
    }
    return wal;
  } catch (error) {
    await pool.end();
    await storage?.close();
    lock?.release();
    throw openError(error, dir);
  }
}

function checkNumbers(options: WalOptions): {
  ringBytes: number;
  segmentBytes: number;
  snapshotsKept: number;
  catchUpBytes: number;
  busyPollUs: number;
} {
  const ringBytes = options.ringBytes ?? RING_BYTES_DEFAULT;
  const segmentBytes = options.segmentBytes ?? SEGMENT_BYTES_DEFAULT;
  const isPowerOfTwo = (ringBytes & (ringBytes - 1)) === 0;
  if (!isPowerOfTwo || !(ringBytes >= RING_BYTES_MIN && ringBytes <= RING_BYTES_MAX)) {
    const text = `ringBytes must be a power of two from ${RING_BYTES_MIN} to ${RING_BYTES_MAX}, not ${ringBytes}`;
    throw new RaftmarkError("RAFT_BAD_OPTION", text);
  }
  if (!Number.isInteger(segmentBytes) || segmentBytes < SEGMENT_BYTES_MIN || segmentBytes > 0x7fffffff) {
    const text = `segmentBytes must be from ${SEGMENT_BYTES_MIN} to 2147483647, not ${segmentBytes}`;
    throw new RaftmarkError("RAFT_BAD_OPTION", text);
  }
  const threads = options.recoveryThreads;
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 0 && threads <= 1024)) {
    throw new RaftmarkError("RAFT_BAD_OPTION", `recoveryThreads must be from 0 to 1024, not ${threads}`);
  }
  const snapshotsKept = options.snapshotsKept ?? SNAPSHOTS_KEPT_DEFAULT;
  if (!Number.isInteger(snapshotsKept) || snapshotsKept < 1) {
    throw new RaftmarkError("RAFT_BAD_OPTION", `snapshotsKept must be at least 1, not ${snapshotsKept}`);
  }
  const catchUpBytes = options.snapshotCatchUpBytes ?? 0;
  if (!(Number.isInteger(catchUpBytes) && catchUpBytes >= 0)) {
    throw new RaftmarkError(
      "RAFT_BAD_OPTION",
      `snapshotCatchUpBytes must be at least 0, not ${catchUpBytes}`,
    );
  }
  const busyPollUs = options.busyPollUs ?? 0;
  if (!(busyPollUs >= 0 && busyPollUs <= BUSY_POLL_US_MAX)) {
    const text = `busyPollUs must be from 0 to ${BUSY_POLL_US_MAX}, not ${busyPollUs}`;
    throw new RaftmarkError("RAFT_BAD_OPTION", text);
  }
  return { ringBytes, segmentBytes, snapshotsKept, catchUpBytes, busyPollUs };
}

// What a process that died left half done: a directory never renamed, segments prepared and never used.
function removeLeftovers(dir: string): SegmentName[] {
  fs.rmSync(`${dir}.tmp`, { recursive: true, force: true });
  if (!fs.existsSync(dir)) return [];
  removePrepared(dir);
  return listSegments(dir);
}

/** Options as they are meant. */
type Plan = WalOptions & { durability: Durability; segmentBytes: number };

function chooseDurability(asked: Durability | undefined, file: string): Durability {
  if (asked !== undefined && asked !== "o_direct") return asked;
  if (takesDirect(file)) return "o_direct";
  if (asked === undefined) return "o_dsync";
  const text = `durability o_direct: the file system of ${path.dirname(file)} takes no direct writes; give o_dsync, or leave durability out`;
  throw new RaftmarkError("RAFT_BAD_OPTION", text);
}

const FIRST_SEGMENT = segmentName(0, 0);

/** The directory under the name of a draft, with the first segment's file; returns that one's path. */
function beginDraft(dir: string): string {
  const draft = `${dir}.tmp`;
  fs.mkdirSync(draft, { mode: DIR_MODE });
  const file = `${draft}/${FIRST_SEGMENT}`;
  fs.writeFileSync(file, new Uint8Array(BLOCK_BYTES), { mode: FILE_MODE });
  return file;
}

// WAL-FORMAT section 5, "Create": the directory gets its name when its first segment is complete.
async function create(dir: string, file: string, options: Plan, walFs: WalFs): Promise<RecoveredLog> {
  const { durability, segmentBytes } = options;
  const draft = path.dirname(file);
  const sparse = durability === "none";
  const metadata = options.metadata === NO_DATA ? null : options.metadata;
  const frames = new FrameBuilder(0);
  frames.record(RECORD_CRC, null);
  frames.record(RECORD_METADATA, metadata);
  frames.record(RECORD_SNAPSHOT, encodeSnapshotRecord(0, 0, null));
  frames.seal();
  const head = frames.take();
  const bytes = preparedBytes(Math.max(segmentBytes, head.length + SEGMENT_END_BYTES), durability);
  const direct = durability === "o_direct";
  const task = { path: file, bytes, sparse, recycled: false, direct, count: 0 };
  await runAsync(prepareSegment(walFs, task));
  await writeAt(walFs, file, head, 0);
  await walFs.syncDir(draft);
  await syncAbove(walFs, path.dirname(dir));
  // An empty directory of that name may be there; the rename replaces it.
  fs.renameSync(draft, dir);
  await walFs.syncDir(path.dirname(dir));
  const tail: TailState = {
    name: FIRST_SEGMENT,
    seq: 0,
    offset: head.length,
    headEnd: head.length,
    crc: frames.crc,
    lastIndex: 0,
    lastTerm: 0,
    hardState: EMPTY_HARD_STATE,
    sealed: true,
  };
  return {
    metadata,
    hardState: EMPTY_HARD_STATE,
    snapshots: [{ index: 0, term: 0, confState: EMPTY_CONF_STATE }],
    points: new PointIndex(),
    confChanges: [],
    tail,
    tailBytes: segmentBytes,
    records: 4,
    segments: 1,
    torn: null,
    unclosed: null,
  };
}

/**
 * Makes the names of `dir` and of everything above it durable: whoever made them may not have, and with one of them the
 * log would be gone. What this process may not open was there before it.
 */
async function syncAbove(walFs: WalFs, dir: string): Promise<void> {
  for (let name = dir; path.dirname(name) !== name; name = path.dirname(name)) {
    try {
      await walFs.syncDir(path.dirname(name));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EACCES" && code !== "EPERM") throw error;
    }
  }
}

async function writeAt(walFs: WalFs, file: string, bytes: Uint8Array, offset: number): Promise<void> {
  const fd = walFs.open(file, fs.constants.O_WRONLY);
  try {
    await walFs.write(fd, bytes, 0, bytes.length, offset);
    await walFs.fdatasync(fd);
  } finally {
    walFs.close(fd);
  }
}

/**
 * What is found counts as durable from here on, and may be acknowledged: but a process that was killed leaves in the
 * page cache what it had not synced yet, names and records. Of older segments all was durable before the newest had a
 * name.
 */
async function syncFound(walFs: WalFs, dir: string, segments: readonly SegmentName[]): Promise<void> {
  const newest = segments[segments.length - 1]!;
  const fd = walFs.open(`${dir}/${newest.name}`, fs.constants.O_WRONLY);
  try {
    await walFs.fdatasync(fd);
  } finally {
    walFs.close(fd);
  }
  await walFs.syncDir(dir);
  await walFs.syncDir(path.dirname(dir));
}

async function truncateAt(walFs: WalFs, file: string, bytes: number): Promise<void> {
  const fd = walFs.open(file, fs.constants.O_WRONLY);
  try {
    await walFs.truncate(fd, bytes);
    await walFs.fdatasync(fd);
  } finally {
    walFs.close(fd);
  }
}

async function recoverDir(
  dir: string,
  segments: readonly SegmentName[],
  options: Plan,
  walFs: WalFs,
  pool: LogThreads,
): Promise<RecoveredLog> {
  fs.accessSync(dir, fs.constants.W_OK);
  if (options.durability !== "none") await syncFound(walFs, dir, segments);
  const js = options.writer === "inline-js";
  return await recover(dir, segments, { js, threads: options.recoveryThreads, pool });
}

/** Makes of a recovered log one that can be written: cuts a torn end, and completes what a crash or another program left. */
async function mendDir(
  dir: string,
  log: RecoveredLog,
  options: Plan,
  walFs: WalFs,
): Promise<TornTail | null> {
  const torn = log.torn === null ? null : await cutTorn(walFs, dir, log.torn);
  const { tail } = log;
  const file = `${dir}/${tail.name}`;
  if (tail.headEnd === 0) {
    const head = segmentHead(tail.crc, log.metadata, tail.hardState);
    await writeAt(walFs, file, head.bytes, 0);
    tail.offset = head.bytes.length;
    tail.headEnd = head.bytes.length;
    tail.crc = head.crc;
    tail.sealed = true;
  }
  // A crash came before the end of a cut.
  if (log.unclosed !== null) await truncateAt(walFs, log.unclosed.path, log.unclosed.bytes);
  // A file cut short by repair or damage: appends go over written blocks again.
  const bytes = Math.max(options.segmentBytes, tail.offset + SEAL_BYTES + SEGMENT_END_BYTES);
  if (log.tailBytes < bytes) {
    const fd = walFs.open(file, fs.constants.O_WRONLY);
    const from = Math.max(log.tailBytes, tail.offset);
    try {
      if (options.durability === "none") await walFs.truncate(fd, bytes);
      else await runAsync(fillZeros(walFs, fd, from, bytes));
    } finally {
      walFs.close(fd);
    }
  }
  // After a torn write was cut, or where another program wrote the log: the next write begins behind a seal.
  if (!tail.sealed) {
    const frames = new FrameBuilder(tail.crc);
    frames.seal();
    await writeAt(walFs, file, frames.take(), tail.offset);
    tail.offset += SEAL_BYTES;
    tail.sealed = true;
  }
  return torn;
}

async function startWriter(
  kind: WalOptions["writer"],
  options: WriterOptions,
  walFs: WalFs,
  pool: LogThreads,
): Promise<Writer> {
  if (kind === "pool-wasm") return pool.startWriter(options);
  const bytes = Math.ceil(writerMemoryBytes(options.setup.ringBytes, options.setup.outBytes) / 8) * 8;
  const codec =
    kind === "inline-js"
      ? createJsCodec(createMemory(bytes, false).buffer as ArrayBuffer)
      : bindWasmCodec(wasmModule(), createWasmMemory(bytes));
  return new InlineWriter(codec, walFs, options);
}

// A node that starts anew under its old name would vote again in terms it voted in.
function checkNoSnapshots(dir: string, snapDir: string): void {
  const [first] = listSnapshots(snapDir);
  if (first === undefined) return;
  const text = `there are snapshots in ${snapDir} (${first.name}) and no log in ${dir}: this node has lost its log. ${ADVICE}`;
  throw new RaftmarkError("WAL_CORRUPT", text);
}

// Which snapshot the log starts from, and what it and the newest entry prove about term and commit: of a torn write,
// entries may be kept of a term whose state, behind them, is lost.
async function chooseSnapshots(
  dir: string,
  snapDir: string,
  log: RecoveredLog,
  keep: { snapshotsKept: number; catchUpBytes: number },
): Promise<SnapshotChoice> {
  removeDrafts(snapDir);
  const { snapshots, points, tail } = log;
  const choice = await chooseSnapshot(dir, snapDir, { snapshots, points, lastIndex: tail.lastIndex });
  const newest = choice.kept[choice.kept.length - 1];
  log.hardState = raisedBy({ index: 0, term: tail.lastTerm }, log.hardState);
  if (newest !== undefined) log.hardState = raisedBy(newest, log.hardState);
  tail.hardState = log.hardState;
  // As many as count while the log is open; older ones go with the next release.
  const kept = choice.kept.slice(-keep.snapshotsKept);
  const isFull = kept.length === keep.snapshotsKept && keep.catchUpBytes === 0;
  const base = isFull ? kept[0]! : choice.base;
  return { ...choice, kept, base };
}

function describe(
  log: RecoveredLog,
  opened: Pick<Recovered, "created" | "durability" | "torn">,
  baseIndex: number,
  snapshot: SnapshotMetadata | null,
  brokenSnapshots: string[],
): Recovered {
  return {
    ...opened,
    metadata: log.metadata ?? NO_DATA,
    hardState: log.hardState,
    lastIndex: log.tail.lastIndex,
    firstIndex: baseIndex + 1,
    records: log.records,
    segments: log.segments,
    confChanges: log.confChanges.filter((index) => index > baseIndex),
    snapshot,
    brokenSnapshots,
  };
}
