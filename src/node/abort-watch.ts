// Whose signal aborts what: one listener a signal, however many calls share it, so that aborting or settling any number
// of them in any order takes linear time (an AbortSignal searches its listeners one by one).

interface Watch<T> {
  readonly items: Set<T>;
  readonly listener: () => void;
}

/** Items that wait and may be aborted. `onAbort` is called once for each of a signal's items, in the order they came. */
export class AbortWatch<T> {
  private readonly onAbort: (item: T, reason: unknown) => void;
  private readonly watches = new Map<AbortSignal, Watch<T>>();

  constructor(onAbort: (item: T, reason: unknown) => void) {
    this.onAbort = onAbort;
  }

  /** `signal` must not be aborted yet. */
  add(signal: AbortSignal, item: T): void {
    let watch = this.watches.get(signal);
    if (watch === undefined) {
      watch = { items: new Set(), listener: () => this.aborted(signal) };
      this.watches.set(signal, watch);
      signal.addEventListener("abort", watch.listener, { once: true });
    }
    watch.items.add(item);
  }

  /** `item` waits no more. With a signal's last item its listener goes. */
  remove(signal: AbortSignal, item: T): void {
    const watch = this.watches.get(signal);
    if (watch === undefined) return;
    watch.items.delete(item);
    if (watch.items.size > 0) return;
    this.watches.delete(signal);
    signal.removeEventListener("abort", watch.listener);
  }

  private aborted(signal: AbortSignal): void {
    const { items } = this.watches.get(signal)!;
    this.watches.delete(signal);
    for (const item of items) this.onAbort(item, signal.reason);
  }
}
