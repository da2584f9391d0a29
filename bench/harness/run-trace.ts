// Following proposals through a run: how many are followed, and fetching what the nodes noted when the load is over.
// Runs in the harness.
import { SAMPLE, sampleColumn } from "../../src/node/trace.js";
import type { Run } from "../report/result-schema.js";
import type { Settings } from "./axes.js";
import type { Cluster } from "./cluster.js";
import type { ReplyOf } from "./protocol.js";
import { waterfallOf } from "./waterfall.js";

/** Primes, and 1: whatever rhythm the load has, every place in a batch comes up. */
const EVERY = [1, 5, 13, 29, 61, 127, 251, 509];

/** What is in flight moves as one batch or a few, and noting one costs; so one batch in so many is noted, about. */
const BATCHES = 5;

const LOSES_NOTES: readonly Settings["event"][] = ["kill-leader", "catch-up", "replace-member"];

/** One proposal in so many is followed, so that some hundreds are followed a second. */
export function traceEvery({ trace, event, inFlight, perCall, rate }: Settings): number {
  // Who is killed or stopped takes along what it noted.
  if (trace === "off" || LOSES_NOTES.includes(event)) return 0;
  // The engine follows none of proposeMany().
  if (perCall > 1) return 0;
  if (rate > 0) return EVERY.findLast((every) => every <= rate / 500) ?? 1;
  return EVERY.findLast((every) => every <= BATCHES * inFlight) ?? 1;
}

export type TraceFigures = Pick<Run, "waterfall"> & { readonly fsyncsWaited: number | null };
/** Nothing was followed. */
export const NO_TRACE: TraceFigures = { waterfall: null, fsyncsWaited: null };

/** A window's samples of the leader. */
interface TracedWindow {
  readonly before: ReplyOf<"sample"> | undefined;
  readonly after: ReplyOf<"sample"> | undefined;
}

/** The waterfall of the windows together; nothing if nothing was traced from end to end. */
export async function readTrace(
  cluster: Cluster,
  leader: number,
  windows: readonly TracedWindow[],
): Promise<TraceFigures> {
  if (cluster.traceEvery === 0) return NO_TRACE;
  const traced: ReplyOf<"traceSamples">[] = [];
  for (const { before, after } of windows) {
    if (before === undefined || after === undefined) return NO_TRACE;
    const times = { fromUs: before.clockUs, toUs: after.clockUs };
    traced.push(await cluster.call(leader, "traceSamples", times));
  }
  const samples = concatenated(traced.map((window) => window.samples));
  const sentUs = concatenated(traced.map((window) => window.sentUs));
  const indices = sampleColumn(samples, SAMPLE.index);
  const appends = new Map<number, Float64Array>();
  for (const id of cluster.alive) appends.set(id, await cluster.call(id, "traceAppends", { indices }));
  const outcome = waterfallOf({ leader, samples, appends, sentUs });
  if (outcome === null) return NO_TRACE;
  return { waterfall: outcome.waterfall, fsyncsWaited: outcome.syncsWaited };
}

function concatenated(all: readonly Float64Array[]): Float64Array {
  return Float64Array.from(all.flatMap((each) => [...each]));
}
