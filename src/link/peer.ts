// What a link knows of one peer: the connections by which each of the two hears the other, and its life. Main thread.
import type { Message } from "../raft/raftpb/index.js";
import type { Accepted } from "./acceptor.js";
import type { Dialer } from "./dialer.js";

export class Peer {
  readonly id: number;
  /** By lane. That for express runs from the first connection for bulk on: who refuses, refuses one. */
  readonly dialers: readonly [Dialer, Dialer];
  /** The connections over which it hears us, by lane. */
  readonly outbound: [Accepted | null, Accepted | null, Accepted | null] = [null, null, null];
  /** Those over which we fetch snapshots from it. */
  readonly fetching = new Set<Dialer>();
  /** Messages of the `send` under way, by lane. */
  readonly batches: readonly [Message[], Message[]] = [[], []];
  /** Its life (Identity.incarnation) that connected last; 0: none yet. */
  life = 0;
  /** The one whose standing connection that replaced; 0: none. If it comes back, both live. */
  replacedLife = 0;
  /** One that is refused while another is connected: it came second. */
  duplicateLife = 0;

  constructor(id: number, dialers: readonly [Dialer, Dialer]) {
    this.id = id;
    this.dialers = dialers;
  }

  get allDialers(): Dialer[] {
    return [...this.dialers, ...this.fetching];
  }
}
