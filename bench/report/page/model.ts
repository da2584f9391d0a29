// What a page is made of: the configurations of one or more results, how each is called, grouped, coloured and
// dashed, and which of its runs stands for it. Pure.
import type { AxisName } from "../../harness/axes.js";
import { axesOf, describe, varyingAxes } from "../../harness/scenario.js";
import { type Row, rowsOf } from "../../stats/rows.js";
import type { Result, Run } from "../result-schema.js";
import { constants } from "../table.js";
import { typicalRun } from "../waterfall-text.js";

/** A result and what the page calls it, mostly its file's name. */
export interface NamedResult {
  readonly name: string;
  readonly result: Result;
}

export interface Config {
  /** Which result it is from. */
  readonly source: NamedResult;
  readonly row: Row;
  /** "pool-wasm, 1024 in flight": alone on the page. */
  readonly label: string;
  /** "pool-wasm": within its group. */
  readonly name: string;
  /** Its label without the offered rate: a line of latency against load. */
  readonly family: string;
  readonly hue: number;
  /** Not 0: another result with the same hue. */
  readonly dash: number;
  /** The page is about more than one result. */
  readonly several: boolean;
  /** What legends switch: the same hue and dash in every chart. */
  readonly key: string;
  /** The valid run with the median throughput, for what cannot be merged; null: all are void. */
  readonly typical: Run | null;
}

/** Configurations that differ in what is asked about alone. */
export interface Group {
  /** "1024 in flight"; "" if there is one group. */
  readonly title: string;
  readonly configs: readonly Config[];
}

export interface Model {
  readonly results: readonly NamedResult[];
  readonly configs: readonly Config[];
  readonly groups: readonly Group[];
  /** One configuration for each key. */
  readonly legend: readonly Config[];
  /** What is the same everywhere: "3 nodes, 256 B". */
  readonly constants: string;
}

export const HUES = 8;

export function modelOf(results: readonly NamedResult[]): Model {
  const found = results.flatMap((source) => rowsOf(source.result).map((row) => ({ source, row })));
  const axes = axesOf(found.map(({ row }) => row.settings));
  const varying = varyingAxes(axes);
  const compares = results[0].result.scenario.compares as AxisName;
  const focus = varying.includes(compares) ? compares : varying[varying.length - 1];
  const rest = varying.filter((name) => name !== focus);
  const rateless = varying.filter((name) => (name as string) !== "rate");
  const withoutRate = rateless.length > 0 ? rateless : (["writer"] as const);
  const values = [...new Set(found.map(({ row }) => row.settings[focus]))];
  const configs = found.map(({ source, row }): Config & { readonly group: string } => {
    const value = values.indexOf(row.settings[focus]);
    const from = results.indexOf(source);
    const suffix = results.length > 1 ? ` · ${source.name}` : "";
    const hue = (values.length === 1 ? from : value) % HUES;
    const dash = values.length === 1 ? Math.floor(from / HUES) : from + Math.floor(value / HUES);
    return {
      source,
      row,
      label: `${describe(row.settings, varying)}${suffix}`,
      name: `${describe(row.settings, [focus])}${suffix}`,
      family: `${describe(row.settings, withoutRate)}${suffix}`,
      group: describe(row.settings, rest),
      hue,
      dash,
      several: results.length > 1,
      key: `${hue}-${dash}`,
      typical: typicalRun(row),
    };
  });
  const titles = [...new Set(configs.map(({ group }) => group))];
  return {
    results,
    configs,
    groups: titles.map((title) => ({ title, configs: configs.filter(({ group }) => group === title) })),
    legend: configs.filter((config, i) => configs.findIndex(({ key }) => key === config.key) === i),
    constants: constants(axes),
  };
}
