// What is said while a bench runs: plain lines without a terminal, one rewritten line on one.
import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import type { BenchPlan } from "../../bench/harness/run-bench.js";
import type { RunDir } from "../../bench/harness/run-dir.js";
import { expand, resolveAxes } from "../../bench/harness/scenario.js";
import { Progress } from "../../bench/report/progress.js";
import { PLAIN } from "../../bench/report/table.js";
import { canonical } from "../../bench/scenarios/canonical.js";
import { sampleRun } from "./sample-result.js";

class Sink extends Writable {
  text = "";
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

function drive(live: boolean, volatile: boolean) {
  const stream = new Sink();
  const progress = new Progress({ stream, live, paint: PLAIN });
  const axes = resolveAxes(canonical, true, {});
  const variants = expand(axes);
  const load = { warmupMs: 200, durationMs: 800, rounds: 1 };
  const plan = { scenario: canonical, axes, load } as BenchPlan;
  const fileSystem = { type: volatile ? "tmpfs" : "ext4", mount: "/data", device: "disk", volatile };
  progress.begun({ plan, variants, estimateMs: 24_000, runDir: { path: "/data/run", fileSystem } as RunDir });
  progress.loading(0, variants, 0, 24_000);
  progress.phase("starting");
  const starting = progress.line();
  progress.loading(0, variants.slice(0, 3), 0, 24_000);
  progress.phase("measuring", 800);
  progress.progress(100);
  const measuring = progress.line();
  progress.done(sampleRun(0, { settings: variants[0].settings, proposalsPerS: 12_345 }));
  progress.done(
    sampleRun(1, { settings: variants[1].settings, proposalsPerS: 1, void: ["logs: index 7 differs"] }),
  );
  progress.end();
  return { text: stream.text, starting, measuring };
}

test("without a terminal: a line a configuration, no control characters", () => {
  const { text } = drive(false, false);
  assert.deepEqual(text.split("\n").slice(1, 5), [
    "6 configurations, about 24 s; 3 nodes, 256 B, fsync",
    "data in /data/run (ext4 on disk)",
    "[1/6] inline-js, 64 in flight: 12,345 proposals/s, p50 1.00 ms, p99 2.00 ms (0:00 elapsed)",
    "[2/6] inline-wasm, 64 in flight: void: logs: index 7 differs (0:00 elapsed)",
  ]);
  assert.ok(!text.includes("\u001b"));
});

test("on a terminal: which configuration, which phase, how long still", () => {
  const { text, starting, measuring } = drive(true, false);
  assert.equal(starting, "[1/6] 6 configurations: starting, 0:00 elapsed, 0:24 left");
  assert.match(measuring, /^\[1\/6\] 64 in flight: measuring 0\.\d\/0\.8 s, 0:00 elapsed, 0:24 left$/);
  assert.ok(text.includes("\u001b[1G"));
});

test("on a terminal: the last readings of the rate as a picture, and rounds by number", async () => {
  const progress = new Progress({ stream: new Sink(), live: true, paint: PLAIN });
  const axes = resolveAxes(canonical, true, {});
  const plan = {
    scenario: canonical,
    axes,
    load: { warmupMs: 200, durationMs: 800, rounds: 3 },
  } as BenchPlan;
  const fileSystem = { type: "ext4", mount: "/data", device: "disk", volatile: false };
  const runDir = { path: "/data/run", fileSystem } as RunDir;
  const variants = expand(axes);
  progress.begun({ plan, variants, estimateMs: 24_000, runDir });
  progress.loading(7, [variants[1]], 1, 20_000);
  progress.phase("measuring", 800);
  for (let i = 0; i < 4; i++) {
    progress.progress(i * 100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.match(
    progress.line(),
    /^\[8\/18, round 2\/3\] inline-wasm, 64 in flight: measuring \d\.\d\/0\.8 s, [▁▂▃▄▅▆▇█]{3} [\d,]+ proposals\/s, /,
  );
  progress.end();
});

test("memory under the logs is warned of", () => {
  assert.match(drive(false, true).text, /warning: \/data is tmpfs, memory: .*--dir/);
});
