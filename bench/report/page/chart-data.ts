// What the page's script draws: made when the page is written (model.ts), read in the browser (client/charts.ts).
// Types only, so that both sides agree.

export interface ChartLine {
  /** The whole configuration, for the tooltip. */
  readonly label: string;
  /** Index into the palette (CSS --series-0..7). */
  readonly hue: number;
  /** Lengths of strokes and gaps in pixels: lines differ in it besides their hue. */
  readonly dash: readonly number[];
  /** Legend buttons with this key show and hide it. */
  readonly key: string;
  readonly values: readonly (number | null)[];
}

export interface Tick {
  readonly at: number;
  readonly label: string;
}

export interface Chart {
  readonly id: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly x: readonly number[];
  /** Null: ticks are found by the chart. */
  readonly xTicks: readonly Tick[] | null;
  /** What a cursor value of x is called: "p99.9" or "2.3 s". */
  readonly xKind: "percentile" | "seconds" | "rate";
  readonly logY: boolean;
  /** The same for all charts of a section, so that they can be compared. */
  readonly yRange: readonly [number, number];
  readonly unit: string;
  readonly lines: readonly ChartLine[];
  /** What happened at a place of x; of those that come again only the first has a label. */
  readonly marks: readonly Tick[];
}

export interface PageData {
  readonly charts: readonly Chart[];
}
