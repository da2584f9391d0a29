// What a node process has used so far: CPU of the process and of its threads, event loop, the node's counters. Two
// readings make a difference over a window. Runs in the node's process.
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { type IntervalHistogram, monitorEventLoopDelay, performance } from "node:perf_hooks";
import v8 from "node:v8";
import { monotonicUs } from "../../src/wal/write/monotonic.js";
import type { EngineMetrics } from "./engine.js";
import type { ReplyOf } from "./protocol.js";

type Sample = ReplyOf<"sample">;

/** Takes samples; one a process, since it keeps the event-loop monitor. */
export class Sampler {
  private readonly delays: IntervalHistogram = monitorEventLoopDelay({ resolution: 10 });
  private readonly allocations = new Allocations();

  constructor() {
    this.delays.enable();
  }

  /** Reads everything; the event-loop delay then starts afresh, so that a window's is its own. */
  take(metrics: EngineMetrics): Sample {
    const cpu = process.cpuUsage();
    const sample = {
      atMs: performance.now(),
      clockUs: monotonicUs(),
      cpuUserMs: cpu.user / 1000,
      cpuSystemMs: cpu.system / 1000,
      machineBusyMs: machineBusyMs(),
      machineStolenMs: stolenMs(),
      threads: threadTimes(),
      loopActiveMs: performance.eventLoopUtilization().active,
      loopDelayP50Ms: nsToMs(this.delays.percentile(50)),
      loopDelayP99Ms: nsToMs(this.delays.percentile(99)),
      loopDelayMaxMs: nsToMs(this.delays.max),
      rssBytes: process.memoryUsage.rss(),
      allocatedBytes: this.allocations.sinceStart(),
      metrics: countersOf(metrics),
    };
    this.delays.reset();
    return sample;
  }
}

/** What the harness takes of them: it measures the event loop itself. */
function countersOf({
  walSyncSeconds: _,
  peers: __,
  eventLoopDelay: ___,
  missing = [],
  ...counters
}: EngineMetrics): Sample["metrics"] {
  return { ...counters, missing: [...missing] };
}

/** What this thread allocates: how much its heap grew, and what each garbage collection took from it meanwhile. */
class Allocations {
  private profiler = new v8.GCProfiler();
  private heapBytes = v8.getHeapStatistics().used_heap_size;
  private total = 0;

  constructor() {
    this.profiler.start();
  }

  sinceStart(): number {
    const { statistics } = this.profiler.stop();
    const now = v8.getHeapStatistics().used_heap_size;
    this.total += now - this.heapBytes;
    for (const { beforeGC, afterGC } of statistics) {
      this.total += beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize;
    }
    this.heapBytes = now;
    this.profiler = new v8.GCProfiler();
    this.profiler.start();
    return this.total;
  }
}

function machineBusyMs(): number {
  const busyMs = cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
  return busyMs + stolenMs();
}

/** What a virtual machine's neighbours took of its cores: nobody's time within it, and lost to it all the same. */
function stolenMs(): number {
  try {
    const [, , , , , , , , steal] = readFileSync("/proc/stat", "utf8").slice(0, 200).split(/\s+/);
    return Number.isFinite(Number(steal)) ? Number(steal) * MS_PER_TICK : 0;
  } catch {
    return 0; // No /proc: not told.
  }
}

/** Linux counts there in hundredths of a second, on every architecture. */
const MS_PER_TICK = 10;

function nsToMs(ns: number): number {
  return Number.isFinite(ns) && ns < 1e15 ? ns / 1e6 : 0;
}

/** CPU time of each thread, from Linux's scheduler statistics. */
function threadTimes(): Sample["threads"] {
  const threads: Sample["threads"] = [];
  try {
    for (const name of readdirSync("/proc/self/task")) {
      const ns = Number(readFileSync(`/proc/self/task/${name}/schedstat`, "utf8").split(" ")[0]);
      const tid = Number(name);
      if (Number.isFinite(ns)) threads.push({ tid, main: tid === process.pid, cpuMs: ns / 1e6 });
    }
  } catch {
    return []; // No /proc, or a thread ended between the two reads: this figure is a convenience.
  }
  return threads;
}
