// A bench of the log alone, no cluster: what each writer takes in, what the disk would allow, how fast a log is opened.
// Every measurement is a process of its own; what is compared alternates, pair by pair. Owns the run directories.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Durability, WriterKind } from "../../src/node/api.js";
import { DSYNC_REACHES_DISK } from "../../src/wal/disk/direct.js";
import { BenchError } from "../harness/bench-error.js";
import { type DiskProbe, type Environment, probeDisk, readEnvironment } from "../harness/environment.js";
import { RunDir } from "../harness/run-dir.js";
import type { Answers, Job } from "./jobs.js";

/** Of what is durable here, through the page cache. */
const DURABLE: Durability = DSYNC_REACHES_DISK ? "o_dsync" : "fdatasync";

export interface WalBenchPlan {
  readonly writers: readonly WriterKind[];
  readonly batches: readonly number[];
  readonly bytes: number;
  /** How long one measurement takes. */
  readonly ms: number;
  readonly pairs: number;
  /** Size of the log that is opened. */
  readonly logBytes: number;
  readonly threads: readonly number[];
  /** The goraft program, to alternate with; null: none. */
  readonly peer: string | null;
  /** Null: picked. */
  readonly dir: string | null;
  readonly command: string;
}

/** Figures of the pairs, in order. */
export interface AppendRow {
  readonly place: "tmpfs" | "disk";
  readonly durability: Durability;
  readonly batch: number;
  readonly writer: WriterKind;
  /** WalOptions.busyPollUs. */
  readonly busyPollUs: number;
  /** Appends in flight. */
  readonly inFlight: number;
  readonly entriesPerS: number[];
  /** The peer's, one Save after another; empty without a peer. */
  readonly peerEntriesPerS: number[];
}

export interface LoopRow {
  readonly writer: WriterKind;
  readonly busyPollUs: number;
  readonly bytes: number;
  readonly appendsPerS: number[];
  /** The bare loop's. */
  readonly writesPerS: number[];
}

export interface RecoveryRow {
  readonly threads: number;
  readonly gbPerS: number[];
  readonly loopDelayP99Ms: number[];
  readonly loopDelayMaxMs: number[];
  readonly idleP99Ms: number[];
}

export interface WalBenchResult {
  readonly tool: "raftmark bench wal";
  readonly command: string;
  readonly startedAt: string;
  readonly elapsedMs: number;
  readonly plan: WalBenchPlan;
  readonly environment: Environment;
  readonly diskProbe: DiskProbe;
  /** What was left out, and why. */
  readonly skipped: readonly string[];
  readonly appends: readonly AppendRow[];
  readonly loops: readonly LoopRow[];
  /** Null: it did not come to that. */
  readonly recovery: Recovery | null;
  /** Ended by Ctrl-C or by a fault: what was measured before is here. */
  readonly interrupted: boolean;
}

interface Recovery {
  readonly logBytes: number;
  readonly entries: number;
  readonly rows: readonly RecoveryRow[];
}

export interface WalBenchOutcome {
  readonly result: WalBenchResult;
  /** What ended it before all was measured; null: it is. */
  readonly cut: BenchError | null;
}

const TMPFS = "/dev/shm";
/** Queued appends where it says "pipelined". */
const PIPELINED = 8;
/** Longer than nearly every write takes: threads that poll do not sleep. */
export const POLLING_US = 2000;
const CHILD = fileURLToPath(new URL("./child.js", import.meta.url));

/**
 * Runs `plan`; `say` gets a line before each part. Everything is cleaned up; throws BenchError where nothing was measured.
 */
export async function runWalBench(
  plan: WalBenchPlan,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<WalBenchOutcome> {
  const startedAt = new Date();
  const begun = performance.now();
  const disk = await RunDir.create(plan.dir, false);
  const tmpfs = existsSync(TMPFS) ? await RunDir.create(TMPFS, false) : null;
  const bench = new WalBench(plan, say, signal);
  const lastMoments = () => {
    bench.killNow();
    disk.removeSync();
    tmpfs?.removeSync();
  };
  process.once("exit", lastMoments);
  try {
    const environment = await readEnvironment(disk.fileSystem);
    const diskProbe = await probeDisk(disk.path);
    const skipped: string[] = [];
    if (tmpfs === null) skipped.push(`appends on tmpfs: there is no ${TMPFS}`);
    if (disk.fileSystem.volatile)
      skipped.push(`a real disk: ${disk.path} is ${disk.fileSystem.type}, memory`);
    const cut = await bench.all(disk.path, tmpfs?.path ?? null);
    const result = {
      tool: "raftmark bench wal",
      command: plan.command,
      startedAt: startedAt.toISOString(),
      elapsedMs: Math.round(performance.now() - begun),
      plan,
      environment,
      diskProbe,
      skipped,
      ...bench.measured,
      interrupted: cut !== null,
    } as const;
    if (cut !== null && result.appends.length === 0) throw cut;
    return { result, cut };
  } finally {
    process.removeListener("exit", lastMoments);
    bench.killNow();
    await disk.remove();
    await tmpfs?.remove();
  }
}

/** The values of busyPollUs that are measured; they mean something to the pool's two threads only. */
function pollings(writer: WriterKind): readonly number[] {
  return writer === "pool-wasm" ? [0, POLLING_US] : [0];
}

class WalBench {
  private child: ChildProcess | null = null;
  private readonly appendRows: AppendRow[] = [];
  private readonly loopRows: LoopRow[] = [];
  private recovered: Recovery | null = null;

  constructor(
    private readonly plan: WalBenchPlan,
    private readonly say: (text: string) => void,
    private readonly signal: AbortSignal,
  ) {}

  /** All parts; gives what ended it before. */
  async all(disk: string, tmpfs: string | null): Promise<BenchError | null> {
    try {
      if (tmpfs !== null) await this.appends("tmpfs", tmpfs);
      await this.appends("disk", disk);
      await this.loops(disk);
      await this.recovery(disk);
      return null;
    } catch (error) {
      if (error instanceof BenchError) return error;
      throw error;
    }
  }

  /** What there is so far: rows of which a figure is there. */
  get measured(): Pick<WalBenchResult, "appends" | "loops" | "recovery"> {
    const rows = this.recovered?.rows.filter(({ gbPerS }) => gbPerS.length > 0) ?? [];
    return {
      appends: this.appendRows.filter(({ entriesPerS }) => entriesPerS.length > 0),
      loops: this.loopRows.filter(({ writesPerS }) => writesPerS.length > 0),
      recovery: this.recovered === null || rows.length === 0 ? null : { ...this.recovered, rows },
    };
  }

  private async appends(place: "tmpfs" | "disk", dir: string): Promise<void> {
    const { writers, batches, bytes, ms, pairs, peer } = this.plan;
    const durability: Durability = place === "tmpfs" ? "none" : DURABLE;
    const rows: AppendRow[] = [];
    for (const batch of batches) {
      for (const writer of writers) {
        for (const busyPollUs of pollings(writer)) {
          for (const inFlight of [1, PIPELINED]) {
            const row = { place, durability, batch, writer, busyPollUs, inFlight };
            rows.push({ ...row, entriesPerS: [], peerEntriesPerS: [] });
          }
        }
      }
    }
    this.appendRows.push(...rows);
    for (const row of rows) {
      const { batch, writer, busyPollUs, inFlight } = row;
      const how = `${inFlight === 1 ? "one at a time" : "pipelined"}${busyPollUs > 0 ? ", polling" : ""}`;
      this.say(`${place}, ${batch} a batch, ${writer}, ${how}`);
      for (let pair = 0; pair < pairs; pair++) {
        if (peer !== null) row.peerEntriesPerS.push(await this.runPeer(peer, dir, durability, batch));
        const job = { kind: "append", writer, durability, bytes, batch, inFlight, busyPollUs, ms } as const;
        row.entriesPerS.push(
          (await this.inFreshDir(dir, (fresh) => this.run({ ...job, dir: fresh }))).entriesPerS,
        );
      }
    }
  }

  private async loops(dir: string): Promise<void> {
    const { writers, bytes, ms, pairs } = this.plan;
    const kinds = writers.flatMap((writer) => pollings(writer).map((busyPollUs) => ({ writer, busyPollUs })));
    for (const { writer, busyPollUs } of kinds) {
      const polling = busyPollUs > 0 ? ", polling" : "";
      this.say(`one durable append in flight against a bare loop of durable writes, ${writer}${polling}`);
      const job = {
        kind: "append",
        writer,
        durability: DURABLE,
        bytes,
        batch: 1,
        inFlight: 1,
        busyPollUs,
        ms,
      } as const;
      const row = { writer, busyPollUs, bytes: 0, appendsPerS: [] as number[], writesPerS: [] as number[] };
      this.loopRows.push(row);
      for (let pair = 0; pair < pairs; pair++) {
        const answer = await this.inFreshDir(dir, (fresh) => this.run({ ...job, dir: fresh }));
        row.bytes = answer.bytesPerAppend;
        row.appendsPerS.push(answer.appendsPerS);
        const loop = { kind: "loop", bytes: row.bytes, ms } as const;
        row.writesPerS.push(
          (await this.inFreshDir(dir, (fresh) => this.run({ ...loop, dir: fresh }))).writesPerS,
        );
      }
    }
  }

  private async recovery(dir: string): Promise<void> {
    const { bytes, logBytes, threads, pairs } = this.plan;
    await this.inFreshDir(dir, async (fresh) => {
      this.say(`opening a log of ${Math.round(logBytes / 1e6)} MB`);
      const written = await this.run({ kind: "fill", dir: fresh, bytes, logBytes });
      const rows = threads.map((count): RecoveryRow => {
        return { threads: count, gbPerS: [], loopDelayP99Ms: [], loopDelayMaxMs: [], idleP99Ms: [] };
      });
      this.recovered = { logBytes: written.logBytes, entries: written.entries, rows };
      for (let pair = 0; pair < pairs; pair++) {
        for (const row of rows) {
          const job = { kind: "recover", dir: fresh, threads: row.threads, written } as const;
          const { ms, loopDelayP99Ms, loopDelayMaxMs, idleP99Ms } = await this.run(job);
          row.gbPerS.push(written.logBytes / ms / 1e6);
          row.loopDelayP99Ms.push(loopDelayP99Ms);
          row.loopDelayMaxMs.push(loopDelayMaxMs);
          row.idleP99Ms.push(idleP99Ms);
        }
      }
    });
  }

  private async inFreshDir<T>(parent: string, work: (dir: string) => Promise<T>): Promise<T> {
    const dir = await mkdtemp(join(parent, "job-"));
    try {
      return await work(dir);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }

  private async run<J extends Job>(job: J): Promise<Answers[J["kind"]]> {
    const out = await this.spawn(`the measurement "${job.kind}"`, process.execPath, [
      CHILD,
      JSON.stringify(job),
    ]);
    return JSON.parse(out) as Answers[J["kind"]];
  }

  private runPeer(peer: string, parent: string, durability: Durability, batch: number): Promise<number> {
    return this.inFreshDir(parent, async (dir) => {
      const out = await this.spawn(peer, peer, [
        ...["-mode", "wal", "-bytes", String(this.plan.bytes), "-persave", String(batch), "-dir", dir],
        ...["-duration", `${this.plan.ms}ms`, "-durable", durability === "none" ? "nofsync" : "fsync"],
      ]);
      return (JSON.parse(out) as { entriesPerSecond: number }).entriesPerSecond;
    });
  }

  /** Runs a program to its end; its stdout. `what`: in a sentence. */
  private spawn(what: string, program: string, args: readonly string[]): Promise<string> {
    this.signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const child = spawn(program, args, {
        stdio: ["ignore", "pipe", "pipe"],
        signal: this.signal,
        killSignal: "SIGKILL",
      });
      this.child = child;
      let out = "";
      let complaint = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
      child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
      child.once("error", (error) => {
        // Aborted: "close" follows when it is gone, and only then may its files be removed.
        if (this.signal.aborted && child.pid !== undefined) return;
        reject(new BenchError("environment", `cannot run ${program}: ${error.message}.`, error));
      });
      child.once("close", (code, name) => {
        this.child = null;
        if (this.signal.aborted) reject(this.signal.reason);
        else if (code === 0) resolve(out);
        else {
          const how = name === null ? `ended with code ${code}` : `was killed by ${name}`;
          const why = complaint.trim() === "" ? "." : `: ${complaint.trim().replace(/\.?$/, ".")}`;
          const cure = complaint.includes("ENOSPC") ? " Free space, or choose another place with --dir." : "";
          reject(new BenchError("failed", `${what} ${how}${why}${cure}`));
        }
      });
    });
  }

  /** For the last moments of the process. */
  killNow(): void {
    this.child?.kill("SIGKILL");
  }
}
