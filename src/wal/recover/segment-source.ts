// Reads a segment in pieces: synchronously on a worker, through libuv's threads on the main thread.
import fs from "node:fs";
import { endIfAborted } from "../disk/abort.js";
import type { Step } from "../disk/wal-fs.js";

export interface SegmentSource {
  size: number;
  /** Bytes that the last read gave; 0 at the end of the file. */
  got: number;
  read(into: Uint8Array, at: number, bytes: number, position: number): Step;
  close(): void;
}

export function syncSource(path: string): SegmentSource {
  const fd = fs.openSync(path, "r");
  return {
    size: fs.fstatSync(fd).size,
    got: 0,
    read(into, at, bytes, position) {
      this.got = fs.readSync(fd, into, at, bytes, position);
    },
    close: () => fs.closeSync(fd),
  };
}

/** Reads throw RAFT_ABORTED once `signal` is aborted. */
export function asyncSource(path: string, signal?: AbortSignal): SegmentSource {
  const fd = fs.openSync(path, "r");
  return {
    size: fs.fstatSync(fd).size,
    got: 0,
    read(into, at, bytes, position) {
      endIfAborted(signal);
      return new Promise((resolve, reject) => {
        fs.read(fd, into, at, bytes, position, (error, got) => {
          this.got = got;
          if (error === null) resolve();
          else reject(error);
        });
      });
    },
    close: () => fs.closeSync(fd),
  };
}
