// The node's own copy of what callers propose, laid down as it goes on: the payloads of one slab lie one behind the other,
// each with room in front of it for the head of its entry, so that a batch of them is a run once its term and indexes
// are known. Callers' buffers are theirs again when propose() returns: one that is filled anew or transferred
// afterwards would be another entry in each log that it reaches later. Small copies share slabs, since an ArrayBuffer
// each costs more than the bytes in it. What they lie in comes from the pool, and is used again when every copy in it is
// applied and the log has let go of it. Main thread.
import { assert } from "../base/assert.js";
import { keepBytes, letGoOfBytes, takeBytes } from "../base/byte-pool.js";
import { bytesIn } from "../base/bytes.js";
import { Entry, EntryNormal } from "../raft/raftpb/index.js";
import { entryHeadBytes, putEntryHead } from "../wire/encode.js";

/** A slab stays as long as any entry in it: it bounds what one entry can keep alive. */
const SLAB_BYTES = 64 * 1024;
/** From here on a copy has its own memory. */
const ALONE_BYTES = SLAB_BYTES / 8;
/** Up to here a loop of byte stores beats the call of TypedArray.set. */
const SMALL_COPY = 24;

/** Memory that copies lie in. */
export class Slab {
  readonly bytes: Uint8Array;
  /** Copies in it that are not applied, and one as long as more of them may come. */
  held = 1;

  constructor(size: number) {
    this.bytes = takeBytes(size);
    keepBytes(this.bytes.buffer);
  }

  /** One of those it was held for is done. */
  letGo(): void {
    // hot
    assert(this.held > 0, "a copy was applied twice");
    if (--this.held === 0) letGoOfBytes(this.bytes.buffer);
  }
}

/** Where the copy of a payload lies: slab.bytes[start, start + size), with room for its entry's head from `at` on. */
export interface PayloadCopy {
  readonly slab: Slab;
  readonly at: number;
  readonly start: number;
  readonly size: number;
  /** More than 1: it is a PayloadRun. */
  readonly count: number;
}

/**
 * `count` copies, one behind the other: `at` and `start` are the first one's, and `size` is of all together. Copy i begins
 * at places[2 * (place + i)] and ends at the number behind that, where the room for the next one's head begins.
 */
export interface PayloadRun extends PayloadCopy {
  readonly places: readonly number[];
  readonly place: number;
}

export class PayloadCopies {
  /** The next ones go here. */
  private slab = new Slab(0);
  private used = 0;
  /** What the next payload's entry is expected to be: its head gets room for these. */
  private term = 1;
  private index = 1;
  /** Of the payload copied last. Reused. */
  readonly last: { -readonly [key in keyof PayloadCopy]: PayloadCopy[key] } = {
    slab: this.slab,
    at: 0,
    start: 0,
    size: 0,
    count: 1,
  };

  /** The next payload is thought to become entry (term, index). A guess that is wrong costs time, and nothing else. */
  expect(term: number, index: number): void {
    this.term = term;
    this.index = index;
  }

  /** Copies the bytes as they are now; `last` says where to. */
  // hot
  copy(bytes: Uint8Array): void {
    const { last } = this;
    const size = bytesIn(bytes);
    const head = entryHeadBytes(this.term, this.index++, size);
    let slab: Slab;
    let at = 0;
    if (size >= ALONE_BYTES) slab = new Slab(head + size);
    else {
      if (this.used + head + size > this.slab.bytes.length) {
        this.slab.letGo();
        this.slab = new Slab(SLAB_BYTES);
        this.used = 0;
      }
      ({ slab, used: at } = this);
      slab.held++;
      this.used = at + head + size;
    }
    const memory = slab.bytes;
    // A store of a reference tells the collector; most find the same slab there.
    if (last.slab !== slab) last.slab = slab;
    const to = at + head;
    last.at = at;
    last.start = to;
    last.size = size;
    if (size > SMALL_COPY) memory.set(bytes, to);
    else for (let i = 0; i < size; i++) memory[to + i] = bytes[i];
  }

  /** The entries that the first `count` payloads become, from `firstIndex` on in `term`: runs, as far as was expected. */
  // hot
  entries(copies: readonly PayloadCopy[], count: number, term: number, firstIndex: number): Entry[] {
    const entries: Entry[] = new Array(count);
    // What the run's entries share, of which slab, where in it that begins, and where the next lies.
    let run = this.slab.bytes;
    let runSlab: Slab | null = null;
    let runStart = 0;
    let runEnd = 0;
    let i = 0;
    for (let copy = 0; i < count; copy++) {
      const { slab, count: several } = copies[copy];
      let { at, start, size } = copies[copy];
      const { places, place } = several > 1 ? (copies[copy] as PayloadRun) : NO_RUN;
      const behind = Math.min(i + several, count);
      for (let next = 2 * place; i < behind; i++) {
        if (several > 1) {
          start = places[next];
          size = places[next + 1] - start;
          next += 2;
        }
        const index = firstIndex + i;
        const end = start + size;
        if (start - at !== entryHeadBytes(term, index, size)) {
          entries[i] = new Entry(EntryNormal, term, index, new Uint8Array(slab.bytes.buffer, start, size));
          at = end;
          continue;
        }
        putEntryHead(slab.bytes, at, EntryNormal, term, index, size);
        if (slab !== runSlab || at !== runEnd) {
          run = new Uint8Array(slab.bytes.buffer, at, slab.bytes.length - at);
          runSlab = slab;
          runStart = at;
        }
        entries[i] = new Entry(EntryNormal, term, index, run, start - runStart, size, at - runStart);
        runEnd = end;
        at = end;
      }
    }
    return entries;
  }
}

const NO_RUN = { places: [] as readonly number[], place: 0 };

/** Views of the payloads. */
export function payloadsOf(copies: readonly PayloadCopy[]): Uint8Array[] {
  return copies.flatMap((copy) => {
    const { slab, start, size, count } = copy;
    const { buffer } = slab.bytes;
    if (count === 1) return [new Uint8Array(buffer, start, size)];
    const { places, place } = copy as PayloadRun;
    return Array.from({ length: count }, (_, i) => {
      const at = 2 * (place + i);
      return new Uint8Array(buffer, places[at], places[at + 1] - places[at]);
    });
  });
}
