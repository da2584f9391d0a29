// Runs taken off the bytes of a segment: whatever their entries and windows look like, and whichever byte is damaged.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NO_DATA } from "../../../src/base/bytes.js";
import { RaftmarkError } from "../../../src/base/errors.js";
import { Prng } from "../../../src/base/prng.js";
import {
  Entry,
  EntryConfChangeV2,
  EntryNormal,
  entriesOfRun,
  runEnd,
} from "../../../src/raft/raftpb/index.js";
import { PointIndex } from "../../../src/wal/format/point-index.js";
import { encodeEntry, encodeHardState, FrameBuilder } from "../../../src/wal/format/record.js";
import { Run } from "../../../src/wal/read/segment-reader.js";
import { checkProperty } from "../../property.js";
import { assertSameEntries } from "../helpers.js";

const RECORD_ENTRY = 2;
const RECORD_STATE = 3;

interface Written {
  readonly bytes: Uint8Array;
  readonly points: PointIndex;
  readonly entries: Entry[];
}

/** One run of `count` entries, with states and seals between them; `sizeOf` negative: an entry without data. */
function written(prng: Prng, count: number, sizeOf: () => number): Written {
  const first = 1 + prng.below(300);
  const term = 1 + prng.below(300);
  const frames = new FrameBuilder(prng.below(2 ** 32));
  const points = new PointIndex();
  points.add(first, term, 0, 0, frames.crc);
  const entries: Entry[] = [];
  for (let index = first; index < first + count; index++) {
    const size = sizeOf();
    const data = size < 0 ? NO_DATA : Uint8Array.from({ length: size }, () => prng.below(256));
    const entry = new Entry(prng.below(9) === 0 ? EntryConfChangeV2 : EntryNormal, term, index, data);
    frames.record(RECORD_ENTRY, prng.below(12) === 0 ? otherwise(entry) : encodeEntry(entry));
    entries.push(entry);
    if (prng.below(5) === 0) frames.record(RECORD_STATE, encodeHardState({ term, vote: 1, commit: index }));
    if (prng.below(5) === 0) frames.seal();
  }
  return { bytes: frames.take(), points, entries };
}

/** Not as we encode it: the type last, or a field more. */
function otherwise(entry: Entry): Uint8Array {
  const ours = encodeEntry(entry);
  const typeLast = Uint8Array.of(...ours.subarray(2), ...ours.subarray(0, 2));
  return entry.index % 2 === 0 ? typeLast : Uint8Array.of(...ours, 0x28, 1);
}

/** Reads [lo, hi) through windows of `windowBytes`, or as much as is needed; each at an odd place in its buffer. */
function read(
  { bytes, points }: Written,
  lo: number,
  hi: number,
  windowBytes: number,
  maxSize: number,
): Entry[] {
  const into: Entry[] = [];
  const run = new Run(points, "segment", 0, lo, hi);
  let want = windowBytes;
  for (;;) {
    const start = run.offset;
    const part = bytes.subarray(start, start + want);
    const skew = want % 8;
    const window = new Uint8Array(part.length + skew).subarray(skew);
    window.set(part);
    const need = run.take(window, start, maxSize, into);
    if (need === 0) return into;
    if (start + want >= bytes.length) throw run.damaged("it ends");
    want = Math.max(windowBytes, need);
  }
}

function givesBack(prng: Prng): void {
  const size = [20, 300, 5000, 90_000][prng.below(4)]!;
  const log = written(prng, 1 + prng.below(size > 10_000 ? 8 : 150), () => prng.below(size) - 3);
  const { entries } = log;
  const from = prng.below(entries.length);
  const to = from + 1 + prng.below(entries.length - from);
  const expected = entries.slice(from, to);
  const hi = expected.at(-1)!.index + 1;
  const windowBytes = 64 + prng.below(prng.below(2) === 0 ? 2000 : 200_000);
  const all = read(log, expected[0]!.index, hi, windowBytes, Number.POSITIVE_INFINITY);
  assertSameEntries(all, expected);
  for (let at = 0; at < all.length; ) {
    const end = runEnd(all, at);
    if (all[at]!.at !== -1) assertSameEntries(entriesOfRun(all[at]!.bytes), all.slice(at, end));
    at = end;
  }
  const maxSize = prng.below(3 * size);
  const some = read(log, expected[0]!.index, hi, windowBytes, maxSize);
  assertSameEntries(some, expected.slice(0, some.length));
  const bytesOf = (count: number): number =>
    expected.slice(0, count).reduce((n, e) => n + encodeEntry(e).length, 0);
  assert(some.length === 1 || bytesOf(some.length) <= maxSize);
  assert(some.length === expected.length || bytesOf(some.length + 1) > maxSize);
}

test("runs give back what was written, whatever the entries and the windows", (t) => {
  checkProperty(
    t,
    import.meta.url,
    fc.property(fc.nat(), (seed) => givesBack(new Prng(seed))),
    200,
  );
});

test("entries that are encoded as we do it come as one run", () => {
  const frames = new FrameBuilder(7);
  const points = new PointIndex();
  points.add(1, 2, 0, 0, 7);
  const entries = Array.from({ length: 50 }, (_, i) => new Entry(EntryNormal, 2, i + 1, new Uint8Array(i)));
  for (const entry of entries) {
    frames.record(RECORD_ENTRY, encodeEntry(entry));
    frames.seal();
  }
  const found = read({ bytes: frames.take(), points, entries }, 3, 51, 1 << 20, Number.POSITIVE_INFINITY);
  assertSameEntries(found, entries.slice(2));
  assert.equal(runEnd(found, 0), found.length);
  assertSameEntries(entriesOfRun(found[0]!.bytes), found);
});

for (const [index, term] of [
  [4, 5],
  [3, 6],
] as const) {
  test(`entry ${index} of term ${term} where entry 3 of term 5 has to be is said`, () => {
    const frames = new FrameBuilder(0);
    const points = new PointIndex();
    points.add(1, 5, 0, 0, 0);
    const entries = [new Entry(EntryNormal, 5, 1, new Uint8Array(9)), new Entry(EntryNormal, 5, 2, NO_DATA)];
    entries.push(new Entry(EntryNormal, term, index, new Uint8Array(9)));
    for (const entry of entries) frames.record(RECORD_ENTRY, encodeEntry(entry));
    const log = { bytes: frames.take(), points, entries };
    assertSameEntries(read(log, 1, 3, 4096, Number.POSITIVE_INFINITY), entries.slice(0, 2));
    assert.throws(
      () => read(log, 1, 4, 4096, Number.POSITIVE_INFINITY),
      new RegExp(`entry ${index} of term ${term} where entry 3 of term 5 was written`),
    );
  });
}

test("a flipped bit anywhere is said, or changes nothing", () => {
  const prng = new Prng(3);
  const log = written(prng, 12, () => prng.below(40) - 3);
  const { bytes, entries } = log;
  // Not the last: where a flip hides an entry, there is one to be taken for it.
  const hi = entries.at(-1)!.index;
  const expected = entries.slice(0, -1);
  let said = 0;
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    try {
      assertSameEntries(read(log, entries[0]!.index, hi, 4096, Number.POSITIVE_INFINITY), expected);
    } catch (error) {
      assert(error instanceof RaftmarkError, `bit ${bit}: ${error}`);
      said++;
    }
    bytes[bit >> 3]! ^= 1 << (bit & 7);
  }
  assert(said > bytes.length * 6, `${said} of ${bytes.length * 8}`);
});
