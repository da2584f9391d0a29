// What many gate runs of one kind come to: alarms where nothing differs, and planted losses that were not seen. Pure.
import { median } from "simple-statistics";
import { type GateKind, type GateNote, PLANTED_AT, PLANTED_RATIO } from "./gate-runs.js";
import type { Finding } from "./parts.js";

/** Of 20 runs: alarms where nothing differs, and planted losses that are not seen. */
const WRONG_MAX_SHARE = 1 / 20;
/** The planted loss must be what it is said to be. */
const PLANTED_TOLERANCE = 0.02;

/** What the runs of one kind come to. */
export function alarmsOf(kind: GateKind, notes: readonly GateNote[]): Finding[] {
  const alarms = notes.filter(({ passed }) => !passed).length;
  const unmeasured = notes.filter((note) => note.unmeasured !== null).length;
  const again = notes.reduce((sum, { troubles }) => sum + troubles.length, 0);
  const voids = notes.filter((note) => note.voids.length > 0).length;
  const allowed = Math.floor(notes.length * WRONG_MAX_SHARE);
  const perRun = median(notes.map(({ ms }) => ms)) / 1000;
  const measured = `${alarms} of ${notes.length} (${perRun.toFixed(0)} s each)`;
  const sound = {
    what: `${kind} engines: gate runs that are void or could not measure`,
    expected: "none",
    measured: `${voids} and ${unmeasured}; tried again: ${again}`,
    ok: voids === 0 && unmeasured === 0,
  };
  if (kind === "equal") {
    const what = "equal engines: false alarms of the gate";
    return [{ what, expected: `at most ${allowed}`, measured, ok: alarms <= allowed }, sound];
  }
  const reached = median(
    notes.flatMap(({ ratios }) => ratios[`throughput at ${PLANTED_AT}`]?.slice(0, 1) ?? []),
  );
  return [
    {
      what: `planted slowdown: throughput left at ${PLANTED_AT} in flight`,
      expected: `${percent(PLANTED_RATIO)}, within ${percent(PLANTED_TOLERANCE)}`,
      measured: percent(reached),
      ok: Math.abs(reached - PLANTED_RATIO) <= PLANTED_TOLERANCE,
    },
    {
      what: "planted slowdown: gate runs that caught it",
      expected: `at least ${notes.length - allowed}`,
      measured,
      ok: alarms - voids >= notes.length - allowed,
    },
    sound,
  ];
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
