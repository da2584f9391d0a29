// Two results side by side: configurations matched by their settings, rounds paired, each figure a ratio with its
// interval, that of a table's verdict (bench/stats/family.ts): what is said of one figure holds for all configurations
// together. What was counted stands beside it. Says where the two are not comparable; of two that were measured
// one after the other nothing is called better or worse, since no round of one has a neighbour in the other, and what
// the machine did in between is in every ratio and in no interval. Pure.

import { median } from "simple-statistics";
import type { Settings } from "../harness/axes.js";
import { DISTURBED_SHARE } from "../harness/disturbance.js";
import { measureTitle } from "../report/measures.js";
import { nodeText } from "../report/node-text.js";
import { percent, plural } from "../report/numbers.js";
import type { PerCommit, Result, Run } from "../report/result-schema.js";
import { Family, type Comparison as Ratio, ROUNDS_MIN, type Rounds } from "../stats/family.js";
import { cpuUsPerCommit, type Row, rowsOf, soundRuns } from "../stats/rows.js";
import { configurationKey, configurationName } from "./configurations.js";

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  /** Null: there is no round in which both runs count. */
  readonly base: number | null;
  readonly head: number | null;
  /** Over rounds in which both runs count; null: none, or a figure is zero. */
  readonly ratio: Ratio | null;
}

/** Null: that side does not keep it. */
export interface Counter {
  readonly name: keyof PerCommit;
  readonly base: number | null;
  readonly head: number | null;
}

export interface Match {
  readonly settings: Settings;
  readonly name: string;
  readonly figures: readonly Figure[];
  readonly counters: readonly Counter[];
  /** On either side; none of them counts. */
  readonly voids: number;
  readonly disturbed: number;
}

export interface Comparison {
  /** The two took turns: only then has a ratio an interval, and is judged. */
  readonly alternating: boolean;
  readonly matches: readonly Match[];
  readonly onlyBase: readonly string[];
  readonly onlyHead: readonly string[];
  /** Why the two may differ for other reasons than what is compared. */
  readonly warnings: readonly string[];
}

/** `alternating`: the runs of both took turns, so that a round of one is the neighbour of the other's. */
export function compareResults(base: Result, head: Result, alternating: boolean): Comparison {
  const heads = new Map(rowsOf(head).map((row) => [configurationKey(row.settings), row]));
  const matched: Matched[] = [];
  const onlyBase: string[] = [];
  for (const row of rowsOf(base)) {
    const key = configurationKey(row.settings);
    const other = heads.get(key);
    heads.delete(key);
    if (other === undefined) onlyBase.push(configurationName(row.settings));
    else matched.push(matchOf(row, other));
  }
  const onlyHead = [...heads.values()].map(({ settings }) => configurationName(settings));
  const matches = withRatios(matched);
  return { alternating, matches, onlyBase, onlyHead, warnings: warningsOf(base, head, alternating) };
}

/** A figure by its rounds; none where it cannot be compared. */
interface Measured extends Omit<Figure, "ratio"> {
  readonly byRound: Readonly<Record<"base" | "head", Rounds>>;
}

type Matched = Omit<Match, "figures"> & { readonly figures: readonly Measured[] };

/** Each figure's configurations are one family: as many as there are, of equals 5 % name a difference. */
function withRatios(matched: readonly Matched[]): Match[] {
  const families = new Map<string, { readonly names: string[]; readonly places: Rounds[][] }>();
  for (const { name: configuration, figures } of matched) {
    for (const { name, byRound } of figures) {
      const family = families.get(name) ?? { names: [], places: [] };
      families.set(name, family);
      family.names.push(configuration);
      family.places.push([byRound.base, byRound.head]);
    }
  }
  const ratios = new Map(
    [...families].map(([name, { names, places }]) => {
      const family = new Family(places);
      return [name, new Map(names.map((configuration, place) => [configuration, family.at(place, 1, 0)]))];
    }),
  );
  return matched.map((match) => ({
    ...match,
    figures: match.figures.map(({ byRound: _, ...figure }) => ({
      ...figure,
      ratio: ratios.get(figure.name)!.get(match.name) ?? null,
    })),
  }));
}

function matchOf(base: Row, head: Row): Matched {
  const pairs = pairsOf(base, head);
  const figure = (
    name: string,
    unit: string,
    better: Figure["better"],
    of: (run: Run) => number,
  ): Measured => {
    const bases = pairs.map(([run]) => of(run));
    const heads = pairs.map(([, run]) => of(run));
    const usable =
      bases.length > 0 && [...bases, ...heads].every((value) => value > 0 && Number.isFinite(value));
    const logs = (values: readonly number[]): Rounds =>
      new Map(usable ? values.map((value, i) => [pairs[i][0].round, Math.log(value)] as const) : []);
    return {
      name,
      unit,
      better,
      base: bases.length === 0 ? null : median(bases),
      head: heads.length === 0 ? null : median(heads),
      byRound: { base: logs(bases), head: logs(heads) },
    };
  };
  const figures = [
    figure("throughput", "proposals/s", "higher", (run) => run.proposalsPerS),
    figure("p50", "ms", "lower", (run) => run.latencyMs.p50),
    figure("p99", "ms", "lower", (run) => run.latencyMs.p99),
    figure("CPU, all nodes", "µs a commit", "lower", (run) => cpuUsPerCommit([run])),
    ...ownMeasures(pairs).map(({ name, unit, better }) =>
      figure(measureTitle(name), unit, better, (run) => run.measures[name].value),
    ),
  ];
  const { settings } = base;
  const counters = countersOf(pairs);
  const voids = base.voids + head.voids;
  const disturbed = base.disturbed + head.disturbed;
  return { settings, name: configurationName(settings), figures, counters, voids, disturbed };
}

/** Runs of the same round, where both count. */
function pairsOf(base: Row, head: Row): [Run, Run][] {
  const byRound = new Map(soundRuns(head.runs).map((run) => [run.round, run]));
  return soundRuns(base.runs).flatMap((run) => {
    const other = byRound.get(run.round);
    return other === undefined ? [] : [[run, other] satisfies [Run, Run]];
  });
}

/** What only this scenario measures, where every run has it. */
function ownMeasures(
  pairs: readonly [Run, Run][],
): { name: string; unit: string; better: Figure["better"] }[] {
  if (pairs.length === 0) return [];
  const inAll = Object.entries(pairs[0][0].measures).filter(([name]) =>
    pairs.flat().every(({ measures }) => Object.hasOwn(measures, name)),
  );
  return inAll.map(([name, { unit, better }]) => ({ name, unit, better }));
}

function countersOf(pairs: readonly [Run, Run][]): Counter[] {
  if (pairs.length === 0) return [];
  const names = Object.keys(pairs[0][0].perCommit) as (keyof PerCommit)[];
  return names.flatMap((name) => {
    const [base, head] = [0, 1].map((side) => {
      const values = pairs.flatMap((pair) => pair[side].perCommit[name] ?? []);
      return values.length < pairs.length ? null : median(values);
    });
    return base === null && head === null ? [] : [{ name, base, head }];
  });
}

export const JUDGEMENTS = [
  "better",
  "worse",
  "no difference found",
  "too few pairs to tell",
  "not comparable",
  "not judged",
] as const;
export type Judgement = (typeof JUDGEMENTS)[number];

/** What a figure says over all pairs; fewer than ROUNDS_MIN say nothing, and those of two that took no turns neither. */
export function judgementOf({ ratio, better }: Figure, alternating: boolean): Judgement {
  if (ratio === null) return "not comparable";
  if (!alternating) return "not judged";
  if (ratio.interval === null) return "too few pairs to tell";
  if (!ratio.proven) return "no difference found";
  return ratio.estimate > 1 === (better === "higher") ? "better" : "worse";
}

/** "1.080× (1.050 to 1.110): better"; of few pairs no interval, which would be none. */
export function ratioSentence(figure: Figure, alternating: boolean): string {
  const judgement = judgementOf(figure, alternating);
  if (figure.ratio === null) return judgement;
  const { estimate, interval, rounds } = figure.ratio;
  const ratio = `${estimate.toFixed(3)}×`;
  if (!alternating) return `${ratio}: ${judgement}`;
  if (interval === null) {
    return `${ratio}: ${plural(rounds, "pair")}, too few to tell (it takes ${ROUNDS_MIN} at the least)`;
  }
  return `${ratio} (${interval.low.toFixed(3)} to ${interval.high.toFixed(3)}): ${judgement}`;
}

function warningsOf(base: Result, head: Result, alternating: boolean): string[] {
  const warnings: string[] = [];
  if (!alternating && isSame(base, head)) {
    return ["the two are the same result: every ratio is 1 by itself and says nothing"];
  }
  if (!alternating) {
    warnings.push(
      "the two were measured one after the other: what the machine did meanwhile is part of every ratio, and nothing is called better or worse; raftmark compare REV1 REV2 lets two revisions take turns, raftmark bench with several values of an axis two configurations",
    );
  }
  const facts: [string, (result: Result) => unknown][] = [
    ["scenario", ({ scenario }) => scenario.name],
    ["CPU", ({ environment }) => environment.cpu],
    ["cores", ({ environment }) => environment.cores],
    ["memory", ({ environment }) => environment.memoryBytes],
    ["kernel", ({ environment }) => environment.kernel],
    ["Node", nodeText],
    ["file system", ({ environment: { fileSystem } }) => `${fileSystem.type} on ${fileSystem.device}`],
    ["link", ({ environment }) => environment.link],
    ["warm-up (ms)", ({ options }) => options.warmupMs],
    ["window (ms)", ({ options }) => options.durationMs],
  ];
  for (const [name, of] of facts) {
    if (of(base) !== of(head)) warnings.push(`${name} differs: ${of(base)} and ${of(head)}`);
  }
  for (const [side, result] of [["base", base] as const, ["head", head] as const]) {
    if (result.interrupted) warnings.push(`${side} was interrupted: some of its runs were not made`);
    const disturbed = Math.max(0, ...result.runs.map(({ otherCpuShare }) => otherCpuShare));
    if (disturbed >= DISTURBED_SHARE) {
      warnings.push(`other programs took up to ${percent(disturbed)} of the CPU during ${side}`);
    }
  }
  return warnings;
}

/** Whether two files are the sides of one `raftmark compare`: its sides begin within what it took, those of two do not. */
export function tookTurns(base: Result, head: Result): boolean {
  const apartMs = Math.abs(Date.parse(head.startedAt) - Date.parse(base.startedAt));
  return (
    base.command.startsWith("raftmark compare ") &&
    base.command === head.command &&
    base.options.seed === head.options.seed &&
    apartMs < base.elapsedMs + head.elapsedMs &&
    !isSame(base, head)
  );
}

/** Two files, or one given twice, that tell of the same runs. */
export function isSame(one: Result, other: Result): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}
