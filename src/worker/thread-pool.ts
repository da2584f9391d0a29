// A Piscina pool of a fixed number of threads that live until it is ended.
import type { Transferable } from "node:worker_threads";
import { Piscina } from "piscina";
import type { Meeting } from "./meeting.js";

export class ThreadPool {
  readonly threads: number;
  private readonly pool: Piscina;

  /**
   * `module`: a file of this folder, whose exported functions are the tasks. A thread starts with the task that needs
   * it.
   */
  constructor(module: string, threads: number) {
    this.threads = threads;
    this.pool = new Piscina({
      filename: new URL(module, import.meta.url).href,
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
      workerHistogram: false,
    });
  }

  /** Queues a task: a call of the module's function `name`. */
  run<Task, Result>(name: string, task: Task, transferList: Transferable[] = []): Promise<Result> {
    return this.pool.run(task, { name, transferList }) as Promise<Result>;
  }

  /** Ends all threads, which have nothing left to do. */
  async end(): Promise<void> {
    const { threads } = this;
    const meeting: Meeting = { arrivals: new Int32Array(new SharedArrayBuffer(4)), threads };
    await Promise.all(Array.from({ length: threads }, () => this.run("runMeeting", meeting)));
    await this.pool.destroy();
  }
}
