// Who stands where in a table, and which of it is proven: rows that differ in the axis that the question is about, at
// each place (what the other axes say) and over all places. What is told of it belongs to one family of statements, see
// bench/stats/family.ts. Pure; the words are verdict.ts's.
import { mean } from "simple-statistics";
import { AXIS_NAMES, type AxisName, type Settings } from "../harness/axes.js";
import { NESTING } from "../harness/scenario.js";
import { type Comparison, Family, type Place, type Rounds } from "../stats/family.js";
import { soundRuns } from "../stats/rows.js";
import type { Run } from "./result-schema.js";

/** What of a row counts here. */
export interface Standing {
  readonly settings: Settings;
  readonly runs: readonly Pick<Run, "round" | "proposalsPerS" | "void" | "disturbed">[];
}

/** The best of a place (null: over all of them) against another; `proven` or only seen. */
export interface Statement extends Comparison {
  readonly best: Settings;
  readonly other: Settings;
}

export interface Standings {
  /** What is compared, and what makes a place. */
  readonly focus: AxisName;
  readonly rest: readonly AxisName[];
  /** How many statements hold together. */
  readonly familySize: number;
  readonly places: readonly { readonly settings: Settings; readonly statements: readonly Statement[] }[];
  /** Over all places; of a single place, that one's. Best against second, and so on. */
  readonly overall: readonly Statement[];
}

/** Axes with more than one value, from the outermost to the innermost. */
export function varyingOf(rows: readonly Pick<Standing, "settings">[]): AxisName[] {
  const varying = AXIS_NAMES.filter((name) => new Set(rows.map(({ settings }) => settings[name])).size > 1);
  return varying.sort((a, b) => NESTING.indexOf(a) - NESTING.indexOf(b));
}

/** Null: there is one row, so nothing to compare. */
export function standingsOf(rows: readonly Standing[], compares: string): Standings | null {
  const varying = varyingOf(rows);
  const focus = varying.find((name) => name === compares) ?? varying[varying.length - 1];
  if (focus === undefined) return null;
  const rest = varying.filter((name) => name !== focus);
  const samePlace = (a: Settings, b: Settings) => rest.every((name) => a[name] === b[name]);
  const members = firstOfEach(rows, (a, b) => a[focus] === b[focus]);
  const placed = firstOfEach(rows, samePlace);
  const grid: Place[] = placed.map((place) =>
    members.map((member) => {
      const at = rows.find(({ settings }) => samePlace(settings, place) && settings[focus] === member[focus]);
      return at === undefined ? new Map() : roundsOf(at);
    }),
  );
  const family = new Family(grid);
  const statements = (
    means: readonly (number | null)[],
    of: (a: number, b: number) => Comparison | null,
    named: (member: number) => Settings = (member) => members[member],
  ) => {
    const order = means.flatMap((value, member) => (value === null ? [] : [{ value, member }]));
    const [best, ...others] = order.sort((a, b) => b.value - a.value).map(({ member }) => member);
    return others.flatMap((other) => {
      const compared = of(best, other);
      return compared === null ? [] : [{ ...compared, best: named(best), other: named(other) }];
    });
  };
  const means = grid.map((place) => place.map(meanOf));
  const places = placed.map((settings, place) => ({
    settings,
    statements: statements(
      means[place],
      (a, b) => family.at(place, a, b),
      (member) => ({ ...settings, [focus]: members[member][focus] }),
    ),
  }));
  const overallMeans = members.map((_, member) => {
    const values = means.flatMap((place) => place[member] ?? []);
    return values.length < places.length ? null : mean(values);
  });
  const overall =
    places.length === 1 ? places[0].statements : statements(overallMeans, (a, b) => family.overall(a, b));
  return { focus, rest, familySize: family.size, places, overall };
}

/** What each round did, of rows whose runs count. */
export function roundsOf({ runs }: Pick<Standing, "runs">): Rounds {
  const counted = soundRuns(runs).filter(({ proposalsPerS }) => proposalsPerS > 0);
  return new Map(counted.map(({ round, proposalsPerS }) => [round, Math.log(proposalsPerS)]));
}

function meanOf(rounds: Rounds): number | null {
  return rounds.size === 0 ? null : mean([...rounds.values()]);
}

function firstOfEach(rows: readonly Standing[], same: (a: Settings, b: Settings) => boolean): Settings[] {
  const all = rows.map(({ settings }) => settings);
  return all.filter((one, i) => all.findIndex((other) => same(other, one)) === i);
}
