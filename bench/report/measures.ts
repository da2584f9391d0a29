// What only some scenarios measure, in words and units: "new leader after 272 ms". Pure.
import { median } from "simple-statistics";
import { type Row, validRuns } from "../stats/rows.js";
import { plural, short } from "./numbers.js";
import type { Run } from "./result-schema.js";

/** In the order in which they are told. */
const TITLES: Readonly<Record<string, string>> = {
  newLeaderMs: "new leader after",
  firstCommitMs: "first commit after",
  outageMs: "callers without an answer for",
  rejoinedMs: "killed node back after another",
  askedAgain: "asked again",
  acknowledgedLost: "acknowledged and lost",
  pausedMs: "follower stood still for",
  behindMB: "behind by",
  addMs: "added in",
  catchUpMs: "caught up after",
  changeMs: "promoted and another removed in",
  catchUpMBPerS: "caught up at",
  rateWhilePaused: "commits meanwhile",
  rateWhileAway: "commits while it was away",
  rateWhileOpening: "commits while it started",
  rateWhileCatchingUp: "commits while it caught up",
  snapshotMs: "snapshot taken in",
  snapshotMBPerS: "state written at",
  rateMeanwhile: "commits meanwhile",
  rateAfter: "commits after, of before",
  p99MeanwhileMs: "p99 meanwhile",
  p99OtherwiseMs: "p99 otherwise",
  logMB: "log of",
  openMs: "opened in",
  openGBPerS: "read at",
  caughtUpMs: "everything applied after",
  readsPerS: "reads",
  readP50Ms: "read p50",
  readP99Ms: "read p99",
};

/** Of a measure that is not known here its own name, as words. */
export function measureTitle(name: string): string {
  const words = () => name.replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase();
  return TITLES[name] ?? words();
}

/** Those that any run has, in the order of TITLES, then the rest. */
export function measureNames(runs: readonly Pick<Run, "measures">[]): string[] {
  const present = new Set(runs.flatMap(({ measures }) => Object.keys(measures)));
  const known = Object.keys(TITLES).filter((name) => present.has(name));
  return [...known, ...[...present].filter((name) => !(name in TITLES))];
}

export interface MeasureFigure {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly unit: string;
  readonly meaning: string;
}

/** Over the rounds that count; null: none of them has it. */
export function measureOf(row: Pick<Row, "runs">, name: string): MeasureFigure | null {
  const told = validRuns(row.runs).flatMap((run) => run.measures[name] ?? []);
  if (told.length === 0) return null;
  const values = told.map(({ value }) => value);
  const { unit, meaning } = told[0];
  return { median: median(values), low: Math.min(...values), high: Math.max(...values), unit, meaning };
}

/** 0 where none of the rounds that count has it. */
export function medianOf(row: Pick<Row, "runs">, name: string): number {
  return measureOf(row, name)?.median ?? 0;
}

/** Acknowledged proposals that were not on a quorum afterwards, in void runs too: it is what is void about them. */
export function lostOf(rows: readonly Pick<Row, "runs">[]): number {
  const each = rows.flatMap(({ runs }) =>
    runs.map(({ measures }) => measures["acknowledgedLost"]?.value ?? 0),
  );
  return each.reduce((sum, value) => sum + value, 0);
}

/** "nothing acknowledged was lost", and of which runs that is said where it is not of all. */
export function lostText(rows: readonly Row[]): string {
  const lost = lostOf(rows);
  if (lost > 0) return `${plural(lost, "acknowledged proposal was", "acknowledged proposals were")} LOST`;
  const voids = rows.reduce((sum, row) => sum + row.voids, 0);
  const where = voids === 0 ? "" : `, as far as runs count (${voids} void)`;
  return `nothing acknowledged was lost${where}`;
}

/** "new leader after 272 ms, first commit after 281 ms": what one run measured besides; "" if nothing. */
export function measuresSentence(run: Pick<Run, "measures">): string {
  const names = measureNames([run]);
  return names.map((name) => `${measureTitle(name)} ${amount(run.measures[name])}`).join(", ");
}

/** "272 ms", "16 proposals", "1 proposal". */
export function amount({ value, unit }: { readonly value: number; readonly unit: string }): string {
  if (unit !== "proposals") return `${short(value)} ${unit}`;
  return `${count(value)} proposal${value === 1 ? "" : "s"}`;
}

function count(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString("en-US") : short(value);
}

/** Without its unit; "272 (250–310)" where the rounds differ. Whole numbers stay whole. */
export function rangeText({ median: middle, low, high, unit }: MeasureFigure): string {
  const text = unit === "proposals" ? count : short;
  return text(low) === text(high) ? text(middle) : `${text(middle)} (${text(low)}–${text(high)})`;
}
