// The threads of one log: they scan its segments when it is opened, and write it from then on. Main thread.
import { setImmediate } from "node:timers/promises";
import { wasmModule } from "../format/codec-wasm.js";
import type { ScanTask, SegmentScan } from "../recover/scan-segment.js";
import type { Writer, WriterOptions } from "../write/writer.js";
import { PoolWriter, WRITER_THREADS } from "./pool-writer.js";
import type { PoolScan, PoolScanTask } from "./scan-worker.js";
import { ThreadPool } from "./thread-pool.js";

const MODULE = "./wal-worker.js";

export class LogPool {
  private pool: ThreadPool | null = null;
  private readonly writes: boolean;

  /** `writes`: a writer will take the threads over. */
  constructor(writes: boolean) {
    this.writes = writes;
  }

  /**
   * The scans in the order of `tasks`, by so many threads. Leaving the loop early ends the rest. The threads end with
   * it, unless there will be a writer.
   */
  async *scan(
    tasks: readonly ScanTask[],
    threads: number,
    js: boolean,
  ): AsyncGenerator<SegmentScan, void, void> {
    const pool = new ThreadPool(MODULE, this.writes ? Math.max(threads, WRITER_THREADS) : threads);
    this.pool = pool;
    const module = js ? null : wasmModule();
    const scans: Promise<PoolScan>[] = [];
    let running = 0;
    let wanted = 0;
    const start = (): void => {
      while (running < threads && scans.length < Math.min(wanted, tasks.length)) {
        const task: PoolScanTask = { ...tasks[scans.length]!, module };
        const scan = pool.run<PoolScanTask, PoolScan>("runScan", task);
        scans.push(scan);
        running++;
        scan.then(ended, ended);
      }
    };
    const ended = (): void => {
      running--;
      start();
    };
    try {
      // One thread a turn: starting it holds this one for some milliseconds.
      while (++wanted < threads) {
        start();
        await setImmediate();
      }
      for (let at = 0; at < tasks.length; at++) {
        // A few ahead of the one waited for: enough to keep every thread busy, little to wait for if the log is damaged.
        wanted = at + 2 * threads;
        start();
        const scan = await scans[at]!;
        if ("message" in scan) throw Object.assign(new Error(scan.message), { code: scan.code });
        yield scan;
      }
    } finally {
      wanted = 0;
      await Promise.allSettled(scans);
      if (!this.writes) await this.end();
    }
  }

  /** The writer takes the threads over. */
  async startWriter(options: WriterOptions): Promise<Writer> {
    // It keeps no more than it needs.
    if (this.pool !== null && this.pool.threads > WRITER_THREADS) await this.end();
    const writer = new PoolWriter(options, this.pool ?? new ThreadPool(MODULE, WRITER_THREADS));
    this.pool = null;
    return writer;
  }

  /** Ends the threads, unless a writer has them. */
  async end(): Promise<void> {
    const { pool } = this;
    this.pool = null;
    await pool?.end();
  }
}
