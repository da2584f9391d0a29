// The table at the end of a bench: one row a configuration, in the order of the plan. Pure.
import Table from "cli-table3";
import {
  AXES,
  AXIS_NAMES,
  type AxisName,
  type AxisValues,
  DEFAULT_SETTINGS,
  isNumeric,
  type Settings,
} from "../harness/axes.js";
import { axesOf, describe, varyingAxes } from "../harness/scenario.js";
import { highestOf, isCounted, type Row, rowsOf } from "../stats/rows.js";
import { type Column, columnsOf, subjectOf } from "./columns.js";
import { measureNames, measureOf, measureTitle } from "./measures.js";
import type { Result } from "./result-schema.js";

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

type Shown = Pick<Result, "runs" | "options">;

/** Rows of the table as text, headings first; for rendering and for tests. */
export function tableRows(result: Shown): string[][] {
  const rows = rowsOf(result);
  const axes = varyingAxes(axesOf(rows.map(({ settings }) => settings)));
  const columns = columnsOf(rows, result.options.rounds > 1);
  return [
    [...axes.map((name) => AXES[name].title), ...columns.map(({ title }) => title)],
    ...rows.map((row) => [
      ...axes.map((name) => value(row.settings, name)),
      ...cellsOf(row, rows[0], columns),
    ]),
  ];
}

function value(settings: Settings, name: AxisName): string {
  return name === "batchBytes" && settings.batchBytes === 0 ? "default" : String(settings[name]);
}

function cellsOf(row: Row, base: Row, columns: readonly Column[]): string[] {
  if (row.proposalsPerS === null) return columns.map((_, i) => (i === 0 ? "void" : "-"));
  return columns.map(({ cell }) => cell(row, base));
}

export function renderTable(result: Shown, paint: Paint = PLAIN): string {
  const [heading, ...rows] = tableRows(result);
  const words = new Set<string>(
    AXIS_NAMES.filter((name) => !isNumeric(name)).map((name) => AXES[name].title),
  );
  const table = new Table({
    head: heading.map((text) => paint.bold(text)),
    colAligns: heading.map((title) => (words.has(title) ? "left" : "right")),
    style: { head: [], border: [], compact: true },
  });
  const all = rowsOf(result);
  // Of what an event took no single figure is the best.
  const best = subjectOf(all) === "throughput" ? bestRow(all) : -1;
  rows.forEach((row, i) => {
    const mark = row.includes("void") ? paint.red : i === best ? paint.green : same;
    table.push(row.map(mark));
  });
  return table.toString();
}

/** The one that is named as highest seen; -1: there is nothing to compare it with. */
function bestRow(rows: readonly Row[]): number {
  const counted = rows.filter(isCounted);
  return rows.length > 1 && counted.length > 0 ? rows.indexOf(highestOf(counted)) : -1;
}

/** What the columns mean that only this scenario has, a line each. "" where there is none. */
export function renderMeanings(result: Shown, paint: Paint = PLAIN): string {
  const rows = rowsOf(result);
  const lines = measureNames(result.runs).flatMap((name) => {
    const told = rows.flatMap((row) => measureOf(row, name) ?? [])[0];
    return told === undefined ? [] : [paint.dim(`${measureTitle(name)}: ${told.meaning}`)];
  });
  return lines.join("\n");
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
