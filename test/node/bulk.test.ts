// Bulk over slow paths, between whole nodes: it deposes no leader, and is sent once.
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import type { RaftNodeOptions } from "../../src/node/api.js";
import { RaftNode } from "../../src/node/raft-node.js";
import { Relay } from "../link/relay.js";
import { Lines } from "./nodes.js";

const MB = 1_000_000;

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = net.createServer();
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/** Three nodes, of which each hears the others over paths of its own of so many bytes a second. */
async function slowCluster(t: TestContext, bytesPerSecond: number, more: Partial<RaftNodeOptions> = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "bulk-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const own = await freePorts(3);
  const ids = [1, 2, 3];
  /** Over which `to` hears `from`, by "from to". */
  const relays = new Map<string, Relay>();
  for (const from of ids) {
    for (const to of ids) {
      if (from === to) continue;
      relays.set(`${from} ${to}`, await new Relay(t, () => own[from - 1]!, bytesPerSecond).listen());
    }
  }
  const open = async (id: number): Promise<RaftNode> => {
    const peers: Record<number, string> = {};
    for (const other of ids) {
      const port = other === id ? own[id - 1] : relays.get(`${other} ${id}`)!.port;
      peers[other] = `127.0.0.1:${port}`;
    }
    const node = await RaftNode.open({
      id,
      dir: path.join(dir, String(id)),
      listen: peers[id]!,
      peers,
      secret: "k",
      stateMachine: { apply: () => undefined },
      writer: "inline-wasm",
      durability: "none",
      // Behind a relay a node that ends is closed before it was upgraded.
      logger: new Lines(),
      ...more,
    });
    t.after(() => node.close());
    return node;
  };
  const nodes = [await open(1), await open(2), await open(3)] as const;
  const leads = (node: RaftNode): boolean => node.status().state === "StateLeader";
  await until(
    () => nodes.some(leads) && nodes.every((n) => n.status().leader === nodes.find(leads)?.status().id),
  );
  const leader = nodes.find(leads)!;
  await leader.propose(new Uint8Array(1));
  return { leader, nodes, open, relays };
}

async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + 60_000;
  while (!holds()) {
    assert.ok(Date.now() < end, "it did not come about within a minute");
    await new Promise((done) => setTimeout(done, 10));
  }
}

test("a proposal that takes many election timeouts to send deposes nobody, and is sent once", async (t) => {
  // Elections after 2 to 3.8 s without a heartbeat; 6 MB take 6 s.
  const { leader, nodes, relays } = await slowCluster(t, MB, { tickMs: 200 });
  const { id, term, commit } = leader.status();
  await until(() => nodes.every((node) => node.status().applied >= commit));
  await leader.propose(new Uint8Array(6 * MB));
  await until(() => nodes.every((node) => node.status().applied === leader.status().commit));
  for (const node of nodes) assert.equal(node.status().term, term);
  for (const peer of [1, 2, 3].filter((other) => other !== id)) {
    const { through } = relays.get(`${id} ${peer}`)!;
    assert.ok(through < 7 * MB, `${through} bytes went to ${peer}`);
  }
});

test("a member that comes back over a slow path costs a byte for each byte of log", async (t) => {
  const { leader, nodes, open, relays } = await slowCluster(t, 10 * MB, { segmentBytes: 4 * MB });
  const away = nodes.find((node) => node !== leader)!;
  const { id } = away.status();
  await away.close();
  const data = new Uint8Array(100_000);
  for (let i = 0; i < 400; i += 40) {
    await Promise.all(Array.from({ length: 40 }, () => leader.propose(data)));
  }
  const relay = relays.get(`${leader.status().id} ${id}`)!;
  relay.through = 0;
  const back = await open(id);
  await until(() => back.status().applied >= leader.status().commit);
  const share = relay.through / (40 * MB);
  assert.ok(share > 1 && share < 1.1, `${share} bytes for each byte of log`);
});
