// Bulk over slow paths, between whole nodes: it deposes no leader, and is sent once.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { freePorts } from "../../bench/harness/ports.js";
import type { RaftNode } from "../../src/index.js";
import { until } from "../process/support.js";
import { Relay, slowly } from "../relay.js";
import { tempDir } from "../temp-dir.js";
import { type Given, leaderOf, openNode, type Running, WAIT_MS } from "./nodes.js";

const MB = 1_000_000;

/** Three nodes, of which each hears the others over paths of its own of so many bytes a second. */
async function slowCluster(t: TestContext, bytesPerSecond: number, more: Given = {}) {
  const dir = tempDir(t);
  const own = await freePorts(3);
  const ids = [1, 2, 3];
  /** Over which `to` hears `from`, and the bytes that came over it, by "from to". */
  const paths = new Map<string, { port: number; through: number }>();
  for (const from of ids) {
    for (const to of ids) {
      if (from === to) continue;
      const path = { port: 0, through: 0 };
      const back = slowly(bytesPerSecond, (bytes) => {
        path.through += bytes;
      });
      const relay = await Relay.listen(own[from - 1]!, undefined, back);
      t.after(() => relay.close());
      path.port = relay.port;
      paths.set(`${from} ${to}`, path);
    }
  }
  const open = (id: number): Promise<Running> => {
    const peers: Record<number, string> = {};
    for (const other of ids) {
      const port = other === id ? own[id - 1] : paths.get(`${other} ${id}`)!.port;
      peers[other] = `127.0.0.1:${port}`;
    }
    const real = { tickMs: undefined, segmentBytes: undefined };
    return openNode(t, dir, id, 3, { listen: peers[id], peers, ...real, ...more });
  };
  const running = [await open(1), await open(2), await open(3)];
  const { node: leader } = await leaderOf(running);
  await leader.propose(new Uint8Array(1));
  return { leader, nodes: running.map(({ node }) => node), open, paths };
}

test("a proposal that takes many election timeouts to send deposes nobody, and is sent once", async (t) => {
  // Elections after 2 to 3.8 s without a heartbeat; 6 MB take 6 s.
  const { leader, nodes, paths } = await slowCluster(t, MB, { tickMs: 200 });
  const { id, term, commit } = leader.status();
  await until("all have it", WAIT_MS, () => nodes.every((node) => node.status().applied >= commit));
  await leader.propose(new Uint8Array(6 * MB));
  await until("all have it", WAIT_MS, () =>
    nodes.every((node) => node.status().applied === leader.status().commit),
  );
  for (const node of nodes) assert.equal(node.status().term, term);
  for (const peer of [1, 2, 3].filter((other) => other !== id)) {
    const { through } = paths.get(`${id} ${peer}`)!;
    assert.ok(through < 7 * MB, `${through} bytes went to ${peer}`);
  }
});

/** A follower, closed, and so much committed since. */
async function missing(leader: RaftNode, nodes: readonly RaftNode[], bytes: number): Promise<RaftNode> {
  const away = nodes.find((node) => node !== leader)!;
  await away.close();
  const data = new Uint8Array(100_000);
  for (let left = bytes; left > 0; left -= 40 * data.length)
    await Promise.all(Array.from({ length: 40 }, () => leader.propose(data)));
  return away;
}

test("a member that comes back over a slow path costs a byte for each byte of log", async (t) => {
  const { leader, nodes, open, paths } = await slowCluster(t, 10 * MB, { segmentBytes: 4 * MB });
  const away = await missing(leader, nodes, 40 * MB);
  const { id } = away.status();
  const path = paths.get(`${leader.status().id} ${id}`)!;
  path.through = 0;
  const { node: back } = await open(id);
  await until("it has all", WAIT_MS, () => back.status().applied >= leader.status().commit);
  const share = path.through / (40 * MB);
  assert.ok(share > 1 && share < 1.1, `${share} bytes for each byte of log`);
});

test("what leaders of old had sent to a slow member is not in front of what it lacks when they lead again", async (t) => {
  const { leader, nodes, open, paths } = await slowCluster(t, 8 * MB, { segmentBytes: 4 * MB });
  const away = await missing(leader, nodes, 24 * MB);
  const { id } = away.status();
  const others = nodes.filter((node) => node !== away);
  const ways = others.map((other) => paths.get(`${other.status().id} ${id}`)!);
  for (const way of ways) way.through = 0;
  const { node: back } = await open(id);
  const heir = others.find((node) => node !== leader)!;
  for (const next of [heir, leader, heir, leader, heir, leader]) {
    // A window of 8 MiB is on its way by then, for which the path takes a second.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const now = others.find((other) => other !== next)!;
    now.transferLeadership(next.status().id);
    await until("the other leads", WAIT_MS, () => next.status().state === "StateLeader");
  }
  await until("it has all", WAIT_MS, () => back.status().applied >= leader.status().commit);
  const share = ways.reduce((sum, { through }) => sum + through, 0) / (24 * MB);
  assert.ok(share < 2, `${share} bytes for each byte of log`);
});
