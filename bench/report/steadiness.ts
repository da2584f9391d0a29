// How steady the figures are, in plain words with its size: how far rounds of one configuration lie apart, whatever made
// it (scatter-text.ts tells what is known of that), and what the host of a virtual machine took. Factors are taken within
// rounds, figures are not. Pure.
import { STOLEN_TOLD_SHARE } from "../harness/disturbance.js";
import { rowsOf, soundRuns } from "../stats/rows.js";
import { percent } from "./numbers.js";
import type { Result } from "./result-schema.js";

/** Rounds that lie closer are no news. */
const DRIFT_TOLD = 0.1;

/** "the same configuration did up to 30 % more in one round than in another, ..."; null: steady, as far as is known. */
export function unsteadyText({ runs }: Pick<Result, "runs">): string | null {
  const drift = Math.max(0, ...rowsOf({ runs }).map(driftOf));
  const stolen = Math.max(0, ...runs.map(({ stolenCpuShare }) => stolenCpuShare));
  const texts = [
    ...(drift < DRIFT_TOLD
      ? []
      : [`the same configuration did up to ${percent(drift)} more in one round than in another`]),
    ...(stolen < STOLEN_TOLD_SHARE
      ? []
      : [`the host of this virtual machine took up to ${percent(stolen)} of the CPU (steal)`]),
  ];
  return texts.length === 0 ? null : texts.join(", and ");
}

/** The fastest round by the slowest one, less one; of windows that an event ends the rate says little of the machine. */
function driftOf({ runs }: ReturnType<typeof rowsOf>[number]): number {
  const counted = soundRuns(runs).filter(({ settings }) => settings.event === "none" && settings.rate === 0);
  const rates = counted.map(({ proposalsPerS }) => proposalsPerS).filter((rate) => rate > 0);
  return rates.length < 2 ? 0 : Math.max(...rates) / Math.min(...rates) - 1;
}
