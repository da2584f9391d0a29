// What a snapshot makes superfluous goes, oldest first, and released segments are used again; a crash between any two
// of its steps leaves a log that opens and has lost nothing.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import type { RaftmarkError } from "../../../src/base/errors.js";
import { ErrCompacted } from "../../../src/raft/errors.js";
import { runSync, syncFs } from "../../../src/wal/disk/wal-fs.js";
import { sortedSegments } from "../../../src/wal/format/format.js";
import { openWal, type Wal, type WalOptions } from "../../../src/wal/index.js";
import type { SnapshotLog } from "../../../src/wal/snap/snapshot-keeper.js";
import { prepareSegment } from "../../../src/wal/write/prepare.js";
import { atEnd, tempDir } from "../../temp-dir.js";
import type { CopyPlan } from "../copying-fs.js";
import { type FaultPlan, HANGS, OPENED, sharedWords } from "../faulty-fs.js";
import {
  assertSameEntries,
  durable,
  entriesFrom,
  entry,
  meta,
  open,
  options,
  readState,
  run,
  snapFiles,
  WRITERS,
} from "../helpers.js";
import { operations } from "../ordered-fs.js";

const COPYING = new URL("../copying-fs.js", import.meta.url).href;
const SEGMENT_BYTES = 4096;

async function append(wal: Wal, from: number, to: number): Promise<void> {
  for (let at = from; at <= to; at += 5) {
    const entries = run(at, Math.min(to, at + 4));
    await durable(wal, wal.append({ term: 1, vote: 1, commit: at }, entries));
  }
}

function segments(dir: string): { name: string; seq: number; index: number }[] {
  return sortedSegments(fs.readdirSync(path.join(dir, "wal")));
}

for (const writer of WRITERS) {
  for (const durability of ["o_dsync", "none"] as const) {
    test(`${writer}, ${durability}: older segments and snapshots go, and segments are used again`, async (t) => {
      const dir = tempDir(t);
      const walOptions = options(dir, { writer, durability, segmentBytes: SEGMENT_BYTES, logCacheBytes: 1 });
      const wal = await open(t, walOptions);
      const state = (index: number): Buffer => Buffer.from(`the state at ${index}`);
      let last = 0;
      for (const index of [150, 350, 550, 750]) {
        await append(wal, last + 1, index + 50);
        last = index + 50;
        await wal.saveSnapshot(meta(index, 1), state(index));
        const base = index === 150 ? 0 : index - 200;
        assert.equal(wal.storage.firstIndex(), base + 1);
        assert.equal(wal.storage.term(base), base === 0 ? 0 : 1);
        assert.equal(wal.storage.entries(base, last, 1000), ErrCompacted);
        if (base > 0) assert.equal(wal.storage.term(base - 1), ErrCompacted);
        assertSameEntries(entriesFrom(wal), run(base + 1, last));
        const [first, second] = segments(dir);
        assert.ok(first!.index <= base + 1, "entries behind the older snapshot are there");
        assert.ok(base === 0 || second!.index > base, "no segment is kept without need");
      }
      assert.ok(wal.stats().released > 10, `${wal.stats().released} segments released`);
      assert.deepEqual(
        snapFiles(dir).map((name) => Number.parseInt(name.slice(17, 33), 16)),
        [550, 750],
      );
      await append(wal, last + 1, last + 100);
      await wal.close();
      const again = await open(t, walOptions);
      assert.equal(again.recovered.torn, null);
      assert.equal(again.recovered.firstIndex, 551);
      assert.equal(again.storage.term(550), 1);
      assertSameEntries(entriesFrom(again), run(551, last + 100));
      assert.deepEqual(await readState(again), state(750));
    });
  }

  test(`${writer}: a released segment becomes the next one if none is prepared yet`, async (t) => {
    const dir = tempDir(t);
    const walOptions = options(dir, { writer, segmentBytes: SEGMENT_BYTES, snapshotsKept: 1 });
    const wal = await open(t, walOptions);
    let last = 0;
    // Whether one is prepared depends on how full the newest segment is.
    for (let round = 0; round < 60 && wal.stats().recycled < 3; round++) {
      const count = 30 + ((round * 7) % 23);
      await append(wal, last + 1, last + count);
      last += count;
      await wal.saveSnapshot(meta(last - 1, 1), Buffer.from(`${last - 1}`));
    }
    assert.ok(wal.stats().recycled >= 3, `${wal.stats().recycled} of ${wal.stats().released}`);
    await append(wal, last + 1, last + 200);
    await wal.close();
    const again = await open(t, walOptions);
    assert.equal(again.recovered.torn, null);
    assertSameEntries(entriesFrom(again), run(last, last + 200));
  });

  test(`${writer}: a damaged newest snapshot leaves the one before it, and all entries behind that`, async (t) => {
    const dir = tempDir(t);
    const walOptions = options(dir, { writer, segmentBytes: SEGMENT_BYTES });
    const wal = await open(t, walOptions);
    await append(wal, 1, 300);
    for (const index of [100, 200, 250]) await wal.saveSnapshot(meta(index, 1), Buffer.from(`${index}`));
    await wal.close();
    assert.ok(segments(dir)[0]!.seq > 0);
    fs.truncateSync(path.join(dir, "snap", snapFiles(dir)[1]!), 10);
    const again = await open(t, walOptions);
    assert.equal((await readState(again)).toString(), "200");
    assertSameEntries(entriesFrom(again), run(again.storage.firstIndex(), 300));
    assert.ok(again.storage.firstIndex() <= 201);
    await again.saveSnapshot(meta(260, 1), Buffer.from("260"));
    assert.equal((await readState(again)).toString(), "260");
  });

  test(`${writer}: a crash between any two steps of a snapshot loses nothing`, async (t) => {
    const dir = tempDir(t);
    const copies = path.join(dir, "copies");
    const live = path.join(dir, "live");
    const plan: CopyPlan = { from: live, to: copies };
    fs.mkdirSync(copies);
    fs.mkdirSync(live);
    const walOptions = options(live, { writer, durability: "fdatasync", segmentBytes: 2048 });
    const wal = await open(t, { ...walOptions, walFs: { module: COPYING, arg: plan } });
    const copied: number[] = [];
    for (const index of [40, 70, 100]) {
      await append(wal, wal.storage.lastIndex() + 1, index + 9);
      fs.writeFileSync(path.join(live, "copy-now"), "");
      await wal.saveSnapshot(meta(index, 1), Buffer.from(`the state at ${index}`));
      fs.rmSync(path.join(live, "copy-now"));
      copied.push(fs.readdirSync(copies).length);
    }
    // One that replaces the log.
    fs.writeFileSync(path.join(live, "copy-now"), "");
    await wal.saveSnapshot(meta(500, 2), Buffer.from("the state at 500"));
    fs.rmSync(path.join(live, "copy-now"));
    await wal.close();
    const names = fs.readdirSync(copies).sort();
    assert.ok(copied[0]! >= 5, `${copied} copies`);
    assert.ok(copied[2]! > copied[1]! + 10, "segments were released one by one");
    for (const name of names) await checkCopy(path.join(copies, name), walOptions, copied);
  });
}

test("a segment that cannot be removed is a warning, and nothing behind it is removed", async (t) => {
  const dir = tempDir(t);
  const plan: FaultPlan = { op: "unlink", from: 3, code: "EACCES", path: ".wal" };
  const walFs = { module: new URL("../faulty-fs.js", import.meta.url).href, arg: plan };
  const walOptions = options(dir, { durability: "none", segmentBytes: SEGMENT_BYTES, snapshotsKept: 1 });
  const warnings: RaftmarkError[] = [];
  const wal = await open(t, { ...walOptions, walFs, onWarning: (warning) => warnings.push(warning) });
  await append(wal, 1, 300);
  await wal.saveSnapshot(meta(200, 1), Buffer.from("200"));
  assert.deepEqual(
    warnings.map(({ code }) => code),
    ["WAL_IO"],
  );
  await wal.saveSnapshot(meta(250, 1), Buffer.from("250"));
  assert.equal(warnings.length, 1);
  assert.equal(wal.stats().released, 2);
  assert.equal(segments(dir)[0]!.seq, 2);
  assert.equal(wal.storage.firstIndex(), 251);
  await wal.close();
  const again = await open(t, walOptions);
  assert.equal(again.recovered.snapshot?.index, 250);
  await again.saveSnapshot(meta(260, 1), Buffer.from("260"));
  assert.ok(segments(dir)[0]!.seq > 5);
  assert.deepEqual(snapFiles(dir).length, 1);
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A log of entries 1 to 300 whose segments are not removed while `hang(true)`. */
async function hangingLog(t: TestContext) {
  const dir = tempDir(t);
  const shared = sharedWords();
  const plan: FaultPlan = { op: "unlink", from: Infinity, code: "", shared };
  const walFs = { module: new URL("../faulty-fs.js", import.meta.url).href, arg: plan };
  const warnings: string[] = [];
  const onWarning = ({ message }: RaftmarkError): unknown => warnings.push(message);
  const more = { durability: "none" as const, segmentBytes: SEGMENT_BYTES, snapshotsKept: 1 };
  const walOptions = options(dir, { ...more, walFs, onWarning });
  const wal = await open(t, walOptions);
  const hang = (hangs: boolean): unknown => Atomics.store(shared, HANGS, hangs ? 2 : 0);
  atEnd(t, () => hang(false));
  await append(wal, 1, 300);
  /** A snapshot that replaces the log, and 50 entries behind it; returns whether it is recorded when they are durable. */
  const record = async (index: number): Promise<boolean> => {
    await wal.stageSnapshot(meta(index, 1), Buffer.from(`${index}`));
    let isRecorded = false;
    wal.recordSnapshot(meta(index, 1)).then(
      () => {
        isRecorded = true;
      },
      (error: RaftmarkError) => warnings.push(error.message),
    );
    await turn();
    await append(wal, index + 1, index + 50);
    await turn();
    return isRecorded;
  };
  return { dir, walOptions, wal, warnings, hang, record };
}

test("a record waits for no release, its own or an earlier one; a save and the log's end wait for all", async (t) => {
  const { dir, walOptions, wal, warnings, hang, record } = await hangingLog(t);
  hang(true);
  for (const index of [350, 450]) {
    assert.ok(await record(index), `the record at ${index}`);
    assert.equal((await readState(wal)).toString(), `${index}`);
  }
  assert.equal(segments(dir)[0]!.seq, 0);
  hang(false);
  await wal.saveSnapshot(meta(500, 1), Buffer.from("500"));
  assert.ok(segments(dir).length <= 2);
  assert.equal(snapFiles(dir).length, 1);
  hang(true);
  assert.ok(await record(550));
  let isClosed = false;
  const closed = wal.close().then(() => {
    isClosed = true;
  });
  for (let i = 0; i < 20; i++) await turn();
  assert.ok(!isClosed, "a release is under way");
  hang(false);
  await closed;
  assert.deepEqual(warnings, []);
  assertSameEntries(entriesFrom(await open(t, walOptions)), run(551, 600));
});

test("a release goes on where the next snapshot replaces the log meanwhile", async (t) => {
  const { dir, wal, warnings, hang, record } = await hangingLog(t);
  hang(true);
  assert.ok((await record(350)) && (await record(450)));
  // The log has the next one, and who keeps them is told late.
  const log = wal as unknown as SnapshotLog;
  const { appendSnapshot } = log;
  let tell = (): void => {};
  const told = new Promise<void>((resolve) => {
    tell = resolve;
  });
  log.appendSnapshot = (metadata) => appendSnapshot.call(log, metadata).then(() => told);
  assert.equal(await record(550), false);
  hang(false);
  while (segments(dir)[0]!.index <= 350 && warnings.length === 0) await turn();
  tell();
  await wal.close();
  assert.deepEqual(warnings, []);
});

/**
 * A log whose directory syncs fail as planned while a snapshot is saved, with what it warned of; `save` appends entries,
 * and takes a snapshot.
 */
async function unsyncedLog(t: TestContext, faults: Pick<FaultPlan, "from" | "to" | "code">) {
  const dir = tempDir(t);
  const shared = sharedWords();
  const plan: FaultPlan = { ...faults, op: "syncDir", path: "/wal", opened: true, shared };
  const walFs = { module: new URL("../faulty-fs.js", import.meta.url).href, arg: plan };
  const more = { durability: "fdatasync" as const, segmentBytes: SEGMENT_BYTES, snapshotsKept: 1 };
  const warnings: string[] = [];
  const onWarning = ({ message }: RaftmarkError): unknown => warnings.push(message);
  const wal = await open(t, options(dir, { ...more, walFs, onWarning }));
  const save = async (count = 200, fails = true): Promise<void> => {
    const last = wal.storage.lastIndex() + count;
    await append(wal, last - count + 1, last);
    // Names of new segments are synced as they should be.
    if (fails) Atomics.store(shared, OPENED, 1);
    await wal.saveSnapshot(meta(last, 1), Buffer.from("state"));
    Atomics.store(shared, OPENED, 0);
  };
  const said = (): string[] => warnings.filter((each) => each.includes("superfluous"));
  return { dir, wal, warnings, said, save };
}

test("a release that finds no file descriptor is said once, and the next one does what it left", async (t) => {
  const { dir, said, save } = await unsyncedLog(t, { from: 2, to: 3, code: "EMFILE" });
  await save();
  await save();
  assert.equal(said().length, 1);
  assert.match(said()[0]!, /EMFILE.*tries again after the next snapshot: close files/);
  assert.ok(segments(dir).length > 10);
  await save();
  assert.ok(segments(dir).length <= 2);
  assert.equal(said().length, 1);
});

test("a directory that cannot be synced behind a removal ends all releasing", async (t) => {
  const { wal, said, save } = await unsyncedLog(t, { from: 2, to: 2, code: "EIO" });
  await save();
  await save();
  const { released } = wal.stats();
  await save();
  await save();
  assert.equal(wal.stats().released, released);
  assert.equal(said().length, 1);
  assert.match(said()[0]!, /EIO.*keeps it until it is opened again/);
});

test("a segment that is to be used again, and whose new name is not durable, is not written over", async (t) => {
  const { dir, warnings, save } = await unsyncedLog(t, { from: 1, code: "EMFILE" });
  const isTried = (): boolean => warnings.some((each) => /preparing space ahead .*EMFILE/.test(each));
  for (let round = 0; round < 60 && !isTried(); round++) {
    await save(100, false);
    const fd = fs.openSync(path.join(dir, "wal", segments(dir)[0]!.name), "r");
    const head = (): Buffer => {
      const bytes = Buffer.alloc(64);
      assert.equal(fs.readSync(fd, bytes, 0, bytes.length, 0), bytes.length);
      return bytes;
    };
    const before = head();
    // How full the newest segment is decides whether a released one is wanted.
    await save(20 + ((round * 7) % 23));
    await save(100);
    assert.ok(head().equals(before));
    fs.closeSync(fd);
  }
  assert.ok(isTried());
});

test("each step is durable before the next one that relies on it", async (t) => {
  const dir = tempDir(t);
  const walFs = { module: new URL("../ordered-fs.js", import.meta.url).href, arg: null };
  const more = { segmentBytes: 2048, snapshotsKept: 1, durability: "fdatasync" as const, walFs };
  const wal = await open(t, options(dir, { ...more, writer: "inline-wasm" }));
  let last = 0;
  for (let round = 0; round < 30 && wal.stats().recycled < 2; round++) {
    // How full the newest segment is decides whether a released one is wanted.
    const count = 20 + ((round * 7) % 23);
    await append(wal, last + 1, last + count);
    last += count;
    operations.length = 0;
    await wal.saveSnapshot(meta(last, 1), Buffer.from("state"));
    const file = snapFiles(dir).at(-1)!;
    const at = (pattern: RegExp): number => {
      const found = operations.findIndex((each) => pattern.test(each));
      assert.ok(found >= 0, `${pattern} in ${operations.join(", ")}`);
      return found;
    };
    const renamed = at(new RegExp(`^rename ${file}.* ${file}$`));
    assert.ok(at(new RegExp(`^synced ${file}`)) < renamed, "the file, then its name");
    assert.ok(renamed < at(/^synced snap\/$/), "its name, then the directory");
    const removed = operations.flatMap((each, i) => (/^(unlink|rename) \S*\.wal/.test(each) ? [i] : []));
    // Zeros may be written to segments at any time; the record is after the directory, and before the release.
    const recorded = operations.slice(at(/^synced snap\/$/), removed[0] ?? operations.length);
    const written = recorded.findIndex((each) => /^write .*\.wal$/.test(each));
    assert.ok(written >= 0, "the directory, then the record");
    assert.ok(
      recorded.slice(written).some((each) => /^synced .*\.wal$/.test(each)),
      "the record, then the release",
    );
    for (const i of removed) {
      const next = operations
        .slice(i + 1)
        .find((each) => !/^(open|write|synced|truncate) \d\.tmp$/.test(each));
      assert.equal(next, "synced wal/");
      const to = operations[i]!.split(" ")[2];
      const touched = operations.findIndex((each, j) => j > i && each.endsWith(` ${to}`));
      if (to !== undefined && touched >= 0) {
        assert.ok(operations.slice(i, touched).includes("synced wal/"), "its new name, then its zeros");
      }
    }
  }
  assert.ok(wal.stats().recycled >= 2);
});

test("a recycled segment holds nothing but zeros, even if it is wanted before it is filled", (t) => {
  const dir = tempDir(t);
  const path0 = path.join(dir, "0.tmp");
  for (const [size, hurryAfter] of [
    [5 << 20, 2],
    [1000, 9],
    [5 << 20, 9],
    [2 << 20, 0],
  ] as const) {
    fs.writeFileSync(path0, new Uint8Array(size).fill(7));
    let asked = 0;
    const task = { path: path0, bytes: 3 << 20, sparse: false, direct: false, recycled: true, count: 1 };
    runSync(prepareSegment(syncFs, task, () => asked++ >= hurryAfter));
    const bytes = fs.readFileSync(path0);
    assert.equal(bytes.length, 3 << 20);
    assert.ok(bytes.every((byte) => byte === 0));
  }
});

// `copied`: how many copies there were after each snapshot.
async function checkCopy(dir: string, walOptions: WalOptions, copied: number[]): Promise<void> {
  // Whoever wrote them; threads for each would take long.
  const mine = { ...walOptions, writer: "inline-wasm" as const, dir: path.join(dir, "wal") };
  fs.rmSync(`${mine.dir}.lock`, { force: true });
  const number = Number(path.basename(dir));
  const round = copied.findIndex((count) => number < count);
  const before = round < 0 ? 100 : [0, 40, 70][round]!;
  const after = round < 0 ? 500 : [40, 70, 100][round]!;
  const durableLast = round < 0 ? 109 : after + 9;
  let first = await openWal(mine);
  const found = first.recovered.snapshot?.index ?? 0;
  assert.ok(found === before || found === after, `copy ${number}: snapshot ${found}`);
  if (found > 0) assert.equal((await readState(first)).toString(), `the state at ${found}`);
  const last = found === 500 ? 500 : durableLast;
  assert.equal(first.storage.lastIndex(), last, `copy ${number}`);
  assert.ok(first.storage.firstIndex() <= found + 1, `copy ${number}: entries behind the snapshot`);
  assertSameEntries(entriesFrom(first), run(first.storage.firstIndex(), last));
  assert.ok(first.recovered.hardState.commit >= found);
  await first.close();
  const files = fs.readdirSync(dir, { recursive: true }).sort();
  assert.deepEqual(
    files.filter((file) => String(file).endsWith(".tmp")),
    [],
    "nothing half done is left",
  );
  first = await openWal(mine);
  assert.equal(first.recovered.torn, null);
  assert.equal(first.recovered.snapshot?.index ?? 0, found);
  const { commit } = first.recovered.hardState;
  await durable(first, first.append({ term: 3, vote: 1, commit }, [entry(last + 1, 3)]));
  await first.saveSnapshot(meta(last + 1, 3), Buffer.from("one more"));
  await first.close();
}
