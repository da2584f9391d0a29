// The orderly end of a node: it hands its leadership over and waits for what is under way, all within one bound. What
// is left then is for whoever asked to reject. Main thread.
import { None, type RawNode, StateLeader } from "../raft/index.js";

/** A timer of more ends at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface ShutdownParts {
  readonly rawNode: RawNode;
  /** Peers that hear this node now. */
  readonly connected: ReadonlySet<number>;
  /** Proposals that wait for the log, and all that callers and the state machine wait for. */
  readonly queued: () => number;
  readonly underWay: () => number;
  /** Asks the core, with a turn behind it. */
  readonly control: (call: (rawNode: RawNode) => void) => void;
  readonly onHandOver: (heir: number) => void;
}

/** Looks after each turn whether it is done: every change that counts is followed by one, a tick at the latest. */
export class Shutdown {
  private readonly parts: ShutdownParts;
  /**
   * Who was asked to take over. Each is asked once: one that did not take over within an election timeout hardly will
   * later. But a leader that stays because it was removed takes no proposals, so it asks all of them again: a member
   * that had not applied the removal could not campaign.
   */
  private readonly asked = new Set<number>();
  private timer: NodeJS.Timeout | null = null;
  /** When the bound passes, in milliseconds of the monotonic clock. */
  private endsAt = Infinity;
  /** When a queue that does not get into the log is given up: half of the bound is the heirs'. */
  private queueEndsAt = Infinity;
  private resolve: () => void = () => {};
  isOver = false;
  /** It lasts as long as it may: the group may still need this node. */
  stays = false;
  /** Resolves when nothing is under way any more, or the bound has passed. */
  readonly over: Promise<void>;

  constructor(parts: ShutdownParts) {
    this.parts = parts;
    this.over = new Promise((resolve) => {
      this.resolve = resolve;
    });
  }

  /** It takes so many milliseconds at most, from now on. Called again, the sooner end counts. */
  within(timeoutMs: number): void {
    const now = performance.now();
    const at = now + timeoutMs;
    if (this.isOver || at >= this.endsAt) return;
    this.endsAt = at;
    this.queueEndsAt = now + timeoutMs / 2;
    if (this.timer !== null) clearTimeout(this.timer);
    if (timeoutMs === 0) this.end();
    else {
      this.timer = setTimeout(() => this.end(), Math.min(timeoutMs, TIMER_MS_MAX));
      this.look();
    }
  }

  /** Nothing is waited for any more. */
  end(): void {
    this.isOver = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.resolve();
  }

  /** A turn is over. */
  look(): void {
    if (!this.isOver && !this.isHandingOver() && this.parts.underWay() === 0 && !this.stays) this.end();
  }

  /** False: there is nothing to hand over, nobody to hand it to, or somebody else leads. */
  private isHandingOver(): boolean {
    const { rawNode, connected, queued, control, onHandOver } = this.parts;
    const { raft } = rawNode;
    // A vote of this node's may decide, so it stays until there is a leader.
    if (raft.state !== StateLeader) return this.asked.size > 0 && raft.lead === None && connected.size > 0;
    // Once it hands over, a leader takes nothing more into its log; nor as long as the state machine is too far behind.
    if (queued() > 0 && performance.now() < this.queueEndsAt) return true;
    if (raft.leadTransferee !== None && connected.has(raft.leadTransferee)) return true;
    let heir = this.heir();
    if (heir === None && this.stays && this.asked.size > 0) {
      this.asked.clear();
      heir = this.heir();
    }
    if (heir === None) return false;
    this.asked.add(heir);
    onHandOver(heir);
    control(() => rawNode.transferLeader(heir));
    return true;
  }

  /** The most advanced voter that is connected and was not asked yet; None: there is none. */
  private heir(): number {
    const { rawNode, connected } = this.parts;
    const { trk, id } = rawNode.raft;
    let heir = None;
    let match = -1;
    for (const voter of trk.voterNodes()) {
      const progress = trk.progress.get(voter);
      if (voter === id || progress === undefined || progress.match <= match) continue;
      if (!connected.has(voter) || this.asked.has(voter)) continue;
      heir = voter;
      match = progress.match;
    }
    return heir;
  }
}
