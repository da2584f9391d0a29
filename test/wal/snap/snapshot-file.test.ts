// A snapshot's file that another log wrote: staged as it comes, and nothing is left of what is not what it should be.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Wal } from "../../../src/wal/index.js";
import { mountSmall, tempDir } from "../../temp-dir.js";
import {
  assertSameEntries,
  durable,
  entriesFrom,
  meta,
  open,
  options,
  readState,
  run,
  snapFiles,
} from "../helpers.js";

const STATE = Buffer.alloc(300_000, "the state ");

/** The file of the newest snapshot, in pieces of `size`. */
async function* pieces(wal: Wal, index: number, size: number): AsyncGenerator<Uint8Array> {
  const file = await wal.openSnapshotFile(index);
  assert.ok(file !== null);
  for (let at = 0; at < file.bytes; at += size) {
    const piece = new Uint8Array(Math.min(size, file.bytes - at));
    await file.read(piece, at);
    yield piece;
  }
  await file.close();
}

async function* of(...all: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* all;
}

test("what one log has another takes, and replaces its own by", async (t) => {
  const [one, other] = [tempDir(t), tempDir(t)];
  const from = await open(t, options(one));
  await durable(from, from.append({ term: 2, vote: 1, commit: 50 }, run(1, 60, 2)));
  async function* stream(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < STATE.length; at += 70_000) yield STATE.subarray(at, at + 70_000);
  }
  await from.saveSnapshot(meta(50, 2), stream());
  const to = await open(t, options(other));
  await durable(to, to.append({ term: 1, vote: 1, commit: 3 }, run(1, 5)));
  await to.stageSnapshotFile(meta(50, 2), pieces(from, 50, 10_001));
  // It counts for nothing yet.
  assertSameEntries(entriesFrom(to), run(1, 5));
  await to.recordSnapshot(meta(50, 2));
  assert.deepEqual([to.storage.firstIndex(), to.storage.lastIndex()], [51, 50]);
  assert.deepEqual(await readState(to), STATE);
  const name = snapFiles(one)[0]!;
  assert.deepEqual(
    fs.readFileSync(path.join(other, "snap", name)),
    fs.readFileSync(path.join(one, "snap", name)),
  );
  assert.equal(await to.openSnapshotFile(49), null);
  await assert.rejects(to.stageSnapshotFile(meta(50, 2), pieces(from, 50, 9999)), {
    code: "WAL_SNAPSHOT_OUTDATED",
  });
  await assert.rejects(to.stageSnapshotFile(meta(40, 2), pieces(from, 50, 9999)), {
    code: "WAL_SNAPSHOT_OUTDATED",
  });
});

test("cut, changed, of another entry, term or membership: refused, and nothing of it is left", async (t) => {
  const [one, other] = [tempDir(t), tempDir(t)];
  const from = await open(t, options(one));
  await durable(from, from.append({ term: 2, vote: 1, commit: 50 }, run(1, 60, 2)));
  await from.saveSnapshot(meta(50, 2, [1, 2]), STATE.subarray(0, 5000));
  const whole = fs.readFileSync(path.join(one, "snap", snapFiles(one)[0]!));
  const to = await open(t, options(other));
  await durable(to, to.append({ term: 1, vote: 1, commit: 3 }, run(1, 5)));
  const sound = meta(50, 2, [1, 2]);
  const refused = async (metadata: typeof sound, ...all: Uint8Array[]): Promise<void> => {
    await assert.rejects(to.stageSnapshotFile(metadata, of(...all)), {
      code: "WAL_CORRUPT",
      message: /was received, and is not/,
    });
    assert.deepEqual(fs.readdirSync(path.join(other, "snap")), []);
  };
  for (const length of [0, 1, 20, 4000, whole.length - 1]) await refused(sound, whole.subarray(0, length));
  for (const at of [0, 3, 20, 2000, whole.length - 1]) {
    const changed = Buffer.from(whole);
    changed[at]! ^= 4;
    await refused(sound, changed);
  }
  await refused(sound, whole.subarray(0, 1000), whole.subarray(1010));
  await refused(meta(51, 2, [1, 2]), whole);
  await refused(meta(50, 3, [1, 2]), whole);
  await refused(meta(50, 2, [1, 2, 3]), whole);
  // What its source says ends it, too.
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield whole.subarray(0, 1000);
    throw new Error("no more");
  }
  await assert.rejects(to.stageSnapshotFile(sound, broken()), /^Error: no more$/);
  const abort = new AbortController();
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield whole.subarray(0, 1000);
    abort.abort();
    await new Promise(() => {});
  }
  await assert.rejects(to.stageSnapshotFile(sound, endless(), { signal: abort.signal }), {
    code: "RAFT_ABORTED",
  });
  assert.deepEqual(fs.readdirSync(path.join(other, "snap")), []);
  assertSameEntries(entriesFrom(to), run(1, 5));
  await to.stageSnapshotFile(sound, of(whole));
});

test("held entries stay while later snapshots are recorded, and go with the next one after", async (t) => {
  const dir = tempDir(t);
  const wal = await open(t, options(dir, { segmentBytes: 4096, snapshotsKept: 1, logCacheBytes: 1 }));
  const grow = async (to: number): Promise<void> => {
    const from = wal.storage.lastIndex() + 1;
    await durable(wal, wal.append({ term: 1, vote: 1, commit: to }, run(from, to)));
  };
  await grow(200);
  await wal.saveSnapshot(meta(100, 1), STATE.subarray(0, 10));
  assert.equal(wal.storage.firstIndex(), 101);
  wal.holdFrom(150);
  await wal.saveSnapshot(meta(190, 1), STATE.subarray(0, 10));
  assert.equal(wal.storage.firstIndex(), 151);
  // What is gone is gone.
  wal.holdFrom(50);
  await grow(400);
  await wal.saveSnapshot(meta(390, 1), STATE.subarray(0, 10));
  assert.equal(wal.storage.firstIndex(), 151);
  assertSameEntries(entriesFrom(wal), run(151, 400));
  wal.holdFrom(Infinity);
  await grow(410);
  await wal.saveSnapshot(meta(400, 1), STATE.subarray(0, 10));
  assert.equal(wal.storage.firstIndex(), 401);
  assert.ok(wal.stats().released > 5);
});

test("entries are held for nobody where the log takes more than the disk has left", async (t) => {
  const dir = path.join(tempDir(t), "small");
  if (!mountSmall(t, dir, 2)) return;
  const wal = await open(t, options(path.join(dir, "log"), { segmentBytes: 4096, snapshotsKept: 1 }));
  await durable(wal, wal.append({ term: 1, vote: 1, commit: 400 }, run(1, 400)));
  wal.holdFrom(50);
  await wal.saveSnapshot(meta(100, 1), STATE.subarray(0, 10));
  assert.equal(wal.storage.firstIndex(), 51);
  const { bavail, bsize } = fs.statfsSync(dir);
  fs.writeFileSync(path.join(dir, "other"), new Uint8Array(bavail * bsize - wal.storage.logBytes / 2));
  await wal.saveSnapshot(meta(200, 1), STATE.subarray(0, 10));
  assert.equal(wal.storage.firstIndex(), 201);
});
