// The open loop against engines of known behaviour: due times come from the plan, and a stall is in every latency.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { AckedWriter, readAcked } from "../../bench/harness/acked.js";
import { percentileMs, toHistogram } from "../../bench/harness/latency.js";
import type { Target } from "../../bench/harness/load.js";
import { DueTimes, OpenLoop, OUTSTANDING_BYTES_MAX } from "../../bench/harness/open-loop.js";
import type { LoadPlan } from "../../bench/harness/protocol.js";
import type { Proposed } from "../../src/index.js";
import { tempDir } from "../temp-dir.js";

const dir = tempDir();
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
  perCall: 1,
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
  assert.equal(outcome.seriesDue.length, 3);
  const odd = outcome.seriesDue.filter((count) => Math.abs(count - 100) > 3);
  assert.deepEqual(odd, [], "of 1000 a second, in each step");
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
  assert.ok(p90 > 60, `p90 is ${p90} ms; a tool blind to coordinated omission says 0`);
  assert.ok(p99 > 150, `p99 is ${p99} ms`);
});

/** Holds the event loop for `ms`. */
function hold(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Times at which the plan has a proposal due in a window of `windowMs`. */
function dueWithin(windowMs: number, plan: LoadPlan): number {
  const due = new DueTimes(plan.ratePerS, plan.arrivals, plan.seed);
  let count = 0;
  for (; due.next < windowMs; due.advance()) count++;
  return count;
}

const HELD_MS = 150;
const WINDOW_MS = 300;
/** Where the event loop stands still: by a timer before the load begins, or at an edge of the window. */
const HOLDS: { name: string; inLatencies: boolean; before?: number; at?: (open: boolean) => void }[] = [
  { name: "over the window's opening", inLatencies: false, before: 80 },
  { name: "while it opens", inLatencies: false, at: (open) => open && hold(HELD_MS) },
  {
    name: "in a timer, over its end",
    inLatencies: true,
    at: (open) => open && setTimeout(() => hold(HELD_MS), WINDOW_MS - 30),
  },
  {
    name: "after the timers, over its end",
    inLatencies: true,
    at: (open) => open && setTimeout(() => setImmediate(() => hold(HELD_MS)), WINDOW_MS - 30),
  },
  { name: "while it closes", inLatencies: false, at: (open) => !open && hold(HELD_MS) },
];

for (const arrivals of ["constant", "poisson"] as const) {
  for (const { name, inLatencies, before, at } of HOLDS) {
    test(`what came due in the window is in the figures: a stall ${name}, ${arrivals}`, async () => {
      const plan = { ...PLAN, arrivals, durationMs: WINDOW_MS };
      if (before !== undefined) setTimeout(() => setImmediate(() => hold(HELD_MS)), before);
      const { outcome } = await run(stallable().target, plan, at);
      const expected = dueWithin(outcome.windowMs, plan);
      const { due } = outcome;
      // One: the window's length is rounded differently here.
      assert.ok(due !== null && Math.abs(due - expected) <= 1, `${due} counted as due, not ${expected}`);
      assert.equal(outcome.latencies.total, due);
      assert.equal(outcome.unanswered, 0);
      if (inLatencies) assert.ok(percentileMs(toHistogram(outcome.latencies), 99) > HELD_MS / 2);
    });
  }
}

/** A load on who answers nothing for longer than the warm-up; `open`: what was proposed and answered when the window opens. */
async function runOnLate() {
  let proposed = 0;
  let index = 0;
  let held: (() => void)[] | null = [];
  const release = () => {
    for (const answer of held ?? []) answer();
    held = null;
  };
  const propose = () =>
    new Promise<Proposed>((resolve) => {
      if (++proposed === 1) setTimeout(release, PLAN.warmupMs + 150);
      const answer = () => resolve({ index: ++index, term: 1, result: undefined });
      if (held === null) answer();
      else held.push(answer);
    });
  let open = [0, 0];
  const { outcome } = await run({ propose, readBarrier: async () => {} }, { durationMs: 200 }, (opens) => {
    if (opens) open = [proposed, index];
  });
  return { outcome, open };
}

test("what the warm-up left behind is done before the window opens, and in none of its figures", async () => {
  let { outcome, open } = await runOnLate();
  // The pacer's thread may be up later than the warm-up is over.
  for (let again = 0; open[0] === 0 && again < 20; again++) ({ outcome, open } = await runOnLate());
  assert.ok(open[0] > 0, "the warm-up proposed");
  assert.equal(open[1], open[0], "nothing is under way when the window opens");
  assert.ok(
    outcome.warmup.ms > 1.1 * PLAN.warmupMs,
    `the wait is part of the warm-up: ${outcome.warmup.ms} ms`,
  );
  assert.ok(outcome.done <= (outcome.due ?? 0), `${outcome.done} done of ${outcome.due} due`);
});

test("answers that come while the event loop stands still after the window are heard", async () => {
  let index = 0;
  let late = false;
  const propose = () =>
    new Promise<Proposed>((resolve) => {
      const answer = () => resolve({ index: ++index, term: 1, result: undefined });
      if (late) setTimeout(() => setImmediate(answer), 50);
      else answer();
    });
  const { outcome } = await run({ propose, readBarrier: async () => {} }, { durationMs: 100 }, (open) => {
    late = open;
    // Longer than a load waits for an answer; an answer is heard after the timers, as one from a socket is.
    if (!open) setTimeout(() => setImmediate(() => hold(3200)));
  });
  assert.equal(outcome.unanswered, 0);
  assert.equal(outcome.latencies.total, outcome.due);
});

test("the window ends with a load that ends early", async () => {
  const { target } = stallable();
  const { outcome } = await run(target, { ackedMax: 300, readsPerWrite: 1, durationMs: 60_000 });
  assert.ok(Math.abs((outcome.due ?? 0) - dueWithin(outcome.windowMs, PLAN)) <= 1);
  assert.equal(outcome.latencies.total, outcome.due);
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
