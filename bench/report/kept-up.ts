// Whether an engine kept up with what an open loop offered it: nothing was refused, and what waits does not grow. What is
// under way when the window ends says nothing of that: it is a latency's worth. Pure.
import { type Row, validRuns } from "../stats/rows.js";
import { short } from "./numbers.js";
import type { Run } from "./result-schema.js";

/** Of what comes due, at the most, may be left over for good: less cannot be told from chance in a window. */
export const LEFT_OVER_MAX = 0.03;

type Offered = Pick<Row, "runs" | "settings">;

export function keptUp(row: Offered): boolean {
  return !fellBehind(row) && refusedShare(row) === 0;
}

/** What comes due faster than it is done. */
export function fellBehind({ runs }: Offered): boolean {
  const parts = validRuns(runs).map(leftOver);
  const sum = (of: (part: (typeof parts)[number]) => number) =>
    parts.reduce((total, part) => total + of(part), 0);
  return sum(({ count }) => count) > LEFT_OVER_MAX * sum(({ due }) => due);
}

/** The load at which it was not kept up first, and those below it, lowest first. */
export function standUpTo<T extends Offered>(
  rows: readonly T[],
): { readonly fine: T[]; readonly over: T | undefined } {
  const sorted = [...rows].sort((a, b) => a.settings.rate - b.settings.rate);
  const over = sorted.find((row) => !keptUp(row));
  const fine = sorted.filter(({ settings }) => over === undefined || settings.rate < over.settings.rate);
  return { fine, over };
}

/** "2.50 % of what came due was refused"; null: nothing was. */
export function refusedText(row: Offered): string | null {
  const share = refusedShare(row);
  return share === 0 ? null : `${shareText(share)} % of what came due was refused`;
}

/** In percent, and never none where it is some. */
export function shareText(share: number): string {
  return share < 0.0001 ? "less than 0.01" : short(100 * share);
}

/** Of all that was asked for, warm-up included, where what is refused is counted too. */
export function refusedShare({ runs, settings }: Offered): number {
  let refused = 0;
  let answered = 0;
  for (const { failed, acknowledged } of validRuns(runs)) {
    for (const count of Object.values(failed)) refused += count;
    answered += acknowledged * (1 + settings.readsPerWrite);
  }
  return refused / Math.max(1, refused + answered);
}

/**
 * How many more wait over the window's second half than over its first, and how many came due between the middles of
 * the halves. Of a window without steps of what came due, as older results have it: what was not done within it.
 */
function leftOver({ series, load, done }: Run): { readonly count: number; readonly due: number } {
  const { applied, due = [] } = series;
  const half = Math.floor(due.length / 2);
  if (half === 0) return { count: (load.due ?? 0) - done, due: load.due ?? 0 };
  let waiting = 0;
  let all = 0;
  const waits = due.map((count, i) => {
    all += count;
    waiting += count - applied[i];
    return waiting;
  });
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / half;
  return {
    count: mean(waits.slice(-half)) - mean(waits.slice(0, half)),
    due: (all / due.length) * (due.length - half),
  };
}
