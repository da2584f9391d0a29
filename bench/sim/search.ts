// Many worlds, on as many processes as there are cores: seeds in a row, until one fails, the time is over or somebody
// has seen enough. A world's process does nothing else, since its host is simulated meanwhile.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describeFailure, runWorld, type SimPlan } from "./run-sim.js";
import type { Outcome } from "./world.js";

export interface Search {
  readonly first: number;
  /** Worlds, and milliseconds, at most. */
  readonly seeds: number;
  readonly ms: number;
  readonly steps: number;
  readonly profile: string;
  readonly processes: number;
}

export interface Found {
  worlds: number;
  events: number;
  cpuMs: number;
  writes: number;
  reads: number;
  histories: number;
  /** How many of each kind of fault came. */
  readonly faults: Record<string, number>;
  /** The worlds in which something broke, in words. */
  readonly failures: string[];
}

/** What a worker says of one world. */
interface Report {
  readonly plan: SimPlan;
  readonly outcome: Outcome;
  readonly cpuMs: number;
}

/** Behind the last seed comes the first. */
const SEEDS = 2 ** 32;

/** `told` is called after each world. When `signal` aborts, worlds that are under way count for nothing. */
export async function search(
  plan: Search,
  told: (found: Found) => void,
  signal: AbortSignal,
): Promise<Found> {
  const found: Found = {
    worlds: 0,
    events: 0,
    cpuMs: 0,
    writes: 0,
    reads: 0,
    histories: 0,
    faults: {},
    failures: [],
  };
  const end = performance.now() + plan.ms;
  let next = plan.first;
  const isOver = (): boolean =>
    next >= plan.first + plan.seeds || performance.now() > end || found.failures.length > 0 || signal.aborted;
  const aborted = new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const work = async (worker: ChildProcess): Promise<void> => {
    while (!isOver()) {
      const world = { seed: next++ % SEEDS, steps: plan.steps, profile: plan.profile };
      const report = await ask(worker, world);
      found.worlds++;
      found.events += report.outcome.events;
      found.cpuMs += report.cpuMs;
      found.writes += report.outcome.writes;
      found.reads += report.outcome.reads;
      found.histories += report.outcome.histories;
      for (const [fault, count] of Object.entries(report.outcome.faults)) {
        found.faults[fault] = (found.faults[fault] ?? 0) + count;
      }
      if (report.outcome.violation !== null) found.failures.push(describeFailure(world, report.outcome));
      told(found);
    }
  };
  const workers = Array.from({ length: Math.min(plan.processes, plan.seeds) }, () =>
    // Apart from the terminal: Ctrl-C is for this process alone.
    fork(fileURLToPath(import.meta.url), ["worker"], { detached: true }),
  );
  try {
    await Promise.race([Promise.all(workers.map(work)), aborted]);
  } finally {
    for (const worker of workers) worker.kill();
  }
  return found;
}

/** A signal to both may be heard of here so much later, on a machine that has much to do. */
const CTRL_C_MS = 500;

function ask(worker: ChildProcess, world: SimPlan): Promise<Report> {
  return new Promise((resolve, reject) => {
    const gone = (how: number | null | Error): void => {
      const why = how instanceof Error ? how.message : `it ended with ${how}`;
      // A Ctrl-C that met it before it was apart is heard of soon.
      setTimeout(
        () => reject(new Error(`seed ${world.seed}: its process did not answer: ${why}`)),
        CTRL_C_MS,
      );
    };
    worker.once("exit", gone);
    worker.once("error", gone);
    worker.once("message", (report) => {
      worker.off("exit", gone);
      worker.off("error", gone);
      resolve(report as Report);
    });
    worker.send(world);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === "worker") {
  process.on("disconnect", () => process.exit());
  process.on("message", async (plan: SimPlan) => {
    const { user, system } = process.cpuUsage();
    const outcome = await runWorld(plan);
    const used = process.cpuUsage();
    process.send!({
      plan,
      outcome,
      cpuMs: (used.user + used.system - user - system) / 1000,
    } satisfies Report);
  });
}
