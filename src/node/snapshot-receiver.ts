// The end that is sent a snapshot: fetches the file that a leader's MsgSnap names, beside everything else, and steps the
// message when the file is whole, checked and durable. Until then nothing here knows of it. Main thread.
import { RaftmarkError } from "../base/errors.js";
import type { SnapshotLane, SnapshotLaneEvents } from "../link/index.js";
import { confStateHas, type Message, None, type RawNode, type SnapshotMetadata } from "../raft/index.js";
import type { Wal } from "../wal/index.js";
import type { SnapshotProgress } from "./api.js";
import { type FetchLost, SnapshotFetch } from "./snapshot-fetch.js";
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
  /** The leader does not give it any more. */
  readonly onLost: (from: number, metadata: SnapshotMetadata, why: string) => void;
}

/** The one under way. */
interface Fetching {
  /** The newest MsgSnap that named it. */
  message: Message;
  readonly metadata: SnapshotMetadata;
  readonly fetch: SnapshotFetch;
  readonly abort: AbortController;
}

export class SnapshotReceiver {
  private readonly parts: ReceiverParts;
  private fetching: Fetching | null = null;
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
    const { metadata } = message.snapshot!;
    if (this.ended) return;
    if (!this.needs(message)) {
      this.parts.whenApplied((rawNode) => rawNode.step(message));
      return;
    }
    const { fetching } = this;
    if (fetching !== null) {
      const { index, term } = fetching.metadata;
      const isSame = index === metadata.index && term === metadata.term;
      if (isSame && fetching.message.from === message.from) {
        fetching.message = message;
        return;
      }
      this.drop(fetching, `node ${message.from} sends one at index ${metadata.index}`);
    }
    this.later = message;
    if (this.ticks >= this.retryAt) this.beginLater();
  }

  private beginLater(): void {
    const message = this.later;
    this.later = null;
    if (message !== null && this.fetching === null && this.needs(message))
      this.begin(message, message.snapshot!.metadata);
  }

  /** Whether the snapshot would change anything; if not, the core answers at once. */
  private needs({ term: messageTerm, snapshot }: Message): boolean {
    const { raft } = this.parts.rawNode;
    const { index, term, confState } = snapshot!.metadata;
    if (messageTerm < raft.term || index <= raft.raftLog.committed) return false;
    if (raft.raftLog.matchTerm(index, term)) return false;
    return confStateHas(confState, raft.id);
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
    const fetching = { message, metadata, fetch, abort: new AbortController() };
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
    // The leader hears of it only then, or it would send the same again: what is being applied may take long.
    this.parts.whenApplied((rawNode) => {
      if (this.fetching !== fetching) return;
      this.fetching = null;
      rawNode.step(fetching.message);
      fetching.fetch.close(TAKEN);
    });
  }

  private failedWith(fetching: Fetching, error: RaftmarkError | FetchLost): void {
    // Dropped: that was told, if it was worth telling.
    if (this.fetching !== fetching) return;
    this.fetching = null;
    const { message, metadata } = fetching;
    if (!(error instanceof RaftmarkError)) {
      fetching.fetch.close(NOT_WANTED);
      this.parts.onLost(message.from, metadata, error.message);
      return;
    }
    fetching.fetch.close(error.code === "WAL_CORRUPT" ? UNSOUND : NOT_WANTED);
    if (error.code === "WAL_SNAPSHOT_OUTDATED" || error.code === "RAFT_CLOSED") return;
    this.failed++;
    this.retryAt = this.ticks + Math.ceil(this.retryMs / this.parts.tickMs);
    this.retryMs = Math.min(2 * this.retryMs, RETRY_MS_MAX);
    this.parts.onFailed(message.from, metadata, error);
  }

  private drop(fetching: Fetching, why: string): void {
    this.fetching = null;
    fetching.abort.abort(new Error(why));
    fetching.fetch.close(NOT_WANTED);
  }

  tick(): void {
    this.ticks++;
    if (this.ticks === this.retryAt) this.beginLater();
    const { fetching } = this;
    if (fetching === null) return;
    fetching.fetch.tick();
    const { raft } = this.parts.rawNode;
    const { message } = fetching;
    // Whoever leads now sends its own.
    if (raft.lead !== None && raft.lead !== message.from) this.drop(fetching, `node ${raft.lead} leads`);
  }

  /** Of the one under way: who sends it, and how much of how much is here. Null: none. */
  get progress(): SnapshotProgress | null {
    if (this.fetching === null) return null;
    const { fetch, message, metadata } = this.fetching;
    return { from: message.from, index: metadata.index, bytes: fetch.received, fileBytes: fetch.fileBytes };
  }

  /** The node ends. */
  end(): void {
    this.ended = true;
    if (this.fetching !== null) this.drop(this.fetching, "the node ends");
  }
}
