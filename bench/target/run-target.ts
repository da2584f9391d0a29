// Loads a cluster of the key-value service that runs already, from processes of clients, and puts together what they saw.
// Nothing is started but the clients, and nothing is left in the cluster: their keys are deleted at the end.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { BenchError, messageOf } from "../harness/bench-error.js";
import { LatencyCounts, percentileMs, toHistogram, UNITS_PER_MS } from "../harness/latency.js";
import { SERIES_STEP_MS } from "../harness/load.js";
import { plural } from "../report/numbers.js";
import { SILENT_MS, type Target, TargetClient, targetText } from "./target-client.js";
import type { TargetLoadPlan, TargetLoadResult } from "./target-load.js";

export interface TargetRow {
  readonly inFlight: number;
  readonly valueBytes: number;
  readonly readsPerWrite: number;
}

export interface TargetPlan {
  readonly targets: readonly Target[];
  readonly rows: readonly TargetRow[];
  readonly clients: number;
  readonly warmupMs: number;
  readonly durationMs: number;
  readonly run: string;
  readonly command: string;
}

/** What a member said of itself. */
export interface Member {
  readonly target: string;
  readonly id: number;
  readonly state: string;
  readonly term: number;
  readonly leader: number;
  readonly applied: number;
}

export interface Percentiles {
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly p99_9: number;
  readonly max: number;
}

export interface TargetRun extends TargetRow {
  readonly clients: number;
  /** Of the client that had the longest: those whose callers all gave up have a shorter one. */
  readonly windowMs: number;
  /** Callers that gave up, as a request of theirs had no outcome: there were so many fewer from then on. */
  readonly gaveUp: number;
  /** Acknowledged in the window. */
  readonly writes: number;
  readonly writesPerS: number;
  /** Of those under way in the window, whenever they were answered; reads too. */
  readonly writeMs: Percentiles | null;
  readonly reads: number;
  readonly readsPerS: number;
  readonly readMs: Percentiles | null;
  readonly series: { readonly stepMs: number; readonly writes: readonly number[] };
  readonly acknowledged: number;
  readonly again: number;
  readonly said: Readonly<Record<string, number>>;
  readonly failed: Readonly<Record<string, number>>;
  readonly keysChecked: number;
  readonly findings: readonly string[];
  /** Keys that could not be read back, so that nothing is known of them, a sentence each. */
  readonly unread: readonly string[];
  /** How often the term rose between before and after. */
  readonly elections: number;
}

export interface TargetResult {
  readonly kind: "raftmark target";
  readonly startedAt: string;
  readonly command: string;
  readonly node: string;
  readonly members: readonly Member[];
  readonly runs: readonly TargetRun[];
  /** Only the runs that were done are told. */
  readonly interrupted: boolean;
}

export interface TargetOutcome {
  readonly result: TargetResult;
  /** What ended it before all rows were done; null: they are. */
  readonly cut: BenchError | null;
}

const PROGRAM = fileURLToPath(new URL("./target-main.js", import.meta.url));
/** How long a request is tried again: an election, and more. */
const PATIENCE_MS = 15_000;
/**
 * Beyond warm-up and window: a write, its outcome, reading back and deleting, each of which may wait till its patience
 * is over.
 */
const SLACK_MS = 4 * (PATIENCE_MS + SILENT_MS) + 20_000;

/** Rejects with BenchError where a target does not answer as a node of the service, or there is no row that was done. */
export async function runTarget(
  plan: TargetPlan,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<TargetOutcome> {
  const startedAt = new Date().toISOString();
  const members = await Promise.all(plan.targets.map(memberAt));
  refuseTwice(members);
  const leader = members.find(({ state }) => state === "StateLeader");
  const who = leader === undefined ? "none of them leads" : `node ${leader.id} leads term ${leader.term}`;
  say(`${plural(members.length, "node")} of a running cluster; ${who}`);
  const runs: TargetRun[] = [];
  let cut: BenchError | null = null;
  for (const row of plan.rows) {
    try {
      runs.push(await rowOf(plan, row, signal));
      signal.throwIfAborted();
    } catch (error) {
      if (!(error instanceof BenchError)) throw error;
      // A client that had no session of its own yet dies of a terminal's Ctrl-C: that is no fault of its.
      cut = signal.aborted ? (signal.reason as BenchError) : error;
      break;
    }
  }
  if (cut !== null && runs.length === 0) throw cut;
  const { command } = plan;
  const node = process.version;
  const interrupted = cut !== null;
  const result = { kind: "raftmark target", startedAt, command, node, members, runs, interrupted } as const;
  return { result, cut };
}

async function rowOf(plan: TargetPlan, row: TargetRow, signal: AbortSignal): Promise<TargetRun> {
  const before = await termOf(plan.targets);
  signal.throwIfAborted();
  const results = await loadAll(plan, row, signal);
  return runOf(plan, row, results, Math.max(0, (await termOf(plan.targets)) - before));
}

/** By two names, or of two clusters, whose sum would be shown as one's. */
function refuseTwice(members: readonly Member[]): void {
  for (const [i, { id, target }] of members.entries()) {
    const other = members.slice(0, i).find((member) => member.id === id);
    if (other === undefined) continue;
    const text = `--target: node ${id} answers at ${other.target} and at ${target}: name each node of one cluster once.`;
    throw new BenchError("usage", text);
  }
}

/** The highest of those that answer: some may have been stopped meanwhile. */
async function termOf(targets: readonly Target[]): Promise<number> {
  const members = await Promise.allSettled(targets.map(memberAt));
  return Math.max(0, ...members.map((member) => (member.status === "fulfilled" ? member.value.term : 0)));
}

async function memberAt(target: Target): Promise<Member> {
  const client = new TargetClient([target], 1, 0);
  const { status, body, failure } = await client.ask("GET", "/status", null, 0);
  client.close();
  const at = targetText(target);
  if (status === 0) {
    const text = `--target: no answer at ${failure}. Is it running? \`raftmark cluster up\` starts a cluster here.`;
    throw new BenchError("environment", text);
  }
  try {
    const { id, state, term, leader, applied } = JSON.parse(body.toString()) as Member;
    if (status !== 200 || typeof id !== "number" || typeof term !== "number")
      throw new Error(`status ${status}`);
    return { target: at, id, state, term, leader, applied };
  } catch (cause) {
    const text = `--target: what answers at ${at} is no node of \`raftmark serve\`: GET /status gave ${messageOf(cause)}.`;
    throw new BenchError("environment", text, cause);
  }
}

/** All client processes at once; where one fails, the others end in order first. */
async function loadAll(plan: TargetPlan, row: TargetRow, signal: AbortSignal): Promise<TargetLoadResult[]> {
  const ending = new AbortController();
  const end = () => ending.abort();
  signal.addEventListener("abort", end, { once: true });
  const running = clientsOf(plan, row, ending.signal);
  for (const client of running) client.catch(end);
  await Promise.allSettled(running);
  signal.removeEventListener("abort", end);
  return Promise.all(running);
}

function clientsOf(plan: TargetPlan, row: TargetRow, signal: AbortSignal): Promise<TargetLoadResult>[] {
  const clients = Math.min(plan.clients, row.inFlight);
  return Array.from({ length: clients }, (_, client) => {
    // Callers that do not divide go to the first.
    const callers = Math.floor(row.inFlight / clients) + (client < row.inFlight % clients ? 1 : 0);
    const { targets, run, warmupMs, durationMs } = plan;
    const { valueBytes, readsPerWrite } = row;
    return runClient(
      {
        targets,
        run,
        client,
        callers,
        valueBytes,
        readsPerWrite,
        warmupMs,
        durationMs,
        patienceMs: PATIENCE_MS,
      },
      signal,
    );
  });
}

function runClient(plan: TargetLoadPlan, signal: AbortSignal): Promise<TargetLoadResult> {
  const child = fork(PROGRAM, [], {
    detached: true, // Ctrl-C on the terminal reaches it through us, which it may not listen for yet.
    serialization: "advanced",
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const stop = () => child.connected && child.send("stop");
  signal.addEventListener("abort", stop, { once: true });
  const timer = setTimeout(() => child.kill("SIGKILL"), plan.warmupMs + plan.durationMs + SLACK_MS);
  return new Promise<TargetLoadResult>((resolve, reject) => {
    child.on("message", (message: { result?: TargetLoadResult; error?: string }) => {
      if (message.result !== undefined) resolve(message.result);
      if (message.error !== undefined) reject(new BenchError("failed", `a client failed: ${message.error}`));
    });
    child.once("error", (cause) =>
      reject(new BenchError("failed", `a client did not start: ${cause.message}`)),
    );
    child.once("exit", (code, name) =>
      reject(new BenchError("failed", `a client ended early (${name ?? `code ${code}`}).`)),
    );
    child.send(plan);
  }).finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    child.kill("SIGKILL");
  });
}

/** Puts together what the clients saw. */
export function runOf(
  { clients }: Pick<TargetPlan, "clients">,
  row: TargetRow,
  results: readonly TargetLoadResult[],
  elections: number,
): TargetRun {
  const sum = (of: (result: TargetLoadResult) => number) =>
    results.reduce((so, result) => so + of(result), 0);
  const windowMs = Math.max(1, ...results.map((result) => result.windowMs));
  const [writes, reads] = (["writes", "reads"] as const).map((name) =>
    merged(results.map((one) => one[name])),
  );
  const [writesDone, readsDone] = [sum((result) => result.writesDone), sum((result) => result.readsDone)];
  // Those that every client has: Ctrl-C may come to one of them a step later.
  const steps = Math.min(...results.map((result) => result.series.length));
  const series = Array.from({ length: steps }, (_, i) => sum((result) => result.series[i]!));
  return {
    ...row,
    clients: Math.min(clients, row.inFlight),
    windowMs,
    gaveUp: sum((result) => result.gaveUp),
    writes: writesDone,
    writesPerS: writesDone / (windowMs / 1000),
    writeMs: percentilesOf(writes!),
    reads: readsDone,
    readsPerS: readsDone / (windowMs / 1000),
    readMs: percentilesOf(reads!),
    series: { stepMs: SERIES_STEP_MS, writes: series },
    acknowledged: sum((result) => result.acknowledged),
    again: sum((result) => result.again),
    said: counted(results.map((result) => result.said)),
    failed: counted(results.map((result) => result.failed)),
    keysChecked: sum((result) => result.keysChecked),
    findings: results.flatMap((result) => result.findings),
    unread: results.flatMap((result) => result.unread),
    elections,
  };
}

function counted(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const one of all)
    for (const [name, count] of Object.entries(one)) total[name] = (total[name] ?? 0) + count;
  return total;
}

function merged(all: readonly LatencyCounts[]): LatencyCounts {
  const into = new LatencyCounts();
  for (const one of all) into.add(one);
  return into;
}

function percentilesOf(latencies: LatencyCounts): Percentiles | null {
  if (latencies.total === 0) return null;
  const histogram = toHistogram(latencies);
  const at = (percentile: number) => percentileMs(histogram, percentile, latencies.max / UNITS_PER_MS);
  return {
    mean: latencies.sum / latencies.total / UNITS_PER_MS,
    p50: at(50),
    p99: at(99),
    p99_9: at(99.9),
    max: latencies.max / UNITS_PER_MS,
  };
}
