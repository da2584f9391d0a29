// A disk that takes its time for large writes, by their bytes. Loaded by the log through its walFs option.
import { isMainThread } from "node:worker_threads";
import type { WalFs } from "../../src/wal/disk/wal-fs.js";

/** Smaller ones take no time. */
const LARGE_BYTES = 64 << 10;

export function createWalFs({ bytesPerS }: { bytesPerS: number }, base: WalFs): WalFs {
  return {
    ...base,
    write(fd, bytes, from, to, position) {
      const step = base.write(fd, bytes, from, to, position);
      if (to - from < LARGE_BYTES) return step;
      const ms = ((to - from) / bytesPerS) * 1000;
      if (isMainThread) return Promise.resolve(step).then(() => new Promise((done) => setTimeout(done, ms)));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
      return undefined;
    },
  };
}
