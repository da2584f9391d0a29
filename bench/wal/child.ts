// Does one job of `raftmark bench wal` in a process of its own: the job is the first argument, the answer goes to stdout.
import fs from "node:fs";
import path from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { assert } from "../../src/base/assert.js";
import { Entry, EntryNormal } from "../../src/raft/raftpb/index.js";
import { openWal, type Wal } from "../../src/wal/index.js";
import { codeOf, messageOf } from "../harness/bench-error.js";
import type {
  AppendAnswer,
  AppendJob,
  FillAnswer,
  FillJob,
  Job,
  LoopAnswer,
  LoopJob,
  RecoverAnswer,
  RecoverJob,
} from "./jobs.js";

const METADATA = Uint8Array.of(8, 1, 16, 1);
/** As goraft: bytes that are not all the same, one array for all entries. */
const dataOf = (bytes: number): Uint8Array => new Uint8Array(bytes).map((_, i) => (i * 7) & 0xff);
/** /dev/shm is memory: older segments go. As goraft, which keeps three. */
const KEEP_SEGMENTS = 4;
const RELEASE_EVERY_BYTES = 128 << 20;

/** Keeps `inFlight` appends of `batch` entries queued; resolves with the counts when `until` says so. */
class Appender {
  index = 0;
  private queued = 0;
  private durable = 0;
  private readonly data: Uint8Array;

  constructor(
    private readonly wal: Wal,
    bytes: number,
    private readonly batch: number,
    private readonly inFlight: number,
  ) {
    this.data = dataOf(bytes);
  }

  run(isEnough: (durableAppends: number) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const fill = (): void => {
        if (isEnough(this.durable)) {
          if (this.durable === this.queued) resolve();
          return;
        }
        while (this.queued - this.durable < this.inFlight) this.append();
      };
      this.wal.onFault = reject;
      this.wal.onDurable = (seq) => {
        this.durable = seq;
        fill();
      };
      fill();
    });
  }

  private append(): void {
    const commit = this.index;
    const entries = new Array<Entry>(this.batch);
    for (let i = 0; i < this.batch; i++) entries[i] = new Entry(EntryNormal, 1, ++this.index, this.data);
    // What goraft saves: the entries, and a state of which only the commit index changes.
    this.wal.append({ term: 1, vote: 1, commit }, entries);
    this.queued++;
  }
}

const WARM_UP_SHARE = 0.2;

async function append(job: AppendJob): Promise<AppendAnswer> {
  const dir = path.join(job.dir, "wal");
  const { writer, durability, batch, inFlight, busyPollUs } = job;
  const wal = await openWal({
    dir,
    metadata: METADATA,
    writer,
    durability,
    busyPollUs,
    logCacheBytes: 4 << 20,
  });
  const appender = new Appender(wal, job.bytes, batch, inFlight);
  const begun = performance.now();
  let from = { at: begun, appends: 0, bytes: 0 };
  let to = from;
  let released = 0;
  await appender.run((appends) => {
    const now = performance.now();
    const { bytes } = wal.stats();
    if (bytes - released > RELEASE_EVERY_BYTES) {
      released = bytes;
      release(dir);
    }
    if (now < begun + job.ms * WARM_UP_SHARE) from = { at: now, appends, bytes };
    // One that took longer than all of it is what was measured, then: of none there is no rate.
    else if (now < begun + job.ms || to.appends <= from.appends) to = { at: now, appends, bytes };
    return now >= begun + job.ms;
  });
  const stats = wal.stats();
  assert(stats.entries === appender.index, "entries are missing from the log");
  await wal.close();
  const appends = to.appends - from.appends;
  const seconds = (to.at - from.at) / 1000;
  return {
    entriesPerS: Math.round((appends * batch) / seconds),
    appendsPerS: Math.round(appends / seconds),
    bytesPerAppend: Math.round(stats.bytes / stats.appends),
    writes: stats.writes,
  };
}

/** Removes old segments; nothing here reads them. */
function release(dir: string): void {
  const names = fs
    .readdirSync(dir)
    .filter((name) => name.endsWith(".wal"))
    .sort();
  for (const name of names.slice(0, -KEEP_SEGMENTS)) fs.unlink(path.join(dir, name), () => {});
}

function loop(job: LoopJob): Promise<LoopAnswer> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./dsync-loop.js", import.meta.url), { workerData: job });
    worker.once("message", resolve).once("error", reject);
  });
}

async function fill(job: FillJob): Promise<FillAnswer> {
  const dir = path.join(job.dir, "wal");
  const batch = 256;
  const wal = await openWal({
    dir,
    metadata: METADATA,
    writer: "pool-wasm",
    durability: "none",
    logCacheBytes: 1 << 20,
  });
  const appender = new Appender(wal, job.bytes, batch, 16);
  await appender.run(() => wal.stats().bytes >= job.logBytes);
  const { bytes, appends } = wal.stats();
  await wal.close();
  const segments = fs.readdirSync(dir).filter((name) => name.endsWith(".wal")).length;
  // Each append has a state; each segment a crc and a metadata record, the first a snapshot, the others a state. Each
  // write ends with a seal, but how many writes there were is the writer's affair.
  const recordsMin = appender.index + appends + 3 * segments;
  return { entries: appender.index, recordsMin, segments, logBytes: bytes };
}

const SAMPLING_MS = 1;
const IDLE_MS = 500;

async function recover(job: RecoverJob): Promise<RecoverAnswer> {
  const { dir, threads, written } = job;
  const delays = monitorEventLoopDelay({ resolution: SAMPLING_MS });
  // What the timer itself is late by on this machine now, with nothing to do.
  delays.enable();
  await setTimeout(IDLE_MS);
  delays.disable();
  const idleP99Ms = lateMs(delays.percentile(99));
  delays.reset();
  delays.enable();
  const begun = performance.now();
  const wal = await openWal({
    dir: path.join(dir, "wal"),
    metadata: METADATA,
    writer: "pool-wasm",
    durability: "none",
    logCacheBytes: 4 << 20,
    recoveryThreads: threads,
  });
  const ms = performance.now() - begun;
  delays.disable();
  const { recovered } = wal;
  assert(recovered.lastIndex === written.entries, "entries are missing after recovery");
  assert(recovered.records >= written.recordsMin, "records are missing after recovery");
  assert(recovered.segments === written.segments, "segments are missing after recovery");
  await wal.close();
  return {
    ms: Math.round(ms),
    loopDelayP99Ms: lateMs(delays.percentile(99)),
    loopDelayMaxMs: lateMs(delays.max),
    idleP99Ms,
  };
}

/** The monitor tells the time between two of its timers; what is above the time asked for is delay. */
function lateMs(betweenNs: number): number {
  return Math.max(0, Math.round(betweenNs / 1e4 - SAMPLING_MS * 100) / 100);
}

function run(job: Job): Promise<unknown> {
  if (job.kind === "append") return append(job);
  if (job.kind === "loop") return loop(job);
  return job.kind === "fill" ? fill(job) : recover(job);
}

try {
  process.stdout.write(`${JSON.stringify(await run(JSON.parse(process.argv[2]) as Job))}\n`);
} catch (error) {
  // What the disk or the log refused is a sentence; a bug of ours has its stack.
  if (codeOf(error) === "") throw error;
  process.stderr.write(`${messageOf(error)}\n`);
  process.exit(1);
}
