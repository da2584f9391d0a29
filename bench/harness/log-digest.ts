// One log, boiled down to columns that can be compared: term, content and payload header of each index, and the state
// machine's hash at chosen indexes. Some forty bytes an entry, so that the logs of a long run fit side by side.
import { type Entry, EntryNormal } from "../../src/raft/raftpb/index.js";
import { readHeader } from "./payload.js";
import { RollingHash } from "./state-machine.js";

/** Client number of an entry that is no payload of the bench. */
export const NO_CLIENT = -1;

export class LogDigest {
  readonly node: number;
  /** What this node knew to be committed: at least what its log says. */
  commit = 0;
  /** Index of the first entry; 1 unless the log was compacted. */
  firstIndex = 1;
  length = 0;
  private terms = new Float64Array(1024);
  private contents = new Float64Array(1024);
  private clients = new Float64Array(1024);
  private seqs = new Float64Array(1024);
  private readonly rolling = new RollingHash();
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

  add(entry: Entry): void {
    if (this.length === 0) this.firstIndex = entry.index;
    if (entry.index !== this.lastIndex + 1) {
      this.flaws.push(`node ${this.node}: index ${entry.index} follows ${this.lastIndex} in its log`);
      return;
    }
    this.noteStatesBelow(entry.index);
    if (this.length === this.terms.length) this.grow();
    const header = entry.type === EntryNormal ? readHeader(entry.data) : null;
    this.terms[this.length] = entry.term;
    this.contents[this.length] = contentOf(entry);
    this.clients[this.length] = header === null ? NO_CLIENT : header.client * 4294967296 + header.runId;
    this.seqs[this.length] = header === null ? 0 : header.seq;
    this.length++;
    // The state machine sees what the node gives it: normal entries with data.
    if (entry.type === EntryNormal && entry.data.length > 0) this.rolling.add(entry.index, entry.data);
  }

  /** All entries are in. */
  end(): void {
    this.noteStatesBelow(this.lastIndex + 1);
  }

  private noteStatesBelow(index: number): void {
    while (this.stateAt.size < this.wanted.length && this.wanted[this.stateAt.size] < index) {
      this.stateAt.set(this.wanted[this.stateAt.size], this.rolling.digest());
    }
  }

  has(index: number): boolean {
    return index >= this.firstIndex && index <= this.lastIndex;
  }

  termAt(index: number): number {
    return this.terms[index - this.firstIndex];
  }

  /** A 52-bit digest of type and data. */
  contentAt(index: number): number {
    return this.contents[index - this.firstIndex];
  }

  /** True if the entry at `index` is the payload (run, client, seq). */
  isPayload(index: number, runId: number, client: number, seq: number): boolean {
    const at = index - this.firstIndex;
    return this.clients[at] === client * 4294967296 + runId && this.seqs[at] === seq;
  }

  /** The entry at `index` in words, for findings. */
  describe(index: number): string {
    if (!this.has(index))
      return this.length === 0 ? "an empty log" : `nothing there (its log ends at ${this.lastIndex})`;
    const at = index - this.firstIndex;
    const content = this.contents[at].toString(16);
    if (this.clients[at] === NO_CLIENT)
      return `term ${this.terms[at]}, content ${content}, no payload of the bench`;
    const client = Math.floor(this.clients[at] / 4294967296);
    return `term ${this.terms[at]}, content ${content}, seq ${this.seqs[at]} of client ${client}`;
  }

  private grow(): void {
    this.terms = doubled(this.terms);
    this.contents = doubled(this.contents);
    this.clients = doubled(this.clients);
    this.seqs = doubled(this.seqs);
  }
}

function doubled(column: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(column.length * 2);
  larger.set(column);
  return larger;
}

/** Reused: one hash object an entry would be most of the work. */
const contentHash = new RollingHash();

function contentOf(entry: Entry): number {
  contentHash.reset();
  contentHash.add(entry.type, entry.data);
  return contentHash.digest52();
}
