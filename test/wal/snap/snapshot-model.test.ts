// Random appends (now and then of conf changes), overwritten suffixes, own and received snapshots and restarts, held
// against the plainest model: a map from index to entry. What storage has must be the model's, in a running log and
// after opening it again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../../src/base/prng.js";
import type { Entry, SnapshotMetadata } from "../../../src/raft/raftpb/index.js";
import { openWal, type Wal, type WalOptions } from "../../../src/wal/index.js";
import { seedOf } from "../../seed.js";
import { tempDir } from "../../temp-dir.js";
import {
  assertSameEntries,
  durable,
  entriesFrom,
  meta,
  options,
  readState,
  run,
  WRITERS,
} from "../helpers.js";

const STEPS = 40;

class Model {
  readonly entries = new Map<number, Entry>();
  last = 0;
  /** The entry that the newest received snapshot stands for. */
  base = { index: 0, term: 0 };
  commit = 0;
  term = 1;
  /** Recorded and of use, ascending. */
  snapshots: SnapshotMetadata[] = [];

  append(entries: readonly Entry[]): void {
    for (const entry of entries) this.entries.set(entry.index, entry);
    this.last = entries[entries.length - 1]!.index;
  }

  termOf(index: number): number {
    return index === this.base.index ? this.base.term : this.entries.get(index)!.term;
  }

  install(snapshot: SnapshotMetadata): void {
    this.snapshots = [snapshot];
    this.base = { index: snapshot.index, term: snapshot.term };
    this.last = snapshot.index;
    this.commit = Math.max(this.commit, snapshot.index);
    this.term = Math.max(this.term, snapshot.term);
  }
}

async function step(random: Prng, wal: Wal, model: Model): Promise<void> {
  const draw = random.below(10);
  const newest = model.snapshots.at(-1)?.index ?? 0;
  if (draw < 4) {
    // A new leader may overwrite what is not committed.
    if (random.below(3) === 0) model.term++;
    const overwrite = random.below(3) === 0;
    const from = overwrite ? model.commit + 1 + random.below(model.last - model.commit + 1) : model.last + 1;
    if (from <= model.last) model.term++;
    const entries = run(from, from + random.below(40), model.term, random.below(150));
    for (const entry of entries) if (random.below(12) === 0) entry.type = random.below(2) === 0 ? 1 : 2;
    model.append(entries);
    model.commit += random.below(model.last - model.commit + 1);
    const hardState = { term: model.term, vote: 1, commit: model.commit };
    await durable(wal, wal.append(hardState, entries));
  } else if (draw < 7 && model.commit > newest) {
    const index = newest + 1 + random.below(model.commit - newest);
    const snapshot = meta(index, model.termOf(index), [1, index]);
    await wal.saveSnapshot(snapshot, Buffer.from(`state ${index}`));
    model.snapshots.push(snapshot);
  } else if (draw === 7) {
    model.term++;
    const ahead = random.below(2) === 0 || model.last === model.commit;
    const span = ahead ? 50 : model.last - model.commit;
    const index = (ahead ? model.last : model.commit) + 1 + random.below(span);
    const snapshot = meta(index, model.term, [2, index]);
    await wal.saveSnapshot(snapshot, Buffer.from(`state ${index}`));
    model.install(snapshot);
  }
}

const isConfChange = ({ type }: Entry): boolean => type !== 0;
const indexOf = ({ index }: Entry): number => index;

async function check(wal: Wal, model: Model, kept: number, random: Prng): Promise<void> {
  const { storage } = wal;
  assert.equal(storage.lastIndex(), model.last);
  const first = storage.firstIndex();
  const oldest = model.snapshots.length < kept ? model.base.index : model.snapshots.at(-kept)!.index;
  assert.ok(first > model.base.index, "entries that a snapshot replaced");
  assert.ok(first <= oldest + 1, `entry ${first} is the first one, behind the snapshot at ${oldest}`);
  assert.equal(storage.term(first - 1), first === 1 ? 0 : model.termOf(first - 1));
  const expected: Entry[] = [];
  for (let index = first; index <= model.last; index++) {
    expected.push(model.entries.get(index)!);
    assert.equal(storage.term(index), model.entries.get(index)!.term);
  }
  assertSameEntries(entriesFrom(wal, 700), expected);
  const lo = first + random.below(expected.length + 1);
  assert.deepEqual(
    storage.confChangesAfter!(lo - 1),
    expected.filter((entry) => isConfChange(entry) && entry.index >= lo).map(indexOf),
  );
  const hi = lo + random.below(model.last + 2 - lo);
  const payload = expected.slice(lo - first, hi - first).reduce((sum, { data }) => sum + data.length, 0);
  const size = storage.sizeOf!(lo, hi);
  assert.ok(size >= payload, `entries [${lo}, ${hi}) have ${payload} bytes, and count as ${size}`);
  // Each run of the sparse index as a whole, and a segment's last one to the segment's end.
  assert.ok(size <= payload + (hi - lo) * 40 + 12_000, `${payload} bytes count as ${size}`);
  const newest = model.snapshots.at(-1);
  if (newest === undefined) return;
  const found = storage.snapshot();
  assert.ok("metadata" in found);
  assert.deepEqual(found.metadata, newest);
  assert.deepEqual(storage.initialState().confState, newest.confState);
  assert.ok(storage.initialState().hardState.commit >= newest.index);
  assert.equal((await readState(wal)).toString(), `state ${newest.index}`);
}

async function play(walOptions: WalOptions, seed: number): Promise<void> {
  const random = new Prng(seed);
  const model = new Model();
  const kept = walOptions.snapshotsKept!;
  let wal = await openWal(walOptions);
  try {
    for (let at = 0; at < STEPS; at++) {
      await step(random, wal, model);
      await check(wal, model, kept, random);
      if (random.below(6) !== 0) continue;
      await wal.close();
      wal = await openWal(walOptions);
      assert.equal(wal.recovered.torn, null);
      await check(wal, model, kept, random);
      const { confChanges, firstIndex } = wal.recovered;
      const all = [...model.entries.values()].filter(isConfChange).map(indexOf);
      assert.deepEqual(
        confChanges,
        all.filter((index) => index >= firstIndex && index <= model.last).sort((a, b) => a - b),
      );
    }
  } finally {
    await wal.close();
  }
}

for (const writer of WRITERS) {
  test(`${writer}: a log with snapshots is its model's`, async (t) => {
    const seed = seedOf(t, import.meta.url);
    for (let game = 0; game < (writer === "pool-wasm" ? 2 : 4); game++) {
      const dir = tempDir(t);
      const snapshotsKept = 1 + ((seed + game) % 3);
      const more = {
        writer,
        durability: "none" as const,
        segmentBytes: 2048,
        logCacheBytes: 3000,
        snapshotsKept,
      };
      await play(options(dir, more), seed + game);
    }
  });
}
