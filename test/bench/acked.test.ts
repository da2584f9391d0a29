// The journal of acknowledgements, on disk and back.
import assert from "node:assert/strict";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { AckedWriter, readAcked } from "../../bench/harness/acked.js";
import { Prng } from "../../src/base/prng.js";
import { tempDir } from "../temp-dir.js";

const dir = tempDir();

test("what was acknowledged in order is one run; a jump begins another", () => {
  const path = join(dir, "runs");
  const writer = new AckedWriter(path, 0xfeedbeef, 3);
  for (let i = 0; i < 1000; i++) writer.add(i, 10 + i, 2);
  for (let i = 0; i < 5; i++) writer.add(1000 + i, 1011 + i, 3);
  writer.close();
  assert.deepEqual(readAcked(path), {
    runId: 0xfeedbeef,
    client: 3,
    runs: [
      { seq: 0, index: 10, term: 2, count: 1000 },
      { seq: 1000, index: 1011, term: 3, count: 5 },
    ],
  });
});

test("any sequence comes back, however it is flushed", () => {
  const prng = new Prng(11);
  const path = join(dir, "random");
  const writer = new AckedWriter(path, 1, 1);
  const expected: string[] = [];
  let [seq, index, term] = [0, 2 ** 40, 1];
  for (let i = 0; i < 5000; i++) {
    if (prng.below(50) === 0) index += prng.below(3);
    if (prng.below(90) === 0) seq += prng.below(3);
    if (prng.below(400) === 0) term++;
    if (prng.below(30) === 0) writer.flush();
    writer.add(seq, index, term);
    expected.push(`${seq} ${index} ${term}`);
    seq++;
    index++;
  }
  writer.close();
  const found = readAcked(path).runs.flatMap((run) =>
    Array.from({ length: run.count }, (_, i) => `${run.seq + i} ${run.index + i} ${run.term}`),
  );
  assert.deepEqual(found, expected);
  assert.equal(writer.total, 5000);
});

test("a journal cut by a kill gives the runs before the cut", () => {
  const path = join(dir, "cut");
  const writer = new AckedWriter(path, 1, 1);
  writer.add(0, 5, 1);
  writer.flush();
  writer.add(1, 9, 1);
  writer.close();
  truncateSync(path, readFileSync(path).length - 7);
  assert.deepEqual(readAcked(path).runs, [{ seq: 0, index: 5, term: 1, count: 1 }]);
});

test("another file is refused", () => {
  const path = join(dir, "other");
  writeFileSync(path, "x".repeat(100));
  assert.throws(() => readAcked(path), /not a journal of acknowledgements/);
  writeFileSync(path, "");
  assert.throws(() => readAcked(path), /too short/);
});
