// From two readings of the cluster to what the page draws: rates, percentiles, and how far members are behind. Pure.
import { BUCKET_MS } from "../../load.js";
import type { ClusterView, MemberStatus, MemberView, RequestKind } from "../../views.js";

/** One point of every chart. Null: there is nothing to draw. */
export interface Sample {
  readonly writesPerS: number;
  readonly readsPerS: number;
  readonly writeP50: number | null;
  readonly writeP99: number | null;
  readonly readP50: number | null;
  readonly readP99: number | null;
  /** Entries behind the leader's log, by member; null: nobody knows. */
  readonly behind: ReadonlyMap<number, number | null>;
}

/** What passed between two readings. */
export function sampleOf(before: ClusterView, now: ClusterView): Sample {
  const pairs = now.members.flatMap(({ id, status }) => {
    const earlier = before.members.find((member) => member.id === id)?.status ?? null;
    return status === null || earlier === null ? [] : [{ earlier, status }];
  });
  const writes = countsBetween(pairs, "write");
  const reads = countsBetween(pairs, "read");
  return {
    writesPerS: writes.perS,
    readsPerS: reads.perS,
    writeP50: percentile(writes.counts, 0.5),
    writeP99: percentile(writes.counts, 0.99),
    readP50: percentile(reads.counts, 0.5),
    readP99: percentile(reads.counts, 0.99),
    behind: new Map(now.members.map(({ id }) => [id, behindOf(now, id)])),
  };
}

interface Pair {
  readonly earlier: MemberStatus;
  readonly status: MemberStatus;
}

/** Counts that all members add up to, and their rate: each member's time is its own. One that was restarted counts from 0. */
function countsBetween(pairs: readonly Pair[], kind: RequestKind): { counts: number[]; perS: number } {
  const counts = BUCKET_MS.map(() => 0);
  let perS = 0;
  for (const { earlier, status } of pairs) {
    const isSame = status.uptimeMs >= earlier.uptimeMs;
    const ms = isSame ? status.uptimeMs - earlier.uptimeMs : status.uptimeMs;
    if (ms <= 0) continue;
    let requests = 0;
    status.requests[kind].counts.forEach((count, i) => {
      const passed = count - (isSame ? earlier.requests[kind].counts[i] : 0);
      counts[i] += passed;
      requests += passed;
    });
    perS += (requests * 1000) / ms;
  }
  return { counts, perS };
}

/** In ms, between the bounds of its bucket as if what is in there was spread evenly; null: there is nothing. */
export function percentile(counts: readonly number[], share: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let left = total * share;
  for (const [i, count] of counts.entries()) {
    if (count >= left && count > 0) {
      const low = i === 0 ? 0 : BUCKET_MS[i - 1];
      return low + ((BUCKET_MS[i] - low) * left) / count;
    }
    left -= count;
  }
  return BUCKET_MS[BUCKET_MS.length - 1];
}

/** The member that leads the highest term, of those that answer. */
export function leaderOf({ members }: ClusterView): (MemberView & { readonly status: MemberStatus }) | null {
  let found: (MemberView & { readonly status: MemberStatus }) | null = null;
  for (const member of members) {
    const { status } = member;
    if (status?.state !== "StateLeader") continue;
    if (found === null || status.term > found.status.term) found = { ...member, status };
  }
  return found;
}

function behindOf(view: ClusterView, id: number): number | null {
  const leader = leaderOf(view);
  if (leader === null) return null;
  if (leader.id === id) return 0;
  const progress = leader.status.progress.find((one) => one.id === id);
  return progress === undefined ? null : Math.max(0, leader.status.lastIndex - progress.match);
}
