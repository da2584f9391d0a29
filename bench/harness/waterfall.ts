// Where commits spent their time: joins what the leader noted of sampled proposals with what each node noted of its
// appends (src/node/trace.ts), by entry index. Each stage is a difference of consecutive times, so that a sample's
// stages add up to its total exactly. Times of two processes are only ever subtracted there and back, so that their
// clocks cancel out. Pure.
import { APPEND, APPEND_COLUMNS, SAMPLE, SAMPLE_COLUMNS } from "../../src/node/trace.js";
import type { Waterfall } from "../report/result-schema.js";

/** What the nodes noted; rows of all but `samples` stand in the order of the samples. */
export interface Traced {
  readonly leader: number;
  /** Rows of SAMPLE_COLUMNS. */
  readonly samples: Float64Array;
  /** By node, the leader included: rows of APPEND_COLUMNS. */
  readonly appends: ReadonlyMap<number, Float64Array>;
  /** When the leader's link got each for the node that completed its quorum; 0: its own copy did, or not known. */
  readonly sentUs: Float64Array;
}

/** The stages in order. Who stores a copy last decides which of the two middle groups is on a sample's path. */
export const STAGES = {
  queued: "from propose() to the turn that takes it",
  stepped: "from that turn to a Ready with its entry",
  "own ring": "from the Ready until the leader's log writer begins to encode its batch",
  "own encode": "encoding, framing and CRC of the leader's batch",
  "own disk": "the leader's durable write",
  "own notice": "from durable until the leader's main thread knows",
  handed: "from the Ready until the link has its message: the copy to the log's ring, flow control",
  wire: "to the follower and back: frames encoded and checked, sockets, waiting for both event loops",
  "follower stepped": "from the frame's arrival to the follower's Ready",
  "follower ring": "from that Ready until the follower's log writer begins to encode its batch",
  "follower encode": "encoding, framing and CRC of the follower's batch",
  "follower disk": "the follower's durable write",
  "follower notice": "from durable until the follower's link has its answer",
  quorum: "from the news that completed the quorum to its entry being committed",
  apply: "from committed to applied: the wait for the next turn, and the state machine",
  resolve: "from applied to the caller's going on, behind the promises before it",
} as const;
type StageName = keyof typeof STAGES;
const NAMES = Object.keys(STAGES) as StageName[];
const OWN_LOG = ["own ring", "own encode", "own disk", "own notice"] as const;
const FOLLOWER_LOG = [
  "follower stepped",
  "follower ring",
  "follower encode",
  "follower disk",
  "follower notice",
] as const;

export interface WaterfallOutcome {
  readonly waterfall: Waterfall;
  /** Mean number of durable writes of the leader's log that a sample waited for. */
  readonly syncsWaited: number;
}

/** Null: no sample could be followed from end to end. */
export function waterfallOf(traced: Traced): WaterfallOutcome | null {
  const count = traced.samples.length / SAMPLE_COLUMNS;
  const path = new Durations();
  const beside = new Durations();
  const totals: number[] = [];
  let syncs = 0;
  let followerLast = 0;
  for (let i = 0; i < count; i++) {
    const sample = traced.samples.subarray(i * SAMPLE_COLUMNS, (i + 1) * SAMPLE_COLUMNS);
    const own = rowOf(traced, traced.leader, i);
    const by = sample[SAMPLE.by];
    const follower = by === traced.leader ? fastestFollower(traced, i) : rowOf(traced, by, i);
    if (own === null || own[APPEND.handedUs] === 0) continue;
    if (by === traced.leader) {
      if (own[APPEND.durableUs] === 0) continue;
      addOwnLog(path, own, sample[SAMPLE.newsUs]);
      if (follower !== null) addFollowerLog(beside, follower);
    } else {
      if (follower === null || !isWhole(follower) || traced.sentUs[i] === 0) continue;
      addFollowerLog(path, follower);
      path.add("handed", traced.sentUs[i] - own[APPEND.handedUs]);
      const away = follower[APPEND.respondedUs] - follower[APPEND.receivedUs];
      path.add("wire", sample[SAMPLE.newsUs] - traced.sentUs[i] - away);
      if (own[APPEND.durableUs] > 0) addOwnLog(beside, own, own[APPEND.noticedUs]);
      followerLast++;
    }
    path.add("queued", sample[SAMPLE.takenUs] - sample[SAMPLE.proposedUs]);
    path.add("stepped", own[APPEND.handedUs] - sample[SAMPLE.takenUs]);
    path.add("quorum", sample[SAMPLE.committedUs] - sample[SAMPLE.newsUs]);
    path.add("apply", sample[SAMPLE.appliedUs] - sample[SAMPLE.committedUs]);
    path.add("resolve", sample[SAMPLE.resolvedUs] - sample[SAMPLE.appliedUs]);
    totals.push(sample[SAMPLE.resolvedUs] - sample[SAMPLE.proposedUs]);
    syncs += own[APPEND.durableUs] > 0 ? own[APPEND.syncsWaited] : 0;
  }
  const sampled = totals.length;
  if (sampled === 0) return null;
  const waterfall = {
    sampled,
    followerLast: followerLast / sampled,
    totalUs: percentiles(totals, sampled),
    stages: path.stages((durations) => percentiles(durations, sampled)),
    beside: beside.stages((durations) => percentiles(durations, durations.length)),
  };
  return { waterfall, syncsWaited: syncs / sampled };
}

/** What node `id` noted of sample `i`; null if it knows nothing of it. */
function rowOf({ appends }: Traced, id: number, i: number): Float64Array | null {
  const row = appends.get(id)?.subarray(i * APPEND_COLUMNS, (i + 1) * APPEND_COLUMNS);
  return row === undefined || row[APPEND.first] === 0 ? null : row;
}

/** The follower's row that took the least time from its frame to its answer. */
function fastestFollower(traced: Traced, i: number): Float64Array | null {
  let fastest: Float64Array | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const id of traced.appends.keys()) {
    const row = id === traced.leader ? null : rowOf(traced, id, i);
    if (row === null || !isWhole(row)) continue;
    const took = row[APPEND.respondedUs] - row[APPEND.receivedUs];
    if (took < least) {
      least = took;
      fastest = row;
    }
  }
  return fastest;
}

function isWhole(row: Float64Array): boolean {
  return row[APPEND.receivedUs] > 0 && row[APPEND.durableUs] > 0 && row[APPEND.respondedUs] > 0;
}

function addOwnLog(to: Durations, row: Float64Array, newsUs: number): void {
  to.addChain(OWN_LOG, [
    row[APPEND.handedUs],
    row[APPEND.encodeStartUs],
    row[APPEND.encodeEndUs],
    row[APPEND.durableUs],
    newsUs,
  ]);
}

function addFollowerLog(to: Durations, row: Float64Array): void {
  to.addChain(FOLLOWER_LOG, [
    row[APPEND.receivedUs],
    row[APPEND.handedUs],
    row[APPEND.encodeStartUs],
    row[APPEND.encodeEndUs],
    row[APPEND.durableUs],
    row[APPEND.respondedUs],
  ]);
}

/** Durations by stage. */
class Durations {
  private readonly byStage = new Map<StageName, number[]>();

  add(name: StageName, us: number): void {
    const known = this.byStage.get(name);
    if (known === undefined) this.byStage.set(name, [us]);
    else known.push(us);
  }

  /** Stage i lies between times[i] and times[i + 1]. */
  addChain(names: readonly StageName[], times: readonly number[]): void {
    for (const [i, name] of names.entries()) this.add(name, times[i + 1] - times[i]);
  }

  stages(summary: (durations: number[]) => Waterfall["totalUs"]): Waterfall["stages"] {
    const known = NAMES.filter((name) => this.byStage.has(name));
    return known.map((name) => ({ name, us: summary(this.byStage.get(name)!) }));
  }
}

/** Of `count` durations, of which those not in `values` are 0: a sample that did not pass the stage. */
function percentiles(values: number[], count: number): Waterfall["totalUs"] {
  const sorted = values.sort((a, b) => a - b);
  const zeros = count - sorted.length;
  const at = (share: number) => {
    const place = Math.min(count - 1, Math.ceil(share * count) - 1) - zeros;
    return place < 0 ? 0 : tenth(sorted[place]);
  };
  const sum = sorted.reduce((total, value) => total + value, 0);
  return { mean: tenth(sum / count), p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}

function tenth(us: number): number {
  return Math.round(us * 10) / 10;
}
