// A node's figures as prom-client serves them.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Registry } from "prom-client";
import { MemoryNetwork } from "../../src/link/index.js";
import { registerMetrics } from "../../src/node/prometheus.js";
import { RaftNode } from "../../src/node/raft-node.js";

async function openThree(t: TestContext): Promise<RaftNode[]> {
  const dir = mkdtempSync(join(tmpdir(), "raftmark-prom-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const network = new MemoryNetwork();
  const peers = { 1: "127.0.0.1:7001", 2: "127.0.0.1:7002", 3: "127.0.0.1:7003" };
  const nodes: RaftNode[] = [];
  for (const id of [1, 2, 3] as const) {
    const node = await RaftNode.open({
      id,
      dir: join(dir, String(id)),
      listen: peers[id],
      peers,
      secret: "of the test, long enough",
      stateMachine: { apply: () => undefined },
      writer: "inline-js",
      durability: "none",
      tickMs: 20,
      link: network.link(id),
    });
    t.after(() => node.close({ timeoutMs: 0 }));
    nodes.push(node);
  }
  return nodes;
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
  assert.throws(() => registerMetrics(own, other), /already/);
  const others = new Registry();
  registerMetrics(others, other);
  const follows = await others.metrics();
  assert.doesNotMatch(follows, /raftmark_member_match_index\{/);
  assert.match(follows, /# TYPE raftmark_member_match_index gauge/);
});
