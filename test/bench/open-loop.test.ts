// The open loop against engines of known behaviour: due times come from the plan, and a stall is in every latency.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { AckedWriter, readAcked } from "../../bench/harness/acked.js";
import { percentileMs, toHistogram } from "../../bench/harness/latency.js";
import type { LoadPlan, Target } from "../../bench/harness/load.js";
import { DueTimes, OpenLoop, OUTSTANDING_BYTES_MAX } from "../../bench/harness/open-loop.js";
import type { Proposed } from "../../src/index.js";

const dir = mkdtempSync(join(tmpdir(), "raftmark-open-"));
after(() => rmSync(dir, { recursive: true, force: true }));
let files = 0;

const PLAN: LoadPlan = {
  runId: 5,
  client: 1,
  inFlight: 1,
  entryBytes: 32,
  warmupMs: 100,
  primes: false,
  durationMs: 1000,
  ratePerS: 1000,
  arrivals: "constant",
  readsPerWrite: 0,
  ackedMax: 0,
  seed: 7,
};

async function run(
  target: Target,
  plan: Partial<LoadPlan> = {},
  onWindow: (open: boolean) => void = () => {},
) {
  const path = join(dir, `acked-${files++}`);
  const journal = new AckedWriter(path, 5, 1);
  const outcome = await new OpenLoop(target, { ...PLAN, ...plan }, journal).run(onWindow);
  journal.close();
  return { outcome, journal: readAcked(path) };
}

/** Answers at once, but nothing between the calls of stall() and release(). */
function stallable() {
  let index = 0;
  let held: (() => void)[] | null = null;
  const propose = () =>
    new Promise<Proposed>((resolve) => {
      const answer = () => resolve({ index: ++index, term: 1, result: undefined });
      if (held === null) answer();
      else held.push(answer);
    });
  const release = () => {
    const waiting = held ?? [];
    held = null;
    for (const answer of waiting) answer();
  };
  const stall = (ms: number) => {
    held = [];
    setTimeout(release, ms);
  };
  return { target: { propose, readBarrier: async () => {} } as Target, stall };
}

test("due times: constant without a rest that adds up, Poisson with its mean, both from the seed alone", () => {
  const constant = new DueTimes(3000, "constant", 1);
  for (let i = 1; i < 3000; i++) constant.advance();
  assert.equal(constant.next, 1000);
  const poisson = (seed: number) => {
    const due = new DueTimes(1000, "poisson", seed);
    const times: number[] = [];
    for (let i = 0; i < 20_000; i++, due.advance()) times.push(due.next);
    return times;
  };
  const times = poisson(7);
  assert.deepEqual(times, poisson(7));
  assert.notDeepEqual(times, poisson(8));
  assert.ok(Math.abs(times[times.length - 1] / times.length - 1) < 0.05, "a mean gap of 1 ms");
  const gaps = times.map((at, i) => at - (times[i - 1] ?? 0));
  const long = gaps.filter((gap) => gap > 1).length / gaps.length;
  assert.ok(Math.abs(long - Math.exp(-1)) < 0.02, "exponential gaps");
});

test("as many are proposed as come due, each in the journal", async () => {
  const { target } = stallable();
  const { outcome, journal } = await run(target, { durationMs: 300 });
  const expected = (PLAN.ratePerS * outcome.windowMs) / 1000;
  assert.ok(
    outcome.due !== null && Math.abs(outcome.due - expected) <= 60,
    `${outcome.due} due, not ${expected}`,
  );
  assert.equal(outcome.latencies.total, outcome.due);
  assert.equal(
    journal.runs.reduce((sum, { count }) => sum + count, 0),
    outcome.acked,
  );
  assert.deepEqual(outcome.failed, {});
  assert.equal(outcome.unanswered, 0);
});

test("a stall of 200 ms is in the latency of every proposal that came due in it", async () => {
  const { target, stall } = stallable();
  const { outcome } = await run(target, {}, (open) => {
    if (open) setTimeout(() => stall(200), 300);
  });
  // One proposal a millisecond: about 200 of 1000 waited, evenly from 200 ms down to 0.
  const histogram = toHistogram(outcome.latencies);
  const p90 = percentileMs(histogram, 90);
  const p99 = percentileMs(histogram, 99);
  assert.ok(p90 > 60 && p90 < 250, `p90 is ${p90} ms; a tool blind to coordinated omission says 0`);
  assert.ok(p99 > 150, `p99 is ${p99} ms`);
});

test("what comes due beyond the bound is failed with OVERLOAD, not queued", async () => {
  const held: ((value: Proposed) => void)[] = [];
  const target = {
    propose: () => new Promise<Proposed>((resolve) => held.push(resolve)),
    readBarrier: async () => {},
  } as Target;
  const entryBytes = OUTSTANDING_BYTES_MAX / 8;
  const release = (open: boolean) => {
    if (open) return;
    held.forEach((resolve, i) => {
      resolve({ index: i + 1, term: 1, result: undefined });
    });
  };
  const { outcome } = await run(target, { entryBytes, durationMs: 100, warmupMs: 50 }, release);
  assert.equal(outcome.acked, 8);
  assert.ok(outcome.failed["OVERLOAD"] > 0);
});

test("reads are due with their proposal and told apart", async () => {
  const { target } = stallable();
  const { outcome } = await run(target, { durationMs: 100, readsPerWrite: 2 });
  assert.equal(outcome.reads.total, outcome.latencies.total * 2);
});
