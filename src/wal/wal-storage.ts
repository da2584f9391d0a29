// raft.Storage over the log: the durable entries, the recent ones in memory, older ones read back from the segments.
import { assert } from "../base/assert.js";
import { ErrCompacted, ErrUnavailable, type RaftError } from "../raft/errors.js";
import {
  type ConfState,
  EMPTY_SNAPSHOT,
  type Entry,
  type HardState,
  type Snapshot,
} from "../raft/raftpb/index.js";
import { entrySize } from "../raft/raftpb/size.js";
import type { Storage } from "../raft/storage.js";
import type { LogIndex } from "./log-index.js";

/** Bytes an entry takes besides its data, for the bound of the cache. */
const ENTRY_OVERHEAD_BYTES = 200;

export class WalStorage implements Storage {
  private readonly hardState: HardState;
  private readonly confState: ConfState;
  private readonly index: LogIndex;
  private readonly cacheBytesMax: number;
  /** The recent entries are tail[head..]; the first of them has index `tailFirst`. */
  private tail: Entry[] = [];
  private head = 0;
  private tailFirst = 1;
  private tailBytes = 0;
  /** Entries read from disk last: a lagging follower asks for term and entries of the same place. */
  private page: Entry[] = [];

  constructor(hardState: HardState, confState: ConfState, index: LogIndex, cacheBytesMax: number) {
    this.hardState = hardState;
    this.confState = confState;
    this.index = index;
    this.cacheBytesMax = cacheBytesMax;
  }

  initialState(): { hardState: HardState; confState: ConfState } {
    return { hardState: this.hardState, confState: this.confState };
  }

  firstIndex(): number {
    return 1;
  }

  lastIndex(): number {
    return this.tailFirst + this.tail.length - this.head - 1;
  }

  // hot
  term(index: number): number | RaftError {
    if (index >= this.tailFirst) {
      const at = this.head + index - this.tailFirst;
      return at < this.tail.length ? this.tail[at].term : ErrUnavailable;
    }
    if (index === 0) return 0;
    if (index < 0) return ErrCompacted;
    return this.old(index, index + 1, 0)[0].term;
  }

  entries(lo: number, hi: number, maxSize: number): Entry[] | RaftError {
    if (lo < 1) return ErrCompacted;
    if (hi > this.lastIndex() + 1) return ErrUnavailable;
    assert(lo < hi, "an empty range of entries");
    if (lo < this.tailFirst) return this.old(lo, Math.min(hi, this.tailFirst), maxSize);
    let end = this.head + hi - this.tailFirst;
    const start = this.head + lo - this.tailFirst;
    let size = 0;
    for (let i = start; i < end; i++) {
      size += entrySize(this.tail[i]);
      if (size > maxSize && i > start) end = i;
    }
    return this.tail.slice(start, end);
  }

  /** Never temporarily unavailable and never asked for: nothing is compacted. */
  snapshot(): Snapshot | RaftError {
    return EMPTY_SNAPSHOT;
  }

  /** Takes over what recovery found: the recent entries, the last of which has index `lastIndex`. */
  restore(recent: Entry[], lastIndex: number): void {
    assert(this.lastIndex() === 0, "restored into a storage that is in use");
    this.tail = recent;
    this.tailFirst = lastIndex - recent.length + 1;
    for (const entry of recent) this.tailBytes += entry.data.length + ENTRY_OVERHEAD_BYTES;
  }

  /** Takes over entries that are durable; from the first of them on, they replace what was there. */
  // hot
  append(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    const first = entries[0].index;
    assert(first <= this.lastIndex() + 1, "gap in the log");
    if (first <= this.lastIndex()) this.truncate(first);
    for (let i = 0; i < entries.length; i++) {
      this.tail.push(entries[i]);
      this.tailBytes += entries[i].data.length + ENTRY_OVERHEAD_BYTES;
    }
    if (this.tailBytes > this.cacheBytesMax) this.evict();
  }

  /** Forgets what of the tail exceeds the bound; at least the last entry stays. */
  private evict(): void {
    const { tail } = this;
    while (this.tailBytes > this.cacheBytesMax && this.head < tail.length - 1) {
      this.tailBytes -= tail[this.head].data.length + ENTRY_OVERHEAD_BYTES;
      this.head++;
      this.tailFirst++;
    }
    // Moving the rest costs its length, so only when as much is free: amortized, nothing.
    if (this.head * 2 < tail.length) return;
    this.tail = tail.slice(this.head);
    this.head = 0;
  }

  private truncate(first: number): void {
    if (first < this.tailFirst) {
      this.tail = [];
      this.head = 0;
      this.tailFirst = first;
      this.tailBytes = 0;
    } else {
      const cut = this.tail.splice(this.head + first - this.tailFirst);
      for (const entry of cut) this.tailBytes -= entry.data.length + ENTRY_OVERHEAD_BYTES;
    }
    this.page = [];
  }

  /** Entries below the tail, from the page read last or from disk. */
  private old(lo: number, hi: number, maxSize: number): Entry[] {
    const { page } = this;
    const inPage = page.length > 0 && lo >= page[0].index && lo <= page[page.length - 1].index;
    if (!inPage) this.page = this.index.read(lo, this.tailFirst, Math.max(maxSize, 65536));
    const start = lo - this.page[0].index;
    let end = Math.min(this.page.length, start + hi - lo);
    let size = 0;
    for (let i = start; i < end; i++) {
      size += entrySize(this.page[i]);
      if (size > maxSize && i > start) end = i;
    }
    return this.page.slice(start, end);
  }
}
