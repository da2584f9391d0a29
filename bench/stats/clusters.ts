// Ratios whose samples come in groups: the windows of one pair of processes share what those processes were born with,
// so that a pair is one witness, however many windows it had. Pure.
import { mean } from "simple-statistics";
import { assert } from "../../src/base/assert.js";
import { type RatioInterval, ratioOfLogs } from "./intervals.js";

export interface Group {
  readonly base: readonly number[];
  readonly head: readonly number[];
}

/** Head/base over groups, each of which counts as the geometric mean of its samples' ratios; see ratioInterval. */
export function groupedRatioInterval(groups: readonly Group[]): RatioInterval {
  const logs = groups.map(({ base, head }) => {
    assert(base.length === head.length && base.length > 0, "every sample has two sides");
    return mean(base.map((value, i) => Math.log(head[i]) - Math.log(value)));
  });
  return ratioOfLogs(logs);
}
