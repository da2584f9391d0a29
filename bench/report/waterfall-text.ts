// The waterfall in one line: where the time of the fastest configuration's commits goes. Pure.
import { short } from "./numbers.js";
import type { Run } from "./result-schema.js";

/** Stages below this share of the total are named together. */
const SHARE_MIN = 0.02;

/** "where a commit's 4.02 ms go: queued 12 %, own disk 31 %, the rest 3 %"; null if no sound run was traced. */
export function waterfallText(runs: readonly Run[]): string | null {
  const traced = runs.filter((run) => run.waterfall !== null && run.void.length === 0);
  if (traced.length === 0) return null;
  const best = traced.reduce((a, b) => (b.proposalsPerS > a.proposalsPerS ? b : a));
  const { totalUs, stages } = best.waterfall!;
  const share = (us: number) => us / Math.max(totalUs.mean, Number.MIN_VALUE);
  const large = stages.filter(({ us }) => share(us.mean) >= SHARE_MIN);
  const rest = 1 - large.reduce((sum, { us }) => sum + share(us.mean), 0);
  const parts = large.map(({ name, us }) => `${name} ${percent(share(us.mean))}`);
  if (percent(rest) !== "0 %") parts.push(`the rest ${percent(rest)}`);
  return `where a commit's ${short(totalUs.mean / 1000)} ms go: ${parts.join(", ")}`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
