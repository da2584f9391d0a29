// The waterfall as terminal and page tell it: of each configuration the run with the median throughput, and of its
// stages the seven longest by name, the rest together, so that each keeps a hue of its own. Pure.
import { highestOf, isCounted, type Row, rowsOf, validRuns } from "../stats/rows.js";
import { grouped, short } from "./numbers.js";
import type { Result, Run, Waterfall } from "./result-schema.js";

/** More hues than these and the rest's one cannot be told apart. */
const NAMED_MAX = 7;
/** A mean of fewer says little. */
export const FOLLOWED_MIN = 20;

/** The valid run with the median throughput, which stands for its row; null: all are void. */
export function typicalRun({ runs }: Pick<Row, "runs">): Run | null {
  const sorted = validRuns(runs).sort((a, b) => a.proposalsPerS - b.proposalsPerS);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
}

/** The stages that are told by name wherever these waterfalls are shown, in the order of the path. */
export function mainStages(waterfalls: readonly Waterfall[]): string[] {
  const greatest = new Map<string, number>();
  for (const { totalUs, stages } of waterfalls) {
    for (const { name, us } of stages) {
      greatest.set(
        name,
        Math.max(greatest.get(name) ?? 0, us.mean / Math.max(totalUs.mean, Number.MIN_VALUE)),
      );
    }
  }
  const largest = [...greatest].sort(([, a], [, b]) => b - a).slice(0, NAMED_MAX);
  const named = new Set(largest.map(([name]) => name));
  return [...greatest.keys()].filter((name) => named.has(name));
}

export interface Part {
  readonly name: string;
  /** Mean, microseconds. */
  readonly us: number;
}

/** What the rest is called: "9 short stages". Null: every stage has its name. */
export function restName(waterfalls: readonly Waterfall[], named: readonly string[]): string | null {
  const rest = new Set(waterfalls.flatMap(({ stages }) => stages.map(({ name }) => name)));
  for (const name of named) rest.delete(name);
  if (rest.size === 0) return null;
  return rest.size === 1 ? [...rest][0] : `${rest.size} short stages`;
}

/** The parts of one waterfall: the named stages, then the rest in one; they add up to the whole. */
export function partsOf(waterfall: Waterfall, named: readonly string[], rest: string | null): Part[] {
  const parts = waterfall.stages
    .filter(({ name }) => named.includes(name))
    .map(({ name, us }) => ({ name, us: us.mean }));
  const left = waterfall.totalUs.mean - parts.reduce((sum, { us }) => sum + us, 0);
  return rest === null ? parts : [...parts, { name: rest, us: Math.max(0, left) }];
}

/**
 * "Where a commit's 4.02 ms go (pool-wasm, the run with the median throughput; the mean of 512 that were followed): own
 * disk 31 %, 9 short stages 3 %" for the configuration of the highest throughput; null if no sound run was traced, and
 * enough of its commits.
 */
export function waterfallText(result: Pick<Result, "runs">, nameOf: (row: Row) => string): string | null {
  const rows = rowsOf(result);
  const typical = rows.map(typicalRun);
  const all = typical.flatMap((run) => run?.waterfall ?? []);
  const traced = rows
    .filter(isCounted)
    .filter((row) => (typicalRun(row)?.waterfall?.sampled ?? 0) >= FOLLOWED_MIN);
  if (traced.length === 0) return null;
  const fastest = highestOf(traced);
  const waterfall = typicalRun(fastest)!.waterfall!;
  const named = mainStages(all);
  const share = (us: number) => Math.round((us / Math.max(waterfall.totalUs.mean, Number.MIN_VALUE)) * 100);
  const parts = partsOf(waterfall, named, restName(all, named))
    .filter(({ us }) => share(us) > 0)
    .map(({ name, us }) => `${name} ${share(us)} %`);
  const many = fastest.runs.length > 1 ? ", the run with the median throughput" : "";
  const whole = short(waterfall.totalUs.mean / 1000);
  return `Where a commit's ${whole} ms go (${nameOf(fastest)}${many}; the mean of ${grouped(waterfall.sampled)} that were followed): ${parts.join(", ")}`;
}
