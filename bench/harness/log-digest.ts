// One log, boiled down to columns that can be compared: term, content and payload header of each index, and the state
// machine's hash at chosen indexes. Some fifty bytes an entry, so that the logs of a long run fit side by side.
import { type Entry, EntryNormal } from "../../src/raft/raftpb/index.js";
import { readHeader } from "./payload.js";
import { RollingHash } from "./state-machine.js";

/** Client number of an entry that is no payload of the bench. */
const NO_CLIENT = -1;
const CAPACITY = 1024;

export class LogDigest {
  readonly node: number;
  /** What this node knew to be committed: at least what its log says. */
  commit = 0;
  /** Index of the first entry; 1 unless the log was compacted. */
  firstIndex = 1;
  length = 0;
  private terms = new Float64Array(CAPACITY);
  /** Bytes of data; -1 - bytes for entries that are not for the state machine. */
  private sizes = new Float64Array(CAPACITY);
  /** Of every byte of the data. */
  private wordsA = new Int32Array(CAPACITY);
  private wordsB = new Int32Array(CAPACITY);
  /** Of what the state machine looks at. */
  private glancesA = new Int32Array(CAPACITY);
  private glancesB = new Int32Array(CAPACITY);
  private clients = new Float64Array(CAPACITY);
  private seqs = new Float64Array(CAPACITY);
  private readonly reader = new RollingHash();
  private readonly wanted: readonly number[];
  /** State hash after the last entry at or below each wanted index; absent where the log ends before it. */
  readonly stateAt = new Map<number, string>();
  /** What is wrong with this log by itself. */
  readonly flaws: string[] = [];

  constructor(node: number, wanted: readonly number[]) {
    this.node = node;
    this.wanted = [...new Set(wanted)].sort((a, b) => a - b);
  }

  get lastIndex(): number {
    return this.firstIndex + this.length - 1;
  }

  /** The next record of the log; one at an index that is there already replaces everything from it on. */
  add(entry: Entry): void {
    if (this.length === 0) this.firstIndex = entry.index;
    if (entry.index > this.lastIndex + 1) {
      this.flaws.push(`node ${this.node}: index ${entry.index} follows ${this.lastIndex} in its log`);
      return;
    }
    if (entry.index <= this.lastIndex) this.length = Math.max(0, entry.index - this.firstIndex);
    if (this.length === 0) this.firstIndex = entry.index;
    if (this.length === this.terms.length) this.grow();
    const at = this.length++;
    const normal = entry.type === EntryNormal;
    const header = normal ? readHeader(entry.data) : null;
    this.reader.read(entry.data);
    this.terms[at] = entry.term;
    // The state machine sees what the node gives it: normal entries with data.
    this.sizes[at] = normal && entry.data.length > 0 ? entry.data.length : -1 - entry.data.length;
    this.wordsA[at] = this.reader.wordA;
    this.wordsB[at] = this.reader.wordB;
    this.reader.glance(entry.data);
    this.glancesA[at] = this.reader.wordA;
    this.glancesB[at] = this.reader.wordB;
    this.clients[at] = header === null ? NO_CLIENT : header.client * 4294967296 + header.runId;
    this.seqs[at] = header === null ? 0 : header.seq;
  }

  /** All entries are in: applies them again, to know the state at the wanted indexes. */
  end(): void {
    const rolling = new RollingHash();
    let next = 0;
    for (let at = 0; at < this.length; at++) {
      const index = this.firstIndex + at;
      while (next < this.wanted.length && this.wanted[next] < index) {
        this.stateAt.set(this.wanted[next++], rolling.digest());
      }
      if (this.sizes[at] >= 0) rolling.chain(index, this.sizes[at], this.glancesA[at], this.glancesB[at]);
    }
    while (next < this.wanted.length && this.wanted[next] <= this.lastIndex) {
      this.stateAt.set(this.wanted[next++], rolling.digest());
    }
  }

  has(index: number): boolean {
    return index >= this.firstIndex && index <= this.lastIndex;
  }

  termAt(index: number): number {
    return this.terms[index - this.firstIndex];
  }

  /** True if both logs have the same term, type and data at `index`. */
  agrees(other: LogDigest, index: number): boolean {
    if (!this.has(index) || !other.has(index)) return false;
    const at = index - this.firstIndex;
    const there = index - other.firstIndex;
    return (
      this.terms[at] === other.terms[there] &&
      this.sizes[at] === other.sizes[there] &&
      this.wordsA[at] === other.wordsA[there] &&
      this.wordsB[at] === other.wordsB[there]
    );
  }

  /** True if the entry at `index` is the payload (run, client, seq). */
  isPayload(index: number, runId: number, client: number, seq: number): boolean {
    const at = index - this.firstIndex;
    return this.clients[at] === client * 4294967296 + runId && this.seqs[at] === seq;
  }

  /** The entry at `index` in words, for findings. */
  describe(index: number): string {
    if (!this.has(index)) {
      return this.length === 0 ? "an empty log" : `nothing there (its log ends at ${this.lastIndex})`;
    }
    const at = index - this.firstIndex;
    const size = this.sizes[at] < 0 ? -1 - this.sizes[at] : this.sizes[at];
    const hash = (this.wordsA[at] >>> 0).toString(16).padStart(8, "0");
    const what = `term ${this.terms[at]}, ${size} bytes with hash ${hash}`;
    if (this.clients[at] === NO_CLIENT) return `${what}, no payload of the bench`;
    return `${what}, seq ${this.seqs[at]} of client ${Math.floor(this.clients[at] / 4294967296)}`;
  }

  private grow(): void {
    const capacity = this.terms.length * 2;
    this.terms = moved(this.terms, new Float64Array(capacity));
    this.sizes = moved(this.sizes, new Float64Array(capacity));
    this.wordsA = moved(this.wordsA, new Int32Array(capacity));
    this.wordsB = moved(this.wordsB, new Int32Array(capacity));
    this.glancesA = moved(this.glancesA, new Int32Array(capacity));
    this.glancesB = moved(this.glancesB, new Int32Array(capacity));
    this.clients = moved(this.clients, new Float64Array(capacity));
    this.seqs = moved(this.seqs, new Float64Array(capacity));
  }
}

function moved<T extends Float64Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
