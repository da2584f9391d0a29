// The snapshots that a node takes of its own state: when, one at a time, and what becomes of one that fails. The driver
// says what was applied and when nothing is being applied; the log writes the file, records it and releases what it
// makes superfluous. Main thread.
import { assert } from "../base/assert.js";
import { RaftmarkError } from "../base/errors.js";
import type { SnapshotMetadata } from "../raft/index.js";
import type { Wal } from "../wal/index.js";
import type { CallOptions, SnapshotTaken, SnapshotTaking, StateMachine } from "./api.js";
import { CallWatch, endedCall, type Watched } from "./call-watch.js";
import type { Sessions } from "./sessions.js";
import { SnapshotDue, type SnapshotPolicy } from "./snapshot-policy.js";
import { SnapshotChunks, sourceError } from "./snapshot-source.js";

/** After a failure: until the next try, doubling from the first to the second of these. */
const RETRY_MS_MIN = 5_000;
const RETRY_MS_MAX = 600_000;
/** When a state machine gives no chunk for so long, that is reported; again after twice as long, and so on. */
const OWED_MS = 60_000;

export interface SnapshotsParts {
  readonly wal: Wal;
  readonly stateMachine: StateMachine;
  readonly sessions: Sessions;
  readonly policy: SnapshotPolicy;
  readonly tickMs: number;
  /** The newest one of the log, when it was opened. */
  readonly last: SnapshotTaken | null;
  readonly onTaken: (taken: SnapshotTaken, ms: number) => void;
  /** The node goes on, and tries again after so many milliseconds; 0: nobody but a caller asked for it. */
  readonly onFailed: (metadata: SnapshotMetadata, error: RaftmarkError, retryMs: number) => void;
  /** The state machine has given nothing more of it for so long; none other is taken meanwhile. */
  readonly onOwed: (index: number, bytes: number, ms: number) => void;
}

/** Of the snapshot under way. */
interface Source {
  readonly index: number;
  readonly chunks: SnapshotChunks;
  /** The chunk that the log waits for, and for how many ticks it has. */
  owed: number;
  ticks: number;
  /** When it has waited for so many milliseconds, that is reported. */
  tellAt: number;
}

/** A call of take() by hand. */
interface Asked extends Watched {
  resolve(taken: SnapshotTaken): void;
  reject(error: RaftmarkError): void;
}

export class Snapshots {
  private readonly parts: SnapshotsParts;
  private readonly due: SnapshotDue;
  /** Wait for one to begin. */
  private asked: Asked[] = [];
  private readonly calls = new CallWatch<Asked>((one, end) => {
    const what = this.awaited(one);
    this.forget(one);
    one.reject(endedCall(end, { aborted: `aborted: ${what}`, late: `not in time: ${what}` }));
  });
  /** Null: none is under way. */
  private underWay: AbortController | null = null;
  /** Of the one under way, once the state machine gave something. */
  private source: Source | null = null;
  private ended: RaftmarkError | null = null;
  private ticks = 0;
  /** None by itself before this tick. */
  private retryAt = 0;
  private retryMs = RETRY_MS_MIN;
  /** The newest one is of no use, so that another is due. */
  private unreadable = false;
  last: SnapshotTaken | null;
  /** The driver is to call take() as soon as nothing is being applied. */
  wanted = false;
  taken = 0;
  failed = 0;
  /** Of the states of all that were taken. */
  bytes = 0;

  constructor(parts: SnapshotsParts) {
    this.parts = parts;
    this.due = new SnapshotDue(parts.policy);
    this.last = parts.last;
    this.due.known(parts.last?.bytes ?? 0);
  }

  /** Entries were applied, which take so many bytes of log. True: take() is wanted. */
  // hot
  applied(entries: number, bytes: number): boolean {
    if (this.due.add(entries, bytes) || this.unreadable) this.look();
    return this.wanted;
  }

  tick(): void {
    this.ticks++;
    if (this.ticks === this.retryAt) this.look();
    if (this.source !== null) this.watch(this.source);
  }

  private watch(source: Source): void {
    const { tickMs, onOwed } = this.parts;
    const { owed, bytes } = source.chunks;
    if (owed === 0 || owed !== source.owed) {
      source.owed = owed;
      source.ticks = 0;
      source.tellAt = OWED_MS;
      return;
    }
    const ms = ++source.ticks * tickMs;
    if (ms < source.tellAt) return;
    source.tellAt *= 2;
    onOwed(source.index, bytes, ms);
  }

  /** By hand. The driver is to be woken. */
  ask({ signal, timeoutMs }: CallOptions = {}): Promise<SnapshotTaken> {
    if (this.ended !== null) return Promise.reject(this.ended);
    if (this.parts.stateMachine.snapshot === undefined) {
      const text = "option stateMachine has no method snapshot() to take a snapshot with";
      return Promise.reject(new RaftmarkError("RAFT_BAD_OPTION", text));
    }
    if (signal?.aborted) {
      const aborted = "aborted before the snapshot was asked for";
      return Promise.reject(endedCall({ code: "RAFT_ABORTED", cause: signal.reason }, { aborted, late: "" }));
    }
    return new Promise((resolve, reject) => {
      const one: Asked = { signal: signal ?? null, timer: null, resolve, reject };
      this.calls.add(one, timeoutMs);
      this.asked.push(one);
      this.look();
    });
  }

  /** What a call waits for that gives up. */
  private awaited(one: Asked): string {
    if (!this.asked.includes(one)) return "the snapshot that was asked for is still being taken, and goes on";
    if (this.underWay === null) return "the snapshot that was asked for had not begun: apply is not done";
    const { taking } = this;
    const where =
      taking === null ? "" : ` at index ${taking.index}, of which there are ${taking.bytes} bytes so far`;
    return `the snapshot that was asked for had not begun: it waits for the one under way${where}`;
  }

  /** None is taken for its sake. */
  private forget(one: Asked): void {
    this.asked = this.asked.filter((other) => other !== one);
    this.wanted = false;
    this.look();
  }

  private settle(asked: readonly Asked[], how: (one: Asked) => void): void {
    for (const one of asked) {
      this.calls.remove(one);
      how(one);
    }
  }

  private look(): void {
    const { stateMachine } = this.parts;
    if (this.underWay !== null || this.ended !== null || stateMachine.snapshot === undefined) return;
    const isDue = this.unreadable || this.due.isDue;
    this.wanted ||= this.asked.length > 0 || (isDue && this.ticks >= this.retryAt);
  }

  /** Takes one of the state as it is now, which is what `metadata` says; nothing is being applied. */
  take(metadata: SnapshotMetadata): void {
    assert(this.underWay === null, "two snapshots at once");
    this.wanted = false;
    const asked = this.asked;
    this.asked = [];
    const { last } = this;
    if (metadata.index === 0) {
      const text = "nothing is applied yet: there is no state to take a snapshot of";
      this.settle(asked, (one) => one.reject(new RaftmarkError("RAFT_SNAPSHOT_FAILED", text)));
      return;
    }
    if (last?.index === metadata.index) {
      const text = `the snapshot at index ${last.index} is of no use, and nothing was applied since of which to take another`;
      this.settle(asked, (one) => {
        if (this.unreadable) one.reject(new RaftmarkError("RAFT_SNAPSHOT_FAILED", text));
        else one.resolve(last);
      });
      return;
    }
    this.due.begin();
    this.underWay = new AbortController();
    const begun = performance.now();
    this.save(metadata, this.underWay.signal).then(
      (bytes) => this.succeeded({ index: metadata.index, term: metadata.term, bytes }, begun, asked),
      (error: RaftmarkError) => this.failedWith(metadata, error, asked),
    );
  }

  /** Calls the state machine before it returns. */
  private async save(metadata: SnapshotMetadata, signal: AbortSignal): Promise<number> {
    const { wal, stateMachine } = this.parts;
    let chunks: SnapshotChunks;
    try {
      chunks = new SnapshotChunks(stateMachine.snapshot!(), this.parts.sessions.encode());
    } catch (cause) {
      // Whatever code it has, it is the state machine's: this node's own decide below what becomes of it.
      throw sourceError(cause);
    }
    this.source = { index: metadata.index, chunks, owed: 0, ticks: 0, tellAt: OWED_MS };
    try {
      await wal.saveSnapshot(metadata, chunks, { signal });
    } catch (cause) {
      // The log may have refused before it read anything.
      void chunks.return();
      throw cause;
    } finally {
      this.source = null;
    }
    return chunks.bytes;
  }

  private succeeded(taken: SnapshotTaken, begun: number, asked: readonly Asked[]): void {
    this.underWay = null;
    this.unreadable = false;
    this.taken++;
    this.bytes += taken.bytes;
    this.retryMs = RETRY_MS_MIN;
    this.retryAt = 0;
    this.newest(taken);
    this.parts.onTaken(taken, performance.now() - begun);
    this.settle(asked, (one) => one.resolve(taken));
    this.look();
  }

  private failedWith(metadata: SnapshotMetadata, cause: RaftmarkError, asked: readonly Asked[]): void {
    this.underWay = null;
    const error = this.ended ?? cause;
    this.settle(asked, (one) => one.reject(error));
    // The end of the node, or a newer one that a leader sent: nothing failed.
    if (this.ended !== null || cause.code === "WAL_SNAPSHOT_OUTDATED" || cause.code === "RAFT_CLOSED") {
      this.look();
      return;
    }
    this.failed++;
    this.due.failed();
    this.retryAt = this.ticks + Math.ceil(this.retryMs / this.parts.tickMs);
    this.parts.onFailed(metadata, error, this.unreadable || this.due.isDue ? this.retryMs : 0);
    this.retryMs = Math.min(2 * this.retryMs, RETRY_MS_MAX);
    this.look();
  }

  /** The one that is being taken: null: none. */
  get taking(): SnapshotTaking | null {
    return this.source === null ? null : { index: this.source.index, bytes: this.source.chunks.bytes };
  }

  /** The newest one is of no use any more: another is to be taken, unless one is under way. */
  replace(): void {
    if (this.parts.stateMachine.snapshot === undefined || this.ended !== null || this.underWay !== null)
      return;
    this.unreadable = true;
    this.look();
  }

  /** A leader's is the state now, and the log's newest: nothing is applied behind it. */
  installed(taken: SnapshotTaken): void {
    this.newest(taken);
    this.due.begin();
  }

  private newest(taken: SnapshotTaken): void {
    if (this.last !== null && taken.index <= this.last.index) return;
    this.unreadable = false;
    this.last = taken;
    this.due.known(taken.bytes);
  }

  /** The node ends. */
  end(error: RaftmarkError): void {
    if (this.ended !== null) return;
    this.ended = error;
    this.wanted = false;
    const text = `${error.message}: the snapshot that was asked for had not begun; it waits until apply, and one under way, are done`;
    this.settle(this.asked.splice(0), (one) =>
      one.reject(new RaftmarkError(error.code, text, { cause: error.cause })),
    );
    this.underWay?.abort();
  }
}
