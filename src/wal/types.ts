// The shapes of the WAL: what openWal takes and gives. The writer behind it is an interface (writer.ts), so that
// what runs on the main thread and what runs on the pool are told apart in one place only.
import type { RaftmarkError } from "../base/errors.js";
import type { Durability, WriterKind } from "../node/api.js";
import type { ConfState, Entry, HardState } from "../raft/raftpb/index.js";
import type { Storage } from "../raft/storage.js";
import type { BatchTimes } from "./batch-times.js";

export interface WalOptions {
  /** The directory that becomes the wal directory; its lock lies beside it as `DIR.lock`. */
  dir: string;
  /** Opaque bytes for the metadata record of a new log; of an existing log the stored ones count. */
  metadata: Uint8Array;
  writer: WriterKind;
  durability: Durability;
  /** Bytes of one segment. Default 64,000,000, as etcd's. */
  segmentBytes?: number;
  /** Bytes of entries kept in memory for reads. Default 64 MiB. */
  logCacheBytes?: number;
  /** Bytes of the ring between the main thread and the writer, a power of two. Default 16 MiB. */
  ringBytes?: number;
  /** Most bytes of one group commit; a single larger entry still goes through. Default: half the ring. */
  batchBytesMax?: number;
  /** Membership that storage reports until conf changes and snapshots are stored: the initial voters. */
  confState?: ConfState;
  /**
   * For tests of faults: a module exporting `createWalFs(arg)`, which returns the file operations that the writer
   * uses (wal-fs.ts). Loaded where the writer runs.
   */
  walFs?: { module: string; arg: unknown };
}

/** A cut tail: everything from `offset` on was copied with its segment and then overwritten with zeros. */
export interface TornTail {
  file: string;
  offset: number;
  bytesCut: number;
  copy: string;
}

/** What opening found. */
export interface Recovered {
  /** No log was there; a new one was made. */
  created: boolean;
  metadata: Uint8Array;
  hardState: HardState;
  /** 0 if there are no entries. */
  lastIndex: number;
  firstIndex: number;
  records: number;
  segments: number;
  torn: TornTail | null;
}

/** Counters since the log was opened, and one gauge. */
export interface WalStats {
  writes: number;
  syncs: number;
  bytes: number;
  entries: number;
  appends: number;
  /** Gauge: bytes of entries that wait on the main thread because the ring is full. */
  backlogBytes: number;
}

/** The log as raft reads it. Holds what is durable, and nothing else. */
export interface WalStorage extends Storage {
  /** Bytes of entries held in memory now. */
  readonly cacheBytes: number;
}

export interface Wal {
  readonly recovered: Recovered;
  readonly storage: WalStorage;
  /**
   * Queues; returns the sequence number (1, 2, 3 ...) of this append. hardState null = unchanged. Entries are
   * borrowed until durable (the Entry objects are kept, the array is not). Throws RAFT_FENCED after a fault and
   * RAFT_CLOSED after close.
   */
  append(hardState: HardState | null, entries: readonly Entry[], mustSync: boolean): number;
  /** Called with the highest durable sequence, from the event loop, after storage has the entries. */
  onDurable: (seq: number) => void;
  /** Called once, from the event loop. Nothing becomes durable after it. */
  onFault: (error: RaftmarkError) => void;
  /** The gauge of stats(), without the rest: read every turn. */
  readonly backlogBytes: number;
  stats(): WalStats;
  /** When batches were encoded and durable, once enabled; for measurements. */
  readonly batchTimes: BatchTimes;
  /**
   * Waits until everything queued is durable (unless faulted), flushes unsynced commit state, closes files, ends
   * the worker, releases the lock. Idempotent.
   */
  close(): Promise<void>;
}
