// Which calls an AbortSignal ends. There is one listener per signal, however many calls share it: an AbortSignal
// searches its listeners one by one, and this way aborting or settling any number of calls, in any order, takes linear
// time. A signal may come from a library: if its methods throw, only the call that it belongs to is refused.
import { RaftmarkError } from "../base/errors.js";
import { callOutside } from "./outside.js";

interface Watch<T> {
  readonly items: Set<T>;
  readonly listener: () => void;
}

/**
 * Items that wait and may be aborted. `onAbort` is called once for each of a signal's items that still waits, in the
 * order they came: in a microtask, for all signals that were aborted meanwhile, so that whoever aborts them is not kept.
 */
export class AbortWatch<T> {
  private readonly onAbort: (item: T, reason: unknown) => void;
  private readonly watches = new Map<AbortSignal, Watch<T>>();
  private aborted: AbortSignal[] = [];

  constructor(onAbort: (item: T, reason: unknown) => void) {
    this.onAbort = onAbort;
  }

  /** `signal` must not be aborted yet. Throws RAFT_BAD_OPTION, and nothing is watched, if it cannot be listened to. */
  add(signal: AbortSignal, item: T): void {
    const watch = this.watches.get(signal) ?? this.listen(signal);
    watch.items.add(item);
  }

  private listen(signal: AbortSignal): Watch<T> {
    const watch = { items: new Set<T>(), listener: () => this.note(signal) };
    try {
      signal.addEventListener("abort", watch.listener, { once: true });
    } catch (cause) {
      throw new RaftmarkError("RAFT_BAD_OPTION", "option signal: its addEventListener failed", { cause });
    }
    this.watches.set(signal, watch);
    return watch;
  }

  /** `item` waits no more. With a signal's last item its listener goes. */
  remove(signal: AbortSignal, item: T): void {
    const watch = this.watches.get(signal);
    if (watch === undefined) return;
    watch.items.delete(item);
    if (watch.items.size > 0) return;
    this.unlisten(signal, watch);
  }

  private unlisten(signal: AbortSignal, { listener }: Watch<T>): void {
    this.watches.delete(signal);
    callOutside(
      () => signal.removeEventListener("abort", listener),
      () => {},
    );
  }

  private note(signal: AbortSignal): void {
    if (this.aborted.push(signal) === 1) queueMicrotask(() => this.settle());
  }

  private settle(): void {
    const { aborted } = this;
    this.aborted = [];
    for (const signal of aborted) {
      const watch = this.watches.get(signal);
      // Nothing of it waits any more, or it was called twice.
      if (watch === undefined) continue;
      this.watches.delete(signal);
      for (const item of watch.items) this.onAbort(item, signal.reason);
    }
  }
}
