// Two revisions' engines under this tree's bench, in turn: each round runs the same bench command once on either side,
// in a fresh process, in an order drawn by the seed. Makes two results whose rounds pair. Owns the child processes.
import { type ChildProcess, spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Prng } from "../../src/base/prng.js";
import { BenchError } from "../harness/bench-error.js";
import { ENGINE_TREE } from "../harness/engine-from.js";
import { readResult } from "../report/read-result.js";
import type { Result } from "../report/result-schema.js";
import { verdict } from "../report/verdict.js";
import type { Tree } from "./trees.js";

export interface AlternatePlan {
  readonly base: Tree;
  readonly head: Tree;
  readonly rounds: number;
  readonly seed: number;
  /** Words of `raftmark bench`, without rounds, seed and output. */
  readonly benchWords: readonly string[];
  readonly command: string;
  /** For the results of single rounds. */
  readonly dir: string;
}

type Name = "base" | "head";

export interface Alternated {
  /** Of the rounds of which both sides are done; null: there is none. */
  readonly results: { readonly base: Result; readonly head: Result } | null;
  /** What ended it before all rounds were done, a signal's reason among others; null: nothing. */
  readonly ended: unknown;
}

/** Runs one round of one side. Tests have their own. */
export type RunBench = typeof benchOnce;

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const TAIL_CHARS = 4000;
/** How a bench ends whose figures are void; it leaves a result all the same. */
const EXIT_VOID = 1;
/** The bench's own limit for an orderly end is 9 s; that of this process too, so it takes both to lose what is done. */
const END_MS_MAX = 8000;

/** What ends it, be it Ctrl-C or a bench that fails, leaves the rounds of which both sides are done, marked as interrupted. */
export async function alternate(
  plan: AlternatePlan,
  signal: AbortSignal,
  onRun: (round: number, name: Name) => void,
  run: RunBench = benchOnce,
): Promise<Alternated> {
  let ended: unknown = null;
  const done: Record<Name, Result[]> = { base: [], head: [] };
  const prng = new Prng(plan.seed);
  try {
    for (let round = 0; round < plan.rounds; round++) {
      const order: Name[] = prng.below(2) === 0 ? ["base", "head"] : ["head", "base"];
      const made: Partial<Record<Name, Result>> = {};
      const seed = prng.nextU32();
      for (const name of order) {
        onRun(round, name);
        made[name] = await run(plan, name, seed, signal);
      }
      done.base.push(made.base!);
      done.head.push(made.head!);
    }
  } catch (error) {
    ended = signal.aborted ? signal.reason : error;
  }
  if (done.base.length === 0) return { results: null, ended };
  const of = (name: Name) => merged(plan, name, done[name], ended !== null);
  return { results: { base: of("base"), head: of("head") }, ended };
}

async function benchOnce(
  plan: AlternatePlan,
  name: Name,
  seed: number,
  signal: AbortSignal,
): Promise<Result> {
  signal.throwIfAborted();
  const out = join(plan.dir, `${name}.json`);
  const words = [MAIN, "bench", ...plan.benchWords, "--rounds", "1", "--seed", String(seed), "--out", out];
  const env = { ...process.env, [ENGINE_TREE]: plan[name].dir };
  // A group of its own: Ctrl-C on the terminal reaches it through us, once.
  const child = spawn(process.execPath, words, { env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  LIVE.add(child);
  let said = "";
  const note = (text: Buffer) => {
    said = (said + text.toString()).slice(-TAIL_CHARS);
  };
  child.stdout.on("data", note);
  child.stderr.on("data", note);
  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    child.kill("SIGINT");
    timer = setTimeout(() => child.kill("SIGKILL"), END_MS_MAX);
  };
  signal.addEventListener("abort", stop, { once: true });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  }).finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    LIVE.delete(child);
  });
  signal.throwIfAborted();
  if (code !== 0 && code !== EXIT_VOID) throw failure(plan[name], code, said);
  const result = await readResult(out).catch(() => null);
  await rm(out, { force: true });
  // A fault in the middle leaves what was done before it, which is no round.
  if (result === null || result.interrupted) throw failure(plan[name], code, said);
  return result;
}

function failure({ revision }: Tree, code: number | null, said: string): BenchError {
  const lines = said.trimEnd().split("\n").slice(-5);
  const why = lines.map((line) => `  ${line}`).join("\n");
  return new BenchError("failed", `the bench of ${revision} ended with code ${code}. It said last:\n${why}`);
}

const LIVE = new Set<ChildProcess>();

/** For the last moments of the process: each child's nodes end with it. */
export function killBenchesNow(): void {
  for (const child of LIVE) child.kill("SIGKILL");
}

/** The rounds of one side as one result, which says of which engine it is. */
function merged(plan: AlternatePlan, name: Name, results: readonly Result[], interrupted: boolean): Result {
  const tree = plan[name];
  const [first] = results;
  const each = first.runs.length;
  const runs = results.flatMap((result, round) =>
    result.runs.map((run) => ({ ...run, round, sequence: round * each + run.sequence })),
  );
  const body = {
    ...first,
    command: plan.command,
    elapsedMs: results.reduce((sum, { elapsedMs }) => sum + elapsedMs, 0),
    options: { ...first.options, rounds: results.length, seed: plan.seed },
    environment: { ...first.environment, commit: tree.commit, dirty: tree.dirty },
    interrupted,
    disturbance: {
      repeated: results.reduce((sum, { disturbance }) => sum + disturbance.repeated, 0),
      leftOut: runs.filter(({ disturbed }) => disturbed.length > 0).length,
    },
    runs: runs.sort((a, b) => a.position - b.position || a.round - b.round),
  };
  return { ...body, verdict: verdict(body) };
}
