// What a person reads: the table, the sentence, the progress line, and the figures in them.
import assert from "node:assert/strict";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { blockDeviceOf, fileSystemOf, findMount } from "../../bench/harness/run-dir.js";
import { resultMarkdown } from "../../bench/report/markdown.js";
import { measuresSentence } from "../../bench/report/measures.js";
import { diskNameText } from "../../bench/report/node-text.js";
import { clock, grouped, roughly, short, times } from "../../bench/report/numbers.js";
import { renderMeanings, renderTable, tableRows } from "../../bench/report/table.js";
import { limitOf, verdict } from "../../bench/report/verdict.js";
import { tempDir } from "../temp-dir.js";
import { sampleResult, sampleRun } from "./sample-result.js";

test("figures carry three digits", () => {
  assert.deepEqual([0, 0.0412, 0.412, 4.125, 41.26, 412.6, 213_402.4].map(short), [
    "0",
    "0.041",
    "0.412",
    "4.13",
    "41.3",
    "413",
    "213,402",
  ]);
  assert.deepEqual([0.9996, 9.997, 99.96].map(short), ["1.00", "10.0", "100"], "rounded up to another size");
  assert.deepEqual([999, 1000, 1_234_567].map(grouped), ["999", "1,000", "1,234,567"]);
  assert.deepEqual([1, 0.954, 1.573, 2.06, 14.2].map(times), ["1.00", "0.95", "1.57", "2.1", "14"]);
  assert.deepEqual([0, 34_400, 725_000].map(clock), ["0:00", "0:34", "12:05"]);
  assert.deepEqual([21_300, 98_000, 120_000].map(roughly), ["22 s", "1 min 40 s", "2 min"]);
});

test("one row a configuration, only the axes that vary, ratios to the first row", () => {
  const result = sampleResult([
    { settings: { writer: "inline-js", inFlight: 64 }, proposalsPerS: 50_000, p50: 1.25 },
    { settings: { writer: "pool-wasm", inFlight: 64 }, proposalsPerS: 105_000, p50: 0.5 },
    { settings: { writer: "inline-js", inFlight: 1024 }, proposalsPerS: 1, void: ["logs: index 7 differs"] },
  ]);
  assert.deepEqual(tableRows(result), [
    [
      "in flight",
      "writer",
      "proposals/s",
      "MB/s",
      "p50 ms",
      "p99 ms",
      "p99.9 ms",
      "max ms",
      "fsyncs/s",
      "entries/fsync",
      "CPU µs/commit",
      "× first row",
    ],
    ["64", "inline-js", "50,000", "12.8", "1.25", "1.25", "1.25", "6.25", "500", "100", "15.0", "1.00"],
    ["64", "pool-wasm", "105,000", "26.9", "0.500", "0.500", "0.500", "2.50", "500", "210", "7.14", "2.1"],
    ["1024", "inline-js", "void", "-", "-", "-", "-", "-", "-", "-", "-", "-"],
  ]);
});

test("a ratio of the table is that of the sentence under it", () => {
  const runs = [
    ["inline-js", [100, 200, 120, 100]],
    ["pool-wasm", [190, 110, 130, 700]],
  ] as const;
  const of = runs.flatMap(([writer, rates], position) =>
    rates.map((proposalsPerS, round) => ({
      ...sampleRun(position, { settings: { writer }, proposalsPerS }),
      round,
    })),
  );
  const result = { ...sampleResult([]), runs: of };
  const ratio = tableRows(result)[2].at(-1)!;
  assert.equal(ratio, "1.68");
  assert.ok(verdict(result).includes(`pool-wasm was seen at ${ratio}× inline-js`), verdict(result));
});

test("the table is as wide as it says and has every figure", () => {
  const result = sampleResult([
    { settings: { writer: "inline-js" }, proposalsPerS: 50_000 },
    { settings: { writer: "pool-wasm" }, proposalsPerS: 105_000 },
  ]);
  const lines = renderTable(result).split("\n");
  assert.equal(lines.length, 6);
  assert.equal(new Set(lines.map((line) => line.length)).size, 1);
  assert.match(lines[4], /│ pool-wasm +│ +105,000 │/);
});

test("without a valid first row there is no ratio", () => {
  const result = sampleResult([
    { settings: { writer: "inline-js" }, proposalsPerS: 1, void: ["x"] },
    { settings: { writer: "pool-wasm" }, proposalsPerS: 2 },
  ]);
  assert.equal(tableRows(result)[2].at(-1), "-");
});

test("one round proves nothing, whatever it says", () => {
  const sentence = verdict(
    sampleResult([
      { settings: { writer: "inline-js", inFlight: 1 }, proposalsPerS: 1000 },
      { settings: { writer: "pool-wasm", inFlight: 1 }, proposalsPerS: 1040 },
      { settings: { writer: "inline-js", inFlight: 64 }, proposalsPerS: 10_000 },
      { settings: { writer: "pool-wasm", inFlight: 64 }, proposalsPerS: 15_000 },
      { settings: { writer: "inline-js", inFlight: 1024 }, proposalsPerS: 100_000 },
      { settings: { writer: "pool-wasm", inFlight: 1024 }, proposalsPerS: 210_000, cpuMs: 600 },
    ]),
  );
  assert.equal(
    sentence,
    "One round proves nothing yet on average over 1 in flight, 64 in flight and 1024 in flight: pool-wasm was seen at " +
      "1.49× inline-js, and it takes 3 rounds at the least to tell. Highest seen: pool-wasm, 1024 in flight with " +
      "210,000 proposals/s at a p99 of 1.00 ms. There the CPU is probably the limit (100 % of 2 cores busy).",
  );
});

/** Rounds of two writers whose throughput is given round by round. */
function rounds(js: readonly number[], pool: readonly number[]) {
  const result = sampleResult([
    { settings: { writer: "inline-js" }, proposalsPerS: js[0] },
    { settings: { writer: "pool-wasm" }, proposalsPerS: pool[0] },
  ]);
  const runs = [js, pool].flatMap((rates, position) =>
    rates.map((proposalsPerS, round) => ({
      ...sampleRun(position, { settings: result.runs[position].settings, proposalsPerS }),
      round,
    })),
  );
  return { ...result, runs, options: { ...result.options, rounds: js.length } };
}

test("with rounds, factors carry their interval, and a row its own", () => {
  const result = rounds([100, 110, 90, 105, 95, 100], [200, 230, 185, 205, 195, 198]);
  const sentence = verdict(result);
  assert.match(
    sentence,
    /^Fastest is pool-wasm: it beats inline-js by 2\.0× \(95 % interval 1\.\d+–2\.\d\)\. Highest seen: pool-wasm with /,
  );
  const [heading, js] = tableRows(result);
  assert.deepEqual(heading.slice(0, 3), ["writer", "proposals/s", "interval"]);
  assert.match(js[2], /^90–110$/);
});

test("what is not proven is told as seen, with the rounds that would prove it", () => {
  const same = verdict(rounds([100, 110, 90, 105, 95, 100], [101, 108, 92, 103, 97, 99]));
  assert.match(
    same,
    /^6 rounds prove nothing yet: pool-wasm was seen at 1\.00× inline-js \(95 % interval 0\.9\d–1\.0\d\), and more than 100 rounds like these/,
  );
  const maybe = verdict(rounds([100, 120, 90, 110], [115, 118, 109, 130]));
  assert.match(
    maybe,
    /^4 rounds prove nothing yet: .*, and about \d+ rounds would probably prove it, if it is what was seen\./,
  );
  assert.doesNotMatch(same + maybe, /beats|fastest/i);
});

test("a percentile that has no sample above it is not told: it would be the maximum", () => {
  for (const [samples, shown] of [
    [500, false],
    [5000, true],
  ] as const) {
    const [heading, row] = tableRows(sampleResult([{ settings: {}, proposalsPerS: samples }]));
    assert.equal(row[heading.indexOf("p99.9 ms")] !== "-", shown, `${samples} samples`);
    assert.notEqual(row[heading.indexOf("p99 ms")], "-");
  }
});

test("an interrupted result says so", () => {
  const result = sampleResult([{ settings: {}, proposalsPerS: 7 }]);
  assert.match(
    verdict({ ...result, interrupted: true }),
    /^Interrupted: only the runs that were done are told\. Measured: /,
  );
});

test("an event is told by what it took", () => {
  const result = sampleResult([{ settings: { event: "kill-leader", from: "client" }, proposalsPerS: 7 }]);
  const ms = { unit: "ms", better: "lower" as const, meaning: "" };
  const measures = {
    newLeaderMs: { ...ms, value: 1200, meaning: "from kill -9" },
    firstCommitMs: { ...ms, value: 1250 },
    acknowledgedLost: { ...ms, value: 0, unit: "proposals" },
  };
  const runs = result.runs.map((run) => ({ ...run, measures }));
  assert.equal(
    verdict({ ...result, runs }),
    "A new leader stands 1,200 ms after kill -9 and commits after 1,250 ms; nothing acknowledged was lost.",
  );
  const told = { ...result, runs };
  const [heading, row] = tableRows(told).map((cells) => cells.slice(2, 6));
  assert.deepEqual(heading, [
    "new leader after, ms",
    "first commit after, ms",
    "acknowledged and lost, proposals",
    "proposals/s, outage included",
  ]);
  assert.deepEqual(row, ["1,200", "1,250", "0", "7"]);
  assert.match(renderMeanings(told), /^new leader after: from kill -9$/m);
  assert.match(
    resultMarkdown({ ...told, verdict: "" }),
    /\| new leader after, ms \|.*\n\| ---.*\n.*\| 1,200 \| 1,250 \| 0 \|/,
  );
  assert.equal(
    measuresSentence(runs[0]),
    "new leader after 1,200 ms, first commit after 1,250 ms, acknowledged and lost 0 proposals",
  );
});

test("an open loop is told by latency, up to where it falls behind", () => {
  const result = sampleResult([
    { settings: { rate: 1000 }, proposalsPerS: 1000, p50: 0.5 },
    { settings: { rate: 9000 }, proposalsPerS: 4000, p50: 80 },
  ]);
  const runs = result.runs.map((run) => ({ ...run, load: { ...run.load, due: run.settings.rate } }));
  assert.match(
    verdict({ ...result, runs }),
    /^At 1,000\/s offered p50 is 0\.500 ms and p99 0\.500 ms; at 9,000\/s offered it falls behind: 4,000\/s are done/,
  );
});

test("void runs are not compared", () => {
  const void1 = { settings: { writer: "inline-js" as const }, proposalsPerS: 9e9, void: ["x"] };
  assert.match(
    verdict(sampleResult([void1, { settings: { writer: "pool-wasm" }, proposalsPerS: 7 }])),
    /^Nothing can be compared: void or .* Highest seen: pool-wasm with 7 proposals/,
  );
  assert.match(verdict(sampleResult([void1])), /^No configuration gave a valid run/);
});

test("what seems to be the limit", () => {
  const cases: [Parameters<typeof sampleResult>[0][number], RegExp][] = [
    [
      { settings: {}, proposalsPerS: 1, cpuMs: 550 },
      /the CPU is probably the limit \(92 % of 2 cores busy\)/,
    ],
    [
      { settings: {}, proposalsPerS: 1, otherCpuShare: 0.6 },
      /the CPU is probably the limit \(98 % of 2 cores busy, other programs took 60 %\)/,
    ],
    [
      { settings: {}, proposalsPerS: 1, mainThreadMs: 900 },
      /the leader's main thread is probably the limit \(90 %/,
    ],
    [
      { settings: {}, proposalsPerS: 1, p50: 0.75 },
      /the disk may be the limit \(an estimate: a commit takes about as long as 3.00 durable writes/,
    ],
    [{ settings: { durability: "none" }, proposalsPerS: 1, p50: 0.75 }, /nothing was seen saturated/],
    [
      { settings: {}, proposalsPerS: 1, p50: 10 },
      /nothing was seen saturated \(CPU 38 %, leader's main thread 20 %\)/,
    ],
  ];
  for (const [outcome, expected] of cases) {
    const result = sampleResult([outcome]);
    assert.match(limitOf(result.runs[0], result), expected);
  }
});

test("where commits were followed, the disk is judged by the time that they spent there", () => {
  const result = sampleResult([{ settings: {}, proposalsPerS: 1, p50: 0.75 }]);
  const us = (mean: number) => ({ mean, p50: mean, p90: mean, p99: mean });
  const limit = (diskUs: number, sampled: number) => {
    const stages = [
      { name: "wire", us: us(1000 - diskUs) },
      { name: "own disk", us: us(diskUs / 4) },
      { name: "follower disk", us: us((diskUs * 3) / 4) },
    ];
    const waterfall = { sampled, followerLast: 1, totalUs: us(1000), stages, beside: [] };
    return limitOf({ ...result.runs[0], waterfall }, result);
  };
  const measured = "durable writes took 60 % of the time of 1,200 commits that were followed";
  assert.equal(limit(600, 1200), `the disk is probably the limit (${measured})`);
  assert.match(limit(300, 1200), /^nothing was seen saturated/, "whatever the probe says");
  assert.match(limit(600, 3), /^the disk may be the limit \(an estimate: /, "three are too few");
});

test("what the kernel does with the block device is named where it says so; of a partition it is the disk's", async (t) => {
  const sys = tempDir(t);
  const { dev } = statSync(sys);
  const device = join(sys, `${(dev >>> 8) & 0xfff}:${(dev & 0xff) | ((dev >>> 12) & 0xfff00)}`);
  const none = { readAheadKb: null, scheduler: null };
  assert.deepEqual(await blockDeviceOf(sys, sys), none);
  mkdirSync(device);
  mkdirSync(join(sys, "queue")); // Beside a partition's own directory.
  writeFileSync(join(sys, "queue", "read_ahead_kb"), "8192\n");
  writeFileSync(join(sys, "queue", "scheduler"), "none [mq-deadline] kyber\n");
  const known = { readAheadKb: 8192, scheduler: "mq-deadline" };
  assert.deepEqual(await blockDeviceOf(sys, sys), known);
  assert.deepEqual(
    Object.keys(await fileSystemOf(sys)).filter((name) => name in known),
    Object.keys(known),
  );
  const { environment } = sampleResult([]);
  const text = diskNameText({ ...environment, fileSystem: { ...environment.fileSystem, ...known } });
  assert.equal(text, "ext4 on /dev/sda (read-ahead 8192 KiB, I/O scheduler mq-deadline)");
  assert.equal(diskNameText(environment), "ext4 on /dev/sda");
});

test("the mount that holds a path", () => {
  const table = [
    "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard",
    "30 21 0:25 / /tmp rw - tmpfs tmpfs rw,size=1m",
    "31 21 0:26 / /tmp/with\\040blank rw - xfs /dev/sdb rw",
  ].join("\n");
  assert.equal(findMount(table, "/home/x")?.type, "ext4");
  assert.equal(findMount(table, "/tmp")?.type, "tmpfs");
  assert.equal(findMount(table, "/tmpx")?.type, "ext4");
  assert.equal(findMount(table, "/tmp/with blank/y")?.device, "/dev/sdb");
  assert.equal(findMount("", "/"), null);
});
