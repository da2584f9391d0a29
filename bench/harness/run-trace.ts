// Following proposals through a run: how many are followed, and fetching what the nodes noted when the load is over.
// Runs in the harness.
import { SAMPLE, sampleColumn } from "../../src/node/trace.js";
import type { Run } from "../report/result-schema.js";
import type { Settings } from "./axes.js";
import type { Cluster } from "./cluster.js";
import type { LoadResult } from "./protocol.js";
import { waterfallOf } from "./waterfall.js";

/** Primes, and 1: whatever rhythm the load has, every place in a batch comes up. */
const EVERY = [1, 5, 13, 29, 61, 127];

/**
 * One proposal in so many is followed, so that some hundred to a few thousand are followed a second: at so many in
 * flight, twice as many a millisecond is more than the engine does.
 */
export function traceEvery({ inFlight }: Pick<Settings, "inFlight">): number {
  return EVERY.findLast((every) => every <= inFlight / 2) ?? 1;
}

export type TraceFigures = Pick<Run, "waterfall"> & { readonly fsyncsWaited: number | null };
const NOTHING: TraceFigures = { waterfall: null, fsyncsWaited: null };

/** The waterfall of the window of `load`; nothing if the nodes were not traced, or no sample was whole. */
export async function readTrace(cluster: Cluster, leader: number, load: LoadResult): Promise<TraceFigures> {
  const { before, after } = load;
  if (before === null || after === null) return NOTHING;
  const window = { fromUs: before.clockUs, toUs: after.clockUs };
  const { samples, sentUs } = await cluster.call(leader, "traceSamples", window);
  const indices = sampleColumn(samples, SAMPLE.index);
  const appends = new Map<number, Float64Array>();
  for (const id of cluster.alive) appends.set(id, await cluster.call(id, "traceAppends", { indices }));
  const outcome = waterfallOf({ leader, samples, appends, sentUs });
  if (outcome === null) return NOTHING;
  return { waterfall: outcome.waterfall, fsyncsWaited: outcome.syncsWaited };
}
