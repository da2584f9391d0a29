// The writers inline-js and inline-wasm: encoding on the main thread, write and sync in libuv's threads, one batch
// at a time. The bench compares them with the pool's; they also need no worker where a process can have none.
import { assert } from "../base/assert.js";
import type { Batcher } from "./batcher.js";
import type { FileSystem } from "./file-system.js";
import type { Segments, SyncMode } from "./segments.js";
import type { Writer, WriterEvents } from "./writer.js";

export class InlineWriter implements Writer {
  private readonly fs: FileSystem;
  private readonly batcher: Batcher;
  private readonly segments: Segments;
  private readonly mode: SyncMode;
  private readonly events: WriterEvents;
  private readonly prepareAhead: () => Promise<void>;
  private busy = false;
  private failed = false;
  private closed: (() => void) | null = null;
  private preparing: Promise<void> = Promise.resolve();

  constructor(
    fs: FileSystem,
    batcher: Batcher,
    segments: Segments,
    mode: SyncMode,
    prepareAhead: () => Promise<void>,
    events: WriterEvents,
  ) {
    this.fs = fs;
    this.batcher = batcher;
    this.segments = segments;
    this.mode = mode;
    this.prepareAhead = prepareAhead;
    this.events = events;
  }

  poke(): void {
    if (!this.busy && !this.failed) this.pump();
  }

  prepare(): void {
    this.preparing = this.preparing.then(this.prepareAhead);
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.closed = resolve;
      this.poke();
      if (this.failed) resolve();
    });
    await this.preparing;
  }

  /** Starts the next batch if there is one that must be durable. */
  private pump(): void {
    const { batcher } = this;
    batcher.take();
    if (batcher.due || (this.closed !== null && batcher.pendingBytes > 0)) this.write(0);
    else if (this.closed !== null) this.finish();
  }

  private write(done: number): void {
    this.busy = true;
    const { batcher, segments } = this;
    const left = batcher.pendingBytes - done;
    this.fs.write(
      segments.fd,
      batcher.bytes,
      batcher.out + done,
      left,
      segments.offset + done,
      (error, written) => {
        if (error !== null) this.fail(error);
        else if (written < left) this.write(done + written);
        else if (this.mode === "fdatasync") this.sync();
        else this.done();
      },
    );
  }

  private sync(): void {
    this.fs.fdatasync(this.segments.fd, (error) => {
      if (error !== null) this.fail(error);
      else this.done();
    });
  }

  private done(): void {
    const { batcher, segments } = this;
    try {
      const offset = segments.offset;
      segments.offset += batcher.pendingBytes;
      batcher.written(segments.seq, offset, segments.syncsPerWrite);
      if (segments.full)
        batcher.cut(segments.seq + 1, segments.cut(batcher.crc, batcher.lastIndex, batcher.hardState));
    } catch (error) {
      this.fail(error as NodeJS.ErrnoException);
      return;
    }
    this.busy = false;
    this.events.onNews();
    this.poke();
  }

  private finish(): void {
    assert(this.closed !== null, "finished without being asked to");
    try {
      this.segments.close();
    } catch (error) {
      this.fail(error as NodeJS.ErrnoException);
    }
    this.closed();
  }

  private fail(error: NodeJS.ErrnoException): void {
    this.failed = true;
    this.closed?.();
    this.events.onFailure(error);
  }
}
