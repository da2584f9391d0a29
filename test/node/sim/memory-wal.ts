// A log in memory that answers late, as a disk does: what was appended is durable some time after, in order; a crash
// keeps a part of what was on its way. Nothing of it survives but the disk.
import { MemoryStorage } from "../../../src/raft/index.js";
import {
  type ConfState,
  EMPTY_HARD_STATE,
  type Entry,
  type HardState,
} from "../../../src/raft/raftpb/index.js";
import type { Recovered, Wal, WalStats, WalStorage } from "../../../src/wal/index.js";
import { BatchTimes } from "../../../src/wal/write/batch-times.js";

interface Write {
  readonly seq: number;
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
  readonly sync: boolean;
}

/** What a node's crash leaves. */
export class MemoryDisk {
  /** Entry at index i + 1. */
  readonly entries: Entry[] = [];
  hardState: HardState = EMPTY_HARD_STATE;
  /** Its log was opened before. */
  isUsed = false;

  write({ hardState, entries }: Write): void {
    if (entries.length > 0) this.entries.splice(entries[0].index - 1, Infinity, ...entries);
    if (hardState !== null) this.hardState = hardState;
  }
}

class LogStorage extends MemoryStorage implements WalStorage {
  readonly cacheBytes = 0;
  readonly logBytes = 0;
  private readonly voters: ConfState;

  constructor(disk: MemoryDisk, voters: ConfState) {
    super();
    this.voters = voters;
    this.append(disk.entries);
    this.setHardState(disk.hardState);
  }

  override initialState(): { hardState: HardState; confState: ConfState } {
    return { hardState: super.initialState().hardState, confState: this.voters };
  }
}

export class MemoryWal implements Wal {
  readonly recovered: Recovered;
  readonly storage: LogStorage;
  readonly batchTimes = new BatchTimes(null as never);
  readonly backlogBytes = 0;
  onDurable: (seq: number) => void = () => {};
  onFault: () => void = () => {};
  private readonly disk: MemoryDisk;
  /** Runs its argument when the disk has answered; the process may be gone or stand still then. */
  private readonly later: (done: () => void) => void;
  /** The time, in the unit of `silentMs`. */
  private readonly now: () => number;
  /** Since when the disk has not answered what it was given; Infinity: it has. */
  private askedAt = Infinity;
  private seq = 0;
  /** Not reported yet, oldest first; the first `flushing` of them are on their way to the disk. */
  private readonly pending: Write[] = [];
  private flushing = 0;
  /** Reported without a sync, and not on the disk yet. */
  private readonly unsynced: Write[] = [];
  private lastState: HardState;

  constructor(disk: MemoryDisk, voters: ConfState, now: () => number, later: (done: () => void) => void) {
    this.disk = disk;
    this.now = now;
    this.later = later;
    this.storage = new LogStorage(disk, voters);
    this.lastState = disk.hardState;
    this.recovered = {
      created: !disk.isUsed,
      durability: "fdatasync",
      metadata: new Uint8Array(0),
      hardState: disk.hardState,
      lastIndex: disk.entries.length,
      firstIndex: 1,
      records: 0,
      segments: 1,
      torn: null,
      snapshot: null,
      brokenSnapshots: [],
      confChanges: [],
    };
    disk.isUsed = true;
  }

  append(hardState: HardState | null, entries: readonly Entry[], mustSync: boolean): number {
    let sync = mustSync || entries.length > 0;
    if (hardState !== null) {
      sync ||= hardState.term !== this.lastState.term || hardState.vote !== this.lastState.vote;
      this.lastState = hardState;
    }
    this.pending.push({ seq: ++this.seq, hardState, entries: entries.slice(), sync });
    if (this.flushing === 0) this.flush();
    return this.seq;
  }

  /** All that waits, as one group commit. */
  private flush(): void {
    this.flushing = this.pending.length;
    if (!this.pending.some((write) => write.sync)) {
      setImmediate(() => this.report());
      return;
    }
    this.askedAt = this.now();
    this.later(() => this.report());
  }

  private report(): void {
    const done = this.pending.splice(0, this.flushing);
    this.flushing = 0;
    this.askedAt = Infinity;
    const synced = done.some((write) => write.sync);
    if (synced) {
      for (const write of this.unsynced.splice(0)) this.disk.write(write);
      for (const write of done) this.disk.write(write);
    } else {
      this.unsynced.push(...done);
    }
    for (const { hardState, entries } of done) {
      this.storage.append(entries);
      if (hardState !== null) this.storage.setHardState(hardState);
    }
    if (this.pending.length > 0) this.flush();
    this.onDurable(done[done.length - 1].seq);
  }

  /** The process is gone: of what was on its way the disk has the first `share` (0 .. 1), and nothing comes after. */
  crash(share: number): void {
    const lost = [...this.unsynced, ...this.pending];
    for (const write of lost.slice(0, Math.round(share * lost.length))) this.disk.write(write);
    this.pending.length = 0;
    this.unsynced.length = 0;
  }

  silentMs(): number {
    return Math.max(0, this.now() - this.askedAt);
  }

  saveSnapshot(): Promise<void> {
    throw new Error("the world takes no snapshots");
  }

  stageSnapshot(): Promise<void> {
    throw new Error("the world takes no snapshots");
  }

  recordSnapshot(): Promise<void> {
    throw new Error("the world takes no snapshots");
  }

  openSnapshot(): Promise<null> {
    return Promise.resolve(null);
  }

  openSnapshotFile(): Promise<null> {
    return Promise.resolve(null);
  }

  stageSnapshotFile(): Promise<void> {
    throw new Error("the world takes no snapshots");
  }

  holdFrom(): void {}

  stats(): WalStats {
    throw new Error("nobody asks for figures");
  }

  syncTimes(): never {
    throw new Error("nobody asks for figures");
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
