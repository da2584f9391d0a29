// The figures of the charts that the page's script draws: latency percentiles, what happened over time, latency
// against offered load. Decoding the stored histograms is done here, once, when the page is made. Pure.
import { percentileMs } from "../../harness/latency.js";
import { mergeHistograms, validRuns } from "../../stats/rows.js";
import type { Run } from "../result-schema.js";
import type { Chart, ChartLine, Tick } from "./chart-data.js";
import { type Config, type Group, HUES, type Model } from "./model.js";

/** Latency at some percentile, all rounds of a configuration together. */
export interface Distribution {
  readonly samples: number;
  at(percentile: number): number;
}

export function distributionOf(config: Config): Distribution | null {
  const runs = validRuns(config.row.runs).filter(({ done }) => done > 0);
  if (runs.length === 0) return null;
  const merged = mergeHistograms(runs.map(({ histogram }) => histogram));
  const max = Math.max(...runs.map(({ latencyMs }) => latencyMs.max));
  return { samples: merged.totalCount, at: (percentile) => percentileMs(merged, percentile, max) };
}

/** Places on the percentile axis: nines. 0 is the fastest, 1 is p90, 2 is p99. */
const NINES_MAX = 5;
const POINTS_PER_NINE = 16;
const NINES = Array.from({ length: NINES_MAX * POINTS_PER_NINE + 1 }, (_, i) => i / POINTS_PER_NINE);
const PERCENTILES = [50, 90, 99, 99.9, 99.99, 99.999];

function ninesOf(percentile: number): number {
  return -Math.log10(1 - percentile / 100);
}

function percentileOf(nines: number): number {
  return 100 * (1 - 10 ** -nines);
}

/** One chart a group, all with the same scales. */
export function percentileCharts(model: Model): Chart[] {
  let longest = 0;
  const lines = new Map<Config, ChartLine>();
  for (const config of model.configs) {
    const distribution = distributionOf(config);
    if (distribution === null) continue;
    const end = Math.min(NINES_MAX, Math.log10(distribution.samples));
    longest = Math.max(longest, end);
    lines.set(
      config,
      line(
        config,
        NINES.map((nines) => (nines <= end ? distribution.at(percentileOf(nines)) : null)),
      ),
    );
  }
  const count = Math.min(NINES.length, Math.ceil(longest * POINTS_PER_NINE) + 1);
  const x = NINES.slice(0, count);
  const ticks: Tick[] = PERCENTILES.map((p) => ({ at: ninesOf(p), label: String(p) }));
  const common = {
    xLabel: "percentile of proposals",
    yLabel: "ms, logarithmic",
    x,
    xTicks: ticks.filter(({ at }) => at <= x[x.length - 1] + 1e-9),
    xKind: "percentile" as const,
    logY: true,
    unit: "ms",
    marks: [],
  };
  return perGroup(model, "latency", lines, common);
}

type Common = Omit<Chart, "id" | "lines" | "yRange">;

function perGroup(
  model: Model,
  id: string,
  lines: ReadonlyMap<Config, ChartLine>,
  common: Common | ((group: Group) => Common),
): Chart[] {
  const yRange = common instanceof Function ? null : rangeOf([...lines.values()], common.logY);
  return model.groups.flatMap((group, i) => {
    const own = group.configs.flatMap((config) => lines.get(config) ?? []);
    const shared = common instanceof Function ? common(group) : common;
    if (own.length === 0) return [];
    return [{ ...shared, id: `${id}-${i}`, yRange: yRange ?? rangeOf(own, shared.logY), lines: own }];
  });
}

function line(config: Config, values: readonly (number | null)[]): ChartLine {
  const { label, hue, key } = config;
  return {
    label,
    hue,
    dash: dashOf(config),
    key,
    values: values.map((value) => (value === null ? null : digits(value))),
  };
}

const DASHES: readonly (readonly number[])[] = [
  [],
  [8, 4],
  [2, 3],
  [10, 3, 2, 3],
  [5, 2],
  [14, 4],
  [1, 2],
  [6, 2, 2, 2],
];

/** Lines differ in more than colour: by result where there are several, else by what is compared. */
export function dashOf({ hue, dash, several }: Config): readonly number[] {
  return DASHES[(dash > 0 || several ? dash : hue) % DASHES.length];
}

/** Four digits: more cannot be seen, and make the page larger. */
function digits(value: number): number {
  return Number(value.toPrecision(4));
}

/** Around all values: whole steps of 1, 2, 5 for a logarithmic scale; from zero for a linear one. */
function rangeOf(lines: readonly ChartLine[], log: boolean): readonly [number, number] {
  const values = lines.flatMap((each) =>
    each.values.filter((value) => value !== null && value > 0),
  ) as number[];
  const max = values.reduce((a, b) => Math.max(a, b), 0);
  if (!log) return [0, max === 0 ? 1 : max * 1.06];
  const min = values.reduce((a, b) => Math.min(a, b), max);
  if (max === 0) return [0.1, 10];
  return [nice(min * 0.95, -1), nice(max * 1.05, 1)];
}

/** The next of 1, 2, 5 times a power of ten below (-1) or above (1) `value`. */
function nice(value: number, direction: 1 | -1): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const steps = [1, 2, 5, 10].map((step) => step * power);
  const found = direction > 0 ? steps.find((step) => step >= value) : steps.findLast((step) => step <= value);
  return Number((found ?? value).toPrecision(2));
}

/** Applied proposals a second, or the p99, in every step of the measured windows; rounds stand one after another. */
export function timeCharts(model: Model, what: "throughput" | "p99"): Chart[] {
  const read = (run: Run) => (what === "p99" ? (run.series.p99Ms ?? null) : ratesOf(run));
  const charts: Chart[] = [];
  const all = new Map<Config, ChartLine>();
  const grids = new Map<Group, ReturnType<typeof gridOf>>();
  for (const group of model.groups) {
    const grid = gridOf(group);
    grids.set(group, grid);
    for (const config of group.configs) {
      if (config.typical === null || read(config.typical) === null) continue;
      all.set(config, line(config, grid.place(config, read)));
    }
  }
  charts.push(
    ...perGroup(model, what, all, (group) => ({
      xLabel: "seconds measured",
      yLabel: what === "p99" ? "p99, ms, logarithmic" : "proposals/s",
      x: grids.get(group)?.x ?? [],
      marks: grids.get(group)?.marks ?? [],
      xTicks: null,
      xKind: "seconds",
      logY: what === "p99",
      unit: what === "p99" ? "ms" : "/s",
    })),
  );
  return charts;
}

function ratesOf(run: Run): number[] {
  return run.series.applied.map((count) => (count * 1000) / run.series.stepMs);
}

/** A common grid for a group: the finest step, every round as long as its longest run, an empty place between. */
function gridOf(group: Group) {
  const rows = group.configs.map(({ row }) => validRuns(row.runs));
  const runs = rows.flat();
  const stepMs = runs.reduce((step, run) => Math.min(step, run.series.stepMs), Number.POSITIVE_INFINITY);
  const rounds = [...new Set(runs.map(({ round }) => round))].sort((a, b) => a - b);
  const steps = rounds.map((round) => {
    const lengths = runs
      .filter((run) => run.round === round)
      .map(({ series }) => Math.floor((series.applied.length * series.stepMs) / stepMs));
    return Math.max(...lengths);
  });
  const place = (config: Config, read: (run: Run) => readonly (number | null)[] | null) => {
    const own = validRuns(config.row.runs);
    return rounds.flatMap((round, i) => {
      const run = own.find((each) => each.round === round);
      const values = run === undefined ? null : read(run);
      const scale = run === undefined ? 1 : stepMs / run.series.stepMs;
      const here = Array.from({ length: steps[i] }, (_, k) => values?.[Math.floor(k * scale)] ?? null);
      return i + 1 < rounds.length ? [...here, null] : here;
    });
  };
  const x: number[] = [];
  let begun = 0;
  for (const length of steps) {
    // The empty place between two rounds takes no time.
    if (begun > 0) x.push(digits(((begun + 0.5) * stepMs) / 1000));
    for (let i = 1; i <= length; i++) x.push(digits(((begun + i) * stepMs) / 1000));
    begun += length;
  }
  return { x, place, marks: marksOf(runs, rounds, steps, stepMs) };
}

/** Of a window: marks of several runs that lie closer are one. */
const CLOSE_SHARE = 0.1;

/** What befell every run of a round at about the same time; the rest would be lines without a name. */
function marksOf(
  runs: readonly Run[],
  rounds: readonly number[],
  steps: readonly number[],
  stepMs: number,
): Tick[] {
  const marks: Tick[] = [];
  let begun = 0;
  for (const [i, round] of rounds.entries()) {
    const all = runs.filter((run) => run.round === round && (run.marks ?? []).length > 0);
    for (const what of new Set(all.flatMap((run) => (run.marks ?? []).map((mark) => mark.what)))) {
      const close = Math.max(stepMs, steps[i] * stepMs * CLOSE_SHARE);
      const times = all.flatMap((run) => (run.marks ?? []).filter((mark) => mark.what === what));
      const at = times.map(({ atMs }) => atMs);
      const [first, last] = [Math.min(...at), Math.max(...at)];
      if (at.length < all.length || last - first > close || last > steps[i] * stepMs) continue;
      const label = marks.some((mark) => mark.label === what) ? "" : what;
      marks.push({ at: digits((begun * stepMs + (first + last) / 2) / 1000), label });
    }
    begun += steps[i];
  }
  return marks;
}

/** p50 and p99 against the offered rate, a line each, for every configuration that ran at several rates. */
export function loadCharts(model: Model): Chart[] {
  const families = new Map<string, Config[]>();
  for (const config of model.configs) {
    if (config.typical?.load.kind !== "open" || config.typical.load.ratePerS === null) continue;
    families.set(config.family, [...(families.get(config.family) ?? []), config]);
  }
  const several = [...families].filter(([, configs]) => new Set(configs.map(rateOf)).size > 1);
  if (several.length === 0) return [];
  const x = [...new Set(several.flatMap(([, configs]) => configs.map(rateOf)))].sort((a, b) => a - b);
  const lines = several.flatMap(([family, configs], i) => {
    const at = (pick: "p50" | "p99") =>
      x.map((rate) => {
        const latency = configs.find((config) => rateOf(config) === rate)?.row.latencyMs;
        return latency == null ? null : digits(latency[pick]);
      });
    const base = { hue: i % HUES, key: `load-${i}` };
    return [
      { ...base, label: `p50 ${family}`, dash: DASHES[0], values: at("p50") },
      { ...base, label: `p99 ${family}`, dash: DASHES[1], values: at("p99") },
    ];
  });
  const chart: Chart = {
    id: "load",
    xLabel: "proposals offered a second",
    yLabel: "ms, logarithmic",
    x,
    xTicks: null,
    xKind: "rate",
    logY: true,
    yRange: rangeOf(lines, true),
    unit: "ms",
    lines,
    marks: [],
  };
  return [chart];
}

function rateOf(config: Config): number {
  return config.typical?.load.ratePerS ?? 0;
}
