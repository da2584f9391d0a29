// One snapshot's file on its way here: a stream of pieces, in order and each with its CRC, over as many connections as it
// takes. What was received is never asked for again. Main thread.
import type { SnapshotLane, SnapshotLaneEvents } from "../link/index.js";
import type { SnapshotMetadata } from "../raft/index.js";
import {
  decodeSnapshotMessage,
  encodeEnd,
  encodeWant,
  GONE,
  PIECE,
  type Piece,
  type SnapshotName,
} from "./snapshot-wire.js";

/** Without a piece for so long although there is room, the connection is given up for another. */
const STALL_MS = 5_000;
/** And without one for so long, whatever the connections, the transfer. */
const GIVE_UP_MS = 60_000;

/** The other end does not give it, or does not any more: nothing is wrong here. */
export class FetchLost extends Error {}

export interface FetchParts {
  readonly group: number;
  /** Who has it. */
  readonly from: number;
  readonly metadata: SnapshotMetadata;
  readonly tickMs: number;
  /** Bytes that may be here and not on the disk yet, or under way. */
  readonly windowBytes: number;
  /** Opens a connection to `from`, again and again until it is closed. */
  readonly openLane: (events: SnapshotLaneEvents) => SnapshotLane;
}

export class SnapshotFetch implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined> {
  private readonly parts: FetchParts;
  private readonly name: SnapshotName;
  private lane: SnapshotLane;
  private readonly pieces: Uint8Array[] = [];
  /** Bytes that came, in order; that were taken on; that may come. Invariant: taken <= received <= limit. */
  received = 0;
  private taken = 0;
  private limit = 0;
  /** Of the file; -1: not known yet. */
  fileBytes = -1;
  private failure: Error | null = null;
  private wake: () => void = () => {};
  private stalledTicks = 0;
  private idleTicks = 0;
  /** Pieces that did not have their CRC. */
  refused = 0;

  constructor(parts: FetchParts) {
    this.parts = parts;
    this.name = { group: parts.group, index: parts.metadata.index, term: parts.metadata.term };
    this.lane = this.openLane();
  }

  private openLane(): SnapshotLane {
    return this.parts.openLane({
      onOpen: () => this.ask(true),
      onMessage: (bytes) => this.onMessage(bytes),
    });
  }

  private ask(anew: boolean): void {
    this.limit = this.taken + this.parts.windowBytes;
    this.lane.send(encodeWant(this.name, this.received, this.limit, anew));
  }

  private onMessage(bytes: Uint8Array): boolean {
    const message = decodeSnapshotMessage(bytes);
    if (message === null || (message.kind !== PIECE && message.kind !== GONE)) return false;
    const { group, index, term } = this.name;
    // Of an earlier snapshot, over this connection.
    if (message.group !== group || message.index !== index || message.term !== term) return true;
    if (message.kind === GONE) {
      this.fail(new FetchLost(`node ${this.parts.from} has it no more`));
      return true;
    }
    return this.onPiece(message);
  }

  /** False: none of us sends such a piece. */
  private onPiece({ fileBytes, at, bytes, isSound }: Piece): boolean {
    if (!isSound) {
      this.refused++;
      this.ask(true);
      return true;
    }
    const end = at + bytes.length;
    const isNext = at === this.received && end <= fileBytes;
    if (!isNext || (this.fileBytes !== -1 && fileBytes !== this.fileBytes)) {
      // Behind one that was refused, or lost.
      if (at > this.received) this.ask(true);
      return true;
    }
    // More than there is room for.
    if (end > this.limit) return false;
    this.fileBytes = fileBytes;
    this.pieces.push(bytes);
    this.received = end;
    this.stalledTicks = 0;
    this.idleTicks = 0;
    this.wake();
    return true;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    while (this.pieces.length === 0) {
      if (this.failure !== null) throw this.failure;
      if (this.received === this.fileBytes) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    const value = this.pieces.shift()!;
    this.taken += value.length;
    const { windowBytes } = this.parts;
    if (this.received !== this.fileBytes && this.limit - this.taken <= windowBytes / 2) this.ask(false);
    return { done: false, value };
  }

  tick(): void {
    const { tickMs } = this.parts;
    if (this.failure !== null || this.received === this.fileBytes) return;
    // What came waits for the disk.
    if (this.pieces.length > 0) return;
    this.idleTicks++;
    if (this.idleTicks * tickMs > GIVE_UP_MS) {
      this.fail(new FetchLost(`nothing of it came from node ${this.parts.from} for ${GIVE_UP_MS / 1000} s`));
    } else if (++this.stalledTicks * tickMs > STALL_MS) {
      this.stalledTicks = 0;
      this.lane.close();
      this.lane = this.openLane();
    }
  }

  /** Nothing came for so long that one from elsewhere would be better. */
  get isStalled(): boolean {
    return this.idleTicks * this.parts.tickMs > STALL_MS;
  }

  /** Ends it, if it has not ended. */
  fail(error: Error): void {
    this.failure ??= error;
    this.pieces.length = 0;
    this.wake();
  }

  /** Tells the other end how it went (snapshot-wire.ts), and closes. */
  close(how: number): void {
    this.fail(new Error("closed"));
    this.lane.send(encodeEnd(this.name, how));
    this.lane.close();
  }
}
