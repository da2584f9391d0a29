// The charts that need no script: bars of HTML whose lengths are style. Throughput, the waterfall of a commit, who used
// the CPU. Figures stand beside the bars as text, or in a table below them. Pure.
import { cpuMsOf } from "../../harness/cpu.js";
import { grouped, percent, short } from "../numbers.js";
import type { Run } from "../result-schema.js";
import { mainStages, partsOf, restName } from "../waterfall-text.js";
import type { ChartLine } from "./chart-data.js";
import { type Html, html, NOTHING } from "./html.js";
import type { Config, Group, Model } from "./model.js";

/** Hue of a configuration and what makes it differ from another of the same hue. */
export function swatch({ hue, dash }: Pick<Config, "hue" | "dash">): Html {
  return html`<span class="swatch" data-hue="${hue}" data-dash="${dash}" aria-hidden="true"></span>`;
}

/** A line as the charts draw it. */
export function lineSample({ hue, dash }: Pick<ChartLine, "hue" | "dash">): Html {
  return html`<svg class="sample" data-hue="${hue}" width="28" height="10" aria-hidden="true"><line x1="0" y1="5" x2="28"
    y2="5" stroke-dasharray="${dash.join(" ")}"/></svg>`;
}

function share(value: number, whole: number): string {
  return `${(100 * Math.min(1, Math.max(0, value / whole))).toFixed(2)}%`;
}

/** A heading for a group; nothing where there is one group. */
export function groupTitle(group: Group, beside: Html = NOTHING): Html {
  if (group.title === "" && beside === NOTHING) return NOTHING;
  return html`<h3>${group.title} <small>${beside}</small></h3>`;
}

/** Bars with whiskers. Every group has its own scale, and says so where it differs from the others'. */
export function throughputBars(model: Model): Html {
  const several = model.groups.length > 1;
  return html`${model.groups.map((group) => {
    const top = Math.max(...group.configs.map(({ row }) => row.proposalsPerS?.high ?? 0));
    const scale = several && top > 0 ? html`full width is ${grouped(top)}/s` : NOTHING;
    return html`${groupTitle(group, scale)}<ul class="bars">${group.configs.map((config) => bar(config, top))}</ul>`;
  })}`;
}

function bar(config: Config, top: number): Html {
  const { proposalsPerS: rate, voids, disturbed, runs } = config.row;
  if (rate === null) {
    return html`<li class="void"><span class="name">${swatch(config)}${config.name}</span>
      <span class="figure">✕ void</span></li>`;
  }
  const sure = rate.high > rate.low;
  const whisker = html`<i class="whisker" style="left:${share(rate.low, top)};right:calc(100% - ${share(rate.high, top)})"></i>`;
  const interval = sure ? html` <small>${grouped(rate.low)} to ${grouped(rate.high)}</small>` : NOTHING;
  const parts = [
    ...(voids > 0 ? [`${voids} of ${runs.length} void, left out`] : []),
    ...(disturbed > 0 ? [disturbedText(disturbed, runs.length, voids)] : []),
  ];
  const left = parts.length > 0 ? html` <small class="warn">${parts.join("; ")}</small>` : NOTHING;
  return html`<li><span class="name">${swatch(config)}${config.name}</span>
    <span class="figure">${grouped(rate.estimate)}/s${interval}${left}</span>
    <span class="track" aria-hidden="true"><i class="fill" data-hue="${config.hue}" data-dash="${config.dash}"
      style="width:${share(rate.estimate, top)}"></i>${sure ? whisker : NOTHING}</span></li>`;
}

/** Where there is no other, disturbed runs are shown. */
function disturbedText(disturbed: number, runs: number, voids: number): string {
  const shown = disturbed + voids === runs;
  return `${disturbed} of ${runs} disturbed, ${shown ? "shown for want of others" : "left out"}`;
}

interface Segment {
  readonly name: string;
  readonly value: number;
  /** Its place among the parts that the whole may have. */
  readonly part: number;
}

/** Hues once around the wheel in the order of the parts, never more than eight; neighbours differ in lightness too. */
function tone(part: number, parts: number): string {
  const hue = Math.round(285 - (315 * part) / Math.max(1, parts));
  return `--hue:${(hue + 360) % 360};--lift:${part % 2 === 0 ? "0" : "0.1"}`;
}

/** A part carries its number of the legend where that has room, and its name where the name has; see page.css. */
function stack(
  segments: readonly Segment[],
  parts: number,
  whole: number,
  text: (segment: Segment) => string,
): Html {
  const shown = segments.filter(({ value }) => value > 0);
  return html`<span class="track stack" aria-hidden="true">${shown.map((segment) => {
    const { name, value, part } = segment;
    const style = `width:${share(value, whole)};${tone(part, parts)}`;
    return html`<i class="tone" style="${style}" title="${text(segment)}"><b>${part + 1}</b><span>${name}</span></i>`;
  })}</span>`;
}

function ramp(names: readonly string[]): Html {
  const entry = (name: string, part: number) =>
    html`<li><span class="key tone" style="${tone(part, names.length)}" aria-hidden="true">${part + 1}</span>${name}</li>`;
  return html`<ul class="ramp">${names.map(entry)}</ul>`;
}

/** Stages of the mean sampled commit, in order, the short ones together; every group has its own scale. */
export function waterfallBars(model: Model): Html {
  const measured = model.configs.flatMap(({ typical }) => typical?.waterfall ?? []);
  const named = mainStages(measured);
  const rest = restName(measured, named);
  const names = rest === null ? named : [...named, rest];
  const groups = model.groups.map((group) => {
    const totals = group.configs.map(({ typical }) => typical?.waterfall?.totalUs.mean ?? 0);
    const top = Math.max(...totals);
    const scale = model.groups.length > 1 && top > 0 ? html`full width is ${short(top)} µs` : NOTHING;
    const bars = group.configs.map((config) => fall(config, named, rest, top));
    return html`${groupTitle(group, scale)}<ul class="bars">${bars}</ul>`;
  });
  return html`${ramp(names)}${groups}`;
}

function fall(config: Config, named: readonly string[], rest: string | null, top: number): Html {
  const waterfall = config.typical?.waterfall;
  const name = html`<span class="name">${swatch(config)}${config.name}</span>`;
  if (waterfall == null) {
    const why = config.typical === null ? "✕ void" : "not sampled in this run";
    return html`<li class="absent">${name}<span class="figure">${why}</span></li>`;
  }
  const segments = partsOf(waterfall, named, rest).map(({ name, us }) => ({
    name,
    value: us,
    part: named.includes(name) ? named.indexOf(name) : named.length,
  }));
  const parts = named.length + (rest === null ? 0 : 1);
  return html`<li>${name}<span class="figure">${short(waterfall.totalUs.mean)} µs
    <small>mean of ${grouped(waterfall.sampled)}</small></span>
    ${stack(segments, parts, top, ({ name, value }) => `${name}: ${short(value)} µs`)}</li>`;
}

const CPU_PARTS = [
  "leader, main thread",
  "leader, other threads",
  "followers, main threads",
  "followers, other threads",
  "other programs",
];

/** All cores of the machine over the window: who used them. */
export function cpuBars(model: Model): Html {
  const bars = (group: Group) => group.configs.map((config) => cpuBar(config));
  return html`${ramp(CPU_PARTS)}${model.groups.map(
    (group) => html`${groupTitle(group)}<ul class="bars">${bars(group)}</ul>`,
  )}`;
}

function cpuBar(config: Config): Html {
  const name = html`<span class="name">${swatch(config)}${config.name}</span>`;
  const run = config.typical;
  if (run === null) return html`<li class="absent">${name}<span class="figure">✕ void</span></li>`;
  const { cores } = config.source.result.environment;
  const values = cpuParts(run, cores);
  const segments = CPU_PARTS.map((part, i) => ({ name: part, value: values[i], part: i }));
  const busy = Math.min(
    1,
    values.reduce((sum, value) => sum + value, 0),
  );
  return html`<li>${name}<span class="figure">${percent(busy)} <small>of ${cores} cores</small></span>
    ${stack(segments, CPU_PARTS.length, 1, ({ name, value }) => `${name}: ${percent(value)}`)}</li>`;
}

/** Shares of all cores, in the order of CPU_PARTS. What no thread accounts for counts as an other thread's. */
function cpuParts(run: Run, cores: number): number[] {
  const parts = [0, 0, 0, 0, run.otherCpuShare];
  for (const node of run.nodes) {
    const all = cpuMsOf(node);
    const main = Math.min(all, node.mainThreadMs ?? all);
    const first = node.leader ? 0 : 2;
    parts[first] += main / (node.windowMs * cores);
    parts[first + 1] += (all - main) / (node.windowMs * cores);
  }
  return parts;
}
