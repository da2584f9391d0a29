// What the live page makes of two readings of the cluster.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BUCKET_MS, RequestLoad } from "../../src/serve/load.js";
import { leaderOf, percentile, sampleOf } from "../../src/serve/page/client/figures.js";
import type { ClusterView, MemberStatus } from "../../src/serve/views.js";

/** A member that answered `writes`, each so many ms long. */
function status(id: number, more: Partial<MemberStatus>, writes: readonly number[] = []): MemberStatus {
  const load = new RequestLoad();
  for (const ms of writes) load.answered(ms);
  return {
    id,
    term: 2,
    commit: 10,
    applied: 10,
    lastIndex: 12,
    state: "StateFollower",
    leader: 1,
    log: { firstIndex: 1, bytes: 100 },
    snapshot: null,
    receivingSnapshot: null,
    progress: [],
    http: "",
    uptimeMs: 1000,
    kv: { index: 10, keys: 1, bytes: 1 },
    requests: { read: new RequestLoad().read(), write: load.read() },
    ...more,
  };
}

function view(...statuses: (MemberStatus | null)[]): ClusterView {
  const members = statuses.map((one, i) => ({
    id: i + 1,
    raft: "",
    http: "",
    role: "voter",
    status: one,
    error: null,
  }));
  return { self: 1, members };
}

test("rates add up over the members, each by its own clock; one that was restarted counts from nothing", () => {
  const before = view(status(1, { uptimeMs: 1000 }, [1, 1]), status(2, { uptimeMs: 9000 }, [1, 1, 1]), null);
  const now = view(
    status(1, { uptimeMs: 3000 }, [1, 1, 1, 1]),
    status(2, { uptimeMs: 500 }, [1]),
    status(3, { uptimeMs: 100 }, [1]),
  );
  assert.equal(sampleOf(before, now).writesPerS, 2 / 2 + 1 / 0.5);
});

test("percentiles of all members together are within a bucket of the true ones", () => {
  const times = Array.from({ length: 1000 }, (_, i) => 0.3 * 1.005 ** i);
  const before = view(status(1, {}), status(2, {}));
  const now = view(
    status(
      1,
      { uptimeMs: 2000 },
      times.filter((_, i) => i % 2 === 0),
    ),
    status(
      2,
      { uptimeMs: 2000 },
      times.filter((_, i) => i % 2 === 1),
    ),
  );
  const { writeP50, writeP99, readP50 } = sampleOf(before, now);
  assert.ok(Math.abs(writeP50! / times[500] - 1) < 0.19, `${writeP50} for ${times[500]}`);
  assert.ok(Math.abs(writeP99! / times[990] - 1) < 0.19, `${writeP99} for ${times[990]}`);
  assert.equal(readP50, null);
});

test("times outside of the buckets count in the first and the last", () => {
  const load = new RequestLoad();
  for (const ms of [0, 0.01, 1e6]) load.answered(ms);
  const { counts } = load.read();
  assert.deepEqual([counts[0], counts.at(-1)], [2, 1]);
  assert.equal(percentile(counts, 1), BUCKET_MS.at(-1));
});

test("a time counts in the bucket whose bound it does not pass", () => {
  for (const [i, bound] of BUCKET_MS.entries()) {
    const load = new RequestLoad();
    load.answered(bound * 0.999);
    assert.equal(load.read().counts[i], 1, `${bound}`);
  }
});

test("who leads is who leads the highest term; the others are behind its log by what they are not known to have", () => {
  const progress = [
    { id: 1, state: "StateReplicate", match: 12, next: 13, inflightMsgs: 0 },
    { id: 2, state: "StateReplicate", match: 7, next: 13, inflightMsgs: 1 },
  ];
  const old = status(3, { state: "StateLeader", term: 1 });
  const now = view(status(1, { state: "StateLeader", progress }), status(2, {}), old);
  assert.equal(leaderOf(now)?.id, 1);
  assert.deepEqual(
    [...sampleOf(now, now).behind],
    [
      [1, 0],
      [2, 5],
      [3, null],
    ],
  );
});
