// When followed proposals and the appends that hold them passed each station of a node, for the bench's waterfall. An
// entry is followed if its index is a multiple of `every`, so that each node knows by itself what to note, and pays for
// nothing else. Owns tables of doubles that keep the newest rows; decides nothing, allocates nothing while it notes, and
// a node without one pays a comparison with null. Times are monotonicUs(): rows of different processes on one machine
// are joined by entry index afterwards (bench/harness/waterfall.ts). Main thread.

import { type Entry, type Message, MsgApp, MsgAppResp } from "../raft/index.js";
import type { BatchTimes } from "../wal/write/batch-times.js";
import { monotonicUs } from "../wal/write/monotonic.js";

/** Columns of a sample: one followed proposal on the leader. 0: not passed yet. */
export const SAMPLE = {
  index: 0,
  proposedUs: 1,
  /** Taken into a MsgProp. */
  takenUs: 2,
  /** The frame or notice that completed its quorum came in. */
  newsUs: 3,
  committedUs: 4,
  /** Whose copy completed the quorum: a node's id. */
  by: 5,
  appliedUs: 6,
  /** Its promise's reactions run. */
  resolvedUs: 7,
} as const;
export const SAMPLE_COLUMNS = 8;

/** One column of rows of samples. */
export function sampleColumn(samples: Float64Array, column: number): Float64Array {
  return samples.filter((_, i) => i % SAMPLE_COLUMNS === column);
}

/** Columns of an append to this node's log that holds a followed entry. 0: not passed yet, or not known. */
export const APPEND = {
  first: 0,
  last: 1,
  /** A follower's: the frame with its MsgApp came in. */
  receivedUs: 2,
  /** The Ready that hands it to the log was made. */
  handedUs: 3,
  encodeStartUs: 4,
  encodeEndUs: 5,
  durableUs: 6,
  /** The main thread was told. */
  noticedUs: 7,
  /** Responses that waited for it are handed to the link. */
  respondedUs: 8,
  /** Durable writes of the log from handed to durable. */
  syncsWaited: 9,
} as const;
export const APPEND_COLUMNS = 10;

const RECEIPT_COLUMNS = 3; // first, last, time
const SENDING_COLUMNS = 4; // to, first, last, time
const ROWS = 1 << 16;
/** More than any index of a run: a small integer to V8, like those it stands for. */
const NEVER = 2 ** 30 - 1;

/**
 * Shared memory, though nobody shares it: V8 counts an ArrayBuffer's bytes as garbage to come and collects the heap more
 * often for them.
 */
function doubles(count: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(8 * count));
}

/** Rows of doubles in a ring: the newest `ROWS` are kept. Rows are named by how many came before. */
class Table {
  readonly cells: Float64Array;
  readonly columns: number;
  count = 0;

  constructor(columns: number) {
    this.columns = columns;
    this.cells = doubles(columns * ROWS);
  }

  /** Place of row `row` in `cells`. */
  // hot
  at(row: number): number {
    return (row % ROWS) * this.columns;
  }

  /** Place of a new row, all 0. */
  // hot
  add(): number {
    const at = this.at(this.count++);
    this.cells.fill(0, at, at + this.columns);
    return at;
  }

  get oldest(): number {
    return Math.max(0, this.count - ROWS);
  }
}

/** Option `trace`: notes of what happens inside of a node. No stable interface. */
export class Trace {
  /** NEVER: none is followed. */
  private every: number;
  /** What the next proposal's index will be, unless the leader changes: one too many or few costs a sample. */
  private nextIndex = 0;
  private readonly samples = new Table(SAMPLE_COLUMNS);
  private readonly appends = new Table(APPEND_COLUMNS);
  private readonly receipts = new Table(RECEIPT_COLUMNS);
  private readonly sendings = new Table(SENDING_COLUMNS);
  /** Sequence number of each append, by row. */
  private readonly seqs = doubles(ROWS);
  /** When the proposal of each ticket was made. A proposal carries its ticket, a small integer, and no double. */
  private readonly proposedUs = doubles(ROWS);
  private ticket = 0;
  private batchTimes: BatchTimes | null = null;
  /** Rows of samples: the oldest not committed, applied, resolved. Invariant: each <= samples.count. */
  private uncommitted = 0;
  private unapplied = 0;
  private unresolved = 0;
  /** Rows of appends: the oldest not durable, and the oldest not answered. */
  private undurable = 0;
  private unanswered = 0;
  /** Rows of receipts that no append has taken up. */
  private receiptHead = 0;
  /** Index of the oldest sample that is not committed. */
  private nextCommit = Number.POSITIVE_INFINITY;
  /** When the turn began that takes followed proposals; 0: it takes none. */
  private turnUs = 0;
  private newsUs = 0;
  private readyUs = 0;
  private syncsAtReady = 0;

  /** Follows one entry in `every` (at least 1), the same ones on all nodes with the same figure. */
  constructor(every: number) {
    this.every = every;
  }

  /** Follows one entry in `every` from now on; 0: none. */
  follow(every: number): void {
    this.every = every > 0 ? every : NEVER;
    this.batchTimes?.enable(every > 0);
  }

  /** Starts the writer's notes. */
  attach(batchTimes: BatchTimes): void {
    this.batchTimes = batchTimes;
    batchTimes.enable();
  }

  /** Whether one of the indexes from `first` to `last` is followed. */
  // hot
  private follows(first: number, last: number): boolean {
    return last - (last % this.every) >= first;
  }

  // hot
  private followsAny(entries: readonly Entry[]): boolean {
    return entries.length > 0 && this.follows(entries[0].index, entries[entries.length - 1].index);
  }

  /** propose() was called while `ahead` others wait: a ticket (> 0) for taken() if it is to be followed, else 0. */
  // hot
  proposed(ahead: number): number {
    if ((this.nextIndex + ahead) % this.every !== 0) return 0;
    this.ticket = this.ticket === ROWS - 1 ? 1 : this.ticket + 1;
    this.proposedUs[this.ticket] = monotonicUs();
    return this.ticket;
  }

  /** A turn takes proposals, of which `waiting` wait. */
  // hot
  taking(waiting: number): void {
    this.turnUs = this.follows(this.nextIndex, this.nextIndex + waiting - 1) ? monotonicUs() : 0;
  }

  /** The proposal with `ticket` got its index in this turn. */
  // hot
  taken(index: number, ticket: number): void {
    if (this.turnUs === 0 || index % this.every !== 0) return;
    const { samples } = this;
    if (this.uncommitted === samples.count) this.nextCommit = index;
    const at = samples.add();
    samples.cells[at + SAMPLE.index] = index;
    samples.cells[at + SAMPLE.proposedUs] = this.proposedUs[ticket];
    samples.cells[at + SAMPLE.takenUs] = this.turnUs;
  }

  /** The turn has taken what it takes; the next proposal gets `nextIndex`. */
  // hot
  took(nextIndex: number): void {
    this.nextIndex = nextIndex;
  }

  /** A frame came in. */
  // hot
  received(messages: readonly Message[]): void {
    let now = 0;
    for (let i = 0; i < messages.length; i++) {
      const { type, index, entries } = messages[i];
      if (type === MsgAppResp) {
        if (now === 0 && index >= this.nextCommit) now = monotonicUs();
        continue;
      }
      if (type !== MsgApp || !this.followsAny(entries)) continue;
      if (now === 0) now = monotonicUs();
      const { receipts } = this;
      const at = receipts.add();
      receipts.cells[at] = entries[0].index;
      receipts.cells[at + 1] = entries[entries.length - 1].index;
      receipts.cells[at + 2] = now;
    }
    if (now > 0) this.newsUs = now;
  }

  /** The commit index is `commit` since what came from node `by` was stepped. */
  // hot
  committed(commit: number, by: number): void {
    if (commit < this.nextCommit) return;
    const { samples } = this;
    const now = monotonicUs();
    this.nextCommit = Number.POSITIVE_INFINITY;
    for (; this.uncommitted < samples.count; this.uncommitted++) {
      const at = samples.at(this.uncommitted);
      if (samples.cells[at] > commit) {
        this.nextCommit = samples.cells[at];
        return;
      }
      samples.cells[at + SAMPLE.newsUs] = this.newsUs;
      samples.cells[at + SAMPLE.committedUs] = now;
      samples.cells[at + SAMPLE.by] = by;
    }
  }

  /** A Ready with `entries` for the log was taken: it is handed on from now. */
  // hot
  ready(entries: readonly Entry[]): void {
    if (!this.followsAny(entries)) return;
    this.readyUs = monotonicUs();
    this.syncsAtReady = this.batchTimes?.syncs ?? 0;
  }

  /** The log has append `seq`. */
  // hot
  handed(seq: number, entries: readonly Entry[]): void {
    if (!this.followsAny(entries)) return;
    const { appends, receipts } = this;
    const last = entries[entries.length - 1].index;
    this.seqs[appends.count % ROWS] = seq;
    const at = appends.add();
    appends.cells[at + APPEND.first] = entries[0].index;
    appends.cells[at + APPEND.last] = last;
    appends.cells[at + APPEND.handedUs] = this.readyUs;
    appends.cells[at + APPEND.syncsWaited] = this.syncsAtReady;
    // Of several messages that became one append, the last to come in.
    if (this.receiptHead < receipts.oldest) this.receiptHead = receipts.oldest;
    for (; this.receiptHead < receipts.count; this.receiptHead++) {
      const from = receipts.at(this.receiptHead);
      if (receipts.cells[from] > last) break;
      appends.cells[at + APPEND.receivedUs] = receipts.cells[from + 2];
    }
  }

  /** The link gets `messages`. */
  // hot
  sending(messages: readonly Message[]): void {
    const { sendings } = this;
    let now = 0;
    for (let i = 0; i < messages.length; i++) {
      const { type, to, entries } = messages[i];
      if (type !== MsgApp || !this.followsAny(entries)) continue;
      if (now === 0) now = monotonicUs();
      const at = sendings.add();
      sendings.cells[at] = to;
      sendings.cells[at + 1] = entries[0].index;
      sendings.cells[at + 2] = entries[entries.length - 1].index;
      sendings.cells[at + 3] = now;
    }
  }

  /** The log told that everything up to append `seq` is durable. */
  // hot
  durable(seq: number): void {
    const { appends } = this;
    if (this.undurable < appends.oldest) this.undurable = appends.oldest;
    if (this.undurable === appends.count || this.seqs[this.undurable % ROWS] > seq) return;
    this.newsUs = monotonicUs();
    for (; this.undurable < appends.count; this.undurable++) {
      const its = this.seqs[this.undurable % ROWS];
      if (its > seq) break;
      const at = appends.at(this.undurable);
      const time = this.batchTimes?.find(its) ?? null;
      appends.cells[at + APPEND.noticedUs] = this.newsUs;
      if (time === null) continue;
      // It may have joined a batch that was being encoded.
      const handedUs = appends.cells[at + APPEND.handedUs];
      appends.cells[at + APPEND.encodeStartUs] = Math.max(time.encodeStartUs, handedUs);
      appends.cells[at + APPEND.encodeEndUs] = time.encodeEndUs;
      appends.cells[at + APPEND.durableUs] = time.durableUs;
      appends.cells[at + APPEND.syncsWaited] = time.syncs - appends.cells[at + APPEND.syncsWaited];
    }
  }

  /**
   * The responses that waited for what durable() told of are about to be sent. Noted before, since the peer may have
   * them before the sending returns.
   */
  // hot
  responding(): void {
    const { appends } = this;
    if (this.unanswered < appends.oldest) this.unanswered = appends.oldest;
    if (this.unanswered === this.undurable) return;
    const now = monotonicUs();
    for (; this.unanswered < this.undurable; this.unanswered++) {
      appends.cells[appends.at(this.unanswered) + APPEND.respondedUs] = now;
    }
  }

  /** The state machine has applied everything up to `index`. */
  // hot
  applied(index: number): void {
    const { samples } = this;
    let now = 0;
    for (; this.unapplied < samples.count; this.unapplied++) {
      const at = samples.at(this.unapplied);
      if (samples.cells[at] > index) return;
      if (now === 0) now = monotonicUs();
      samples.cells[at + SAMPLE.appliedUs] = now;
    }
  }

  /** The followed proposal at `index` was resolved, and its caller goes on next. */
  // hot
  resolved(index: number): void {
    const { samples } = this;
    if (this.unresolved < samples.oldest) this.unresolved = samples.oldest;
    for (; this.unresolved < samples.count; this.unresolved++) {
      const at = samples.at(this.unresolved);
      if (samples.cells[at] > index) return;
      if (samples.cells[at] === index) samples.cells[at + SAMPLE.resolvedUs] = monotonicUs();
    }
  }

  /** Samples that were resolved in [fromUs, toUs] and passed every station, rows of SAMPLE_COLUMNS. */
  samplesBetween(fromUs: number, toUs: number): Float64Array {
    const { samples } = this;
    const rows: number[] = [];
    for (let row = samples.oldest; row < samples.count; row++) {
      const at = samples.at(row);
      const resolvedUs = samples.cells[at + SAMPLE.resolvedUs];
      const whole = resolvedUs > 0 && samples.cells[at + SAMPLE.committedUs] > 0;
      if (!whole || resolvedUs < fromUs || resolvedUs > toUs) continue;
      for (let i = 0; i < SAMPLE_COLUMNS; i++) rows.push(samples.cells[at + i]);
    }
    return Float64Array.from(rows);
  }

  /** The first append that held each of `indices`: rows of APPEND_COLUMNS, all 0 where none is known. */
  appendsOf(indices: Float64Array): Float64Array {
    const { appends } = this;
    const found = new Float64Array(indices.length * APPEND_COLUMNS);
    const byIndex = placesByIndex(indices);
    for (let row = appends.oldest; row < appends.count; row++) {
      const at = appends.at(row);
      const cells = appends.cells.subarray(at, at + APPEND_COLUMNS);
      eachBetween(indices, byIndex, cells[APPEND.first], cells[APPEND.last], (place) => {
        if (found[place * APPEND_COLUMNS] === 0) found.set(cells, place * APPEND_COLUMNS);
      });
    }
    return found;
  }

  /** When the link first got the entry at each of `indices` for the node of the same place in `to`; 0: not known. */
  sendingsOf(indices: Float64Array, to: Float64Array): Float64Array {
    const { sendings } = this;
    const found = new Float64Array(indices.length);
    const byIndex = placesByIndex(indices);
    for (let row = sendings.oldest; row < sendings.count; row++) {
      const [peer, first, last, sentUs] = sendings.cells.subarray(sendings.at(row), sendings.at(row) + 4);
      eachBetween(indices, byIndex, first, last, (place) => {
        if (to[place] === peer && found[place] === 0) found[place] = sentUs;
      });
    }
    return found;
  }
}

/** Places in `indices`, in ascending order of what stands there. */
function placesByIndex(indices: Float64Array): number[] {
  return Array.from(indices.keys()).sort((a, b) => indices[a] - indices[b]);
}

/** Calls `visit` with every place whose index is in [first, last]. */
function eachBetween(
  indices: Float64Array,
  places: readonly number[],
  first: number,
  last: number,
  visit: (place: number) => void,
): void {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (indices[places[middle]] < first) low = middle + 1;
    else high = middle;
  }
  for (let at = low; at < places.length && indices[places[at]] <= last; at++) visit(places[at]);
}
