// Why runs of one configuration differ: by what those that run in turn have in common (the machine's minute; it is
// divided out of every comparison), by chance within a window, and by the rest, such as what its processes were born with
// (layout, what was compiled, how far a heap has grown). Tells where more time would go best: into longer windows, or into more
// rounds. Pure.
import { mean, variance } from "simple-statistics";
import { groupsOf } from "../harness/groups.js";
import { loadKey } from "../harness/scenario.js";
import type { Run } from "../report/result-schema.js";
import { type Row, soundRuns } from "./rows.js";

/** Of throughput, as logarithms: a standard deviation of 0.1 is about 10 %. Shares of the variance, 1 together. */
export interface Scatter {
  readonly deviation: number;
  readonly round: number;
  /** Where that share lies, at about 95 %: of few rounds it may be nearly anything. */
  readonly roundRange: { readonly low: number; readonly high: number };
  readonly window: number;
  /** What is left: of what processes are born with, and of all else that is neither. */
  readonly birth: number;
}

/** Fewer rounds say nothing of what a round is. */
const ROUNDS_MIN = 3;
const STEPS_MIN = 4;

/**
 * A two-way analysis of variance by configuration and round, of rows of one load, which run in turn; over rounds in which
 * each of them has a run that counts. Chance within a window is taken from its steps, as if each were independent of the
 * one before. Null: too few.
 */
export function scatterOf(rows: readonly Row[]): Scatter | null {
  const sums = { total: 0, totalFreedom: 0, rest: 0, restFreedom: 0 };
  const windows: number[] = [];
  for (const place of groupsOf(rows, loadKey)) {
    const runs = place.map((row) => new Map(soundRuns(row.runs).map((run) => [run.round, run])));
    const rounds = [...runs[0].keys()].filter((round) => runs.every((each) => each.has(round)));
    const grid = runs.map((each) => rounds.map((round) => each.get(round)!));
    const all = grid.flat();
    if (rounds.length < ROUNDS_MIN || place.length < 2) continue;
    if (all.some((run) => run.proposalsPerS <= 0 || stepsOf(run).length < STEPS_MIN)) continue;
    const residuals = grid.map((row) => centred(row.map((run) => Math.log(run.proposalsPerS))));
    const common = rounds.map((_, i) => mean(residuals.map((row) => row[i])));
    const freedom = rounds.length - 1;
    sums.total += squares(residuals.flat());
    sums.totalFreedom += place.length * freedom;
    sums.rest += squares(residuals.flatMap((row) => row.map((value, i) => value - common[i])));
    sums.restFreedom += (place.length - 1) * freedom;
    windows.push(...all.map(ofWindow));
  }
  if (sums.total === 0 || sums.restFreedom === 0) return null;
  const total = sums.total / sums.totalFreedom;
  const round = Math.max(0, 1 - sums.rest / sums.restFreedom / total);
  const window = Math.min(1 - round, mean(windows) / total);
  const roundRange = rangeOf(1 - sums.rest / sums.restFreedom / total, sums);
  return { deviation: Math.sqrt(total), round, roundRange, window, birth: 1 - round - window };
}

const DEVIATIONS = 1.96;

/** Variance of the logarithm of a variance with such freedom: the trigamma function at half of it, in series. */
function ofLogarithm(freedom: number): number {
  return 2 / freedom + 2 / freedom ** 2 + 4 / (3 * freedom ** 3);
}

/** Of the share of rounds, by the logarithm of the ratio of variances, which is about normal (Fisher's z). */
function rangeOf(
  share: number,
  { totalFreedom, restFreedom }: { readonly totalFreedom: number; readonly restFreedom: number },
): Scatter["roundRange"] {
  if (share >= 1) return { low: 1, high: 1 };
  const freedom = totalFreedom - restFreedom;
  const rows = totalFreedom / freedom;
  const ratio = Math.max(Number.MIN_VALUE, 1 + (rows * share) / (1 - share));
  const spread = Math.exp(DEVIATIONS * Math.sqrt(ofLogarithm(freedom) + ofLogarithm(restFreedom)));
  const shareOf = (each: number) => Math.max(0, (each - 1) / (each - 1 + rows));
  return { low: shareOf(ratio / spread), high: shareOf(ratio * spread) };
}

function centred(values: readonly number[]): number[] {
  const centre = mean(values as number[]);
  return values.map((value) => value - centre);
}

function squares(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}

/** What was applied in each whole step of the window. */
function stepsOf({ series, windowMs }: Run): readonly number[] {
  return series.applied.slice(0, Math.floor(windowMs / series.stepMs));
}

/** Variance of a window's rate (of its logarithm, nearly) that chance within it leaves: s² / n of its n steps. */
function ofWindow(run: Run): number {
  const steps = stepsOf(run);
  const centre = mean(steps as number[]);
  return centre === 0 ? 0 : variance(steps as number[]) / ((steps.length - 1) * centre * centre);
}
