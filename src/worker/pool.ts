// The worker pool of one WAL: a thread that writes, and one for what is short. The writing thread sleeps on the ring
// and is told by the main thread; news come back through Atomics.waitAsync, so that nobody polls.
import { Piscina } from "piscina";
import { CONTROL_CLOSING, CONTROL_HEAD, CONTROL_NEWS_HEAD } from "../wal/layout.js";
import type { Writer, WriterEvents } from "../wal/writer.js";
import type { TaskResult, WriteTask } from "./wal-task.js";

/** A pool whose threads stay. */
export function createPool(): Piscina {
  return new Piscina({
    filename: new URL("./wal-task.js", import.meta.url).href,
    minThreads: 2,
    maxThreads: 2,
    idleTimeout: Number.POSITIVE_INFINITY,
    recordTiming: false,
  });
}

/** Fills the next segment of `dir` on the pool. A failure is told, and the cut will do without. */
export async function prepareOnPool(
  pool: Piscina,
  task: { dir: string; segmentBytes: number },
  onWarning: (text: string) => void,
): Promise<void> {
  const { failure } = (await pool.run(task, { name: "prepare" })) as TaskResult;
  if (failure !== null) onWarning(`${task.dir}: the next segment could not be prepared: ${failure.message}`);
}

export class PoolWriter implements Writer {
  private readonly control: Int32Array;
  private readonly events: WriterEvents;
  private readonly prepareAhead: () => Promise<void>;
  private readonly task: Promise<void>;
  private preparing: Promise<void> = Promise.resolve();
  private ended = false;

  constructor(pool: Piscina, task: WriteTask, prepareAhead: () => Promise<void>, events: WriterEvents) {
    this.control = new Int32Array(task.memory.buffer);
    this.events = events;
    this.prepareAhead = prepareAhead;
    this.task = pool.run(task, { name: "write" }).then(
      (result: TaskResult) => this.end(result.failure),
      (error: Error) => this.end({ message: error.message, code: "" }),
    );
    this.listen();
  }

  poke(): void {
    Atomics.notify(this.control, CONTROL_HEAD);
  }

  prepare(): void {
    this.preparing = this.preparing.then(this.prepareAhead);
  }

  async close(): Promise<void> {
    Atomics.store(this.control, CONTROL_CLOSING, 1);
    // The writer compares HEAD when it falls asleep, so a change of it cannot be missed; see Wal.close.
    Atomics.notify(this.control, CONTROL_HEAD);
    await this.task;
    await this.preparing;
  }

  private end(failure: TaskResult["failure"]): void {
    this.ended = true;
    this.events.onNews();
    if (failure !== null) {
      this.events.onFailure(Object.assign(new Error(failure.message), { code: failure.code }));
    }
  }

  /** Waits for news without a thread, a timer or a turn of the loop in between. */
  private listen(): void {
    if (this.ended) return;
    const seen = Atomics.load(this.control, CONTROL_NEWS_HEAD);
    const wait = Atomics.waitAsync(this.control, CONTROL_NEWS_HEAD, seen);
    this.events.onNews();
    if (wait.async) void wait.value.then(this.heard);
    else setImmediate(this.heard);
  }

  private readonly heard = (): void => this.listen();
}
