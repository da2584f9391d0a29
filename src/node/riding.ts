// Appends that only say a new commit index. Callers whose proposal was applied in this turn propose again in answer to
// it, and the append with those entries says the index as well: so a message that would only say it waits for the end
// of the turn and for the next one. It is dropped for an append to the same peer, and leaves at the latest then. Main
// thread.
import { type Message, MsgApp, type RawNode, StateReplicate } from "../raft/index.js";

export class RidingCommits {
  private readonly rawNode: RawNode;
  /** Held since the last turn, which it is due at the end of. At most one a peer; so is `held`. */
  private due: Message[] = [];
  /** Held since this turn. */
  private held: Message[] = [];

  constructor(rawNode: RawNode) {
    this.rawNode = rawNode;
  }

  /** Whether any waits for the next turn. */
  get waiting(): boolean {
    return this.held.length > 0;
  }

  /** A turn begins: what was held in the last one leaves in this. */
  turn(): void {
    // hot
    const { due } = this;
    this.due = this.held;
    this.held = due;
  }

  /** Whether `message` is held back; what it makes needless is dropped. */
  holds(message: Message): boolean {
    // hot
    if (message.type !== MsgApp) return false;
    if (!this.onlyCommit(message)) {
      if (this.due.length > 0) this.drop(this.due, message.to);
      if (this.held.length > 0) this.drop(this.held, message.to);
      return false;
    }
    if (!replace(this.due, message) && !replace(this.held, message)) this.held.push(message);
    return true;
  }

  /** Moves what is due into `outbox`. */
  leave(outbox: Message[]): void {
    // hot
    for (let i = 0; i < this.due.length; i++) outbox.push(this.due[i]);
    this.due.length = 0;
  }

  /** Another term began, or this node leads no more: what was held says nothing that counts. */
  clear(): void {
    this.due.length = 0;
    this.held.length = 0;
  }

  /**
   * A probe, and an empty append into a full window, ask for an answer. In StateReplicate, with room in the window,
   * one without entries tells the commit index and nothing else.
   */
  private onlyCommit({ entries, to }: Message): boolean {
    // hot
    if (entries.length > 0) return false;
    const progress = this.rawNode.raft.trk.progress.get(to);
    return progress !== undefined && progress.state === StateReplicate && !progress.inflights.full();
  }

  private drop(from: Message[], to: number): void {
    const at = from.findIndex((message) => message.to === to);
    if (at >= 0) from.splice(at, 1);
  }
}

function replace(list: Message[], message: Message): boolean {
  const at = list.findIndex(({ to }) => to === message.to);
  if (at < 0) return false;
  list[at] = message;
  return true;
}
