// RaftLog, Unstable and MemoryStorage: where entries are, what is stable, what may be applied.
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvariantError } from "../../src/base/assert.js";
import { NO_DATA } from "../../src/base/bytes.js";
import { Prng } from "../../src/base/prng.js";
import {
  EMPTY_CONF_STATE,
  Entry,
  EntryConfChange,
  EntryConfChangeV2,
  EntryNormal,
  ErrCompacted,
  ErrSnapOutOfDate,
  ErrUnavailable,
  entrySize,
  MemoryStorage,
  RaftError,
  type Snapshot,
} from "../../src/raft/index.js";
import { RaftLog } from "../../src/raft/log.js";
import { Unstable } from "../../src/raft/log-unstable.js";
import { seedOf } from "../seed.js";
import { SlowStorage } from "./slow-storage.js";

function entry(index: number, term: number, size = 0): Entry {
  return new Entry(EntryNormal, term, index, size === 0 ? NO_DATA : new Uint8Array(size));
}

function run(from: number, terms: readonly number[]): Entry[] {
  return terms.map((term, i) => entry(from + i, term));
}

function snapshot(index: number, term: number): Snapshot {
  return { data: NO_DATA, metadata: { index, term, confState: { ...EMPTY_CONF_STATE, voters: [1] } } };
}

function storageWith(terms: readonly number[]): MemoryStorage {
  const storage = new MemoryStorage();
  storage.append(run(1, terms));
  return storage;
}

function ids(entries: Entry[] | RaftError): string {
  assert.ok(!(entries instanceof RaftError), "an error instead of entries");
  return entries.map((e) => `${e.term}/${e.index}`).join(" ");
}

test("MemoryStorage: a new one is empty, and knows term 0 of index 0", () => {
  const storage = new MemoryStorage();
  assert.equal(storage.firstIndex(), 1);
  assert.equal(storage.lastIndex(), 0);
  assert.equal(storage.term(0), 0);
  assert.equal(storage.term(1), ErrUnavailable);
});

test("MemoryStorage: append replaces what is at its place, and drops what is compacted", () => {
  const storage = storageWith([1, 1, 1, 2]);
  storage.append(run(3, [3, 3]));
  assert.equal(ids(storage.entries(1, 5, Infinity)), "1/1 1/2 3/3 3/4");
  assert.equal(storage.compact(2), null);
  storage.append(run(1, [1, 1, 4]));
  assert.equal(ids(storage.entries(3, 4, Infinity)), "4/3");
  storage.append(run(1, [1]));
  assert.equal(storage.lastIndex(), 3);
  assert.throws(() => storage.append(run(9, [9])), InvariantError);
});

test("MemoryStorage: compaction keeps the term of the last compacted entry", () => {
  const storage = storageWith([1, 2, 3, 4]);
  assert.equal(storage.compact(2), null);
  assert.equal(storage.compact(2), ErrCompacted);
  assert.equal(storage.compact(9), ErrUnavailable);
  assert.equal(storage.firstIndex(), 3);
  assert.equal(storage.term(1), ErrCompacted);
  assert.equal(storage.term(2), 2);
  assert.equal(storage.entries(2, 4, Infinity), ErrCompacted);
  assert.equal(storage.entries(3, 6, Infinity), ErrUnavailable);
});

test("MemoryStorage: entries are limited by encoded size, and the first always comes", () => {
  const storage = storageWith([1, 1, 1]);
  const size = entrySize(entry(1, 1));
  assert.equal(ids(storage.entries(1, 4, 0)), "1/1");
  assert.equal(ids(storage.entries(1, 4, size * 2)), "1/1 1/2");
  assert.equal(ids(storage.entries(1, 4, size * 3 - 1)), "1/1 1/2");
  assert.equal(ids(storage.entries(1, 4, size * 3)), "1/1 1/2 1/3");
});

test("MemoryStorage: snapshots only go forward", () => {
  const storage = storageWith([1, 1, 2]);
  const made = storage.createSnapshot(2, { ...EMPTY_CONF_STATE, voters: [1, 2] }, NO_DATA);
  assert.ok(!(made instanceof RaftError));
  assert.deepEqual(made.metadata, { index: 2, term: 1, confState: { ...EMPTY_CONF_STATE, voters: [1, 2] } });
  assert.equal(storage.createSnapshot(2, null, NO_DATA), ErrSnapOutOfDate);
  assert.equal(storage.createSnapshot(4, null, NO_DATA), ErrUnavailable);
  assert.equal(storage.applySnapshot(snapshot(2, 1)), ErrSnapOutOfDate);
  assert.equal(storage.applySnapshot(snapshot(7, 3)), null);
  assert.equal(storage.firstIndex(), 8);
  assert.equal(storage.lastIndex(), 7);
  assert.equal(storage.term(7), 3);
});

test("MemoryStorage: compaction in bulk and in steps gives the same as a plain array", () => {
  const prng = new Prng(3);
  const storage = new MemoryStorage();
  let first = 1;
  let last = 0;
  for (let round = 0; round < 300; round++) {
    const add = prng.below(100);
    storage.append(Array.from({ length: add }, (_, i) => entry(last + 1 + i, 1)));
    last += add;
    if (prng.below(3) === 0 && last > first) {
      const to = first + prng.below(last - first + 1);
      assert.equal(storage.compact(to), null);
      first = to + 1;
    }
    assert.equal(storage.firstIndex(), first);
    assert.equal(storage.lastIndex(), last);
    if (last < first) continue;
    const all = storage.entries(first, last + 1, Infinity);
    assert.ok(!(all instanceof RaftError));
    assert.equal(all.length, last - first + 1);
    assert.equal(all[0].index, first);
    assert.equal(all[all.length - 1].index, last);
  }
});

test("Unstable: what was handed out is in progress until it is stable", () => {
  const unstable = new Unstable(5, null);
  unstable.truncateAndAppend(run(5, [1, 1, 1]), 0);
  assert.ok(unstable.hasNextEntries());
  unstable.acceptInProgress();
  assert.ok(!unstable.hasNextEntries());
  unstable.truncateAndAppend(run(8, [1]), 0);
  assert.equal(unstable.offsetInProgress, 8);
  unstable.stableTo(1, 6);
  assert.equal(unstable.offset, 7);
  assert.equal(unstable.length, 2);
  unstable.stableTo(1, 8);
  assert.equal(unstable.length, 0);
  assert.equal(unstable.maybeLastIndex(), -1);
});

test("Unstable: truncation takes back what is in progress behind the cut", () => {
  const unstable = new Unstable(5, null);
  unstable.truncateAndAppend(run(5, [1, 1, 1]), 0);
  unstable.acceptInProgress();
  assert.ok(unstable.truncateAndAppend(run(6, [2, 2]), 0));
  assert.equal(unstable.offsetInProgress, 6);
  assert.equal(ids(unstable.slice(5, 8)), "1/5 2/6 2/7");
  assert.ok(unstable.truncateAndAppend(run(4, [3]), 0));
  assert.equal(unstable.offset, 4);
  assert.equal(unstable.offsetInProgress, 4);
  assert.equal(ids(unstable.slice(4, 5)), "3/4");
});

test("Unstable: late notices about replaced, missing or snapshotted entries change nothing", () => {
  const lines: string[] = [];
  const note = (line: string): void => void lines.push(line);
  const unstable = new Unstable(5, { debug: note, info: note, warn: note, error: note });
  unstable.truncateAndAppend(run(5, [2]), 0);
  unstable.stableTo(1, 5);
  unstable.stableTo(1, 9);
  unstable.restore(snapshot(8, 3));
  unstable.stableTo(3, 8);
  assert.equal(unstable.offset, 9);
  assert.deepEqual(lines, [
    "entry at (index,term)=(5,1) mismatched with entry at (5,2) in unstable log; ignoring",
    "entry at index 9 missing from unstable log; ignoring",
    "entry at index 8 matched unstable snapshot; ignoring",
  ]);
});

test("Unstable: entries behind a snapshot may be stable before it is, and the log still ends with them", () => {
  const unstable = new Unstable(5, null);
  unstable.restore(snapshot(8, 3));
  assert.equal(unstable.maybeLastIndex(), 8);
  unstable.truncateAndAppend(run(9, [3, 3]), 0);
  unstable.acceptInProgress();
  unstable.stableTo(3, 10);
  assert.deepEqual([unstable.length, unstable.maybeLastIndex(), unstable.maybeFirstIndex()], [0, 10, 9]);
  unstable.stableSnapTo(8);
  assert.deepEqual([unstable.maybeLastIndex(), unstable.maybeFirstIndex()], [-1, -1]);
});

test("Unstable: a snapshot stays until it is stable", () => {
  const unstable = new Unstable(5, null);
  unstable.restore(snapshot(9, 2));
  assert.equal(unstable.maybeFirstIndex(), 10);
  assert.equal(unstable.maybeLastIndex(), 9);
  assert.equal(unstable.maybeTerm(9), 2);
  assert.ok(unstable.nextSnapshot() !== null);
  unstable.acceptInProgress();
  assert.equal(unstable.nextSnapshot(), null);
  unstable.stableSnapTo(8);
  assert.ok(unstable.snapshot !== null);
  unstable.stableSnapTo(9);
  assert.equal(unstable.snapshot, null);
});

test("Unstable: many appends and stable notices give the same as a plain array", () => {
  const prng = new Prng(5);
  const unstable = new Unstable(1, null);
  let plain: Entry[] = [];
  let offset = 1;
  for (let round = 0; round < 3000; round++) {
    const draw = prng.below(10);
    if (draw < 6) {
      const added = run(offset + plain.length, new Array(1 + prng.below(20)).fill(round));
      unstable.truncateAndAppend(added, 0);
      plain.push(...added);
    } else if (draw < 9 && plain.length > 0) {
      const keep = prng.below(plain.length);
      const stable = plain[plain.length - 1 - keep];
      unstable.stableTo(stable.term, stable.index);
      plain = plain.slice(plain.length - keep);
      offset = stable.index + 1;
    } else if (plain.length > 0) {
      const cut = prng.below(plain.length);
      const added = run(offset + cut, [round]);
      unstable.truncateAndAppend(added, 0);
      plain = plain.slice(0, cut).concat(added);
    }
    assert.equal(unstable.offset, offset);
    assert.equal(ids(unstable.slice(offset, offset + plain.length)), ids(plain));
  }
});

test("RaftLog: maybeAppend replaces from the first conflict, and never lowers the commit index", () => {
  const log = new RaftLog(storageWith([1, 1, 2]), null, Infinity);
  assert.equal(log.maybeAppend(2, 9, run(3, [9]), 0), -1);
  assert.equal(log.maybeAppend(3, 2, [], 3), 3);
  assert.equal(log.committed, 3);
  assert.equal(log.maybeAppend(1, 1, run(2, [1, 2]), 1), 3);
  assert.equal(log.committed, 3);
  assert.equal(log.unstable.length, 0);
  assert.equal(log.maybeAppend(3, 2, run(4, [2, 3]), 99), 5);
  assert.equal(log.committed, 5);
  assert.throws(() => log.maybeAppend(3, 2, run(4, [4]), 0), /conflicts with a committed entry/);
});

test("RaftLog: findConflictByTerm skips whole terms", () => {
  const log = new RaftLog(storageWith([2, 2, 5, 5, 5]), null, Infinity);
  for (const [index, term, want] of [
    [5, 5, 5],
    [5, 4, 2],
    [5, 2, 2],
    [2, 1, 0],
    [9, 5, 9],
    [0, 5, 0],
  ]) {
    assert.equal(log.findConflictByTerm(index, term), want, `${index} ${term}`);
  }
});

test("RaftLog: findConflictByTerm asks for a term once a run, and finds the same", () => {
  const terms = [...new Array<number>(5000).fill(2), ...new Array<number>(5000).fill(7), 8];
  const plain = new RaftLog(storageWith(terms), null, Infinity);
  const storage = new SlowStorage();
  storage.append(run(1, terms));
  storage.compact(3);
  const log = new RaftLog(storage, null, Infinity);
  for (const each of [plain, log]) each.append(run(10_002, [9, 9]));
  for (const index of [10_003, 10_002, 10_001, 10_000, 5001, 5000, 4]) {
    for (const term of [9, 8, 7, 6, 2]) {
      assert.equal(log.findConflictByTerm(index, term), plain.findConflictByTerm(index, term));
    }
  }
  storage.terms = 0;
  // Into what is compacted: the log can't tell.
  assert.equal(log.findConflictByTerm(10_003, 1), 2);
  assert.ok(storage.terms < 10, `${storage.terms} terms`);
});

test("RaftLog: findConflictByTerm asks a storage nothing that a snapshot on its way is to replace", () => {
  const storage = new SlowStorage();
  storage.append(run(1, [1, 1, 1]));
  const log = new RaftLog(storage, null, Infinity);
  log.restore(snapshot(9, 4));
  assert.equal(log.findConflictByTerm(9, 4), 9);
  assert.equal(log.findConflictByTerm(9, 3), 8);
});

test("RaftLog: entries from the storage and the unstable part join up to the limit", () => {
  const log = new RaftLog(storageWith([1, 1]), null, Infinity);
  log.append(run(3, [2, 2]));
  const size = entrySize(entry(1, 1));
  assert.equal(ids(log.slice(1, 5, Infinity)), "1/1 1/2 2/3 2/4");
  assert.equal(ids(log.slice(1, 5, 0)), "1/1");
  assert.equal(ids(log.slice(1, 5, size * 2)), "1/1 1/2");
  assert.equal(ids(log.slice(1, 5, size * 3)), "1/1 1/2 2/3");
  assert.equal(ids(log.slice(2, 4, size * 9)), "1/2 2/3");
  assert.equal(ids(log.entries(4, Infinity)), "2/4");
  assert.equal(ids(log.entries(5, Infinity)), "");
});

test("RaftLog: a remembered slice is not served after its entries were replaced", () => {
  const log = new RaftLog(storageWith([1]), null, Infinity);
  log.append(run(2, [1, 1]));
  assert.equal(ids(log.slice(2, 4, Infinity)), "1/2 1/3");
  log.append(run(3, [2]));
  assert.equal(ids(log.slice(2, 4, Infinity)), "1/2 2/3");
  assert.equal(log.slice(2, 4, Infinity), log.slice(2, 4, Infinity), "one array for the same question");
  assert.equal(ids(log.slice(2, 4, 0)), "1/2");
  assert.equal(ids(log.slice(2, 4, Infinity)), "1/2 2/3");
});

test("RaftLog: applying pauses at the limit, and goes on when entries were applied", () => {
  const size = entrySize(entry(1, 1));
  const log = new RaftLog(storageWith([1, 1, 1]), null, size * 2);
  log.commitTo(3);
  const first = log.nextCommittedEnts(true);
  assert.equal(ids(first), "1/1 1/2");
  log.acceptApplying(2, log.applyingSize(first), true);
  assert.ok(!log.hasNextCommittedEnts(true));
  log.appliedTo(2, log.applyingSize(first));
  assert.equal(ids(log.nextCommittedEnts(true)), "1/3");
});

test("RaftLog: with async storage writes only stable entries are applied", () => {
  const log = new RaftLog(storageWith([1]), null, Infinity);
  log.append(run(2, [1, 1]));
  log.commitTo(3);
  assert.equal(ids(log.nextCommittedEnts(false)), "1/1");
  assert.equal(ids(log.nextCommittedEnts(true)), "1/1 1/2 1/3");
  log.restore(snapshot(9, 4));
  assert.ok(!log.hasNextCommittedEnts(true), "nothing is applied before the snapshot is stored");
});

test("RaftLog: terms outside of the log are unavailable, and compacted ones below it", () => {
  const storage = storageWith([1, 2, 3]);
  storage.compact(2);
  const log = new RaftLog(storage, null, Infinity);
  assert.equal(log.term(1), ErrCompacted);
  assert.equal(log.term(2), 2);
  assert.equal(log.term(4), ErrUnavailable);
  assert.equal(log.slice(2, 4, Infinity), ErrCompacted);
  assert.throws(() => log.commitTo(4), /commit index is out of range/);
});

for (const base of [2 ** 31 - 2, 2 ** 32 - 2, 2 ** 53 - 12]) {
  test(`RaftLog: indexes and terms around ${base} are as good as small ones`, () => {
    const storage = new MemoryStorage();
    storage.applySnapshot(snapshot(base, base));
    const log = new RaftLog(storage, null, Infinity);
    log.append(run(base + 1, [base, base, base + 1, base + 1]));
    assert.equal(log.lastIndex(), base + 4);
    assert.equal(ids(log.slice(base + 2, base + 4, Infinity)), `${base}/${base + 2} ${base + 1}/${base + 3}`);
    log.append(run(base + 3, [base + 2]));
    assert.equal(log.lastIndex(), base + 3);
    assert.ok(log.maybeCommit(base + 3, base + 2));
    storage.append(log.nextUnstableEnts());
    log.unstable.acceptInProgress();
    log.stableTo(base + 2, base + 3);
    assert.equal(log.unstable.length, 0);
    assert.equal(log.term(base + 2), base);
    assert.equal(storage.compact(base + 2), null);
    assert.equal(log.firstIndex(), base + 3);
  });
}

test("RaftLog: it knows of unapplied conf changes what a scan of its entries finds", (t) => {
  const seed = seedOf(t, import.meta.url);
  const prng = new Prng(seed);
  let storage = new MemoryStorage();
  let log = new RaftLog(storage, null, 1000);
  let term = 1;
  let answers = 0;
  for (let step = 0; step < 3000; step++) {
    const what = prng.below(12);
    if (what < 5) {
      // Appended behind, or over what is not committed.
      const over = prng.below(3) === 0;
      const from = over
        ? log.committed + 1 + prng.below(log.lastIndex() - log.committed + 1)
        : log.lastIndex() + 1;
      if (from <= log.lastIndex()) term++;
      const entries = run(from, new Array<number>(1 + prng.below(4)).fill(term));
      for (const e of entries)
        if (prng.below(6) === 0) e.type = prng.below(2) + 1 === 1 ? EntryConfChange : EntryConfChangeV2;
      log.append(entries);
    } else if (what < 7) log.commitTo(log.committed + prng.below(log.lastIndex() - log.committed + 1));
    else if (what < 9) log.appliedTo(log.applied + prng.below(log.committed - log.applied + 1), 0);
    else if (what === 9 && log.hasNextUnstableEnts()) {
      storage.append(log.nextUnstableEnts());
      log.stableTo(log.lastTerm(), log.lastIndex());
    } else if (what === 10 && log.lastIndex() === storage.lastIndex()) {
      // Started again, after some of it was compacted.
      const { applied, committed } = log;
      if (prng.below(2) === 0 && applied > storage.firstIndex()) storage.compact(applied - 1);
      log = new RaftLog(storage, null, 1000);
      log.commitTo(committed);
      log.appliedTo(applied, 0);
    } else if (what === 11 && prng.below(6) === 0) {
      const index = log.lastIndex() + 5;
      log.restore(snapshot(index, ++term));
      storage = new MemoryStorage();
      assert.equal(storage.applySnapshot(snapshot(index, term)), null);
      log = new RaftLog(storage, null, 1000);
    }
    let found = false;
    for (let index = log.applied + 1; index <= log.committed; index++) {
      const ents = log.slice(index, index + 1, Infinity);
      assert.ok(!(ents instanceof RaftError));
      if (ents[0].type !== EntryNormal) found = true;
    }
    if (found) answers++;
    assert.equal(log.hasUnappliedConfChange(), found);
  }
  assert.ok(answers > 100, "hardly ever anything to be found");
});

test("RaftLog: restoring a snapshot forgets the conf changes that it stands for", () => {
  const log = new RaftLog(new MemoryStorage(), null, 1000);
  log.append([new Entry(EntryConfChange, 1, 1, NO_DATA)]);
  log.restore(snapshot(5, 1));
  assert.equal(log.hasUnappliedConfChange(), false);
});

test("RaftLog: the payload of a range, stored and not", () => {
  const storage = new MemoryStorage();
  storage.append([entry(1, 1, 10), entry(2, 1, 20)]);
  const log = new RaftLog(storage, null, 1000);
  log.append([entry(3, 1, 40), entry(4, 1, 80)]);
  assert.equal(log.sizeOf(1, 5), 150);
  assert.equal(log.sizeOf(2, 4), 60);
  assert.equal(log.sizeOf(4, 5), 80);
  assert.equal(log.sizeOf(2, 2), 0);
});
