// The table at the end of a bench: one row a configuration, in the order of the plan. Pure.
import Table from "cli-table3";
import { median } from "simple-statistics";
import {
  AXES,
  AXIS_NAMES,
  type AxisName,
  type AxisValues,
  DEFAULT_SETTINGS,
  type Settings,
} from "../harness/axes.js";
import { axesOf, describe, varyingAxes } from "../harness/scenario.js";
import { ratioOfRows } from "../stats/ratio.js";
import { type Row, rowsOf, validRuns } from "../stats/rows.js";
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
/** Beside the throughput where there are several rounds. */
const INTERVAL = "interval";

type Shown = Pick<Result, "runs" | "options">;

/** Rows of the table as text, headings first; for rendering and for tests. */
export function tableRows(result: Shown): string[][] {
  const rows = rowsOf(result);
  const axes = varyingAxes(axesOf(rows.map(({ settings }) => settings)));
  const rounds = result.options.rounds > 1;
  const heading = [...axes.map((name) => AXES[name].title), ...figureTitles(rounds)];
  return [
    heading,
    ...rows.map((row) => [
      ...axes.map((name) => value(row.settings, name)),
      ...figures(row, rows[0], rounds),
    ]),
  ];
}

function figureTitles(rounds: boolean): string[] {
  return rounds ? [FIGURES[0], INTERVAL, ...FIGURES.slice(1)] : [...FIGURES];
}

function value(settings: Settings, name: AxisName): string {
  return name === "batchBytes" && settings.batchBytes === 0 ? "default" : String(settings[name]);
}

function figures(row: Row, base: Row, rounds: boolean): string[] {
  const { proposalsPerS, latencyMs, settings } = row;
  if (proposalsPerS === null || latencyMs === null) {
    return [
      "void",
      ...figureTitles(rounds)
        .slice(1)
        .map(() => "-"),
    ];
  }
  const runs = validRuns(row.runs);
  const total = (of: (run: Run) => number) => runs.reduce((sum, run) => sum + of(run), 0);
  const { p50, p99, p99_9, max } = latencyMs;
  // A leader that was killed told nothing of its disk.
  const told = runs.every((run) => run.nodes.some(({ leader }) => leader));
  const fsyncs = total((run) => run.fsyncs);
  const entries = total((run) => (run.entriesPerFsync ?? 0) * run.fsyncs);
  return [
    grouped(proposalsPerS.estimate),
    ...(rounds ? [`${grouped(proposalsPerS.low)}–${grouped(proposalsPerS.high)}`] : []),
    short((proposalsPerS.estimate * settings.entryBytes) / 1e6),
    ...[p50, p99, p99_9, max].map(short),
    told ? grouped(fsyncs / (total((run) => run.windowMs) / 1000)) : "-",
    fsyncs === 0 ? "-" : short(entries / fsyncs),
    ratioText(base, row),
  ];
}

function ratioText(base: Row, row: Row): string {
  const ratio = ratioOfRows(base, row);
  return ratio === null ? "-" : times(ratio.estimate);
}

export function renderTable(result: Shown, paint: Paint = PLAIN): string {
  const [heading, ...rows] = tableRows(result);
  const words = new Set<string>(
    AXIS_NAMES.filter((name) => AXES[name].words !== null).map((name) => AXES[name].title),
  );
  const table = new Table({
    head: heading.map((text) => paint.bold(text)),
    colAligns: heading.map((title) => (words.has(title) ? "left" : "right")),
    style: { head: [], border: [], compact: true },
  });
  const best = bestRow(rowsOf(result));
  rows.forEach((row, i) => {
    const mark = row.includes("void") ? paint.red : i === best ? paint.green : same;
    table.push(row.map(mark));
  });
  return table.toString();
}

function bestRow(rows: readonly Row[]): number {
  let best = -1;
  rows.forEach(({ proposalsPerS }, i) => {
    if (proposalsPerS === null) return;
    if (best < 0 || proposalsPerS.estimate > (rows[best].proposalsPerS?.estimate ?? 0)) best = i;
  });
  return rows.length > 1 ? best : -1;
}

/** What only this scenario measured, a row a configuration: medians over the rounds. "" where there is nothing. */
export function renderMeasures(result: Shown, paint: Paint = PLAIN): string {
  const rows = rowsOf(result);
  const names = [...new Set(rows.flatMap(({ runs }) => runs.flatMap((run) => Object.keys(run.measures))))];
  if (names.length === 0) return "";
  const axes = varyingAxes(axesOf(rows.map(({ settings }) => settings)));
  const table = new Table({
    head: [...axes.map((name) => AXES[name].title), ...names].map((text) => paint.bold(text)),
    colAligns: [...axes, ...names].map(() => "right" as const),
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) {
    table.push([
      ...axes.map((axis) => value(row.settings, axis)),
      ...names.map((name) => measureText(row, name)),
    ]);
  }
  const meanings = names.map((name) => {
    const told = rows.flatMap(({ runs }) => runs).find((run) => run.measures[name] !== undefined);
    return paint.dim(`${name}: ${told?.measures[name].meaning}`);
  });
  return [table.toString(), ...meanings].join("\n");
}

function measureText(row: Row, name: string): string {
  const told = validRuns(row.runs).flatMap((run) => run.measures[name] ?? []);
  if (told.length === 0) return "-";
  return `${short(median(told.map((measure) => measure.value)))} ${told[0].unit}`;
}

/** Said even where it is the default: without it a figure says little. */
const ALWAYS_SAID: readonly AxisName[] = ["nodes", "entryBytes", "durability"];

/** What is the same in every row, as far as it is not the default: "3 nodes, 256 B, o_dsync". */
export function constants(axes: AxisValues): string {
  const varying = varyingAxes(axes);
  const settings = Object.fromEntries(AXIS_NAMES.map((name) => [name, axes[name][0]])) as unknown as Settings;
  const told = AXIS_NAMES.filter((name) => {
    if (varying.includes(name)) return false;
    return ALWAYS_SAID.includes(name) || settings[name] !== DEFAULT_SETTINGS[name];
  });
  return describe(settings, told.reverse());
}
