// What makes two runs the same configuration, and its name where nothing else of a table is at hand. Pure.
import { AXIS_NAMES, type AxisName, DEFAULT_SETTINGS, type Settings } from "../harness/axes.js";
import { describe } from "../harness/scenario.js";

/** Always in the name; the other axes only where they are not at their default. */
const MAIN: readonly AxisName[] = ["nodes", "entryBytes", "inFlight", "writer", "durability"];

/** "o_dsync, pool-wasm, 64 in flight, 256 B, 3 nodes". */
export function configurationName(settings: Settings): string {
  const told = (name: AxisName) => MAIN.includes(name) || settings[name] !== DEFAULT_SETTINGS[name];
  return describe(settings, AXIS_NAMES.filter(told));
}

/** Equal for equal settings, in whatever order a file has them. */
export function configurationKey(settings: Settings): string {
  return JSON.stringify(AXIS_NAMES.map((name) => settings[name]));
}
