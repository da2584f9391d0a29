// Proposals on nodes that do not lead: sent to the leader, and settled by what the node itself applies.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Entry } from "../../src/index.js";
import { MemoryNetwork } from "../../src/link/index.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import {
  allApplied,
  type Given,
  leaderOf,
  Machine,
  openNode,
  openNodes,
  type Running,
  rejection,
  WAIT_MS,
} from "./nodes.js";

/** Its results say whose they are. */
class Telling extends Machine {
  readonly id: number;

  constructor(id: number) {
    super();
    this.id = id;
  }

  override apply(entries: readonly Entry[]): never {
    super.apply(entries);
    return entries.map(({ data }) => `${Buffer.from(data)} on ${this.id}`) as never;
  }
}

/** No tick comes before a test gives up: what waits for one is not settled. */
const NO_TICKS = { tickMs: 60_000 };

async function cluster(t: TestContext, more: Given = {}) {
  const machines = [1, 2, 3].map((id) => new Telling(id));
  const dir = tempDir(t);
  const moreOf = (id: number) => ({ stateMachine: machines[id - 1], ...more });
  const { network, running: opened } = await openNodes(t, 3, moreOf, dir);
  const running = opened.map((one, i) => ({ ...one, machine: machines[i] }));
  if (more.tickMs === NO_TICKS.tickMs) {
    await until("node 1 leads", WAIT_MS, () => {
      const leads = running[0].node.status().state === "StateLeader";
      if (!leads) running[0].node.campaign();
      return leads;
    });
  }
  const leader = await leaderOf(running);
  const followers = running.filter((one) => one !== leader);
  return { network, dir, running, leader, followers };
}

function bytes(text: string): Buffer {
  return Buffer.from(text);
}

async function settlesWithoutTicks(promise: Promise<unknown>): Promise<void> {
  let settled = false;
  void promise.finally(() => {
    settled = true;
  });
  await until("it is settled", NO_TICKS.tickMs / 4, () => settled);
  await promise;
}

/** Its connection with another node broke, and there is one again. */
function connectedAnew({ node }: Running): () => boolean {
  const told: boolean[] = [];
  node.on("peer", ({ connected }) => told.push(connected));
  return () => told.join() === "false,true";
}

function idOf({ node }: Running): number {
  return node.status().id;
}

test("a follower's caller gets what its own state machine returned, and the place that all have it at", async (t) => {
  const { running, followers } = await cluster(t);
  for (const follower of followers) {
    const text = `of ${idOf(follower)}`;
    const { index, result } = await follower.node.propose(bytes(text));
    assert.equal(result, `${text} on ${idOf(follower)}`);
    assert.ok(follower.node.status().applied >= index);
  }
  const all = await Promise.all(
    Array.from({ length: 600 }, (_, i) =>
      running[i % 3].node.propose(bytes(`n${i}`)).then(({ index, result }) => [index, result]),
    ),
  );
  assert.equal(new Set(all.map(([index]) => index)).size, 600);
  for (const [i, [, result]] of all.entries()) assert.equal(result, `n${i} on ${(i % 3) + 1}`);
  await until("all level", WAIT_MS, () => running.every(({ machine }) => machine.log.length === 602));
  const logs = running.map(({ machine }) => machine.log.join());
  assert.ok(logs.every((log) => log === logs[0]));
});

test("many with one promise are sent, too, and settled by what the node itself applies, in the batch's order", async (t) => {
  const { running, followers } = await cluster(t);
  const names = Array.from({ length: 400 }, (_, i) => `n${i}`);
  const [follower] = followers;
  const all = await follower!.node.proposeMany(names.map(bytes));
  assert.deepEqual(
    all.map(({ result }) => result),
    names.map((name) => `${name} on ${idOf(follower!)}`),
  );
  await until("all level", WAIT_MS, () => running.every(({ machine }) => machine.log.length === 400));
  for (const { machine } of running) assert.deepEqual(machine.log, names);
});

test("without a leader a proposal waits for one; for leaderlessTimeoutMs, its own time, or its signal", async (t) => {
  const network = new MemoryNetwork();
  const dir = tempDir(t);
  const more = { leaderlessTimeoutMs: 400 };
  const one = await openNode(t, dir, 1, 3, { link: network.link(1), ...more });
  const nobody = await rejection(one.node.propose(bytes("a")));
  assert.deepEqual([nobody.code, nobody.mayCommit, nobody.leader], ["RAFT_NO_LEADER", false, 0]);
  const late = await rejection(one.node.propose(bytes("b"), { timeoutMs: 20 }));
  assert.deepEqual([late.code, late.mayCommit], ["RAFT_TIMEOUT", false]);
  const controller = new AbortController();
  const aborted = rejection(one.node.propose(bytes("c"), { signal: controller.signal }));
  controller.abort();
  assert.deepEqual([(await aborted).code, (await aborted).mayCommit], ["RAFT_ABORTED", false]);
  await one.node.close();
  // Nobody leads yet when these are called.
  const { running } = await openNodes(t, 3, () => ({}), dir);
  await Promise.all(running.map(({ node }, i) => node.propose(bytes(`early ${i}`))));
  for (const i of [0, 1, 2]) await allApplied(running, `early ${i}`);
});

test("forwardProposals: false refuses what another node would have to append", async (t) => {
  const { leader, followers } = await cluster(t, { forwardProposals: false });
  const error = await rejection(followers[0].node.propose(bytes("x")));
  assert.deepEqual([error.code, error.leader, error.mayCommit], ["RAFT_NOT_LEADER", idOf(leader), false]);
});

test("a follower's first proposals go when it hears its leader, and at no tick; over a new connection it asks for that", async (t) => {
  const { network, leader, followers } = await cluster(t, NO_TICKS);
  const [follower] = followers;
  await settlesWithoutTicks(follower.node.propose(bytes("first")));
  const isConnectedAnew = connectedAnew(follower);
  network.cut(idOf(follower), idOf(leader));
  network.heal();
  await until("another connection", WAIT_MS, isConnectedAnew);
  await settlesWithoutTicks(follower.node.propose(bytes("behind the cut")));
});

test("a leader that started anew is sent nothing, though nobody has heard yet that it leads no more", async (t) => {
  const { network, dir, leader, followers } = await cluster(t, NO_TICKS);
  const [follower, other] = followers;
  const id = idOf(leader);
  await follower.node.propose(bytes("to its earlier life"));
  const isConnectedAnew = connectedAnew(follower);
  await leader.node.close({ timeoutMs: 0 });
  await openNode(t, dir, id, 3, { link: network.link(id), ...NO_TICKS });
  await until("another connection", WAIT_MS, isConnectedAnew);
  assert.equal(follower.node.status().leader, id);
  const proposed = follower.node.propose(bytes("to the next leader"));
  other.node.campaign();
  await settlesWithoutTicks(proposed);
  assert.equal(follower.node.status().leader, idOf(other));
});

test("what a leader took and never answered may commit, and the caller is told so soon after the link broke", async (t) => {
  const { network, leader, followers, running } = await cluster(t, { leaderlessTimeoutMs: 60_000 });
  const [follower] = followers;
  // It hears the follower, and is not heard by it any more.
  network.cut(idOf(leader), idOf(follower));
  const error = rejection(follower.node.propose(bytes("unheard")));
  await until("the leader has it", WAIT_MS, () => leader.machine.log.includes("unheard"));
  assert.deepEqual([(await error).code, (await error).mayCommit], ["RAFT_LEADERSHIP_LOST", true]);
  network.heal();
  await allApplied(running, "unheard");
});

test("what is under way when a connection breaks is asked again when the next opens, and not at a tick", async (t) => {
  const { network, leader, followers } = await cluster(t, NO_TICKS);
  const [follower] = followers;
  network.cut(idOf(leader), idOf(follower));
  const proposed = follower.node.propose(bytes("unheard"));
  await until("the leader has it", WAIT_MS, () => leader.machine.log.includes("unheard"));
  network.heal();
  // Its heartbeats say to the follower what is committed.
  await leader.node.readBarrier();
  await settlesWithoutTicks(proposed);
});

test("an aborted or late proposal that was sent may commit", async (t) => {
  const { network, leader, followers } = await cluster(t, NO_TICKS);
  const [follower] = followers;
  network.cut(idOf(leader), idOf(follower));
  const late = await rejection(follower.node.propose(bytes("late"), { timeoutMs: 500 }));
  assert.deepEqual([late.code, late.mayCommit], ["RAFT_TIMEOUT", true]);
  const controller = new AbortController();
  const aborted = rejection(follower.node.propose(bytes("aborted"), { signal: controller.signal }));
  await until("the leader has it", WAIT_MS, () => leader.machine.log.includes("aborted"));
  controller.abort();
  assert.deepEqual([(await aborted).code, (await aborted).mayCommit], ["RAFT_ABORTED", true]);
});

test("what a leader gets that hands over is taken when that is given up, and goes to another where it closes; at no tick", async (t) => {
  const { network, leader, followers } = await cluster(t, NO_TICKS);
  const [follower, heir] = followers;
  await follower.node.propose(bytes("first"));
  network.partition([idOf(leader)], [idOf(heir)]);
  leader.node.transferLeadership(idOf(heir));
  const kept = follower.node.propose(bytes("kept"));
  // Behind it on the same way.
  await follower.node.readBarrier();
  // To itself: it leads on.
  leader.node.transferLeadership(idOf(leader));
  await settlesWithoutTicks(kept);
  leader.node.transferLeadership(idOf(heir));
  const next = follower.node.propose(bytes("for the next"));
  await follower.node.readBarrier();
  await Promise.all([leader.node.close(), settlesWithoutTicks(next)]);
  assert.equal(follower.node.status().state, "StateLeader");
});

test("a leader that hands over keeps what comes, and the proposal goes to the next one", async (t) => {
  const { leader, running } = await cluster(t);
  const calls: Promise<unknown>[] = [];
  const names: string[] = [];
  const propose = (i: number): void => {
    names.push(`x${i}`);
    calls.push(
      running[i % 3].node
        .propose(bytes(`x${i}`))
        .catch((error) => assert.ok(error.mayCommit || error.code === "RAFT_PROPOSAL_DROPPED", error)),
    );
  };
  for (let i = 0; i < 30; i++) propose(i);
  const heir = running.find((one) => one !== leader)!;
  leader.node.transferLeadership(idOf(heir));
  for (let i = 30; i < 200; i++) {
    propose(i);
    if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await until("the heir leads", WAIT_MS, () => heir.node.status().state === "StateLeader");
  await Promise.all(calls);
  const log = heir.machine.log;
  assert.equal(new Set(log).size, log.length, "one was applied twice");
});

test("a follower that closes waits for what it sent; one that is closed at once says that it may commit", async (t) => {
  const { network, followers, leader } = await cluster(t);
  const [first, second] = followers;
  const sent = first.node.propose(bytes("last words"));
  await Promise.all([first.node.close(), sent]);
  network.cut(idOf(leader), idOf(second));
  const unheard = rejection(second.node.propose(bytes("unheard")));
  await until("the leader has it", WAIT_MS, () => leader.node.metrics.proposals > 1);
  await second.node.close({ timeoutMs: 0 });
  assert.deepEqual([(await unheard).code, (await unheard).mayCommit], ["RAFT_CLOSED", true]);
});
