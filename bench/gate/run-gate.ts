// The gate: two trees' engines under this tree's harness, counted and then measured in pairs, and the judgement. Owns
// the data directory of the run; the trees are the caller's.
import { ENGINE_TREE } from "../harness/engine-from.js";
import { type Environment, readEnvironment } from "../harness/environment.js";
import { withRunDir } from "../harness/with-run-dir.js";
import { runCounted } from "./counted.js";
import { isDecided, type Judgement, judge } from "./judge.js";
import { estimatePairsMs, runPairs, type Sample } from "./pairs.js";
import { type StartSide, startSide } from "./side.js";
import { notMeasured, Troubles } from "./troubles.js";

export interface GatePlan {
  /** Root of each side's built tree, and what tests plant in head. */
  readonly base: string;
  readonly head: string;
  readonly headEnv: NodeJS.ProcessEnv;
  /** 0.05: five per cent. */
  readonly tolerance: number;
  readonly pairs: number;
  readonly windows: number;
  readonly windowMs: number;
  readonly warmupMs: number;
  readonly counted: boolean;
  readonly seed: number;
  /** Null: picked. */
  readonly dir: string | null;
}

export const IN_FLIGHT = [64, 1024] as const;
export const GATE_SETTINGS = { writer: "pool-wasm", trace: "off" } as const;

/** Windows of one pair differ by some 15 %, pairs by another 4 to 8 %: so many of each tell 10 % from nothing. */
export const GATE_DEFAULTS = {
  tolerance: 0.05,
  pairs: 8,
  windows: 8,
  windowMs: 150,
  warmupMs: 1000,
  counted: true,
} as const;

const COUNTED_MS = 9000;

export function estimateGateMs(plan: Omit<GatePlan, "base" | "head" | "headEnv" | "dir">): number {
  const pairs = estimatePairsMs({ ...plan, inFlight: IN_FLIGHT, settings: GATE_SETTINGS });
  return pairs + (plan.counted ? COUNTED_MS : 0);
}

export interface GateOutcome extends Judgement {
  /** What stood still, failed or was tried again, in words. */
  readonly troubles: readonly string[];
  readonly samples: readonly Sample[];
  readonly environment: Environment;
  /**
   * Why there are fewer pairs than a judgement takes; null: there are enough. Otherwise nothing is judged by speed: the
   * findings are what was seen, and `state` is by what was counted or is void alone.
   */
  readonly cut: Error | null;
}

export interface GateObserver {
  counted(): void;
  pair(pair: number, samples: readonly Sample[]): void;
  /** Something stood still, or failed and is tried again. */
  trouble(text: string): void;
}

/**
 * Runs both halves. What ends it once the counted one is over leaves what there is (`cut`). Before that it throws
 * BenchError: unmeasured, whatever failed on the way and had been tried again often enough, environment, or why the run
 * was aborted. Nothing is left running.
 */
export async function runGate(
  plan: GatePlan,
  observer: GateObserver,
  signal: AbortSignal,
  /** Tests have their own. */
  start: StartSide = startSide,
): Promise<GateOutcome> {
  return withRunDir(plan.dir, false, async (runDir) => {
    const environment = await readEnvironment(runDir.fileSystem);
    const sides = {
      env: {
        base: { [ENGINE_TREE]: plan.base },
        head: { [ENGINE_TREE]: plan.head, ...plan.headEnv },
      },
      settings: GATE_SETTINGS,
      seed: plan.seed,
      dir: runDir.path,
    };
    const troubles = new Troubles((text) => observer.trouble(text));
    const common = { signal, troubles, start };
    const nothing = { counted: [], voids: [] };
    const exact = plan.counted ? await runCounted({ ...common, plan: sides }) : nothing;
    if (plan.counted) observer.counted();
    const { pairs, windows, windowMs, warmupMs } = plan;
    const shape = { inFlight: IN_FLIGHT, pairs, windows, windowMs, warmupMs };
    const onPair = (pair: number, samples: readonly Sample[]) => observer.pair(pair, samples);
    const enough = (samples: readonly Sample[]) => isDecided(samples, pairs, plan.tolerance);
    const noisy = await runPairs({ ...common, plan: { ...sides, ...shape } }, onPair, enough);
    const voids = [...exact.voids, ...noisy.voids];
    const evidence = { samples: noisy.samples, counted: exact.counted, voids };
    const cut = noisy.cut === null ? null : whyEnded(noisy.cut.error, signal);
    // Nothing was proved, and nothing is there to tell.
    if (cut !== null && !plan.counted && noisy.samples.length === 0) throw cut;
    const judgement = judge(evidence, plan.tolerance);
    const { state } = cut === null ? judgement : judge({ ...evidence, samples: [] }, plan.tolerance);
    return { ...judgement, state, troubles: troubles.told, samples: noisy.samples, environment, cut };
  }).catch((error: unknown) => {
    throw whyEnded(error, signal);
  });
}

function whyEnded(error: unknown, signal: AbortSignal): Error {
  return (signal.aborted ? signal.reason : notMeasured(error)) as Error;
}
