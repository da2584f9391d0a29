// The bench's own share of a run's CPU: what the null run weighed, by what the run took.
import assert from "node:assert/strict";
import { test } from "node:test";
import { weighHash } from "../../bench/harness/weigh-hash.js";
import { ownShare, ownWeightText } from "../../bench/report/own-weight.js";
import { cpuUsPerCommit } from "../../bench/stats/rows.js";
import { sampleResult } from "./sample-result.js";

const NULL_RUN = { proposalsPerS: 2e6, p50Us: 12, p99Us: 40, generatorUs: 0.6, hashUs: 0.1 };
const result = sampleResult([
  { settings: { writer: "inline-js" }, proposalsPerS: 1000 },
  { settings: { writer: "pool-wasm" }, proposalsPerS: 50_000 },
]);

test("generator and every node's hash, by the CPU of a commit; a client's load is no node's", () => {
  const run = result.runs[1]!;
  const commitUs = cpuUsPerCommit([run]);
  assert.ok(Math.abs(ownShare(run, NULL_RUN)! - 0.9 / commitUs) < 1e-12);
  const remote = { ...run, load: { ...run.load, from: "client" as const } };
  assert.ok(Math.abs(ownShare(remote, NULL_RUN)! - 0.3 / commitUs) < 1e-12);
});

test("the row with most of it is told; nothing where it was not weighed", () => {
  const percent = (ownShare(result.runs[1]!, NULL_RUN)! * 100).toFixed(1);
  assert.equal(
    ownWeightText({ ...result, nullRun: NULL_RUN }),
    `the bench itself: ${percent} % of the CPU (the row with most): load, journal, state hash`,
  );
  assert.equal(ownWeightText({ ...result, nullRun: null }), "");
  assert.equal(ownWeightText({ ...result, nullRun: { ...NULL_RUN, generatorUs: null, hashUs: null } }), "");
  assert.equal(ownShare({ ...result.runs[0]!, done: 0, nodes: [] }, NULL_RUN), null);
});

test("the state hash has a weight, whatever the size of an entry", () => {
  for (const entryBytes of [16, 256, 1 << 20]) {
    const us = weighHash(entryBytes, 5);
    assert.ok(us > 0 && us < 100, `${entryBytes} B: ${us} µs`);
  }
});
