// No checksum of etcd's format covers a record's type, nor the length and the padding before it. Each bit of each of
// them, flipped: recovery, with either codec, in order and segment by segment, the streaming reader and `wal verify`
// refuse the log and name the record, or read all of it.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { NO_DATA } from "../../../src/base/bytes.js";
import { RaftmarkError } from "../../../src/base/errors.js";
import { Entry, type HardState } from "../../../src/raft/raftpb/index.js";
import { runAsync } from "../../../src/wal/disk/wal-fs.js";
import type { Codec } from "../../../src/wal/format/codec.js";
import { createJsCodec } from "../../../src/wal/format/codec-js.js";
import { SCAN_BAD_PROTO } from "../../../src/wal/format/layout.js";
import { encodeEntry, encodeHardState, FrameBuilder } from "../../../src/wal/format/record.js";
import { openWal, readWal } from "../../../src/wal/index.js";
import { RecordScan } from "../../../src/wal/inspect/record-scan.js";
import { SegmentReader } from "../../../src/wal/read/segment-reader.js";
import { listSegments, recover, type ScanPool } from "../../../src/wal/recover/recovery.js";
import { SegmentScanner, scanMemoryBytes } from "../../../src/wal/recover/scan-segment.js";
import { asyncSource } from "../../../src/wal/recover/segment-source.js";
import { judgeEnd } from "../../../src/wal/recover/torn.js";
import { tempDir } from "../../temp-dir.js";
import { durable, meta, options } from "../helpers.js";
import { check } from "../promised.js";

const TYPE_AT = 9;
const LENGTH_BYTES = 8;

/** Scans each segment by itself, as threads do. */
const apart: ScanPool = {
  async *scan(tasks) {
    const codecOf = (bytes: number): Codec => createJsCodec(new ArrayBuffer(bytes));
    for (const task of tasks) {
      const source = asyncSource(task.path);
      const scanner = new SegmentScanner(task, source, codecOf(scanMemoryBytes(64 << 10)), codecOf, null);
      await runAsync(scanner.run());
      source.close();
      yield scanner.result;
    }
  },
};

/** What every reader says of the log in `wal`: a code, or "opens" and what it comes to. */
async function answers(wal: string): Promise<Record<string, string>> {
  const code = async (run: () => Promise<string> | string): Promise<string> => {
    try {
      return `opens, ${await run()}`;
    } catch (error) {
      if (!(error instanceof RaftmarkError)) throw error;
      return `${error.code} ${/offset \d+/.exec(error.message)?.[0]}`;
    }
  };
  const segments = listSegments(wal);
  const whole = async (how: Parameters<typeof recover>[2]): Promise<string> => {
    const { tail, hardState } = await recover(wal, segments, how);
    return `${tail.lastIndex} ${JSON.stringify(hardState)}`;
  };
  const { findings } = check(wal);
  return {
    js: await code(() => whole({ js: true, threads: 0, pool: apart })),
    wasm: await code(() => whole({ js: false, threads: 0, pool: apart })),
    apart: await code(() => whole({ js: true, threads: 1, pool: apart })),
    stream: await code(() => `${[...readWal(wal)].length} records`),
    verify: findings.length === 0 ? "opens, " : `WAL_CORRUPT offset ${findings[0]!.offset}`,
  };
}

function assertOpens(said: Record<string, string>): void {
  for (const answer of Object.values(said)) assert.match(answer, /^opens/, JSON.stringify(said));
}

interface Placed {
  readonly file: string;
  readonly offset: number;
  readonly type: number;
}

function recordsOf(wal: string): Placed[] {
  return listSegments(wal).flatMap(({ name }) => {
    const file = path.join(wal, name);
    const scan = new RecordScan(fs.readFileSync(file), null);
    const records: Placed[] = [];
    for (let record = scan.next(); record !== null; record = scan.next()) {
      records.push({ file, offset: record.offset, type: record.type });
    }
    return records;
  });
}

function flip({ file, offset }: Placed, bit: number, at = TYPE_AT): void {
  const bytes = fs.readFileSync(file);
  bytes[offset + at]! ^= 1 << bit;
  fs.writeFileSync(file, bytes);
}

/** Segments of what a member writes from term `term` on: entries of all kinds, one taken back, states, snapshots. */
async function write(t: TestContext, term: number): Promise<string> {
  const dir = tempDir(t);
  const log = await openWal({ ...options(dir), writer: "inline-js", durability: "none", segmentBytes: 1024 });
  const data = (size: number): Uint8Array => new Uint8Array(size).fill(7);
  const append = (state: HardState, entries: Entry[]): Promise<void> =>
    durable(log, log.append(state, entries));
  await append({ term, vote: 1, commit: 0 }, [new Entry(0, term, 1, NO_DATA)]);
  for (let index = 2; index < 20; index += 2) {
    const more = [new Entry(0, term, index, data(60)), new Entry(0, term, index + 1, data(index % 3))];
    await append({ term, vote: 1, commit: index - 1 }, more);
  }
  await log.saveSnapshot(meta(10, term), data(8));
  const next = term + 1;
  await append({ term: next, vote: 2, commit: 17 }, []);
  // Another leader: entries of the one before go.
  await append({ term: next, vote: 2, commit: 18 }, [
    new Entry(0, next, 19, NO_DATA),
    new Entry(2, next, 20, data(4)),
    new Entry(2, next, 21, NO_DATA),
    new Entry(1, next, 22, data(4)),
  ]);
  for (let index = 23; index < 32; index++) {
    await append({ term: next, vote: 2, commit: index - 1 }, [new Entry(0, next, index, data(90))]);
  }
  await append({ term: next, vote: 2, commit: 31 }, []);
  await log.close();
  return path.join(dir, "wal");
}

for (const term of [1, 3]) {
  test(`a flipped bit in any record's type is refused, term ${term}`, async (t) => {
    const wal = await write(t, term);
    const sound = await answers(wal);
    assertOpens(sound);
    const records = recordsOf(wal);
    assert.ok(new Set(records.map(({ type }) => type)).size === 5, "records of all types");
    for (const record of records) {
      for (let bit = 0; bit < 8; bit++) {
        flip(record, bit);
        const said = await answers(wal);
        flip(record, bit);
        const where = `${path.basename(record.file)} at ${record.offset}: ${record.type} became ${record.type ^ (1 << bit)}`;
        for (const [reader, answer] of Object.entries(said)) {
          assert.match(answer, /^WAL_CORRUPT offset \d+/, `${where}, ${reader}`);
        }
        assert.equal(
          new Set([said["js"], said["wasm"], said["apart"]]).size,
          1,
          `${where}: ${JSON.stringify(said)}`,
        );
      }
    }
  });
}

test("a flipped bit in any record's length or padding is refused, or changes nothing", async (t) => {
  const wal = await write(t, 1);
  const sound = await answers(wal);
  let refused = 0;
  for (const record of recordsOf(wal)) {
    for (let bit = 0; bit < 8 * LENGTH_BYTES; bit++) {
      flip(record, bit % 8, Math.floor(bit / 8));
      const said = await answers(wal);
      flip(record, bit % 8, Math.floor(bit / 8));
      const where = `${path.basename(record.file)} at ${record.offset}, a ${record.type}, bit ${bit}`;
      if (Object.values(said).some((answer) => answer.startsWith("WAL_CORRUPT"))) refused++;
      for (const [reader, answer] of Object.entries(said)) {
        if (answer !== sound[reader]) assert.match(answer, /^WAL_CORRUPT offset \d+/, `${where}, ${reader}`);
      }
    }
  }
  assert.ok(refused > 1000, `${refused} refused`);
});

test("a type that is flipped under an open log: reading back refuses, or gives what was written", async (t) => {
  const wal = await write(t, 3);
  const log = await recover(wal, listSegments(wal), { js: true, threads: 0, pool: apart });
  const last = log.tail.lastIndex;
  const read = (): readonly string[] => {
    const reader = new SegmentReader(wal, log.points);
    const entries: Entry[] = [];
    try {
      reader.read(1, last + 1, Number.POSITIVE_INFINITY, entries);
    } finally {
      reader.close();
    }
    return entries.map(({ index, term, type, data }) => `${index} ${term} ${type} ${data.length}`);
  };
  const sound = read();
  assert.equal(sound.length, last);
  let refused = 0;
  for (const record of recordsOf(wal)) {
    for (let bit = 0; bit < 3; bit++) {
      flip(record, bit);
      try {
        assert.deepEqual(read(), sound, `${record.type} at ${record.offset}, bit ${bit}`);
      } catch (error) {
        if (!(error instanceof RaftmarkError)) throw error;
        assert.equal(error.code, "WAL_CORRUPT");
        refused++;
      }
      flip(record, bit);
    }
  }
  assert.ok(refused >= 3 * last, `${refused} refused`);
});

/** A log of one segment with these records behind its head. */
function byHand(t: TestContext, ...records: readonly (readonly [number, Uint8Array | null])[]): string {
  const wal = path.join(tempDir(t), "wal");
  fs.mkdirSync(wal);
  const frames = new FrameBuilder(0);
  frames.record(4, null);
  frames.record(1, Uint8Array.of(8, 1, 16, 2));
  for (const [type, data] of records) frames.record(type, data);
  fs.writeFileSync(
    path.join(wal, "0000000000000000-0000000000000000.wal"),
    Buffer.concat([frames.take(), Buffer.alloc(64)]),
  );
  return wal;
}

test("fields that are not known are stepped over", async (t) => {
  // Fields 9 (a varint) and 10 (bytes); of a state also a field 4 that is a number, and not an entry's payload.
  const more = Uint8Array.of(0x48, 5, 0x52, 2, 1, 2);
  const entry = Buffer.concat([encodeEntry(new Entry(0, 1, 1, Uint8Array.of(1))), more]);
  const state = Buffer.concat([
    encodeHardState({ term: 1, vote: 1, commit: 1 }),
    Uint8Array.of(0x20, 7),
    more,
  ]);
  const said = await answers(byHand(t, [5, Uint8Array.of(8, 0, 16, 0)], [2, entry], [3, state]));
  assertOpens(said);
});

test("what etcd's package writes if it is told to: a commit index that falls with a new term, a vote that changes", async (t) => {
  const entries = [1, 2, 3].map(
    (index) => [2, encodeEntry(new Entry(0, 1, index, Uint8Array.of(1)))] as const,
  );
  const states = [
    { term: 1, vote: 1, commit: 3 },
    { term: 2, vote: 1, commit: 2 },
    { term: 2, vote: 3, commit: 2 },
  ].map((state) => [3, encodeHardState(state)] as const);
  const said = await answers(byHand(t, ...entries, ...states));
  assertOpens(said);
});

test("entries that cannot be where they are", async (t) => {
  const one = [2, encodeEntry(new Entry(0, 2, 1, Uint8Array.of(1)))] as const;
  const two = [2, encodeEntry(new Entry(0, 2, 2, Uint8Array.of(1)))] as const;
  const state = [3, encodeHardState({ term: 2, vote: 1, commit: 2 })] as const;
  const wrong: Record<string, readonly (readonly [number, Uint8Array | null])[]> = {
    "below the commit index": [one, two, state, two],
    "of a lower term": [one, [2, encodeEntry(new Entry(0, 1, 2, Uint8Array.of(1)))]],
    "in place of another, of a lower term than the one before": [
      one,
      two,
      [2, encodeEntry(new Entry(0, 1, 2, NO_DATA))],
    ],
    "in place of itself": [one, two, [2, encodeEntry(new Entry(0, 2, 2, NO_DATA))]],
    "of term 0": [[2, encodeEntry(new Entry(0, 0, 1, NO_DATA))]],
    "of an unknown type": [[2, encodeEntry(new Entry(3 as 0, 1, 1, NO_DATA))]],
    "a state of a lower term": [one, state, [3, encodeHardState({ term: 1, vote: 1, commit: 2 })]],
    "a lower commit index in a term": [
      one,
      two,
      state,
      [3, encodeHardState({ term: 2, vote: 1, commit: 1 })],
    ],
    "a vote in term 0": [[3, encodeHardState({ term: 0, vote: 1, commit: 0 })]],
    "a checksum record with data": [[4, Uint8Array.of(1)]],
    "a snapshot record without data": [[5, null]],
  };
  for (const [what, records] of Object.entries(wrong)) {
    const said = await answers(byHand(t, ...records));
    for (const [reader, answer] of Object.entries(said)) {
      assert.match(answer, /^WAL_CORRUPT offset \d+/, `${what}, ${reader}: ${JSON.stringify(said)}`);
    }
  }
});

test("a damaged frame with a number that no record has is judged like any other", () => {
  const bytes = new Uint8Array(512);
  // Its length is wrong, its type and checksum above 2^53 - 1, and it has data.
  const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
  bytes.set([40, 0, 0, 0, 0, 0, 0, 0, 0x08, ...huge, 0x10, ...huge, 0x1a, 2, 1, 2]);
  const stop = { bytes, result: SCAN_BAD_PROTO, offset: 0, crc: 0, sealed: 0 };
  assert.doesNotThrow(() => judgeEnd(stop));
});
