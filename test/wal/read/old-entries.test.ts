// Old entries without waiting: asked for, read on the side, and then there; whatever happens to the log meanwhile.
import assert from "node:assert/strict";
import fs from "node:fs";
import fsPromises from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { bytePoolTesting } from "../../../src/base/byte-pool.js";
import { NO_DATA } from "../../../src/base/bytes.js";
import type { RaftmarkError } from "../../../src/base/errors.js";
import { Prng } from "../../../src/base/prng.js";
import { ErrCompacted } from "../../../src/raft/errors.js";
import {
  type Entry,
  EntryNormal,
  entriesOfRun,
  Entry as LogEntry,
  runEnd,
} from "../../../src/raft/raftpb/index.js";
import { openWal, type Wal } from "../../../src/wal/index.js";
import { seedOf } from "../../seed.js";
import { tempDir } from "../../temp-dir.js";
import { assertSameEntries, durable, entry, meta, open, options, run } from "../helpers.js";

const PEER = 7;

/** A log with these entries, of which only the newest is in memory. */
async function written(t: TestContext, entries: readonly Entry[], more = {}): Promise<Wal> {
  const wal = await open(t, options(tempDir(t), { logCacheBytes: 1, durability: "none", ...more }));
  await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, entries));
  return wal;
}

/** Notes who is called; next() is the next call that is not awaited yet. */
function calls(wal: Wal): { readers: number[]; next(): Promise<number> } {
  const readers: number[] = [];
  let taken = 0;
  let called = (): void => {};
  wal.storage.onRead = (reader) => {
    readers.push(reader);
    called();
  };
  const next = async (): Promise<number> => {
    if (readers.length === taken) {
      await new Promise<void>((resolve) => {
        called = resolve;
      });
    }
    return readers[taken++]!;
  };
  return { readers, next };
}

/** Old segments are not opened before release(); `asked` is when the first one is to be. */
function heldOpens(t: TestContext): { release(): void; asked: Promise<void>; count(): number } {
  let release = (): void => {};
  let ask = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const asked = new Promise<void>((resolve) => {
    ask = resolve;
  });
  const original = fsPromises.open;
  const { mock } = t.mock.method(fsPromises, "open", async (...args: Parameters<typeof original>) => {
    if (args[1] === undefined) {
      ask();
      await released;
    }
    return original(...args);
  });
  return { release, asked, count: () => mock.callCount() };
}

function syncReads(t: TestContext): () => number {
  const mocks = (["openSync", "readSync", "readdirSync", "fstatSync"] as const).map((name) => {
    return t.mock.method(fs, name);
  });
  return () => mocks.reduce((sum, { mock }) => sum + mock.callCount(), 0);
}

/** Reads [lo, hi) as a peer gets it, at most maxSize bytes a time. */
async function readAll(wal: Wal, reader: number, lo: number, hi: number, maxSize: number): Promise<Entry[]> {
  const { next } = calls(wal);
  const found: Entry[] = [];
  while (lo + found.length < hi) {
    while (!wal.storage.atHand!(reader, lo + found.length)) assert.equal(await next(), reader);
    const page = wal.storage.entries(lo + found.length, hi, maxSize);
    assert.ok(Array.isArray(page) && page.length > 0);
    found.push(...page);
  }
  // Its last piece is handed over before it is whole; the call for that is not of who reads next.
  await (wal.storage as unknown as { old: { pumped: Promise<void> } }).old.pumped;
  return found;
}

test("what is read is handed over a run at a time, each in a short turn of its own, and asked for once", async (t) => {
  const entries = run(1, 2000, 1, 1000);
  const wal = await written(t, entries, { segmentBytes: 4 << 20 });
  const opens = heldOpens(t);
  opens.release();
  const { storage } = wal;
  const ends: number[] = [];
  const all = new Promise<void>((resolve) => {
    storage.onRead = () => {
      let next = (ends.at(-1) ?? 0) + 1;
      while (next <= 600 && storage.atHand!(PEER, next)) {
        const page = storage.entries(next, 601, 1 << 20);
        assert.ok(Array.isArray(page));
        assertSameEntries(page, entries.slice(next - 1, next - 1 + page.length));
        next += page.length;
      }
      ends.push(next - 1);
      if (next > 600) resolve();
      else if (ends.length === 1) setImmediate(() => ends.push(-ends.length, ends.at(-1)!));
    };
  });
  assert.equal(storage.atHand!(PEER, 1), false);
  await all;
  assert.equal(opens.count(), 1);
  assert.ok(ends.length > 8, `all at once: ${ends}`);
  assert.equal(ends[1], -1, "no turn between two runs");
});

test("in long turns runs are handed over for a share of each, so that a busy group's member gets on", async (t) => {
  const entries = run(1, 1000, 1, 1000);
  const wal = await written(t, entries, { segmentBytes: 4 << 20 });
  const { storage } = wal;
  let calls = 0;
  const each: number[] = [];
  storage.onRead = () => {
    calls++;
  };
  assert.equal(storage.atHand!(PEER, 1), false);
  while (!storage.atHand!(PEER, 900)) {
    const seen = calls;
    for (const until = performance.now() + 20; performance.now() < until; );
    await turn();
    each.push(calls - seen);
  }
  assert.ok(Math.max(...each) > 2, `calls in each turn: ${each}`);
});

test("what a piece lay in is used again when its reader has the next one, unless somebody may hold it", async (t) => {
  bytePoolTesting.poison = true;
  t.after(() => {
    bytePoolTesting.poison = false;
  });
  const entries = run(1, 24_000, 1, 400);
  entries[12_000] = new LogEntry(2, 1, 12_001, new Uint8Array(400));
  const wal = await written(t, entries, { segmentBytes: 4 << 20, ringBytes: 1 << 20 });
  const buffersOf = async (lo: number, hi: number): Promise<number> => {
    const { next } = calls(wal);
    const buffers = new Set<ArrayBufferLike>();
    for (let index = lo; index < hi; ) {
      while (!wal.storage.atHand!(PEER, index)) await next();
      const page = wal.storage.entries(index, hi, 100_000) as Entry[];
      assertSameEntries(page, entries.slice(index - 1, index - 1 + page.length));
      for (const { bytes } of page) buffers.add(bytes.buffer);
      index += page.length;
      if (page.length > 0) await turn();
    }
    return buffers.size;
  };
  // Raft, or the state machine, may hold them.
  assert.ok((await buffersOf(1, 12_000)) >= 5);
  wal.storage.settled = 24_000;
  assert.ok((await buffersOf(1, 12_000)) <= 3);
  // With a change of members in each piece that follows, nothing is used again.
  assert.ok((await buffersOf(11_900, 24_000)) <= 4);
});

test("all of an old log comes in order, and the main thread reads no file", async (t) => {
  const seed = seedOf(t, import.meta.url);
  const prng = new Prng(seed);
  // Many small ones, some that span runs, and two larger than a piece.
  const entries = Array.from({ length: 3000 }, (_, i) => {
    const size = i === 700 || i === 702 ? 1_300_000 : i % 50 === 0 ? prng.below(200_000) : prng.below(600);
    return entry(i + 1, 1 + Math.floor(i / 800), size);
  });
  const wal = await written(t, entries, { segmentBytes: 2 << 20, ringBytes: 1 << 20 });
  const count = syncReads(t);
  for (const maxSize of [1 << 20, 10_000]) {
    assertSameEntries(await readAll(wal, PEER, 1, 3001, maxSize), entries);
  }
  const lo = 1 + prng.below(3000);
  assertSameEntries(await readAll(wal, 0, lo, 3001, 50_000), entries.slice(lo - 1));
  assert.equal(count(), 0);
});

test("what is read back lies in runs, encoded as it is sent, as far as it is stored so", async (t) => {
  const bare = new LogEntry(EntryNormal, 1, 300, NO_DATA);
  const entries = run(1, 600).map((each) => (each.index === bare.index ? bare : each));
  const wal = await written(t, entries);
  // The last one is in memory.
  const found = await readAll(wal, PEER, 1, 600, 1 << 20);
  assertSameEntries(found, entries.slice(0, -1));
  for (let from = 0; from < found.length; ) {
    const to = runEnd(found, from);
    const [first, last] = [found[from]!, found[to - 1]!];
    if (first.index === bare.index) assert.equal(first.at, -1);
    else {
      const bytes = first.bytes.subarray(first.at, last.start + last.size);
      assertSameEntries(entriesOfRun(bytes), entries.slice(from, to));
    }
    from = to;
  }
  assert.ok(runEnd(found, 0) > 50, "hardly a run");
});

test("while the group goes on a peer waits for its pace: with committed entries, and nobody else", async (t) => {
  const wal = await written(t, run(1, 3000), { catchUpBytesPerS: 1 });
  let last = 3000;
  const { next, readers } = calls(wal);
  const goOn = async (): Promise<void> => {
    last++;
    await durable(wal, wal.append({ term: 1, vote: 1, commit: last - 1 }, [entry(last, 1, 10)]));
  };
  await goOn();
  assert.equal(wal.storage.atHand!(PEER, 1), false);
  assert.equal(await next(), PEER);
  assert.equal(wal.storage.atHand!(PEER, 2000), false);
  for (const feed of [-1, -2, -3, -4]) {
    assert.equal(wal.storage.atHand!(feed, 2500), false);
    assert.equal(await next(), feed);
    await goOn();
    await new Promise((resolve) => setTimeout(resolve, 110));
  }
  assert.equal(wal.storage.atHand!(PEER, 2000), false);
  assert.ok(!readers.slice(1).includes(PEER));
  // Idle.
  const alive = setInterval(() => {}, 1000);
  t.after(() => clearInterval(alive));
  t.after(() => clearInterval(alive));
  assert.equal(await next(), PEER);
  assert.equal(wal.storage.atHand!(PEER, 2000), true);
});

test("what waited for its pace, and is not wanted when its time comes, holds up nobody", {
  timeout: 20_000,
}, async (t) => {
  const wal = await written(t, run(1, 3000), { catchUpBytesPerS: 1 });
  const { next } = calls(wal);
  await durable(wal, wal.append({ term: 1, vote: 1, commit: 3000 }, [entry(3001, 1, 10)]));
  assert.equal(wal.storage.atHand!(PEER, 1), false);
  assert.equal(await next(), PEER);
  assert.equal(wal.storage.atHand!(PEER, 2000), false);
  // Its log turned out to end sooner.
  assert.equal(wal.storage.atHand!(PEER, 1000), false);
  const alive = setInterval(() => {}, 1000);
  t.after(() => clearInterval(alive));
  while (!wal.storage.atHand!(PEER, 1000)) assert.equal(await next(), PEER);
  assert.equal(wal.storage.atHand!(-1, 2500), false);
  while (!wal.storage.atHand!(-1, 2500)) await next();
});

test("as long as nobody listens, all is at hand", async (t) => {
  const wal = await written(t, run(1, 100));
  assert.equal(wal.storage.atHand!(PEER, 1), true);
  assertSameEntries(wal.storage.entries(1, 3, 1e6) as Entry[], run(1, 2));
  const count = syncReads(t);
  calls(wal);
  assert.equal(wal.storage.atHand!(PEER, 100), true, "in memory");
  assert.equal(wal.storage.atHand!(PEER, 0), true, "compacted");
  await turn();
  assert.equal(count(), 0);
});

test("what is overwritten, being read or read, is not given; who waits for it is called", async (t) => {
  const { release, asked } = heldOpens(t);
  const wal = await written(t, run(1, 200));
  const { next } = calls(wal);
  assert.equal(wal.storage.atHand!(PEER, 50), false);
  assert.equal(wal.storage.atHand!(8, 60), false);
  await asked;
  const overwrite = async (lo: number, term: number): Promise<void> => {
    await durable(wal, wal.append({ term, vote: 1, commit: 0 }, run(lo, 200, term)));
  };
  await overwrite(60, 2);
  release();
  assert.equal(await next(), PEER);
  assert.equal(wal.storage.atHand!(PEER, 50), false, "given up");
  assert.equal(await next(), 8);
  const expected = [...run(50, 59), ...run(60, 200, 2)];
  const found = (): Entry[] => {
    const page = wal.storage.entries(50, 201, Number.POSITIVE_INFINITY);
    assert.ok(Array.isArray(page));
    return page;
  };
  // A run at a time.
  for (const end of [60, 201]) {
    assert.equal(await next(), PEER);
    assert.equal(wal.storage.atHand!(PEER, 50), true);
    assertSameEntries(found(), expected.slice(0, end - 50));
  }
  await overwrite(70, 3);
  assert.equal(wal.storage.atHand!(PEER, 50), false);
  for (let called = 0; called < 3; called++) assert.equal(await next(), PEER);
  assertSameEntries(found(), [...expected.slice(0, 20), ...run(70, 200, 3)]);
});

test("a snapshot that replaces the log takes what was read of it along", async (t) => {
  const wal = await written(t, run(1, 200));
  assertSameEntries(await readAll(wal, PEER, 150, 200, 1000), run(150, 199));
  await wal.saveSnapshot(meta(170, 5), new Uint8Array(1));
  assert.equal(wal.storage.lastIndex(), 170);
  await durable(wal, wal.append({ term: 6, vote: 1, commit: 170 }, run(171, 220, 6)));
  assertSameEntries(await readAll(wal, PEER, 171, 221, 1000), run(171, 220, 6));
});

test("what is compacted meanwhile is given up, its files too; who waits for it is called", async (t) => {
  const { release, asked } = heldOpens(t);
  const wal = await written(t, run(1, 500), { segmentBytes: 4096, snapshotsKept: 1 });
  const { next } = calls(wal);
  assert.equal(wal.storage.atHand!(PEER, 20), false);
  await asked;
  await wal.saveSnapshot(meta(400, 1), new Uint8Array(1));
  assert.equal(wal.storage.firstIndex(), 401);
  release();
  assert.equal(await next(), PEER);
  assert.equal(wal.storage.atHand!(PEER, 20), true);
  assert.equal(wal.storage.entries(20, 30, 1e6), ErrCompacted);
  assertSameEntries(await readAll(wal, PEER, 401, 501, 1000), run(401, 500));
});

test("close() waits for what is being read: nothing is read once the directory is free", async (t) => {
  const { release, asked, count } = heldOpens(t);
  const walOptions = options(tempDir(t), { logCacheBytes: 1, durability: "none" });
  const wal = await openWal(walOptions);
  await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 300)));
  const { readers } = calls(wal);
  for (const reader of [1, 2, 3]) assert.equal(wal.storage.atHand!(reader, 10 * reader), false);
  await asked;
  let closed = false;
  const closing = wal.close().then(() => {
    closed = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(closed, false);
  assert.equal(fs.existsSync(`${walOptions.dir}.lock`), true);
  const before = count();
  release();
  await closing;
  assert.equal(count(), before, "those that waited for their turn are not read any more");
  assert.deepEqual(readers, []);
});

test("damage is said by who reads it, with its place; what is before it is given", async (t) => {
  const dir = path.join(tempDir(t), "wal");
  const wal = await written(t, run(1, 400), { segmentBytes: 8192, dir });
  const name = fs
    .readdirSync(dir)
    .filter((each) => each.endsWith(".wal"))
    .sort()[1]!;
  const file = path.join(dir, name);
  const bytes = fs.readFileSync(file);
  const first = Number.parseInt(name.slice(17, 33), 16);
  // In the middle of the segment's entries, and more than what fills up a record.
  const flip = (): void => {
    for (let i = 4000; i < 4008; i++) bytes[i]! ^= 1;
    fs.writeFileSync(file, bytes);
  };
  flip();
  const { next } = calls(wal);
  let index = first;
  await assert.rejects(
    async () => {
      for (;;) {
        while (!wal.storage.atHand!(PEER, index)) await next();
        const page = wal.storage.entries(index, 401, Number.POSITIVE_INFINITY);
        assert.ok(Array.isArray(page));
        assertSameEntries(page, run(index, index + page.length - 1));
        index += page.length;
      }
    },
    (error: RaftmarkError) => {
      assert.equal(error.code, "WAL_CORRUPT", error.message);
      assert.match(error.message, new RegExp(`${name}.* 3\\d\\d\\d`));
      return true;
    },
  );
  assert.ok(index > first, "the sound ones came");
  // Sound again: nothing of the failure is left.
  flip();
  assertSameEntries(await readAll(wal, PEER, 1, 401, 1000), run(1, 400));
});

test("where reading on the side fails, and waiting for the disk does not, nothing is missing", async (t) => {
  const wal = await written(t, run(1, 400), { segmentBytes: 8192 });
  const original = fsPromises.open;
  t.mock.method(fsPromises, "open", async (...args: Parameters<typeof original>) => {
    if (args[1] === undefined) throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
    return original(...args);
  });
  assertSameEntries(await readAll(wal, PEER, 1, 401, 1000), run(1, 400));
});

test("where no file descriptor is left, not even a kept one, reading waits until there is", async (t) => {
  const wal = await written(t, run(1, 400), { segmentBytes: 8192 });
  const { readers, next } = calls(wal);
  let failed = 0;
  let tried = (): void => {};
  const often = new Promise<void>((resolve) => {
    tried = resolve;
  });
  const fail = (): never => {
    if (++failed === 12) tried();
    throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
  };
  const { mock: open } = t.mock.method(fs, "openSync", fail);
  const { mock: list } = t.mock.method(fs, "readdirSync", fail);
  const { mock: listLater } = t.mock.method(fsPromises, "readdir", async () => fail());
  const atHand = wal.storage.atHand!.bind(wal.storage);
  assert.equal(atHand(PEER, 1), false);
  // Nothing else keeps the loop alive.
  const alive = setInterval(() => {}, 1000);
  t.after(() => clearInterval(alive));
  const called = next();
  await Promise.race([often, called]);
  assert.equal(atHand(PEER, 1), false);
  assert.deepEqual(readers, []);
  for (const mock of [open, list, listLater]) mock.restore();
  assert.equal(await called, PEER);
  assertSameEntries(await readAll(wal, PEER, 1, 401, 1000), run(1, 400));
});

test("readers take turns, whoever asked for more", async (t) => {
  const wal = await written(t, run(1, 30_000, 1, 400), { segmentBytes: 1 << 20, ringBytes: 1 << 20 });
  const { next, readers } = calls(wal);
  const at = new Map([1, 2, 3].map((reader) => [reader, 1]));
  const ask = (reader: number): boolean => {
    for (;;) {
      const index = at.get(reader)!;
      if (index >= 30_000) return true;
      if (!wal.storage.atHand!(reader, index)) return false;
      at.set(reader, index + (wal.storage.entries(index, 30_001, 100_000) as Entry[]).length);
    }
  };
  for (const reader of at.keys()) ask(reader);
  for (let done = 0; done < 3; ) if (ask(await next())) done++;
  // By pieces, each of which is handed over in runs of 64 KiB or more.
  const turns: { reader: number; runs: number }[] = [];
  for (const reader of readers) {
    if (turns.at(-1)?.reader === reader) turns.at(-1)!.runs++;
    else turns.push({ reader, runs: 1 });
  }
  assert.ok(turns.length > 20);
  assert.deepEqual(
    turns.map(({ reader }) => reader),
    turns.map((_, i) => 1 + (i % 3)),
  );
  assert.ok(turns.every(({ runs }) => runs <= 17));
});

test("who stops asking holds nothing: after two looks a piece is read anew", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const wal = await written(t, run(1, 300));
  const { next } = calls(wal);
  for (const reader of [1, 2]) {
    assert.equal(wal.storage.atHand!(reader, 10), false);
    await next();
  }
  for (let i = 0; i < 5; i++) {
    t.mock.timers.tick(1000);
    assert.equal(wal.storage.atHand!(1, 10 + i), true, "it goes on asking");
  }
  assert.equal(wal.storage.atHand!(2, 10), false);
  // A reader whose next entry is in memory has no use for a piece.
  assert.equal(wal.storage.atHand!(1, 300), true);
  assert.equal(wal.storage.atHand!(1, 10), false);
});

test("a run of a term begins where the term does, as far as the log goes back", async (t) => {
  const entries = [...run(1, 700, 1), ...run(701, 702, 3), ...run(703, 2000, 4)];
  const wal = await written(t, entries, { snapshotsKept: 1, segmentBytes: 16 << 10 });
  const starts = (indexes: readonly number[]): number[] =>
    indexes.map((index) => wal.storage.runStart!(index));
  assert.deepEqual(starts([1, 700, 701, 702, 703, 2000]), [1, 1, 701, 701, 703, 703]);
  await wal.saveSnapshot(meta(500, 1), new Uint8Array(1));
  assert.deepEqual(starts([501, 700, 2000]), [501, 501, 703]);
});

test("a read that the disk does not answer is silence of the disk, though nothing waits to be written", async (t) => {
  const wal = await written(t, run(1, 50));
  const { next } = calls(wal);
  const { release, asked } = heldOpens(t);
  assert.equal(wal.silentMs(), 0);
  wal.storage.atHand!(PEER, 1);
  await asked;
  await sleep(20);
  assert.ok(wal.silentMs() >= 15);
  release();
  await next();
  assert.equal(wal.silentMs(), 0);
});
