// What following proposals through the nodes costs: clusters that follow as many as a bench does at that load, loaded in
// short windows in which they follow and others in which they do not, in turn. The same processes in both, because
// fresh ones differ by more than what is looked for. What both have (the tables, hooks that note nothing) is not in the
// figure.
import { join } from "node:path";
import { Prng } from "../../src/base/prng.js";
import { MEASURES, pairedRatio } from "../gate/judge.js";
import type { Sample } from "../gate/pairs.js";
import { GATE_SETTINGS } from "../gate/run-gate.js";
import { estimateWindowsMs, Side } from "../gate/side.js";
import { BenchError } from "../harness/bench-error.js";
import { withRunDir } from "../harness/with-run-dir.js";
import type { RatioInterval } from "../stats/intervals.js";
import { percent } from "./alarms.js";
import type { Finding } from "./parts.js";

export const SAMPLED_AT = [1, 64, 1024] as const;
const COST_MAX = 0.02;
const SHAPE = { windows: 60, windowMs: 150, warmupMs: 2000 };
/** Starting, electing, stopping, checking the logs. */
const FIXED_MS = 3500;

export interface SamplingPlan {
  readonly inFlight: number;
  readonly clusters: number;
  readonly seed: number;
  readonly shape?: Partial<typeof SHAPE>;
}

export function estimateSamplingMs(clusters: number): number {
  const { windows, windowMs, warmupMs } = SHAPE;
  const each = FIXED_MS + warmupMs + estimateWindowsMs(2 * windows, windowMs);
  return SAMPLED_AT.length * clusters * each;
}

/** What is left with following, by what there is without: throughput, and CPU a proposal. */
export interface SamplingCost {
  readonly throughput: RatioInterval;
  readonly cpu: RatioInterval;
}

/** Throws BenchError when a cluster fails, or its logs do not prove what it acknowledged. */
export async function samplingCost(plan: SamplingPlan, signal: AbortSignal): Promise<SamplingCost> {
  const prng = new Prng(plan.seed);
  return withRunDir(null, false, async (runDir) => {
    const samples: Sample[] = [];
    for (let nth = 0; nth < plan.clusters; nth++) {
      signal.throwIfAborted();
      samples.push(...(await loadOne(plan, nth, runDir.path, prng, signal)));
    }
    return {
      throughput: pairedRatio(samples, MEASURES.throughput.of),
      cpu: pairedRatio(samples, MEASURES.cpu.of),
    };
  });
}

/** One cluster's windows, in pairs: head follows. */
async function loadOne(
  plan: SamplingPlan,
  nth: number,
  dir: string,
  prng: Prng,
  signal: AbortSignal,
): Promise<Sample[]> {
  const { inFlight } = plan;
  const { windows, windowMs, warmupMs } = { ...SHAPE, ...plan.shape };
  const side = await Side.start({
    name: `cluster ${nth + 1}`,
    env: {},
    dir: join(dir, `cluster-${nth}`),
    seed: prng.nextU32(),
    settings: { ...GATE_SETTINGS, trace: "on", inFlight },
    signal,
  });
  try {
    await side.warmUp(inFlight, warmupMs);
    const samples: Sample[] = [];
    for (let window = 0; window < windows; window++) {
      const followsFirst = prng.below(2) === 1;
      await side.follow(followsFirst);
      const first = await side.window(inFlight, windowMs);
      await side.follow(!followsFirst);
      const second = await side.window(inFlight, windowMs);
      const [base, head] = followsFirst ? [second, first] : [first, second];
      samples.push({ pair: nth, inFlight, base, head });
    }
    const faults = await side.finish();
    if (faults.length > 0) throw new BenchError("failed", `sampling: ${faults.join("; ")}`);
    return samples;
  } finally {
    await side.destroy();
  }
}

/** The part of the self-test. */
export function samplingFinding(inFlight: number, { throughput, cpu }: SamplingCost): Finding {
  const text = ({ estimate, low, high }: RatioInterval) =>
    `${percent(estimate)} (95 % interval ${percent(low)} to ${percent(high)})`;
  return {
    what: `waterfall's sampling: throughput left at ${inFlight} in flight`,
    expected: `at least ${percent(1 - COST_MAX)}`,
    measured: `${text(throughput)}; CPU a proposal ${text(cpu)}`,
    ok: throughput.estimate >= 1 - COST_MAX,
  };
}
