// The writer as the log sees it. Implementations: inline-writer.ts (main thread, asynchronous file operations) and
// pool/pool-writer.ts (a task on the pool that lives as long as the log).
import type { RaftmarkError } from "../../base/errors.js";
import type { FsSpec } from "../disk/wal-fs.js";
import type { CodecMemory } from "../format/codec.js";
import type { Preparer } from "./preparer.js";
import type { WriterSetup } from "./segment-writer.js";

/** Where encoding, CRC and writes of the log run. */
export type WriterKind = "inline-js" | "inline-wasm" | "pool-wasm";

export interface Writer {
  /** The memory with the ring and the control words. */
  readonly memory: CodecMemory;
  /** Has the segments to come made, of released ones where it can. */
  readonly preparer: Preparer;
  /** It encodes on another thread, while this one pushes. */
  readonly overlaps: boolean;
  /** Resolved when appends can be taken at full speed. */
  readonly ready: Promise<void>;
  /** Items were published. */
  wake(): void;
  /** Data of the next ITEM_LARGE; called before the item is published. Keeps no reference beyond the write. */
  sendLarge(data: Uint8Array): void;
  /** The points of the sparse index were consumed. */
  pointsConsumed(): void;
  /** Control words changed. Called from the event loop, never from inside wake(). */
  onNotice: () => void;
  /** Writing failed; nothing is written any more. Called once, from the event loop. */
  onFault: (error: RaftmarkError) => void;
  /** Preparing space ahead failed; the log goes on without. From the event loop. */
  onWarning: (warning: RaftmarkError) => void;
  /** Writes what is published, closes files, ends threads. */
  close(): Promise<void>;
}

/** Beyond a second, sleeping costs nothing that matters. */
export const BUSY_POLL_US_MAX = 1_000_000;

export interface WriterOptions {
  setup: WriterSetup;
  walFs: FsSpec | null;
  /** WalOptions.busyPollUs; nothing to a writer on the main thread. */
  busyPollUs: number;
}
