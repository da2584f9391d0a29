// File operations of a disk that is slower by a known time: the log of one follower runs on them (WalOptions.walFs).
// Loaded where the writer runs, on the main thread or on a worker.
import type { WalFs } from "../../src/wal/disk/wal-fs.js";

/** The base's operations with `delayMs` added to each write of records; zeros filled in ahead are left alone. */
export function createWalFs(delayMs: number, base: WalFs): WalFs {
  const sleeping = new Int32Array(new SharedArrayBuffer(4));
  return {
    ...base,
    write(fd, bytes, from, to, position) {
      const step = base.write(fd, bytes, from, to, position);
      if (isFilling(bytes, from, to)) return step;
      // Synchronous operations belong to a worker, which may sleep; on the main thread they are promises.
      if (step !== undefined) return step.then(() => new Promise((resolve) => setTimeout(resolve, delayMs)));
      Atomics.wait(sleeping, 0, 0, delayMs);
    },
  };
}

const LENGTH_BYTES = 8;

/** A record begins with its length, which is not zero. */
function isFilling(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < Math.min(to, from + LENGTH_BYTES); at++) if (bytes[at] !== 0) return false;
  return true;
}
