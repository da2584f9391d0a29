// Node 20 aborts the process if a worker is ended while it still loads modules, so before a pool is ended all of its
// threads meet in a task. Every module that a pool runs exports `runMeeting`.

export interface Meeting {
  /** An Int32: who is there. */
  readonly arrivals: Int32Array;
  readonly threads: number;
}

/** Ends when all threads of the pool are in it, so that all are known to have started. */
export function runMeeting({ arrivals, threads }: Meeting): void {
  let arrived = Atomics.add(arrivals, 0, 1) + 1;
  Atomics.notify(arrivals, 0);
  while (arrived < threads) {
    Atomics.wait(arrivals, 0, arrived);
    arrived = Atomics.load(arrivals, 0);
  }
}
