// A Piscina pool of a fixed number of threads that live until it is ended.
import { accessSync } from "node:fs";
import type { Transferable } from "node:worker_threads";
import { Piscina } from "piscina";
import { ownFile } from "../../base/environment.js";
import type { Meeting } from "./meeting.js";

const END_TASK = "runMeeting";

export class ThreadPool {
  readonly threads: number;
  private readonly pool: Piscina;
  /** Rejects when a thread could not start; what was to run on it would wait for ever. */
  private readonly broken: Promise<never>;

  /**
   * `module`: a file of this folder, whose exported functions are the tasks, runMeeting among them. A thread starts with
   * the task that needs it.
   */
  constructor(module: string, threads: number) {
    this.threads = threads;
    this.pool = new Piscina({
      filename: ownFile(module, () => {
        const file = new URL(module, import.meta.url);
        accessSync(file);
        return file.href;
      }),
      // A thread looks for it as it starts, and by code made of a string if the module has none.
      name: END_TASK,
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
      workerHistogram: false,
    });
    // Without a listener the event ends the process.
    this.broken = new Promise((_, reject) => this.pool.on("error", reject));
    this.broken.catch(() => {});
  }

  /** Queues a task: a call of the module's function `name`. Rejects, too, if a thread cannot start. */
  run<Task, Result>(name: string, task: Task, transferList: Transferable[] = []): Promise<Result> {
    return Promise.race([this.pool.run(task, { name, transferList }) as Promise<Result>, this.broken]);
  }

  /** Ends all threads, which have nothing left to do. */
  async end(): Promise<void> {
    const { threads } = this;
    const meeting: Meeting = { arrivals: new Int32Array(new SharedArrayBuffer(4)), threads };
    await Promise.allSettled(Array.from({ length: threads }, () => this.run(END_TASK, meeting)));
    await this.pool.destroy();
  }
}
