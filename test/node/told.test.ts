// What a node tells: who leads, to code and to people; and which member waits for a snapshot.
import assert from "node:assert/strict";
import path from "node:path";
import { type TestContext, test } from "node:test";
import type { RaftNodeOptions } from "../../src/index.js";
import { type Link, MemoryNetwork } from "../../src/link/index.js";
import { encodeMetadata } from "../../src/node/metadata.js";
import { openWal } from "../../src/wal/index.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import { meta } from "../wal/helpers.js";
import { leaderOf, openNode, openNodes, WAIT_MS } from "./nodes.js";

test("a leader found and lost is told to code and to people", async (t) => {
  const events: number[] = [];
  const { network, running } = await openNodes(t, 3);
  running[0]!.node.on("leader", ({ leader }) => events.push(leader));
  const leaders = await Promise.all(running.map(({ node }) => node.whenLeader()));
  assert.ok(leaders.every((leader) => leader >= 1 && leader <= 3));
  await leaderOf(running);
  const first = running[0]!;
  assert.ok(first.lines.matching(/^info node \d.* leads term \d/).length > 0);
  network.partition([1], [2, 3]);
  await until("it is lost", WAIT_MS, () => events.at(-1) === 0);
  assert.ok(first.lines.matching(/^warn /).length > 0);
  const abort = AbortSignal.abort();
  await assert.rejects(first.node.whenLeader({ signal: abort }), { code: "RAFT_ABORTED" });
  network.heal();
  assert.ok((await first.node.whenLeader()) > 0);
});

test("a node that starts again tells of no election that did not begin", async (t) => {
  const dir = tempDir(t);
  const network = new MemoryNetwork();
  const open = (id: number) => openNode(t, dir, id, 2, { link: network.link(id) });
  const running = [await open(1), await open(2)];
  await leaderOf(running);
  for (const { node } of running) await node.close();
  // Alone it can begin no election: pre-votes raise no term.
  const { node, lines } = await openNode(t, dir, 1, 2, { link: new MemoryNetwork().link(1) });
  assert.ok(node.status().term > 0);
  await assert.rejects(node.readBarrier(), { code: "RAFT_NO_LEADER" });
  assert.deepEqual(lines.matching(/an election/), []);
});

test("who proposes to a leader that hands over is told so, and what to do", async (t) => {
  const { network, running } = await openNodes(t, 3);
  const { node } = await leaderOf(running);
  const { id } = node.status();
  const heir = (id % 3) + 1;
  network.partition(
    [heir],
    [1, 2, 3].filter((other) => other !== heir),
  );
  node.transferLeadership(heir);
  await assert.rejects(node.propose(Buffer.from("x")), {
    code: "RAFT_PROPOSAL_DROPPED",
    mayCommit: false,
    message: `node ${id} leads and takes no proposals now (it hands its leadership over): propose again soon`,
  });
});

/** One that cannot carry snapshots, as a caller's own may be. */
function plain(link: Link): Link {
  return {
    implementation: link.implementation,
    start: (handler) => link.start(handler),
    send: (group, messages) => link.send(group, messages),
    setPeer: (peer, address) => link.setPeer(peer, address),
    stats: () => link.stats(),
    close: () => link.close(),
  };
}

/** Members 1 and 2 have logs that begin behind a snapshot, the third an empty directory. */
async function lacking(
  t: TestContext,
  linkOf: (network: MemoryNetwork, id: number) => Link,
  why: string,
  moreOf: () => Partial<RaftNodeOptions> = () => ({}),
): Promise<void> {
  const dir = tempDir(t);
  const network = new MemoryNetwork();
  for (const id of [1, 2]) {
    const metadata = encodeMetadata(id, 1);
    const wal = await openWal({
      dir: path.join(dir, String(id), "wal"),
      metadata,
      writer: "inline-wasm",
      durability: "none",
    });
    await wal.saveSnapshot(meta(1000, 3, [1, 2, 3]), Buffer.from("state"));
    await wal.close();
  }
  const { running } = await openNodes(t, 3, (id) => ({ link: linkOf(network, id), ...moreOf() }), dir);
  const leader = await leaderOf(running);
  await leader.node.propose(Buffer.from("new"));
  await until("it waits", WAIT_MS, () => leader.node.status().waitingForSnapshot.length > 0);
  assert.deepEqual(leader.node.status().waitingForSnapshot, [3]);
  assert.ok(
    leader.lines.matching(new RegExp(`^warn node 3 needs entries .*: ${why}.*: it stays behind$`)).length > 0,
  );
  const third = running[2]!.node.status();
  assert.deepEqual([third.lastIndex, third.commit, third.fault], [0, 0, null]);
}

test("a member that needs a snapshot over a link that carries none waits, without harm, and the leader says which", (t) =>
  lacking(
    t,
    (network, id) => plain(network.link(id)),
    "option link cannot send snapshots",
    () => ({
      stateMachine: { apply: () => undefined, snapshot: () => Buffer.from("state"), restore: async () => {} },
    }),
  ));

test("the same where the state machine gives none", (t) =>
  lacking(t, (network, id) => network.link(id), "option stateMachine has no snapshot"));

test("a fake clock that is put in place after the opening is told, too", async (t) => {
  const { node, lines } = await openNode(t, tempDir(t), 1, 1, { link: new MemoryNetwork().link(1) });
  await node.whenLeader();
  assert.deepEqual(lines.matching(/fake clock/), []);
  t.mock.timers.enable({ apis: ["setInterval"] });
  await until(
    "it is told",
    WAIT_MS,
    () => lines.matching(/^warn .* fake clock: the node stands still/).length > 0,
  );
  t.mock.timers.reset();
});
