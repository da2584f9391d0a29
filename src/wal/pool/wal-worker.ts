// What runs on the pool of a log. `runScan`: reads a segment when the log is opened. `runWal`: the writer, from open to
// close; it sleeps in Atomics.wait and takes everything that waits as one group commit. `runPrepare`: zero-fills a
// segment.
import { dirname } from "node:path";
import { receiveMessageOnPort } from "node:worker_threads";
import { assert } from "../../base/assert.js";
import { type PlainError, toPlain, warningOf, writeError } from "../disk/errors.js";
import { loadFs, runSync, syncFs } from "../disk/wal-fs.js";
import { bindWasmCodec } from "../format/codec-wasm.js";
import * as L from "../format/layout.js";
import { isHurried, prepareSegment } from "../write/prepare.js";
import { DESCRIPTOR_WAIT_MS, SegmentWriter, type WriterHooks } from "../write/segment-writer.js";
import type { PoolPrepareTask, WalTask } from "./pool-writer.js";

export { runMeeting } from "./meeting.js";
export { runScan } from "./scan-worker.js";

/** How often a thread that polls looks before it asks for the time. */
const LOOKS = 32;

/** The words that the two threads share, as the writer's looks at them and waits for the main one's. */
class Words {
  private readonly i32: Int32Array;
  private readonly busyPollMs: number;

  constructor(i32: Int32Array, busyPollUs: number) {
    this.i32 = i32;
    this.busyPollMs = busyPollUs / 1000;
  }

  load(word: number): number {
    return Atomics.load(this.i32, word);
  }

  notify(): void {
    Atomics.add(this.i32, L.WORD_NOTICE, 1);
    Atomics.notify(this.i32, L.WORD_NOTICE);
  }

  /** Returns when the main thread has raised WORD_WAKE from `seen`: looks for a while, then sleeps. */
  awaitWake(seen: number): void {
    if (this.busyPollMs > 0) {
      const until = performance.now() + this.busyPollMs;
      do {
        for (let i = 0; i < LOOKS; i++) if (this.load(L.WORD_WAKE) !== seen) return;
      } while (performance.now() < until);
    }
    Atomics.wait(this.i32, L.WORD_WAKE, seen);
  }

  sleepUntil(done: () => boolean): void {
    for (;;) {
      const seen = this.load(L.WORD_WAKE);
      if (done()) return;
      this.awaitWake(seen);
    }
  }

  /** A wake-up ends it early. */
  sleep(ms: number): void {
    Atomics.wait(this.i32, L.WORD_WAKE, this.load(L.WORD_WAKE), ms);
  }
}

/** Ends when the log is closed (null) or a write failed. */
export async function runWal(task: WalTask): Promise<PlainError | null> {
  const fs = await loadFs(syncFs, task.walFs);
  const codec = bindWasmCodec(task.module, task.memory);
  const words = new Words(codec.memory.i32, task.busyPollUs);
  let segments: SegmentWriter | null = null;
  try {
    segments = new SegmentWriter(codec, fs, task.setup, hooksOf(task, words));
    words.notify();
    for (;;) {
      const seen = words.load(L.WORD_WAKE);
      const closing = words.load(L.WORD_CLOSING) === 1;
      if (words.load(L.WORD_TAIL) !== words.load(L.WORD_HEAD)) runSync(segments.commit());
      else if (closing) return null;
      else words.awaitWake(seen);
    }
  } catch (error) {
    return toPlain(writeError(error, task.setup.dir));
  } finally {
    segments?.close();
    task.large.close();
  }
}

function hooksOf({ large, setup }: WalTask, words: Words): WriterHooks {
  return {
    notify: () => words.notify(),
    waitPrepared: (taken) =>
      words.sleepUntil(
        () =>
          words.load(L.WORD_PREPARED) > taken ||
          words.load(L.WORD_PREPARE_FAILED) > taken ||
          words.load(L.WORD_CLOSING) === 1,
      ),
    waitPoints: (head) => words.sleepUntil(() => words.load(L.WORD_POINTS_HEAD) >>> 0 !== head),
    waitRest: (tail, part) =>
      words.sleepUntil(() => words.load(L.WORD_PART) !== part || words.load(L.WORD_TAIL) >>> 0 !== tail),
    waitDescriptor: () => words.sleep(DESCRIPTOR_WAIT_MS),
    warn: (error) => large.postMessage(toPlain(warningOf(error, setup.dir))),
    takeLarge: () => {
      // It was posted before the item was published, so it is there.
      const received = receiveMessageOnPort(large);
      assert(received !== undefined, "no data for a large entry");
      return received.message as Uint8Array;
    },
  };
}

/** A segment's file, full of zeros. Null: done. */
export async function runPrepare(task: PoolPrepareTask): Promise<PlainError | null> {
  const i32 = new Int32Array(task.control);
  try {
    const fs = await loadFs(syncFs, task.walFs);
    runSync(prepareSegment(fs, task, () => isHurried(i32, task.count)));
    return null;
  } catch (error) {
    return toPlain(warningOf(error, dirname(task.path)));
  }
}
