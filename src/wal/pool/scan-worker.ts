// Scans segments on the pool: one call a segment, one codec and one window a thread.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { runSync } from "../disk/wal-fs.js";
import type { Codec } from "../format/codec.js";
import {
  codecsOf,
  type ScanTask,
  type SegmentScan,
  SegmentScanner,
  scanMemoryBytes,
} from "../recover/scan-segment.js";
import { type SegmentSource, syncSource } from "../recover/segment-source.js";

export interface PoolScanTask extends ScanTask {
  /** Null: scan with the TypeScript codec. */
  module: object | null;
}

/** An error object would lose its code on the way. */
export type PoolScan = SegmentScan | { code: string; message: string };

/** What is read at a time: it stays in the core's cache while it is scanned. */
const WINDOW_BYTES = 256 << 10;

let codec: Codec | null = null;

/** While it scans, everyone else comes first: there may be as many threads as cores, and the event loop shares them. */
const NICE_SCANNING = 19;
let threadId: number | null = null;

// Linux takes a thread's id where others take a process's. 0: there is none, or the system (CAP_SYS_NICE, RLIMIT_NICE)
// would not let this thread come back, and it has other work afterwards.
function reniceableThread(): number {
  try {
    // "PID/task/TID"
    const id = Number(path.basename(fs.readlinkSync("/proc/thread-self")));
    const own = os.getPriority(id);
    os.setPriority(id, own - 1);
    os.setPriority(id, own);
    return id;
  } catch {
    return 0;
  }
}

/** Scans one segment. */
export function runScan(task: PoolScanTask): PoolScan {
  threadId ??= reniceableThread();
  if (threadId === 0) return scan(task);
  const own = os.getPriority(threadId);
  os.setPriority(threadId, NICE_SCANNING);
  try {
    return scan(task);
  } finally {
    os.setPriority(threadId, own);
  }
}

function scan(task: PoolScanTask): PoolScan {
  const codecOf = codecsOf(task.module);
  codec ??= codecOf(scanMemoryBytes(WINDOW_BYTES));
  let source: SegmentSource | null = null;
  try {
    source = syncSource(task.path);
    const scanner = new SegmentScanner(task, source, codec, codecOf, null);
    runSync(scanner.run());
    return scanner.result;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return { code, message };
  } finally {
    source?.close();
  }
}
