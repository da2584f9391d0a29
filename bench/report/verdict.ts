// The sentence that a table answers its question with: what is fastest, by what factor, and what seems to hold it
// back. Computed, and no surer than one run of each configuration allows.
import { AXIS_NAMES, type AxisName } from "../harness/axes.js";
import { describe } from "../harness/scenario.js";
import { grouped, short, times } from "./numbers.js";
import type { Result, Run } from "./result-schema.js";

/** Below this factor, one run each does not tell two configurations apart on a shared machine. */
const NOISE_FACTOR = 1.1;
const BUSY_SHARE = 0.85;
/** From here on, what other programs took can have changed the order of the rows. */
const DISTURBED_SHARE = 0.15;
/** A commit within this many times the probe's write is one that waits for disks. */
const DISK_BOUND_FACTOR = 5;

type Body = Omit<Result, "verdict">;

export function verdict(result: Body): string {
  const valid = result.runs.filter((run) => run.void.length === 0);
  if (valid.length === 0) return "No configuration gave a valid run, so there is nothing to compare.";
  const best = valid.reduce((a, b) => (b.proposalsPerS > a.proposalsPerS ? b : a));
  const varying = AXIS_NAMES.filter((name) => new Set(result.runs.map((run) => run.settings[name])).size > 1);
  const names: AxisName[] = varying.length > 0 ? varying : ["writer", "inFlight"];
  const parts = [
    `${valid.length > 1 ? "Fastest is" : "Measured:"} ${describe(best.settings, sorted(names))} with ` +
      `${grouped(best.proposalsPerS)} proposals/s at a p99 of ${short(best.latencyMs.p99)} ms`,
  ];
  const focus = varying.includes(result.scenario.compares as AxisName)
    ? (result.scenario.compares as AxisName)
    : varying[varying.length - 1];
  if (focus !== undefined) parts.push(...comparisons(best, valid, varying, focus));
  const limits = limitOf(best, result);
  const cautions = valid.length > 1 ? ["one run each: differences below about 10 % are noise"] : [];
  const others = Math.max(...valid.map((run) => run.otherCpuShare));
  if (others >= DISTURBED_SHARE)
    cautions.push(`other programs took up to ${percent(others)} of the CPU meanwhile`);
  const caution = cautions.length > 0 ? ` (${cautions.join("; ")})` : "";
  return `${parts.join("; ")}; ${valid.length > 1 ? "for the fastest, " : ""}${limits}${caution}.`;
}

/** Sorted so that the axis of the question comes last, which `describe` says first. */
function sorted(names: readonly AxisName[]): AxisName[] {
  return [...names].sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
}

const ORDER: readonly AxisName[] = ["nodes", "entryBytes", "inFlight", "durability", "batchBytes", "writer"];

/** The best against those that differ in `focus` alone, and what the rest of the table says of `focus`. */
function comparisons(
  best: Run,
  valid: readonly Run[],
  varying: readonly AxisName[],
  focus: AxisName,
): string[] {
  const rest = varying.filter((name) => name !== focus);
  const sameRest = (a: Run, b: Run) => rest.every((name) => a.settings[name] === b.settings[name]);
  const texts: string[] = [];
  const rivals = valid.filter((run) => run !== best && sameRest(run, best));
  const where = rest.length === 0 ? "" : ` at ${describe(best.settings, sorted(rest))}`;
  if (rivals.length > 0) {
    const against = rivals
      .sort((a, b) => a.proposalsPerS - b.proposalsPerS)
      .map((run) => `${times(best.proposalsPerS / run.proposalsPerS)}× ${describe(run.settings, [focus])}`);
    texts.push(`that is ${against.join(" and ")}${where}`);
  }
  const groups = valid.filter((run, i) => valid.findIndex((other) => sameRest(other, run)) === i);
  for (const group of groups) {
    if (sameRest(group, best)) continue;
    const runs = valid
      .filter((run) => sameRest(run, group))
      .sort((a, b) => b.proposalsPerS - a.proposalsPerS);
    if (runs.length < 2 || groups.length > 4) continue;
    const factor = runs[0].proposalsPerS / runs[runs.length - 1].proposalsPerS;
    const place = describe(group.settings, sorted(rest));
    if (factor < NOISE_FACTOR) texts.push(`at ${place} no difference can be told`);
    else texts.push(`at ${place} ${describe(runs[0].settings, [focus])} leads by ${times(factor)}×`);
  }
  return texts;
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
