// The report as text: what stands in it, that nothing from a file becomes HTML, and what is said of files that cannot
// be read. How it looks in a browser is report-page.test.ts's.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { resultMarkdown } from "../../bench/report/markdown.js";
import type { PageData } from "../../bench/report/page/chart-data.js";
import { html, toText } from "../../bench/report/page/html.js";
import { renderPage } from "../../bench/report/page/page.js";
import type { Result } from "../../bench/report/result-schema.js";
import { verdict } from "../../bench/report/verdict.js";
import { catchUp } from "../../bench/scenarios/catch-up.js";
import { leaderLoss } from "../../bench/scenarios/leader-loss.js";
import { memberChange } from "../../bench/scenarios/member-change.js";
import { pausedFollower } from "../../bench/scenarios/paused-follower.js";
import { snapshotUnderLoad } from "../../bench/scenarios/snapshot-under-load.js";
import { tempDir } from "../temp-dir.js";
import { openResult, richResult, scenarioResult } from "./sample-page.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const dir = tempDir();

function report(...args: string[]) {
  const run = spawnSync(process.execPath, [MAIN, "report", ...args], { encoding: "utf8", cwd: dir });
  return { status: run.status, stdout: run.stdout, stderr: run.stderr };
}

function file(name: string, value: unknown): string {
  const path = join(dir, name);
  writeFileSync(path, typeof value === "string" ? value : JSON.stringify(value));
  return path;
}

function dataOf(page: string): PageData {
  const [, text] = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page) ?? [];
  return JSON.parse(text ?? "") as PageData;
}

test("a template escapes what it is given", () => {
  assert.equal(
    toText(html`<b title="${`"'`}">${"<i>&"}</b>${html`<i>${[1, "<", null]}</i>`}`),
    '<b title="&quot;&#39;">&lt;i&gt;&amp;</b><i>1&lt;</i>',
  );
});

test("the page says what was found, and marks what is void or missing", () => {
  const page = renderPage([{ name: "one", result: richResult() }]);
  for (const text of [
    "pool-wasm is faster.",
    "✕ 1 of 12 runs are void",
    "row 4, round 2: logs: index 7 differs",
    "⚠ Interrupted.",
    "1 of 3 void, left out",
    "in the logs of a quorum",
    "11 of 12 runs passed the check",
    "not sampled in this run",
    "waiting for the ring",
    "follower disk",
    "what encode+CRC is",
    "the same load on an engine that does nothing",
    "raftmark bench --seed 1",
    "a durable 4 KiB write takes 250 µs",
    "The p99 over time",
  ]) {
    assert.ok(page.includes(text), `"${text}" is not in the page`);
  }
  assert.ok(!page.includes("Latency against offered load"));
  assert.deepEqual(
    dataOf(page).charts.map(({ id, lines }) => [id, lines.length]),
    [
      ["latency-0", 2],
      ["latency-1", 2],
      ["throughput-0", 2],
      ["throughput-1", 2],
      ["p99-0", 2],
      ["p99-1", 2],
    ],
  );
});

test("rounds stand one after another, and a void one is a gap", () => {
  const { charts } = dataOf(renderPage([{ name: "one", result: richResult() }]));
  const chart = charts.find(({ id }) => id === "throughput-1");
  assert.ok(chart !== undefined);
  assert.equal(chart.x.length, 32);
  const [full, cut] = chart.lines.map(({ values }) => values.flatMap((v, i) => (v === null ? [i] : [])));
  assert.deepEqual(full, [10, 21]);
  assert.deepEqual(cut, [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
});

test("the percentile curve is the stored histogram's", () => {
  const { charts } = dataOf(renderPage([{ name: "one", result: richResult() }]));
  const [chart] = charts;
  assert.deepEqual(
    chart.xTicks?.map(({ label }) => label),
    ["50", "90", "99"],
  );
  const values = chart.lines[0].values.filter((value) => value !== null);
  assert.ok(
    values.every((value) => Math.abs(value - 0.64) < 0.001),
    `${values}`,
  );
  assert.ok(chart.yRange[0] < 0.64 && chart.yRange[1] > 0.64);
});

test("several rates of an open loop are a curve of latency against load", () => {
  const page = renderPage([{ name: "open", result: openResult() }]);
  assert.ok(page.includes("Latency against offered load"));
  const load = dataOf(page).charts.find(({ id }) => id === "load");
  assert.deepEqual(load?.x, [1000, 5000, 20_000, 50_000]);
  assert.deepEqual(
    load?.lines.map(({ label }) => label.slice(0, 3)),
    ["p50", "p99"],
  );
});

test("nothing from a file becomes HTML or ends a script", () => {
  const hostile = `</script><script>alert(1)</script><img src=x onerror="alert(2)"><!-- "'&`;
  const page = renderPage([{ name: `a${hostile}`, result: richResult(hostile) }]);
  assert.ok(!page.includes("<script>alert"));
  assert.ok(!page.includes("<img"));
  assert.equal(page.match(/<script/g)?.length, 3);
  assert.equal(page.match(/<\/script>/g)?.length, 3);
  assert.ok(page.includes("&lt;img src=x onerror=&quot;alert(2)&quot;&gt;"));
  const markdown = resultMarkdown(richResult("</b>|x"));
  assert.ok(!markdown.includes("</b>"));
});

test("the same results give the same page", () => {
  const once = () => renderPage([{ name: "one", result: richResult() }]);
  assert.equal(once(), once());
});

test("all void: the page says so instead of drawing", () => {
  const result = richResult();
  const runs = result.runs.map((run) => ({ ...run, void: ["no quorum"] }));
  const page = renderPage([{ name: "one", result: { ...result, runs } }]);
  assert.ok(page.includes("No run passed the check of its logs"));
  assert.deepEqual(dataOf(page).charts, []);
});

/** As a bench writes it. */
function judgedResult(): Result {
  const made = richResult();
  return { ...made, verdict: verdict(made) };
}

test("raftmark report writes the page beside the result, or where it is told", () => {
  const path = file("result.json", judgedResult());
  const { status, stdout, stderr } = report(path);
  assert.equal(status, 0);
  assert.equal(stderr, "");
  assert.match(stdout, /^Page: .*result\.html \(\d+ KiB\); open it in a browser\.\n$/);
  assert.ok(readFileSync(join(dir, "result.html"), "utf8").startsWith("<!doctype html>"));
  assert.equal(report(path, "-o", "deep/er/page.html").status, 0);
  assert.ok(
    readFileSync(join(dir, "deep", "er", "page.html"), "utf8").includes(
      toText(html`${judgedResult().verdict}`),
    ),
  );
});

test("several results stand over each other, with their ratios", () => {
  const faster = richResult();
  const runs = faster.runs.map((run) => ({ ...run, proposalsPerS: run.proposalsPerS * 2 }));
  const paths = [file("before.json", richResult()), file("after.json", { ...faster, runs })];
  assert.equal(report(...paths).status, 0);
  const page = readFileSync(join(dir, "report.html"), "utf8");
  assert.ok(page.includes("Against before"));
  assert.match(page, /<td>2\.0×<\/td>/);
  assert.equal(dataOf(page).charts[0].lines.length, 4);
  mkdirSync(join(dir, "other"));
  const namesake = file(join("other", "before.json"), { ...faster, runs });
  assert.equal(report(paths[0], namesake).status, 0);
  assert.ok(readFileSync(join(dir, "report.html"), "utf8").includes("before (2)"));
});

test("the same result twice is one", () => {
  const path = file("once.json", judgedResult());
  const { status, stderr } = report(path, path, "-o", "once.html");
  assert.equal(status, 0);
  assert.match(stderr, /^.*once\.json is the same result as once: it is shown once\n$/);
  assert.equal(
    readFileSync(join(dir, "once.html"), "utf8"),
    renderPage([{ name: "once", result: judgedResult() }]),
  );
});

test("the verdict is what the figures give, whatever stands in the file", () => {
  const { status, stdout, stderr } = report(file("edited.json", richResult()), "--format", "markdown");
  assert.equal(status, 0);
  assert.ok(stdout.includes(`> ${judgedResult().verdict} **1 of 12`), stdout);
  assert.doesNotMatch(stdout, /pool-wasm is faster\./);
  assert.match(stderr, /^.*edited\.json: the verdict in it is not what its figures give \(.*\n$/);
});

test("a page never takes a result's place, by whatever name", () => {
  const path = file("kept.json", judgedResult());
  const other = file("second.json", { ...judgedResult(), elapsedMs: 1 });
  const text = readFileSync(path, "utf8");
  symlinkSync(path, join(dir, "link.html"));
  for (const words of [
    [path, "-o", "kept.json"],
    [other, path, "-o", "./deep/../kept.json"],
    [path, "-o", "link.html"],
    [path, "-o", "kept.json", "--format", "markdown"],
  ]) {
    const { status, stdout, stderr } = report(...words);
    assert.equal(status, 2, words.join(" "));
    assert.match(
      stderr,
      /^raftmark: --out: .* is a result to be read: choose another file for the page\.\n$/,
    );
    assert.equal(stdout, "");
    assert.equal(readFileSync(path, "utf8"), text);
  }
});

/** The cells of the first table whose caption begins so, by heading. */
function cells(page: string, caption: string): Record<string, string>[] {
  const [, from] = page.split(`<caption class="unseen">${caption}`);
  const [table] = from.split("</table>");
  const texts = (part: string) =>
    [...part.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/gs)].map(([, text]) =>
      text.replaceAll(/<[^>]+>/g, "").trim(),
    );
  const [, head, ...rows] = table.split("<tr>");
  return rows.map((row) => Object.fromEntries(texts(head).map((title, i) => [title, texts(row)[i]])));
}

test("one result: every heading over its own cells, in the columns of its scenario", () => {
  const page = renderPage([{ name: "one", result: richResult() }]);
  const [first] = cells(page, "Key figures of every configuration");
  const picked = (({ "p50 ms": p50, "max ms": max, rounds, interval }) => ({ p50, max, rounds, interval }))(
    first,
  );
  assert.deepEqual(picked, { p50: "0.640", max: "3.20", rounds: "3", interval: "6,400–7,040" });
  assert.equal(first["proposals/s"], "6,720");
  assert.deepEqual(
    cells(renderPage([{ name: "loss", result: scenarioResult(leaderLoss) }]), "Key figures")[0],
    {
      configuration: "ticks of 20 ms",
      "new leader after, ms": "272",
      "first commit after, ms": "281",
      "callers without an answer for, ms": "284",
      "killed node back after another, ms": "640",
      "asked again, proposals": "1",
      "acknowledged and lost, proposals": "0",
      "proposals/s, outage included": "1,050",
      "p50 ms": "1.00",
      "max ms": "5.00",
      rounds: "2",
    },
  );
});

test("tiles, curve and words of a scenario are its own", () => {
  const page = renderPage([{ name: "loss", result: scenarioResult(leaderLoss) }]);
  for (const text of ["new leader after", "first commit after", "callers without an answer for"])
    assert.match(page, new RegExp(`<li><span>${text}</span><strong>2[78]\\d <small>ms`));
  assert.ok(page.includes("a new leader after 272 ms, the first commit after 281 ms"));
  assert.ok(!page.includes("What one commit costs"), "the leader's part of the cost died with it");
  const { charts } = dataOf(page);
  const curve = charts.find(({ id }) => id === "throughput-0");
  assert.deepEqual(curve?.lines[0].values.slice(0, 10), [1000, 1000, 1000, 0, 0, 0, 1000, 1000, 1000, 1000]);
  assert.deepEqual(curve?.marks[0], { at: 0.25, label: "the leader is killed" });
  assert.match(
    renderPage([{ name: "pause", result: scenarioResult(pausedFollower) }]),
    /<li><span>caught up after<\/span><strong>45.0 <small>ms/,
  );
});

test("catching up and snapshots have their own tiles, columns, curve and words", () => {
  const catching = renderPage([{ name: "catch-up", result: scenarioResult(catchUp) }]);
  assert.match(catching, /<li><span>caught up after<\/span><strong>9,000 <small>ms/);
  assert.match(catching, /<li><span>commits while it caught up<\/span><strong>96.0 <small>%/);
  assert.match(catching, /1,024 MB behind: the follower had caught up after 9,000 ms/);
  const { "caught up at, MB/s": rate, "behind by, MB": behind } = cells(catching, "Key figures")[0]!;
  assert.deepEqual([rate, behind], ["150", "1,024"]);
  const taking = renderPage([{ name: "snapshots", result: scenarioResult(snapshotUnderLoad) }]);
  assert.match(taking, /<li><span>commits meanwhile<\/span><strong>91.0 <small>%/);
  assert.match(taking, /<li><span>p99 meanwhile<\/span><strong>9.50 <small>ms/);
  assert.match(taking, /commits went on meanwhile at 91.0 %, with a p99 of 9.50 ms/);
  assert.equal(cells(taking, "Key figures")[0]!["state written at, MB/s"], "400");
  const replacing = renderPage([{ name: "member-change", result: scenarioResult(memberChange) }]);
  assert.match(replacing, /<li><span>promoted and another removed in<\/span><strong>33.0 <small>ms/);
  assert.match(
    replacing,
    /had caught up after another 4,200 ms, and had the other&#39;s place after 33.0 ms/,
  );
  assert.equal(cells(replacing, "Key figures")[0]!["added in, ms"], "21.0");
  for (const page of [catching, taking, replacing]) {
    const curve = dataOf(page).charts.find(({ id }) => id === "throughput-0");
    assert.equal(curve?.marks.length, 2 * curve!.lines.length, "what happened when is on the curve");
  }
});

test("a disturbed result has its banner", () => {
  const result = richResult();
  const runs = result.runs.map((run, i) =>
    i === 0 ? { ...run, disturbed: ["other programs took 40 %"] } : run,
  );
  const page = renderPage([
    { name: "one", result: { ...result, runs, disturbance: { repeated: 1, leftOut: 1 } } },
  ]);
  assert.match(page, /<b>⚠ Disturbed\.<\/b> 1 of 12 runs were disturbed, after 1 had been made again/);
  const [first, second] = cells(page, "Key figures of every configuration");
  assert.deepEqual(
    [first["rounds"], second["rounds"]],
    ["2 of 3", "3"],
    "what is in no figure is not counted",
  );
  assert.match(page, /1 of 3 disturbed, left out/);
  assert.equal(
    cells(page, "Every run: its check and its surroundings")[0]["disturbed by"],
    "other programs took 40 %",
  );
  assert.match(page, /after each of the 11 runs that are not void/);
  assert.match(page, /The bar is the median of 2 to 3 rounds/);
});

test("the comparison of two results: every heading over its own cells", () => {
  const slow = richResult();
  const runs = slow.runs.map((run) => ({ ...run, proposalsPerS: run.proposalsPerS * 2 }));
  const page = renderPage([
    { name: "before", result: slow },
    { name: "after", result: { ...slow, runs } },
  ]);
  assert.deepEqual(cells(page, "Throughput against before")[0], {
    configuration: "inline-js, 64 in flight",
    result: "after",
    "before, proposals/s": "6,720",
    "its proposals/s": "13,440",
    "ratio to before": "2.0×",
    "95 % interval": "–",
    "in words": "not judged",
  });
  assert.match(page, /What was not made alternating is not judged/);
  const side = { ...slow, command: "raftmark compare a b", elapsedMs: 1e6 };
  const turns = renderPage([
    { name: "before", result: side },
    { name: "after", result: { ...side, runs } },
  ]);
  assert.match(turns, /What took turns is judged at 95 %/);
  assert.equal(cells(turns, "Throughput against before")[0]["in words"], "better");
});

test("without a name: the newest result in results/local", () => {
  const none = report();
  assert.equal(none.status, 2);
  assert.match(none.stderr, /there is no result in results.local: run raftmark bench first/);
  mkdirSync(join(dir, "results", "local"), { recursive: true });
  file(join("results", "local", "r.json"), richResult());
  assert.match(report().stdout, /^Page: results.local.r\.html/);
  // Those of the log and of a running cluster lie there, too, and are no pages.
  for (const [name, other] of Object.entries(OTHERS)) {
    const path = file(join("results", "local", name), other);
    utimesSync(path, new Date(), new Date(Date.now() + 60_000));
  }
  assert.match(report().stdout, /^Page: results.local.r\.html/);
});

const OTHERS = { "t-target.json": { kind: "raftmark target" }, "t-wal.json": { tool: "raftmark bench wal" } };

test("as Markdown: the table, the verdict, the machine", () => {
  const { status, stdout } = report(file("result.json", judgedResult()), "--format", "markdown");
  assert.equal(status, 0);
  assert.match(stdout, /^\| in flight \| writer \| proposals\/s \|/);
  assert.match(
    stdout,
    /^> Interrupted: .*\. \*\*1 of 12 runs are void and prove nothing\.\*\* \*\*Interrupted/m,
  );
  assert.match(stdout, /sample CPU, 2 cores/);
});

const REFUSED: [string, () => string, RegExp][] = [
  ["no file", () => join(dir, "none.json"), /there is no file .*none\.json: name a result/],
  ["not JSON", () => file("bad.json", "{"), /bad\.json is not JSON/],
  ["something else", () => file("other.json", { a: 1 }), /other\.json is not a result of raftmark bench/],
  [
    "of a running cluster",
    () => file("target.json", OTHERS["t-target.json"]),
    /target\.json is a result of raftmark bench --target, which .* no other command reads it\./,
  ],
  [
    "an old schema",
    () => file("old.json", { ...richResult(), schemaVersion: 1 }),
    /old\.json was made by schema 1, and this raftmark reads 3: run the bench again\./,
  ],
  [
    "a newer schema",
    () => file("new.json", { ...richResult(), schemaVersion: 4 }),
    /made by schema 4, and this raftmark reads 3: use the raftmark that made it/,
  ],
  [
    "a field that is missing",
    () => file("cut.json", { ...richResult(), runs: [{}] }),
    /is damaged at runs\[0\]/,
  ],
  [
    "no run",
    () => file("noruns.json", { ...richResult(), runs: [] }),
    /noruns\.json holds no run: there is nothing to report\./,
  ],
  [
    "a histogram that is damaged",
    () => {
      const result = richResult();
      const histogram = { ...result.runs[0].histogram, data: "AAAA" };
      return file("hist.json", { ...result, runs: [{ ...result.runs[0], histogram }] });
    },
    /hist\.json is damaged: the latency histogram of row 1 cannot be read/,
  ],
];

for (const [what, path, expected] of REFUSED) {
  test(`refused in one sentence: ${what}`, () => {
    const { status, stdout, stderr } = report(path());
    assert.equal(status, 2);
    assert.equal(stdout, "");
    assert.match(stderr, expected);
    assert.equal(stderr.trim().split("\n").length, 1, "one sentence");
  });
}

test("a place that cannot be written, and an unknown format", () => {
  const path = file("result.json", richResult());
  const blocked = report(path, "-o", join(path, "page.html"));
  assert.equal(blocked.status, 2);
  assert.match(blocked.stderr, /cannot write to .*: choose another file with --out/);
  assert.match(
    report(path, "--format", "htm").stderr,
    /"htm" is not one of html, markdown\. Did you mean html\?/,
  );
});
