// What status() and metrics show of a running group: elections, traffic by peer, snapshots on their way.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryNetwork } from "../../src/link/index.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import { allApplied, leaderOf, openNode, openNodes, type Running, WAIT_MS } from "./nodes.js";
import { SlotMachine } from "./snapshot-machine.js";

const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

test("elections are counted where they are run, and leaders where they are known", async (t) => {
  const { network, running } = await openNodes(t, 3);
  const first = await leaderOf(running);
  const sum = (of: (running: Running) => number): number => total(running.map(of));
  const { metrics } = first.node;
  assert.ok(metrics.electionsWon >= 1);
  assert.ok(metrics.electionsStarted >= 1 && metrics.preVotesStarted >= metrics.electionsStarted);
  for (const { node } of running) {
    const { electionsStarted, electionsWon, electionsLost } = node.metrics;
    assert.ok(electionsStarted - electionsWon - electionsLost <= 1, "under way, won or lost");
    // A turn later than status() has it.
    await until("it is counted", WAIT_MS, () => node.metrics.leaderChanges >= 1);
  }
  const won = sum(({ node }) => node.metrics.electionsWon);
  assert.ok(won >= 1);
  // Cut off, it is followed by another, who wins; the first one sees that when it is back.
  const { id } = first.node.status();
  const others = running.filter((one) => one !== first);
  network.partition(
    [id],
    others.map(({ node }) => node.status().id),
  );
  const changes = others.map(({ node }) => node.metrics.leaderChanges);
  const second = await leaderOf(others);
  assert.ok(second.node.metrics.electionsWon >= 1);
  assert.ok(sum(({ node }) => node.metrics.electionsWon) > won);
  for (const [i, { node }] of others.entries())
    await until("it is counted", WAIT_MS, () => node.metrics.leaderChanges > changes[i]!);
  // With pre-votes it campaigns in vain without raising its term: no election is begun.
  const { preVotesStarted, electionsStarted } = first.node.metrics;
  await until("it asks", WAIT_MS, () => first.node.metrics.preVotesStarted > preVotesStarted + 1);
  assert.equal(first.node.metrics.electionsStarted, electionsStarted);
  network.heal();
  await until("it follows", WAIT_MS, () => first.node.status().leader === second.node.status().id);
});

test("what goes to a peer and comes from it adds up to the whole, and drops are told by peer", async (t) => {
  const { network, running } = await openNodes(t, 3);
  const leader = await leaderOf(running);
  const { id } = leader.node.status();
  const [away, other] = running.filter((one) => one !== leader).map(({ node }) => node.status().id);
  network.partition([id], [away!]);
  await leader.node.propose(Buffer.alloc(5000));
  await until("drops", WAIT_MS, () =>
    leader.node.metrics.peers.some((peer) => peer.id === away && peer.framesDropped > 0),
  );
  const { peers, bytesSent, bytesReceived, framesSent, framesDropped } = leader.node.metrics;
  assert.deepEqual(
    peers.map((peer) => [peer.id, peer.connected]),
    [
      [away!, false],
      [other!, true],
    ].sort((a, b) => Number(a[0]) - Number(b[0])),
  );
  assert.equal(total(peers.map((peer) => peer.bytesSent)), bytesSent);
  assert.equal(total(peers.map((peer) => peer.bytesReceived)), bytesReceived);
  assert.equal(total(peers.map((peer) => peer.framesSent)), framesSent);
  assert.equal(total(peers.map((peer) => peer.framesDropped)), framesDropped);
  assert.ok(peers.find((peer) => peer.id === other)!.bytesSent > 5000);
  const { progress } = leader.node.status();
  assert.ok(progress.every((member) => member.inflightBytes >= 0));
  // Not heard for an election timeout.
  await until("inactive", WAIT_MS, () =>
    leader.node.status().progress.some((member) => member.id === away && !member.recentActive),
  );
  assert.equal(leader.node.status().progress.find((member) => member.id === other)!.state, "StateReplicate");
  network.heal();
});

test("a snapshot is seen while it is taken, sent and received", async (t) => {
  const dir = tempDir(t);
  const network = new MemoryNetwork();
  const machines = [1, 2, 3].map(() => new SlotMachine(8, 600 << 10));
  const open = (id: number) =>
    openNode(t, dir, id, 3, {
      link: network.link(id),
      stateMachine: machines[id - 1]!,
      segmentBytes: 64 << 10,
      snapshotEveryBytes: 1 << 30,
      snapshotCatchUpBytes: 0,
      snapshotSendBytesPerS: 1 << 20,
    });
  const running = [await open(1), await open(2)];
  const leader = await leaderOf(running);
  const machine = machines[leader.node.status().id - 1]!;
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  for (let i = 0; i < 80; i++) await leader.node.propose(Buffer.alloc(3000, i));
  machine.gate = () => held;
  assert.equal(leader.node.status().takingSnapshot, null);
  const taken = leader.node.takeSnapshot();
  await until("it is being taken", WAIT_MS, () => leader.node.status().takingSnapshot !== null);
  assert.equal(leader.node.status().takingSnapshot!.index, leader.node.status().applied);
  release();
  const { index } = await taken;
  assert.equal(leader.node.status().takingSnapshot, null);
  machine.gate = () => {};
  // What is released is what the older of two does not need.
  await leader.node.propose(Buffer.alloc(3000));
  await leader.node.takeSnapshot();
  await until("the log begins later", WAIT_MS, () => leader.node.status().log.firstIndex > 1);
  const member = await open(3);
  const sending = () => leader.node.status().sendingSnapshots;
  await until("it is on its way", WAIT_MS, () => (sending()[0]?.bytes ?? 0) > 0);
  const [{ to, index: sent, bytes, fileBytes }] = sending() as [ReturnType<typeof sending>[0]];
  assert.equal(to, 3);
  assert.ok(sent > index && bytes <= fileBytes && fileBytes > 600 << 10);
  assert.equal(member.node.status().receivingSnapshot!.index, sent);
  await until("it has come", WAIT_MS, () => member.node.metrics.snapshotsReceived === 1);
  await until("it is over", WAIT_MS, () => sending().length === 0);
  await until("the same", WAIT_MS, () => machines[2]!.hash === machine.hash);
});

test("the log's durable writes are in the histogram, and the ring is empty when all is written", async (t) => {
  const { running } = await openNodes(t, 2, () => ({ durability: "fdatasync" }));
  const leader = await leaderOf(running);
  await leader.node.propose(Buffer.from("last"));
  await allApplied(running, "last");
  const { walSyncSeconds, walSyncs } = leader.node.metrics;
  assert.equal(total(walSyncSeconds.counts), walSyncs);
  assert.ok(walSyncs > 0 && walSyncSeconds.sum > 0);
  const { ringBytes, ringBytesMax, backlogBytes } = leader.node.status().log;
  await until("the ring is empty", WAIT_MS, () => leader.node.status().log.ringBytes === 0);
  assert.ok(ringBytes <= ringBytesMax && ringBytesMax > 0 && backlogBytes === 0);
});
