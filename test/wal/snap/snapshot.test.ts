// Snapshots as the log's owner sees them, with each of the three writers: saved, recorded, read back, chosen when the
// log is opened, and what is refused.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { NO_DATA } from "../../../src/base/bytes.js";
import type { RaftmarkError } from "../../../src/base/errors.js";
import { ErrCompacted } from "../../../src/raft/errors.js";
import { openWal, readWal, type Wal } from "../../../src/wal/index.js";
import { etcdReadSnap, etcdValidSnapshots } from "../../../src/wal/inspect/etcd-reader.js";
import { tempDir } from "../../temp-dir.js";
import type { FaultPlan } from "../faulty-fs.js";
import {
  allEntries,
  assertSameEntries,
  durable,
  entriesFrom,
  meta,
  newestSegment,
  open,
  options,
  readState,
  run,
  snapFiles,
  WRITERS,
} from "../helpers.js";
import { recordings } from "../recording-fs.js";

const FAULTY = new URL("../faulty-fs.js", import.meta.url).href;
const RECORDER = new URL("../recording-fs.js", import.meta.url).href;

async function append(wal: Wal, from: number, to: number, term = 1): Promise<void> {
  await durable(wal, wal.append({ term, vote: 1, commit: to }, run(from, to, term)));
}

for (const writer of WRITERS) {
  test(`${writer}: a snapshot is there after reopening, with its membership and its state`, async (t) => {
    const dir = tempDir(t);
    const walOptions = options(dir, { writer, confState: meta(0, 0, [9]).confState });
    const wal = await open(t, walOptions);
    assert.equal(wal.recovered.snapshot, null);
    assert.equal(await wal.openSnapshot(), null);
    assert.deepEqual(wal.storage.initialState().confState.voters, [9]);
    await append(wal, 1, 300);
    const snapshot = meta(200, 1, [1, 2, 3]);
    await wal.saveSnapshot(snapshot, Buffer.from("the state at 200"));
    assert.deepEqual(wal.storage.snapshot(), { data: NO_DATA, metadata: snapshot });
    assert.equal((await readState(wal)).toString(), "the state at 200");
    await append(wal, 301, 310);
    await wal.close();
    assert.equal(fs.statSync(path.join(dir, "snap")).mode & 0o777, 0o700);
    const [name] = snapFiles(dir);
    assert.equal(name, "0000000000000001-00000000000000c8.snap");
    assert.equal(fs.statSync(path.join(dir, "snap", name!)).mode & 0o777, 0o600);
    assert.deepEqual(etcdValidSnapshots(walOptions.dir).snapshots.at(-1), { index: 200n, term: 1n });
    const again = await open(t, walOptions);
    assert.deepEqual(again.recovered.snapshot, snapshot);
    assert.deepEqual(again.recovered.brokenSnapshots, []);
    assert.deepEqual(again.storage.initialState().confState, snapshot.confState);
    assert.equal((await readState(again)).toString(), "the state at 200");
    assertSameEntries(entriesFrom(again), run(again.storage.firstIndex(), 310));
  });

  test(`${writer}: a snapshot ahead of the log replaces it, and the log goes on behind it`, async (t) => {
    const walOptions = options(tempDir(t), { writer, segmentBytes: 4096 });
    const wal = await open(t, walOptions);
    await append(wal, 1, 50);
    await wal.saveSnapshot(meta(30, 1), Buffer.from("30"));
    const received = meta(80, 5, [4, 5]);
    await wal.saveSnapshot(received, Buffer.from("80"));
    const check = (each: Wal): void => {
      assert.equal(each.storage.firstIndex(), 81);
      assert.equal(each.storage.term(80), 5);
      assert.equal(each.storage.term(79), ErrCompacted);
      assert.equal(each.storage.entries(80, 81, 100), ErrCompacted);
    };
    check(wal);
    assert.equal(wal.storage.lastIndex(), 80);
    await wal.close();
    const again = await open(t, walOptions);
    check(again);
    assert.equal(again.storage.lastIndex(), 80);
    assert.deepEqual(again.recovered.hardState, { term: 5, vote: 0, commit: 80 });
    await append(again, 81, 150, 5);
    check(again);
    assertSameEntries(entriesFrom(again), run(81, 150, 5));
    await again.close();
    const third = await open(t, { ...walOptions, logCacheBytes: 1 });
    check(third);
    assert.deepEqual(third.recovered.snapshot, received);
    assertSameEntries(entriesFrom(third), run(81, 150, 5));
  });

  test(`${writer}: a snapshot of another term than the log's entry there replaces the log`, async (t) => {
    const walOptions = options(tempDir(t), { writer, logCacheBytes: 500 });
    const wal = await open(t, walOptions);
    await durable(wal, wal.append({ term: 3, vote: 1, commit: 20 }, run(1, 100, 3)));
    await wal.saveSnapshot(meta(80, 5), Buffer.from("80"));
    assert.equal(wal.storage.lastIndex(), 80);
    await wal.close();
    const again = await open(t, walOptions);
    assert.equal(again.storage.lastIndex(), 80);
    assert.equal(again.storage.firstIndex(), 81);
    await append(again, 81, 90, 5);
    assertSameEntries(entriesFrom(again), run(81, 90, 5));
    await again.close();
    assertSameEntries(entriesFrom(await open(t, walOptions)), run(81, 90, 5));
  });

  test(`${writer}: entries behind a snapshot that replaced the log are read back from disk`, async (t) => {
    const wal = await open(t, options(tempDir(t), { writer, logCacheBytes: 1 }));
    await append(wal, 1, 20, 5);
    await wal.saveSnapshot(meta(80, 5), Buffer.from("80"));
    await append(wal, 81, 99, 5);
    assertSameEntries(entriesFrom(wal), run(81, 99, 5));
  });

  test(`${writer}: a record waits for its place in a full ring`, async (t) => {
    const walOptions = options(tempDir(t), { writer, ringBytes: 2048 });
    const wal = await open(t, walOptions);
    await append(wal, 1, 10);
    await wal.stageSnapshot(meta(600, 2), Buffer.from("600"));
    wal.append({ term: 1, vote: 1, commit: 10 }, run(11, 500));
    const recorded = wal.recordSnapshot(meta(600, 2));
    // The keeper hands the record over in a turn of its own.
    await new Promise((resolve) => setImmediate(resolve));
    const seq = wal.append({ term: 2, vote: 1, commit: 600 }, run(601, 700, 2));
    await durable(wal, seq);
    await recorded;
    assert.equal(wal.storage.firstIndex(), 601);
    assertSameEntries(entriesFrom(wal), run(601, 700, 2));
    await wal.close();
    assertSameEntries(entriesFrom(await open(t, walOptions)), run(601, 700, 2));
  });

  test(`${writer}: a crash between a snapshot's record and the state behind it`, async (t) => {
    const dir = tempDir(t);
    const walOptions = options(dir, { writer });
    const wal = await open(t, walOptions);
    await append(wal, 1, 20);
    await wal.saveSnapshot(meta(80, 3), Buffer.from("80"));
    await wal.close();
    const last = [...readWal(walOptions.dir)].findLast(({ type }) => type === "state");
    const segment = newestSegment(walOptions.dir);
    const bytes = fs.readFileSync(segment);
    bytes.fill(0, last!.offset);
    fs.writeFileSync(segment, bytes);
    const again = await open(t, walOptions);
    assert.deepEqual(again.recovered.hardState, { term: 3, vote: 0, commit: 80 });
    assert.equal(again.storage.lastIndex(), 80);
    await append(again, 81, 90, 3);
    await again.close();
    assertSameEntries(entriesFrom(await open(t, walOptions)), run(81, 90, 3));
  });

  test(`${writer}: a damaged snapshot is set aside and the one before it taken`, async (t) => {
    const dir = tempDir(t);
    const walOptions = options(dir, { writer });
    const wal = await open(t, walOptions);
    await append(wal, 1, 100);
    await wal.saveSnapshot(meta(40, 1), Buffer.from("forty"));
    await wal.saveSnapshot(meta(90, 1), Buffer.from("ninety"));
    await wal.close();
    const newest = path.join(dir, "snap", snapFiles(dir)[1]!);
    const bytes = fs.readFileSync(newest);
    bytes[bytes.length - 8]! ^= 1;
    fs.writeFileSync(newest, bytes);
    // Of another log, or a later time.
    const backup = "0000000000000009-0000000000000999.snap";
    fs.writeFileSync(path.join(dir, "snap", backup), bytes);
    const again = await open(t, walOptions);
    assert.equal(again.recovered.snapshot?.index, 40);
    assert.deepEqual(again.recovered.brokenSnapshots, [`${newest}.broken`]);
    assert.deepEqual(again.recovered.strangeSnapshots, [backup]);
    assert.deepEqual(fs.readFileSync(`${newest}.broken`), bytes);
    assert.equal((await readState(again)).toString(), "forty");
    assertSameEntries(allEntries(again), run(1, 100));
    await again.saveSnapshot(meta(90, 1), Buffer.from("ninety again"));
    assert.equal((await readState(again)).toString(), "ninety again");
  });

  test(`${writer}: a fault of the log fails the snapshot that waits for its record`, async (t) => {
    const dir = tempDir(t);
    const plan: FaultPlan = { op: "write", from: 1, code: "EIO", over: 500 };
    const walFs = { module: FAULTY, arg: plan };
    await (await openWal(options(dir, { writer, durability: "none" }))).close();
    const wal = await open(t, options(dir, { writer, durability: "none", walFs }));
    const fault = new Promise<RaftmarkError>((resolve) => {
      wal.onFault = resolve;
    });
    const saved = wal.saveSnapshot(meta(1, 1), Buffer.from("x"));
    wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 20));
    await assert.rejects(saved, { code: "RAFT_FENCED" });
    assert.equal((await fault).code, "WAL_IO");
    await assert.rejects(wal.saveSnapshot(meta(2, 1), Buffer.from("y")), { code: "RAFT_FENCED" });
  });
}

test("a file is etcd's byte for byte; long streams have wide varints and read the same", async (t) => {
  const dir = tempDir(t);
  const wal = await open(t, options(dir));
  await append(wal, 1, 10);
  const metadata = {
    index: 7,
    term: 1,
    confState: { voters: [1, 300], learners: [4], votersOutgoing: [2], learnersNext: [5], autoLeave: true },
  };
  await wal.saveSnapshot(metadata, Buffer.from("abc"));
  const read = (index: number): Buffer => {
    const name = snapFiles(dir).find((each) => each.endsWith(`${index.toString(16)}.snap`));
    return fs.readFileSync(path.join(dir, "snap", name!));
  };
  const confState = "0801 08ac02 1004 1802 2005 2801";
  const body = `0a03616263 1213 0a0d ${confState} 1007 1801`.replaceAll(" ", "");
  const bytes = read(7);
  const found = etcdReadSnap(bytes);
  assert.equal(found.error, "");
  const inner = Buffer.from(body, "hex");
  assert.equal(bytes.subarray(bytes.length - inner.length).toString("hex"), body);
  assert.deepEqual(found.snapshot?.confState.learnersNext, [5n]);
  async function* short(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("a");
    yield Buffer.from("bc");
  }
  await wal.saveSnapshot({ ...metadata, index: 8 }, short());
  assert.equal(read(8).length, bytes.length, "a short stream is written like a whole");
  async function* long(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 100; i++) yield new Uint8Array(10_007).fill(i);
  }
  await wal.saveSnapshot({ ...metadata, index: 9 }, long());
  const wide = etcdReadSnap(read(9));
  assert.equal(wide.error, "");
  assert.equal(wide.snapshot?.data.length, 1_000_700);
  assert.equal(wide.snapshot?.index, 9n);
  assert.equal(Buffer.compare(await readState(wal), wide.snapshot!.data), 0);
  await wal.saveSnapshot({ ...metadata, index: 10 }, NO_DATA);
  assert.equal(etcdReadSnap(read(10)).error, "");
  assert.equal((await readState(wal)).length, 0);
});

test("128 MiB go to disk and back through little memory", async (t) => {
  const wal = await open(t, options(tempDir(t), { durability: "none" }));
  await append(wal, 1, 1);
  const size = 128 << 20;
  // When garbage is collected is the runtime's matter, and later on newer ones: what is still reached is counted.
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  const note = (at: number): void => {
    if (at % (8 << 20) !== 0) return;
    collect();
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  };
  // One chunk used again and again: what is borrowed must not be kept.
  async function* state(): AsyncGenerator<Uint8Array> {
    const chunk = new Uint8Array(64 << 10);
    for (let at = 0; at < size; at += chunk.length) {
      chunk.fill(at / chunk.length);
      note(at);
      yield chunk;
    }
  }
  await wal.saveSnapshot(meta(1, 1), state());
  const stream = await wal.openSnapshot();
  assert.equal(stream?.size, size);
  let at = 0;
  for await (const chunk of stream!) {
    for (let i = 0; i < chunk.length; i += 4096) assert.equal(chunk[i], ((at + i) >>> 16) & 0xff);
    at += chunk.length;
    note(at);
  }
  assert.equal(at, size);
  // What the sweeper has not come to yet is a few MiB; what was kept would be 128.
  assert.ok(most < 32 << 20, `${most} bytes of buffers`);
});

test("a snapshot that is being read when the log closes is closed, and its reader told", async (t) => {
  const wal = await open(t, options(tempDir(t)));
  await append(wal, 1, 10);
  await wal.saveSnapshot(meta(5, 1), new Uint8Array(1 << 20));
  const [begun, untouched] = [(await wal.openSnapshot())!, (await wal.openSnapshot())!];
  const chunks = begun[Symbol.asyncIterator]();
  assert.equal((await chunks.next()).done, false);
  await wal.close();
  await assert.rejects(chunks.next(), { code: "RAFT_CLOSED" });
  await assert.rejects(untouched[Symbol.asyncIterator]().next(), { code: "RAFT_CLOSED" });
  await Promise.all([begun.close(), untouched.close()]);
});

test("an abort, a failing source, a full disk: the log goes on, and nothing is left behind", async (t) => {
  const dir = tempDir(t);
  const plan: FaultPlan = { op: "open", from: 2, code: "ENOSPC", path: ".snap." };
  const wal = await open(t, options(dir, { walFs: { module: FAULTY, arg: plan } }));
  await append(wal, 1, 10);
  const controller = new AbortController();
  async function* hanging(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1000);
    controller.abort();
    await new Promise(() => {});
  }
  const aborted = wal.saveSnapshot(meta(5, 1), hanging(), { signal: controller.signal });
  await assert.rejects(aborted, { code: "RAFT_ABORTED" });
  await assert.rejects(wal.saveSnapshot(meta(5, 1), Buffer.from("x")), { code: "WAL_NO_SPACE" });
  await append(wal, 11, 20);
  assert.equal(wal.storage.firstIndex(), 1);
  await wal.close();
  assert.deepEqual(fs.readdirSync(path.join(dir, "snap")), []);
  assert.equal([...readWal(path.join(dir, "wal"))].filter(({ type }) => type === "snapshot").length, 1);
  const again = await open(t, options(dir));
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(10);
    throw new RangeError("the state machine's own");
  }
  await assert.rejects(again.saveSnapshot(meta(5, 1), failing()), RangeError);
  const hung = again.saveSnapshot(meta(5, 1), hanging());
  const refused = assert.rejects(hung, { code: "RAFT_CLOSED" });
  await again.close();
  await refused;
  await assert.rejects(again.saveSnapshot(meta(5, 1), NO_DATA), { code: "RAFT_CLOSED" });
  assert.deepEqual(snapFiles(dir), []);
});

test("a snapshot no newer than the one there is refused; of two at once the newer one stays", async (t) => {
  const dir = tempDir(t);
  const wal = await open(t, options(dir));
  await append(wal, 1, 100);
  const save = (index: number): Promise<void> => wal.saveSnapshot(meta(index, 1), Buffer.from(`${index}`));
  await save(40);
  await save(60);
  await assert.rejects(save(50), { code: "WAL_SNAPSHOT_OUTDATED" });
  await assert.rejects(save(60), { code: "WAL_SNAPSHOT_OUTDATED" });
  await Promise.allSettled([80, 70, 90, 90].map(save));
  assert.equal((await readState(wal)).toString(), "90");
  await wal.close();
  const again = await open(t, options(dir));
  assert.equal((await readState(again)).toString(), "90");
});

test("a staged snapshot counts when it is recorded", async (t) => {
  const dir = tempDir(t);
  const wal = await open(t, options(dir));
  await append(wal, 1, 10);
  await assert.rejects(wal.recordSnapshot(meta(50, 2)), { code: "WAL_NOT_FOUND" });
  await wal.stageSnapshot(meta(50, 2), Buffer.from("50"));
  assert.equal(await wal.openSnapshot(), null);
  assert.equal(wal.storage.lastIndex(), 10);
  await wal.close();
  const again = await open(t, options(dir));
  assert.equal(again.recovered.snapshot, null);
  assert.equal(again.storage.lastIndex(), 10);
  await again.recordSnapshot(meta(50, 2));
  assert.equal(again.storage.firstIndex(), 51);
  assert.equal((await readState(again)).toString(), "50");
  assert.equal(await again.openSnapshot(49), null);
  const stream = await again.openSnapshot(50);
  assert.equal(stream?.metadata.term, 2);
  await stream?.close();
});

test("a log without the snapshot it needs is refused, and so are snapshots without a log", async (t) => {
  const dir = tempDir(t);
  const walOptions = options(dir);
  const wal = await open(t, walOptions);
  await append(wal, 1, 10);
  await wal.saveSnapshot(meta(50, 2), Buffer.from("50"));
  await wal.close();
  const file = path.join(dir, "snap", snapFiles(dir)[0]!);
  const bytes = fs.readFileSync(file);
  fs.writeFileSync(file, bytes.subarray(0, 9));
  const corrupt = (error: RaftmarkError): boolean => {
    assert.equal(error.code, "WAL_CORRUPT");
    assert.ok(error.message.includes("snap"), error.message);
    return true;
  };
  // The second time as the first: nothing was changed.
  for (let time = 0; time < 2; time++) {
    await assert.rejects(openWal(walOptions), (error: RaftmarkError) => {
      assert.ok(error.message.includes(`damaged (${file})`), error.message);
      return corrupt(error);
    });
    assert.ok(bytes.subarray(0, 9).equals(fs.readFileSync(file)));
  }
  fs.writeFileSync(file, bytes);
  await (await openWal(walOptions)).close();
  fs.rmSync(walOptions.dir, { recursive: true });
  await assert.rejects(openWal(walOptions), corrupt);
  await assert.rejects(openWal(walOptions), corrupt);
});

test("where the directory of snapshots is removed, the next one makes it again", async (t) => {
  const dir = tempDir(t);
  const wal = await open(t, options(dir));
  await append(wal, 1, 10);
  await wal.saveSnapshot(meta(5, 1), Buffer.from("5"));
  fs.rmSync(path.join(dir, "snap"), { recursive: true });
  await wal.saveSnapshot(meta(7, 1), Buffer.from("7"));
  await wal.close();
  assert.equal((await readState(await open(t, options(dir)))).toString(), "7");
});

test("what is refused for its snapshot keeps its torn end, too", async (t) => {
  const dir = tempDir(t);
  const walOptions = options(dir);
  const wal = await open(t, walOptions);
  await append(wal, 1, 10);
  await wal.saveSnapshot(meta(50, 2), Buffer.from("50"));
  await append(wal, 51, 51, 2);
  await append(wal, 52, 60, 2);
  await wal.close();
  fs.rmSync(path.join(dir, "snap", snapFiles(dir)[0]!));
  const file = newestSegment(walOptions.dir);
  const last = [...readWal(walOptions.dir)].filter(({ type }) => type === "entry").at(-1)!;
  const bytes = fs.readFileSync(file).fill(0, last.offset + 60);
  fs.writeFileSync(file, bytes);
  await assert.rejects(openWal(walOptions), { code: "WAL_CORRUPT", message: /needs a snapshot/ });
  assert.deepEqual(fs.readdirSync(walOptions.dir), [path.basename(file)]);
  assert.ok(fs.readFileSync(file).equals(bytes), "the torn end was cut");
});

test("a snapshot that goes bad while it is open ends in an error that names the file", async (t) => {
  const dir = tempDir(t);
  const wal = await open(t, options(dir));
  await append(wal, 1, 10);
  await wal.saveSnapshot(meta(5, 1), new Uint8Array(1000));
  const file = path.join(dir, "snap", snapFiles(dir)[0]!);
  const bytes = fs.readFileSync(file);
  bytes[500] = 1;
  fs.writeFileSync(file, bytes);
  await assert.rejects(readState(wal), (error: RaftmarkError) => {
    assert.equal(error.code, "WAL_CORRUPT");
    assert.ok(error.message.includes(file));
    return true;
  });
});

test("a directory of snapshots that is there already is made durable before one in it counts", async (t) => {
  const dir = tempDir(t);
  const walFs = { module: RECORDER, arg: t.name };
  const wal = await open(t, options(dir, { writer: "inline-js", walFs }));
  await append(wal, 1, 10);
  // As a save leaves it that made it, and then found no descriptor to sync its name with.
  fs.mkdirSync(path.join(dir, "snap"));
  const ops = recordings.get(t.name)!;
  const before = ops.length;
  await wal.saveSnapshot(meta(5, 1), Buffer.from("the state at 5"));
  const since = ops.slice(before);
  const named = since.findIndex((op) => op.kind === "syncDir" && op.dir === dir);
  const renamed = since.findIndex((op) => op.kind === "rename" && op.to.endsWith(".snap"));
  assert.ok(named >= 0 && named < renamed, JSON.stringify(since.map(({ kind }) => kind)));
});

test("data that are no bytes are the caller's mistake, and change nothing", async (t) => {
  const dir = tempDir(t);
  const wal = await open(t, options(dir));
  await append(wal, 1, 10);
  async function* words(): AsyncGenerator<string> {
    yield "state";
  }
  for (const data of ["state", 7, undefined, null, [Buffer.from("state")], {}, words()]) {
    const saved = wal.saveSnapshot(meta(5, 1), data as unknown as Uint8Array);
    await assert.rejects(saved, { code: "RAFT_BAD_OPTION", message: /must be a Uint8Array.*, not / });
  }
  assert.deepEqual(snapFiles(dir), []);
  await wal.saveSnapshot(meta(5, 1), Buffer.from("state"));
});

test("a snapshot of another term than the committed entries is refused before anything is written", async (t) => {
  const dir = tempDir(t);
  const wal = await open(t, options(dir));
  await append(wal, 1, 10, 2);
  for (const [index, term] of [
    [5, 7],
    [5, 1],
    [10, 3],
    [20, 1],
  ] as const)
    await assert.rejects(wal.saveSnapshot(meta(index, term), Buffer.from("x")), { name: "InvariantError" });
  assert.deepEqual(snapFiles(dir), []);
  await append(wal, 11, 12, 2);
  await wal.close();
  const again = await open(t, options(dir));
  assert.deepEqual(again.recovered.hardState, { term: 2, vote: 1, commit: 12 });
  assertSameEntries(allEntries(again), run(1, 12, 2));
});
