// The page's own script: draws the charts with uPlot, keeps them as wide as their box, in the palette of the moment
// (light, dark, print), and answers legend and finger. The build compiles it alone and the page carries it inside.
import type UPlot from "uplot";
import type { Chart, ChartLine, PageData } from "../chart-data.js";

/** The library's script stands before this one in the page. */
declare const uPlot: typeof UPlot;

const HEIGHT_PX = 250;
const FONT = "12px system-ui, sans-serif";

interface Drawn {
  readonly chart: Chart;
  readonly box: HTMLElement;
  plot: UPlot;
}

const hidden = new Set<string>();
const drawn: Drawn[] = [];

start();

function start(): void {
  const source = document.getElementById("data");
  const data = JSON.parse(source?.textContent ?? "") as PageData;
  for (const chart of data.charts) {
    const box = document.querySelector<HTMLElement>(`[data-chart="${chart.id}"]`);
    if (box !== null) drawn.push({ chart, box, plot: plotOf(chart, box) });
  }
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const one = drawn.find(({ box }) => box === target);
      if (one !== undefined && target.clientWidth !== one.plot.width) {
        one.plot.setSize({ width: target.clientWidth, height: HEIGHT_PX });
      }
    }
  });
  for (const { box } of drawn) resized.observe(box);
  for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-key]")) {
    button.addEventListener("click", () => toggle(button.dataset["key"] ?? ""));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => forPrint(true));
  addEventListener("afterprint", () => forPrint(false));
}

/** Paper is light. What is folded stays so: the reader opens what is to be printed. */
function forPrint(printing: boolean): void {
  document.documentElement.classList.toggle("printing", printing);
  redraw();
}

function redraw(): void {
  for (const one of drawn) {
    one.plot.destroy();
    one.plot = plotOf(one.chart, one.box);
  }
}

function toggle(key: string): void {
  if (!hidden.delete(key)) hidden.add(key);
  for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-key]")) {
    button.setAttribute("aria-pressed", String(!hidden.has(button.dataset["key"] ?? "")));
  }
  for (const { chart, plot } of drawn) {
    chart.lines.forEach((line, i) => {
      plot.setSeries(i + 1, { show: !hidden.has(line.key) });
    });
  }
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function plotOf(chart: Chart, box: HTMLElement): UPlot {
  const options: UPlot.Options = {
    width: box.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    padding: [10, 26, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      x: { time: false },
      y: chart.logY
        ? { distr: 3, log: 10, range: [chart.yRange[0], chart.yRange[1]] }
        : { range: [chart.yRange[0], chart.yRange[1]] },
    },
    axes: [xAxis(chart), yAxis(chart)],
    series: [{}, ...chart.lines.map(seriesOf)],
    hooks: { init: [finger], setCursor: [tip(chart)], draw: [marks(chart)] },
  };
  return new uPlot(options, [[...chart.x], ...chart.lines.map(({ values }) => [...values])], box);
}

function seriesOf(line: ChartLine): UPlot.Series {
  return {
    label: line.label,
    show: !hidden.has(line.key),
    stroke: colour(`series-${line.hue}`),
    width: 2,
    dash: [...line.dash],
    points: { show: line.values.filter((value) => value !== null).length <= 12 },
  };
}

function look(): UPlot.Axis {
  const stroke = colour("ink-soft");
  const grid = { stroke: colour("line"), width: 1 };
  return { stroke, font: FONT, grid, ticks: { ...grid, size: 4 } };
}

function xAxis(chart: Chart): UPlot.Axis {
  const base: UPlot.Axis = { ...look(), size: 28, space: 60 };
  if (chart.xTicks === null) return base;
  const ticks = chart.xTicks;
  return {
    ...base,
    splits: ticks.map(({ at }) => at),
    values: () => ticks.map(({ label }) => label),
  };
}

function yAxis(chart: Chart): UPlot.Axis {
  const base: UPlot.Axis = { ...look(), size: 58 };
  const values = (_plot: UPlot, splits: number[]) => splits.map(amount);
  if (!chart.logY) return { ...base, values };
  // By default a logarithmic axis names its decades alone.
  return { ...base, splits: () => oneTwoFive(chart.yRange), filter: (_plot, splits) => splits, values };
}

/** 1, 2, 5 of every decade; decades alone where those would crowd. */
function oneTwoFive([min, max]: readonly [number, number]): number[] {
  const decades = Math.log10(max / min);
  const steps = decades <= 2.4 ? [1, 2, 5] : decades <= 4 ? [1, 3] : [1];
  const found: number[] = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power++) {
    for (const step of steps) {
      const value = Number((step * 10 ** power).toPrecision(2));
      if (value >= min * 0.999 && value <= max * 1.001) found.push(value);
    }
  }
  return found;
}

/** Three digits, thousands as "20k". */
function amount(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return Number(value.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 6 });
}

/** A dashed line across the chart where something happened, named at its top, on the side that has more room. */
function marks(chart: Chart): (plot: UPlot) => void {
  return ({ ctx, bbox, valToPos }) => {
    const scale = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("ink-soft");
    ctx.lineWidth = scale;
    ctx.font = `${11 * scale}px system-ui, sans-serif`;
    ctx.setLineDash([2 * scale, 3 * scale]);
    chart.marks.forEach(({ at, label }, i) => {
      const x = Math.round(valToPos(at, "x", true));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const right = x < bbox.left + bbox.width / 2;
      ctx.textAlign = right ? "left" : "right";
      // Each a line lower, so that marks that stand close do not write over each other.
      ctx.fillText(label, x + (right ? 4 : -4) * scale, bbox.top + (11 + (i % 3) * 13) * scale);
    });
    ctx.restore();
  };
}

/** A finger on a chart moves the cursor sideways; up and down still scrolls the page. */
function finger(plot: UPlot): void {
  const move = (event: TouchEvent) => {
    const [touch] = event.touches;
    const { left, top } = plot.over.getBoundingClientRect();
    plot.setCursor({ left: touch.clientX - left, top: touch.clientY - top });
  };
  plot.over.style.touchAction = "pan-y";
  plot.over.addEventListener("touchstart", move, { passive: true });
  plot.over.addEventListener("touchmove", move, { passive: true });
}

/** The values under the cursor, in a box that stays within the chart. */
function tip(chart: Chart): (plot: UPlot) => void {
  return (plot) => {
    let box = plot.over.querySelector<HTMLElement>(".tip");
    if (box === null) {
      box = document.createElement("div");
      box.className = "tip";
      plot.over.append(box);
    }
    const { idx, left } = plot.cursor;
    box.hidden = idx == null || left == null || left < 0;
    if (box.hidden || idx == null || left == null) return;
    box.replaceChildren(text("b", placeText(chart, chart.x[idx])), ...rows(chart, plot, idx));
    const half = plot.over.clientWidth / 2;
    box.style.left = left < half ? `${left + 12}px` : "auto";
    box.style.right = left < half ? "auto" : `${plot.over.clientWidth - left + 12}px`;
  };
}

function rows(chart: Chart, plot: UPlot, idx: number): HTMLElement[] {
  return chart.lines.flatMap((line, i) => {
    const value = line.values[idx];
    if (value == null || plot.series[i + 1].show === false) return [];
    const row = text("span", `${line.label}: ${amount(value)} ${chart.unit}`);
    const mark = document.createElement("span");
    mark.className = "swatch";
    mark.dataset["hue"] = String(line.hue);
    row.prepend(mark);
    return [row];
  });
}

function text(element: "b" | "span", content: string): HTMLElement {
  const made = document.createElement(element);
  made.textContent = content;
  return made;
}

function placeText({ xKind }: Chart, x: number): string {
  if (xKind === "seconds") return `${x.toFixed(1)} s`;
  if (xKind === "rate") return `${amount(x)} offered/s`;
  if (x === 0) return "the fastest";
  const rare = 10 ** x;
  const percentile = (100 * (1 - 1 / rare)).toFixed(Math.max(1, Math.ceil(x) - 1));
  return `p${Number(percentile)}: one of ${amount(Number(rare.toPrecision(2)))} is slower`;
}
