// The shapes of the WAL: what openWal takes and gives. The writer behind it is an interface (writer.ts), so that
// what runs on the main thread and what runs on the pool are told apart in one place only.
import type { RaftmarkError } from "../../base/errors.js";
import type { ConfState, Entry, HardState, SnapshotMetadata } from "../../raft/raftpb/index.js";
import type { Durability } from "../disk/wal-fs.js";
import type { WalStorage } from "../read/wal-storage.js";
import type { TornTail } from "../recover/recovery.js";
import type { SnapshotFile } from "../snap/snap-transfer.js";
import type { Abortable, SnapshotData, SnapshotStream } from "../snap/snapshot-data.js";
import type { BatchTimes } from "../write/batch-times.js";
import type { DurationHistogram } from "../write/sync-times.js";
import type { WriterKind } from "../write/writer.js";

/** What openWal takes. Sizes are bytes. */
export interface WalOptions {
  /** The directory that becomes the wal directory; its lock lies beside it as `DIR.lock`, where symbolic links lead. */
  dir: string;
  /** Opaque bytes for the metadata record of a new log; of an existing log the stored ones count. */
  metadata: Uint8Array;
  writer: WriterKind;
  /**
   * How an append becomes durable. `o_direct`: O_DSYNC and O_DIRECT, past the page cache; `o_dsync`: O_DSYNC;
   * `fdatasync`: after each write; `none`: not at all. Default: o_direct where the file system takes it, else o_dsync;
   * on macOS, whose O_DSYNC leaves data in the drive's cache, fdatasync (F_FULLFSYNC), and the first two are refused.
   */
  durability?: Durability | undefined;
  /** Bytes of one segment. Default 64,000,000, as etcd's. */
  segmentBytes?: number;
  /** Bytes of entries kept in memory for reads. Default 64 MiB. */
  logCacheBytes?: number;
  /** Bytes of the ring between the main thread and the writer, a power of two. Default 16 MiB. */
  ringBytes?: number;
  /** Most bytes of one group commit; a single larger entry still goes through. Default: half the ring. */
  batchBytesMax?: number;
  /**
   * Microseconds for which both threads of writer pool-wasm look for news before they sleep: the main thread from each
   * append on, the writer from each write on. Waking a thread that sleeps is a good part of a single append on a fast
   * disk. Costs up to a core a thread while the log is in use; 0 to 1,000,000. Default 0.
   */
  busyPollUs?: number;
  /**
   * Threads that check the segments when an existing log is opened, at most one a segment; 0: the main thread, in
   * small pieces. Default: one less than there are cores, at least one, and 0 for a small log.
   */
  recoveryThreads?: number;
  /**
   * Membership that storage reports as long as there is no snapshot: the initial voters; or how the log's own metadata
   * tells.
   */
  confState?: ConfState | ((metadata: Uint8Array) => ConfState);
  /** Where this log's snapshots lie. Default: `snap` beside the wal directory, as in etcd's member directory. */
  snapDir?: string;
  /**
   * How many snapshots are kept, and with them the entries behind the oldest: for followers that lag, and in case the
   * newest file is damaged. Segments that hold only older entries are released. Default 2; with as few as 1, a damaged
   * snapshot cannot be replaced by an older one.
   */
  snapshotsKept?: number;
  /**
   * Bytes of log that are kept in front of the newest snapshot, whatever snapshotsKept says: for followers that lag
   * less. Default 0.
   */
  snapshotCatchUpBytes?: number;
  /**
   * Bytes a second, 64 for each entry included, by which a member that old entries are read for gains on a log that
   * goes on, at least; a quarter of what is appended, if that is more. Default: as fast as the disk gives them.
   */
  catchUpBytesPerS?: number;
  /** Something failed that the log can do without, as preparing space ahead: WAL_NO_SPACE or WAL_IO. */
  onWarning?: (warning: RaftmarkError) => void;
  /** Ends the opening with RAFT_ABORTED, and nothing is changed then. Of no effect once it is open. */
  signal?: AbortSignal | undefined;
  /**
   * For tests of faults: a module exporting `createWalFs(arg)`, which returns the file operations that the writer
   * uses (wal-fs.ts). Loaded where the writer runs.
   */
  walFs?: { module: string; arg: unknown };
}

/** What opening found. */
export interface Recovered {
  /** No log was there; a new one was made. */
  created: boolean;
  /** As asked, or what the file system takes. */
  durability: Durability;
  metadata: Uint8Array;
  hardState: HardState;
  /** 0 if there are no entries. */
  lastIndex: number;
  firstIndex: number;
  records: number;
  segments: number;
  /** Indexes of the entries from firstIndex on that change the membership (not EntryNormal), ascending. */
  confChanges: readonly number[];
  torn: TornTail | null;
  /** The newest snapshot that reads well: the state machine starts from it. Null: from nothing, at entry 1. */
  snapshot: SnapshotMetadata | null;
  /** Files of newer snapshots that were damaged; each is now named `.snap.broken`. */
  brokenSnapshots: string[];
  /** Names of files that claim to be newer snapshots and that the log does not record, as copied there: they are not read. */
  strangeSnapshots: readonly string[];
}

/** Counters since the log was opened, and one gauge. */
export interface WalStats {
  writes: number;
  syncs: number;
  bytes: number;
  entries: number;
  appends: number;
  /** Segments released, and how many of them are used again. */
  released: number;
  recycled: number;
  /** The longest time from an append to its being durable. */
  appendLatencyMaxMs: number;
  /** Calls of WalOptions.onWarning. */
  warnings: number;
  /** Gauge: bytes of entries that wait on the main thread because the ring is full. */
  backlogBytes: number;
  /** Gauge: bytes in the ring, which the writer has not taken yet; and how many fit. */
  ringBytes: number;
  ringBytesMax: number;
}

/** An open log. Appends are durable in the order they were given. */
export interface Wal {
  readonly recovered: Recovered;
  readonly storage: WalStorage;
  /**
   * Queues an append and returns its sequence number, ascending from 1. hardState null: unchanged. Entries are borrowed
   * until they are durable; their array belongs to the log from now on. Throws RAFT_FENCED after a fault,
   * RAFT_CLOSED after close, and RAFT_INVARIANT, with nothing written, for what cannot follow: a gap, an entry in place
   * of a committed one, a term or a commit index that falls. Entries, and a new term
   * or vote, are synced; a commit index alone is not.
   */
  append(hardState: HardState | null, entries: readonly Entry[]): number;
  /** Called with the highest durable sequence, from the event loop, after storage has the entries. */
  onDurable: (seq: number) => void;
  /** Called once, from the event loop. Nothing becomes durable after it. */
  onFault: (error: RaftmarkError) => void;
  /**
   * For how long the disk has not answered although something waits for it: an append, or old entries that are read to
   * be applied or sent. 0 if nothing waits. A disk that is busy and answers again and again is not silent. Call it
   * often: of the time between two calls at most `gapMsMax` counts (by default all of it), since a process that was
   * suspended, or did not get to run, is no silent disk.
   */
  silentMs(gapMsMax?: number): number;
  /**
   * Writes a snapshot of the state at metadata.index (which must be applied, so committed), records it in the log
   * behind what was appended so far, and releases what is older than the kept ones: stageSnapshot, recordSnapshot, and
   * resolved when the release was tried.
   */
  saveSnapshot(metadata: SnapshotMetadata, data: SnapshotData, options?: Abortable): Promise<void>;
  /**
   * Writes the file of a snapshot, durably, and nothing else: for one that is received before raft has agreed to it. A
   * file that is never recorded goes when a later snapshot releases it. Rejected with WAL_SNAPSHOT_OUTDATED if one as
   * new is recorded, InvariantError if it is of another term than the committed entry at its index, RAFT_BAD_OPTION for
   * `data` that are no bytes, RAFT_ABORTED by `signal`, WAL_NO_SPACE or WAL_IO if it cannot be written (the log goes on
   * without it), or what the source of `data` threw.
   */
  stageSnapshot(metadata: SnapshotMetadata, data: SnapshotData, options?: Abortable): Promise<void>;
  /**
   * Records a staged snapshot behind what was appended so far. Resolved when the record is durable and storage has the
   * snapshot; for the release behind it only saveSnapshot and close() wait. A snapshot that the log does not lead up to
   * (its index is ahead of the log, or of another term there) replaces the log, which goes on at index + 1. Commit
   * index and term are raised to the snapshot's, if they are behind. The record takes a sequence number like an append.
   */
  recordSnapshot(metadata: SnapshotMetadata): Promise<void>;
  /**
   * The recorded snapshot at `index`, by default the newest; null if it is not there. It can be read to its end even
   * if it is released meanwhile; close() closes it (RAFT_CLOSED for who reads on).
   */
  openSnapshot(index?: number): Promise<SnapshotStream | null>;
  /** The file of the recorded snapshot at `index`, for another log to stage; null if it is not kept any more. */
  openSnapshotFile(index: number): Promise<SnapshotFile | null>;
  /**
   * As stageSnapshot, of such a file: what comes is written as it comes, and read back. Also rejected with WAL_CORRUPT
   * if that is not sound, or not of `metadata`.
   */
  stageSnapshotFile(
    metadata: SnapshotMetadata,
    pieces: AsyncIterable<Uint8Array>,
    options?: Abortable,
  ): Promise<void>;
  /**
   * Entries behind `index` are not released until another is set, as long as the disk has as much room as the log
   * takes; Infinity: none is held. Gives back nothing that is gone.
   */
  holdFrom(index: number): void;
  /** The gauge of stats(), without the rest: read every turn. */
  readonly backlogBytes: number;
  stats(): WalStats;
  /** How long batches took to become durable: a write, and the sync behind it where there is one. */
  syncTimes(): DurationHistogram;
  /** When batches were encoded and durable, once enabled; for measurements. */
  readonly batchTimes: BatchTimes;
  /**
   * Waits until everything queued is durable (unless faulted), flushes unsynced commit state, closes files, ends
   * the worker, releases the lock. Idempotent.
   */
  close(): Promise<void>;
}
