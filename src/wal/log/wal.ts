// The log on the main thread: numbers appends, feeds the ring, keeps what does not fit in order, and moves entries to
// storage when the writer reports them durable. Decides nothing about files; waits for nothing.
import { assert } from "../../base/assert.js";
import { RaftmarkError, textOf } from "../../base/errors.js";
import { Fifo } from "../../base/fifo.js";
import {
  type Entry,
  type HardState,
  NO_ENTRIES,
  payloadsSize,
  type SnapshotMetadata,
} from "../../raft/raftpb/index.js";
import type { DirLock } from "../disk/lock.js";
import * as L from "../format/layout.js";
import { encodeSnapshotRecord } from "../format/record.js";
import type { DurableLog } from "../read/wal-storage.js";
import { raisedBy } from "../snap/snap-dir.js";
import type { SnapshotFile } from "../snap/snap-transfer.js";
import type { Abortable, SnapshotData, SnapshotStream } from "../snap/snapshot-data.js";
import { SnapshotKeeper, type SnapshotLog, type SnapshotSetup } from "../snap/snapshot-keeper.js";
import { BatchTimes } from "../write/batch-times.js";
import { RingProducer } from "../write/ring.js";
import { type DurationHistogram, readSyncTimes } from "../write/sync-times.js";
import type { Writer } from "../write/writer.js";
import { AppendOrder } from "./append-order.js";
import { Silence } from "./silence.js";
import type { Recovered, Wal, WalStats } from "./types.js";

/** What an entry weighs in the backlog beside its data. */
const ENTRY_COST = 64;
/** An append is shown to a writer on another thread in parts of this size, so that it encodes while we push. */
const PART_BYTES = 8 << 10;

/** A snapshot whose record is on its way. */
interface Recording {
  metadata: SnapshotMetadata;
  record: Uint8Array;
  done(): void;
  failed(error: RaftmarkError): void;
}

/** One append on its way. */
class Append {
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
  readonly sync: boolean;
  /** What its entries weigh in the backlog. */
  readonly cost: number;
  /** When it was appended; performance.now(). */
  readonly at = performance.now();
  /** Entries handed to the ring. */
  pushed = 0;
  /** Its hard state is in the ring. */
  statePushed: boolean;
  /** Not null: a snapshot's record, and no entries. It stands before the hard state. */
  readonly snapshot: Recording | null;
  snapshotPushed: boolean;

  constructor(
    hardState: HardState | null,
    entries: readonly Entry[],
    sync: boolean,
    snapshot: Recording | null,
  ) {
    this.hardState = hardState;
    this.entries = entries;
    this.cost = payloadsSize(entries) + entries.length * ENTRY_COST;
    this.sync = sync;
    this.statePushed = hardState === null;
    this.snapshot = snapshot;
    this.snapshotPushed = snapshot === null;
  }
}

/** What opening has put together (open.ts). */
export interface RingWalParts {
  readonly recovered: Recovered;
  readonly storage: DurableLog;
  readonly writer: Writer;
  readonly ringBytes: number;
  /** Let go of when the log is closed. */
  readonly lock: DirLock;
  readonly snapshots: SnapshotSetup;
  readonly onWarning: (warning: RaftmarkError) => void;
}

export class RingWal implements Wal, SnapshotLog {
  readonly recovered: Recovered;
  readonly storage: DurableLog;
  onDurable: (seq: number) => void = () => {};
  onFault: (error: RaftmarkError) => void = () => {};
  readonly batchTimes: BatchTimes;
  readonly writer: Writer;
  private readonly snapshots: SnapshotKeeper;
  readonly warn: (warning: RaftmarkError) => void;
  private readonly ring: RingProducer;
  private readonly lock: DirLock;
  /** Appends (reported, lastSeq], oldest first; the first `ringed` of them are in the ring as a whole. */
  private readonly appends = new Fifo<Append>();
  private ringed = 0;
  backlogBytes = 0;
  private lastSeq = 0;
  /** Highest sequence that the writer made durable. Invariant: durable <= lastSeq. */
  private durable = 0;
  /** Highest sequence reported. Invariant: durable <= reported <= lastSeq, once report() ran. */
  private reported = 0;
  private readonly order: AppendOrder;
  /** When the disk was seen to have done something last; performance.now(). */
  private answeredAt = 0;
  /** WORD_ANSWERS then. */
  private answers = 0;
  private readonly writes = new Silence();
  private readonly reads = new Silence();
  private appendLatencyMaxMs = 0;
  private warnings = 0;
  private pointsHead = 0;
  private reportScheduled = false;
  /** What fenced the log, if anything did. */
  fault: RaftmarkError | null = null;
  private closing: Promise<void> | null = null;
  private idle: () => void = () => {};

  constructor({ recovered, storage, writer, ringBytes, lock, snapshots, onWarning }: RingWalParts) {
    this.recovered = recovered;
    this.storage = storage;
    this.writer = writer;
    this.lock = lock;
    const { hardState, lastIndex } = recovered;
    this.order = new AppendOrder(hardState, lastIndex, storage.term(lastIndex) as number);
    this.ring = new RingProducer(writer.memory, ringBytes);
    this.snapshots = new SnapshotKeeper(snapshots, this);
    this.batchTimes = new BatchTimes(writer.memory);
    writer.onNotice = () => this.report();
    writer.onFault = (error) => this.onWriterFault(error);
    this.warn = (warning) => {
      this.warnings++;
      onWarning(warning);
    };
    writer.onWarning = this.warn;
  }

  append(hardState: HardState | null, entries: readonly Entry[]): number {
    // hot
    if (this.fault !== null || this.closing !== null) throw this.refusal();
    const count = entries.length;
    const { term, vote } = this.order.hardState;
    this.order.take(hardState, entries);
    const sync = count > 0 || (hardState !== null && (hardState.term !== term || hardState.vote !== vote));
    const seq = ++this.lastSeq;
    const append = new Append(hardState, entries, sync, null);
    this.backlogBytes += append.cost;
    this.appends.push(append);
    this.pump();
    if (!sync && this.appends.length === 1) this.scheduleReport();
    return seq;
  }

  private refusal(): RaftmarkError {
    if (this.fault === null) return new RaftmarkError("RAFT_CLOSED", "the log is closed");
    return new RaftmarkError("RAFT_FENCED", `the log is fenced: ${this.fault.message}`, { mayCommit: true });
  }

  /** What the log does only as long as it is open. */
  private whenOpen(call: () => Promise<void>): Promise<void> {
    return this.fault !== null || this.closing !== null ? Promise.reject(this.refusal()) : call();
  }

  saveSnapshot(metadata: SnapshotMetadata, data: SnapshotData, options?: Abortable): Promise<void> {
    return this.whenOpen(() => this.snapshots.save(metadata, data, options));
  }

  openSnapshot(index?: number): Promise<SnapshotStream | null> {
    return this.snapshots.open(index ?? null);
  }

  stageSnapshot(metadata: SnapshotMetadata, data: SnapshotData, options?: Abortable): Promise<void> {
    return this.whenOpen(() => this.snapshots.stage(metadata, data, options));
  }

  openSnapshotFile(index: number): Promise<SnapshotFile | null> {
    return this.snapshots.openFile(index);
  }

  stageSnapshotFile(
    metadata: SnapshotMetadata,
    pieces: AsyncIterable<Uint8Array>,
    options?: Abortable,
  ): Promise<void> {
    return this.whenOpen(() => this.snapshots.stageFile(metadata, pieces, options));
  }

  holdFrom(index: number): void {
    this.snapshots.holdFrom(index);
  }

  recordSnapshot(metadata: SnapshotMetadata): Promise<void> {
    return this.whenOpen(() => this.snapshots.record(metadata).recorded);
  }

  /** For the keeper of snapshots: before anything of it is written, and before its record is. */
  checkSnapshot(metadata: SnapshotMetadata): void {
    this.order.checkSnapshot(metadata, (index) => this.termOf(index));
  }

  /** Of an entry that the log was given, written or not; null: it has none, or a snapshot on its way may replace it. */
  private termOf(index: number): number | null {
    for (let i = this.appends.length - 1; i >= 0; i--) {
      const { entries, snapshot } = this.appends.peek(i);
      if (snapshot !== null) return null;
      if (entries.length > 0 && index >= entries[0].index)
        return entries[index - entries[0].index]?.term ?? null;
    }
    const term = this.storage.term(index);
    return typeof term === "number" ? term : null;
  }

  /** For the keeper of snapshots: the record alone. */
  appendSnapshot(metadata: SnapshotMetadata): Promise<void> {
    if (this.fault !== null || this.closing !== null) return Promise.reject(this.refusal());
    const { index, term, confState } = metadata;
    const record = encodeSnapshotRecord(index, term, confState);
    if (record.length + L.ENTRY_ITEM_BYTES + 8 > this.ring.itemBytesMax) {
      const text = `a membership of ${record.length} bytes does not fit the log's ring: raise ringBytes`;
      return Promise.reject(new RaftmarkError("RAFT_BAD_OPTION", text));
    }
    // Right behind the record, so that the log behind it never seems to begin above its commit index.
    const before = this.order.hardState;
    const raised = raisedBy(metadata, before);
    const hardState = raised === before ? null : raised;
    this.order.snapshot(metadata, raised, this.termOf(index));
    this.lastSeq++;
    return new Promise((done, failed) => {
      this.appends.push(new Append(hardState, NO_ENTRIES, true, { metadata, record, done, failed }));
      this.pump();
    });
  }

  // Hands as much as fits to the ring, and shows it to the writer if it has to be written now.
  private pump(): void {
    // hot
    let show = false;
    while (this.ringed < this.appends.length) {
      const append = this.appends.peek(this.ringed);
      if (!this.pushAppend(append)) {
        show = true;
        break;
      }
      this.ringed++;
      show ||= append.sync;
    }
    if (show && this.ring.publish()) this.writer.wake();
  }

  /** False: the ring is full; the rest of the append follows when there is room. */
  private pushAppend(append: Append): boolean {
    // hot
    const { ring } = this;
    const { entries } = append;
    while (append.pushed < entries.length) {
      const entry = entries[append.pushed];
      const large = ring.isLarge(entry);
      if (entry.at !== -1 && !large) {
        const end = ring.pieceEnd(entries, append.pushed);
        if (!ring.pushRun(entry, entries[end - 1])) return false;
        append.pushed = end;
      } else {
        if (!ring.pushEntry(entry, large)) return false;
        if (large) this.writer.sendLarge(entry.data);
        append.pushed++;
      }
      if (append.pushed === entries.length) this.backlogBytes -= append.cost;
      if (ring.hiddenBytes < PART_BYTES || !this.writer.overlaps) continue;
      if (append.pushed < entries.length && ring.publishPart()) this.writer.wake();
    }
    if (!append.snapshotPushed) {
      const { metadata, record } = append.snapshot!;
      if (!ring.pushSnapshot(metadata.term, metadata.index, record)) return false;
      append.snapshotPushed = true;
    }
    if (!append.statePushed) {
      if (!ring.pushState(append.hardState!)) return false;
      append.statePushed = true;
    }
    // The sequence number of the append behind all that are reported and ringed.
    return ring.pushEnd(this.reported + this.ringed + 1);
  }

  // Points are published before the sequence that needs them.
  private takePoints(): void {
    const { i32, f64 } = this.writer.memory;
    const tail = Atomics.load(i32, L.WORD_POINTS_TAIL) >>> 0;
    if (this.pointsHead === tail) return;
    for (let point = this.pointsHead; point !== tail; point = (point + 1) >>> 0) {
      const at = (L.POINTS + (point % L.POINTS_MAX) * L.POINT_BYTES) / 8;
      this.storage.points.add(f64[at], f64[at + 1], f64[at + 2], f64[at + 3], f64[at + 4]);
    }
    this.pointsHead = tail;
    Atomics.store(i32, L.WORD_POINTS_HEAD, tail);
    this.writer.pointsConsumed();
  }

  // Takes in what the writer says, and moves what is durable to storage. An append that needs no sync counts as done when
  // everything before it is. From the event loop.
  private report(): void {
    // hot
    if (this.fault !== null) return;
    const before = this.reported;
    const oldestAt = this.appends.length > 0 ? this.appends.peek(0).at : 0;
    try {
      const low = Atomics.load(this.writer.memory.i32, L.WORD_DURABLE) >>> 0;
      this.durable += (low - this.durable) >>> 0;
      assert(this.durable <= this.lastSeq, "durable before it was appended");
      this.takePoints();
      while (this.ringed > 0) {
        const append = this.appends.peek(0);
        if (this.reported >= this.durable && append.sync) break;
        this.appends.shift();
        this.ringed--;
        this.reported++;
        this.storage.append(append.entries);
        if (append.hardState !== null) this.storage.setHardState(append.hardState);
        if (append.snapshot !== null) {
          this.storage.applySnapshot(append.snapshot.metadata);
          append.snapshot.done();
        }
      }
      this.pump();
    } catch (cause) {
      this.broke(cause);
      return;
    }
    if (this.reported === before) return;
    this.answeredAt = performance.now();
    const waitedMs = this.answeredAt - oldestAt;
    if (waitedMs > this.appendLatencyMaxMs) this.appendLatencyMaxMs = waitedMs;
    if (this.appends.length === 0) this.idle();
    this.onDurable(this.reported);
  }

  silentMs(gapMsMax = Number.POSITIVE_INFINITY): number {
    const now = performance.now();
    const answers = Atomics.load(this.writer.memory.i32, L.WORD_ANSWERS);
    if (answers !== this.answers) {
      this.answers = answers;
      this.answeredAt = now;
    }
    const writesMs = this.writes.measure(now, this.writesOwedSince(), gapMsMax);
    const readsMs = this.reads.measure(now, this.storage.readOwedSince, gapMsMax);
    return Math.max(writesMs, readsMs);
  }

  /** As Silence wants it. */
  private writesOwedSince(): number {
    if (this.appends.length === 0) return Number.POSITIVE_INFINITY;
    const low = Atomics.load(this.writer.memory.i32, L.WORD_DURABLE) >>> 0;
    // Else the answer is there, and its notice on the way.
    const isOwed = low === this.durable >>> 0;
    return isOwed ? Math.max(this.answeredAt, this.appends.peek(0).at) : Number.POSITIVE_INFINITY;
  }

  private scheduleReport(): void {
    if (this.reportScheduled) return;
    this.reportScheduled = true;
    setImmediate(() => {
      this.reportScheduled = false;
      this.report();
    });
  }

  /** An invariant of the log's does not hold, and nobody else would catch it. */
  private broke(cause: unknown): void {
    const text = `the log failed: ${textOf(cause)}`;
    this.onWriterFault(new RaftmarkError("RAFT_FENCED", text, { mayCommit: true, cause }));
  }

  private onWriterFault(error: RaftmarkError): void {
    if (this.fault !== null) return;
    this.fault = error;
    this.idle();
    for (let at = 0; at < this.appends.length; at++) {
      this.appends.peek(at).snapshot?.failed(this.refusal());
    }
    this.onFault(error);
  }

  stats(): WalStats {
    const { f64 } = this.writer.memory;
    const { released, recycled } = this.snapshots;
    return {
      writes: f64[L.STAT_WRITES / 8],
      syncs: f64[L.STAT_SYNCS / 8],
      bytes: f64[L.STAT_BYTES / 8],
      entries: f64[L.STAT_ENTRIES / 8],
      appends: this.lastSeq,
      released,
      recycled,
      appendLatencyMaxMs: this.appendLatencyMaxMs,
      warnings: this.warnings,
      backlogBytes: this.backlogBytes,
      ringBytes: this.ring.waitingBytes,
      ringBytesMax: this.ring.ringBytes,
    };
  }

  syncTimes(): DurationHistogram {
    return readSyncTimes(this.writer.memory);
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async shutDown(): Promise<void> {
    await this.snapshots.close();
    if (this.appends.length > 0 && this.fault === null) {
      await new Promise<void>((resolve) => {
        this.idle = resolve;
      });
    }
    // Commit state that waits for the next sync goes out now.
    if (this.fault === null) this.ring.publish();
    try {
      await this.writer.close();
    } finally {
      await this.storage.close();
      this.lock.release();
    }
  }
}
