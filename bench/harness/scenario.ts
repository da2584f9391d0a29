// A scenario is data: one question, the axes that answer it, and how long to load. Pure.

import { Prng } from "../../src/base/prng.js";
import { AXIS_NAMES, type AxisName, type AxisValues, DEFAULT_SETTINGS, type Settings } from "./axes.js";
import { BenchError } from "./bench-error.js";

/** How long one variant is loaded. */
export interface Load {
  readonly warmupMs: number;
  readonly durationMs: number;
}

/** Axes left out have one value, the default. `smoke` answers the question roughly, in seconds. */
export interface Scenario {
  readonly name: string;
  readonly question: string;
  /** The axis that the question is about: variants that differ in it alone are compared in words. */
  readonly compares: AxisName;
  readonly axes: { readonly full: Partial<AxisValues>; readonly smoke: Partial<AxisValues> };
  readonly load: { readonly full: Load; readonly smoke: Load };
}

/** One configuration to run, at its place in the table. */
export interface Variant {
  readonly position: number;
  readonly settings: Settings;
}

/** More than this is a typing mistake, not a plan. */
export const VARIANTS_MAX = 500;

/** Values of every axis: what the command line says, else the scenario, else the default. */
export function resolveAxes(scenario: Scenario, quick: boolean, given: Partial<AxisValues>): AxisValues {
  const planned = quick ? scenario.axes.smoke : scenario.axes.full;
  const resolved: Partial<Record<AxisName, readonly unknown[]>> = {};
  for (const name of AXIS_NAMES) resolved[name] = given[name] ?? planned[name] ?? [DEFAULT_SETTINGS[name]];
  return resolved as AxisValues;
}

/**
 * Every combination. Later axes of NESTING vary fastest: rows of one load stand together, and writers alternate, so
 * that a machine that drifts does so across what is compared.
 */
export function expand(axes: AxisValues): Variant[] {
  let combinations: Partial<Settings>[] = [{}];
  for (const name of NESTING) {
    combinations = combinations.flatMap((base) => axes[name].map((value) => ({ ...base, [name]: value })));
  }
  if (combinations.length > VARIANTS_MAX) {
    const text = `${combinations.length} combinations of axes, more than ${VARIANTS_MAX}: give fewer values.`;
    throw new BenchError("usage", text);
  }
  return combinations.map((settings, position) => ({ position, settings: settings as Settings }));
}

const NESTING: readonly AxisName[] = [
  "nodes",
  "entryBytes",
  "inFlight",
  "durability",
  "batchBytes",
  "writer",
];

/** The order in which variants run: as in the table, or shuffled by `seed`. */
export function runOrder(variants: readonly Variant[], order: "table" | "random", seed: number): Variant[] {
  const sequence = [...variants];
  if (order === "table") return sequence;
  const prng = new Prng(seed);
  for (let i = sequence.length - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    [sequence[i], sequence[j]] = [sequence[j], sequence[i]];
  }
  return sequence;
}

/** The axes with more than one value; with none, the writer, so that a row has a name. */
export function varyingAxes(axes: AxisValues): AxisName[] {
  const varying = NESTING.filter((name) => axes[name].length > 1);
  return varying.length > 0 ? varying : ["inFlight", "writer"];
}

/** "pool-wasm, 1024 in flight": a variant in words, as far as it differs from others. */
export function describe(settings: Settings, names: readonly AxisName[]): string {
  const parts: string[] = [];
  for (const name of [...names].reverse()) parts.push(PHRASES[name](settings));
  return parts.join(", ");
}

const PHRASES: { readonly [K in AxisName]: (settings: Settings) => string } = {
  nodes: ({ nodes }) => `${nodes} node${nodes === 1 ? "" : "s"}`,
  entryBytes: ({ entryBytes }) => `${entryBytes} B`,
  inFlight: ({ inFlight }) => `${inFlight} in flight`,
  writer: ({ writer }) => writer,
  durability: ({ durability }) => (durability === "none" ? "not durable" : durability),
  batchBytes: ({ batchBytes }) => (batchBytes === 0 ? "default batch cap" : `batches up to ${batchBytes} B`),
};
