// `raftmark wal verify` promises what the engine does with a damaged log. Held against the engine itself: a log of
// several segments, bytes flipped, cut off and zeroed at random, each opened for real after it was checked.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { RaftmarkError } from "../../../src/base/errors.js";
import { SEAL_BYTES } from "../../../src/wal/format/format.js";
import { openWal } from "../../../src/wal/index.js";
import { etcdAnswers } from "../../../src/wal/inspect/etcd-reader.js";
import { seedOf } from "../../seed.js";
import { tempDir } from "../../temp-dir.js";
import { durable, run as entries, firstFrames, open, options } from "../helpers.js";
import { check, type Promised, promised, START } from "../promised.js";

const RUNS = Number(process.env["FC_RUNS"] ?? 150);
async function opened(dir: string): Promise<Promised> {
  try {
    const log = await openWal({ ...options(dir), dir: path.join(dir, "wal"), writer: "inline-js" });
    const { torn } = log.recovered;
    await log.close();
    return torn === null ? "opens" : "cuts";
  } catch (error) {
    if (error instanceof RaftmarkError && error.code === "WAL_CORRUPT") return "refuses";
    throw error;
  }
}

const place = fc.record({ segment: fc.nat(5), at: fc.nat(1 << 16), fromEnd: fc.boolean() });
const damage = fc.oneof(
  fc.record({ kind: fc.constant("flip" as const), place, bit: fc.nat(7) }),
  fc.record({ kind: fc.constant("cut" as const), place }),
  fc.record({ kind: fc.constant("zero" as const), place, bytes: fc.integer({ min: 1, max: 1500 }) }),
  fc.record({ kind: fc.constant("remove" as const), place }),
);
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

function harm(wal: string, { place, ...damage }: Damage): void {
  const names = fs.readdirSync(wal).sort();
  const file = path.join(wal, names.at(place.segment % names.length)!);
  const bytes = fs.readFileSync(file);
  if (damage.kind === "remove") {
    fs.rmSync(file);
    return;
  }
  // Mostly near the last record: that is where torn and damaged lie close together.
  const used = bytes.findLastIndex((byte) => byte !== 0) + 1;
  const at = place.fromEnd ? Math.max(0, used - (place.at % 600)) : place.at % bytes.length;
  if (damage.kind === "flip") bytes[Math.min(at, bytes.length - 1)] ^= 1 << damage.bit;
  else if (damage.kind === "zero") bytes.fill(0, at, Math.min(bytes.length, at + damage.bytes));
  fs.writeFileSync(file, damage.kind === "cut" ? bytes.subarray(0, at) : bytes);
}

test("what verify says of a damaged log is what the engine does with it", async (t) => {
  const seed = seedOf(t, import.meta.url);
  const dir = tempDir(t);
  const source = path.join(dir, "source");
  fs.mkdirSync(source);
  const log = await open(t, options(source, { segmentBytes: 8 << 10 }));
  for (let from = 1; from <= 90; from += 3) {
    await durable(log, log.append({ term: 1, vote: 1, commit: 0 }, entries(from, from + 2, 1, 250)));
  }
  await log.close();
  const seen = { opens: 0, cuts: 0, refuses: 0 };
  let run = 0;
  const property = fc.asyncProperty(fc.array(damage, { minLength: 0, maxLength: 2 }), async (damages) => {
    const copy = path.join(dir, `run-${++run}`);
    fs.cpSync(source, copy, { recursive: true });
    try {
      const wal = path.join(copy, "wal");
      for (const each of damages) if (fs.readdirSync(wal).length > 1) harm(wal, each);
      const report = check(wal);
      const said = promised(report);
      assert.equal(said, await opened(copy), JSON.stringify(report.findings));
      seen[said]++;
      if (said === "opens") {
        const { read, write, verify, validSnapshots } = etcdAnswers(wal, START);
        assert.deepEqual(
          [read, write, verify, validSnapshots],
          ["", "", "", ""],
          "what is sound, etcd reads, too",
        );
      }
      assert.equal(promised(check(wal)), said === "refuses" ? "refuses" : "opens", "after opening");
    } finally {
      fs.rmSync(copy, { recursive: true, force: true });
    }
  });
  const torn: Damage = {
    kind: "zero",
    place: { segment: -1, at: SEAL_BYTES / 2, fromEnd: true },
    bytes: 1500,
  };
  // The length of the last seal of a segment that is not the newest: nothing is lost, and nothing is right.
  const length: Damage = { kind: "zero", place: { segment: 0, at: 16, fromEnd: true }, bytes: 1 };
  await fc.assert(property, { seed, numRuns: RUNS, examples: [[[torn]], [[length]]] });
  assert.ok(Math.min(seen.opens, seen.cuts, seen.refuses) > 0, JSON.stringify(seen));
});

test("a file that ends inside its first length field: torn in a log as etcd writes it, damage in ours", async (t) => {
  const dir = tempDir(t);
  const { dir: wal, metadata } = options(dir);
  const frames = firstFrames(metadata, entries(1, 3));
  fs.mkdirSync(wal);
  fs.writeFileSync(path.join(wal, "0000000000000000-0000000000000000.wal"), frames.take());
  fs.writeFileSync(path.join(wal, "0000000000000001-0000000000000004.wal"), Uint8Array.of(4, 0, 0));
  assert.equal(promised(check(wal)), "cuts");
  assert.equal(await opened(dir), "cuts");
  assert.equal(promised(check(wal)), "opens");
  fs.writeFileSync(path.join(wal, "0000000000000002-0000000000000004.wal"), Uint8Array.of(4, 0, 0));
  assert.equal(promised(check(wal)), "refuses");
  assert.equal(await opened(dir), "refuses");
});
