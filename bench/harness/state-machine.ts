// The replicated state of the bench: a rolling hash of what was applied, in order, and how much. Two nodes with the
// same hash at the same index applied the same proposals in the same order. Of an entry it takes what names the
// proposal, its length and its last bytes: every byte would be a fifth of a commit's CPU. That the bytes between are
// the same on every node, the truth check reads from the logs. The hash is its own (two 32-bit lanes of multiply and
// rotate), not the log's CRC, so that one cannot hide a fault of the other.
import { randomBytes } from "node:crypto";
import { assert } from "../../src/base/assert.js";
import type { Entry, SnapshotStream, StateMachine } from "../../src/index.js";
import { HEADER_BYTES } from "./payload.js";

/** The state after the entry at `applied`. `hash` is 16 hexadecimal digits. */
export interface StateReport {
  readonly applied: number;
  readonly count: number;
  readonly hash: string;
}

const SEED_A = 0x243f6a88;
const SEED_B = 0x85a308d3 | 0;
/** What `glance` takes of the end. */
const END_BYTES = 8;

/**
 * Hash chain over (index, length, glance of the data). Start from new; order and position matter. An entry's data is
 * hashed by itself first, so that who keeps only those words can make the chain again.
 */
export class RollingHash {
  private a = SEED_A;
  private b = SEED_B;
  /** What was looked at last, where that lies in its buffer, and a view of that: those that came together share it. */
  private lastBytes: Uint8Array = new Uint8Array(0);
  private lastOffset = 0;
  private lastView: DataView = new DataView(this.lastBytes.buffer);
  /** Two words that stand for the data given to `read` or `glance` last. */
  wordA = 0;
  wordB = 0;
  count = 0;

  // hot
  add(index: number, bytes: Uint8Array, start = 0, length = bytes.length): void {
    this.glance(bytes, start, length);
    this.chain(index, length, this.wordA, this.wordB);
  }

  /** Hashes the start and the end of the data by itself into wordA and wordB; the chain stays as it is. */
  // hot
  glance(bytes: Uint8Array, start = 0, length = bytes.length): void {
    const view = this.viewOf(bytes);
    const byteOffset = this.lastOffset + start;
    const end = byteOffset + length;
    this.wordA = SEED_A;
    this.wordB = SEED_B;
    if (length < HEADER_BYTES + END_BYTES) {
      this.mix(view, byteOffset, end);
    } else {
      this.mix(view, byteOffset, byteOffset + HEADER_BYTES);
      this.mix(view, end - END_BYTES, end);
    }
  }

  /** The same with every byte of it. */
  read(data: Uint8Array): void {
    this.wordA = SEED_A;
    this.wordB = SEED_B;
    const view = this.viewOf(data);
    this.mix(view, this.lastOffset, this.lastOffset + data.length);
  }

  // hot
  private mix(view: DataView, start: number, end: number): void {
    let at = start;
    let a = this.wordA;
    let b = this.wordB;
    // Two lanes that do not wait for each other. A word is multiplied and rotated before it goes in (as in
    // MurmurHash3): otherwise its top bit would only be a lower bit of the next one.
    for (; at + 8 <= end; at += 8) {
      const u = Math.imul(view.getInt32(at, true), 0xcc9e2d51);
      const v = Math.imul(view.getInt32(at + 4, true), 0x1b873593);
      a = Math.imul(((a << 13) | (a >>> 19)) ^ ((u << 15) | (u >>> 17)), 0x9e3779b1);
      b = Math.imul(((b << 11) | (b >>> 21)) ^ ((v << 17) | (v >>> 15)), 0x85ebca77);
    }
    for (; at < end; at++) {
      const u = Math.imul(view.getUint8(at) + 1, 0xcc9e2d51);
      a = Math.imul(((a << 5) | (a >>> 27)) ^ ((u << 15) | (u >>> 17)), 0x27d4eb2f);
    }
    this.wordA = a;
    this.wordB = b;
  }

  /** Continues the chain with an entry of which only the words are at hand. */
  // hot
  chain(index: number, length: number, wordA: number, wordB: number): void {
    // The low word by the conversion of ^: a modulo of doubles is a call.
    const place = Math.imul(Math.floor(index / 4294967296), 0x2c1b3c6d) ^ index;
    let a = Math.imul(this.a ^ place, 0x85ebca6b) ^ wordA;
    let b = Math.imul(this.b ^ length, 0xc2b2ae35) ^ wordB;
    a = Math.imul((a << 13) | (a >>> 19), 0x9e3779b1);
    b = Math.imul((b << 11) | (b >>> 21), 0x85ebca77);
    // One after the other: so the mix can be inverted, and two states never become one.
    a = (a ^ (b >>> 16) ^ (b << 7)) | 0;
    this.a = a;
    this.b = (b ^ (a >>> 13) ^ (a << 9)) | 0;
    this.count++;
  }

  // hot
  private viewOf(bytes: Uint8Array): DataView {
    // Asking for the buffer is a call each time.
    if (bytes === this.lastBytes) return this.lastView;
    const { buffer, byteOffset } = bytes;
    this.lastBytes = bytes;
    this.lastOffset = byteOffset;
    if (buffer !== this.lastView.buffer) this.lastView = new DataView(buffer);
    return this.lastView;
  }

  digest(): string {
    return hex(finish(this.a ^ Math.imul(this.count, 0x9e3779b1))) + hex(finish(this.b));
  }
}

function finish(word: number): number {
  let h = word ^ (word >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function hex(word: number): string {
  return word.toString(16).padStart(8, "0");
}

/** Of snapshots; no file system stores it as less than it is. */
const FILLER = randomBytes(256 << 10);

/** What the head of a snapshot says; null: it is none of ours. */
export function readSnapshotHead(bytes: Uint8Array): StateReport | null {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 80)).toString("latin1");
  const [, applied, count, hash] = /^(\d+) (\d+) ([0-9a-f]{16})\n/.exec(text) ?? [];
  return hash === undefined ? null : { applied: Number(applied), count: Number(count), hash };
}

/** `machine`, of whose state, `megabytes` large, snapshots can be taken. */
export function withSnapshots(machine: BenchStateMachine, megabytes: number): StateMachine {
  return {
    apply: (entries) => machine.apply(entries),
    restore: (stream) => machine.restore(stream),
    snapshot: () => machine.chunks(megabytes * 1e6),
  };
}

/** Applies entries to a RollingHash; returns nothing for the proposals. */
export class BenchStateMachine implements StateMachine {
  private readonly rolling = new RollingHash();
  /** Index of the last entry applied here (normal entries with data only). */
  private lastIndex = 0;

  // hot
  apply(entries: readonly Entry[]): undefined {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i];
      const { index, bytes } = entry;
      // An engine of before, which this one is compared with, has the data alone.
      if (bytes === undefined) this.rolling.add(index, entry.data);
      else this.rolling.add(index, bytes, entry.start, entry.size);
    }
    if (entries.length > 0) this.lastIndex = entries[entries.length - 1].index;
  }

  /** The state as bytes: what report() says, and behind it filler up to `bytes`. */
  *chunks(bytes: number): Generator<Uint8Array> {
    const { applied, count, hash } = this.report();
    const head = Buffer.from(`${applied} ${count} ${hash}\n`, "latin1");
    yield head;
    for (let left = bytes - head.length; left > 0; left -= FILLER.length) yield FILLER.subarray(0, left);
  }

  /** The snapshot that begin-log.ts makes: of a state that has applied nothing. */
  async restore(stream: SnapshotStream): Promise<void> {
    assert(stream.size === 0, "a snapshot that the bench did not make");
  }

  report(): StateReport {
    return { applied: this.lastIndex, count: this.rolling.count, hash: this.rolling.digest() };
  }
}
