// How two configurations of one result compare: paired by round, since what ran close together had the same machine.
// Pure.
import { type RatioInterval, ratioInterval } from "./intervals.js";
import { type Row, soundRuns } from "./rows.js";

/** Throughput of `row` by that of `base`, over the rounds in which both counted; null: there is none. */
export function ratioOfRows(base: Row, row: Row): RatioInterval | null {
  const byRound = new Map(soundRuns(base.runs).map((run) => [run.round, run.proposalsPerS]));
  const from: number[] = [];
  const to: number[] = [];
  for (const { round, proposalsPerS } of soundRuns(row.runs)) {
    const other = byRound.get(round);
    if (other === undefined || other <= 0 || proposalsPerS <= 0) continue;
    from.push(other);
    to.push(proposalsPerS);
  }
  return from.length === 0 ? null : ratioInterval(from, to);
}
