// Committed entries for whoever iterates over them: a change feed. A feed reads from the log only when it is asked, a
// page at a time, so it holds no more than a page however far it lags. Nothing waits for it: entries that the log
// releases before the feed reaches them are lost to it. Old entries are read beside the main thread, as for a member
// that lags. Main thread.
import { RaftmarkError } from "../base/errors.js";
import { Fifo } from "../base/fifo.js";
import { type Entry, RaftError, type RawNode } from "../raft/index.js";
import { AbortWatch } from "./abort-watch.js";
import type { CommittedEntry } from "./api.js";
import { isNormal } from "./applier.js";
import { isOfSession, placeIn, SESSION_HEAD_BYTES, withoutHead } from "./session-entry.js";

/** Encoded bytes of entries in a page, or one entry that is larger. */
const PAGE_BYTES = 256 * 1024;
/** And so many of them: an object each. */
const PAGE_ENTRIES = 256;
/** What all feeds together are given in a turn of the event loop; one page at least. */
const TURN_ENTRIES = 256;
const TURN_MS = 5;

type Next = IteratorResult<CommittedEntry, undefined>;
const DONE: Next = { done: true, value: undefined };

interface Waiter {
  resolve(next: Next): void;
  reject(error: unknown): void;
}

/** All feeds of one node. */
export class CommittedFeeds {
  readonly rawNode: RawNode;
  readonly applied: () => number;
  /** Those of which somebody waits for an entry. */
  readonly waiting = new Set<CommittedFeed>();
  readonly aborts = new AbortWatch<CommittedFeed>((feed) => feed.finish(null));
  /** Not null: the node has ended. */
  ended: { readonly error: RaftmarkError | null } | null = null;
  /** Are to be served: the next turn begins with the first. */
  private readonly due = new Fifo<CommittedFeed>();
  private isTurnAsked = false;
  /** Readers of old entries that are no peers have negative numbers. */
  private readers = 0;

  constructor(rawNode: RawNode, applied: () => number) {
    this.rawNode = rawNode;
    this.applied = applied;
  }

  /** Throws RAFT_COMPACTED. */
  open(from: number | undefined, signal: AbortSignal | undefined): CommittedFeed {
    const first = this.rawNode.raft.raftLog.firstIndex();
    // Applied is less than the log begins with while a leader's snapshot is on its way to the state machine.
    const next = from ?? Math.max(this.applied() + 1, first);
    if (next < first) throw compacted(next, first);
    return new CommittedFeed(this, --this.readers, next, signal ?? null);
  }

  /** More is applied. */
  // hot
  advanced(): void {
    if (this.waiting.size === 0) return;
    for (const feed of this.waiting) feed.schedule();
  }

  /** For a feed that somebody waits for: thousands of them must not keep the node from its work. */
  serveSoon(feed: CommittedFeed): void {
    this.due.push(feed);
    if (this.isTurnAsked) return;
    this.isTurnAsked = true;
    setImmediate(this.serveDue);
  }

  private readonly serveDue = (): void => {
    const { due } = this;
    const until = performance.now() + TURN_MS;
    let given = 0;
    // Those that are due again have their turn behind all others.
    for (let left = due.length; left > 0 && given < TURN_ENTRIES && performance.now() <= until; left--)
      given += due.shift().serve();
    this.isTurnAsked = due.length > 0;
    if (this.isTurnAsked) setImmediate(this.serveDue);
  };

  /** What `reader` asked for is there. */
  read(reader: number): void {
    for (const feed of this.waiting) if (feed.reader === reader) feed.schedule();
  }

  /** Null: the node closes, and the feeds end; else they throw that. */
  end(error: RaftmarkError | null): void {
    this.ended ??= { error };
    // Those of which nobody waits for an entry hear of it when they are asked.
    for (const feed of [...this.waiting]) feed.finish(error);
  }
}

export class CommittedFeed implements AsyncIterableIterator<CommittedEntry, undefined> {
  readonly reader: number;
  private readonly feeds: CommittedFeeds;
  private readonly signal: AbortSignal | null;
  /** The next index that is not in the page. */
  private index: number;
  private page: readonly CommittedEntry[] = [];
  private at = 0;
  private readonly waiters = new Fifo<Waiter>();
  private isScheduled = false;
  private isDone = false;

  constructor(feeds: CommittedFeeds, reader: number, from: number, signal: AbortSignal | null) {
    this.feeds = feeds;
    this.reader = reader;
    this.index = from;
    this.signal = signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Next> {
    const { ended } = this.feeds;
    if (ended !== null && !this.isDone) {
      this.finish(null);
      if (ended.error !== null) return Promise.reject(ended.error);
    }
    if (this.signal?.aborted) this.finish(null);
    if (this.isDone) return Promise.resolve(DONE);
    if (this.at < this.page.length && this.waiters.length === 0)
      return Promise.resolve({ done: false, value: this.take() });
    return new Promise((resolve, reject) => {
      if (this.waiters.length === 0) this.wait();
      this.waiters.push({ resolve, reject });
      this.schedule();
    });
  }

  /**
   * Somebody waits: from here on it is known to its node and listens to its signal. While nobody does, neither holds it,
   * since a loop that is left without return() would stay for as long as the signal. Throws RAFT_BAD_OPTION for a signal
   * that cannot be listened to.
   */
  private wait(): void {
    if (this.signal !== null) this.feeds.aborts.add(this.signal, this);
    this.feeds.waiting.add(this);
  }

  private rest(): void {
    this.feeds.waiting.delete(this);
    if (this.signal !== null) this.feeds.aborts.remove(this.signal, this);
  }

  return(): Promise<Next> {
    this.finish(null);
    return Promise.resolve(DONE);
  }

  schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.feeds.serveSoon(this);
  }

  /** Whoever waits longest is told why it ends; everybody after that hears that it has ended. */
  finish(error: unknown): void {
    if (this.isDone) return;
    this.isDone = true;
    this.page = [];
    this.rest();
    this.feeds.rawNode.raft.raftLog.release(this.reader);
    const { waiters } = this;
    if (waiters.length > 0 && error !== null) waiters.shift().reject(error);
    while (waiters.length > 0) waiters.shift().resolve(DONE);
  }

  /** Gives those who wait what there is. Returns how many entries it loaded for that. */
  serve(): number {
    this.isScheduled = false;
    const { waiters } = this;
    if (this.isDone || waiters.length === 0) return 0;
    let more = false;
    try {
      if (this.at === this.page.length) more = this.load();
    } catch (error) {
      this.finish(error);
      return 0;
    }
    const loaded = this.page.length - this.at;
    while (waiters.length > 0 && this.at < this.page.length)
      waiters.shift().resolve({ done: false, value: this.take() });
    if (waiters.length === 0) this.rest();
    else if (more) this.schedule();
    return loaded;
  }

  /** The next of the page, which goes with its last: until a slow reader asks again, that may be long. */
  private take(): CommittedEntry {
    const entry = this.page[this.at++]!;
    if (this.at === this.page.length) {
      this.page = [];
      this.at = 0;
    }
    return entry;
  }

  /** Takes the next page. True: there is more behind it. */
  private load(): boolean {
    const { rawNode, applied } = this.feeds;
    const { raftLog } = rawNode.raft;
    const end = applied() + 1;
    this.page = [];
    this.at = 0;
    if (this.index < raftLog.firstIndex()) throw compacted(this.index, raftLog.firstIndex());
    if (this.index >= end || !raftLog.atHand(this.reader, this.index)) return false;
    const entries = raftLog.slice(this.index, Math.min(end, this.index + PAGE_ENTRIES), PAGE_BYTES);
    if (entries instanceof RaftError) throw compacted(this.index, raftLog.firstIndex());
    this.index = entries[entries.length - 1]!.index + 1;
    // Copies: the log's own bytes are borrowed.
    this.page = entries.filter(isNormal).flatMap(told);
    return this.index < end;
  }
}

/** Of a session's, what was proposed in it; nothing of one that opens a session. */
function told(entry: Entry): CommittedEntry[] {
  const { index, term, bytes, start, size } = entry;
  if (!isOfSession(bytes, start, size)) return [{ index, term, data: new Uint8Array(entry.data) }];
  if (size === SESSION_HEAD_BYTES) return [];
  return [{ index, term, data: new Uint8Array(withoutHead(entry).data), session: placeIn(entry) }];
}

function compacted(index: number, first: number): RaftmarkError {
  const text =
    `entry ${index} is released: this node's log begins with entry ${first}, behind a snapshot ` +
    "(status().log.firstIndex): take the state as it is now, and follow it from there";
  return new RaftmarkError("RAFT_COMPACTED", text);
}
