// Who leads, as this node knows it, and who waits to hear of it. Main thread.
import { RaftmarkError } from "../base/errors.js";
import { AbortWatch } from "./abort-watch.js";

interface Waiter {
  readonly signal: AbortSignal | null;
  readonly resolve: (leader: number) => void;
  readonly reject: (error: RaftmarkError) => void;
}

export class LeaderWatch {
  /** 0: none is known. */
  leader = 0;
  private readonly waiters = new Set<Waiter>();
  private readonly aborts = new AbortWatch<Waiter>((waiter, reason) => {
    this.waiters.delete(waiter);
    waiter.reject(aborted(reason));
  });

  /** The leader's id, once there is one. Rejects with RAFT_ABORTED, or what end() is given. */
  next(signal: AbortSignal | null): Promise<number> {
    if (signal?.aborted) return Promise.reject(aborted(signal.reason));
    if (this.leader !== 0) return Promise.resolve(this.leader);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { signal, resolve, reject };
      if (signal !== null) this.aborts.add(signal, waiter);
      this.waiters.add(waiter);
    });
  }

  changed(leader: number): void {
    this.leader = leader;
    if (leader !== 0) this.settle((waiter) => waiter.resolve(leader));
  }

  /** Nobody leads any more, as far as this node is concerned. */
  end(error: RaftmarkError): void {
    this.leader = 0;
    this.settle((waiter) => waiter.reject(error));
  }

  private settle(how: (waiter: Waiter) => void): void {
    const waiters = [...this.waiters];
    this.waiters.clear();
    for (const waiter of waiters) {
      if (waiter.signal !== null) this.aborts.remove(waiter.signal, waiter);
      how(waiter);
    }
  }
}

function aborted(cause: unknown): RaftmarkError {
  return RaftmarkError.withoutStack("RAFT_ABORTED", "aborted before a leader was known", { cause });
}
