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
  /** Of what is compared, those that `overall` says nothing of: too few of their runs count. */
  readonly leftOut: readonly Settings[];
  /** Places at which no run counts. */
  readonly placesLeftOut: readonly Settings[];
}

/** Axes with more than one value, from the outermost to the innermost. */
export function varyingOf(rows: readonly Pick<Standing, "settings">[]): AxisName[] {
  const varying = AXIS_NAMES.filter((name) => new Set(rows.map(({ settings }) => settings[name])).size > 1);
  return varying.sort((a, b) => NESTING.indexOf(a) - NESTING.indexOf(b));
}

/** Of all rows of a table, void ones included: what they leave open is told. Null: there is one row. */
export function standingsOf(rows: readonly Standing[], compares: string): Standings | null {
  const varying = varyingOf(rows);
  const focus = varying.find((name) => name === compares) ?? varying[varying.length - 1];
  if (focus === undefined) return null;
  const rest = varying.filter((name) => name !== focus);
  const samePlace = (a: Settings, b: Settings) => rest.every((name) => a[name] === b[name]);
  const sameMember = (a: Settings, b: Settings) => a[focus] === b[focus];
  const counted = rows.filter((row) => roundsOf(row).size > 0);
  const members = firstOfEach(counted, sameMember);
  const placed = firstOfEach(counted, samePlace);
  const missing = (all: readonly Settings[], told: readonly Settings[], same: typeof samePlace) =>
    all.filter((one) => !told.some((other) => same(other, one)));
  const placesLeftOut = missing(firstOfEach(rows, samePlace), placed, samePlace);
  const asked = firstOfEach(rows, sameMember);
  if (members.length < 2) {
    return { focus, rest, familySize: 0, places: [], overall: [], leftOut: asked, placesLeftOut };
  }
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
    const sorted = means.flatMap((value, member) => (value === null ? [] : [{ value, member }]));
    const order = sorted.sort((a, b) => b.value - a.value).map(({ member }) => member);
    const from = (best: number): Statement[] =>
      order.flatMap((other) => {
        const compared = other === best ? null : of(best, other);
        if (compared === null) return [];
        const proven = compared.proven && compared.estimate > 1;
        return [{ ...compared, proven, best: named(best), other: named(other) }];
      });
    // Where not all rounds count, the highest mean may be of rounds in which others were not there to be compared.
    const all = order.map(from).filter(({ length }) => length > 0);
    return all.find((each) => each.every(({ estimate }) => estimate >= 1)) ?? all[0] ?? [];
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
  const told = overall.length === 0 ? [] : [overall[0].best, ...overall.map(({ other }) => other)];
  const leftOut = missing(asked, told, sameMember);
  return { focus, rest, familySize: family.size, places, overall, leftOut, placesLeftOut };
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
