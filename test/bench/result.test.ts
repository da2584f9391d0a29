// The result file: it comes back as it was written, and its published schema is the one the program has.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { BenchError } from "../../bench/harness/bench-error.js";
import { readResult } from "../../bench/report/read-result.js";
import { Result, resultJsonSchema, SCHEMA_VERSION } from "../../bench/report/result-schema.js";
import { checkWritable, defaultPath, writeNew, writeResult } from "../../bench/report/write-result.js";
import { tempDir } from "../temp-dir.js";
import { sampleResult } from "./sample-result.js";

const dir = tempDir();
const result: Result = {
  ...sampleResult([
    { settings: { writer: "inline-js" }, proposalsPerS: 1000 },
    { settings: { writer: "pool-wasm" }, proposalsPerS: 2000, void: ["logs: something differs"] },
  ]),
  verdict: "One is faster.",
};

test("a result comes back as it was written", async () => {
  const path = join(dir, "deep", "er", "result.json");
  await writeResult(result, path);
  assert.deepEqual(Result.parse(JSON.parse(readFileSync(path, "utf8"))), result);
  assert.deepEqual(readdirSync(join(dir, "deep", "er")), ["result.json"]);
});

test("a byte order mark, as some editors and shells put in front, is no fault; what is cut short is told as such", async () => {
  const path = join(dir, "marked.json");
  const text = JSON.stringify(result);
  writeFileSync(path, `\ufeff${text}`);
  assert.deepEqual(await readResult(path), result);
  for (const [cut, why] of [
    [text.slice(0, -1), /is not JSON: it ends in the middle/],
    ["", /is not JSON: it is empty/],
    ["no result", /is not JSON: name a result/],
  ] as const) {
    writeFileSync(path, cut);
    await assert.rejects(readResult(path), { kind: "usage", message: why });
  }
});

test("in results from before --node, uws was what is called sockets now", async () => {
  const path = join(dir, "old.json");
  const old = structuredClone(result) as {
    runs: { settings: Record<string, unknown> }[];
    options: { axes: object };
  };
  for (const { settings } of old.runs) {
    delete settings["node"];
    delete settings["nodeFlags"];
    settings["link"] = "uws";
  }
  old.options.axes = { link: ["uws", "memory"] };
  writeFileSync(path, JSON.stringify(old));
  const read = await readResult(path);
  assert.deepEqual(read.runs, result.runs);
  assert.deepEqual(read.options.axes["link"], ["sockets", "memory"]);
});

test("a step of the series that nobody could draw is damage", async () => {
  const path = join(dir, "step.json");
  for (const stepMs of [0, -1, 1e21]) {
    const runs = result.runs.map((run) => ({ ...run, series: { ...run.series, stepMs } }));
    writeFileSync(path, JSON.stringify({ ...result, runs }));
    await assert.rejects(readResult(path), {
      kind: "usage",
      message: /damaged at runs\[0\]\.series\.stepMs/,
    });
  }
});

test("schema 2, which told of the stages in every run, is read as the present one", async () => {
  const path = join(dir, "schema-2.json");
  const us = { mean: 1, p50: 1, p90: 1, p99: 1 };
  const waterfall = (stages: object[], beside: object[]) => ({
    sampled: 1,
    followerLast: 0,
    totalUs: us,
    stages,
    beside,
  });
  const { stages: _, ...old } = structuredClone(result);
  const runs = [
    { ...old.runs[0], waterfall: waterfall([{ name: "queued", meaning: "waits", us }], []) },
    {
      ...old.runs[1],
      waterfall: waterfall(
        [{ name: "queued", meaning: "waits", us }],
        [{ name: "disk", meaning: "writes", us }],
      ),
    },
  ];
  writeFileSync(path, JSON.stringify({ ...old, schemaVersion: 2, runs }));
  const read = await readResult(path);
  assert.equal(read.schemaVersion, SCHEMA_VERSION);
  assert.deepEqual(read.stages, { queued: "waits", disk: "writes" });
  assert.deepEqual(read.runs[1].waterfall, waterfall([{ name: "queued", us }], [{ name: "disk", us }]));
  for (const damaged of [{ runs: [null] }, { runs: [{ waterfall: { stages: [null] } }] }, { runs: 1 }]) {
    writeFileSync(path, JSON.stringify({ ...old, schemaVersion: 2, ...damaged }));
    await assert.rejects(readResult(path), /is damaged at (runs|stages)/);
  }
});

test("a run is a line of the file, and no line says what another has said", async () => {
  const path = await writeResult(result, join(dir, "lines.json"));
  const lines = readFileSync(path, "utf8").split("\n");
  assert.equal(lines.filter((line) => line.includes('"histogram"')).length, result.runs.length);
  assert.deepEqual(await readResult(path), result);
  assert.deepEqual(await readResult(await writeResult({ ...result, runs: [] }, path)), {
    ...result,
    runs: [],
  });
});

test("its name says when and what", () => {
  assert.equal(defaultPath(result), join("results", "local", "2026-01-02T03-04-05-canonical.json"));
});

test("two runs begun in one second both keep their results", async () => {
  const path = join(dir, "same.json");
  assert.equal(await writeNew("one", path), path);
  assert.equal(await writeNew("two", path), join(dir, "same-2.json"));
  assert.deepEqual(
    [path, join(dir, "same-2.json")].map((name) => readFileSync(name, "utf8")),
    ["one", "two"],
  );
  await assert.rejects(writeNew("three", join(path, "below.json")), /choose another file with --out/);
});

test("a place that cannot be written is named", async () => {
  const file = join(dir, "file");
  writeFileSync(file, "");
  await assert.rejects(writeResult(result, join(file, "result.json")), (error) => {
    assert.ok(error instanceof BenchError);
    assert.equal(error.exitCode, 2);
    return /cannot write the result to .*file.result\.json \(\w+\): choose another file with --out/.test(
      error.message,
    );
  });
});

test("a file that does not get whole is not left there in part", () => {
  const at = join(dir, "full");
  mkdirSync(at);
  const url = new URL("../../bench/report/write-result.js", import.meta.url).href;
  const program = `import(process.argv[1]).then((m) => m.writeWhole("x".repeat(1e6), process.argv[2])).catch((e) => console.log(e.message))`;
  // A limit of the size of files, whose signal is ignored: as if the disk were full.
  const words = ["-c", 'trap "" XFSZ; ulimit -f 8; exec "$@"', "sh", process.execPath, "-e", program, url];
  const { stdout } = spawnSync("sh", [...words, join(at, "result.json")], { encoding: "utf8" });
  assert.match(stdout, /cannot write the result to .* \(EFBIG\)/);
  assert.deepEqual(readdirSync(at), []);
});

test("whether a place can be written is known without a result, and leaves nothing there", async () => {
  const at = join(dir, "asked");
  await checkWritable(join(at, "result.json"));
  assert.equal(existsSync(at), false);
  mkdirSync(join(at, "taken"), { recursive: true });
  await assert.rejects(checkWritable(join(at, "taken")), /cannot write the result to .*taken \(EISDIR\)/);
  await assert.rejects(checkWritable(join(dir, "file", "result.json")), /choose another file with --out/);
});

test("a pipe or a device is written to, not replaced by a file", async () => {
  const pipe = join(dir, "pipe");
  assert.equal(spawnSync("mkfifo", [pipe]).status, 0);
  const reader = spawn("cat", [pipe], { stdio: ["ignore", "pipe", "inherit"] });
  const read = reader.stdout.toArray();
  await checkWritable(pipe);
  await writeResult(result, pipe);
  const kept = lstatSync(pipe).isFIFO();
  // Else it ends by itself, when it has read everything.
  if (!kept) reader.kill();
  assert.ok(kept, "the pipe is still there");
  assert.deepEqual(Result.parse(JSON.parse(Buffer.concat(await read).toString())), result);
});

test("a result of another schema is refused", () => {
  assert.equal(Result.safeParse({ ...result, schemaVersion: 99 }).success, false);
  assert.equal(Result.safeParse({ ...result, runs: [{}] }).success, false);
});

// REWRITE=1 npm test regenerates it.
test("results/schema.json is current", () => {
  const path = fileURLToPath(new URL("../../../results/schema.json", import.meta.url));
  const current = `${JSON.stringify(resultJsonSchema(), null, 2)}\n`;
  if (process.env["REWRITE"] === "1") writeFileSync(path, current);
  assert.ok(existsSync(path), "results/schema.json is missing: REWRITE=1 npm test");
  assert.deepEqual(JSON.parse(readFileSync(path, "utf8")), JSON.parse(current));
});
