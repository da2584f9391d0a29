// The sentences that a table answers its question with: what is fastest, by what factor and how sure, and what seems
// to hold it back; or what an event took. Computed, and no surer than the rounds allow.
import { median } from "simple-statistics";
import { AXIS_NAMES, type AxisName } from "../harness/axes.js";
import { describe, NESTING } from "../harness/scenario.js";
import { PAIRS_MIN, type RatioInterval } from "../stats/intervals.js";
import { ratioOfRows } from "../stats/ratio.js";
import { type Row, rowsOf, validRuns } from "../stats/rows.js";
import { grouped, short, times } from "./numbers.js";
import type { Result, Run } from "./result-schema.js";

/** With one round, below this factor two configurations cannot be told apart on a shared machine. */
const NOISE_FACTOR = 1.1;
const BUSY_SHARE = 0.85;
/** From here on, what other programs took can have changed the order of the rows. */
const DISTURBED_SHARE = 0.15;
/** A commit within this many times the probe's write is one that waits for disks. */
const DISK_BOUND_FACTOR = 5;
/** An open loop kept up if it did at least this share of what was offered. */
const KEPT_UP_SHARE = 0.97;
/** Rows compared in words; the rest is in the table. */
const GROUPS_MAX = 4;

type Body = Omit<Result, "verdict">;
type Counted = Row & { readonly proposalsPerS: NonNullable<Row["proposalsPerS"]> };

export function verdict(result: Body): string {
  const rows = rowsOf(result).filter((row): row is Counted => row.proposalsPerS !== null);
  if (rows.length === 0) return "No configuration gave a valid run, so there is nothing to compare.";
  const text = told(result, rows);
  const done = result.interrupted ? "Interrupted: only the runs that were done are told. " : "";
  return `${done}${text}${cautions(rows)}.`;
}

function told(result: Body, rows: readonly Counted[]): string {
  const { event, rate } = rows[0].settings;
  if (event === "kill-leader" || event === "restart") return eventText(rows, event);
  if (rows.every((row) => row.settings.rate > 0) && rate > 0) return offeredText(rows);
  if (rows.length > 1 && rows.some(isDisturbed)) return disturbedText(rows);
  const best = rows.reduce((a, b) => (b.proposalsPerS.estimate > a.proposalsPerS.estimate ? b : a));
  const varying = varyingOf(rowsOf(result));
  const names: AxisName[] = varying.length > 0 ? varying : ["writer", "inFlight"];
  const p99 = best.latencyMs?.p99 ?? 0;
  const parts = [
    `${rows.length > 1 ? "Fastest is" : "Measured:"} ${describe(best.settings, sorted(names))} with ` +
      `${grouped(best.proposalsPerS.estimate)} proposals/s at a p99 of ${short(p99)} ms`,
  ];
  const focus = varying.includes(result.scenario.compares as AxisName)
    ? (result.scenario.compares as AxisName)
    : varying[varying.length - 1];
  if (focus !== undefined) parts.push(...comparisons(best, rows, varying, focus));
  const limits = limitOf(medianRun(best), result);
  parts.push(...readClauses(rows));
  return `${parts.join("; ")}; ${rows.length > 1 ? "for the fastest, " : ""}${limits}`;
}

function varyingOf(rows: readonly Row[]): AxisName[] {
  return AXIS_NAMES.filter((name) => new Set(rows.map(({ settings }) => settings[name])).size > 1);
}

/** Sorted so that the innermost axis comes last, which `describe` says first. */
function sorted(names: readonly AxisName[]): AxisName[] {
  return [...names].sort((a, b) => NESTING.indexOf(a) - NESTING.indexOf(b));
}

/** The run that stands for its row: the one in the middle. */
function medianRun(row: Row): Run {
  const runs = validRuns(row.runs).sort((a, b) => a.proposalsPerS - b.proposalsPerS);
  return runs[Math.floor((runs.length - 1) / 2)];
}

/** The best against those that differ in `focus` alone, and what the rest of the table says of `focus`. */
function comparisons(
  best: Counted,
  rows: readonly Counted[],
  varying: readonly AxisName[],
  focus: AxisName,
): string[] {
  const rest = varying.filter((name) => name !== focus);
  const sameRest = (a: Row, b: Row) => rest.every((name) => a.settings[name] === b.settings[name]);
  const say = (row: Row) => describe(row.settings, [focus]);
  const texts: string[] = [];
  const rivals = rows
    .filter((row) => row !== best && sameRest(row, best))
    .sort((a, b) => a.proposalsPerS.estimate - b.proposalsPerS.estimate);
  const where = rest.length === 0 ? "" : ` at ${describe(best.settings, sorted(rest))}`;
  const against = rivals
    .map((row) => comparison(say(best), best, say(row), row))
    .filter((text) => text !== "");
  if (against.length > 0) texts.push(`${against.join(" and ")}${where}`);
  const groups = rows.filter((row, i) => rows.findIndex((other) => sameRest(other, row)) === i);
  for (const group of groups) {
    if (sameRest(group, best) || groups.length > GROUPS_MAX) continue;
    const members = rows.filter((row) => sameRest(row, group));
    members.sort((a, b) => b.proposalsPerS.estimate - a.proposalsPerS.estimate);
    if (members.length < 2) continue;
    const last = members[members.length - 1];
    const place = describe(group.settings, sorted(rest));
    texts.push(`at ${place} ${comparison(say(members[0]), members[0], say(last), last)}`);
  }
  return texts;
}

/** "pool-wasm beats inline-js by 2.1× (95 % interval 1.9–2.3)", or that no difference was found. */
function comparison(name: string, row: Row, other: string, base: Row): string {
  const ratio = ratioOfRows(base, row);
  if (ratio === null) return "";
  if (!isDifference(ratio)) return `no difference found between ${name} and ${other}${intervalText(ratio)}`;
  return `${name} beats ${other} by ${times(ratio.estimate)}×${intervalText(ratio)}`;
}

function isDifference({ estimate, low, high, pairs }: RatioInterval): boolean {
  if (pairs === 1) return estimate >= NOISE_FACTOR || estimate <= 1 / NOISE_FACTOR;
  return low > 1 || high < 1;
}

/** Of few pairs the interval is their range, and is called that. */
function intervalText({ low, high, pairs }: RatioInterval): string {
  if (pairs === 1) return "";
  const what = pairs < PAIRS_MIN ? `range of ${pairs} rounds` : "95 % interval";
  return ` (${what} ${times(low)}–${times(high)})`;
}

/** How long a linearizable read takes, a clause a row where there are few. */
function readClauses(rows: readonly Row[]): string[] {
  const reading = rows.filter((row) => row.settings.readsPerWrite > 0);
  if (reading.length === 0 || reading.length > GROUPS_MAX) return [];
  const varying = varyingOf(rows);
  const each = reading.map((row) => {
    const p50 = median(validRuns(row.runs).map((run) => run.measures["readP50Ms"]?.value ?? 0));
    return `${short(p50)} ms ${varying.length === 0 ? "" : `with ${describe(row.settings, sorted(varying))}`}`.trim();
  });
  return [`a read is confirmed in ${each.join(", ")} (median)`];
}

function isDisturbed({ settings }: Row): boolean {
  return settings.followerDelayMs > 0 || settings.event === "pause-follower";
}

/** What a slow or still follower does to the commits of the others: latency first. */
function disturbedText(rows: readonly Counted[]): string {
  const base = rows.find((row) => !isDisturbed(row));
  const varying = varyingOf(rows);
  const clauses = rows.map((row) => {
    const { p50 = 0, p99 = 0, max = 0 } = row.latencyMs ?? {};
    const ratio = base === undefined || row === base ? null : ratioOfRows(base, row);
    const rate = ratio === null ? "" : `, at ${times(ratio.estimate)}× the throughput${intervalText(ratio)}`;
    return (
      `${describe(row.settings, sorted(varying))}: a commit takes ${short(p50)} ms (p99 ${short(p99)}, ` +
      `max ${short(max)})${rate}`
    );
  });
  const text = clauses.join("; ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const EVENT_MEASURES = {
  "kill-leader": ["newLeaderMs", "firstCommitMs", "acknowledgedLost"],
  restart: ["openMs", "openGBPerS", "caughtUpMs"],
} as const;

/** What the event took, a clause a row. */
function eventText(rows: readonly Row[], event: keyof typeof EVENT_MEASURES): string {
  const varying = varyingOf(rows);
  const clauses = rows.map((row) => {
    const of = (name: string) => median(validRuns(row.runs).map((run) => run.measures[name]?.value ?? 0));
    const [a, b, c] = EVENT_MEASURES[event].map(of);
    const place = varying.length === 0 ? "" : `with ${describe(row.settings, sorted(varying))} `;
    if (event === "kill-leader") {
      const lost = c === 0 ? "nothing acknowledged was lost" : `${c} acknowledged proposals were LOST`;
      return `${place}a new leader stands ${short(a)} ms after kill -9 and commits after ${short(b)} ms; ${lost}`;
    }
    return `${place}a node opens in ${short(a)} ms (${short(b)} GB/s) and has applied everything after ${short(c)} ms`;
  });
  const text = clauses.join("; ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Up to which offered load the engine kept up, and at which latency. */
function offeredText(rows: readonly Counted[]): string {
  const keptUp = (row: Counted) => {
    const runs = validRuns(row.runs);
    const sum = (of: (run: Run) => number) => runs.reduce((so, run) => so + of(run), 0);
    return sum(({ done }) => done) >= sum(({ load }) => load.due ?? 0) * KEPT_UP_SHARE;
  };
  const varying = varyingOf(rows);
  const names = varying.includes("rate") ? varying : [...varying, "rate" as const];
  const say = (row: Counted) =>
    `at ${describe(row.settings, sorted(names))} p50 is ${short(row.latencyMs?.p50 ?? 0)} ms and p99 ${short(row.latencyMs?.p99 ?? 0)} ms`;
  const fine = rows.filter(keptUp).sort((a, b) => a.settings.rate - b.settings.rate);
  const over = rows.filter((row) => !keptUp(row)).sort((a, b) => a.settings.rate - b.settings.rate);
  const clauses = fine.map(say);
  if (over.length > 0) {
    const { settings, proposalsPerS, runs } = over[0];
    const refused = runs.reduce((sum, run) => sum + (run.failed["OVERLOAD"] ?? 0), 0);
    const beyond = refused === 0 ? "" : ` and ${grouped(refused)} that came due were not even queued`;
    clauses.push(
      `at ${describe(settings, sorted(names))} it falls behind: ${grouped(proposalsPerS.estimate)}/s are done${beyond}`,
    );
  }
  const text = clauses.join("; ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function cautions(rows: readonly Counted[]): string {
  const texts: string[] = [];
  if (rows.length > 1 && rows.some((row) => validRuns(row.runs).length === 1)) {
    texts.push("one run each: differences below about 10 % are noise");
  }
  const counted = rows.flatMap((row) => validRuns(row.runs));
  const others = Math.max(...counted.map((run) => run.otherCpuShare));
  if (others >= DISTURBED_SHARE)
    texts.push(`other programs took up to ${percent(others)} of the CPU meanwhile`);
  return texts.length > 0 ? ` (${texts.join("; ")})` : "";
}

/** What seems to hold `run` back, in words. */
export function limitOf(run: Run, result: Pick<Body, "environment" | "diskProbe">): string {
  const { cores, volatileStorage } = result.environment;
  const leader = run.nodes.find((node) => node.leader);
  if (leader === undefined || leader.windowMs === 0) return "what limits it was not measured";
  const cpuMs = run.nodes.reduce((sum, node) => sum + node.cpuUserMs + node.cpuSystemMs, 0);
  const machineShare = cpuMs / (leader.windowMs * cores);
  const mainShare = (leader.mainThreadMs ?? 0) / leader.windowMs;
  const busyShare = Math.min(1, machineShare + run.otherCpuShare);
  if (busyShare >= BUSY_SHARE) {
    const other =
      run.otherCpuShare >= DISTURBED_SHARE ? `, ${percent(run.otherCpuShare)} by other programs` : "";
    return `the CPU is the limit (${percent(busyShare)} of ${cores} cores busy${other})`;
  }
  if (mainShare >= BUSY_SHARE) return `the leader's main thread is the limit (${percent(mainShare)} busy)`;
  const writes = (run.latencyMs.p50 * 1000) / Math.max(1, result.diskProbe.p50Us);
  if (run.settings.durability !== "none" && !volatileStorage && writes <= DISK_BOUND_FACTOR) {
    return `the disk is the limit (a commit takes about ${short(writes)} durable writes of 4 KiB)`;
  }
  const busiest = Math.max(machineShare, mainShare);
  return `nothing is saturated (CPU ${percent(machineShare)}, leader's main thread ${percent(mainShare)}): ${
    busiest > 0.6
      ? "CPU and disk take turns"
      : "it waits for disk and links, and more in flight may give more"
  }`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
