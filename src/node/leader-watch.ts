// Who leads, as this node knows it, and who waits to hear of it. Main thread.
import type { RaftmarkError } from "../base/errors.js";
import type { CallOptions } from "./api.js";
import { CallWatch, endedCall, type Watched } from "./call-watch.js";

interface Waiter extends Watched {
  readonly resolve: (leader: number) => void;
  readonly reject: (error: RaftmarkError) => void;
}

export class LeaderWatch {
  /** 0: none is known. */
  leader = 0;
  private readonly waiters = new Set<Waiter>();
  private readonly calls = new CallWatch<Waiter>((waiter, end) => {
    this.waiters.delete(waiter);
    waiter.reject(endedCall(end, TEXTS));
  });

  /** The leader's id, once there is one. Rejects with RAFT_ABORTED, RAFT_TIMEOUT, or what end() is given. */
  next({ signal, timeoutMs }: CallOptions): Promise<number> {
    if (signal?.aborted)
      return Promise.reject(endedCall({ code: "RAFT_ABORTED", cause: signal.reason }, TEXTS));
    if (this.leader !== 0) return Promise.resolve(this.leader);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { signal: signal ?? null, timer: null, resolve, reject };
      this.calls.add(waiter, timeoutMs);
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
      this.calls.remove(waiter);
      how(waiter);
    }
  }
}

const TEXTS = {
  aborted: "aborted before a leader was known",
  late: "no leader was known in time: is a majority of the members up and reachable?",
};
