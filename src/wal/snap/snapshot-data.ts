// A snapshot's state on its way to and from disk, as callers see it: no type of Node's.
import type { SnapshotMetadata } from "../../raft/raftpb/index.js";

/** A snapshot's state on its way to disk: whole, or as it comes. Chunks are borrowed until the next is asked for. */
export type SnapshotData = Uint8Array | AsyncIterable<Uint8Array>;

/**
 * A snapshot's state on its way from disk, a chunk at a time; chunks are the reader's. The CRC is known to be right
 * only at the end: a damaged file ends in WAL_CORRUPT, and what was read before counts for nothing.
 */
export interface SnapshotStream extends AsyncIterable<Uint8Array> {
  readonly metadata: SnapshotMetadata;
  /** Bytes of the state. */
  readonly size: number;
  /** Lets go of the file; not needed once the stream was read, to its end or not. */
  close(): Promise<void>;
}

/** What a call takes that may be aborted. */
export interface Abortable {
  signal?: AbortSignal;
}
