// The writer on the main thread: encoding and CRC run here (TypeScript or WASM), file operations on libuv's threads.
// One batch is under way at a time; what is appended meanwhile becomes the next.
import { assert } from "../../base/assert.js";
import type { RaftmarkError } from "../../base/errors.js";
import { warningOf, writeError } from "../disk/errors.js";
import { runAsync, type WalFs } from "../disk/wal-fs.js";
import type { Codec, CodecMemory } from "../format/codec.js";
import * as L from "../format/layout.js";
import { isHurried, prepareSegment, removePrepared } from "./prepare.js";
import { Preparer } from "./preparer.js";
import { DESCRIPTOR_WAIT_MS, SegmentWriter } from "./segment-writer.js";
import type { Writer, WriterOptions } from "./writer.js";

export class InlineWriter implements Writer {
  readonly memory: CodecMemory;
  readonly overlaps = false;
  readonly ready = Promise.resolve();
  onNotice: () => void = () => {};
  onFault: (error: RaftmarkError) => void = () => {};
  onWarning: (warning: RaftmarkError) => void = () => {};
  private readonly options: WriterOptions;
  private readonly segments: SegmentWriter;
  private readonly large: Uint8Array[] = [];
  /** Invariant: while true, `running` will look at the ring again before it ends. */
  private busy = false;
  private running: Promise<void> = Promise.resolve();
  /** Inside wake(): a notice has to wait for the event loop. */
  private waking = false;
  private faulted = false;
  readonly preparer: Preparer;

  constructor(codec: Codec, fs: WalFs, options: WriterOptions) {
    this.memory = codec.memory;
    this.options = options;
    this.segments = new SegmentWriter(codec, fs, options.setup, {
      notify: () => this.notify(),
      waitPrepared: () => {
        this.preparer.next();
        return this.preparer.underWay;
      },
      waitPoints: () => new Promise((resolve) => setImmediate(resolve)),
      waitDescriptor: () => new Promise((resolve) => setTimeout(resolve, DESCRIPTOR_WAIT_MS)),
      waitRest: () => assert(false, "an append was shown in parts"),
      warn: (error) => this.warn(error),
      takeLarge: () => this.large.shift()!,
    });
    const { i32 } = codec.memory;
    this.preparer = new Preparer(options.setup, codec.memory, {
      prepare: (task) => runAsync(prepareSegment(fs, task, () => isHurried(i32, task.count))),
      warn: (error) => this.warn(error),
      ended: () => {},
    });
    this.preparer.next();
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
        const tail = Atomics.load(i32, L.WORD_TAIL) >>> 0;
        if (tail === Atomics.load(i32, L.WORD_HEAD) >>> 0) break;
        await runAsync(this.segments.commit());
        this.preparer.next();
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

  async close(): Promise<void> {
    if (!this.faulted) this.wake();
    while (this.busy) await this.running;
    await this.preparer.stop();
    this.segments.close();
    // Of a log that is not ours any more, nothing is; opening removes them, too.
    if (!this.faulted) removePrepared(this.options.setup.dir);
  }
}
