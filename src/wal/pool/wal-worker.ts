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
import { SegmentWriter } from "../write/segment-writer.js";
import type { PoolPrepareTask, WalTask } from "./pool-writer.js";

export { runMeeting } from "./meeting.js";
export { runScan } from "./scan-worker.js";

const WORDS = L.CONTROL / 4;
const DESCRIPTOR_WAIT_MS = 20;
/** How often a thread that polls looks before it asks for the time. */
const LOOKS = 32;

/** Ends when the log is closed (null) or a write failed. */
export async function runWal(task: WalTask): Promise<PlainError | null> {
  const fs = await loadFs(syncFs, task.walFs);
  const codec = bindWasmCodec(task.module, task.memory);
  const { i32 } = codec.memory;

  const busyPollMs = task.busyPollUs / 1000;
  /** Returns when the main thread has raised WORD_WAKE from `seen`: looks for a while, then sleeps. */
  const awaitWake = (seen: number): void => {
    if (busyPollMs > 0) {
      const until = performance.now() + busyPollMs;
      do {
        for (let i = 0; i < LOOKS; i++) if (Atomics.load(i32, WORDS + L.WORD_WAKE) !== seen) return;
      } while (performance.now() < until);
    }
    Atomics.wait(i32, WORDS + L.WORD_WAKE, seen);
  };
  const sleepUntil = (done: () => boolean): void => {
    for (;;) {
      const seen = Atomics.load(i32, WORDS + L.WORD_WAKE);
      if (done()) return;
      awaitWake(seen);
    }
  };
  const notify = (): void => {
    Atomics.add(i32, WORDS + L.WORD_NOTICE, 1);
    Atomics.notify(i32, WORDS + L.WORD_NOTICE);
  };
  let segments: SegmentWriter | null = null;
  try {
    segments = new SegmentWriter(codec, fs, task.setup, {
      notify,
      waitPrepared: (taken) =>
        sleepUntil(
          () =>
            Atomics.load(i32, WORDS + L.WORD_PREPARED) > taken ||
            Atomics.load(i32, WORDS + L.WORD_PREPARE_FAILED) > taken ||
            Atomics.load(i32, WORDS + L.WORD_CLOSING) === 1,
        ),
      waitPoints: (head) => sleepUntil(() => Atomics.load(i32, WORDS + L.WORD_POINTS_HEAD) >>> 0 !== head),
      waitRest: (tail, part) =>
        sleepUntil(
          () =>
            Atomics.load(i32, WORDS + L.WORD_PART) !== part ||
            Atomics.load(i32, WORDS + L.WORD_TAIL) >>> 0 !== tail,
        ),
      waitDescriptor: () => {
        // A wake-up ends it early, which does no harm.
        Atomics.wait(i32, WORDS + L.WORD_WAKE, Atomics.load(i32, WORDS + L.WORD_WAKE), DESCRIPTOR_WAIT_MS);
      },
      warn: (error) => {
        task.large.postMessage(toPlain(warningOf(error, task.setup.dir)));
      },
      takeLarge: () => {
        // It was posted before the item was published, so it is there.
        const received = receiveMessageOnPort(task.large);
        assert(received !== undefined, "no data for a large entry");
        return received.message as Uint8Array;
      },
    });
    notify();
    for (;;) {
      const seen = Atomics.load(i32, WORDS + L.WORD_WAKE);
      const closing = Atomics.load(i32, WORDS + L.WORD_CLOSING) === 1;
      const tail = Atomics.load(i32, WORDS + L.WORD_TAIL) >>> 0;
      if (tail !== Atomics.load(i32, WORDS + L.WORD_HEAD) >>> 0) runSync(segments.commit());
      else if (closing) return null;
      else awaitWake(seen);
    }
  } catch (error) {
    return toPlain(writeError(error, task.setup.dir));
  } finally {
    segments?.close();
    task.large.close();
  }
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
