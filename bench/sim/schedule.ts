// Time of a simulated world, by a clock that runs true and in the unit of its owner: what happens when, in one order
// given by the seed.

interface Event {
  readonly at: number;
  /** Of two events at one time, the one scheduled first comes first. */
  readonly order: number;
  readonly run: () => void;
}

export class Schedule {
  /** Since the world began. Never goes back. */
  now = 0;
  /** A heap: no event comes after its children. */
  private readonly heap: Event[] = [];
  private scheduled = 0;

  /** Runs `run` in `delay` >= 0. */
  after(delay: number, run: () => void): void {
    const event = { at: this.now + delay, order: this.scheduled++, run };
    const { heap } = this;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = event;
  }

  /** Runs the next event if it is due until `end`; else moves the clock there. False: there was none. */
  step(end: number): boolean {
    const { heap } = this;
    if (heap.length === 0 || heap[0].at > end) {
      this.now = Math.max(this.now, end);
      return false;
    }
    const event = heap[0];
    const last = heap.pop()!;
    if (heap.length > 0) this.sink(last);
    this.now = event.at;
    event.run();
    return true;
  }

  private sink(event: Event): void {
    const { heap } = this;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], event)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = event;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
