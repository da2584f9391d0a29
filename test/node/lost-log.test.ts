// Members whose directories were emptied: refused by who knew their logs, and both sides say so.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { MemoryNetwork } from "../../src/link/index.js";
import { LOG_ID_BYTES } from "../../src/node/metadata.js";
import { PeerLogs } from "../../src/node/peer-logs.js";
import type { RaftNode } from "../../src/node/raft-node.js";
import { Teller } from "../../src/node/teller.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import { newestSegment } from "../wal/helpers.js";
import { allApplied, leaderOf, openNode, type Running, WAIT_MS } from "./nodes.js";

/** Three members with an entry each; then those of `wiped` start anew in an empty directory. */
async function wiping(t: TestContext, wiped: readonly number[]): Promise<Map<number, Running>> {
  const network = new MemoryNetwork();
  const dir = tempDir(t);
  const all = new Map<number, Running>();
  const open = async (id: number) => all.set(id, await openNode(t, dir, id, 3, { link: network.link(id) }));
  for (const id of [1, 2, 3]) await open(id);
  await (await leaderOf([...all.values()])).node.propose(Buffer.from("kept"));
  await allApplied([...all.values()], "kept");
  for (const id of wiped) await all.get(id)!.node.close();
  for (const id of wiped) fs.rmSync(path.join(dir, String(id)), { recursive: true });
  for (const id of wiped) await open(id);
  return all;
}

/** Who leads, with node 3 among the followers. */
async function otherLeader(all: ReadonlyMap<number, Running>): Promise<RaftNode> {
  const members = [...all.values()];
  for (;;) {
    const { node } = await leaderOf(members);
    if (node.status().id !== 3) return node;
    node.transferLeadership(1);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("an emptied member is refused by both others, says so itself, and takes part in nothing", async (t) => {
  const all = await wiping(t, [3]);
  const { node, lines, machine } = all.get(3)!;
  await until("it is told", WAIT_MS, () => node.status().lostLogs.some((lost) => lost.node === 3));
  assert.ok(
    lines.matching(/^error RAFT_LOG_LOST: node \d refuses this node.* this is a second one/).length > 0,
  );
  const rest = [all.get(1)!, all.get(2)!];
  for (const other of rest) {
    await until("it says so", WAIT_MS, () => other.node.status().lostLogs.some((lost) => lost.node === 3));
    assert.ok(other.lines.matching(/^error RAFT_LOG_LOST: other log: node 3 had log/).length > 0);
  }
  await (await leaderOf(rest)).node.propose(Buffer.from("after"));
  await allApplied(rest, "after");
  assert.deepEqual([node.status().term, node.status().fault, machine.log], [0, null, []]);
});

test("an emptied member that meets only a newcomer, added while it was away, is refused by it, too", async (t) => {
  const network = new MemoryNetwork();
  const dir = tempDir(t);
  const all = new Map<number, Running>();
  const open = async (id: number, more = {}) =>
    all.set(id, await openNode(t, dir, id, 4, { link: network.link(id), ...more }));
  const peers = { 1: "127.0.0.1:7001", 2: "127.0.0.1:7002", 3: "127.0.0.1:7003" };
  for (const id of [1, 2, 3]) await open(id, { peers });
  const leader = await otherLeader(all);
  await leader.propose(Buffer.from("kept"));
  await allApplied([...all.values()], "kept");
  await all.get(3)!.node.close();
  await open(4, { initialClusterState: "existing" });
  await leader.changeMembership({ add: [{ id: 4, address: "127.0.0.1:7004", learner: true }] });
  await leader.propose(Buffer.from("later"));
  await allApplied([all.get(4)!], "later");
  for (const id of [1, 2, 4]) await all.get(id)!.node.close();
  fs.rmSync(path.join(dir, "3"), { recursive: true });
  await open(3);
  await open(4);
  for (const id of [3, 4]) {
    const { node } = all.get(id)!;
    await until("it is told", WAIT_MS, () => node.status().lostLogs.some((lost) => lost.node === 3));
  }
});

test("two emptied members of three make no group of their own: nothing is lost without a word", async (t) => {
  const all = await wiping(t, [2, 3]);
  for (const id of [2, 3]) {
    const { node } = all.get(id)!;
    await until("it is told", WAIT_MS, () => node.status().lostLogs.some((lost) => lost.node === id));
    node.campaign();
  }
  // Several election timeouts.
  await new Promise((resolve) => setTimeout(resolve, 3000));
  for (const id of [2, 3]) {
    assert.equal(all.get(id)!.node.status().commit, 0);
    assert.equal(all.get(id)!.node.status().leader, 0);
  }
  assert.deepEqual(all.get(1)!.machine.log, ["kept"]);
});

test("a member with a log of old is refused by the leader, takes part in nothing, and so it stays when all start again", async (t) => {
  const network = new MemoryNetwork();
  const dir = tempDir(t);
  const all = new Map<number, Running>();
  const own = path.join(dir, "3");
  const open = async (id: number) => all.set(id, await openNode(t, dir, id, 3, { link: network.link(id) }));
  const close = (id: number) => all.get(id)!.node.close();
  const lost = async (by: number) => {
    const { node } = all.get(by)!;
    await until("it is told", WAIT_MS, () => node.status().lostLogs.some((one) => one.node === 3));
    return node.status().lostLogs.find((one) => one.node === 3)!.reason;
  };
  for (const id of [1, 2, 3]) await open(id);
  await (await leaderOf([...all.values()])).node.propose(Buffer.from("old"));
  await allApplied([...all.values()], "old");
  await close(3);
  fs.cpSync(own, `${own}.old`, { recursive: true });
  await open(3);
  await allApplied([all.get(3)!], "old");
  const leader = await otherLeader(all);
  await leader.propose(Buffer.from("new"));
  await allApplied([...all.values()], "new");
  const leads = leader.status().id;
  await close(3);
  fs.rmSync(own, { recursive: true });
  fs.cpSync(`${own}.old`, own, { recursive: true });
  await open(3);
  assert.match(await lost(leads), /^shorter log: node 3 acknowledged entries up to \d+, .* ends at \d+/);
  assert.match(await lost(3), /^shorter log/);
  // Nobody who saw it runs any more.
  for (const id of [3, 2, 1]) await close(id);
  await open(3);
  assert.match(await lost(3), /^shorter log: .*peer-logs\.json remembers it/);
  const before = all.get(3)!.node.status();
  // And with a member that knows nothing of it, and as much of the log: nobody is elected by these two.
  const other = leads === 1 ? 2 : 1;
  await open(other);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  assert.equal(all.get(other)!.node.status().leader, 0);
  assert.equal(all.get(3)!.node.status().term, before.term);
  // The same old copy once more, without what it remembered: who refused it does.
  await close(3);
  fs.rmSync(own, { recursive: true });
  fs.renameSync(`${own}.old`, own);
  await open(leads);
  await open(3);
  assert.match(await lost(leads), /^shorter log/);
  await (await leaderOf([all.get(leads)!, all.get(other)!])).node.propose(Buffer.from("after"));
  await allApplied([all.get(leads)!, all.get(other)!], "after");
});

test("a member's log of old is known to who led when it was acknowledged, though another leads now", async (t) => {
  const network = new MemoryNetwork();
  const dir = tempDir(t);
  const all = new Map<number, Running>();
  const own = path.join(dir, "3");
  const open = async (id: number) => all.set(id, await openNode(t, dir, id, 3, { link: network.link(id) }));
  for (const id of [1, 2]) await open(id);
  await (await leaderOf([...all.values()])).node.propose(Buffer.from("old"));
  await open(3);
  await allApplied([...all.values()], "old");
  await all.get(3)!.node.close();
  fs.cpSync(own, `${own}.old`, { recursive: true });
  await open(3);
  await allApplied([all.get(3)!], "old");
  const leads = (await otherLeader(all)).status().id;
  const other = leads === 1 ? 2 : 1;
  await all.get(leads)!.node.propose(Buffer.from("new"));
  await allApplied([...all.values()], "new");
  // What the leader notes with each tick is what it knows when its term ends.
  await new Promise((resolve) => setTimeout(resolve, 200));
  await all.get(3)!.node.close();
  all.get(leads)!.node.transferLeadership(other);
  await until("the other leads", WAIT_MS, () => all.get(other)!.node.status().state === "StateLeader");
  fs.rmSync(own, { recursive: true });
  fs.renameSync(`${own}.old`, own);
  await open(3);
  const { node } = all.get(3)!;
  await until("it is told", WAIT_MS, () => node.status().lostLogs.some((one) => one.node === 3));
  assert.match(node.status().lostLogs[0].reason, /^shorter log: node 3 acknowledged entries up to \d+/);
});

test("zeros to the end of the newest segment look like a shorter log: the leader knows better", async (t) => {
  const network = new MemoryNetwork();
  const dir = tempDir(t);
  const all = new Map<number, Running>();
  const open = async (id: number) => all.set(id, await openNode(t, dir, id, 3, { link: network.link(id) }));
  for (const id of [1, 2, 3]) await open(id);
  const leader = await otherLeader(all);
  const texts = Array.from({ length: 20 }, (_, i) => `entry ${i}`);
  for (const text of texts) await leader.propose(Buffer.from(text));
  await allApplied([...all.values()], "entry 19");
  await all.get(3)!.node.close();
  const segment = newestSegment(path.join(dir, "3", "wal"));
  const bytes = fs.readFileSync(segment);
  const from = bytes.lastIndexOf("entry 15");
  assert.ok(from > 0);
  // From within a record on, as from its beginning on, is what a torn write leaves.
  fs.writeFileSync(segment, bytes.fill(0, from));
  await open(3);
  const { node, machine } = all.get(3)!;
  assert.ok(node.recovered.torn !== null && node.recovered.lastIndex < leader.status().commit);
  for (const each of [node, leader]) {
    await until("it is told", WAIT_MS, () => each.status().lostLogs.some((lost) => lost.node === 3));
    assert.match(each.status().lostLogs[0]!.reason, /^shorter log: node 3 acknowledged entries up to/);
  }
  assert.ok(!machine.log.includes("entry 15"));
});

test("a process that was here before is met again as long as its log is now, not as it was opened", async (t) => {
  const dir = tempDir(t);
  const logId = new Uint8Array(LOG_ID_BYTES).fill(7);
  const log = { last: 8 };
  const open = (id: number, name: string) => {
    const teller = new Teller(id, { debug() {}, info() {}, warn() {}, error() {} });
    const file = path.join(dir, name);
    const options = { id, logId, lastIndex: () => log.last, promiseMs: 900, file, synced: false, teller };
    return PeerLogs.open(options);
  };
  const leader = await open(1, "1.json");
  const original = await open(3, "3.json");
  assert.equal(leader.meet(3, original.shown), null);
  log.last = 9;
  leader.hasReached(3, 9);
  const copy = await open(3, "copy.json");
  assert.equal(leader.meet(3, copy.shown), null);
  assert.equal(leader.meet(3, original.shown), null);
  log.last = 8;
  assert.match(
    leader.meet(3, (await open(3, "short.json")).shown)!,
    /shorter log: node 3 acknowledged .* up to 9/,
  );
  for (const each of [leader, original, copy]) await each.settled();
});
