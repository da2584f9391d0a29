// What scans segments on the pool of a recovery: one call a segment, one codec and one window a thread.
import fs from "node:fs";
import os from "node:os";
import type { Codec } from "../wal/codec.js";
import { createJsCodec } from "../wal/codec-js.js";
import { bindWasmCodec, createWasmMemory } from "../wal/codec-wasm.js";
import { SegmentScanner, scanMemoryBytes } from "../wal/scan-segment.js";
import { type SegmentSource, syncSource } from "../wal/segment-source.js";
import { runSync } from "../wal/wal-fs.js";
import type { PoolScan, PoolScanTask } from "./scan-pool.js";

export { runMeeting } from "./end-pool.js";

/** What is read at a time: it stays in the core's cache while it is scanned. */
const WINDOW_BYTES = 256 << 10;

let codec: Codec | null = null;

/** Of this thread alone: where there are as many threads as cores, the main thread still gets its turn at once. */
const NICE = 5;
yieldToOthers();

function yieldToOthers(): void {
  try {
    // "PID/task/TID"; Linux takes a thread's id where others take a process's.
    const [, , thread] = fs.readlinkSync("/proc/thread-self").split("/");
    os.setPriority(Number(thread), NICE);
  } catch {
    // No /proc, or not allowed: it is a courtesy.
  }
}

/** Scans one segment. */
export function runScan(task: PoolScanTask): PoolScan {
  const { module } = task;
  const codecOf = (bytes: number): Codec =>
    module === null ? createJsCodec(new ArrayBuffer(bytes)) : bindWasmCodec(module, createWasmMemory(bytes));
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
