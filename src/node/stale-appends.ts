// Appends of a leadership that is over, which still come from a path that is slow: as much as a leader's window, from each
// that has led, in front of all that the same node sends when it leads again. Their receiver knows that they are worth
// nothing, and nobody else can take them back from what is on its way: so it dials their sender anew. Main thread.
import { entriesSize, type Message, MsgApp } from "../raft/index.js";

/** Fewer are cheaper than a connection. */
const STALE_BYTES_MAX = 1 << 20;

export class StaleAppends {
  private readonly redial: (peer: number) => void;
  /** By peer, of those that came in `term` since it was dialled anew. */
  private readonly bytes = new Map<number, number>();
  private term = 0;

  constructor(redial: (peer: number) => void) {
    this.redial = redial;
  }

  /** What came of `peer`, at the receiver's `term`. */
  // hot
  look(peer: number, messages: readonly Message[], term: number): void {
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i]!;
      if (message.type === MsgApp && message.term < term) this.note(peer, entriesSize(message.entries), term);
    }
  }

  private note(peer: number, size: number, term: number): void {
    if (term !== this.term) this.bytes.clear();
    this.term = term;
    const bytes = (this.bytes.get(peer) ?? 0) + size;
    this.bytes.set(peer, bytes > STALE_BYTES_MAX ? 0 : bytes);
    if (bytes > STALE_BYTES_MAX) this.redial(peer);
  }
}
