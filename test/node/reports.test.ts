// Faults that users of other engines reported, against RaftNode as a whole: each test names the report.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { RaftmarkError } from "../../src/index.js";
import { type Link, MemoryNetwork } from "../../src/link/index.js";
import {
  type Message,
  MsgApp,
  MsgAppResp,
  MsgHeartbeat,
  MsgHeartbeatResp,
  MsgPreVote,
  MsgReadIndex,
  MsgVote,
} from "../../src/raft/index.js";
import { until } from "../process/support.js";
import { Hands } from "./hands.js";
import { type Given, openNodes, type Running, WAIT_MS } from "./nodes.js";

const TICK_MS = 10;
const ELECTION_TICKS = 30;
/** Whoever does not tick, as a process that stands still. */
const STANDS_STILL_MS = 60_000;

class Group {
  readonly members: readonly Running[];

  constructor(members: readonly Running[]) {
    this.members = members;
  }

  get(id: number): Running {
    return this.members[id - 1];
  }

  leads(id: number): boolean {
    return this.get(id).node.status().state === "StateLeader";
  }

  async lead(id: number): Promise<void> {
    await until(`${id} leads`, WAIT_MS, () => {
      if (!this.leads(id)) this.get(id).node.campaign();
      return this.leads(id);
    });
  }

  allKnow(id: number): boolean {
    return this.members.every(({ node }) => node.status().leader === id);
  }
}

async function startGroup(
  t: TestContext,
  size: number,
  linkOf: (id: number) => Link,
  moreOf: (id: number) => Given = () => ({}),
): Promise<Group> {
  const own = { tickMs: TICK_MS, electionTicks: ELECTION_TICKS };
  const { running } = await openNodes(t, size, (id) => ({
    link: linkOf(id),
    seed: id,
    ...own,
    ...moreOf(id),
  }));
  return new Group(running);
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text));
}

test("a deposed leader answers no read by late answers to other requests (etcd#20418, tikv#4764)", async (t) => {
  const hands = new Hands();
  const group = await startGroup(
    t,
    3,
    (id) => hands.link(id),
    (id) => (id === 1 ? { tickMs: STANDS_STILL_MS } : {}),
  );
  const [one, two, three] = group.members;
  await group.lead(1);
  await one.node.propose(bytes("x=1"));
  // Node 3's answers to the first read's heartbeats are slow; node 2's are enough.
  hands.rule = (from, to, { type }) =>
    from === 3 && to === 1 && type === MsgHeartbeatResp ? "hold" : "pass";
  await one.node.readBarrier();
  // Node 1 stands still from here on, with a read of node 2 in its socket.
  hands.rule = (from, to) => (from === 1 || to === 1 ? "hold" : "pass");
  const elsewhere = two.node.readBarrier().catch(() => {});
  await until("node 2's request is under way", WAIT_MS, () =>
    hands.waiting(2, 1).some(({ type }) => type === MsgReadIndex),
  );
  await until("another leads", WAIT_MS, () => group.leads(2) || group.leads(3));
  const leader = group.leads(2) ? two : three;
  await leader.node.propose(bytes("x=2"));
  // Node 1 goes on: a client reads there, and then what lay in its sockets comes in.
  let answered = false;
  const read = one.node.readBarrier().then(
    () => {
      answered = true;
    },
    () => {},
  );
  await sleep(5 * TICK_MS);
  const { term } = leader.node.status();
  const old = (m: Message): boolean => m.term < term && m.type !== MsgPreVote && m.type !== MsgVote;
  assert.ok(hands.release(2, 1, old) + hands.release(3, 1, old) > 0);
  await sleep(20 * TICK_MS);
  assert.equal(answered, false);
  assert.deepEqual(one.machine.log, ["x=1"]);
  // At once: the clock of node 1 stands still, and its read would be waited for.
  await Promise.all(group.members.map(({ node }) => node.close({ timeoutMs: 0 })));
  await Promise.all([read, elsewhere]);
});

test("a leader that is cut off answers no read by its lease once another may lead", async (t) => {
  for (let round = 0; round < 3; round++) {
    const network = new MemoryNetwork();
    const group = await startGroup(
      t,
      3,
      (id) => network.link(id),
      (id) => ({ readOnly: "lease", electionTicks: 10, seed: round * 3 + id }),
    );
    await group.lead(1);
    await until("all know", WAIT_MS, () => group.allKnow(1));
    await group.get(1).node.propose(bytes("x=1"));
    await sleep((10 + round) * TICK_MS);
    network.partition([1], [2, 3]);
    await until("another leads", WAIT_MS, () => group.leads(2) || group.leads(3));
    await group.get(group.leads(2) ? 2 : 3).node.propose(bytes("x=2"));
    const stale = group
      .get(1)
      .node.readBarrier()
      .then(
        () => true,
        () => false,
      );
    const cut = await Promise.race([stale, sleep(20 * TICK_MS, false)]);
    assert.equal(cut, false, "answered on the side that was cut off");
  }
});

test("no proposal that is called lost commits (openraft#2095, cockroach#115020)", async (t) => {
  const hands = new Hands();
  const group = await startGroup(t, 5, (id) => hands.link(id));
  const among = (ids: readonly number[], from: number, to: number): boolean =>
    ids.includes(from) && ids.includes(to);
  /** Until every promise to a leader has run out. */
  const expire = (): Promise<void> => sleep((ELECTION_TICKS + 10) * TICK_MS);
  await group.lead(1);
  await until("all know", WAIT_MS, () => group.allKnow(1));
  await group.get(1).node.propose(bytes("a"));
  await until("all have it", WAIT_MS, () => group.members.every(({ machine }) => machine.log.includes("a")));
  const base = group.get(1).node.status().lastIndex;
  // Ten proposals of node 1 reach node 2 only.
  hands.rule = (from, to) => (among([1, 2], from, to) ? "pass" : "drop");
  const lost: string[] = [];
  for (let i = 0; i < 10; i++) {
    const name = `p${i}`;
    group
      .get(1)
      .node.propose(bytes(name))
      .catch((error: RaftmarkError) => {
        if (!error.mayCommit) lost.push(name);
      });
  }
  await until("node 2 has them", WAIT_MS, () => group.get(2).node.status().lastIndex === base + 10);
  // 3, 4 and 5 elect 3; its first entry reaches node 1 only, and takes the place of the ten in its log.
  hands.rule = () => "drop";
  await expire();
  hands.rule = (from, to, { type }) => {
    if (among([3, 4, 5], from, to) && type !== MsgApp) return "pass";
    const replaces =
      (from === 3 && to === 1 && type === MsgApp) || (from === 1 && to === 3 && type === MsgAppResp);
    return replaces ? "pass" : "drop";
  };
  await group.lead(3);
  await until("node 1 took it", WAIT_MS, () => group.get(1).node.status().lastIndex === base + 1);
  // 1, 3 and 4 elect 1 again; what it appends there leaves nowhere.
  hands.rule = () => "drop";
  await expire();
  hands.rule = (from, to, { type }) =>
    among([1, 3, 4], from, to) && type !== MsgApp && type !== MsgHeartbeat ? "pass" : "drop";
  await group.lead(1);
  hands.rule = () => "drop";
  await expire();
  // 2 is elected by 4 and 5, and commits the ten.
  hands.rule = (from, to) => (among([2, 4, 5], from, to) ? "pass" : "drop");
  await group.lead(2);
  const { log: applied } = group.get(4).machine;
  await until("the ten are applied", WAIT_MS, () => applied.includes("p9"));
  assert.deepEqual(
    lost.filter((name) => applied.includes(name)),
    [],
  );
});
