// History as curves: one a configuration and machine, drawn in a line of text with its change points. Pure.
import { grouped } from "../report/numbers.js";
import { type ChangePoint, changePoints, P_MAX } from "./change-points.js";
import type { HistoryRecord } from "./records.js";

export interface Point {
  readonly at: string;
  readonly commit: string | null;
  readonly proposalsPerS: number;
}

export interface Curve {
  readonly configuration: string;
  readonly machine: string;
  readonly points: readonly Point[];
  readonly changes: readonly ChangePoint[];
}

export function curvesOf(records: readonly HistoryRecord[]): Curve[] {
  const curves = new Map<string, { configuration: string; machine: string; points: Point[] }>();
  for (const { at, commit, machine, figures } of records) {
    for (const { configuration, proposalsPerS } of figures) {
      const key = JSON.stringify([machine, configuration]);
      const curve = curves.get(key) ?? { configuration, machine, points: [] };
      curves.set(key, curve);
      curve.points.push({ at, commit, proposalsPerS });
    }
  }
  return [...curves.values()].map((curve) => ({
    ...curve,
    changes: changePoints(curve.points.map(({ proposalsPerS }) => proposalsPerS)),
  }));
}

const BARS = "▁▂▃▄▅▆▇█";
/** Between the last run of a level and the first of the next. */
const MARK = "│";
const POINTS_SHOWN = 60;

/** Least to most, each run a bar, a mark before each change; of long curves the newest part. */
export function sparkline({ points, changes }: Pick<Curve, "points" | "changes">): string {
  const from = Math.max(0, points.length - POINTS_SHOWN);
  const values = points.slice(from).map(({ proposalsPerS }) => proposalsPerS);
  const low = Math.min(...values);
  const span = Math.max(...values) - low;
  const bars = values.map((value, i) => {
    const height = span === 0 ? 3 : Math.round(((value - low) / span) * (BARS.length - 1));
    const changed = changes.some(({ index }) => index === from + i);
    return `${changed && i > 0 ? MARK : ""}${BARS[height]}`;
  });
  return `${from > 0 ? "…" : ""}${bars.join("")}`;
}

export function renderHistory(curves: readonly Curve[]): string {
  const machines = [...new Set(curves.map(({ machine }) => machine))];
  const blocks = machines.map((machine) => {
    const texts = curves.filter((curve) => curve.machine === machine).map(renderCurve);
    return `${machine}\n\n${texts.join("\n\n")}`;
  });
  const method = `A ${MARK} marks a change of level: binary segmentation, permutation test, p <= ${P_MAX}.`;
  return `${blocks.join("\n\n")}\n\n${method}\n`;
}

function renderCurve(curve: Curve): string {
  const { configuration, points, changes } = curve;
  const values = points.map(({ proposalsPerS }) => proposalsPerS);
  const last = points[points.length - 1];
  const range = `${grouped(Math.min(...values))} to ${grouped(Math.max(...values))} proposals/s`;
  const many = `${points.length} run${points.length === 1 ? "" : "s"}`;
  const lines = [
    configuration,
    `  ${sparkline(curve)}  ${many}, ${range}, last ${grouped(last.proposalsPerS)} (${nameOf(last)})`,
    ...changes.map(({ index, before, after, pValue }) => {
      const change = ((after / before - 1) * 100).toFixed(1);
      const sign = after > before ? "+" : "";
      const levels = `${grouped(before)} to ${grouped(after)} proposals/s`;
      return `  ${sign}${change} % from run ${index + 1} on, ${nameOf(points[index])}: ${levels} (p ${pValue.toFixed(3)})`;
    }),
  ];
  return lines.join("\n");
}

function nameOf({ at, commit }: Point): string {
  const day = at.slice(0, 10);
  return commit === null ? day : `${commit.slice(0, 10)}, ${day}`;
}
