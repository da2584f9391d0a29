// The moving charts: uPlot over the last two minutes, as wide as their box, in the palette of the moment, with a legend
// that says the newest values in words.
import type UPlot from "uplot";

/** The library's script stands before this one in the page. */
declare const uPlot: typeof UPlot;

const WINDOW_S = 120;
/** As long as there is less than a window, the charts show at least so much. */
const WINDOW_S_MIN = 30;
const HEIGHT_PX = 210;
const FONT = "12px system-ui, sans-serif";

export interface Line {
  readonly label: string;
  readonly hue: number;
  readonly dash?: readonly number[];
}

type Value = number | null;

export class Chart {
  private readonly box: HTMLElement;
  private readonly lines: readonly Line[];
  private readonly text: (value: number) => string;
  private readonly isLog: boolean;
  private readonly times: number[] = [];
  private readonly values: Value[][];
  private readonly newest: HTMLElement[];
  private plot: UPlot;

  constructor(name: string, lines: readonly Line[], text: (value: number) => string, isLog = false) {
    const outer = document.querySelector<HTMLElement>(`[data-chart="${name}"]`)!;
    this.lines = lines;
    this.text = text;
    this.isLog = isLog;
    this.values = lines.map(() => []);
    const legend = document.createElement("ul");
    legend.className = "legend";
    this.newest = lines.map(({ label, hue, dash }) => {
      const item = legend.appendChild(document.createElement("li"));
      item.style.setProperty("--hue", `var(--series-${hue})`);
      item.appendChild(document.createElement("i")).className = dash === undefined ? "" : "dashed";
      item.append(`${label} `);
      const value = item.appendChild(document.createElement("b"));
      value.textContent = "–";
      return value;
    });
    this.box = document.createElement("div");
    this.box.className = "plot";
    outer.replaceChildren(legend, this.box);
    this.plot = this.drawn();
    new ResizeObserver(() => {
      const width = this.box.clientWidth;
      if (width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT_PX });
    }).observe(this.box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.plot.destroy();
      this.plot = this.drawn();
    });
  }

  /** `time` in seconds since 1970; one value a line. */
  add(time: number, values: readonly Value[]): void {
    this.times.push(time);
    values.forEach((value, i) => {
      this.values[i].push(value);
      this.newest[i].textContent = value === null ? "–" : this.text(value);
    });
    while (this.times[0] < time - WINDOW_S) {
      this.times.shift();
      for (const line of this.values) line.shift();
    }
    this.plot.setData(this.data());
  }

  private data(): UPlot.AlignedData {
    // On a scale of logarithms nothing has a place for 0.
    const shown = (value: Value) => (this.isLog && value !== null && value <= 0 ? null : value);
    return [[...this.times], ...this.values.map((line) => line.map(shown))];
  }

  private drawn(): UPlot {
    const soft = colour("ink-soft");
    const axis = {
      stroke: soft,
      font: FONT,
      ticks: { show: false },
      grid: { stroke: colour("line"), width: 1 },
    };
    const now = () => this.times.at(-1) ?? Date.now() / 1000;
    const options: UPlot.Options = {
      width: this.box.clientWidth,
      height: HEIGHT_PX,
      legend: { show: false },
      padding: [8, 30, 0, 0],
      cursor: { show: false },
      scales: {
        x: { time: true, range: () => [Math.min(this.times[0] ?? now(), now() - WINDOW_S_MIN), now()] },
        y: this.isLog ? { distr: 3, log: 10, range: logRange } : { range: (_, __, max) => [0, topOf(max)] },
      },
      axes: [
        { ...axis, space: 80, size: 32, values: (_, ticks) => ticks.map(timeText) },
        {
          ...axis,
          size: 58,
          values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : this.text(tick))),
        },
      ],
      series: [
        {},
        ...this.lines.map(
          ({ label, hue, dash }): UPlot.Series => ({
            label,
            stroke: colour(`series-${hue}`),
            width: 2,
            points: { show: false },
            ...(dash === undefined ? {} : { dash: [...dash] }),
          }),
        ),
      ],
    };
    return new uPlot(options, this.data(), this.box);
  }
}

function timeText(time: number): string {
  return new Date(time * 1000).toLocaleTimeString("en-GB");
}

function topOf(max: number | null): number {
  return Math.max(5, (max ?? 0) * 1.15);
}

function logRange(_: UPlot, min: number | null, max: number | null): [number, number] {
  return [10 ** Math.floor(Math.log10(min ?? 0.1)), 10 ** Math.ceil(Math.log10((max ?? 10) * 1.01))];
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
