// The waterfall of real clusters: its parts add up, to the total and to what the load generator measured by itself.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { Result } from "../../bench/report/result-schema.js";
import { Command, scratchDir } from "./support.js";

const scratch = scratchDir("trace");
afterEach(() => Command.killAll());
after(() => scratch.remove());

const LOAD = ["--rounds", "1", "--duration", "300ms", "--warmup", "100ms"];
const OVER_MS = 120_000;

async function bench(...words: string[]): Promise<{ result: Result; stdout: string }> {
  const out = join(scratch.path, "result.json");
  const command = new Command(scratch.path, "bench", ...LOAD, ...words, "--out", out);
  assert.equal(await command.end(OVER_MS), 0, command.stderr);
  return { result: Result.parse(JSON.parse(readFileSync(out, "utf8"))), stdout: command.stdout };
}

/** They differ by no more than `share` of the larger. */
function near(a: number, b: number, share: number): boolean {
  return Math.abs(a - b) <= share * Math.max(a, b);
}

test("--trace off follows nothing", async () => {
  const { result, stdout } = await bench(
    "--nodes",
    "1",
    "--writer",
    "pool-wasm",
    "--in-flight",
    "16",
    "--trace",
    "off",
  );
  assert.equal(result.runs[0].waterfall, null);
  assert.equal(result.runs[0].perCommit.fsyncsWaited, null);
  assert.doesNotMatch(stdout, /where a commit's/i);
});

test("the parts add up: every writer, one node and three", async () => {
  const axes = ["--nodes", "1,3", "--writer", "inline-js,inline-wasm,pool-wasm", "--in-flight", "64"];
  const { result, stdout } = await bench(...axes);
  assert.equal(result.runs.length, 6);
  for (const { settings, waterfall, latencyMs, perCommit } of result.runs) {
    const row = `${settings.writer}, ${settings.nodes} nodes`;
    assert.ok(waterfall, row);
    const sum = waterfall.stages.reduce((total, { us }) => total + us.mean, 0);
    const total = waterfall.totalUs.mean;
    assert.ok(near(sum, total, 0.05), `${row}: stages ${sum}, total ${total}`);
    // Looser: some samples of a distribution with a long tail; a stall falls on few, and is luck in the mean of either.
    if (waterfall.sampled > 100) {
      const { mean, p50 } = waterfall.totalUs;
      const isNear = near(mean / 1000, latencyMs.mean, 0.35) || near(p50 / 1000, latencyMs.p50, 0.35);
      assert.ok(
        isNear,
        `${row}: samples ${mean} and ${p50} us, all ${latencyMs.mean} and ${latencyMs.p50} ms`,
      );
    }
    for (const { name, us } of [...waterfall.stages, ...waterfall.beside]) {
      assert.ok(us.p50 >= 0, `${row}: ${name} takes time`);
    }
    const { followerLast } = waterfall;
    const passedFollower = waterfall.stages.some(({ name }) => name.startsWith("follower"));
    assert.equal(passedFollower, followerLast > 0, row);
    if (settings.nodes === 1) assert.equal(followerLast, 0, row);
    assert.ok(perCommit.fsyncsWaited !== null && perCommit.fsyncsWaited >= 1, row);
    assert.ok(perCommit.allocatedBytes !== null && perCommit.allocatedBytes > 0, row);
  }
  assert.match(stdout, /Where a commit's [\d.]+ ms go \(.*\): .*\d+ %/);
});
