// The Piscina worker's entry. `write`: one long-lived task a WAL, which encodes and writes what the ring brings until
// it is asked to end. `prepare`: a short task that fills the next segment with zeros. Worker threads.

import { Batcher, type WriterMemory } from "../wal/batcher.js";
import { createWasmCodec } from "../wal/codec-wasm.js";
import { realFileSystem } from "../wal/file-system.js";
import { CONTROL_CLOSING, CONTROL_HEAD, CONTROL_NEWS_TAIL } from "../wal/layout.js";
import { prepareSegment, Segments, type SyncMode, type Tail } from "../wal/segments.js";

/** What a writing task is started with. */
export interface WriteTask extends WriterMemory {
  readonly dir: string;
  readonly metadata: Uint8Array;
  readonly mode: SyncMode;
  readonly segmentBytes: number;
  readonly batchBytesMax: number;
  readonly tail: Tail;
  /** Rolling CRC and last index at the tail. */
  readonly crc: number;
  readonly lastIndex: number;
}

/** How a task ended. Errors do not cross threads with their code, so they go as values. */
export interface TaskResult {
  readonly failure: { readonly message: string; readonly code: string } | null;
}

export function write(task: WriteTask): TaskResult {
  try {
    const segments = new Segments(realFileSystem, task, task.tail);
    const batcher = new Batcher(task, createWasmCodec(task.memory), task.batchBytesMax);
    batcher.crc = task.crc;
    batcher.lastIndex = task.lastIndex;
    run(segments, batcher, new Int32Array(task.memory.buffer));
    segments.close();
    return { failure: null };
  } catch (error) {
    return failureOf(error);
  }
}

/** hot */
function run(segments: Segments, batcher: Batcher, control: Int32Array): void {
  for (;;) {
    batcher.take();
    const closing = Atomics.load(control, CONTROL_CLOSING) !== 0;
    if (batcher.due || (closing && batcher.pendingBytes > 0)) {
      while (!batcher.newsFits) Atomics.wait(control, CONTROL_NEWS_TAIL, control[CONTROL_NEWS_TAIL], 10);
      const offset = segments.offset;
      segments.write(batcher.bytes.subarray(batcher.out, batcher.out + batcher.pendingBytes));
      batcher.written(segments.seq, offset, segments.syncsPerWrite);
      if (segments.full) {
        batcher.cut(segments.seq + 1, segments.cut(batcher.crc, batcher.lastIndex, batcher.hardState));
      }
    } else if (closing && !batcher.waiting) return;
    else Atomics.wait(control, CONTROL_HEAD, batcher.seenHead);
  }
}

export function prepare(task: { dir: string; segmentBytes: number }): TaskResult {
  try {
    prepareSegment(realFileSystem, task.dir, task.segmentBytes);
    return { failure: null };
  } catch (error) {
    return failureOf(error);
  }
}

function failureOf(error: unknown): TaskResult {
  const { message, code } = error as NodeJS.ErrnoException;
  return { failure: { message, code: code ?? "" } };
}
