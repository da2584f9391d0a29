// What the gate tells: a Markdown summary for a pull request, and the lists that github-action-benchmark reads. Pure.
import type { Tree } from "../compare/trees.js";
import type { Environment } from "../harness/environment.js";
import { markdownTable } from "../report/markdown.js";
import { diskNameText } from "../report/node-text.js";
import { roughly, short } from "../report/numbers.js";
import type { RatioInterval } from "../stats/intervals.js";
import { type Finding, type Judgement, type Limit, LOOK_CONFIDENCE, MEASURES } from "./judge.js";
import type { CounterName } from "./side.js";
import { voidText } from "./voids.js";

export interface GateFacts {
  readonly base: Tree;
  readonly head: Tree;
  readonly judgement: Judgement;
  /** What stood still, failed or was tried again, in words. */
  readonly troubles: readonly string[];
  readonly environment: Environment;
  readonly command: string;
  readonly seed: number;
  readonly pairs: number;
  readonly windows: number;
  readonly elapsedMs: number;
  /** It ended before there were pairs enough to judge the speed by; absent: it did not. */
  readonly unfinished?: Unfinished;
}

export interface Unfinished {
  readonly why: string;
  readonly pairsAsked: number;
  readonly pairsMax: number;
}

const COUNTER_TITLES: Readonly<Record<CounterName, string>> = {
  messagesSent: "messages",
  framesSent: "frames",
  bytesSent: "bytes sent",
  walSyncs: "durable writes",
  walBytes: "bytes logged",
  allocatedBytes: "bytes of heap, leader",
};

const STATES: Readonly<Record<Judgement["state"], string>> = {
  open: "open",
  closed: "**closed**",
  unmeasured: "could not be measured",
};

/** One line: passed or not, and why. */
export function headline({ judgement, unfinished }: Pick<GateFacts, "judgement" | "unfinished">): string {
  const { limits, voids, tolerance, state } = judgement;
  const findings = unfinished === undefined ? judgement.findings : [];
  if (state === "unmeasured") {
    return `The speed could not be measured (this says nothing of head): base's own logs do not prove what it acknowledged (${voidText(voids[0])})`;
  }
  const ofHead = voids.find(({ side }) => side === "head");
  if (ofHead !== undefined)
    return `The gate is closed: the run is void, its figures prove nothing (${voidText(ofHead)})`;
  const worse = findings.filter(({ verdict }) => verdict === "worse");
  const broken = limits.filter((limit) => limit.broken);
  const reasons = [
    ...worse.map(
      (finding) =>
        `${MEASURES[finding.measure].name} at ${finding.inFlight} in flight is ${ratioText(finding.ratio)} of base`,
    ),
    ...broken.map(
      ({ counter, inFlight }) => `${COUNTER_TITLES[counter]} per commit at ${inFlight} in flight went up`,
    ),
  ];
  if (reasons.length > 0) return `The gate is closed: ${reasons.join("; ")}`;
  if (unfinished !== undefined)
    return `The gate did not finish${limits.length === 0 ? "" : "; no limit of what was counted is broken"}`;
  const undecided = findings.filter(({ verdict }) => verdict === "undecided").length;
  const apart = limits.filter(({ hard, notKeptBy }) => hard && notKeptBy !== null).length;
  const doubts = [
    ...(undecided === 0
      ? []
      : [`${undecided} of ${findings.length} measures were too noisy to tell: more --pairs would tell`]),
    ...(apart === 0
      ? []
      : [`${apart} of the counters' limits compare nothing, as a side does not keep them`]),
  ];
  const doubt = doubts.length === 0 ? "" : ` (${doubts.join("; ")})`;
  return `The gate is open: nothing is more than ${percent(tolerance)} worse for sure${doubt}`;
}

/** "0.90 (0.88 to 0.93)". */
function ratioText({ estimate, low, high }: RatioInterval): string {
  return `${estimate.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
}

export function gateMarkdown(facts: GateFacts): string {
  const { base, head, judgement, troubles, environment, command, seed, pairs, windows, elapsedMs } = facts;
  const { limits, voids, tolerance } = judgement;
  const parts = [
    `### raftmark gate: ${stateText(facts)}`,
    `${headline(facts)}.`,
    ...unfinishedText(facts),
    `Base ${treeText(base)}, head ${treeText(head)}.`,
    ...findingsText(facts),
    limits.length === 0
      ? "Nothing was counted."
      : table(["in flight", "per commit", "base", "head", "limit"], limits.map(limitRow)),
    ...(voids.length === 0 ? [] : [`**Void:**\n${voids.map((one) => `- ${voidText(one)}`).join("\n")}`]),
    ...(troubles.length === 0
      ? []
      : [
          `Troubles, tried again where it is not said that they count (${troubles.length}):\n${troubles.map((what) => `- ${what}`).join("\n")}`,
        ]),
    `${pairs} pairs of fresh clusters, ${windows} alternating windows each, in an order drawn by seed ${seed}; ` +
      `3 nodes, pool-wasm, 256 B, fsync; closed if a whole interval lies more than ${percent(tolerance)} on the bad side, or if every ` +
      `repeat of a counter is beyond base's and its slack. ${environment.cpu}, ${environment.cores} cores, ` +
      `Node ${environment.node}; ${diskNameText(environment)}; ${roughly(elapsedMs)}. \`${command}\``,
  ];
  return `${parts.join("\n\n")}\n`;
}

function stateText({ judgement: { state }, unfinished }: GateFacts): string {
  return unfinished !== undefined && state === "open" ? "not finished" : STATES[state];
}

function unfinishedText({ unfinished, pairs }: GateFacts): string[] {
  if (unfinished === undefined) return [];
  const { why, pairsAsked, pairsMax } = unfinished;
  const of = pairs < pairsAsked ? `${pairsAsked}` : `up to ${pairsMax}`;
  return [`**Not finished: ${pairs} of ${of} pairs, no verdict on speed.** ${why}`];
}

function findingsText({ judgement: { findings }, unfinished }: GateFacts): string[] {
  if (unfinished === undefined) {
    const interval = `head / base (${percent(LOOK_CONFIDENCE)} interval)`;
    const heading = ["in flight", "measure", "base", "head", interval, "p", "verdict"];
    return [table(heading, findings.map(findingRow))];
  }
  if (findings.length === 0) return [];
  const rows = findings.map((finding) => [...findingCells(finding), finding.ratio.estimate.toFixed(3)]);
  return [table(["in flight", "measure", "base", "head", "head / base, not judged"], rows)];
}

/** The summary where nothing had to be measured. `count`: files and packages that were compared. */
export function sameEngineMarkdown(base: Tree, head: Tree, count: number): string {
  return `### raftmark gate: open\n\n${sameEngineText(count)}.\n\nBase ${treeText(base)}, head ${treeText(head)}.\n`;
}

function sameEngineText(count: number): string {
  return (
    "The gate is open: base and head differ in nothing that runs in the engine, so nothing was measured " +
    `(${count} built files of dist/src, without its cli and serve, and of dist/assembly, and packages of the lock file, byte for byte)`
  );
}

function treeText({ revision, commit, dirty, dependencies }: Tree): string {
  const hash = commit === null ? "" : ` (${commit.slice(0, 10)}${dirty ? ", with changes" : ""})`;
  return `\`${revision}\`${hash}, dependencies ${dependencies}`;
}

function findingRow(finding: Finding): string[] {
  const { ratio, verdict } = finding;
  const said = verdict === "worse" ? "**worse**" : verdict;
  return [...findingCells(finding), ratioText(ratio), ratio.pValue.toFixed(3), said];
}

function findingCells({ inFlight, measure, base, head }: Finding): string[] {
  const { name, unit } = MEASURES[measure];
  return [String(inFlight), `${name}, ${unit}`, short(base), short(head)];
}

function limitRow(limit: Limit): string[] {
  const { inFlight, counter, base, head } = limit;
  const range = (values: readonly number[]) =>
    values.every(Number.isFinite) ? `${short(Math.min(...values))} to ${short(Math.max(...values))}` : "–";
  return [String(inFlight), COUNTER_TITLES[counter], range(base), range(head), limitText(limit)];
}

function limitText({ hard, slack, broken, notKeptBy }: Limit): string {
  if (notKeptBy !== null)
    return `not comparable: ${notKeptBy === "both" ? "neither side keeps" : `${notKeptBy} does not keep`} it`;
  return hard ? `${broken ? "**broken**" : "kept"}, slack ${percent(slack)}` : "none, told only";
}

function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  return markdownTable([heading, heading.map(() => "---"), ...rows]);
}

/** An entry of github-action-benchmark's customBiggerIsBetter and customSmallerIsBetter. */
export interface BenchmarkEntry {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly range: string;
  readonly extra: string;
}

/** Head's figures. */
export function benchmarkEntries({ findings, limits }: Judgement): {
  readonly bigger: BenchmarkEntry[];
  readonly smaller: BenchmarkEntry[];
} {
  const noisy = (better: "higher" | "lower") =>
    findings
      .filter(({ measure }) => MEASURES[measure].better === better)
      .map(({ inFlight, measure, head, ratio }) => ({
        name: `${MEASURES[measure].name}, ${inFlight} in flight`,
        unit: MEASURES[measure].unit,
        value: head,
        range: `${percent((ratio.high - ratio.low) / 2)} (against base)`,
        extra: `head/base ${ratioText(ratio)}`,
      }));
  const told = limits.filter(({ notKeptBy }) => notKeptBy !== "head" && notKeptBy !== "both");
  const counted = told.map(({ inFlight, counter, head }) => ({
    name: `${COUNTER_TITLES[counter]} per commit, ${inFlight} in flight`,
    unit: "per commit",
    value: Math.min(...head),
    range: `${short(Math.max(...head) - Math.min(...head))}`,
    extra: "counted",
  }));
  return { bigger: noisy("higher"), smaller: [...noisy("lower"), ...counted] };
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(1))} %`;
}
