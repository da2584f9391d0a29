// History as curves: one a configuration and machine, in the order of their dates, drawn as text with both axes and the
// change points. Pure.
import { grouped, plural } from "../report/numbers.js";
import { type ChangePoint, changePoints, MARKED_MIN, P_MAX } from "./change-points.js";
import type { HistoryRecord } from "./records.js";

export interface Point {
  readonly at: string;
  readonly commit: string | null;
  /** Of other files than the commit's; null: not known. */
  readonly dirty: boolean | null;
  readonly proposalsPerS: number;
}

export interface Curve {
  readonly configuration: string;
  readonly machine: string;
  readonly points: readonly Point[];
  readonly changes: readonly ChangePoint[];
}

/** The order of the records is that in which they were added; points stand in the order in which they were measured. */
export function curvesOf(records: readonly HistoryRecord[]): Curve[] {
  const curves = new Map<string, { configuration: string; machine: string; points: Point[] }>();
  const dated = [...records].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  for (const { at, commit, dirty, machine, figures } of dated) {
    for (const { configuration, proposalsPerS } of figures) {
      const key = JSON.stringify([machine, configuration]);
      const curve = curves.get(key) ?? { configuration, machine, points: [] };
      curves.set(key, curve);
      curve.points.push({ at, commit, dirty, proposalsPerS });
    }
  }
  return [...curves.values()].map((curve) => ({
    ...curve,
    changes: changePoints(curve.points.map(({ proposalsPerS }) => proposalsPerS)),
  }));
}

const BARS = " ▁▂▃▄▅▆▇█";
/** Between the last run of a level and the first of the next. */
const MARK = "│";
const POINTS_SHOWN = 60;
const ROWS = 4;
const STEPS = ROWS * (BARS.length - 1);
/** The axis spans at least this share of the level, so that noise does not look like a fall. */
const SPAN_SHARE_MIN = 0.1;

/** Each run a bar of up to ROWS lines over an axis that says what they stand for; of long curves the newest part. */
export function plot({ points, changes }: Pick<Curve, "points" | "changes">): string[] {
  const from = Math.max(0, points.length - POINTS_SHOWN);
  const shown = points.slice(from);
  const values = shown.map(({ proposalsPerS }) => proposalsPerS);
  const { low, high } = axisOf(Math.min(...values), Math.max(...values));
  const columns = values.flatMap((value, i) => {
    const filled = Math.round(((value - low) / (high - low)) * (STEPS - 1)) + 1;
    const changed = i > 0 && changes.some(({ index }) => index === from + i);
    const bar = Array.from({ length: ROWS }, (_, row) => BARS[eighths(filled, ROWS - 1 - row)]);
    return changed ? [new Array<string>(ROWS).fill(MARK), bar] : [bar];
  });
  const labels = [grouped(high), ...new Array<string>(ROWS - 2).fill(""), grouped(low)];
  const width = Math.max(...labels.map(({ length }) => length));
  const rows = labels.map((label, row) => {
    const tick = label === "" ? "│" : "┤";
    return `${label.padStart(width)} ${tick}${columns.map((column) => column[row]).join("")}`.trimEnd();
  });
  const dates = [...new Set([shown[0], shown[shown.length - 1]].map(dayOf))].join(" to ");
  const older = from > 0 ? `, ${from} older not shown` : "";
  const below = " ".repeat(width + 1);
  return [...rows, `${below}└${"─".repeat(columns.length)}`, `${below} ${dates}${older}`];
}

/** How much of the line at `row`, counted from the axis, a bar of `filled` steps takes. */
function eighths(filled: number, row: number): number {
  const each = BARS.length - 1;
  return Math.min(each, Math.max(0, filled - row * each));
}

function axisOf(low: number, high: number): { low: number; high: number } {
  const middle = (low + high) / 2;
  const half = Math.max((high - low) / 2, (middle * SPAN_SHARE_MIN) / 2);
  return { low: middle - half, high: middle + half };
}

export function renderHistory(curves: readonly Curve[]): string {
  if (curves.length === 0) return "There is no run in it: raftmark history add RESULT adds one.\n";
  const machines = [...new Set(curves.map(({ machine }) => machine))];
  const blocks = machines.map((machine) => {
    const texts = curves.filter((curve) => curve.machine === machine).map(renderCurve);
    return `${machine}\n\n${texts.join("\n\n")}`;
  });
  return `${blocks.join("\n\n")}\n\n${legend(curves.length)}\n`;
}

/** What a mark is worth: the test is right for one curve of runs that know nothing of one another. */
function legend(curves: number): string {
  const falseMarks = `of curves of independent runs without a change, ${P_MAX * 100} in 100 has one all the same`;
  const here = curves > 1 ? ` (here are ${curves})` : "";
  const alike = "more, where runs are like those before them for other reasons, as on one day's machine";
  return (
    `A ${MARK} marks a change of level: binary segmentation, permutation test, p <= ${P_MAX}; ${falseMarks}${here}, and ${alike}. ` +
    "Place and size are those that fit best: of a change no larger than the noise the place may be some runs off, and the " +
    "size is told too large, as it is marked where it happens to look so."
  );
}

function renderCurve(curve: Curve): string {
  const { configuration, points, changes } = curve;
  const values = points.map(({ proposalsPerS }) => proposalsPerS);
  const last = points[points.length - 1];
  const ends = [...new Set([Math.min(...values), Math.max(...values)].map(grouped))].join(" to ");
  const range = `${ends} proposals/s`;
  const few = points.length < MARKED_MIN ? ` (a change could show from ${MARKED_MIN} on)` : "";
  const many = `${plural(points.length, "run")}${few}`;
  const lines = [
    configuration,
    ...plot(curve).map((line) => `  ${line}`),
    `  ${many}: ${range}, the last ${grouped(last.proposalsPerS)} (${nameOf(last)})`,
    ...changes.map(({ index, before, after, pValue }) => {
      const change = ((after / before - 1) * 100).toFixed(1);
      const sign = after > before ? "+" : "";
      const levels = `${grouped(before)} to ${grouped(after)} proposals/s`;
      return `  ${sign}${change} % from about run ${index + 1} on, ${nameOf(points[index])}: ${levels} (p ${pValue.toFixed(3)})`;
    }),
  ];
  return lines.join("\n");
}

function dayOf({ at }: Point): string {
  return at.slice(0, 10);
}

function nameOf(point: Point): string {
  const { commit, dirty } = point;
  const day = dayOf(point);
  return commit === null ? day : `${commit.slice(0, 10)}${dirty === true ? "+" : ""}, ${day}`;
}
