// While a snapshot comes from one node, another that leads now would send its own. It is asked to wait, and to hold its log
// behind the one that comes; if it has that log no more it says so, and its own is the better one. Main thread.
import type { SnapshotLane, SnapshotLaneEvents } from "../link/index.js";
import type { Message } from "../raft/index.js";
import { decodeSnapshotMessage, encodeEnd, encodeWait, GONE, type SnapshotName } from "./snapshot-wire.js";

/** Says so often how far it is, by which the other end sees that it comes nearer. */
const SAY_MS = 1_000;

export interface OfferParts {
  /** The one that comes. */
  readonly name: SnapshotName;
  readonly tickMs: number;
  /** Of the one that comes. */
  readonly received: () => number;
  /** Opens a connection to who offers. */
  readonly openLane: (events: SnapshotLaneEvents) => SnapshotLane;
  /** There is no log behind the one that comes. */
  readonly onGone: () => void;
}

export class SnapshotOffer {
  /** The newest MsgSnap of that leader. */
  message: Message;
  private readonly parts: OfferParts;
  private readonly lane: SnapshotLane;
  private ticks = 0;

  constructor(message: Message, parts: OfferParts) {
    this.message = message;
    this.parts = parts;
    this.lane = parts.openLane({ onOpen: () => this.say(), onMessage: (bytes) => this.onMessage(bytes) });
  }

  say(): void {
    this.lane.send(encodeWait(this.parts.name, this.parts.received()));
  }

  private onMessage(bytes: Uint8Array): boolean {
    const message = decodeSnapshotMessage(bytes);
    if (message?.kind !== GONE) return false;
    const { index, term } = this.parts.name;
    if (message.index === index && message.term === term) this.parts.onGone();
    return true;
  }

  tick(): void {
    if (++this.ticks * this.parts.tickMs < SAY_MS) return;
    this.ticks = 0;
    this.say();
  }

  /** Tells the other end how it went with the one that came (snapshot-wire.ts). */
  close(how: number): void {
    this.lane.send(encodeEnd(this.parts.name, how));
    this.lane.close();
  }
}
