// The writer on the main thread: encoding and CRC run here (TypeScript or WASM), file operations on libuv's threads.
// One batch is under way at a time; what is appended meanwhile becomes the next.
import { assert } from "../../base/assert.js";
import type { RaftmarkError } from "../../base/errors.js";
import { warningOf, writeError } from "../disk/errors.js";
import { runAsync, type WalFs } from "../disk/wal-fs.js";
import type { Codec, CodecMemory } from "../format/codec.js";
import * as L from "../format/layout.js";
import { isHurried, Preparer, type PrepareTask, prepareSegment, removePrepared } from "./prepare.js";
import { SegmentWriter } from "./segment-writer.js";
import type { Writer, WriterOptions } from "./writer.js";

const WORDS = L.CONTROL / 4;
const DESCRIPTOR_WAIT_MS = 20;

export class InlineWriter implements Writer {
  readonly memory: CodecMemory;
  readonly overlaps = false;
  readonly ready = Promise.resolve();
  onNotice: () => void = () => {};
  onFault: (error: RaftmarkError) => void = () => {};
  onWarning: (warning: RaftmarkError) => void = () => {};
  private readonly fs: WalFs;
  private readonly options: WriterOptions;
  private readonly segments: SegmentWriter;
  private readonly large: Uint8Array[] = [];
  /** Invariant: while true, `running` will look at the ring again before it ends. */
  private busy = false;
  private running: Promise<void> = Promise.resolve();
  /** Inside wake(): a notice has to wait for the event loop. */
  private waking = false;
  private closing = false;
  private faulted = false;
  private readonly preparer: Preparer;
  private preparing: Promise<void> = Promise.resolve();

  constructor(codec: Codec, fs: WalFs, options: WriterOptions) {
    this.memory = codec.memory;
    this.fs = fs;
    this.options = options;
    this.segments = new SegmentWriter(codec, fs, options.setup, {
      notify: () => this.notify(),
      waitPrepared: () => {
        this.prepareNext();
        return this.preparing;
      },
      waitPoints: () => new Promise((resolve) => setImmediate(resolve)),
      waitDescriptor: () => new Promise((resolve) => setTimeout(resolve, DESCRIPTOR_WAIT_MS)),
      waitRest: () => assert(false, "an append was shown in parts"),
      warn: (error) => this.warn(error),
      takeLarge: () => this.large.shift()!,
    });
    const { dir, segmentBytes, durability, tail } = options.setup;
    this.preparer = new Preparer(dir, segmentBytes, tail.offset, durability);
    this.prepareNext();
  }

  wake(): void {
    if (this.busy || this.faulted) return;
    this.busy = true;
    this.waking = true;
    this.running = this.run();
    this.waking = false;
  }

  sendLarge(data: Uint8Array): void {
    this.large.push(data);
  }

  pointsConsumed(): void {}

  private async run(): Promise<void> {
    const { i32 } = this.memory;
    try {
      for (;;) {
        const tail = Atomics.load(i32, WORDS + L.WORD_TAIL) >>> 0;
        if (tail === Atomics.load(i32, WORDS + L.WORD_HEAD) >>> 0) break;
        await runAsync(this.segments.commit());
        this.prepareNext();
      }
    } catch (error) {
      this.faulted = true;
      // Out of this call: the log's handler may close or throw.
      setImmediate(() => this.onFault(writeError(error, this.options.setup.dir)));
    }
    this.busy = false;
  }

  // Not called from here: an error thrown by the log's owner must not pass for a failed write.
  private notify(): void {
    if (this.waking) setImmediate(() => this.onNotice());
    else queueMicrotask(() => this.onNotice());
  }

  private warn(error: unknown): void {
    const warning = warningOf(error, this.options.setup.dir);
    setImmediate(() => this.onWarning(warning));
  }

  private prepareNext(): void {
    const { i32, f64 } = this.memory;
    const task = this.closing ? null : this.preparer.next(i32, f64);
    if (task !== null) this.prepare(task, Promise.resolve());
  }

  async recycle(rename: (to: string) => Promise<void>): Promise<boolean> {
    const { i32, f64 } = this.memory;
    const task = this.closing ? null : this.preparer.recycle(i32, f64);
    if (task === null) return false;
    const renamed = rename(task.path);
    this.prepare(task, renamed);
    await renamed;
    return true;
  }

  private prepare(task: PrepareTask, ready: Promise<void>): void {
    const { i32 } = this.memory;
    const hurry = (): boolean => this.closing || isHurried(i32, task.count);
    this.preparing = ready
      .then(() => runAsync(prepareSegment(this.fs, task, hurry)))
      .then(
        () => {
          Atomics.store(i32, WORDS + L.WORD_PREPARED, task.count);
        },
        (error: unknown) => {
          this.warn(error);
        },
      );
  }

  async close(): Promise<void> {
    if (!this.faulted) this.wake();
    while (this.busy) await this.running;
    this.closing = true;
    await this.preparing;
    this.segments.close();
    // Of a log that is not ours any more, nothing is; opening removes them, too.
    if (!this.faulted) removePrepared(this.options.setup.dir);
  }
}
