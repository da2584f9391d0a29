// `raftmark bench wal`: runs, reports, and leaves nothing behind, also when it is interrupted. Figures are not looked at.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { WalBenchResult } from "../../bench/wal/run.js";
import { tempDir } from "../temp-dir.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** Run directories of process `pid` in memory. */
function leftInMemory(pid: number): string[] {
  if (!existsSync("/dev/shm")) return [];
  return readdirSync("/dev/shm").filter((name) => name.startsWith(`run-${pid}-`));
}

test("a quick run measures every part and cleans up", (t) => {
  const dir = tempDir(t);
  const out = join(dir, "result.json");
  const args = ["bench", "wal", "--quick", "--batch", "64", "--log-mib", "65", "--dir", join(dir, "data")];
  const run = spawnSync(process.execPath, [MAIN, ...args, "--out", out], { encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
  const result = JSON.parse(readFileSync(out, "utf8")) as WalBenchResult;
  const places = existsSync("/dev/shm") ? ["tmpfs", "disk"] : ["disk"];
  assert.deepEqual([...new Set(result.appends.map((row) => row.place))], places);
  for (const row of result.appends) assert.ok(row.entriesPerS[0]! > 0);
  for (const row of result.loops) assert.ok(row.writesPerS[0]! > 0);
  assert.deepEqual(
    result.recovery!.rows.map((row) => row.threads),
    [1, 2],
  );
  assert.ok(result.recovery!.logBytes > 65 << 20);
  for (const part of ["pipelined", "bare writes/s", "every record verified"])
    assert.ok(run.stdout.includes(part), part);
  assert.deepEqual(readdirSync(dir), ["result.json"]);
  assert.deepEqual(leftInMemory(run.pid), []);
});

test("it runs where O_DSYNC is no durability, as on macOS", (t) => {
  const dir = tempDir(t);
  const mac = "data:text/javascript,Object.defineProperty(process,%22platform%22,{value:%22darwin%22})";
  const words = [
    "--quick",
    "--writer",
    "inline-wasm",
    "--batch",
    "64",
    "--duration",
    "100ms",
    "--log-mib",
    "65",
  ];
  const args = [MAIN, "bench", "wal", ...words, "--dir", join(dir, "data")];
  // For what it starts, too.
  const env = { ...process.env, NODE_OPTIONS: `--import ${mac}` };
  const run = spawnSync(process.execPath, [...args, "--out", join(dir, "result.json")], {
    encoding: "utf8",
    env,
  });
  assert.equal(run.status, 0, run.stderr);
  assert.match(run.stdout, /fdatasync/);
});

test("what cannot be done is refused before anything starts", () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [MAIN, "bench", "wal", ...args], { encoding: "utf8" });
  const writer = run("--writer", "fast");
  assert.equal(writer.status, 2);
  assert.match(writer.stderr, /"fast" is not one of inline-js, inline-wasm, pool-wasm/);
  assert.equal(run("--pairs", "0").status, 2);
  assert.match(run("--help").stdout, /--peer/);
});

test("Ctrl-C ends it and removes what it wrote", async (t) => {
  const dir = tempDir(t);
  const child = spawn(process.execPath, [MAIN, "bench", "wal", "--duration", "60s", "--dir", dir], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  child.stdout.once("data", () => child.kill("SIGINT"));
  assert.equal(await ended, 130);
  assert.deepEqual(readdirSync(dir), []);
  assert.deepEqual(leftInMemory(child.pid!), []);
});

test("Ctrl-C after a row is done keeps it: in the table and in the result, marked", async (t) => {
  const dir = tempDir(t);
  const out = join(dir, "result.json");
  const args = [
    "--duration",
    "100ms",
    "--pairs",
    "1",
    "--batch",
    "64",
    "--dir",
    join(dir, "data"),
    "--out",
    out,
  ];
  const child = spawn(process.execPath, [MAIN, "bench", "wal", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  let said = "";
  let isAsked = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    // A line before each part: the first part is done when the second begins.
    if (isAsked || said.split("\n").length < 3) return;
    isAsked = true;
    child.kill("SIGINT");
  });
  assert.equal(await ended, 130);
  const result = JSON.parse(readFileSync(out, "utf8")) as WalBenchResult;
  assert.equal(result.interrupted, true);
  assert.ok(result.appends.length > 0 && result.appends.every((row) => row.entriesPerS[0]! > 0));
  assert.equal(result.recovery, null);
  assert.match(said, /Interrupted: what was measured before is here/);
  assert.doesNotMatch(said, /NaN/);
});
