// What following proposals through the nodes costs: pairs of clusters of one engine, both up at once and loaded in
// turn; head follows as many proposals as a bench does at that load, base none.
import { MEASURES, pairedRatio } from "../gate/judge.js";
import { estimatePairsMs, runPairs } from "../gate/pairs.js";
import { GATE_SETTINGS } from "../gate/run-gate.js";
import { BenchError } from "../harness/bench-error.js";
import { RunDir } from "../harness/run-dir.js";
import type { RatioInterval } from "../stats/intervals.js";
import { percent } from "./alarms.js";
import type { Finding } from "./parts.js";

export const SAMPLED_AT = [64, 1024] as const;
const COST_MAX = 0.02;
const SHAPE = { windows: 12, windowMs: 150, warmupMs: 1200 };

export interface SamplingPlan {
  readonly inFlight: number;
  readonly pairs: number;
  readonly seed: number;
  readonly shape?: Partial<typeof SHAPE>;
}

export function estimateSamplingMs(pairs: number): number {
  const each = { ...SHAPE, pairs, settings: GATE_SETTINGS, seed: 0 };
  return SAMPLED_AT.length * estimatePairsMs({ ...each, inFlight: [0] });
}

/** Throughput with following, by throughput without. Throws BenchError when a cluster fails. */
export async function samplingCost(plan: SamplingPlan, signal: AbortSignal): Promise<RatioInterval> {
  const { inFlight, pairs, seed, shape } = plan;
  const runDir = await RunDir.create(null, false);
  try {
    const { samples, voids } = await runPairs(
      {
        baseEnv: {},
        headEnv: {},
        inFlight: [inFlight],
        settings: { ...GATE_SETTINGS, inFlight },
        headSettings: { trace: "on" },
        pairs,
        ...SHAPE,
        ...shape,
        seed,
        dir: runDir.path,
      },
      signal,
      () => {},
    );
    if (voids.length > 0) throw new BenchError("failed", `sampling: ${voids.join("; ")}`);
    return pairedRatio(samples, MEASURES.throughput.of);
  } finally {
    await runDir.remove();
  }
}

/** The part of the self-test. */
export function samplingFinding(inFlight: number, { estimate, low, high }: RatioInterval): Finding {
  return {
    what: `waterfall's sampling: throughput left at ${inFlight} in flight`,
    expected: `at least ${percent(1 - COST_MAX)}`,
    measured: `${percent(estimate)} (95 % interval ${percent(low)} to ${percent(high)})`,
    ok: estimate >= 1 - COST_MAX,
  };
}
