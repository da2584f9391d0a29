// Large appends are shown to a writer on another thread in parts: it encodes while they are pushed, and what it writes is
// the same as if they had come whole.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../../src/base/prng.js";
import type { Entry } from "../../../src/raft/raftpb/index.js";
import { seedOf } from "../../seed.js";
import { tempDir } from "../../temp-dir.js";
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
} from "../helpers.js";

const ENTRIES = 500;

test("a large append is one write", async (t) => {
  for (const busyPollUs of [0, 300]) {
    const walOptions = options(tempDir(t), {
      writer: "pool-wasm",
      durability: "none",
      segmentBytes: 64 << 20,
      ringBytes: 1 << 20,
      busyPollUs,
    });
    const wal = await open(t, walOptions);
    const before = wal.stats().writes;
    const appends = 100;
    for (let nth = 0; nth < appends; nth++) {
      const entries = run(nth * ENTRIES + 1, (nth + 1) * ENTRIES);
      await durable(wal, wal.append({ term: 1, vote: 1, commit: nth * ENTRIES }, entries));
    }
    assert.equal(wal.stats().writes - before, appends);
    await wal.close();
    assertSameEntries(replay(walOptions.dir), run(1, appends * ENTRIES));
  }
});

test("a large append is cut where batchBytesMax says", async (t) => {
  const batchBytesMax = 20_000;
  const large = { segmentBytes: 64 << 20, ringBytes: 1 << 20 };
  const wal = await open(t, options(tempDir(t), { writer: "pool-wasm", ...large, batchBytesMax }));
  for (let nth = 0; nth < 20; nth++) {
    const before = wal.stats();
    await durable(wal, wal.append(null, run(nth * ENTRIES + 1, (nth + 1) * ENTRIES)));
    const { writes, bytes } = wal.stats();
    const least = (bytes - before.bytes) / (batchBytesMax + 100);
    assert.ok(writes - before.writes >= least, `${writes - before.writes} writes, at least ${least}`);
  }
});

test("appends of all sizes, whatever fits the ring and the segment", async (t) => {
  const seed = seedOf(t, import.meta.url);
  const prng = new Prng(seed);
  for (const busyPollUs of [0, 300]) {
    for (const ringBytes of [16 << 10, 128 << 10]) {
      const more = { writer: "pool-wasm", ringBytes, segmentBytes: 512 << 10, busyPollUs } as const;
      const walOptions = options(tempDir(t), { ...more, durability: "none", logCacheBytes: 1 });
      const wal = await open(t, walOptions);
      const entries: Entry[] = [];
      for (let nth = 0; nth < 150; nth++) {
        const from = entries.length;
        for (let count = prng.below(200); count > 0; count--) {
          // Now and then one that is too large for the ring.
          entries.push(entry(entries.length + 1, 1, prng.below(300) === 0 ? ringBytes : prng.below(400)));
        }
        const batch = prng.below(2) === 0 ? entries.slice(from) : asRun(entries.slice(from));
        const seq = wal.append({ term: 1, vote: 1, commit: 0 }, batch);
        if (prng.below(3) === 0) await durable(wal, seq);
      }
      await durable(wal, wal.append(null, []));
      // By the sparse index: nothing of it is in memory.
      assertSameEntries(allEntries(wal, 64 << 10), entries);
      await wal.close();
      assertSameEntries(replay(walOptions.dir), entries);
    }
  }
});
