// The sentences that a table answers its question with: what is fastest, by what factor and how sure, and what seems
// to hold it back; or what an event took. Computed, and no surer than the rounds allow: "beats" and "fastest" are said
// of what is proven for the whole family of statements (standings.ts), and of nothing else.
import { median } from "simple-statistics";
import { assert } from "../../src/base/assert.js";
import type { AxisName, Settings } from "../harness/axes.js";
import { DISTURBED_SHARE, takenText } from "../harness/disturbance.js";
import { describe } from "../harness/scenario.js";
import { type Comparison, Family, ROUNDS_MIN } from "../stats/family.js";
import {
  type CountedRow,
  cpuMsOfNodes,
  highestOf,
  isCounted,
  type Row,
  rowsOf,
  soundRuns,
  validRuns,
} from "../stats/rows.js";
import { type Subject, subjectOf } from "./columns.js";
import { fellBehind, keptUp, refusedText } from "./kept-up.js";
import { lostText, measureOf, rangeText } from "./measures.js";
import { grouped, percent, short, times } from "./numbers.js";
import type { Result, Run } from "./result-schema.js";
import { roundsOf, type Standings, type Statement, standingsOf, varyingOf } from "./standings.js";
import { FOLLOWED_MIN, typicalRun } from "./waterfall-text.js";

const BUSY_SHARE = 0.85;
/** A commit within this many times the probe's write may be one that waits for disks. */
const DISK_BOUND_FACTOR = 5;
/** Of a commit's time on its critical path. */
const DISK_BOUND_SHARE = 0.5;
const DISK_STAGES: readonly string[] = ["own disk", "follower disk"];
/** Places, or rows, told in words one by one; the rest is in the table. */
const GROUPS_MAX = 4;
/** Of more rivals than this, the nearest and the farthest are told. */
const RIVALS_MAX = 3;

type Body = Omit<Result, "verdict">;

export function verdict(result: Body): string {
  return verdictSentences(result).join(" ");
}

/** The answer first: what is proven or seen, what it did, what limits it; then what else there is to say. */
function verdictSentences(result: Body): string[] {
  const rows = rowsOf(result).filter(isCounted);
  if (rows.length === 0) return ["No configuration gave a valid run, so there is nothing to compare."];
  const disturbed = disturbanceText(result);
  const texts = [
    ...(result.interrupted ? ["interrupted: only the runs that were done are told"] : []),
    ...told(result, rows),
    ...(disturbed === null ? [] : [disturbed]),
  ];
  return texts.map((text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`);
}

/** What was disturbed, and what became of it: for a banner where it matters. Null: nothing is left out. */
export function disturbanceText({ runs, disturbance }: Pick<Body, "runs" | "disturbance">): string | null {
  const { repeated, leftOut } = disturbance;
  if (leftOut === 0) return null;
  const reasons = runs.flatMap(({ disturbed }) => disturbed);
  const worst = runs.reduce((a, b) => (b.otherCpuShare > a.otherCpuShare ? b : a));
  const { otherCpuShare: most, stolenCpuShare: stolen } = worst;
  const why = [
    ...(most >= DISTURBED_SHARE ? [`other programs took up to ${takenText(most, stolen)} of the CPU`] : []),
    ...(reasons.some((reason) => reason.includes("durable write"))
      ? ["the disk's writes changed their pace"]
      : []),
  ];
  const again = repeated === 0 ? "" : `, after ${repeated} had been made again`;
  const what =
    leftOut === runs.length ? "every run was disturbed" : `${leftOut} of ${runs.length} runs were disturbed`;
  return `${what}${again}, and no comparison counts ${leftOut === 1 ? "it" : "them"}: ${why.join(", ")}`;
}

function told(result: Body, rows: readonly CountedRow[]): string[] {
  const subject = subjectOf(rows);
  const words = EVENTS[subject];
  if (words !== undefined) return [eventText(rows, subject, words)];
  if (subject === "offered load") return [offeredText(rows)];
  if (rows.length > 1 && rows.some(isHampered)) return [hamperedText(rows)];
  const best = highestOf(rows);
  const standings = standingsOf(rowsOf(result), result.scenario.compares);
  const varying = varyingOf(rowsOf(result));
  const names: readonly AxisName[] = varying.length > 0 ? varying : ["inFlight", "writer"];
  const highest =
    `${describe(best.settings, names)} with ${grouped(best.proposalsPerS.estimate)} proposals/s at a p99 of ` +
    `${short(best.latencyMs.p99)} ms${thinText(best, result.options.rounds)}`;
  const limits = limitOf(typicalRun(best)!, result);
  if (standings === null) return [`Measured: ${highest}`, limits, ...readClauses(rows)];
  const [answer, ...more] = claims(standings, result.options.rounds);
  return [answer, `highest seen: ${highest}`, `there ${limits}`, ...more, ...readClauses(rows)];
}

/** " (of one round alone)" where several were made, so that it may be that round's luck; "" where more count. */
export function thinText({ runs }: Pick<Row, "runs">, roundsMade: number): string {
  const sound = soundRuns(runs).length;
  if (sound === 0) return " (of disturbed runs alone)";
  return sound === 1 && roundsMade > 1 ? ` (of one round alone, where ${roundsMade} were made)` : "";
}

/** Why there is no statement at all. */
export const NOT_COMPARED = "void or disturbed runs leave no two side by side in one round";

/** What void and disturbed runs leave open, so that the rest does not pass for the whole. Null: nothing. */
export function leftOutText({ focus, rest, overall, leftOut, placesLeftOut }: Standings): string | null {
  if (overall.length === 0) return null;
  const names = leftOut.map((settings) => describe(settings, [focus]));
  const places = placesLeftOut.map((settings) => describe(settings, rest));
  const texts = [
    ...(names.length === 0
      ? []
      : [`${listed(names)} ${names.length === 1 ? "is" : "are"} not compared: too few of the runs count`]),
    ...(places.length === 0 ? [] : [`nothing is said of ${listed(places)}: no run counts there`]),
  ];
  return texts.length === 0 ? null : texts.join("; ");
}

/** What is proven of the table, and what was only seen: over all places, then place by place where there are few. */
function claims(standings: Standings, roundsMade: number): string[] {
  const { focus, rest, places, overall, familySize } = standings;
  if (overall.length === 0) return [`nothing can be compared: ${NOT_COMPARED}`];
  const say = (settings: Settings) => describe(settings, [focus]);
  const at = (settings: Settings) => describe(settings, rest);
  // The farthest apart of each place: if that is not proven, nothing there is likely to be.
  const lasts = places.length === 1 ? [] : places.flatMap(({ statements }) => statements.slice(-1));
  const proven = [...overall, ...lasts].filter((statement) => statement.proven);
  const leftOut = leftOutText(standings);
  const where = whereText(places.map(({ settings }) => at(settings)));
  const answer = standing(overall, say, where, leftOut === null) ?? unproven(overall, say, where, roundsMade);
  const texts = [answer, ...(leftOut === null ? [] : [leftOut])];
  if (proven.length === 0) return texts;
  if (lasts.length > 0 && lasts.length <= GROUPS_MAX) {
    const each = lasts.map((last) => `at ${at(last.best)} ${last.proven ? won(last, say) : seen(last, say)}`);
    texts.push(each.join("; "));
  }
  if (familySize > 1) texts.push(`${allText(familySize)} comparisons of this table hold together at 95 %`);
  return texts;
}

/** "all 9", "both". */
export function allText(count: number): string {
  return count === 2 ? "both" : `all ${count}`;
}

/** " on average over a, b and c"; "" where there is one place and never was another. */
function whereText(places: readonly string[]): string {
  if (places.length === 1) return places[0] === "" ? "" : ` at ${places[0]}`;
  return ` on average over ${places.length > GROUPS_MAX ? `${places.length} places` : listed(places)}`;
}

type Say = (settings: Settings) => string;

/**
 * What the best is proven to beat, in one clause. `whole`: there is no other that could be faster. Null: nothing is proven.
 */
function standing(statements: readonly Statement[], say: Say, where: string, whole: boolean): string | null {
  const proven = statements.filter((statement) => statement.proven);
  const open = statements.filter((statement) => !statement.proven);
  const best = say(statements[0].best);
  if (open.length === 0 && !whole) return `${best} beats ${beaten(proven, say)}${where}`;
  if (open.length === 0) return `Fastest${where} is ${best}: it beats ${beaten(proven, say)}`;
  if (proven.length > 0) {
    const rest = endsOf(open).map((statement) => seenFactor(statement, say));
    return `${best} beats ${beaten(proven, say)}${where}; it was seen at ${listed(rest)}, which is not proven: ${enough(open)}`;
  }
  return null;
}

function unproven(statements: readonly Statement[], say: Say, where: string, roundsMade: number): string {
  const { rounds, best } = statements[statements.length - 1];
  const factors = endsOf(statements).map((statement) => seenFactor(statement, say));
  const all = rounds === 1 ? "One round proves" : `${rounds} rounds prove`;
  const some = `${rounds} of ${roundsMade} rounds ${rounds === 1 ? "counts" : "count"}, and that proves`;
  const count = rounds < roundsMade ? some : all;
  return `${count} nothing yet${where}: ${say(best)} was seen at ${listed(factors)}, and ${enough(statements)}`;
}

function beaten(statements: readonly Statement[], say: Say): string {
  const ends = endsOf(statements);
  const each = ends.map(
    (statement) => `${say(statement.other)} by ${times(statement.estimate)}×${intervalText(statement)}`,
  );
  const all =
    ends.length === statements.length
      ? ""
      : `${statements.length} others, the nearest and the farthest being `;
  return all + listed(each);
}

function won(statement: Statement, say: Say): string {
  return `${say(statement.best)} beats ${beaten([statement], say)}`;
}

function seen({ best, other, estimate }: Statement, say: Say): string {
  return `nothing is proven (${say(best)} was seen at ${times(estimate)}× ${say(other)})`;
}

function seenFactor(statement: Statement, say: Say): string {
  return `${times(statement.estimate)}× ${say(statement.other)}${intervalText(statement)}`;
}

function intervalText({ interval }: Statement): string {
  return interval === null ? "" : ` (95 % interval ${times(interval.low)}–${times(interval.high)})`;
}

/** How many rounds would prove the greatest of what is open. */
function enough(open: readonly Statement[]): string {
  const { rounds, roundsNeeded } = open[open.length - 1];
  if (rounds < 2) return `it takes ${ROUNDS_MIN} rounds at the least to tell`;
  if (roundsNeeded === null) return "more than 100 rounds like these would be needed to prove what was seen";
  return `about ${roundsNeeded} rounds would probably prove ${open.length > 1 ? "the greatest of it" : "it"}, if it is what was seen`;
}

function endsOf(statements: readonly Statement[]): readonly Statement[] {
  if (statements.length <= RIVALS_MAX) return statements;
  return [statements[0], statements[statements.length - 1]];
}

/** "a, b and c". */
export function listed(words: readonly string[]): string {
  assert(words.length > 0, "something to list");
  return words.length === 1 ? words[0] : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

/** How long a linearizable read takes, a clause a row where there are few. */
function readClauses(rows: readonly Row[]): string[] {
  const reading = rows.filter((row) => row.settings.readsPerWrite > 0);
  if (reading.length === 0 || reading.length > GROUPS_MAX) return [];
  const varying = varyingOf(rows);
  const each = reading.map((row) => {
    const p50 = median(validRuns(row.runs).map((run) => run.measures["readP50Ms"]?.value ?? 0));
    return `${short(p50)} ms ${varying.length === 0 ? "" : `with ${describe(row.settings, varying)}`}`.trim();
  });
  return [`a read is confirmed in ${each.join(", ")} (median)`];
}

function isHampered({ settings }: Row): boolean {
  return settings.followerDelayMs > 0 || settings.event === "pause-follower";
}

/** What a slow or still follower does to the commits of the others: latency first. */
function hamperedText(rows: readonly CountedRow[]): string {
  const base = rows.findIndex((row) => !isHampered(row));
  const varying = varyingOf(rows);
  const family = new Family([rows.map(roundsOf)]);
  const clauses = rows.map((row, i) => {
    const { p50, p99, max } = row.latencyMs;
    const compared = base < 0 || i === base ? null : family.at(0, i, base);
    const took = `a commit takes ${short(p50)} ms (p99 ${short(p99)}, max ${short(max)})`;
    return `${describe(row.settings, varying)}: ${took}${compared === null ? "" : `, ${rateText(compared)}`}`;
  });
  return clauses.join("; ");
}

function rateText({ estimate, interval, proven }: Comparison): string {
  const range = interval === null ? "" : ` (95 % interval ${times(interval.low)}–${times(interval.high)})`;
  const factor = `${times(estimate)}× the throughput${range}`;
  return proven ? `at ${factor}` : `seen at ${factor}, which proves nothing yet`;
}

/** What the measures of an event say, in the order of a sentence; one that was not taken is left out of it. */
type EventWords = readonly [measure: string, say: (amount: string) => string][];

/** How far a share of the rate can be trusted. */
const AFTERWARDS: EventWords[number] = [
  "rateAfter",
  (share) => ` (the rate afterwards was ${share} % of the one before)`,
];

const EVENTS: { readonly [K in Subject]?: EventWords } = {
  "leader lost": [
    ["newLeaderMs", (ms) => `a new leader stands ${ms} ms after kill -9`],
    ["firstCommitMs", (ms) => ` and commits after ${ms} ms`],
  ],
  restart: [
    ["openMs", (ms) => `a node opens in ${ms} ms`],
    ["openGBPerS", (rate) => ` (${rate} GB/s)`],
    ["caughtUpMs", (ms) => ` and has applied everything after ${ms} ms`],
  ],
  "catching up": [
    ["behindMB", (mb) => `a follower that is ${mb} MB behind`],
    ["catchUpMs", (ms) => ` has caught up after ${ms} ms`],
    ["rateWhileCatchingUp", (share) => `, while the group commits at ${share} % of its rate`],
    AFTERWARDS,
  ],
  "member replaced": [
    ["catchUpMs", (ms) => `a new member has caught up after ${ms} ms`],
    ["changeMs", (ms) => ` and another's place ${ms} ms later`],
    ["rateMeanwhile", (share) => `, while the group commits at ${share} % of its rate`],
    AFTERWARDS,
  ],
  snapshots: [
    ["snapshotMs", (ms) => `a snapshot takes ${ms} ms`],
    ["rateMeanwhile", (share) => `, while the group commits at ${share} % of its rate`],
    ["p99MeanwhileMs", (ms) => ` with a p99 of ${ms} ms`],
    AFTERWARDS,
  ],
};

/** What the event took, medians with their range over the rounds, a clause a row that it befell. */
function eventText(rows: readonly Row[], subject: Subject, words: EventWords): string {
  const varying = varyingOf(rows);
  const clauses = rows.flatMap((row) => {
    if (subjectOf([row]) !== subject) return [];
    const said = words.flatMap(([name, say]) => {
      const figure = measureOf(row, name);
      return figure === null ? [] : [say(rangeText(figure))];
    });
    const place = varying.length === 0 ? "" : `with ${describe(row.settings, varying)} `;
    const lost = subject === "leader lost" ? `; ${lostText([row])}` : "";
    return [`${place}${said.join("").replace(/^[ ,]+/, "")}${lost}`];
  });
  return clauses.join("; ");
}

/** Up to which offered load the engine kept up, and at which latency. */
function offeredText(rows: readonly CountedRow[]): string {
  const varying = varyingOf(rows);
  const names: readonly AxisName[] = varying.includes("rate") ? varying : [...varying, "rate"];
  const say = (row: CountedRow) =>
    `at ${describe(row.settings, names)} p50 is ${short(row.latencyMs.p50)} ms and p99 ${short(row.latencyMs.p99)} ms`;
  const fine = rows.filter(keptUp).sort((a, b) => a.settings.rate - b.settings.rate);
  const over = rows.filter((row) => !keptUp(row)).sort((a, b) => a.settings.rate - b.settings.rate);
  const clauses = fine.map(say);
  if (over.length > 0) {
    const { settings, proposalsPerS, runs } = over[0];
    const unqueued = validRuns(runs).reduce((sum, run) => sum + (run.failed["OVERLOAD"] ?? 0), 0);
    const beyond = unqueued === 0 ? "" : ` and ${grouped(unqueued)} that came due were not even queued`;
    const behind = `it falls behind: ${grouped(proposalsPerS.estimate)}/s are done${beyond}`;
    const refused = refusedText(over[0]);
    const what = [...(fellBehind(over[0]) ? [behind] : []), ...(refused === null ? [] : [refused])];
    clauses.push(`at ${describe(settings, names)} ${what.join(", and ")}`);
  }
  return clauses.join("; ");
}

/** What seems to hold `run` back, in words: what was measured is told as a figure, what follows from it as likely. */
export function limitOf(run: Run, result: Pick<Body, "environment" | "diskProbe">): string {
  const { cores, volatileStorage } = result.environment;
  const leader = run.nodes.find((node) => node.leader);
  if (leader === undefined || leader.windowMs === 0) return "what limits it was not measured";
  const cpuMs = cpuMsOfNodes(run);
  const machineShare = cpuMs / (leader.windowMs * cores);
  const mainShare = (leader.mainThreadMs ?? 0) / leader.windowMs;
  const busyShare = Math.min(1, machineShare + run.otherCpuShare);
  if (busyShare >= BUSY_SHARE) {
    const other =
      run.otherCpuShare >= DISTURBED_SHARE
        ? `, other programs took ${takenText(run.otherCpuShare, run.stolenCpuShare)}`
        : "";
    return `the CPU is probably the limit (${percent(busyShare)} of ${cores} cores busy${other})`;
  }
  if (mainShare >= BUSY_SHARE)
    return `the leader's main thread is probably the limit (${percent(mainShare)} busy)`;
  const disk = run.settings.durability === "none" || volatileStorage ? null : diskText(run, result.diskProbe);
  if (disk !== null) return disk;
  const busiest = Math.max(machineShare, mainShare);
  return `nothing was seen saturated (CPU ${percent(machineShare)}, leader's main thread ${percent(mainShare)}): ${
    busiest > 0.6
      ? "CPU and disk may take turns"
      : "it probably waits for disk and links, and more in flight may give more"
  }`;
}

/** By what was followed, where enough was; else by how fast the disk was alone. Null: it does not seem to be the disk. */
function diskText({ waterfall, latencyMs }: Run, probe: Body["diskProbe"]): string | null {
  if (waterfall !== null && waterfall.sampled >= FOLLOWED_MIN) {
    const us = waterfall.stages.flatMap(({ name, us }) => (DISK_STAGES.includes(name) ? us.mean : []));
    const share = us.reduce((sum, each) => sum + each, 0) / Math.max(waterfall.totalUs.mean, 1);
    if (share < DISK_BOUND_SHARE) return null;
    return `the disk is probably the limit (durable writes took ${percent(share)} of the time of ${grouped(waterfall.sampled)} commits that were followed)`;
  }
  const writes = (latencyMs.p50 * 1000) / Math.max(1, probe.p50Us);
  if (writes > DISK_BOUND_FACTOR) return null;
  return `the disk may be the limit (an estimate: a commit takes about as long as ${short(writes)} durable writes of 4 KiB took on the idle disk)`;
}
