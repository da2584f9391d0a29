// The null run: the bench's own load on an engine that does nothing, in a fresh process. What it cannot exceed, no
// configuration can; what it takes is in every latency. And what the bench itself weighs: the CPU that its load takes
// there (payloads, clock, latencies, journal; the stand-in's promise and turn with it, so rather too much than too
// little), and its state machine's, apart.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Result } from "../report/result-schema.js";
import type { Settings } from "./axes.js";
import { cpuMsOf } from "./cpu.js";
import { LatencyCounts, percentileMs, toHistogram } from "./latency.js";
import { NodeProcess } from "./node-process.js";
import { loadOf } from "./run-variant.js";
import type { Runtime } from "./runtimes.js";
import { ratePerS } from "./sound-figures.js";

const PROGRAM = fileURLToPath(new URL("./node-main.js", import.meta.url));
const WARMUP_MS = 200;
const WINDOW_MS = 300;
const WEIGH_MS = 100;
/** For a rough answer. */
const QUICK_SHARE = 0.3;

/** Runs the load of `settings` on nothing. Its journal goes to `dir` and proves nothing. */
export async function nullRun(
  settings: Settings,
  runtime: Runtime,
  dir: string,
  quick: boolean,
  signal: AbortSignal,
): Promise<NonNullable<Result["nullRun"]>> {
  const process = new NodeProcess(0, PROGRAM, { execPath: runtime.execPath, nodeFlags: runtime.flags });
  const aborted = new Promise<never>((_, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
  });
  aborted.catch(() => {}); // Raced below.
  try {
    await process.call("openNull", {});
    const share = quick ? QUICK_SHARE : 1;
    const plan = {
      runId: 0,
      client: 0,
      warmupMs: WARMUP_MS * share,
      primes: false,
      durationMs: WINDOW_MS * share,
      seed: 1,
    };
    const loading = process.call("load", {
      plan: { ...plan, ...loadOf(settings), ackedMax: 0 },
      ackedPath: join(dir, "acked-null.bin"),
    });
    loading.catch(() => {}); // Nobody waits for it after an abort.
    const { done, windowMs, latencies, before, after } = await Promise.race([loading, aborted]);
    const weighing = process.call("weighHash", { entryBytes: settings.entryBytes, ms: WEIGH_MS * share });
    weighing.catch(() => {}); // Nobody waits for it after an abort.
    const { us: hashUs } = await Promise.race([weighing, aborted]);
    const cpuMs = before === null || after === null ? null : cpuMsOf(after) - cpuMsOf(before);
    const histogram = toHistogram(LatencyCounts.of(latencies));
    const us = (percentile: number) => Math.round(percentileMs(histogram, percentile) * 1000);
    return {
      proposalsPerS: ratePerS(done, windowMs),
      p50Us: us(50),
      p99Us: us(99),
      generatorUs: cpuMs === null || done === 0 ? null : (cpuMs / done) * 1000,
      hashUs,
    };
  } finally {
    await process.end();
  }
}
