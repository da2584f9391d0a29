// What goes wrong beside a load is told once, as what it was: the load that is under way then ends without a word.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_SETTINGS } from "../../bench/harness/axes.js";
import { BenchError } from "../../bench/harness/bench-error.js";
import type { Cluster } from "../../bench/harness/cluster.js";
import { type VariantPlan, VariantRun } from "../../bench/harness/run-variant.js";

/** A cluster of one node, whose load fails when the others see to it that its process ends. */
function clusterWhose(load: Promise<never>): Cluster {
  const node = { id: 1, call: () => load };
  const stub = {
    ids: [1],
    alive: [],
    slowNode: 0,
    traceEvery: 0,
    waitForLeader: async () => 1,
    samples: async () => [],
    node: () => node,
    orFailure: <T>(wait: Promise<T>) => wait,
  };
  return stub as unknown as Cluster;
}

test("a node of an idle cluster that ended: the load beside it is given up, and its end is no second fault", async () => {
  let end = (_: Error) => {};
  const load = new Promise<never>((_, reject) => {
    end = reject;
  });
  const fault = new BenchError("failed", "the process of node 2 was killed");
  const idle = [{ samples: () => Promise.reject(fault) }] as unknown as Cluster[];
  const variant = { position: 0, settings: DEFAULT_SETTINGS };
  const silent = { onPhase() {}, onProgress() {} };
  const plan: VariantPlan = {
    ...silent,
    ...{ variant, sequence: 0, round: 0, warmupMs: 0, primes: false, seed: 1, idle: () => idle },
  };
  const run = new VariantRun(clusterWhose(load), plan);
  await assert.rejects(run.visit(200, 1, "acked"), fault);
  end(new Error("the process of node 1 ended"));
  await new Promise((resolve) => setImmediate(resolve)); // Unheard, it would end this test.
});
