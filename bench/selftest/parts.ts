// The parts of the self-test: each puts something known into the instrument and says what it must read, and what it
// did read. No part prints; main.ts does.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { Prng } from "../../src/base/prng.js";
import { TEST_WRONG_STATE } from "../harness/engine-from.js";
import { LatencyCounts, percentileMs, toHistogram, UNITS_PER_MS } from "../harness/latency.js";
import { makeDirs } from "../harness/make-dirs.js";
import { short } from "../report/numbers.js";
import type { Result } from "../report/result-schema.js";
import { mergeHistograms } from "../stats/rows.js";
import { expectedPercentiles, measureStall, type Percentiles, STALL } from "./stalled-engine.js";

/** One line of the table at the end. */
export interface Finding {
  readonly what: string;
  readonly expected: string;
  readonly measured: string;
  readonly ok: boolean;
}

/** Timers and a shared machine, at most; a stall of 200 ms that is not counted is off by far more. */
const OPEN_TOLERANCE_MS = 12;

export async function openLoopPart(): Promise<Finding[]> {
  const expected = expectedPercentiles(STALL);
  const open = await measureStall(STALL, "open");
  const closed = await measureStall(STALL, "closed");
  const names = Object.keys(expected) as (keyof Percentiles)[];
  const findings = names.map((name) => ({
    what: `open loop, ${STALL.stallMs} ms stall: ${name}`,
    expected: `${short(expected[name])} ms, within ${OPEN_TOLERANCE_MS}`,
    measured: `${short(open[name])} ms`,
    ok: Math.abs(open[name] - expected[name]) <= OPEN_TOLERANCE_MS,
  }));
  const blind = {
    what: "closed loop, one in flight, the same stall: p95",
    expected: `blind to it, below ${STALL.stallMs / 4} ms`,
    measured: `${short(closed.p95)} ms`,
    ok: closed.p95 < STALL.stallMs / 4,
  };
  return [...findings, blind];
}

const MERGES = 200;

export function histogramPart(seed: number): Finding[] {
  const prng = new Prng(seed);
  let differing = 0;
  let compared = 0;
  for (let merge = 0; merge < MERGES; merge++) {
    const all = new LatencyCounts();
    const parts = Array.from({ length: 1 + prng.below(6) }, () => {
      const counts = new LatencyCounts();
      for (let left = prng.below(2000); left > 0; left--) {
        const ms = 2 ** (prng.below(30_000_000) / 1_000_000) / 3000;
        counts.record(ms);
        all.record(ms);
      }
      const data = encodeIntoCompressedBase64(toHistogram(counts));
      return { unitUs: 0.1, encoding: "HdrHistogram V2, compressed, base64" as const, data };
    });
    const merged = mergeHistograms(parts);
    const expected = toHistogram(all);
    const maxMs = all.max / UNITS_PER_MS;
    for (let percentile = 0; percentile <= 100; percentile += 0.5) {
      compared++;
      if (percentileMs(merged, percentile, maxMs) !== percentileMs(expected, percentile)) differing++;
    }
  }
  const measured = `${differing} of ${compared} percentiles differ`;
  const expected = "every percentile as if recorded into one";
  return [{ what: `histograms, ${MERGES} merges (seed ${seed})`, expected, measured, ok: differing === 0 }];
}

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const WRONG_NODE = 2;
const SHORT = ["--duration", "300ms", "--warmup", "100ms", "--in-flight", "16", "--writer", "pool-wasm"];

/** A bench in which one node gets one entry wrong; and the same without, so that it is that which makes it void. */
export async function wrongStatePart(dir: string): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const wrong of [true, false]) {
    const { code, result } = await benchOnce(dir, wrong ? { [TEST_WRONG_STATE]: String(WRONG_NODE) } : {});
    const reasons = result?.runs.flatMap((run) => run.void) ?? [];
    findings.push({
      what: wrong
        ? `a bench in which node ${WRONG_NODE} applies one entry wrongly`
        : "the same bench undisturbed",
      expected: wrong ? "void, exit code 1" : "counts, exit code 0",
      measured: `${reasons.length === 0 ? "counts" : `void (${reasons[0]})`}, exit code ${code}`,
      ok: wrong ? reasons.length > 0 && code === 1 : reasons.length === 0 && code === 0,
    });
  }
  return findings;
}

async function benchOnce(
  parent: string,
  env: NodeJS.ProcessEnv,
): Promise<{ code: number | null; result: Result | null }> {
  await makeDirs(parent);
  const cwd = await mkdtemp(join(resolve(parent), "raftmark-selftest-"));
  const out = join(cwd, "result.json");
  try {
    const words = [MAIN, "bench", ...SHORT, "--rounds", "1", "--out", out];
    const child = spawn(process.execPath, words, { cwd, env: { ...process.env, ...env }, stdio: "ignore" });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    const text = await readFile(out, "utf8").catch(() => null);
    return { code, result: text === null ? null : (JSON.parse(text) as Result) };
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
}
