// RaftLog: the whole log of a node, the storage's part and the unstable end, and how far it is committed and
// applied. Owns those indexes and the pacing of what is handed out to be applied; the storage is only read.
// Invariant: applied <= applying <= committed <= lastIndex().
import { assert, fail } from "../base/assert.js";
import { ErrCompacted, ErrUnavailable, RaftError } from "./errors.js";
import { Unstable } from "./log-unstable.js";
import type { Logger } from "./logger.js";
import type { Entry, Snapshot } from "./raftpb/index.js";
import { EntryNormal, entriesSize, entrySize, NO_ENTRIES, None, payloadsSize } from "./raftpb/index.js";
import type { Storage } from "./storage.js";

/** Bytes of entries that are read at a time where a storage has to be read through. */
const PAGE_BYTES = 64 * 1024;

/** The log of a member: what its storage has, and the unstable end. */
export class RaftLog {
  readonly storage: Storage;
  readonly unstable: Unstable;
  /** Highest index known to be on a quorum. */
  committed: number;
  /** Highest index handed out to be applied. */
  applying: number;
  /** Highest index the application has applied. */
  applied: number;

  /** Indexes of conf changes that are not applied, ascending: known without reading the log. */
  private confChanges: number[];

  /** Encoded bytes handed out and not applied, and their limit. Counted only if there is a limit. */
  readonly maxApplyingEntsSize: number;
  applyingEntsSize = 0;
  /** True: hand out nothing more before something was applied. */
  applyingEntsPaused = false;

  /** The last slice made. Followers at the same place, and the Ready beside them, share one array. */
  private sliceLo = 0;
  private sliceHi = 0;
  private sliceMaxSize = 0;
  private sliced: Entry[] = NO_ENTRIES;
  /** Payload bytes of `sliced`; -1: not counted yet. */
  private slicedPayload = 0;
  /** The last entries that applyingSize measured: they are measured when handed out and when applied. */
  private measured: readonly Entry[] = NO_ENTRIES;
  private measuredSize = 0;
  private readonly storageReadsLater: boolean;
  private readonly logger: Logger | null;

  constructor(storage: Storage, logger: Logger | null, maxApplyingEntsSize: number) {
    const first = storage.firstIndex();
    const last = storage.lastIndex();
    assert(Number.isSafeInteger(last), "the storage's last index is no index");
    assert(first >= 1 && first <= last + 1, "the storage's first index is out of range");
    this.storage = storage;
    this.storageReadsLater = storage.atHand !== undefined;
    this.logger = logger;
    this.maxApplyingEntsSize = maxApplyingEntsSize;
    this.unstable = new Unstable(last + 1, logger);
    this.committed = first - 1;
    this.applying = first - 1;
    this.applied = first - 1;
    this.confChanges = this.storedConfChanges(first - 1);
  }

  private storedConfChanges(index: number): number[] {
    const { storage } = this;
    if (storage.confChangesAfter !== undefined) return storage.confChangesAfter(index).slice();
    const found: number[] = [];
    const error = this.scan(index + 1, storage.lastIndex() + 1, (page) => {
      for (const { type, index } of page) if (type !== EntryNormal) found.push(index);
    });
    if (error !== null) fail("the storage failed to give its own entries");
    return found;
  }

  /** Whether a conf change is committed and not applied. */
  hasUnappliedConfChange(): boolean {
    return this.confChanges.length > 0 && this.confChanges[0] <= this.committed;
  }

  /** Conf changes that are not applied, committed or not, ascending. Borrowed. */
  get unappliedConfChanges(): readonly number[] {
    return this.confChanges;
  }

  // hot
  firstIndex(): number {
    const index = this.unstable.maybeFirstIndex();
    return index === -1 ? this.storage.firstIndex() : index;
  }

  // hot
  lastIndex(): number {
    const index = this.unstable.maybeLastIndex();
    return index === -1 ? this.storage.lastIndex() : index;
  }

  /** Term of entry `index`; ErrCompacted or ErrUnavailable where the log can't tell. */
  // hot
  term(index: number): number | RaftError {
    // The unstable part first: if the index is there, it is in range, and the storage need not be asked.
    const term = this.unstable.maybeTerm(index);
    if (term !== -1) return term;
    // firstIndex()-1 is compacted, but its term is kept: an append is matched against it.
    if (index + 1 < this.firstIndex()) return ErrCompacted;
    if (index > this.lastIndex()) return ErrUnavailable;
    const stored = this.storage.term(index);
    if (typeof stored === "number" || stored === ErrCompacted || stored === ErrUnavailable) return stored;
    return fail("the storage failed to tell a term");
  }

  /** As term(), with 0 for "unknown". */
  termOrZero(index: number): number {
    const term = this.term(index);
    return typeof term === "number" ? term : 0;
  }

  lastTerm(): number {
    const term = this.term(this.lastIndex());
    assert(typeof term === "number", "the last entry has no term");
    return term;
  }

  // hot
  matchTerm(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** §5.4.1: whose log is longer, or ends in a later term, is at least as complete. */
  isUpToDate(index: number, term: number): boolean {
    const lastTerm = this.lastTerm();
    return term > lastTerm || (term === lastTerm && index >= this.lastIndex());
  }

  /**
   * A follower's append: entries follow (prevIndex, prevTerm), `committed` is the leader's commit index.
   * Returns the last index now equal to the leader's, or -1 if the logs don't match at prevIndex (§5.3).
   */
  // hot
  maybeAppend(prevIndex: number, prevTerm: number, entries: readonly Entry[], committed: number): number {
    if (!this.matchTerm(prevIndex, prevTerm)) return -1;
    const lastNew = prevIndex + entries.length;
    const conflict = this.findConflict(entries);
    if (conflict !== 0) {
      assert(conflict > this.committed, "entry conflicts with a committed entry");
      this.appendFrom(entries, conflict - prevIndex - 1);
    }
    this.commitTo(Math.min(committed, lastNew));
    return lastNew;
  }

  /** Appends entries (a leader's own, or a follower's from a conflict on); what is at their place goes. */
  // hot
  append(entries: readonly Entry[]): void {
    if (entries.length > 0) this.appendFrom(entries, 0);
  }

  // hot
  private appendFrom(entries: readonly Entry[], from: number): void {
    assert(entries[from].index > this.committed, "truncating a committed entry");
    const { confChanges } = this;
    while (confChanges.length > 0 && confChanges[confChanges.length - 1] >= entries[from].index)
      confChanges.pop();
    for (let i = from; i < entries.length; i++) {
      if (entries[i].type !== EntryNormal) confChanges.push(entries[i].index);
    }
    const replaced = this.unstable.truncateAndAppend(entries, from);
    if (replaced) this.forgetSlice();
  }

  /** Index of the first entry that is new or differs from ours; 0 if we have them all. */
  // hot
  private findConflict(entries: readonly Entry[]): number {
    const last = this.lastIndex();
    for (let i = 0; i < entries.length; i++) {
      const e = entries[i];
      if (e.index > last) return e.index;
      if (this.matchTerm(e.index, e.term)) continue;
      this.logger?.info(
        `found conflict at index ${e.index} [existing term: ${this.termOrZero(e.index)}, ` +
          `conflicting term: ${e.term}]`,
      );
      return e.index;
    }
    return 0;
  }

  /**
   * The highest index <= `index` whose term is <= `term`: above it the two logs can't agree (§5.3, the
   * optimization of skipping a term at a time). Where our log can't tell, the index there.
   */
  findConflictByTerm(index: number, term: number): number {
    // A run at a time: a log has tens of millions of entries.
    for (let i = index; i > 0; i = this.runStart(i) - 1) {
      const ours = this.term(i);
      if (typeof ours !== "number") return i;
      if (ours <= term) return i;
    }
    return 0;
  }

  /** An index from which on all entries up to `index`, which is in the log, have its term. */
  private runStart(index: number): number {
    const { storage, unstable } = this;
    if (storage.runStart === undefined || unstable.snapshot !== null) return index;
    return index >= storage.firstIndex() && index < unstable.offset ? storage.runStart(index) : index;
  }

  /** Raises the commit index; it never falls. */
  // hot
  commitTo(index: number): void {
    if (index <= this.committed) return;
    // Commit beyond our log: acknowledged entries were lost here. To go on would lose them for good.
    assert(
      index <= this.lastIndex(),
      "commit index is out of range: was the log corrupted, truncated or lost?",
    );
    this.committed = index;
  }

  /** A leader's commit: §5.4.2, only an entry of its own term commits by counting copies. */
  // hot
  maybeCommit(index: number, term: number): boolean {
    if (index <= this.committed || term === 0 || !this.matchTerm(index, term)) return false;
    this.commitTo(index);
    return true;
  }

  // hot
  appliedTo(index: number, size: number): void {
    assert(index <= this.committed, "applied beyond the commit index");
    assert(index >= this.applied, "applied index went backwards");
    this.applied = index;
    if (this.applying < index) this.applying = index;
    if (this.confChanges.length > 0 && this.confChanges[0] <= index) this.dropConfChanges(index);
    this.applyingEntsSize = this.applyingEntsSize > size ? this.applyingEntsSize - size : 0;
    this.applyingEntsPaused = this.applyingEntsSize >= this.maxApplyingEntsSize;
  }

  private dropConfChanges(applied: number): void {
    this.confChanges = this.confChanges.filter((index) => index > applied);
  }

  // hot
  acceptApplying(index: number, size: number, allowUnstable: boolean): void {
    assert(index <= this.committed, "applying beyond the commit index");
    assert(index >= this.applying, "applying index went backwards");
    this.applying = index;
    this.applyingEntsSize += size;
    // Also if the limit cut the last slice: the next entry is known not to fit.
    this.applyingEntsPaused =
      this.applyingEntsSize >= this.maxApplyingEntsSize || index < this.maxAppliableIndex(allowUnstable);
  }

  /** Encoded bytes of entries for appliedTo and acceptApplying; 0 where nothing is limited. */
  // hot
  applyingSize(entries: readonly Entry[]): number {
    if (this.maxApplyingEntsSize === Infinity) return 0;
    if (entries !== this.measured) {
      this.measuredSize = entriesSize(entries);
      this.measured = entries;
    }
    return this.measuredSize;
  }

  // hot
  hasNextUnstableEnts(): boolean {
    return this.unstable.hasNextEntries();
  }

  hasNextOrInProgressUnstableEnts(): boolean {
    return this.unstable.length > 0;
  }

  hasNextUnstableSnapshot(): boolean {
    return this.unstable.nextSnapshot() !== null;
  }

  hasNextOrInProgressSnapshot(): boolean {
    return this.unstable.snapshot !== null;
  }

  /** Entries that are not on their way to the storage yet. */
  // hot
  nextUnstableEnts(): Entry[] {
    const unstable = this.unstable;
    if (!unstable.hasNextEntries()) return NO_ENTRIES;
    const ents = this.slice(unstable.offsetInProgress, unstable.offset + unstable.length, Infinity);
    return ents instanceof RaftError ? fail("unstable entries are compacted") : ents;
  }

  /**
   * Committed entries not handed out yet, within the size limit. allowUnstable: also those not stored yet.
   */
  // hot
  nextCommittedEnts(allowUnstable: boolean): Entry[] {
    if (!this.hasNextCommittedEnts(allowUnstable)) return NO_ENTRIES;
    const maxSize = this.maxApplyingEntsSize - this.applyingEntsSize;
    assert(maxSize > 0, "handing out entries beyond the limit");
    const ents = this.slice(this.applying + 1, this.maxAppliableIndex(allowUnstable) + 1, maxSize);
    if (ents instanceof RaftError) return fail("committed entries are compacted before they were applied");
    assert(ents.length > 0, "no committed entries where there must be some");
    return ents;
  }

  /** False as well where the next one is being read: RawNode.entriesRead. */
  // hot
  hasNextCommittedEnts(allowUnstable: boolean): boolean {
    if (this.applyingEntsPaused || this.unstable.snapshot !== null) return false;
    return this.applying < this.maxAppliableIndex(allowUnstable) && this.atHand(None, this.applying + 1);
  }

  /** Whether entry `index`, or what is behind the log, can be read without waiting (Storage.atHand). */
  // hot
  atHand(reader: number, index: number): boolean {
    if (!this.storageReadsLater || index >= this.unstable.offset) return true;
    return this.storage.atHand!(reader, index);
  }

  /** `reader` asks atHand() no more. */
  release(reader: number): void {
    this.storage.release?.(reader);
  }

  // hot
  private maxAppliableIndex(allowUnstable: boolean): number {
    if (allowUnstable || this.committed < this.unstable.offset) return this.committed;
    return this.unstable.offset - 1;
  }

  snapshot(): Snapshot | RaftError {
    return this.unstable.snapshot ?? this.storage.snapshot();
  }

  stableTo(term: number, index: number): void {
    this.forgetSlice();
    this.unstable.stableTo(term, index);
  }

  stableSnapTo(index: number): void {
    this.unstable.stableSnapTo(index);
  }

  restore(snapshot: Snapshot): void {
    const { index, term } = snapshot.metadata;
    this.logger?.info(`log [${this.toString()}] starts to restore snapshot [index: ${index}, term: ${term}]`);
    assert(index > this.committed, "a snapshot must not take the log back");
    this.forgetSlice();
    this.confChanges = [];
    this.committed = index;
    this.unstable.restore(snapshot);
  }

  /**
   * Entries from `index` to the end, as many as fit maxSize (at least one); ErrCompacted. Shared: read only.
   */
  // hot
  entries(index: number, maxSize: number): Entry[] | RaftError {
    const last = this.lastIndex();
    if (index > last) return NO_ENTRIES;
    return this.slice(index, last + 1, maxSize);
  }

  /** Calls `visit` with all entries in [lo, hi), a page at a time. */
  private scan(lo: number, hi: number, visit: (page: readonly Entry[]) => void): RaftError | null {
    for (let next = lo; next < hi; ) {
      const page = this.slice(next, hi, PAGE_BYTES);
      if (page instanceof RaftError) return page;
      assert(page.length > 0, "an empty page inside the log");
      visit(page);
      next += page.length;
    }
    return null;
  }

  /** Entries [lo, hi), at least one, as many as fit maxSize. ErrCompacted. Shared: read only. */
  // hot
  slice(lo: number, hi: number, maxSize: number): Entry[] | RaftError {
    assert(lo <= hi, "invalid slice");
    if (lo < this.firstIndex()) return ErrCompacted;
    assert(hi <= this.lastIndex() + 1, "slice beyond the end of the log");
    if (lo === hi) return NO_ENTRIES;
    if (lo === this.sliceLo && hi === this.sliceHi && this.sliceFits(maxSize)) return this.sliced;
    const ents =
      lo >= this.unstable.offset ? this.sliceUnstable(lo, hi, maxSize) : this.sliceStored(lo, hi, maxSize);
    if (!(ents instanceof RaftError)) {
      this.sliceLo = lo;
      this.sliceHi = hi;
      this.sliceMaxSize = maxSize;
      this.sliced = ents;
      this.slicedPayload = -1;
    }
    return ents;
  }

  /** Payload bytes of an array that slice() returned. */
  // hot
  payloadOf(ents: readonly Entry[]): number {
    if (ents !== this.sliced) return payloadsSize(ents);
    if (this.slicedPayload === -1) this.slicedPayload = payloadsSize(ents);
    return this.slicedPayload;
  }

  /** About how many payload bytes the entries [lo, hi) have; rather too many than too few (Storage.sizeOf). */
  sizeOf(lo: number, hi: number): number {
    assert(lo >= this.firstIndex() && hi <= this.lastIndex() + 1, "size of entries outside the log");
    const { storage, unstable } = this;
    let size = 0;
    const stored = Math.min(hi, unstable.offset);
    if (lo < stored && storage.sizeOf !== undefined) size = storage.sizeOf(lo, stored);
    else {
      const error = this.scan(lo, stored, (page) => {
        size += payloadsSize(page);
      });
      if (error !== null) fail("entries in range are compacted");
    }
    for (let i = Math.max(lo, stored); i < hi; i++) size += unstable.at(i).size;
    return size;
  }

  /** Whether the remembered slice, asked for with another limit, would be the same. */
  // hot
  private sliceFits(maxSize: number): boolean {
    if (maxSize === this.sliceMaxSize) return true;
    // A complete one is the same under any looser limit.
    return maxSize > this.sliceMaxSize && this.sliced.length === this.sliceHi - this.sliceLo;
  }

  /** When entries were replaced; and when the storage took some in, as it may use again what older ones lay in. */
  forgetSlice(): void {
    this.sliceLo = 0;
    this.sliceHi = 0;
    this.sliced = NO_ENTRIES;
    this.slicedPayload = 0;
  }

  // hot
  private sliceUnstable(lo: number, hi: number, maxSize: number): Entry[] {
    if (maxSize === Infinity) return this.unstable.slice(lo, hi);
    let size = entrySize(this.unstable.at(lo));
    let end = lo + 1;
    for (; end < hi; end++) {
      size += entrySize(this.unstable.at(end));
      if (size > maxSize) break;
    }
    return this.unstable.slice(lo, end);
  }

  private sliceStored(lo: number, hi: number, maxSize: number): Entry[] | RaftError {
    const cut = Math.min(hi, this.unstable.offset);
    const ents = this.storage.entries(lo, cut, maxSize);
    if (ents === ErrCompacted) return ErrCompacted;
    if (ents instanceof RaftError) return fail("entries in range are unavailable from the storage");
    // The limit is reached inside the storage's part.
    if (hi <= this.unstable.offset || ents.length < cut - lo) return ents;
    let size = maxSize === Infinity ? 0 : entriesSize(ents);
    for (let i = this.unstable.offset; i < hi; i++) {
      const e = this.unstable.at(i);
      if (maxSize !== Infinity) size += entrySize(e);
      if (size > maxSize) break;
      ents.push(e);
    }
    return ents;
  }

  /** As etcd prints it. */
  toString(): string {
    return (
      `committed=${this.committed}, applied=${this.applied}, applying=${this.applying}, ` +
      `unstable.offset=${this.unstable.offset}, ` +
      `unstable.offsetInProgress=${this.unstable.offsetInProgress}, ` +
      `len(unstable.Entries)=${this.unstable.length}`
    );
  }
}
