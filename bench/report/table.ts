// The table at the end of a bench: one row a configuration, in the order of the plan. Pure.
import Table from "cli-table3";
import { AXES, AXIS_NAMES, type AxisName, type AxisValues, type Settings } from "../harness/axes.js";
import { describe, varyingAxes } from "../harness/scenario.js";
import { grouped, short, times } from "./numbers.js";
import type { Result, Run } from "./result-schema.js";

/** Marks up text for a terminal; plain text where the output is none. */
export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
}
export const PLAIN: Paint = { bold: same, dim: same, red: same, green: same };

function same(text: string): string {
  return text;
}

const FIGURES = [
  "proposals/s",
  "MB/s",
  "p50 ms",
  "p99 ms",
  "p99.9 ms",
  "max ms",
  "fsyncs/s",
  "entries/fsync",
  "× first row",
] as const;

/** Rows of the table as text, headings first; for rendering and for tests. */
export function tableRows(result: Pick<Result, "runs" | "options">): string[][] {
  const axes = varyingAxes(result.options.axes as unknown as AxisValues);
  const heading = [...axes.map((name) => AXES[name].title), ...FIGURES];
  const base = result.runs.find((run) => run.position === 0);
  return [
    heading,
    ...result.runs.map((run) => [...axes.map((name) => value(run.settings, name)), ...figures(run, base)]),
  ];
}

function value(settings: Settings, name: AxisName): string {
  return name === "batchBytes" && settings.batchBytes === 0 ? "default" : String(settings[name]);
}

function figures(run: Run, base: Run | undefined): string[] {
  if (run.void.length > 0) return ["void", ...FIGURES.slice(1).map(() => "-")];
  const { p50, p99, p99_9, max } = run.latencyMs;
  const comparable = base !== undefined && base.void.length === 0 && base.proposalsPerS > 0;
  return [
    grouped(run.proposalsPerS),
    short(run.payloadBytesPerS / 1e6),
    ...[p50, p99, p99_9, max].map(short),
    grouped(run.fsyncs / (run.windowMs / 1000)),
    run.entriesPerFsync === null ? "-" : short(run.entriesPerFsync),
    comparable ? times(run.proposalsPerS / base.proposalsPerS) : "-",
  ];
}

export function renderTable(result: Pick<Result, "runs" | "options">, paint: Paint = PLAIN): string {
  const [heading, ...rows] = tableRows(result);
  const axes = heading.length - FIGURES.length;
  const table = new Table({
    head: heading.map((text) => paint.bold(text)),
    colAligns: heading.map((title, i) => (i < axes && title === AXES.writer.title ? "left" : "right")),
    style: { head: [], border: [], compact: true },
  });
  const best = bestRow(result.runs);
  rows.forEach((row, i) => {
    const mark = row.includes("void") ? paint.red : i === best ? paint.green : same;
    table.push(row.map(mark));
  });
  return table.toString();
}

function bestRow(runs: readonly Run[]): number {
  let best = -1;
  runs.forEach((run, i) => {
    if (run.void.length > 0) return;
    if (best < 0 || run.proposalsPerS > runs[best].proposalsPerS) best = i;
  });
  return runs.length > 1 ? best : -1;
}

/** What is the same in every row: "3 nodes, 256 B, o_dsync, default batch cap". */
export function constants(axes: AxisValues): string {
  const varying = varyingAxes(axes);
  const fixed = AXIS_NAMES.filter((name) => !varying.includes(name));
  const settings = Object.fromEntries(fixed.map((name) => [name, axes[name][0]])) as unknown as Settings;
  return describe(settings, fixed.reverse());
}
