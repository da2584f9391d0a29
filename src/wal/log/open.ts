// Opens a log: takes the lock, creates or recovers the directory, starts the writer.
import fs from "node:fs";
import path from "node:path";
import { types } from "node:util";
import { NO_DATA } from "../../base/bytes.js";
import { RaftmarkError } from "../../base/errors.js";
import { EMPTY_CONF_STATE, type SnapshotMetadata } from "../../raft/raftpb/index.js";
import { endIfAborted } from "../disk/abort.js";
import { ADVICE, openError } from "../disk/errors.js";
import { type DirLock, lockDir } from "../disk/lock.js";
import { asyncFs, type Durability, loadFs, type WalFs } from "../disk/wal-fs.js";
import { createJsCodec } from "../format/codec-js.js";
import { bindWasmCodec, createMemory, createWasmMemory, wasmModule } from "../format/codec-wasm.js";
import {
  DIR_MODE,
  SEGMENT_BYTES_DEFAULT,
  SEGMENT_BYTES_MIN,
  type SegmentName,
  snapDirBeside,
} from "../format/format.js";
import { DurableLog } from "../read/wal-storage.js";
import { type RecoveredLog, recover, type ScanPool } from "../recover/recovery.js";
import {
  chooseSnapshot,
  listSnapshots,
  provenState,
  type SnapshotChoice,
  setAside,
  snapName,
} from "../snap/snap-dir.js";
import type { SnapshotSetup } from "../snap/snapshot-keeper.js";
import { InlineWriter } from "../write/inline-writer.js";
import { type WriterSetup, writerMemoryBytes } from "../write/segment-writer.js";
import { BUSY_POLL_US_MAX, type Writer, type WriterKind, type WriterOptions } from "../write/writer.js";
import {
  beginDraft,
  chooseDurability,
  create,
  mendDir,
  removeLeftovers,
  segmentsIn,
  syncFound,
} from "./files.js";
import type { Recovered, Wal, WalOptions } from "./types.js";
import { RingWal } from "./wal.js";

const WRITERS: readonly unknown[] = ["inline-js", "inline-wasm", "pool-wasm"] satisfies WriterKind[];
const DURABILITIES: readonly unknown[] = ["o_direct", "o_dsync", "fdatasync", "none"] satisfies Durability[];
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
  const checked = checkOptions(options);
  const { dir, snapDir } = checked;
  let lock: DirLock | null = null;
  let storage: DurableLog | null = null;
  const pool = makeThreads(options.writer === "pool-wasm");
  try {
    fs.mkdirSync(path.dirname(dir), { recursive: true, mode: DIR_MODE });
    lock = await lockDir(dir, options.signal);
    endIfAborted(options.signal);
    const walFs = await loadFs(asyncFs, options.walFs ?? null);
    const segments = segmentsIn(dir);
    const created = segments.length === 0;
    if (created) {
      checkNoSnapshots(dir, snapDir);
      removeLeftovers(dir, snapDir);
    }
    const newest = created ? beginDraft(dir) : `${dir}/${segments[segments.length - 1]!.name}`;
    const plan = { ...checked, durability: chooseDurability(options.durability, newest) };
    const log = created
      ? await create(dir, newest, plan, walFs)
      : await recoverDir(segments, plan, walFs, pool);
    const choice = await chooseSnapshots(log, plan);
    endIfAborted(options.signal);
    // All is read and judged: only now something is changed, and what is refused stays as it was.
    removeLeftovers(dir, snapDir);
    const brokenSnapshots = setAside(choice.damaged);
    const torn = created ? null : await mendDir(dir, log, plan, walFs);
    const strangeSnapshots = strangersIn(snapDir, log);
    const opened = { created, durability: plan.durability, torn, brokenSnapshots, strangeSnapshots };
    const recovered = describe(log, opened, choice);
    storage = newStorage(log, plan, recovered.metadata);
    storage.begin(choice.base, recovered.snapshot, recovered.confChanges);
    const writer = await startWriter(writerSetup(lock.file, log, plan), plan, walFs, pool);
    const snapshots = snapshotSetup(choice.kept, plan, walFs);
    const { ringBytes, onWarning = () => {} } = plan;
    const wal = new RingWal({ recovered, storage, writer, ringBytes, lock, snapshots, onWarning });
    await writer.ready;
    if (wal.fault === null) return wal;
    await wal.close();
    throw wal.fault;
  } catch (error) {
    await pool.end();
    await storage?.close();
    lock?.release();
    throw openError(error, dir);
  }
}

type Filled =
  | "snapDir"
  | "ringBytes"
  | "segmentBytes"
  | "snapshotsKept"
  | "snapshotCatchUpBytes"
  | "busyPollUs";
/** Options whose paths are whole and whose numbers are sound, with the defaults filled in. */
type Checked = WalOptions & Required<Pick<WalOptions, Filled>>;
/** The same, with the durability that the file system takes. */
type Plan = Checked & { readonly durability: Durability };

function checkOptions(options: WalOptions): Checked {
  checkNames(options);
  const dir = path.resolve(options.dir);
  const snapDir = options.snapDir === undefined ? snapDirBeside(dir) : path.resolve(options.snapDir);
  const ringBytes = options.ringBytes ?? RING_BYTES_DEFAULT;
  const segmentBytes = options.segmentBytes ?? SEGMENT_BYTES_DEFAULT;
  const { recoveryThreads } = options;
  const snapshotsKept = options.snapshotsKept ?? SNAPSHOTS_KEPT_DEFAULT;
  const snapshotCatchUpBytes = options.snapshotCatchUpBytes ?? 0;
  const busyPollUs = options.busyPollUs ?? 0;
  const isPowerOfTwo = (ringBytes & (ringBytes - 1)) === 0;
  if (!isPowerOfTwo || !(ringBytes >= RING_BYTES_MIN && ringBytes <= RING_BYTES_MAX))
    throw bad({ ringBytes }, `a power of two from ${RING_BYTES_MIN} to ${RING_BYTES_MAX}`);
  if (!isWhole(segmentBytes, SEGMENT_BYTES_MIN, 0x7fffffff))
    throw bad({ segmentBytes }, `from ${SEGMENT_BYTES_MIN} to 2147483647`);
  if (recoveryThreads !== undefined && !isWhole(recoveryThreads, 0, 1024))
    throw bad({ recoveryThreads }, "from 0 to 1024");
  if (!isWhole(snapshotsKept, 1)) throw bad({ snapshotsKept }, "at least 1");
  if (!isWhole(snapshotCatchUpBytes, 0)) throw bad({ snapshotCatchUpBytes }, "at least 0");
  if (!(busyPollUs >= 0 && busyPollUs <= BUSY_POLL_US_MAX))
    throw bad({ busyPollUs }, `from 0 to ${BUSY_POLL_US_MAX}`);
  const numbers = { ringBytes, segmentBytes, snapshotsKept, snapshotCatchUpBytes, busyPollUs };
  return { ...options, dir, snapDir, ...numbers };
}

/** Of who compiles nothing: a durability that is none would be no durability. */
function checkNames({ dir, snapDir, metadata, writer, durability }: WalOptions): void {
  if (!isPath(dir)) throw bad({ dir }, PATH_RULE);
  if (snapDir !== undefined && !isPath(snapDir)) throw bad({ snapDir }, PATH_RULE);
  if (metadata !== undefined && !types.isUint8Array(metadata))
    throw bad({ metadata: typeof metadata }, "a Uint8Array");
  if (writer !== undefined && !WRITERS.includes(writer))
    throw bad({ writer }, `one of ${WRITERS.join(", ")}`);
  if (durability !== undefined && !DURABILITIES.includes(durability))
    throw bad({ durability }, `one of ${DURABILITIES.join(", ")}`);
}

const PATH_RULE = "a path, which has no NUL character";

function isPath(value: unknown): boolean {
  return typeof value === "string" && value !== "" && !value.includes("\0");
}

function isWhole(value: number, min: number, max = Infinity): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

function bad(option: Readonly<Record<string, unknown>>, rule: string): RaftmarkError {
  const [name, value] = Object.entries(option)[0]!;
  return new RaftmarkError("RAFT_BAD_OPTION", `${name} must be ${rule}, not ${String(value)}`);
}

async function recoverDir(
  segments: readonly SegmentName[],
  options: Plan,
  walFs: WalFs,
  pool: LogThreads,
): Promise<RecoveredLog> {
  const { dir } = options;
  fs.accessSync(dir, fs.constants.W_OK);
  if (options.durability !== "none") await syncFound(walFs, dir, segments);
  const js = options.writer === "inline-js";
  return await recover(dir, segments, { js, threads: options.recoveryThreads, pool, signal: options.signal });
}

function newStorage(log: RecoveredLog, options: Plan, metadata: Uint8Array): DurableLog {
  const { dir, confState = EMPTY_CONF_STATE } = options;
  return new DurableLog({
    dir,
    points: log.points,
    lastIndex: log.tail.lastIndex,
    hardState: log.hardState,
    confState: typeof confState === "function" ? confState(metadata) : confState,
    cacheBytesMax: options.logCacheBytes ?? LOG_CACHE_BYTES_DEFAULT,
    segmentBytes: options.segmentBytes,
    catchUpBytesPerS: options.catchUpBytesPerS ?? Infinity,
  });
}

function writerSetup(lock: WriterSetup["lock"], log: RecoveredLog, options: Plan): WriterSetup {
  const { dir, durability, segmentBytes, ringBytes } = options;
  const { metadata, tail } = log;
  const outBytes = Math.max(ringBytes >>> 1, 64 << 10);
  const batchBytesMax = Math.max(1, Math.min(options.batchBytesMax ?? outBytes, outBytes));
  return { dir, lock, metadata, durability, segmentBytes, ringBytes, outBytes, batchBytesMax, tail };
}

async function startWriter(
  setup: WriterSetup,
  { writer, walFs: spec, busyPollUs }: Plan,
  walFs: WalFs,
  pool: LogThreads,
): Promise<Writer> {
  const options: WriterOptions = { setup, walFs: spec ?? null, busyPollUs };
  if (writer === "pool-wasm") return pool.startWriter(options);
  const bytes = Math.ceil(writerMemoryBytes(setup.ringBytes, setup.outBytes) / 8) * 8;
  const codec =
    writer === "inline-js"
      ? createJsCodec(createMemory(bytes, false).buffer as ArrayBuffer)
      : bindWasmCodec(wasmModule(), createWasmMemory(bytes));
  return new InlineWriter(codec, walFs, options);
}

// A node that starts anew under its old name would vote again in terms it voted in.
function checkNoSnapshots(dir: string, snapDir: string): void {
  const [first] = listSnapshots(snapDir);
  if (first === undefined) return;
  const text = `there are snapshots in ${snapDir} (${first.name}) and no log in ${dir}: this node has lost its log. ${ADVICE} (A backup begins a new group: raftmark wal new-group)`;
  throw new RaftmarkError("WAL_CORRUPT", text);
}

// Which snapshot the log starts from, and what term and commit are by it.
async function chooseSnapshots(log: RecoveredLog, options: Plan): Promise<SnapshotChoice> {
  const { dir, snapDir } = options;
  const { snapshots, points, tail } = log;
  const choice = await chooseSnapshot(
    dir,
    snapDir,
    { snapshots, points, lastIndex: tail.lastIndex },
    options.signal,
  );
  log.hardState = provenState(log.hardState, tail.lastTerm, choice.kept.at(-1) ?? null);
  tail.hardState = log.hardState;
  // As many as count while the log is open; older ones go with the next release.
  const kept = choice.kept.slice(-options.snapshotsKept);
  const isFull = kept.length === options.snapshotsKept && options.snapshotCatchUpBytes === 0;
  const base = isFull ? kept[0]! : choice.base;
  return { ...choice, kept, base };
}

// Beyond the log's end: older ones that a crash left unrecorded go with the next release.
function strangersIn(snapDir: string, { snapshots, tail }: RecoveredLog): string[] {
  const recorded = new Set(snapshots.map(snapName));
  return listSnapshots(snapDir)
    .filter(({ name, index }) => index > tail.lastIndex && !recorded.has(name))
    .map(({ name }) => name);
}

function snapshotSetup(kept: SnapshotMetadata[], options: Plan, walFs: WalFs): SnapshotSetup {
  const { dir, snapDir, snapshotsKept, snapshotCatchUpBytes, segmentBytes, durability } = options;
  return {
    dir,
    snapDir,
    fs: walFs,
    kept,
    keep: snapshotsKept,
    catchUpBytes: snapshotCatchUpBytes,
    reserveBytes: 2 * segmentBytes,
    synced: durability !== "none",
  };
}

function describe(
  log: RecoveredLog,
  opened: Pick<Recovered, "created" | "durability" | "torn" | "brokenSnapshots" | "strangeSnapshots">,
  { base, kept }: SnapshotChoice,
): Recovered {
  return {
    ...opened,
    metadata: log.metadata ?? NO_DATA,
    hardState: log.hardState,
    lastIndex: log.tail.lastIndex,
    firstIndex: base.index + 1,
    records: log.records,
    segments: log.segments,
    confChanges: log.confChanges.filter((index) => index > base.index),
    snapshot: kept[kept.length - 1] ?? null,
  };
}
