// Wakes the main thread at a time that is finer than its timers, which round to a millisecond: a thread of its own
// sleeps until then. Without it an open loop would add half a millisecond to every latency, or burn a core spinning.
import { Worker } from "node:worker_threads";
import { ORDERS, type PacerOrders, TICKS } from "./pacer-worker.js";

export class Pacer {
  private readonly words = new Int32Array(new SharedArrayBuffer(8));
  private readonly due = new Float64Array(new SharedArrayBuffer(8));
  private readonly worker: Worker;
  private readonly onTick: () => void;
  private closed = false;

  /** `onTick` is called from the event loop, at or soon after each time given to `wakeAt`. */
  constructor(onTick: () => void) {
    this.onTick = onTick;
    this.due[0] = Number.POSITIVE_INFINITY;
    const workerData: PacerOrders = { words: this.words, due: this.due };
    this.worker = new Worker(new URL("./pacer-worker.js", import.meta.url), { workerData });
    this.listen();
  }

  /** The next time to wake at, by performance.now() of this thread; it replaces the last. */
  wakeAt(ms: number): void {
    this.due[0] = performance.timeOrigin + ms;
    Atomics.add(this.words, ORDERS, 1);
    Atomics.notify(this.words, ORDERS);
  }

  private listen(): void {
    const seen = Atomics.load(this.words, TICKS);
    const wait = Atomics.waitAsync(this.words, TICKS, seen);
    if (wait.async) void wait.value.then(this.heard);
    else setImmediate(this.heard);
  }

  private readonly heard = (): void => {
    if (this.closed) return;
    // Listens first: onTick may ask for a time that has passed already.
    this.listen();
    this.onTick();
  };

  close(): void {
    this.closed = true;
    void this.worker.terminate();
    // A waiter that is never woken would hold the memory for good.
    Atomics.notify(this.words, TICKS);
  }
}
