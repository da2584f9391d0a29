// A scenario is data: one question, the axes that answer it, and how long to load. Pure.

import { Prng } from "../../src/base/prng.js";
import { grouped, plural } from "../report/numbers.js";
import { AXIS_NAMES, type AxisName, type AxisValues, DEFAULT_SETTINGS, type Settings } from "./axes.js";
import { BenchError } from "./bench-error.js";
import { groupsOf } from "./groups.js";

/** How long one variant is loaded, and how often. */
export interface Load {
  /** Of each cluster, before its windows; at most, for a lone window: it ends from half of it on when the rate is stable. */
  readonly warmupMs: number;
  readonly durationMs: number;
  /** Each variant runs once a round, in fresh processes; see sitting.ts. */
  readonly rounds: number;
  /** No further round is begun that would end later than this; 0: all are run, however long they take. */
  readonly withinMs?: number;
}

/** Axes left out have one value, the default. `smoke` answers the question roughly, in seconds. */
export interface Scenario {
  readonly name: string;
  readonly question: string;
  /** What it does and what to look at, in a sentence or two. */
  readonly explains: string;
  /** The axis that the question is about: variants that differ in it alone are compared in words. */
  readonly compares: AxisName;
  readonly axes: { readonly full: Partial<AxisValues>; readonly smoke: Partial<AxisValues> };
  readonly load: { readonly full: Load; readonly smoke: Load };
}

/**
 * Of a cluster, in a bench that is to speak of a service of some age: V8 compiles what a commit takes in the first seconds
 * under load; on two cores a cluster did half of its work after four of them, and nearly all after eight.
 */
export const COMPILED_MS = 8000;
/** As long, where the warm-up of a lone window may end from half of it on. */
export const LONE_COMPILED_MS = 2 * COMPILED_MS;

/** For questions about what goes on evenly. */
export const STEADY_LOAD: Scenario["load"] = {
  full: { warmupMs: COMPILED_MS, durationMs: 2000, rounds: 3 },
  smoke: { warmupMs: 100, durationMs: 250, rounds: 1 },
};

/** One configuration to run, at its place in the table. */
export interface Variant {
  readonly position: number;
  readonly settings: Settings;
}

/** More than this is a typing mistake, not a plan. */
const VARIANTS_MAX = 500;

/** Values of every axis: what the command line says, else the scenario, else the default. */
export function resolveAxes(scenario: Scenario, quick: boolean, given: Partial<AxisValues>): AxisValues {
  const planned = quick ? scenario.axes.smoke : scenario.axes.full;
  const resolved: Partial<Record<AxisName, readonly unknown[]>> = {};
  for (const name of AXIS_NAMES) resolved[name] = given[name] ?? planned[name] ?? [DEFAULT_SETTINGS[name]];
  // An open loop has no number in flight: it must not be run once for each that the scenario has.
  const open = given.rate?.some((rate) => rate > 0) === true;
  if (open && given.inFlight === undefined) resolved.inFlight = [DEFAULT_SETTINGS.inFlight];
  return resolved as AxisValues;
}

/**
 * Every combination. Later axes of NESTING vary fastest: rows of one load stand together, and writers alternate, so
 * that a machine that drifts does so across what is compared.
 */
export function expand(axes: AxisValues): Variant[] {
  let combinations: Partial<Settings>[] = [{}];
  for (const name of NESTING) {
    combinations = combinations.flatMap((base) => axes[name].map((value) => ({ ...base, [name]: value })));
  }
  if (combinations.length > VARIANTS_MAX) {
    const text = `${combinations.length} combinations of axes, more than ${VARIANTS_MAX}: give fewer values.`;
    throw new BenchError("usage", text);
  }
  const variants = combinations.map((settings, position) => ({ position, settings: settings as Settings }));
  for (const { settings } of variants) {
    const why = whyImpossible(settings);
    if (why !== null) throw new BenchError("usage", `this combination is impossible: ${why}.`);
  }
  const idle = IDLE.find((rule) => isIdle(rule, axes, variants));
  if (idle !== undefined) throw new BenchError("usage", `these axes do not act together: ${idle.why}.`);
  return variants;
}

/** An axis that does nothing in some settings. */
interface Idle {
  readonly axis: AxisName;
  readonly in: (settings: Settings) => boolean;
  /** What it does nothing with, and what to give instead. */
  readonly why: string;
}

const IDLE: readonly Idle[] = [
  {
    axis: "inFlight",
    in: ({ rate }) => rate > 0,
    why: "--rate says when proposals are due, however many are under way, so that --in-flight does nothing; give one of the two",
  },
  {
    axis: "arrivals",
    in: ({ rate }) => rate === 0,
    why: "--arrivals is about when proposals are due, and a closed loop has no such time; give --rate",
  },
  {
    axis: "reads",
    in: ({ readsPerWrite }) => readsPerWrite === 0,
    why: "--reads says how reads are confirmed, and without --reads-per-write there are none; give --reads-per-write 1 or more",
  },
  {
    axis: "busyPollUs",
    in: ({ writer }) => writer !== "pool-wasm",
    why: "--busy-poll-us is about the threads of writer pool-wasm, and the other writers have none; give --writer pool-wasm",
  },
  {
    axis: "link",
    in: ({ nodes }) => nodes === 1,
    why: "--link is between nodes, and one node has no other; give --nodes 2 or more",
  },
  {
    axis: "frameTags",
    in: ({ nodes, link }) => nodes === 1 || link === "memory",
    why: "--frame-tags is about frames between processes, and with --nodes 1 or --link memory there are none; give --nodes 2 or more and --link sockets",
  },
  {
    axis: "maxInflightMsgs",
    in: ({ nodes }) => nodes === 1,
    why: "--max-inflight-msgs counts messages to a follower, and one node has none; give --nodes 2 or more",
  },
];

/**
 * Whether rows of the table would differ in nothing but their words: the axis has several values where it does nothing,
 * or one that is not the default and does nothing anywhere.
 */
function isIdle({ axis, in: does }: Idle, axes: AxisValues, variants: readonly Variant[]): boolean {
  const values: readonly unknown[] = axes[axis];
  if (values.length > 1) return variants.some(({ settings }) => does(settings));
  return values[0] !== DEFAULT_SETTINGS[axis] && variants.every(({ settings }) => does(settings));
}

/** From the outermost loop to the innermost. */
export const NESTING: readonly AxisName[] = [
  "event",
  "node",
  "nodeFlags",
  "nodes",
  "link",
  "from",
  "tickMs",
  "logMb",
  "stateMb",
  "startIndex",
  "entryBytes",
  "arrivals",
  "rate",
  "inFlight",
  "perCall",
  "readsPerWrite",
  "reads",
  "followerDelayMs",
  "durability",
  "busyPollUs",
  "batching",
  "batchBytes",
  "storageWrites",
  "maxInflightMsgs",
  "frameTags",
  "trace",
  "writer",
];

const NEEDS_A_LOG: readonly Settings["event"][] = ["restart", "catch-up", "replace-member"];
const TAKES_A_NODE: readonly Settings["event"][] = ["kill-leader", "pause-follower", ...NEEDS_A_LOG];

/** Why these settings cannot be run together, and what to give instead; null: they can. */
function whyImpossible(settings: Settings): string | null {
  const { event, nodes, link, from, batching, batchBytes } = settings;
  if (settings.followerDelayMs > 0 && nodes < 2) {
    return "--follower-delay-ms slows a follower, and one node has none; give --nodes 2 or more";
  }
  if (TAKES_A_NODE.includes(event) && nodes < 3) {
    return `--event ${event} takes one node away, and ${plural(nodes, "node")} cannot spare it; give --nodes 3 or more`;
  }
  if (event !== "none" && link === "memory") {
    return `--event ${event} stops one process, and with --link memory all nodes are in one; give --link sockets`;
  }
  if (event === "kill-leader" && from !== "client") {
    return "--event kill-leader would kill the load in the leader's process too; give --from client";
  }
  if (NEEDS_A_LOG.includes(event) && settings.logMb === 0) {
    const what = event === "restart" ? "to restart on" : "that the node lacks";
    return `--event ${event} needs the size of the log ${what}; give --log-mb`;
  }
  if (!NEEDS_A_LOG.includes(event) && settings.logMb > 0) {
    return `--log-mb is the log that a node restarts on or lacks; give --event ${NEEDS_A_LOG.join(" or ")} too`;
  }
  if ((event === "snapshots") !== settings.stateMb > 0) {
    return event === "snapshots"
      ? "--event snapshots needs the size of the state; give --state-mb"
      : "--state-mb is the state that snapshots are taken of; give --event snapshots too";
  }
  const callers = whyNoCallers(settings);
  if (callers !== null) return callers;
  if (batching === "off" && batchBytes > 0) {
    return "--batch-bytes caps batches, and --batching off has none; give one of the two";
  }
  return null;
}

/** Of several proposals in one call. */
function whyNoCallers({ perCall, inFlight, rate, from }: Settings): string | null {
  if (perCall === 1) return null;
  if (rate > 0)
    return "--per-call is of callers that wait for what they proposed, and with --rate each proposal is due by itself; give one of the two";
  if (from === "client")
    return "--per-call above 1 is proposeMany(), which a client process does not ask for; give --from leader";
  if (perCall > inFlight)
    return `--per-call ${perCall} is more than --in-flight ${inFlight}, and a call is under way as a whole; give --in-flight ${perCall} or more`;
  if (inFlight % perCall !== 0)
    return `--in-flight ${inFlight} is not a number of calls of ${perCall}; give --in-flight ${inFlight - (inFlight % perCall)}, or another --per-call`;
  return null;
}

/** The order in which things run: as given, or shuffled by `seed`. */
export function runOrder<T>(given: readonly T[], order: "table" | "random", seed: number): T[] {
  const sequence = [...given];
  if (order === "table") return sequence;
  const prng = new Prng(seed);
  for (let i = sequence.length - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    [sequence[i], sequence[j]] = [sequence[j], sequence[i]];
  }
  return sequence;
}

/** What a load is made by, and a cluster is not. */
export const LOAD_AXES: readonly AxisName[] = ["rate", "arrivals", "inFlight", "perCall", "readsPerWrite"];

/**
 * The order of round `round`: its own shuffle, so that no variant always follows the same other; those of one load
 * together, since they are what is compared.
 */
export function loadGroups(
  variants: readonly Variant[],
  order: "table" | "random",
  seed: number,
  round: number,
): Variant[][] {
  return groupsOf(runOrder(variants, order, (seed + Math.imul(round, 0x9e3779b1)) >>> 0), loadKey);
}

/** What has the same is under the same load. */
export function loadKey({ settings }: Pick<Variant, "settings">): string {
  return JSON.stringify(LOAD_AXES.map((name) => settings[name]));
}

/** The values that `settings` have, as they come up: of a result, which may be older than some axis. */
export function axesOf(settings: readonly Settings[]): AxisValues {
  const values = AXIS_NAMES.map((name) => [name, [...new Set(settings.map((each) => each[name]))]] as const);
  return Object.fromEntries(values) as unknown as AxisValues;
}

/** The axes with more than one value; with none, the writer, so that a row has a name. */
export function varyingAxes(axes: AxisValues): AxisName[] {
  const varying = NESTING.filter((name) => axes[name].length > 1);
  return varying.length > 0 ? varying : [axes.rate[0] > 0 ? "rate" : "inFlight", "writer"];
}

/** "pool-wasm, 1024 in flight": a variant in words, as far as it differs from others. */
export function describe(settings: Settings, names: readonly AxisName[]): string {
  const parts: string[] = [];
  for (const name of [...names].reverse()) parts.push(PHRASES[name](settings));
  return parts.join(", ");
}

const PHRASES: { readonly [K in AxisName]: (settings: Settings) => string } = {
  nodes: ({ nodes }) => plural(nodes, "node"),
  entryBytes: ({ entryBytes }) => `${entryBytes} B`,
  inFlight: ({ inFlight }) => `${inFlight} in flight`,
  perCall: ({ perCall }) => (perCall === 1 ? "one a call" : `${perCall} a call`),
  writer: ({ writer }) => writer,
  durability: ({ durability }) => (durability === "none" ? "not durable" : durability),
  busyPollUs: ({ busyPollUs }) => (busyPollUs === 0 ? "no polling" : `polling ${busyPollUs} µs`),
  batchBytes: ({ batchBytes }) => (batchBytes === 0 ? "default batch cap" : `batches up to ${batchBytes} B`),
  batching: ({ batching }) => `batching ${batching}`,
  maxInflightMsgs: ({ maxInflightMsgs: n }) => `${plural(n, "message")} in the pipeline`,
  storageWrites: ({ storageWrites }) => `${storageWrites} storage writes`,
  link: ({ link }) => (link === "memory" ? "no sockets, one process" : link),
  frameTags: ({ frameTags }) => (frameTags === "on" ? "frames tagged" : "frames with a CRC only"),
  rate: ({ rate }) => (rate === 0 ? "closed loop" : `${grouped(rate)}/s offered`),
  arrivals: ({ arrivals }) => `${arrivals} arrivals`,
  from: ({ from }) => (from === "leader" ? "load in the leader" : "load from a client"),
  reads: ({ reads }) => (reads === "safe" ? "ReadIndex reads" : "lease reads"),
  readsPerWrite: ({ readsPerWrite: n }) => (n === 0 ? "no reads" : `${plural(n, "read")} a write`),
  followerDelayMs: ({ followerDelayMs: ms }) => (ms === 0 ? "no slow disk" : `one disk ${ms} ms slower`),
  event: ({ event }) => EVENT_PHRASES[event],
  logMb: ({ logMb, event }) =>
    logMb === 0 ? "any log" : event === "catch-up" ? `${logMb} MB behind` : `a log of ${logMb} MB`,
  stateMb: ({ stateMb }) => (stateMb === 0 ? "no state" : `a state of ${stateMb} MB`),
  startIndex: ({ startIndex }) => (startIndex === 0 ? "from index 1" : `behind index ${grouped(startIndex)}`),
  node: ({ node }) => (node === "own" ? "the bench's own Node.js" : `Node.js ${node}`),
  nodeFlags: ({ nodeFlags }) => (nodeFlags === "none" ? "no flags" : nodeFlags),
  trace: ({ trace }) => (trace === "on" ? "traced" : "not traced"),
  tickMs: ({ tickMs }) => `ticks of ${tickMs} ms`,
};

const EVENT_PHRASES: { readonly [K in Settings["event"]]: string } = {
  none: "undisturbed",
  "pause-follower": "a follower paused",
  "kill-leader": "the leader killed",
  restart: "a node restarted",
  "catch-up": "a follower that catches up",
  "replace-member": "a member replaced",
  snapshots: "snapshots taken",
};

/** 20000 as "20,000". */
