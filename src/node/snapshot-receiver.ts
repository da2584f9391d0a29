// The end that is sent a snapshot: fetches the file that a leader's MsgSnap names, beside everything else, and steps a
// MsgSnap when the file is whole, checked and durable. Until then nothing here knows of it. It goes on with that file
// whoever leads meanwhile: it is of committed state, which every later leader has. Main thread.
import { NO_DATA } from "../base/bytes.js";
import { RaftmarkError } from "../base/errors.js";
import type { SnapshotLane, SnapshotLaneEvents } from "../link/index.js";
import { confStateHas, Message, MsgSnap, None, type RawNode, type SnapshotMetadata } from "../raft/index.js";
import type { Wal } from "../wal/index.js";
import type { SnapshotProgress } from "./api.js";
import { type FetchLost, SnapshotFetch } from "./snapshot-fetch.js";
import { SnapshotOffer } from "./snapshot-offer.js";
import { NOT_WANTED, TAKEN, UNSOUND } from "./snapshot-wire.js";

/** For so long after a snapshot failed here the next is not fetched; doubles from the first to the second of these. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;

export interface ReceiverParts {
  readonly group: number;
  readonly rawNode: RawNode;
  readonly wal: Wal;
  readonly tickMs: number;
  readonly windowBytes: number;
  readonly openLane: (peer: number, events: SnapshotLaneEvents) => SnapshotLane;
  /** Runs it on the RawNode behind all that is being applied, then a turn. */
  readonly whenApplied: (call: (rawNode: RawNode) => void) => void;
  readonly onBegin: (from: number, metadata: SnapshotMetadata) => void;
  /** The node goes on without it. */
  readonly onFailed: (from: number, metadata: SnapshotMetadata, error: RaftmarkError) => void;
  /** It does not come from there any more. */
  readonly onLost: (from: number, metadata: SnapshotMetadata, why: string) => void;
}

/** The one under way. */
interface Fetching {
  readonly from: number;
  readonly metadata: SnapshotMetadata;
  readonly fetch: SnapshotFetch;
  readonly abort: AbortController;
  /** It is here, and nobody leads to whom that could be said. */
  lacksLeader: boolean;
}

export class SnapshotReceiver {
  private readonly parts: ReceiverParts;
  private fetching: Fetching | null = null;
  /** That of another leader, while one is fetched. Invariant: null unless one is. */
  private offer: SnapshotOffer | null = null;
  private ticks = 0;
  private retryAt = 0;
  private retryMs = RETRY_MS_MIN;
  /** What is fetched at `retryAt`. */
  private later: Message | null = null;
  private ended = false;
  /** Snapshots that came whole and sound. */
  received = 0;
  bytesReceived = 0;
  failed = 0;

  constructor(parts: ReceiverParts) {
    this.parts = parts;
  }

  /** A leader's MsgSnap that passed the door. */
  receive(message: Message): void {
    if (this.ended) return;
    if (!this.needs(message)) {
      this.parts.whenApplied((rawNode) => rawNode.step(message));
      return;
    }
    if (this.fetching !== null && this.goesOn(this.fetching, message)) return;
    this.later = message;
    this.beginLater();
  }

  /** Whether it is gone on with, although this was said. */
  private goesOn(fetching: Fetching, message: Message): boolean {
    const { from, metadata } = fetching;
    if (message.from !== from) {
      this.takeOffer(fetching, message);
      return true;
    }
    const { index, term } = message.snapshot!.metadata;
    if (index === metadata.index && term === metadata.term) {
      // It leads again.
      this.endOffer(NOT_WANTED);
      return true;
    }
    this.drop(fetching, `node ${from} sends one at index ${index}`);
    return false;
  }

  /** Another leads now, and would send its own: what comes already is done sooner. */
  private takeOffer(fetching: Fetching, message: Message): void {
    const { from } = message;
    if (this.offer?.message.from === from) {
      this.offer.message = message;
      this.offer.say();
      return;
    }
    this.endOffer(NOT_WANTED);
    const { group, tickMs, openLane } = this.parts;
    const { index, term } = fetching.metadata;
    this.offer = new SnapshotOffer(message, {
      name: { group, index, term },
      tickMs,
      received: () => fetching.fetch.received,
      openLane: (events) => openLane(from, events),
      onGone: () => this.turnToOffer(fetching, `node ${from} has no log behind it, and sends a newer one`),
    });
  }

  private turnToOffer(fetching: Fetching, why: string): void {
    if (this.fetching !== fetching || this.offer === null) return;
    this.later = this.offer.message;
    this.drop(fetching, why);
    this.parts.onLost(fetching.from, fetching.metadata, why);
    this.beginLater();
  }

  private endOffer(how: number): void {
    this.offer?.close(how);
    this.offer = null;
  }

  /** Unless one failed just now. */
  private beginLater(): void {
    if (this.ticks < this.retryAt || this.ended) return;
    const message = this.later;
    this.later = null;
    if (message !== null && this.fetching === null && this.needs(message))
      this.begin(message, message.snapshot!.metadata);
  }

  /** Whether the snapshot would change anything; if not, the core answers at once. */
  private needs({ term, snapshot }: Message): boolean {
    const { raft } = this.parts.rawNode;
    const { metadata } = snapshot!;
    return term >= raft.term && this.lacks(metadata) && confStateHas(metadata.confState, raft.id);
  }

  private lacks({ index, term }: SnapshotMetadata): boolean {
    const { raftLog } = this.parts.rawNode.raft;
    return index > raftLog.committed && !raftLog.matchTerm(index, term);
  }

  private begin(message: Message, metadata: SnapshotMetadata): void {
    const { group, tickMs, windowBytes, openLane } = this.parts;
    const { from } = message;
    const fetch = new SnapshotFetch({
      group,
      from,
      metadata,
      tickMs,
      windowBytes,
      openLane: (events) => openLane(from, events),
    });
    const fetching = { from, metadata, fetch, abort: new AbortController(), lacksLeader: false };
    this.fetching = fetching;
    this.parts.onBegin(from, metadata);
    this.parts.wal.stageSnapshotFile(metadata, fetch, { signal: fetching.abort.signal }).then(
      () => this.staged(fetching),
      (error: RaftmarkError | FetchLost) => this.failedWith(fetching, error),
    );
  }

  private staged(fetching: Fetching): void {
    if (this.fetching !== fetching) return;
    this.retryMs = RETRY_MS_MIN;
    this.received++;
    this.bytesReceived += fetching.fetch.received;
    this.take(fetching);
  }

  private take(fetching: Fetching): void {
    // Who sent it hears of it only then, or it would send the same again: what is being applied may take long.
    this.parts.whenApplied((rawNode) => {
      if (this.fetching !== fetching) return;
      fetching.lacksLeader = rawNode.raft.lead === None;
      if (fetching.lacksLeader) return;
      rawNode.step(asOfLeader(rawNode.raft, fetching.metadata));
      this.fetching = null;
      fetching.fetch.close(TAKEN);
      this.endOffer(TAKEN);
    });
  }

  private failedWith(fetching: Fetching, error: RaftmarkError | FetchLost): void {
    // Dropped: that was told, if it was worth telling.
    if (this.fetching !== fetching) return;
    this.fetching = null;
    const isUnsound = error instanceof RaftmarkError && error.code === "WAL_CORRUPT";
    fetching.fetch.close(isUnsound ? UNSOUND : NOT_WANTED);
    this.later = this.offer?.message ?? null;
    this.endOffer(NOT_WANTED);
    this.tell(fetching, error);
    this.beginLater();
  }

  private tell({ from, metadata }: Fetching, error: RaftmarkError | FetchLost): void {
    if (!(error instanceof RaftmarkError)) {
      this.parts.onLost(from, metadata, error.message);
      return;
    }
    if (error.code === "WAL_SNAPSHOT_OUTDATED" || error.code === "RAFT_CLOSED") return;
    this.failed++;
    this.retryAt = this.ticks + Math.ceil(this.retryMs / this.parts.tickMs);
    this.retryMs = Math.min(2 * this.retryMs, RETRY_MS_MAX);
    this.parts.onFailed(from, metadata, error);
  }

  private drop(fetching: Fetching, why: string): void {
    this.fetching = null;
    fetching.abort.abort(new Error(why));
    fetching.fetch.close(NOT_WANTED);
    this.endOffer(NOT_WANTED);
  }

  tick(): void {
    this.ticks++;
    if (this.ticks === this.retryAt) this.beginLater();
    const { fetching } = this;
    if (fetching === null) return;
    if (fetching.lacksLeader) this.take(fetching);
    else if (!this.lacks(fetching.metadata)) this.drop(fetching, "entries brought this node as far");
    else if (fetching.fetch.isStalled)
      this.turnToOffer(fetching, "nothing of it came, and another node sends one");
    fetching.fetch.tick();
    this.offer?.tick();
  }

  /** Of the one under way: who sends it, and how much of how much is here. Null: none. */
  get progress(): SnapshotProgress | null {
    if (this.fetching === null) return null;
    const { from, fetch, metadata } = this.fetching;
    return { from, index: metadata.index, bytes: fetch.received, fileBytes: fetch.fileBytes };
  }

  /** The node ends. */
  end(): void {
    this.ended = true;
    if (this.fetching !== null) this.drop(this.fetching, "the node ends");
  }
}

/**
 * A MsgSnap of whoever leads now: the answer is for that one. What is committed at its index is so for good, and in the log
 * of each later leader, so that it does not matter who named it, and in which term (§5.4, §7).
 */
function asOfLeader({ id, lead, term }: RawNode["raft"], metadata: SnapshotMetadata): Message {
  const message = new Message(MsgSnap);
  message.from = lead;
  message.to = id;
  message.term = term;
  message.snapshot = { data: NO_DATA, metadata };
  return message;
}
