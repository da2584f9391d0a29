// A log in memory that answers when the test says so: what was appended is durable then, in order.
import { MemoryStorage } from "../../src/raft/index.js";
import { type ConfState, EMPTY_HARD_STATE, type Entry, type HardState } from "../../src/raft/raftpb/index.js";
import type { Recovered, Wal, WalStats, WalStorage } from "../../src/wal/index.js";
import { BatchTimes } from "../../src/wal/write/batch-times.js";

interface Write {
  readonly seq: number;
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
  readonly sync: boolean;
}

class LogStorage extends MemoryStorage implements WalStorage {
  readonly cacheBytes = 0;
  readonly logBytes = 0;
  private readonly voters: ConfState;

  constructor(voters: ConfState) {
    super();
    this.voters = voters;
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
  /** What is durable. */
  readonly entries: Entry[] = [];
  /** Runs its argument when the disk has answered. */
  private readonly later: (done: () => void) => void;
  private seq = 0;
  /** Not reported yet, oldest first; the first `flushing` of them are on their way to the disk. */
  private readonly pending: Write[] = [];
  private flushing = 0;
  private lastState: HardState = EMPTY_HARD_STATE;

  constructor(voters: ConfState, later: (done: () => void) => void) {
    this.later = later;
    this.storage = new LogStorage(voters);
    this.recovered = {
      created: true,
      durability: "fdatasync",
      metadata: new Uint8Array(0),
      hardState: EMPTY_HARD_STATE,
      lastIndex: 0,
      firstIndex: 1,
      records: 0,
      segments: 1,
      torn: null,
      snapshot: null,
      brokenSnapshots: [],
      strangeSnapshots: [],
      confChanges: [],
    };
  }

  append(hardState: HardState | null, entries: readonly Entry[]): number {
    let sync = entries.length > 0;
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
    this.later(() => this.report());
  }

  private report(): void {
    const done = this.pending.splice(0, this.flushing);
    this.flushing = 0;
    for (const { hardState, entries } of done) {
      if (entries.length > 0) this.entries.splice(entries[0].index - 1, Infinity, ...entries);
      this.storage.append(entries);
      if (hardState !== null) this.storage.setHardState(hardState);
    }
    if (this.pending.length > 0) this.flush();
    this.onDurable(done[done.length - 1].seq);
  }

  silentMs(): number {
    return 0;
  }

  saveSnapshot(): Promise<void> {
    throw new Error("nobody takes snapshots");
  }

  stageSnapshot(): Promise<void> {
    throw new Error("nobody takes snapshots");
  }

  recordSnapshot(): Promise<void> {
    throw new Error("nobody takes snapshots");
  }

  openSnapshot(): Promise<null> {
    return Promise.resolve(null);
  }

  openSnapshotFile(): Promise<null> {
    return Promise.resolve(null);
  }

  stageSnapshotFile(): Promise<void> {
    throw new Error("nobody takes snapshots");
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
