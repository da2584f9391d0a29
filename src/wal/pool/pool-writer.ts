// The main thread's side of a log whose encoding, CRC and writes run on a worker: a Piscina pool of two threads, one
// held by a task that lives as long as the log, one for short tasks (preparing segments). They meet in a shared WASM
// memory that holds the ring, the control words and the output region; news come back through Atomics.waitAsync.
import { setImmediate as nextTurn } from "node:timers/promises";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { assert } from "../../base/assert.js";
import type { RaftmarkError } from "../../base/errors.js";
import { fromPlain, type PlainError, warningOf, writeError } from "../disk/errors.js";
import type { FsSpec } from "../disk/wal-fs.js";
import { type CodecMemory, memoryOver } from "../format/codec.js";
import { createWasmMemory, type WasmMemory, wasmModule } from "../format/codec-wasm.js";
import * as L from "../format/layout.js";
import { type PrepareTask, removePrepared } from "../write/prepare.js";
import { Preparer } from "../write/preparer.js";
import { type WriterSetup, writerMemoryBytes } from "../write/segment-writer.js";
import type { Writer, WriterOptions } from "../write/writer.js";
import type { Meeting } from "./meeting.js";
import type { ThreadPool } from "./thread-pool.js";

/** One is held by the writer's task, one is for the preparing of segments. */
export const WRITER_THREADS = 2;

/** What the long-lived task gets. */
export interface WalTask {
  module: object;
  memory: WasmMemory;
  setup: WriterSetup;
  /** Carries the data of entries that are too large for the ring; and warnings (PlainError) back. */
  large: MessagePort;
  walFs: FsSpec | null;
  busyPollUs: number;
}

export interface PoolPrepareTask extends PrepareTask {
  control: SharedArrayBuffer;
  walFs: FsSpec | null;
}

export class PoolWriter implements Writer {
  readonly memory: CodecMemory;
  readonly overlaps = true;
  readonly ready: Promise<void>;
  onNotice: () => void = () => {};
  onFault: (error: RaftmarkError) => void = () => {};
  onWarning: (warning: RaftmarkError) => void = () => {};
  private readonly options: WriterOptions;
  private readonly pool: ThreadPool;
  private readonly task: Promise<void>;
  private readonly large: MessagePort;
  readonly preparer: Preparer;
  private ended = false;
  private faulted = false;
  private closing = false;
  /** WORD_NOTICE when it was looked at last. */
  private seen = 0;
  /** A waitAsync is pending. */
  private waiting = false;
  /** Looks each turn of the event loop until `pollUntil` (performance.now()); meanwhile nothing else need wait. */
  private polling = false;
  private pollUntil = 0;
  private readonly busyPollMs: number;

  /** `pool` has WRITER_THREADS threads and runs wal-worker.ts; it is ended with the writer. */
  constructor(options: WriterOptions, pool: ThreadPool) {
    this.options = options;
    const { setup } = options;
    this.busyPollMs = options.busyPollUs / 1000;
    const memory = createWasmMemory(writerMemoryBytes(setup.ringBytes, setup.outBytes));
    this.memory = memoryOver(memory.buffer);
    this.pool = pool;
    this.preparer = new Preparer(setup, this.memory, {
      prepare: (task) =>
        this.prepare({ ...task, control: memory.buffer as SharedArrayBuffer, walFs: options.walFs }),
      warn: (error) => this.onWarning(warningOf(error, setup.dir)),
      ended: () => this.wake(),
    });
    const channel = new MessageChannel();
    channel.port1.on("message", (warning: PlainError) => this.onWarning(fromPlain(warning)));
    // After a listener was added, which would keep the process alive.
    channel.port1.unref();
    this.large = channel.port1;
    const task: WalTask = {
      module: wasmModule(),
      memory,
      setup,
      large: channel.port2,
      walFs: options.walFs,
      busyPollUs: options.busyPollUs,
    };
    const run = nextTurn().then(() => pool.run<WalTask, PlainError | null>("runWal", task, [channel.port2]));
    this.task = run.then(
      (failure) => this.taskEnded(failure === null ? null : fromPlain(failure)),
      (error: unknown) => this.taskEnded(writeError(error, setup.dir)),
    );
    // The task's first notice says that it runs.
    this.ready = new Promise((resolve) => {
      const started = (): void => {
        this.preparer.next();
        resolve();
        this.listen();
      };
      const wait = this.waitNotice(0);
      const first = Promise.race([wait.async ? wait.value : Promise.resolve(), this.task]);
      // The second thread starts now, too: later there may be no file descriptor left for it. Without it nothing is
      // prepared ahead, which each attempt says.
      const alone: Meeting = { arrivals: new Int32Array(new SharedArrayBuffer(4)), threads: 1 };
      const second = nextTurn()
        .then(nextTurn)
        .then(() => pool.run<Meeting, void>("runMeeting", alone))
        .catch(() => {});
      void Promise.all([first, second]).then(started);
    });
  }

  wake(): void {
    // hot
    const { i32 } = this.memory;
    Atomics.add(i32, L.WORD_WAKE, 1);
    Atomics.notify(i32, L.WORD_WAKE);
    if (this.busyPollMs === 0) return;
    this.pollUntil = performance.now() + this.busyPollMs;
    if (this.polling) return;
    this.polling = true;
    setImmediate(this.poll);
  }

  pointsConsumed(): void {
    this.wake();
  }

  sendLarge(data: Uint8Array): void {
    // A copy: the array may be a view of a pool, which would travel as a whole.
    const copy = new Uint8Array(data);
    this.large.postMessage(copy, [copy.buffer]);
  }

  private waitNotice(seen: number): ReturnType<typeof Atomics.waitAsync> {
    return Atomics.waitAsync(this.memory.i32, L.WORD_NOTICE, seen);
  }

  // Waits for the next notice, forever: a pending waitAsync keeps no process alive.
  private listen(): void {
    this.takeNotice();
    if (this.ended || this.polling || this.waiting) return;
    const wait = this.waitNotice(this.seen);
    if (wait.async) {
      this.waiting = true;
      void wait.value.then(this.woken);
    } else setImmediate(this.listenAgain);
  }

  private readonly listenAgain = (): void => this.listen();

  private readonly woken = (): void => {
    this.waiting = false;
    this.listen();
  };

  private readonly poll = (): void => {
    if (Atomics.load(this.memory.i32, L.WORD_NOTICE) !== this.seen) this.takeNotice();
    if (performance.now() < this.pollUntil && !this.ended) {
      setImmediate(this.poll);
      return;
    }
    this.polling = false;
    this.listen();
  };

  private takeNotice(): void {
    if (this.ended) return;
    this.seen = Atomics.load(this.memory.i32, L.WORD_NOTICE);
    this.preparer.next();
    this.onNotice();
  }

  /** Null: because the log was closed. */
  private taskEnded(fault: RaftmarkError | null): void {
    this.ended = true;
    void this.preparer.stop();
    this.large.close();
    // Ends the waiting: a waiter that is never woken would hold the memory for good.
    Atomics.notify(this.memory.i32, L.WORD_NOTICE);
    // Everything durable before the fault is still reported.
    this.onNotice();
    this.faulted = fault !== null;
    if (fault === null) assert(this.closing, "the writer ended without being closed");
    else this.onFault(fault);
  }

  private async prepare(task: PoolPrepareTask): Promise<void> {
    const failure = await this.pool.run<PoolPrepareTask, PlainError | null>("runPrepare", task);
    if (failure !== null) throw fromPlain(failure);
  }

  async close(): Promise<void> {
    this.closing = true;
    await this.preparer.stop();
    Atomics.store(this.memory.i32, L.WORD_CLOSING, 1);
    this.wake();
    await this.task;
    await this.pool.end();
    // Of a log that is not ours any more, nothing is; opening removes them, too.
    if (!this.faulted) removePrepared(this.options.setup.dir);
  }
}
