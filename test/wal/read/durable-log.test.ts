// The log in memory against a plain array: appends of runs and of single entries, overwrites, eviction, compaction,
// snapshots and reads, in any order. What is not in memory any more comes from the array, in place of segments.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { bytePoolTesting, POOLED_BYTES_MIN, takeBytes } from "../../../src/base/byte-pool.js";
import { NO_DATA } from "../../../src/base/bytes.js";
import { Prng } from "../../../src/base/prng.js";
import { ErrCompacted, ErrUnavailable } from "../../../src/raft/errors.js";
import {
  EMPTY_CONF_STATE,
  EMPTY_HARD_STATE,
  Entry,
  type EntryType,
  entriesOfRun,
  entrySize,
} from "../../../src/raft/raftpb/index.js";
import { PointIndex } from "../../../src/wal/format/point-index.js";
import { DurableLog, type DurableLogOptions } from "../../../src/wal/read/wal-storage.js";
import { asRun, assertSameEntries, entry, meta } from "../helpers.js";

const ENTRY_COST = 64;
const SEGMENT_BYTES = 1 << 20;

function newLog(options: Pick<DurableLogOptions, "cacheBytesMax"> & Partial<DurableLogOptions>): DurableLog {
  return new DurableLog({
    dir: "nowhere",
    points: new PointIndex(),
    lastIndex: 0,
    hardState: EMPTY_HARD_STATE,
    confState: EMPTY_CONF_STATE,
    segmentBytes: SEGMENT_BYTES,
    catchUpBytesPerS: Infinity,
    ...options,
  });
}

/** A log, and what must be in it. */
class Model {
  readonly points = new PointIndex();
  readonly log: DurableLog;
  /** Entries (base, last]. */
  entries: Entry[] = [];
  base = { index: 0, term: 0 };
  private offset = 0;
  private newestSnapshot = 0;
  /** What is in the log is nowhere else any more when more is appended. */
  settles = true;
  private readonly handedOut: { entry: Entry; data: Buffer }[] = [];
  private readonly cacheBytesMax: number;

  constructor(cacheBytesMax: number) {
    this.cacheBytesMax = cacheBytesMax;
    this.log = newLog({ points: this.points, cacheBytesMax });
    const read = (lo: number, hi: number, maxSize: number, into: Entry[]): number => {
      const found = this.page(lo, hi, maxSize);
      into.push(...found);
      return found.reduce((size, each) => size + entrySize(each), 0);
    };
    Object.assign(this.log, { reader: { read } });
  }

  get last(): number {
    return this.base.index + this.entries.length;
  }

  term(index: number): number {
    return index === this.base.index ? this.base.term : this.at(index).term;
  }

  private at(index: number): Entry {
    return this.entries[index - this.base.index - 1]!;
  }

  append(entries: readonly Entry[]): void {
    for (const each of entries) {
      this.points.add(each.index, each.term, this.offset, 0, 0);
      this.offset += entrySize(each) + 32;
    }
    if (this.settles) this.log.settled = this.last;
    this.log.append(entries.slice());
    if (entries.length === 0) return;
    this.entries.length = entries[0]!.index - this.base.index - 1;
    this.entries.push(...entries);
    const newest = entries.reduce((most, each) => Math.max(most, each.size + ENTRY_COST), 0);
    assert.ok(this.log.cacheBytes <= Math.max(this.cacheBytesMax, newest), "the cache is bounded");
  }

  compact(index: number): void {
    const term = this.term(index);
    this.log.compact({ index, term });
    this.entries.splice(0, index - this.base.index);
    this.base = { index, term };
  }

  applySnapshot(index: number, term: number): void {
    if (index <= this.newestSnapshot) return;
    this.newestSnapshot = index;
    const has = index >= this.base.index && index <= this.last && this.term(index) === term;
    if (!has && index <= this.base.index) return;
    this.log.applySnapshot(meta(index, term));
    if (has) return;
    this.entries = [];
    this.base = { index, term };
  }

  private page(lo: number, hi: number, maxSize: number): Entry[] {
    const found: Entry[] = [];
    let size = 0;
    for (let index = lo; index < hi; index++) {
      size += entrySize(this.at(index));
      if (size > maxSize && found.length > 0) break;
      found.push(this.at(index));
    }
    return found;
  }

  read(lo: number, hi: number, maxSize: number): void {
    const found = this.log.entries(lo, hi, maxSize);
    assert.ok(Array.isArray(found), "entries refused");
    assertSameEntries(found, this.page(lo, hi, maxSize));
    // As a message carries them on.
    assertSameEntries(asRun(found), found);
    const payload = this.page(lo, hi, Infinity).reduce((sum, each) => sum + each.size, 0);
    assert.ok(this.log.sizeOf(lo, hi) >= payload, "sizeOf is below the size");
    const kept = found[found.length >>> 1];
    if (kept !== undefined) this.handedOut.push({ entry: kept, data: Buffer.from(kept.data) });
  }

  checkAll(): void {
    const { log, base, last } = this;
    assert.equal(log.firstIndex(), base.index + 1);
    assert.equal(log.lastIndex(), last);
    for (let index = base.index; index <= last; index++) assert.equal(log.term(index), this.term(index));
    assert.equal(log.term(last + 1), ErrUnavailable);
    assert.equal(log.entries(base.index + 1, last + 2, 1), ErrUnavailable);
    assert.equal(log.entries(base.index, base.index, 1), ErrCompacted);
    const conf = this.entries.filter(({ type }) => type !== 0).map(({ index }) => index);
    assert.deepEqual(log.confChangesAfter(base.index), conf);
    this.read(base.index + 1, last + 1, Infinity);
    const { tailFirst } = log as unknown as { tailFirst: number };
    const kept = this.entries.filter(({ index }) => index >= tailFirst);
    const cost = kept.reduce((sum, { size }) => sum + size + ENTRY_COST, 0);
    // More only for what is compacted of the first chunk.
    assert.ok(log.cacheBytes >= cost && log.cacheBytes <= cost + this.cacheBytesMax / 16, "cacheBytes");
    for (const { entry, data } of this.handedOut) assert.ok(data.equals(entry.data), "an entry changed");
  }
}

/** Entries from `first` on, of one or more terms from `term` on, in runs and alone. */
function someEntries(prng: Prng, first: number, term: number, sizeMax: number): Entry[] {
  const entries: Entry[] = [];
  let index = first;
  let of = term;
  for (let parts = 1 + prng.below(4); parts > 0; parts--) {
    const part: Entry[] = [];
    for (let count = 1 + prng.below(prng.below(8) === 0 ? 60 : 5); count > 0; count--) {
      if (prng.below(12) === 0) of++;
      const type = (prng.below(15) === 0 ? 2 : 0) as EntryType;
      const size = prng.below(prng.below(6) === 0 ? sizeMax : Math.min(sizeMax, 200));
      const data = prng.below(20) === 0 ? NO_DATA : entry(index, of, size).data;
      part.push(new Entry(type, of, index++, data));
    }
    entries.push(...(prng.below(4) === 0 ? part : asRun(part)));
  }
  return entries;
}

/** A few hundred operations. */
function attempt(seed: number): void {
  const prng = new Prng(seed);
  const cacheBytesMax = [1, 100, 2000, 20_000, 200_000, 1 << 20][prng.below(6)]!;
  const sizeMax = [1, 300, 3000, cacheBytesMax / 2][prng.below(4)]!;
  const model = new Model(cacheBytesMax);
  const first = [1, 120, 16_300, 2 ** 28 - 200, 2 ** 32 - 100][prng.below(5)]!;
  if (first > 1) model.applySnapshot(first - 1, prng.below(2) === 0 ? 1 : 2 ** 31);
  const between = (from: number, to: number): number => from + prng.below(to - from + 1);
  for (let step = 0; step < 150; step++) {
    const { base, last } = model;
    model.settles = prng.below(3) > 0;
    const what = prng.below(30);
    if (what < 14) model.append(someEntries(prng, last + 1, model.term(last), sizeMax));
    else if (what < 18) {
      const from = between(Math.max(base.index + 1, last - prng.below(100)), last + 1);
      model.append(someEntries(prng, from, model.term(last) + 1, sizeMax));
    } else if (what < 28) {
      const lo = between(base.index + 1, last + 1);
      const hi = between(lo, prng.below(2) === 0 ? last + 1 : Math.min(last + 1, lo + 10));
      if (lo < hi) model.read(lo, hi, [Infinity, 0, prng.below(3000), prng.below(100_000)][prng.below(4)]!);
    } else if (what < 29) model.compact(between(base.index, between(base.index, last)));
    else {
      const index = between(base.index, last + 3);
      const own = index <= last && prng.below(4) > 0;
      model.applySnapshot(index, own ? model.term(index) : model.term(last) + 1);
    }
    if (step % 30 === 29) model.checkAll();
  }
  model.checkAll();
}

/** Runs `attempt` with seeds from a random one on, or with SEED alone. */
function attempts(t: TestContext, count: number): void {
  const given = process.env["SEED"];
  const from = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  t.diagnostic(`seed ${from}`);
  for (let seed = from; seed < from + (given === undefined ? count : 1); seed++) {
    try {
      attempt(seed);
    } catch (cause) {
      throw new Error(`Replay: SEED=${seed} node --test dist/test/wal/read/durable-log.test.js`, { cause });
    }
  }
}

test("whatever is appended, overwritten, given up and read, the log in memory is the log", (t) => {
  attempts(t, Number(process.env["RUNS"] ?? 30));
});

test("a chunk for which memory had no room stays what it is, also when the log behind it is overwritten", () => {
  const model = new Model(10_000);
  const alone = (index: number, size: number, term = 1): Entry[] => asRun([entry(index, term, size)]);
  const newest = Array.from({ length: 16 }, (_, i) => alone(4 + i, 1)).flat();
  model.append([...alone(1, 6000), ...alone(2, 5000), ...alone(3, 1000), ...newest]);
  model.append(alone(18, 1, 2));
  model.append(alone(19, 5000, 2));
  model.checkAll();
});

test("chunks are joined in memory, but for those that lie at its end and at its beginning", () => {
  const model = new Model(8000);
  // 100 bytes each when encoded, and three of them a chunk: the 80th ends where memory does.
  for (let index = 1; index <= 110; index++) model.append(asRun([entry(index, 1, 90)]));
  model.checkAll();
  const found = model.log.entries(90, 94, Infinity) as Entry[];
  assert.ok(new Set(found.map(({ bytes }) => bytes)).size < 4, "each is a chunk");
});

test("a cache larger than any buffer holds the log all the same", () => {
  for (const cacheBytesMax of [2 ** 40, Number.MAX_SAFE_INTEGER, Infinity]) {
    const model = new Model(cacheBytesMax);
    for (let index = 1; index <= 40; index++) model.append(asRun([entry(index)]));
    model.checkAll();
  }
});

test("bytes from the pool are used again once they are folded, and nothing that is read has changed", async (t) => {
  bytePoolTesting.poison = true;
  t.after(() => {
    bytePoolTesting.poison = false;
  });
  const prng = new Prng(11);
  const log = newLog({ cacheBytesMax: 1 << 22 });
  /** Index of the first is 1. */
  const twin: Buffer[] = [];
  const buffers = new Set<ArrayBufferLike>();
  const frames = 600;
  for (let frame = 0; frame < frames; frame++) {
    // Some of the newest are overwritten now and then.
    const term = 1 + Math.floor(frame / 10);
    const first = frame % 10 === 0 ? Math.max(1, twin.length - prng.below(40)) : twin.length + 1;
    twin.length = first - 1;
    const part: Entry[] = [];
    for (let i = 0; i < 80; i++) {
      const type = (prng.below(4000) === 0 ? 2 : 0) as EntryType;
      const data = new Uint8Array(prng.below(400)).fill(prng.below(256));
      twin.push(Buffer.from(data));
      part.push(new Entry(type, term, first + i, data));
    }
    const run = asRun(part);
    const last = run[run.length - 1]!;
    const bytes = run[0]!.bytes.subarray(run[0]!.at, last.start + last.size);
    const memory = takeBytes(POOLED_BYTES_MIN + bytes.length);
    buffers.add(memory.buffer);
    memory.set(bytes, 5);
    // As two appends, of which the second comes later.
    const entries = entriesOfRun(memory.subarray(5, 5 + bytes.length));
    log.append(entries.slice(0, 30));
    log.append(entries.slice(30));
    // Raft has nothing of it, mostly; a turn of the event loop passes, mostly.
    if (prng.below(10) > 0) log.settled = twin.length;
    if (prng.below(10) > 0) await new Promise((resolve) => setImmediate(resolve));
    const lo = Math.max(1, first - 1500 + prng.below(1500));
    const found = log.entries(lo, twin.length + 1, Infinity) as Entry[];
    assert.equal(found.length, twin.length + 1 - lo);
    for (const { index, data } of found) assert.ok(twin[index - 1]!.equals(data), `entry ${index}`);
  }
  assert.ok(buffers.size < frames / 2, `${buffers.size} buffers for ${frames} frames`);
});

test("a burst is handed on without copies while it is to be applied; then what it lies in is used again", async () => {
  const model = new Model(1 << 24);
  model.settles = false;
  const frame = (first: number): Entry[] => {
    const run = asRun(Array.from({ length: 60 }, (_, i) => entry(first + i, 1, 1000)));
    const last = run[run.length - 1]!;
    const memory = takeBytes(POOLED_BYTES_MIN * 4);
    memory.set(run[0]!.bytes.subarray(run[0]!.at, last.start + last.size));
    return entriesOfRun(memory.subarray(0, last.start + last.size - run[0]!.at));
  };
  const buffers = new Set<ArrayBufferLike>();
  const append = (frames: number): void => {
    const burst = Array.from({ length: frames }, (_, i) => frame(model.last + 1 + i * 60)).flat();
    for (const { bytes } of burst) buffers.add(bytes.buffer);
    model.append(burst);
  };
  append(40);
  const { last } = model;
  for (const each of model.log.entries(1, last + 1, Infinity) as Entry[]) {
    assert.ok(buffers.has(each.bytes.buffer), `entry ${each.index} is a copy`);
  }
  model.log.settled = last;
  append(17);
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  const before = buffers.size;
  append(40);
  assert.equal(buffers.size, before, "40 frames lie in what 40 came in");
});

test("without word of what is settled, all but the newest 8 MiB are folded all the same", () => {
  const model = new Model(1 << 24);
  model.settles = false;
  for (let index = 1; index <= 400; index++) model.append(asRun([entry(index, 1, 10)]));
  const { chunks } = model.log as unknown as { chunks: readonly { objects: unknown }[] };
  assert.ok(chunks.filter(({ objects }) => objects !== null).length <= 128);
  model.checkAll();
});

test("a second change of members proves the one before it committed, whatever the hard state says", () => {
  for (const [confChanges, commit] of [
    [[], 2],
    [[4], 2],
    [[1, 8], 2],
    [[3, 5, 8], 5],
  ] as const) {
    const hardState = { term: 3, vote: 1, commit: 2 };
    const log = newLog({ lastIndex: 9, hardState, cacheBytesMax: 0 });
    log.begin({ index: 0, term: 0 }, null, confChanges);
    assert.deepEqual(log.initialState().hardState, { ...hardState, commit });
  }
});
