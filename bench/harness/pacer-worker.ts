// The thread behind a Pacer: sleeps until the time it was given, ticks once, and waits for the next.
import { workerData } from "node:worker_threads";

/** Indexes in the words shared with the Pacer: orders given, and ticks made. */
export const ORDERS = 0;
export const TICKS = 1;

export interface PacerOrders {
  readonly words: Int32Array;
  /** Absolute milliseconds: both threads count from their own origin. */
  readonly due: Float64Array;
}

const orders = workerData as PacerOrders | null;
if (orders !== null) keepTime(orders);

function keepTime({ words, due }: PacerOrders): never {
  for (;;) {
    const order = Atomics.load(words, ORDERS);
    const wait = due[0] - (performance.timeOrigin + performance.now());
    // Woken early by a new order, or late enough: look again either way.
    if (wait > 0) Atomics.wait(words, ORDERS, order, wait);
    else {
      Atomics.add(words, TICKS, 1);
      Atomics.notify(words, TICKS);
      Atomics.wait(words, ORDERS, order);
    }
  }
}
