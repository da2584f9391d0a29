// A node's figures as prom-client serves them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { Registry } from "prom-client";
import type { NodeMetrics, RaftNode } from "../../src/index.js";
import { registerMetrics } from "../../src/node/prometheus.js";
import { openNodes } from "./nodes.js";

async function openThree(t: TestContext): Promise<RaftNode[]> {
  const { running } = await openNodes(t, 3, () => ({ tickMs: 20 }));
  return running.map(({ node }) => node);
}

/** The value of each line that is no comment. */
function valuesOf(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(" ")),
      Number(line.slice(line.lastIndexOf(" ") + 1)),
    ]),
  );
}

test("prom-client serves what status() and metrics have, and each member's progress on the leader alone", async (t) => {
  const nodes = await openThree(t);
  const leader = nodes[(await nodes[0]!.whenLeader()) - 1]!;
  const { index } = await leader.propose(Buffer.from("a"));
  const other = nodes.find((node) => node !== leader)!;
  await other.readBarrier();
  const own = new Registry();
  registerMetrics(own, leader);
  const scraped = valuesOf(await own.metrics());
  const { id, term, progress } = leader.status();
  assert.equal(scraped.get(`raftmark_term{node="${id}"}`), term);
  assert.equal(scraped.get(`raftmark_is_leader{node="${id}"}`), 1);
  assert.equal(scraped.get(`raftmark_leader{node="${id}"}`), id);
  assert.equal(scraped.get(`raftmark_applied_index{node="${id}"}`), index);
  assert.equal(scraped.get(`raftmark_apply_lag_entries{node="${id}"}`), 0);
  assert.equal(scraped.get(`raftmark_proposals_total{node="${id}"}`), 1);
  assert.ok(scraped.get(`raftmark_wal_entries_total{node="${id}"}`)! >= 2);
  assert.deepEqual(
    progress.map((member) => member.id),
    [1, 2, 3],
  );
  for (const member of [1, 2, 3])
    assert.ok(scraped.get(`raftmark_member_match_index{node="${id}",member="${member}"}`)! > 0);
  assert.equal(scraped.get(`raftmark_member_match_index{node="${id}",member="${id}"}`), index);
  assert.ok([...scraped.values()].every(Number.isFinite));
  // It asks anew at each scrape.
  await leader.propose(Buffer.from("b"));
  assert.equal(valuesOf(await own.metrics()).get(`raftmark_proposals_total{node="${id}"}`), 2);
  assert.equal(scraped.get(`raftmark_state{node="${id}",state="StateLeader"}`), 1);
  assert.equal(scraped.get(`raftmark_state{node="${id}",state="StateFollower"}`), 0);
  assert.equal(scraped.get(`raftmark_state{node="${id}",state="StateRemoved"}`), 0);
  const replicates = `raftmark_member_state{node="${id}",member="${other.status().id}",state="StateReplicate"}`;
  assert.equal(scraped.get(replicates), 1);
  assert.ok(scraped.get(`raftmark_elections_won_total{node="${id}"}`)! >= 1);
  const toOther = `raftmark_peer_sent_bytes_total{node="${id}",member="${other.status().id}"}`;
  assert.ok(scraped.get(toOther)! > 0);
  const others = new Registry();
  registerMetrics(others, other);
  const follows = await others.metrics();
  assert.doesNotMatch(follows, /raftmark_member_match_index\{/);
  assert.match(follows, /# TYPE raftmark_member_match_index gauge/);
});

/** A node that stands still, whose every counter has a value of its own. */
function still(
  node: RaftNode,
): { readonly metrics: NodeMetrics; readonly numbers: Map<string, number> } & RaftNode {
  const numbers = new Map<string, number>();
  const metrics = Object.fromEntries(
    Object.entries(node.metrics).map(([name, value]) => {
      if (typeof value !== "number") return [name, value];
      numbers.set(name, 1_000_003 + numbers.size);
      return [name, numbers.get(name)];
    }),
  );
  const walSyncSeconds = { bounds: [0.5, 1], counts: [3, 0, 2], sum: 7.5 };
  const status = node.status();
  return { status: () => status, metrics: { ...metrics, walSyncSeconds }, numbers } as never;
}

test("every counter of a node is served, under a name and with a help text as Prometheus wants them", async (t) => {
  const nodes = await openThree(t);
  await nodes[0]!.whenLeader();
  // prom-client's types leave out that it takes one.
  const Typed = Registry as unknown as new (type: string) => Registry;
  for (const type of [Registry.PROMETHEUS_CONTENT_TYPE, Registry.OPENMETRICS_CONTENT_TYPE]) {
    const register = new Typed(type);
    const node = still(nodes[0]!);
    registerMetrics(register, node);
    const text = await register.metrics();
    const values = new Set(valuesOf(text).values());
    // "applied" is no counter for Prometheus: status() has it as the applied index.
    for (const [name, value] of node.numbers) assert.equal(values.has(value), name !== "applied", name);
  }
  const register = new Registry();
  registerMetrics(register, nodes[0]!);
  const metrics = await register.getMetricsAsJSON();
  assert.ok(metrics.length > 60);
  for (const { name, help, type } of metrics) {
    assert.match(name, /^raftmark_[a-z][a-z0-9]*(_[a-z0-9]+)*$/);
    assert.match(help, /^[A-Z1].*\.$/, name);
    // promtool check metrics: counters, and they alone, end so; units are base units.
    assert.equal(name.endsWith("_total"), String(type) === "counter", name);
    assert.doesNotMatch(name, /_(ms|us|kb|mb|milliseconds)(_|$)/);
    assert.doesNotMatch(name, /_(count|sum|bucket|info)$/);
  }
});

test("the histogram of the log is cumulative, with its sum and count", async (t) => {
  const nodes = await openThree(t);
  const register = new Registry();
  registerMetrics(register, still(nodes[0]!));
  const text = await register.getSingleMetricAsString("raftmark_wal_sync_duration_seconds");
  assert.match(text, /# TYPE raftmark_wal_sync_duration_seconds histogram/);
  assert.deepEqual(
    [...valuesOf(text)].map(([name, value]) => [
      name.slice("raftmark_wal_sync_duration_seconds".length),
      value,
    ]),
    [
      ['_bucket{node="1",le="0.5"}', 3],
      ['_bucket{node="1",le="1"}', 3],
      ['_bucket{node="1",le="+Inf"}', 5],
      ['_sum{node="1"}', 7.5],
      ['_count{node="1"}', 5],
    ],
  );
});

test("a registry serves all nodes that are in it, until they are closed or taken out", async (t) => {
  const nodes = await openThree(t);
  const register = new Registry();
  const served = async (): Promise<string[]> =>
    [...(await register.getSingleMetricAsString("raftmark_term")).matchAll(/node="(\d)"/g)].map(
      ([, id]) => id!,
    );
  const [one, two, three] = nodes as [RaftNode, RaftNode, RaftNode];
  const unregister = [one, two, three, three].map((node) => registerMetrics(register, node));
  assert.deepEqual(await served(), ["1", "2", "3"]);
  assert.equal(valuesOf(await register.metrics()).get('raftmark_lost_logs{node="2"}'), 0);
  unregister[1]!();
  assert.deepEqual(await served(), ["1", "3"]);
  // What is read of a closed one is no figure of a node that runs; opened again, it is there again.
  await three.close({ timeoutMs: 0 });
  registerMetrics(register, three);
  assert.deepEqual(await served(), ["1"]);
  registerMetrics(register, still(two));
  unregister[1]!();
  assert.deepEqual(await served(), ["1", "2"]);
  assert.throws(() => registerMetrics(register, two), { code: "RAFT_BAD_OPTION", message: /another node 2/ });
  register.clear();
  registerMetrics(register, two);
  assert.deepEqual(await served(), ["2"]);
});

test("swapped arguments are refused with what they must be", async (t) => {
  const [node] = await openThree(t);
  const code = "RAFT_BAD_OPTION";
  const swapped = () => registerMetrics(node as never, new Registry() as never);
  assert.throws(swapped, { code, message: /register must be prom-client's Registry, not a RaftNode/ });
  assert.throws(() => registerMetrics(new Registry(), undefined as never), {
    code,
    message: /a RaftNode, not un/,
  });
});

test("every figure is in docs/operate.md", async (t) => {
  const [node] = await openThree(t);
  const register = new Registry();
  registerMetrics(register, node!);
  const text = readFileSync(new URL("../../../docs/operate.md", import.meta.url), "utf8");
  const names = register.getMetricsAsArray().map(({ name }) => name.replace("raftmark_", ""));
  assert.ok(names.length > 50);
  assert.deepEqual(
    names.filter((name) => !text.includes(`\`${name}\``) && !text.includes(`\`${name}{`)),
    [],
  );
});
