// What a log can know is gone: a cut leaves proof of the segment that follows, a named segment has its head, and no
// state record is ahead of the entries. Power losses at a cut are in crash-points.test.ts.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import type { RaftmarkError } from "../../../src/base/errors.js";
import { verdictText, verifyLog } from "../../../src/cli/wal-verify.js";
import { RECORD_ENTRY } from "../../../src/wal/format/format.js";
import { encodeEntry, encodeHardState } from "../../../src/wal/format/record.js";
import { openWal, readWal, type WalOptions } from "../../../src/wal/index.js";
import { findLog } from "../../../src/wal/inspect/log-place.js";
import { tempDir } from "../../temp-dir.js";
import {
  allEntries,
  assertSameEntries,
  durable,
  entriesFrom,
  firstFrames,
  meta,
  newestSegment,
  open,
  options,
  replay,
  run,
  WRITERS,
} from "../helpers.js";
import { type Op, recordings } from "../recording-fs.js";

const RECORDER = new URL("../recording-fs.js", import.meta.url).href;

/** A closed log of entries 1 to `last`, each write by itself, in segments of 8 KiB. */
async function written(t: TestContext, last: number, more: Partial<WalOptions> = {}): Promise<WalOptions> {
  const walOptions = options(tempDir(t), { segmentBytes: 8192, ...more });
  const wal = await openWal(walOptions);
  for (let index = 1; index <= last; index++) {
    await durable(wal, wal.append({ term: 1, vote: 1, commit: index - 1 }, run(index, index)));
  }
  await wal.close();
  return walOptions;
}

/** Refused by the engine and by `raftmark wal verify`, in the same words; nothing in the directory is changed. */
async function assertRefused(walOptions: WalOptions, ...words: RegExp[]): Promise<void> {
  const before = fs
    .readdirSync(walOptions.dir)
    .map((name) => [name, fs.statSync(path.join(walOptions.dir, name)).size]);
  let text = "";
  await assert.rejects(openWal(walOptions), (error: RaftmarkError) => {
    assert.equal(error.code, "WAL_CORRUPT");
    text = error.message;
    return true;
  });
  const sink = { isTTY: false, write: () => true };
  const verdict = await verifyLog(findLog(walOptions.dir), { threads: 1, snap: null }, sink);
  assert.equal(verdict.sound, false);
  for (const word of [...words, /other[s]? .*majority|as long as they are a majority/])
    assert.match(text, word);
  for (const word of words.slice(1)) assert.match(verdictText(verdict), word);
  const after = fs
    .readdirSync(walOptions.dir)
    .map((name) => [name, fs.statSync(path.join(walOptions.dir, name)).size]);
  assert.deepEqual(after, before);
}

for (const writer of WRITERS) {
  test(`${writer}: the newest segment is removed: refused, with what is missing`, async (t) => {
    const walOptions = await written(t, 300, { writer });
    const newest = newestSegment(walOptions.dir);
    const first = Number.parseInt(path.basename(newest).slice(17, 33), 16);
    fs.rmSync(newest);
    const closed = newestSegment(walOptions.dir);
    const { size } = fs.statSync(closed);
    await assertRefused(
      walOptions,
      new RegExp(`${path.basename(closed)} is damaged at offset ${size}`),
      new RegExp(`${path.basename(newest)}, is missing, with all entries from ${first} on`),
    );
    // The two newest.
    fs.rmSync(closed);
    await assertRefused(walOptions, new RegExp(path.basename(newestSegment(walOptions.dir))), /is missing/);
  });

  test(`${writer}: entries larger than a segment leave none that looks closed`, async (t) => {
    const walOptions = options(tempDir(t), { segmentBytes: 4096, writer });
    let last = 0;
    // Larger than the segment, than the ring, and as large as fills one to its last byte.
    for (const size of [3000, 5000, 40_000, ...Array.from({ length: 40 }, (_, i) => 3900 + i), 1]) {
      const wal = await openWal(walOptions);
      assert.equal(wal.recovered.lastIndex, last);
      last++;
      await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, run(last, last, 1, size)));
      await wal.close();
    }
  });
}

test("the newest segment is emptied, or its head overwritten: refused", async (t) => {
  const walOptions = await written(t, 300);
  const newest = newestSegment(walOptions.dir);
  const whole = fs.readFileSync(newest);
  const seal = [...readWal(walOptions.dir)].filter(({ segment }) => segment === path.basename(newest))[3]!
    .offset;
  const damaged = [Buffer.alloc(0), Buffer.alloc(whole.length), whole.subarray(0, 5)];
  for (let at = 8; at <= seal; at += 8) damaged.push(Buffer.from(whole).fill(0, at), whole.subarray(0, at));
  for (const bytes of damaged) {
    fs.writeFileSync(newest, bytes);
    await assertRefused(
      walOptions,
      new RegExp(`${path.basename(newest)} is damaged at offset`),
      /its head is missing/,
    );
  }
});

test("the only segment is emptied: refused, not taken for a new log", async (t) => {
  const walOptions = await written(t, 5);
  for (const bytes of [0, 20]) {
    fs.truncateSync(newestSegment(walOptions.dir), bytes);
    await assertRefused(walOptions, /is damaged at offset/, /its head is missing/);
  }
});

test("an older segment is emptied: refused at its own name", async (t) => {
  const walOptions = await written(t, 300);
  const names = fs
    .readdirSync(walOptions.dir)
    .filter((name) => name.endsWith(".wal"))
    .sort();
  for (const name of names.slice(0, -1)) {
    const file = path.join(walOptions.dir, name);
    const whole = fs.readFileSync(file);
    fs.writeFileSync(file, "");
    await assertRefused(walOptions, new RegExp(`${name} is damaged at offset 0`), /its head is missing/);
    fs.writeFileSync(file, whole);
  }
});

test("a state record ahead of the entries: those that it says are committed are gone", async (t) => {
  const walOptions = options(tempDir(t));
  const frames = firstFrames(walOptions.metadata, []);
  frames.seal();
  for (const each of run(1, 4)) frames.record(RECORD_ENTRY, encodeEntry(each));
  frames.record(3, encodeHardState({ term: 1, vote: 1, commit: 7 }));
  frames.seal();
  fs.mkdirSync(walOptions.dir);
  fs.writeFileSync(
    path.join(walOptions.dir, "0000000000000000-0000000000000000.wal"),
    Buffer.concat([frames.take(), Buffer.alloc(64)]),
  );
  await assertRefused(walOptions, /is damaged at offset \d+/, /entries 5 to 7 are missing/);
});

for (const durability of ["fdatasync", "o_dsync", "o_direct"] as const) {
  test(`${durability}: at a cut the next segment is durable before the old one gets its final size`, async (t) => {
    const walOptions = await written(t, 1);
    const wal = await open(t, { ...walOptions, durability, walFs: { module: RECORDER, arg: t.name } });
    for (let index = 2; index <= 300; index++) await durable(wal, wal.append(null, run(index, index)));
    const ops = recordings.get(t.name)!;
    const cuts = ops.flatMap((op, at) => (op.kind === "rename" && op.to.endsWith(".wal") ? [at] : []));
    assert.ok(cuts.length > 1);
    for (const at of cuts) {
      const kinds = ops.slice(at).filter(({ kind }) => kind !== "open" && kind !== "close");
      assert.deepEqual(
        kinds.slice(0, 3).map(({ kind }) => kind),
        ["rename", "syncDir", "truncate"],
      );
      const head = ops.slice(0, at).findLastIndex((op: Op) => op.kind === "write");
      assert.ok(
        ops.slice(head, at).some(({ kind }) => kind === "fdatasync"),
        "the head is durable before the name",
      );
    }
  });
}

test("a crash before the old segment got its final size is mended at opening: then it proves what follows", async (t) => {
  const walOptions = await written(t, 300);
  const newest = newestSegment(walOptions.dir);
  const aside = fs.readFileSync(newest);
  fs.rmSync(newest);
  const closed = newestSegment(walOptions.dir);
  const { size } = fs.statSync(closed);
  fs.truncateSync(closed, 8192);
  fs.writeFileSync(newest, aside);
  const wal = await openWal(walOptions);
  assert.equal(wal.recovered.lastIndex, 300);
  await wal.close();
  assert.equal(fs.statSync(closed).size, size);
  // Before the next segment had its name: the old one goes on.
  fs.rmSync(newest);
  fs.truncateSync(closed, 8192);
  const shorter = await open(t, walOptions);
  const last = shorter.recovered.lastIndex;
  await durable(shorter, shorter.append(null, run(last + 1, last + 100)));
  assertSameEntries(allEntries(shorter), run(1, last + 100));
});

test("a crash in a release, after a new leader overwrote the log: each segment that it leaves as the oldest will do", async (t) => {
  const walOptions = options(tempDir(t), { segmentBytes: 8192, snapshotCatchUpBytes: 1 << 30 });
  const wal = await openWal(walOptions);
  for (const each of [...run(1, 200), ...run(60, 190, 2)]) {
    await durable(wal, wal.append({ term: each.term, vote: 1, commit: 0 }, [each]));
  }
  await durable(wal, wal.append({ term: 2, vote: 1, commit: 100 }, []));
  await wal.saveSnapshot(meta(100, 2), Uint8Array.of(1));
  await wal.close();
  const segments = fs
    .readdirSync(walOptions.dir)
    .filter((name) => name.endsWith(".wal"))
    .sort();
  const stays = segments.findLastIndex((name) => Number.parseInt(name.slice(17, 33), 16) <= 100);
  let isBehind = false;
  for (const name of segments.slice(0, stays)) {
    fs.rmSync(path.join(walOptions.dir, name));
    const oldest = segments[segments.indexOf(name) + 1]!;
    isBehind ||= Number.parseInt(oldest.slice(17, 33), 16) > 101;
    const sink = { isTTY: false, write: () => true };
    const verdict = await verifyLog(findLog(walOptions.dir), { threads: 1, snap: null }, sink);
    assert.ok(verdict.sound, verdictText(verdict));
    assert.match(verdictText(verdict), /as after a release; it starts from the snapshot 100:2/);
    const again = await openWal(walOptions);
    assert.equal(again.recovered.lastIndex, 190);
    const first = again.recovered.firstIndex;
    assert.ok(first <= 101);
    assertSameEntries(entriesFrom(again), [...run(first, 59), ...run(Math.max(first, 60), 190, 2)]);
    await again.close();
  }
  assert.ok(isBehind, "no segment was left that begins behind the snapshot");
  fs.rmSync(path.join(walOptions.dir, segments[stays]!));
  await assertRefused(walOptions, /is missing/);
});

test("in a log as etcd writes it, an empty last segment gets its head and is used", async (t) => {
  const walOptions = options(tempDir(t));
  const frames = firstFrames(walOptions.metadata, run(1, 100));
  fs.mkdirSync(walOptions.dir);
  fs.writeFileSync(path.join(walOptions.dir, "0000000000000000-0000000000000000.wal"), frames.take());
  fs.writeFileSync(path.join(walOptions.dir, "0000000000000001-0000000000000065.wal"), "");
  const wal = await open(t, walOptions);
  assert.equal(wal.recovered.lastIndex, 100);
  await durable(wal, wal.append(null, run(101, 105)));
  await wal.close();
  assertSameEntries(replay(walOptions.dir), run(1, 105));
});

test("zeros from somewhere to the end of an older segment: refused, wherever they begin", async (t) => {
  const walOptions = await written(t, 300);
  const names = fs.readdirSync(walOptions.dir).filter((name) => name.endsWith(".wal"));
  const file = path.join(walOptions.dir, names.sort().at(-2)!);
  const whole = fs.readFileSync(file);
  // The seal at the end may go: nothing else is behind it, and the next segment continues the checksum.
  for (const from of [0, 8, 512, 1000, 4096, whole.length - 512, whole.length - 64]) {
    fs.writeFileSync(file, Buffer.from(whole).fill(0, from));
    await assertRefused(walOptions, new RegExp(`${path.basename(file)} is damaged at offset`));
  }
});

test("zeros from somewhere to the end of the newest segment: what is kept is a beginning, and none that its own commit index contradicts", async (t) => {
  const walOptions = await written(t, 300, { writer: "inline-js", durability: "none" });
  const file = newestSegment(walOptions.dir);
  const whole = fs.readFileSync(file);
  const records = [...readWal(walOptions.dir)].filter(({ segment }) => segment === path.basename(file));
  const end = records.at(-1)!.offset + 16;
  const head = records.findIndex(({ type }) => type === "entry");
  for (let from = records[head]!.offset; from < end; from += 40) {
    fs.writeFileSync(file, Buffer.from(whole).fill(0, from));
    const kept = records.filter(({ type, offset }) => type === "entry" && offset < from).length;
    const first = Number.parseInt(path.basename(file).slice(17, 33), 16);
    const wal = await openWal(walOptions);
    const { lastIndex, hardState } = wal.recovered;
    // The record in which they begin may be whole: its padding is zeros, too.
    assert.ok(lastIndex === first + kept - 1 || lastIndex === first + kept - 2, `${from}: ${lastIndex}`);
    assert.ok(hardState.commit <= lastIndex);
    assertSameEntries(allEntries(wal), run(1, lastIndex));
    await wal.close();
    for (const name of fs.readdirSync(walOptions.dir))
      if (name.includes(".broken")) fs.rmSync(path.join(walOptions.dir, name));
  }
});
