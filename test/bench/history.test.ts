// History: lines in and out, curves, and change points against series whose changes are known.
import assert from "node:assert/strict";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { changePoints } from "../../bench/history/change-points.js";
import { curvesOf, plot, renderHistory } from "../../bench/history/curves.js";
import {
  appendRecord,
  type HistoryRecord,
  readHistory,
  recordOfResult,
} from "../../bench/history/records.js";
import type { Result } from "../../bench/report/result-schema.js";
import { normals } from "../../bench/stats/family.js";
import { Prng } from "../../src/base/prng.js";
import { tempDir } from "../temp-dir.js";
import { sampleResult } from "./sample-result.js";

const dir = tempDir();

function result(proposalsPerS: number, voids: string[] = []): Result {
  const outcomes = [{ settings: {}, proposalsPerS, p50: 2, void: voids }];
  return { ...sampleResult(outcomes), verdict: "" };
}

/** `levels` of [runs, level], with a noise of 3 %. */
function series(seed: number, ...levels: [number, number][]): number[] {
  const prng = new Prng(seed);
  return levels.flatMap(([runs, level]) =>
    Array.from({ length: runs }, () => level * (1 + 0.06 * (prng.nextU32() / 2 ** 32 - 0.5))),
  );
}

test("a line a run, in the order added", async () => {
  const path = join(dir, "sub", "a.ndjson");
  await appendRecord(path, recordOfResult(result(1000), "one.json"));
  await appendRecord(path, recordOfResult(result(1200), "two.json"));
  const records = await readHistory(path);
  assert.deepEqual(
    records.map(({ figures }) => figures[0].proposalsPerS),
    [1000, 1200],
  );
  assert.equal(records[0].figures[0].configuration, "fsync, pool-wasm, 1024 in flight, 256 B, 3 nodes");
  assert.ok(Math.abs(records[0].figures[0].p50Ms! - 2) < 0.01);
  assert.equal(records[0].figures[0].cpuMsPerThousand, 750);
});

test("what is not accepted is not added", () => {
  assert.throws(
    () => recordOfResult(result(1000, ["no quorum"]), "x.json"),
    /x\.json is not added: row 1 is void \(no quorum\)/,
  );
  assert.throws(
    () => recordOfResult(result(0), "x.json"),
    /x\.json is not added: row 1 committed nothing \(0 proposals\/s\)\. The history/,
  );
  assert.throws(() => recordOfResult({ ...result(1000), interrupted: true }, "x.json"), /interrupted/);
  const disturbed = result(1000);
  disturbed.runs[0].disturbed = ["other programs took 60 % of the CPU"];
  assert.throws(() => recordOfResult(disturbed, "x.json"), /every run of row 1 was disturbed/);
});

test("runs on another file system, and quick ones, are curves of their own", () => {
  const plain = result(1000);
  const { environment, options } = plain;
  const fileSystem = { ...environment.fileSystem, type: "xfs" };
  const all = [
    plain,
    { ...plain, environment: { ...environment, fileSystem } },
    { ...plain, options: { ...options, quick: !options.quick } },
  ];
  assert.equal(curvesOf(all.map((one) => recordOfResult(one, "x.json"))).length, 3);
});

test("bad lines are named by number, all of them; a missing file says what to do", async () => {
  const path = join(dir, "bad.ndjson");
  await appendRecord(path, recordOfResult(result(1000), "one.json"));
  await appendRecord(path, recordOfResult(result(1100), "two.json"));
  appendFileSync(path, '{"historyVersion":1}\n\nnot json\n');
  await assert.rejects(readHistory(path), /bad\.ndjson is damaged: line 3: source: .*; line 5: not JSON\./);
  writeFileSync(path, `\ufeff${JSON.stringify(record(0, 1))}\n`); // As an editor may leave it.
  assert.equal((await readHistory(path)).length, 1);
  await assert.rejects(readHistory(join(dir, "none")), /ENOENT.*raftmark history add/);
});

test("change points: each step at its place, none in noise, and one odd run is none", () => {
  const found = changePoints(series(1, [12, 1000], [12, 900], [10, 1200]));
  assert.deepEqual(
    found.map(({ index }) => index),
    [12, 24],
  );
  assert.ok(Math.abs(found[0].after / found[0].before - 0.9) < 0.02);
  assert.ok(found.every(({ pValue }) => pValue <= 0.01));
  let wrong = 0;
  for (let seed = 1; seed <= 50; seed++) wrong += changePoints(series(seed, [20, 1000])).length > 0 ? 1 : 0;
  assert.ok(wrong <= 3, `${wrong} of 50 quiet series changed`);
  const odd = series(3, [20, 1000]);
  odd[9] = 400;
  assert.deepEqual(changePoints(odd), []);
  for (const short of [[], [1], [1, 2, 3], [5, 5, 5, 5, 5, 5, 5, 5]])
    assert.deepEqual(changePoints(short), []);
});

test("of curves of 30 independent runs, one in 100 shows a change that is none, as the legend says", () => {
  const normal = normals(new Prng(11));
  const curves = 500;
  let wrong = 0;
  for (let i = 1; i <= curves; i++) {
    const values = Array.from({ length: 30 }, () => 1000 * Math.exp(0.05 * normal()));
    if (changePoints(values, i).length > 0) wrong++;
  }
  // What is said, and three standard deviations of so many curves.
  const most = curves * 0.01 + 3 * Math.sqrt(curves * 0.01 * 0.99);
  assert.ok(wrong <= most, `${wrong} of ${curves}`);
  const records = [record(0, 1), record(1, 1, "m2")];
  assert.match(
    renderHistory(curvesOf(records)),
    /of curves of independent runs without a change, 1 in 100 has one all the same \(here are 2\), and more,/,
  );
});

function record(i: number, proposalsPerS: number, machine = "m1"): HistoryRecord {
  const figure = { configuration: "c", proposalsPerS, p50Ms: null, p99Ms: null, cpuMsPerThousand: null };
  const at = `2026-01-${String(i + 1).padStart(2, "0")}T00:00:00.000Z`;
  const commit = `c0ffee${i}`;
  const command = "raftmark bench";
  return {
    historyVersion: 1,
    source: "bench",
    at,
    commit,
    dirty: false,
    machine,
    command,
    figures: [figure],
  };
}

test("curves are drawn least to most with a mark at each change, machines apart", () => {
  const values = series(5, [10, 1000], [10, 700]);
  const records = [...values.map((value, i) => record(i, value)), record(3, 50, "m2")];
  const curves = curvesOf(records);
  assert.equal(curves.length, 2);
  const lines = plot(curves[0]);
  assert.match(lines[0], /^1,0[012]\d ┤[▁▂▃▄▅▆▇█ ]{10}│$/);
  assert.match(lines[2], /^ {6}│█{10}│$/);
  assert.match(lines[3], /^ +6[789]\d ┤█{10}│[▁▂▃▄▅▆▇]{10}$/);
  assert.deepEqual(lines.slice(4), [`      └${"─".repeat(21)}`, "       2026-01-01 to 2026-01-20"]);
  const text = renderHistory(curves);
  assert.match(text, /-(29|30|31)\.\d % from about run 11 on, c0ffee10, 2026-01-11: /);
  assert.match(text, /^m1\n\nc\n {2}/);
  assert.match(text, /\nm2\n/);
});

test("the axis of a quiet curve is wide enough that noise stays small; of a long one the newest part is shown", () => {
  const points = [1000, 1004, 1001].map((proposalsPerS, i) => ({ ...pointOf(i), proposalsPerS }));
  const lines = plot({ points, changes: [] });
  assert.match(lines[0], /^1,052 ┤$/);
  assert.match(lines[3], /^ {2}952 ┤███$/);
  const long = Array.from({ length: 65 }, (_, i) => ({ ...pointOf(i % 28), proposalsPerS: 5 }));
  assert.match(plot({ points: long, changes: [] })[5], /, 5 older not shown$/);
});

function pointOf(i: number) {
  const { at, commit, dirty } = record(i, 1);
  return { at, commit, dirty };
}

test("points stand in the order of their dates, whatever the order in which they were added", () => {
  const [curve] = curvesOf([record(2, 30), record(0, 10), record(1, 20)]);
  assert.deepEqual(
    curve.points.map(({ proposalsPerS }) => proposalsPerS),
    [10, 20, 30],
  );
});

test("an empty history says that there is no run in it", async () => {
  const path = join(dir, "empty.ndjson");
  writeFileSync(path, "\n");
  assert.match(
    renderHistory(curvesOf(await readHistory(path))),
    /^There is no run in it: raftmark history add/,
  );
});

test("the same result twice is one run, added again or standing twice in the file", async () => {
  const path = join(dir, "twice.ndjson");
  const one = recordOfResult(result(1000), "one.json");
  assert.equal(await appendRecord(path, one), true);
  assert.equal(await appendRecord(path, recordOfResult(result(1000), "copy-of-one.json")), false);
  appendFileSync(path, `${JSON.stringify(one)}\n`);
  assert.equal((await readHistory(path)).length, 1);
});

test("a last line without its end stays a line", async () => {
  const path = join(dir, "open.ndjson");
  await appendRecord(path, recordOfResult(result(1000), "one.json"));
  writeFileSync(path, readFileSync(path, "utf8").trimEnd());
  await appendRecord(path, recordOfResult(result(1100), "two.json"));
  await appendRecord(path, recordOfResult(result(1200), "three.json"));
  assert.equal((await readHistory(path)).length, 3);
  assert.equal(readFileSync(path, "utf8").split("\n").length, 4, "three lines, none empty");
});

test("a line without a date has no place in a curve, and a run whose figures are none is refused in a sentence", async () => {
  const path = join(dir, "edited.ndjson");
  const record = recordOfResult(result(1000), "x.json");
  writeFileSync(path, `${JSON.stringify({ ...record, at: "yesterday" })}\n`);
  await assert.rejects(readHistory(path), { kind: "usage", message: /line 1: at: it is no date/ });
  const edited = recordOfResult(result(-1), "x.json");
  await assert.rejects(appendRecord(join(dir, "none.ndjson"), edited), {
    kind: "usage",
    message: /^the run is not added: figures\[0\]\.proposalsPerS: /,
  });
});

test("a curve too short for a mark says so, and files that were not the commit's are told", () => {
  const levels = (runs: number) => Array.from({ length: runs }, (_, i) => (i < runs / 2 ? 1000 : 100));
  assert.deepEqual([changePoints(levels(9)).length, changePoints(levels(10)).length], [0, 1]);
  const records = (runs: number) =>
    levels(runs).map((speed, i) => {
      const at = new Date(1e12 + i * 1e6).toISOString();
      return { ...recordOfResult(result(speed), "x.json"), at, commit: "0123456789ab", dirty: true };
    });
  const short = renderHistory(curvesOf(records(9)));
  assert.match(short, /9 runs \(a change could show from 10 on\): /);
  assert.match(short, /the last 100 \(0123456789\+, /);
  assert.doesNotMatch(renderHistory(curvesOf(records(10))), /could show/);
});
