// A client that knows every node: when the leader goes away it finds the next by asking, and asks again for what had no
// answer, as a caller that must get its write in would. So a load goes on behind a leader's loss, and what the loss cost
// its callers is in their latencies. What is asked twice may be applied twice: which attempt counts is the answer's to say.
import type { NodeMetrics, NodeStatus, Proposed, RaftmarkError } from "../../src/index.js";
import { codeOf } from "./bench-error.js";
import type { Engine } from "./engine.js";
import { CONNECTION_LOST, RemoteEngine } from "./remote.js";

/** What a node says that does not lead, or no longer. */
const AWAY = [
  CONNECTION_LOST,
  "RAFT_NOT_LEADER",
  "RAFT_NO_LEADER",
  "RAFT_PROPOSAL_DROPPED",
  "RAFT_LEADERSHIP_LOST",
];
/** The fate of what was asked is not known with these: it may yet be applied. */
const UNKNOWN = [CONNECTION_LOST, "RAFT_LEADERSHIP_LOST"];
/** Between two nodes asked. */
const SEEK_EVERY_MS = 2;

/** What a loss of the leader was to the callers. */
export interface Failover {
  /** Proposals asked again, whose first fate is not known. */
  readonly askedAgain: number;
  /** The longest time without any answer around a loss; 0: there was none. */
  readonly silentMs: number;
}

export class FailoverEngine implements Engine {
  onFault: (error: RaftmarkError) => void = () => {};
  private readonly urls: readonly string[];
  private current: RemoteEngine;
  /** Its place in `urls`. */
  private at = 0;
  private seeking: Promise<void> | null = null;
  private closed = false;
  private askedAgain = 0;
  private silentMs = 0;
  private lastAnswerAt = performance.now();
  private silent = false;

  private constructor(urls: readonly string[], first: RemoteEngine) {
    this.urls = urls;
    this.current = first;
  }

  /** `urls` of every node, the one that leads first. */
  static async connect(urls: readonly string[]): Promise<FailoverEngine> {
    return new FailoverEngine(urls, await RemoteEngine.connect(urls[0]));
  }

  get metrics(): NodeMetrics {
    return this.current.metrics;
  }

  get failover(): Failover {
    // Also one that has not ended.
    const now = this.silent ? performance.now() - this.lastAnswerAt : 0;
    return { askedAgain: this.askedAgain, silentMs: Math.max(this.silentMs, now) };
  }

  async propose(borrowed: Uint8Array): Promise<Proposed> {
    const bytes = borrowed.slice();
    for (;;) {
      if (this.seeking !== null) await this.seeking;
      const asked = this.current;
      try {
        const proposed = await asked.propose(bytes);
        this.answered();
        return proposed;
      } catch (error) {
        await this.lost(error, asked);
        if (UNKNOWN.includes(codeOf(error))) this.askedAgain++;
      }
    }
  }

  async readBarrier(): Promise<void> {
    for (;;) {
      if (this.seeking !== null) await this.seeking;
      const asked = this.current;
      try {
        await asked.readBarrier();
        this.answered();
        return;
      } catch (error) {
        await this.lost(error, asked);
      }
    }
  }

  private answered(): void {
    const now = performance.now();
    if (this.silent) this.silentMs = Math.max(this.silentMs, now - this.lastAnswerAt);
    this.silent = false;
    this.lastAnswerAt = now;
  }

  /** The caller may ask again when this resolves. Rejects with `error` where asking elsewhere is no cure. */
  private async lost(error: unknown, asked: RemoteEngine): Promise<void> {
    if (this.closed || !AWAY.includes(codeOf(error))) throw error;
    this.silent = true;
    if (asked !== this.current) return; // Another caller has found the next one meanwhile.
    this.seeking ??= this.seek().finally(() => {
      this.seeking = null;
    });
    await this.seeking;
  }

  /** Connects to the next node that is there. Whether it leads, the proposals will tell. */
  private async seek(): Promise<void> {
    while (!this.closed) {
      await new Promise((resolve) => setTimeout(resolve, SEEK_EVERY_MS));
      this.at = (this.at + 1) % this.urls.length;
      const found = await RemoteEngine.connect(this.urls[this.at]).catch(() => null);
      if (found === null) continue;
      const last = this.current;
      this.current = found;
      await last.close();
      return;
    }
  }

  campaign(): void {}

  transferLeadership(): void {}

  status(): NodeStatus {
    return this.current.status();
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.current.close();
  }
}
