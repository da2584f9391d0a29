// Why runs of one configuration differ, in words. Pure.
import { rowsOf } from "../stats/rows.js";
import { scatterOf } from "../stats/scatter.js";
import { percent, short } from "./numbers.js";
import type { Result } from "./result-schema.js";

/** "runs of one configuration differ by 9.8 % ..."; null: there are too few rounds to say. */
export function scatterText(result: Pick<Result, "runs">): string | null {
  const scatter = scatterOf(rowsOf(result));
  if (scatter === null) return null;
  const { low, high } = scatter.roundRange;
  return (
    `runs of one configuration differ by ${short(Number((scatter.deviation * 100).toPrecision(2)))} % (standard deviation); ` +
    `of that variance ${percent(scatter.round)} (about ${percent(low)} to ${percent(high)}) is common to what runs ` +
    `in turn and divided out, about ${percent(scatter.window)} is chance within a window, ${percent(scatter.birth)} the rest, ` +
    "such as what processes are born with"
  );
}
