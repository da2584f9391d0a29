// Two revisions taking turns, without a bench: what is kept of what is done, and what ended it. Benches are made up.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AlternatePlan, alternate, type RunBench } from "../../bench/compare/alternate.js";
import { BenchError } from "../../bench/harness/bench-error.js";
import { sampleResult } from "./sample-result.js";

const tree = { revision: "main", commit: "0123456789", dirty: false, dir: "/t", dependencies: "linked" };
const plan: AlternatePlan = {
  base: tree,
  head: tree,
  rounds: 4,
  seed: 1,
  benchWords: [],
  command: "raftmark compare main worktree",
  dir: "/none",
};

/** Benches of which the one in place `nth` ends by `fail`. */
function benches(nth: number, fail: () => never): RunBench {
  let runs = 0;
  return async () => {
    if (++runs === nth) fail();
    return { ...sampleResult([{ settings: {}, proposalsPerS: 1000 }]), verdict: "" };
  };
}

const rounds = (made: Awaited<ReturnType<typeof alternate>>) =>
  (["base", "head"] as const).map((name) => made.results?.[name].runs.map(({ round }) => round));

test("a bench that fails leaves the rounds before it, and is told", async () => {
  const fault = new BenchError("failed", "the bench of main ended with code 1.");
  const dies = benches(6, () => {
    throw fault;
  });
  const made = await alternate(plan, new AbortController().signal, () => {}, dies);
  assert.deepEqual(rounds(made), [
    [0, 1],
    [0, 1],
  ]);
  assert.equal(made.results?.base.interrupted, true);
  assert.equal(made.ended, fault);
  const first = benches(2, () => {
    throw fault;
  });
  const none = await alternate(plan, new AbortController().signal, () => {}, first);
  assert.deepEqual(none, { results: null, ended: fault });
});

test("a signal leaves them with its own reason; without one all are there", async () => {
  const controller = new AbortController();
  const why = new BenchError("interrupted", "interrupted.");
  const stopped = benches(8, () => {
    controller.abort(why);
    throw new Error("the child was killed");
  });
  const made = await alternate(plan, controller.signal, () => {}, stopped);
  assert.deepEqual(rounds(made)[0], [0, 1, 2]);
  assert.equal(made.ended, why);
  const never = benches(0, () => assert.fail("nothing fails"));
  const whole = await alternate(plan, new AbortController().signal, () => {}, never);
  assert.deepEqual(rounds(whole)[1], [0, 1, 2, 3]);
  assert.deepEqual([whole.ended, whole.results?.head.interrupted], [null, false]);
});
