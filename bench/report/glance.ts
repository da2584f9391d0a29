// The answer at first glance, in two or three short lines: what to run (or what an event took), how sure that is, and
// what limits it. What is claimed is standings.ts's: nothing is recommended that is not proven there. Pure.
import { describe } from "../harness/scenario.js";
import { ROUNDS_MIN } from "../stats/family.js";
import {
  type CountedRow,
  highestOf,
  isCounted,
  leastOf,
  type Row,
  rowsOf,
  validRuns,
} from "../stats/rows.js";
import { subjectOf } from "./columns.js";
import { fellBehind, LEFT_OVER_MAX, refusedText, standUpTo } from "./kept-up.js";
import { lostText, type MeasureFigure, measureOf, medianOf, rangeText } from "./measures.js";
import { grouped, percent, short, times } from "./numbers.js";
import type { Result } from "./result-schema.js";
import { type Standings, type Statement, standingsOf, varyingOf } from "./standings.js";
import { unsteadyText } from "./steadiness.js";
import { allText, disturbanceText, leftOutText, limitOf, listed, NOT_COMPARED, thinText } from "./verdict.js";
import { typicalRun } from "./waterfall-text.js";

export interface GlanceLine {
  readonly label: "Run" | "Seen" | "It took" | "How sure" | "Limit";
  readonly text: string;
}

type Body = Omit<Result, "verdict">;

/** Empty where no run counts. */
export function glanceOf(result: Body): GlanceLine[] {
  const rows = rowsOf(result).filter(isCounted);
  if (rows.length === 0) return [];
  const lines = TOLD[subjectOf(rows)](result, rows);
  const disturbed = disturbanceText(result);
  const unsteady = unsteadyText(result);
  const more = [
    ...(disturbed === null ? [] : [` Disturbed: ${disturbed}.`]),
    ...(unsteady === null ? [] : [` But ${unsteady}.`]),
  ].join("");
  return lines.map((line) => (line.label === "How sure" ? { ...line, text: `${line.text}${more}` } : line));
}

const TOLD: {
  readonly [K in ReturnType<typeof subjectOf>]: (result: Body, rows: readonly CountedRow[]) => GlanceLine[];
} = {
  throughput: (result, rows) => {
    const best = highestOf(rows);
    const limit = limitOf(typicalRun(best)!, result);
    const standings = standingsOf(rowsOf(result), result.scenario.compares);
    const figures = `${grouped(best.proposalsPerS.estimate)} proposals/s at a p99 of ${short(best.latencyMs.p99)} ms`;
    const name = `${nameOf(best, rows)}${thinText(best, result.options.rounds)}`;
    if (standings === null || standings.overall.length === 0) {
      const { low, high } = best.proposalsPerS;
      const range = high > low ? `, from ${grouped(low)} to ${grouped(high)}/s` : "";
      const alone = standings === null ? "nothing to compare it with" : NOT_COMPARED;
      return [
        { label: "Seen", text: `${figures} with ${name}.` },
        { label: "How sure", text: `${roundsText(rows)}${range}; ${alone}.` },
        { label: "Limit", text: `${limit}.` },
      ];
    }
    const say = ({ best: settings }: Statement) => describe(settings, [standings.focus]);
    const chosen = choice(standings.overall, say, (statement) =>
      describe(statement.other, [standings.focus]),
    );
    const leftOut = leftOutText(standings);
    return [
      leftOut === null ? chosen : { ...chosen, text: `${chosen.text} But ${leftOut}.` },
      {
        label: "How sure",
        text: `${surety(standings, result.options.rounds)} Highest seen: ${figures} with ${name}.`,
      },
      { label: "Limit", text: `${limit}, there.` },
    ];
  },
  "offered load": (_result, rows) => {
    const { fine, over } = standUpTo(rows);
    const last = fine[fine.length - 1];
    const refused = over === undefined ? null : refusedText(over);
    const why = over === undefined || fellBehind(over) ? "it falls behind there" : `there ${refused}`;
    const took = ({ latencyMs }: CountedRow) =>
      `p50 ${short(latencyMs.p50)} ms, p99 ${short(latencyMs.p99)} ms`;
    return [
      {
        label: "Run",
        text:
          last === undefined
            ? `less than ${grouped(over?.settings.rate ?? 0)}/s: ${why}.`
            : `up to ${grouped(last.settings.rate)} proposals/s: it keeps up (to within ${percent(LEFT_OVER_MAX)}), with ${took(last)}.`,
      },
      { label: "How sure", text: `${roundsText(rows)}.` },
      {
        label: "Limit",
        text:
          over === undefined
            ? "not reached: offer more with --rate."
            : `at ${grouped(over.settings.rate)}/s offered it does ${grouped(over.proposalsPerS.estimate)}/s${refused === null ? "" : `, and ${refused}`}.`,
      },
    ];
  },
  "leader lost": (result, rows) => {
    const best = leastOf(rows, (row) => measureOf(row, "newLeaderMs")?.median ?? Number.POSITIVE_INFINITY);
    const sure = `${roundsText(rows)}; ${lostText(rowsOf(result))}`;
    const { tickMs } = best.settings;
    const clock = `an election starts after 10 to 19 ticks, of ${tickMs} ms here`;
    const isLonger = medianOf(best, "newLeaderMs") > ELECTION_TICKS_MAX * tickMs;
    const limit = isLonger
      ? `not Raft’s clock alone: ${clock}, and this took longer; why is not measured`
      : `probably Raft’s clock: ${clock}`;
    return eventLines(tookText(best, rows, LOSS), limit, sure);
  },
  "follower paused": (_result, rows) => {
    const paused = rows.find((row) => measureOf(row, "catchUpMs") !== null) ?? rows[0];
    const others = rows.filter((row) => row !== paused && row.settings.event === "none");
    const calm = others.length === 0 ? "" : `, and ${short(others[0].latencyMs.max)} ms undisturbed`;
    const limit = `the slowest commit took ${short(paused.latencyMs.max)} ms with the pause${calm}`;
    return eventLines(tookText(paused, rows, PAUSE), limit, roundsText(rows) + driftText(paused));
  },
  "catching up": (_result, rows) => {
    const farthest = leastOf(rows, (row) => -medianOf(row, "behindMB"));
    const behind = short(medianOf(farthest, "behindMB"));
    const open = short(medianOf(farthest, "openMs"));
    const took = `${behind} MB behind: ${tookText(farthest, rows, CATCH_UP)}`;
    const limit = `what the group does meanwhile comes on top; opening its log took ${open} ms of it`;
    return eventLines(took, limit, roundsText(rows) + driftText(farthest));
  },
  "member replaced": (_result, rows) => {
    const largest = leastOf(rows, (row) => -medianOf(row, "behindMB"));
    const behind = short(medianOf(largest, "behindMB"));
    const [inside, outside] = ["p99MeanwhileMs", "p99OtherwiseMs"].map((name) => measureOf(largest, name));
    const calm =
      inside == null || outside == null
        ? ""
        : `; p99 was ${short(inside.median)} ms meanwhile, ${short(outside.median)} ms before`;
    const limit = `probably the log of ${behind} MB that the new member needed: what else took time is not measured`;
    return eventLines(
      `${tookText(largest, rows, REPLACED)}${calm}`,
      limit,
      roundsText(rows) + driftText(largest),
    );
  },
  snapshots: (_result, rows) => {
    const taking = rows.filter((row) => measureOf(row, "snapshotMs") !== null);
    const largest = leastOf(taking.length > 0 ? taking : rows, ({ settings }) => -settings.stateMb);
    const otherwise = measureOf(largest, "p99OtherwiseMs");
    const calm = otherwise === null ? "" : `, where it is ${short(otherwise.median)} ms otherwise`;
    const written = short(medianOf(largest, "snapshotMBPerS"));
    const limit = `every node writes its state at once, here at ${written} MB/s each, to the disk that the logs are on`;
    return eventLines(
      `${tookText(largest, rows, SNAPSHOTS)}${calm}`,
      limit,
      roundsText(rows) + driftText(largest),
    );
  },
  restart: (_result, rows) => {
    const largest = leastOf(rows, ({ settings }) => -settings.logMb);
    const [open, all] = ["openMs", "caughtUpMs"].map((name) => medianOf(largest, name));
    const share = all === 0 ? 0 : Math.round((100 * open) / all);
    const limit = `opening the log is ${share} % of it; the rest is a new process, and applying`;
    return eventLines(tookText(largest, rows, RESTART), limit, roundsText(rows));
  },
};

/** How far a share of the rate before and after can be trusted; "" where the rate afterwards is not known. */
function driftText(row: Row): string {
  const after = measureOf(row, "rateAfter");
  if (after === null) return "";
  return `; a share of the commits is no surer than the rate itself: afterwards it was ${rangeText(after)} % of before`;
}

function eventLines(took: string, limit: string, sure: string): GlanceLine[] {
  return [
    { label: "It took", text: `${took}.` },
    { label: "How sure", text: `${sure}.` },
    { label: "Limit", text: `${limit}.` },
  ];
}

/** From the low to the high end of an interval; beyond, a fifth more or less is hidden in it. */
const NOISY_SPAN = 1.44;
/** The latest that an election starts, and one tick for the election itself. */
const ELECTION_TICKS_MAX = 20;

const CATCH_UP = {
  catchUpMs: "the follower had caught up after",
  catchUpMBPerS: "at",
  rateWhileCatchingUp: "by the rate before and after, commits went on at",
};
const REPLACED = {
  addMs: "the new member was added in",
  catchUpMs: "had caught up after another",
  changeMs: "and had the other's place after",
  rateMeanwhile: "commits went on meanwhile at",
};
const SNAPSHOTS = {
  snapshotMs: "a snapshot took",
  rateMeanwhile: "commits went on meanwhile at",
  p99MeanwhileMs: "with a p99 of",
};
const LOSS = { newLeaderMs: "a new leader after", firstCommitMs: "the first commit after" };
const PAUSE = {
  catchUpMs: "the follower had caught up after",
  rateWhilePaused: "commits went on meanwhile at",
};
const RESTART = { openMs: "the log was open after", caughtUpMs: "everything applied after" };

/** "a new leader after 272 (250–310) ms, the first commit after 281 ms, with ticks of 20 ms". */
function tookText(row: Row, rows: readonly Row[], words: Readonly<Record<string, string>>): string {
  const amount = (figure: MeasureFigure) => `${rangeText(figure)} ${figure.unit}`;
  const parts = Object.entries(words).flatMap(([name, text]) => {
    const figure = measureOf(row, name);
    return figure === null ? [] : [`${text} ${amount(figure)}`];
  });
  return `${parts.join(", ")}${rows.length > 1 ? `, with ${nameOf(row, rows)}` : ""}`;
}

/** Who leads over all places: recommended only against those that it is proven to beat. */
function choice(
  statements: readonly Statement[],
  say: (statement: Statement) => string,
  sayOther: (statement: Statement) => string,
): GlanceLine {
  const best = say(statements[0]);
  const open = statements.filter(({ proven }) => !proven);
  if (open.length === 0) return { label: "Run", text: `${best}: it beats ${allOf(statements, sayOther)}.` };
  if (open.length < statements.length) {
    const proven = statements.filter(({ proven: holds }) => holds);
    return {
      label: "Run",
      text: `${best}, or ${allOf(open, sayOther)}: not told apart; ${best} beats ${allOf(proven, sayOther)}.`,
    };
  }
  const last = open[open.length - 1];
  const ahead = `${best} was seen at ${times(last.estimate)}× of ${sayOther(last)}`;
  return { label: "Run", text: `nothing can be recommended yet: ${ahead}, which proves nothing.` };
}

function surety({ overall: statements, familySize }: Standings, roundsMade: number): string {
  const { rounds, roundsNeeded, interval } = statements[statements.length - 1];
  if (statements.some(({ proven }) => proven)) {
    return `95 %${familySize > 1 ? `, of ${allText(familySize)} comparisons together` : ""} (${rounds} rounds).`;
  }
  const all = rounds === 1 ? "one round" : `${rounds} rounds`;
  const seen = rounds < roundsMade ? `${rounds} of ${roundsMade} rounds, as no more count` : all;
  // Whoever made as many already is not helped by asking for them.
  const ask = (needed: number) => (needed > roundsMade ? `, --rounds ${needed}` : " that count");
  if (rounds < 2) return `not at all after ${seen}: it takes at least ${ROUNDS_MIN}${ask(ROUNDS_MIN)}.`;
  const open = interval === null ? "" : openText(interval);
  if (roundsNeeded === null)
    return `not after ${seen}; to prove what was seen it would take more than 100 like these${open}.`;
  return `not after ${seen}; it would probably take about ${roundsNeeded}${ask(roundsNeeded)}${open}.`;
}

/** What is not ruled out, and what to do where that is much: a difference that was not found may be a large one. */
function openText({ low, high }: NonNullable<Statement["interval"]>): string {
  const noisy =
    high / low > NOISY_SPAN
      ? ": noise hides that much; longer windows (--duration) or a quieter machine help"
      : "";
  return `; anything from ${times(low)}× to ${times(high)}× is possible${noisy}`;
}

function allOf(statements: readonly Statement[], say: (statement: Statement) => string): string {
  return statements.length > 3 ? `${statements.length} others` : listed(statements.map(say));
}

function roundsText(rows: readonly Row[]): string {
  const counted = Math.min(...rows.map(({ runs }) => validRuns(runs).length));
  return counted === 1 ? "one round each, so that nothing is known of the spread" : `${counted} rounds each`;
}

function nameOf(row: Row, rows: readonly Row[]): string {
  const varying = varyingOf(rows);
  return describe(row.settings, varying.length > 0 ? varying : ["inFlight", "writer"]);
}
