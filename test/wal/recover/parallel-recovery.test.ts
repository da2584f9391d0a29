// Segments scanned apart and joined in order: the same log, or the same error, as scanning them one after the other,
// whatever is in them and however many threads there are.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { Prng } from "../../../src/base/prng.js";
import { EMPTY_CONF_STATE, Entry } from "../../../src/raft/raftpb/index.js";
import { segmentName } from "../../../src/wal/format/format.js";
import { encodeEntry, encodeHardState, FrameBuilder, frame } from "../../../src/wal/format/record.js";
import { LogPool } from "../../../src/wal/pool/log-pool.js";
import { listSegments, type RecoveredLog, recover } from "../../../src/wal/recover/recovery.js";
import { seedOf } from "../../seed.js";
import { tempDir } from "../../temp-dir.js";

const METADATA = Uint8Array.of(8, 1, 16, 2);

/** Writes segments by hand, so that they can hold what our writer would never write. */
class LogBuilder {
  readonly dir: string;
  private readonly frames = new FrameBuilder(0);
  private seq: number;
  private name: string;
  last = 0;

  constructor(dir: string, seq = 0, last = 0) {
    this.dir = dir;
    this.seq = seq;
    this.last = last;
    fs.mkdirSync(dir, { recursive: true });
    this.name = segmentName(seq, seq === 0 ? 0 : last + 1);
    this.head();
  }

  private head(): void {
    this.frames.record(4, null);
    this.frames.record(1, METADATA);
  }

  entries(from: number, to: number, term: number, size = 40): this {
    for (let index = from; index <= to; index++) {
      const data = new Uint8Array(size).fill(index);
      // Some change the membership.
      const type = (index + term) % 7 === 0 ? 2 : (index + term) % 11 === 0 ? 1 : 0;
      this.frames.record(2, encodeEntry(new Entry(type, term, index, data)));
    }
    this.last = to;
    return this;
  }

  state(term: number, commit: number): this {
    this.frames.record(3, encodeHardState({ term, vote: 1, commit }));
    return this;
  }

  snapshot(index: number, term: number): this {
    // index, term, conf_state { voters 1, 2, 3; auto_leave false }
    this.frames.record(5, Uint8Array.of(8, index, 16, term, 26, 8, 8, 1, 8, 2, 8, 3, 40, 0));
    if (index > this.last) this.last = index;
    return this;
  }

  cut(): this {
    fs.writeFileSync(path.join(this.dir, this.name), this.frames.take());
    this.name = segmentName(++this.seq, this.last + 1);
    this.head();
    return this;
  }

  end(zeros = 512): string {
    this.cut();
    fs.appendFileSync(path.join(this.dir, segmentName(this.seq - 1, this.lastName())), new Uint8Array(zeros));
    return this.dir;
  }

  private lastName(): number {
    return listSegments(this.dir).at(-1)!.index;
  }
}

/** What recovery says, as text to compare. */
async function outcome(dir: string, threads: number, js = false): Promise<string> {
  let log: RecoveredLog;
  const pool = new LogPool(false);
  try {
    log = await recover(dir, listSegments(dir), { threads, js, pool });
  } catch (error) {
    return `${(error as NodeJS.ErrnoException).code}: ${(error as Error).message}`;
  } finally {
    await pool.end();
  }
  const { points, metadata, ...rest } = log;
  return JSON.stringify({ ...rest, metadata: [...(metadata ?? [])], points: [...points.rows()] });
}

async function same(dir: string): Promise<string> {
  const here = await outcome(dir, 0);
  assert.equal(await outcome(dir, 3), here, "on three threads");
  assert.equal(await outcome(dir, 0, true), here, "with the TypeScript codec");
  return here;
}

function logIn(t: TestContext): LogBuilder {
  return new LogBuilder(path.join(tempDir(t), "wal"));
}

test("a gap, a broken chain and other metadata between segments are found by the join", async (t) => {
  const gap = logIn(t).entries(1, 9, 1).cut().state(2, 3).entries(11, 20, 2).end();
  assert.match(await same(gap), /WAL_CORRUPT: .*1-000000000000000a\.wal .*\(record 4 .*leaves a gap/);
  const chain = logIn(t).entries(1, 9, 1).cut().entries(10, 20, 1).cut().entries(21, 30, 1).end();
  const names = listSegments(chain).map(({ name }) => path.join(chain, name));
  const bytes = fs.readFileSync(names[1]!);
  bytes.set(frame(4, 0x8badf00d, null));
  fs.writeFileSync(names[1]!, bytes);
  assert.match(await same(chain), /1-000000000000000a\.wal is damaged at offset/);
  // The first of two damaged segments is reported, though both were scanned.
  fs.writeFileSync(names[2]!, fs.readFileSync(names[2]!).fill(7, 60, 90));
  fs.writeFileSync(names[0]!, fs.readFileSync(names[0]!).fill(7, 100, 120));
  assert.match(await same(chain), /0000-0000000000000000\.wal is damaged at offset/);
});

test("a snapshot ahead of the log, or of another term, replaces it; one inside it does not", async (t) => {
  for (const cut of [false, true]) {
    const log = logIn(t).entries(1, 9, 1);
    if (cut) log.cut();
    const dir = log.snapshot(20, 3).entries(21, 30, 3).end();
    const recovered = JSON.parse(await same(dir)) as RecoveredLog & { points: number[] };
    assert.equal(recovered.tail.lastIndex, 30);
    assert.deepEqual(recovered.points.slice(0, 2), [21, 3]);
    const confState = { ...EMPTY_CONF_STATE, voters: [1, 2, 3] };
    assert.deepEqual(recovered.snapshots, [{ index: 20, term: 3, confState }]);

    const other = logIn(t).entries(1, 9, 1);
    if (cut) other.cut();
    const replaced = JSON.parse(await same(other.snapshot(5, 4).end())) as RecoveredLog & {
      points: number[];
    };
    assert.equal(replaced.tail.lastIndex, 5);
    assert.equal(replaced.tail.lastTerm, 4);
    assert.deepEqual(replaced.points, []);

    const inside = logIn(t).entries(1, 9, 1);
    if (cut) inside.cut();
    const kept = JSON.parse(await same(inside.snapshot(5, 1).entries(10, 12, 1).end())) as RecoveredLog;
    assert.equal(kept.tail.lastIndex, 12);
  }
});

test("entry 1 again, over what an earlier segment says is committed, behind a snapshot that replaced the log", async (t) => {
  const log = logIn(t).entries(1, 8, 1).state(1, 8).cut().entries(9, 12, 1);
  const said = await same(log.snapshot(22, 1).entries(23, 26, 1).entries(1, 4, 2).end());
  assert.match(said, /^WAL_CORRUPT: .*an entry at or below the commit index/);
});

test("older segments may be gone if a snapshot covers them", async (t) => {
  const covered = new LogBuilder(path.join(tempDir(t), "wal"), 7, 100);
  const dir = covered.entries(101, 110, 2).snapshot(105, 2).cut().entries(111, 120, 2).end();
  const recovered = JSON.parse(await same(dir)) as RecoveredLog;
  assert.equal(recovered.tail.lastIndex, 120);
  assert.equal(recovered.tail.seq, 8);
  // A release that a crash ended: what it left first is overwritten, and begins behind the snapshot.
  const left = new LogBuilder(path.join(tempDir(t), "wal"), 7, 139).entries(140, 145, 2).cut();
  const overwritten = left.entries(105, 112, 3).snapshot(110, 3).end();
  assert.equal((JSON.parse(await same(overwritten)) as RecoveredLog).tail.lastIndex, 112);
  const uncovered = new LogBuilder(path.join(tempDir(t), "wal"), 7, 100).entries(101, 110, 2).end();
  assert.match(await same(uncovered), /segment 6 of the log .* is missing/);
});

test("frames larger than the window, over several segments", async (t) => {
  const log = logIn(t).entries(1, 3, 1, 300_000).cut().entries(4, 5, 1, 1_500_000).entries(6, 99, 1, 7000);
  const recovered = JSON.parse(await same(log.end(1 << 20))) as RecoveredLog;
  assert.equal(recovered.tail.lastIndex, 99);
  assert.ok(recovered.torn === null);
});

test("a file that ends a few bytes behind the end of a window is a torn end", async (t) => {
  // Windows of the TypeScript codec, and of the other; frames up to exactly there.
  for (const window of [65_600, 327_680]) {
    for (const more of [0, 5]) {
      const log = logIn(t).entries(1, 1, 1, window - 200);
      const file = path.join(log.end(0), segmentName(0, 0));
      const { size } = fs.statSync(file);
      const exact = logIn(t).entries(1, 1, 1, window - 200 + window - size);
      const name = path.join(exact.end(0), segmentName(0, 0));
      assert.equal(fs.statSync(name).size, window);
      fs.appendFileSync(name, Buffer.alloc(more, 1));
      const recovered = JSON.parse(await outcome(exact.dir, 0, window === 65_600)) as RecoveredLog;
      assert.equal(recovered.torn?.offset ?? null, more === 0 ? null : window);
      assert.equal(recovered.tail.lastIndex, 1);
    }
  }
});

const CASES = 16;

test("random logs, whole and damaged", async (t) => {
  const first = seedOf(t, import.meta.url);
  for (let seed = first; seed < first + CASES; seed++) {
    const dir = randomLog(t, new Prng(seed));
    // Each looks at a copy of its own, in the same place.
    const kept = `${dir}.kept`;
    fs.renameSync(dir, kept);
    const outcomes: string[] = [];
    for (const [threads, js] of [
      [0, false],
      [2, false],
      [0, true],
      [2, true],
    ] as const) {
      fs.cpSync(kept, dir, { recursive: true });
      outcomes.push(await outcome(dir, threads, js));
      fs.rmSync(dir, { recursive: true });
    }
    const replay = `SEED=${seed} node --test dist/test/wal/recover/parallel-recovery.test.js`;
    for (const each of outcomes) assert.equal(each, outcomes[0], `replay: ${replay}`);
  }
});

function randomLog(t: TestContext, prng: Prng): string {
  const log = logIn(t);
  let term = 1;
  for (let step = 0; step < 14; step++) {
    const what = prng.below(8);
    if (what < 4) log.entries(log.last + 1, log.last + 1 + prng.below(12), term, prng.below(90));
    else if (what === 4) log.cut();
    else if (what === 5) log.state(term, log.last);
    else if (what === 6 && log.last > 2) log.entries(1 + prng.below(log.last), log.last, ++term);
    else if (what === 7) log.snapshot(Math.min(120, Math.max(0, log.last - 3 + prng.below(7))), term);
  }
  const dir = log.end(prng.below(3) * 512);
  const segments = listSegments(dir);
  for (let damage = prng.below(3); damage > 0; damage--) {
    const file = path.join(dir, segments[prng.below(segments.length)]!.name);
    const bytes = fs.readFileSync(file);
    bytes[prng.below(bytes.length)]! ^= 1 << prng.below(8);
    fs.writeFileSync(file, bytes);
  }
  return dir;
}
