// The bench's own share of a run's CPU: load generator and journal as the null run weighs them, and the state hash of
// every node. Pure.
import { cpuUsPerCommit, rowsOf, validRuns } from "../stats/rows.js";
import type { Result, Run } from "./result-schema.js";

/** Share of the CPU that the nodes used; null: not weighed, or nothing was done. */
export function ownShare(
  run: Pick<Run, "nodes" | "done" | "load">,
  nullRun: Result["nullRun"],
): number | null {
  if (nullRun === null || nullRun.generatorUs === null || nullRun.hashUs === null) return null;
  const commitUs = cpuUsPerCommit([run]);
  if (commitUs === 0) return null;
  // A client's work is no node's.
  const generatorUs = run.load.from === "leader" ? nullRun.generatorUs : 0;
  return (generatorUs + run.nodes.length * nullRun.hashUs) / commitUs;
}

/** "the bench itself: 5.3 % of the CPU"; where configurations differ, of the one with most. "" where it is not known. */
export function ownWeightText(result: Pick<Result, "runs" | "nullRun">): string {
  const shares = rowsOf(result).map(({ runs }) => {
    const each = validRuns(runs).map((run) => ownShare(run, result.nullRun));
    const known = each.filter((share) => share !== null).sort((a, b) => a - b);
    return known[known.length >> 1] ?? null;
  });
  const known = shares.filter((share) => share !== null);
  if (known.length === 0) return "";
  const most = Math.max(...known);
  const percent = most < 0.001 ? "less than 0.1" : (most * 100).toFixed(1);
  const which = known.length > 1 ? " (the row with most)" : "";
  return `the bench itself: ${percent} % of the CPU${which}: load, journal, state hash`;
}
