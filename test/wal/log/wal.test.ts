// The log as its owner sees it, with each of the three writers: order, durability, reading back, faults.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { NO_DATA } from "../../../src/base/bytes.js";
import type { RaftmarkError } from "../../../src/base/errors.js";
import { Prng } from "../../../src/base/prng.js";
import type { Durability, WriterKind } from "../../../src/index.js";
import { ErrCompacted, ErrUnavailable } from "../../../src/raft/errors.js";
import { Entry } from "../../../src/raft/raftpb/index.js";
import { openWal, readWal } from "../../../src/wal/index.js";
import type { DurableLog } from "../../../src/wal/read/wal-storage.js";
import { seedOf } from "../../seed.js";
import { tempDir } from "../../temp-dir.js";
import { type FaultPlan, OPENED, sharedWords } from "../faulty-fs.js";
import {
  allEntries,
  asRun,
  assertSameEntries,
  durable,
  entry,
  open,
  options,
  replay,
  run,
  WRITERS,
} from "../helpers.js";
import { recordings } from "../recording-fs.js";

const FAULTY = new URL("../faulty-fs.js", import.meta.url).href;
const RECORDER = new URL("../recording-fs.js", import.meta.url).href;

test("a log is the same bytes however its appends become durable, also if each opening has another way", async (t) => {
  const seed = seedOf(t, import.meta.url);
  const kinds = ["o_direct", "o_dsync", "fdatasync", "none"] as const;
  /** Segments without the zeros ahead. */
  const logged = async (
    writer: WriterKind,
    durabilityOf: (opening: number) => Durability,
  ): Promise<string[]> => {
    const prng = new Prng(seed);
    const walOptions = options(tempDir(t), { writer });
    let last = 0;
    for (let opening = 0; opening < 6; opening++) {
      const wal = await open(t, { ...walOptions, durability: durabilityOf(opening) });
      assert.equal(wal.recovered.durability, durabilityOf(opening));
      assert.equal(wal.recovered.lastIndex, last);
      for (let n = 0; n < 12; n++) {
        const size = prng.below(6) === 0 ? prng.below(40_000) : prng.below(600);
        await durable(wal, wal.append({ term: 1, vote: 1, commit: last }, run(last + 1, last + 3, 1, size)));
        last += 3;
      }
      await wal.close();
    }
    const names = fs.readdirSync(walOptions.dir).sort();
    return names.map((name) => {
      const bytes = fs.readFileSync(path.join(walOptions.dir, name));
      return `${name} ${bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0) + 1).toString("base64")}`;
    });
  };
  const expected = await logged("inline-js", () => "none");
  assert.ok(expected.length > 3);
  for (const writer of WRITERS) {
    for (const kind of kinds)
      assert.deepEqual(await logged(writer, () => kind), expected, `${writer}, ${kind}`);
    const mixed = await logged(writer, (opening) => kinds[opening % kinds.length]!);
    assert.deepEqual(mixed, expected, `${writer}, mixed`);
  }
});

for (const writer of WRITERS) {
  for (const durability of ["o_direct", "o_dsync", "fdatasync", "none"] as const) {
    test(`${writer}, ${durability}: what was appended is there after reopening`, async (t) => {
      const walOptions = options(tempDir(t), { writer, durability });
      const wal = await open(t, walOptions);
      assert.equal(wal.recovered.created, true);
      assert.equal(wal.recovered.lastIndex, 0);
      const mixed = [
        new Entry(1, 1, 1, NO_DATA),
        new Entry(0, 1, 2, new Uint8Array(0)),
        new Entry(2, 1, 3, Uint8Array.of(7)),
        ...run(4, 300, 1, 333),
      ];
      assert.equal(wal.append({ term: 1, vote: 2, commit: 0 }, mixed.slice(0, 10)), 1);
      assert.equal(wal.storage.lastIndex(), 0, "not durable yet");
      const seq = wal.append(null, mixed.slice(10));
      assert.equal(seq, 2);
      await durable(wal, seq);
      assert.equal(wal.storage.lastIndex(), 300);
      assert.deepEqual(wal.storage.initialState().hardState, { term: 1, vote: 2, commit: 0 });
      wal.append({ term: 1, vote: 2, commit: 299 }, []);
      await wal.close();
      const again = await open(t, walOptions);
      assert.equal(again.recovered.created, false);
      assert.equal(again.recovered.torn, null);
      assert.deepEqual(again.recovered.hardState, { term: 1, vote: 2, commit: 299 });
      assert.deepEqual(again.recovered.metadata, walOptions.metadata);
      assertSameEntries(allEntries(again), mixed);
      const [nil, empty] = allEntries(again);
      assert.equal(nil!.data, NO_DATA);
      assert.notEqual(empty!.data, NO_DATA);
    });
  }

  test(`${writer}: an entry proves its term, where a torn write lost the state behind it`, async (t) => {
    const walOptions = options(tempDir(t), { writer });
    const wal = await open(t, walOptions);
    wal.append({ term: 1, vote: 2, commit: 0 }, run(1, 5));
    await durable(wal, wal.append(null, run(6, 6, 3)));
    await wal.close();
    const again = await open(t, walOptions);
    assert.deepEqual(again.recovered.hardState, { term: 3, vote: 0, commit: 0 });
    assert.deepEqual(again.storage.initialState().hardState, { term: 3, vote: 0, commit: 0 });
  });

  test(`${writer}: a commit without a sync is reported in order, later than append() returns`, async (t) => {
    const wal = await open(t, options(tempDir(t), { writer }));
    const reports: number[] = [];
    const quiet = wal.append({ term: 0, vote: 0, commit: 0 }, []);
    assert.equal(quiet, 1);
    const first = new Promise<void>((resolve) => {
      wal.onDurable = (seq) => {
        reports.push(seq);
        resolve();
      };
    });
    assert.deepEqual(reports, []);
    await first;
    assert.deepEqual(reports, [1]);
    assert.equal(wal.stats().writes, 0, "it waits for company");
    wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 5));
    const last = wal.append({ term: 1, vote: 1, commit: 5 }, []);
    await durable(wal, last);
    assert.equal(wal.storage.lastIndex(), 5);
    assert.equal(wal.storage.initialState().hardState.commit, 5);
  });

  test(`${writer}: entries, a term and a vote are synced by themselves, a commit index only where that is asked`, async (t) => {
    const wal = await open(t, options(tempDir(t), { writer }));
    const writesOf = async (...given: Parameters<typeof wal.append>): Promise<number> => {
      const before = wal.stats().writes;
      await durable(wal, wal.append(...given));
      return wal.stats().writes - before;
    };
    assert.equal(await writesOf({ term: 1, vote: 0, commit: 0 }, []), 1);
    assert.equal(await writesOf({ term: 1, vote: 2, commit: 0 }, []), 1);
    assert.equal(await writesOf(null, run(1, 5)), 1);
    assert.equal(await writesOf({ term: 1, vote: 2, commit: 3 }, []), 0);
  });

  test(`${writer}: segments are cut under load, and every record is in order`, async (t) => {
    const walOptions = options(tempDir(t), { writer, segmentBytes: 8192 });
    const wal = await open(t, walOptions);
    const entries = run(1, 2000, 3, 120);
    let seq = 0;
    for (let at = 0; at < entries.length; at += 7) {
      seq = wal.append({ term: 3, vote: 1, commit: at }, entries.slice(at, at + 7));
    }
    await durable(wal, seq);
    assertSameEntries(allEntries(wal), entries);
    assert.equal(wal.stats().entries, 2000);
    assert.equal(wal.stats().backlogBytes, 0);
    await wal.close();
    const names = fs.readdirSync(walOptions.dir).sort();
    assert.ok(names.length > 20, `${names.length} segments`);
    assert.ok(
      names.every((name) => name.endsWith(".wal")),
      "nothing else is left",
    );
    for (const name of names.slice(0, -1)) {
      assert.ok(fs.statSync(path.join(walOptions.dir, name)).size <= 8192, "no segment is larger than asked");
    }
    assertSameEntries(replay(walOptions.dir), entries);
    const again = await open(t, { ...walOptions, logCacheBytes: 4096 });
    assert.equal(again.recovered.segments, names.length);
    assertSameEntries(allEntries(again), entries);
  });

  test(`${writer}: entries and appends larger than ring and segment go through in order`, async (t) => {
    const walOptions = options(tempDir(t), { writer, ringBytes: 4096, segmentBytes: 16384 });
    const wal = await open(t, walOptions);
    const entries = [
      entry(1, 1, 10),
      entry(2, 1, 100_000),
      entry(3, 1, 1100),
      entry(4, 1, 900),
      ...run(5, 60, 1, 700),
      entry(61, 1, 20_000),
      entry(62, 1, 15_000),
      ...run(63, 100, 1, 50),
    ];
    const seq = wal.append({ term: 1, vote: 1, commit: 0 }, entries);
    assert.ok(wal.stats().backlogBytes > 0, "the rest waits on the main thread");
    const small = wal.append(null, run(101, 110));
    assert.equal(small, seq + 1);
    await durable(wal, small);
    assert.equal(wal.stats().backlogBytes, 0);
    const expected = [...entries, ...run(101, 110)];
    assertSameEntries(allEntries(wal), expected);
    await wal.close();
    assertSameEntries(replay(walOptions.dir), expected);
    const again = await open(t, { ...walOptions, logCacheBytes: 1 });
    assertSameEntries(allEntries(again), expected);
  });

  test(`${writer}: a run goes through in order whatever the ring, and whatever its entries' sizes`, async (t) => {
    const sizes = [10, 100_000, 1100, 900, ...Array(60).fill(700), 20_000, 15_000, ...Array(3000).fill(50)];
    const entries = asRun(sizes.map((size, i) => entry(i + 1, 1, size)));
    for (const ringBytes of [1024, 16 << 10, 64 << 10, 128 << 10]) {
      const walOptions = options(tempDir(t), { writer, ringBytes, durability: "none" });
      const wal = await open(t, walOptions);
      await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, entries.slice()));
      assertSameEntries(allEntries(wal), entries);
      await wal.close();
      assertSameEntries(replay(walOptions.dir), entries);
    }
  });

  test(`${writer}: an append that overwrites a suffix counts, in memory, from disk and after reopening`, async (t) => {
    const walOptions = options(tempDir(t), { writer, segmentBytes: 4096, logCacheBytes: 2000 });
    const wal = await open(t, walOptions);
    wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 100, 1));
    wal.append({ term: 2, vote: 1, commit: 0 }, run(60, 80, 2));
    wal.append({ term: 3, vote: 1, commit: 0 }, run(40, 41, 3));
    const seq = wal.append({ term: 3, vote: 1, commit: 0 }, run(42, 120, 3));
    await durable(wal, seq);
    const expected = [...run(1, 39, 1), ...run(40, 120, 3)];
    assertSameEntries(allEntries(wal), expected);
    assert.ok(wal.storage.cacheBytes <= 2000 + 200, "the cache is bounded");
    await wal.close();
    assertSameEntries(replay(walOptions.dir), expected);
    const again = await open(t, walOptions);
    assertSameEntries(allEntries(again), expected);
    assert.equal(again.storage.term(39), 1);
    assert.equal(again.storage.term(40), 3);
  });

  test(`${writer}: a failed write fences the log; nothing more is taken`, async (t) => {
    const shared = sharedWords();
    const plan: FaultPlan = { op: "fdatasync", opened: true, from: 1, code: "EIO", shared };
    const walFs = { module: FAULTY, arg: plan };
    const walOptions = options(tempDir(t), { writer, durability: "none" });
    await (await openWal(walOptions)).close();
    const wal = await open(t, { ...walOptions, durability: "fdatasync", walFs });
    Atomics.store(shared, OPENED, 1);
    const fault = new Promise<RaftmarkError>((resolve) => {
      wal.onFault = resolve;
    });
    let reported = 0;
    wal.onDurable = (seq) => {
      reported = seq;
    };
    wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 5));
    const error = await fault;
    assert.equal(error.code, "WAL_IO");
    assert.equal(reported, 0);
    assert.equal(wal.storage.lastIndex(), 0);
    assert.throws(() => wal.append(null, run(6, 7)), { code: "RAFT_FENCED" });
    await wal.close();
  });

  test(`${writer}: an invariant that does not hold where something became durable fences the log, and ends no process`, async (t) => {
    const wal = await open(t, options(tempDir(t), { writer }));
    const fault = new Promise<RaftmarkError>((resolve) => {
      wal.onFault = resolve;
    });
    (wal.storage as DurableLog).append = () => {
      throw new Error("planted");
    };
    wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 5));
    const error = await fault;
    assert.equal(error.code, "RAFT_FENCED");
    assert.match(error.message, /the log failed: planted/);
    assert.throws(() => wal.append(null, run(6, 7)), { code: "RAFT_FENCED" });
  });

  test(`${writer}: no space for the next segment is a fault only when the segment is needed`, async (t) => {
    const plan: FaultPlan = { op: "open", from: 1, code: "ENOSPC", path: ".tmp" };
    const walFs = { module: FAULTY, arg: plan };
    const walOptions = options(tempDir(t), { writer, segmentBytes: 4096 });
    await (await openWal(walOptions)).close();
    const wal = await open(t, { ...walOptions, walFs });
    const seq = wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 10));
    await durable(wal, seq);
    const fault = new Promise<RaftmarkError>((resolve) => {
      wal.onFault = resolve;
    });
    wal.append(null, run(11, 100));
    assert.equal((await fault).code, "WAL_NO_SPACE");
    await wal.close();
    const again = await open(t, walOptions);
    assert.ok(again.recovered.lastIndex >= 10);
    assertSameEntries(allEntries(again), run(1, again.recovered.lastIndex));
  });

  test(`${writer}: close() flushes and is idempotent; append after it is refused`, async (t) => {
    const walOptions = options(tempDir(t), { writer });
    const wal = await openWal(walOptions);
    wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 50));
    const closed = wal.close();
    assert.throws(() => wal.append(null, run(51, 51)), { code: "RAFT_CLOSED" });
    await closed;
    await wal.close();
    assertSameEntries(replay(walOptions.dir), run(1, 50));
    assert.equal(fs.existsSync(`${walOptions.dir}.lock`), false);
  });

  test(`${writer}: batches no larger than batchBytesMax`, async (t) => {
    const wal = await open(t, options(tempDir(t), { writer, batchBytesMax: 1000 }));
    const seq = wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 60));
    await durable(wal, seq);
    assert.ok(wal.stats().writes >= 8, `${wal.stats().writes} writes`);
  });
}

test("what is no path, or no metadata, is refused by the name of the option, and nothing is made", async (t) => {
  const top = tempDir(t);
  const wrong = (name: string, value: unknown) =>
    assert.rejects(openWal({ ...options(top), [name]: value }), {
      code: "RAFT_BAD_OPTION",
      message: new RegExp(`^${name} must be `),
    });
  for (const value of ["a\0b", "", 5, null]) {
    await wrong("dir", value);
    await wrong("snapDir", value);
  }
  await wrong("metadata", "m");
  assert.deepEqual(fs.readdirSync(top), []);
});

test("storage refuses what it does not have, as raft expects", async (t) => {
  const wal = await open(t, options(tempDir(t)));
  const { storage } = wal;
  assert.equal(storage.firstIndex(), 1);
  assert.equal(storage.term(0), 0);
  assert.equal(storage.term(1), ErrUnavailable);
  assert.equal(storage.entries(0, 1, 100), ErrCompacted);
  assert.equal(storage.entries(1, 2, 100), ErrUnavailable);
  await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 20)));
  assert.equal(storage.term(20), 1);
  assert.equal(storage.term(21), ErrUnavailable);
  assert.equal(storage.entries(1, 22, 100), ErrUnavailable);
  const page = storage.entries(5, 21, 0);
  assert.ok(Array.isArray(page));
  assert.equal(page.length, 1, "at least one");
});

test("zeros are written ahead of small writes, not of large ones: those they cost more than they save", async (t) => {
  const zerosAfter = async (entries: Entry[]): Promise<number> => {
    const sparse = options(tempDir(t), { segmentBytes: 4 << 20, ringBytes: 1 << 20, durability: "none" });
    await (await openWal(sparse)).close();
    const walFs = { module: RECORDER, arg: t.name };
    const wal = await open(t, { ...sparse, durability: "fdatasync", walFs });
    const ops = recordings.get(t.name)!;
    ops.length = 0;
    await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, entries));
    await wal.close();
    const writes = ops.flatMap((op) => (op.kind === "write" && op.bytes.length > 0 ? [op.bytes] : []));
    return writes.filter((bytes) => bytes.every((byte) => byte === 0)).length;
  };
  assert.equal(await zerosAfter(run(1, 40)), 1);
  assert.equal(await zerosAfter(run(1, 40, 1, 7000)), 0);
});

test("a non-blocking notice: the process of a closed pool ends by itself", async (t) => {
  const { spawnSync } = await import("node:child_process");
  const dir = path.join(tempDir(t), "wal");
  const module = new URL("../../../src/wal/index.js", import.meta.url).href;
  const script = `
    const { openWal } = await import(${JSON.stringify(module)});
    const wal = await openWal({ dir: ${JSON.stringify(dir)}, metadata: new Uint8Array(1), writer: "pool-wasm",
      durability: "none", segmentBytes: 4096 });
    wal.append({ term: 1, vote: 1, commit: 0 }, []);
    await wal.close();`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], { timeout: 30_000 });
  assert.equal(child.status, 0, child.stderr.toString());
  assert.equal([...readWal(dir)].filter((record) => record.type === "state").length, 1);
});

test("a directory that cannot be made is named, with what to do", async (t) => {
  const dir = tempDir(t);
  fs.writeFileSync(path.join(dir, "file"), "");
  const walOptions = options(path.join(dir, "file"));
  await assert.rejects(openWal(walOptions), (error: RaftmarkError) => {
    assert.equal(error.code, "WAL_NOT_WRITABLE");
    assert.ok(error.message.includes(walOptions.dir));
    return true;
  });
});
