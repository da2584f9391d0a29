// The end of a node in order: leadership goes on, what is under way gets its outcome, and nothing takes longer than it may.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RaftNode } from "../../src/index.js";
import { MemoryNetwork } from "../../src/link/index.js";
import { MsgTimeoutNow } from "../../src/raft/index.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import { Hands } from "./hands.js";
import {
  allApplied,
  leaderOf,
  openNode,
  openNodes,
  type Running,
  rejection,
  SOLE,
  sole,
  WAIT_MS,
} from "./nodes.js";

/** So long that a test which waited for it would not end. */
const LONG_MS = 10 * WAIT_MS;
/** Nobody campaigns by itself while the test runs. */
const ON_CALL = { electionTicks: 10_000 };

function others(all: readonly Running[], of: Running): Running[] {
  return all.filter((one) => one !== of);
}

test("a leader that closes hands over before an election is due, and what it had appended is acknowledged", async (t) => {
  const { running } = await openNodes(t, 3, () => ON_CALL);
  running[0]!.node.campaign();
  const leader = await leaderOf(running);
  const proposals = Array.from({ length: 100 }, (_, i) => leader.node.propose(Buffer.from(`p${i}`)));
  const closing = leader.node.close({ timeoutMs: LONG_MS });
  for (const call of [leader.node.propose(Buffer.from("late")), leader.node.readBarrier()]) {
    const late = await rejection(call);
    assert.deepEqual([late.code, late.mayCommit], ["RAFT_CLOSED", false]);
  }
  await Promise.all(proposals);
  await closing;
  assert.equal(leader.node.status().state, "StateClosed");
  const rest = others(running, leader);
  const next = await leaderOf(rest);
  await next.node.propose(Buffer.from("after"));
  await allApplied(rest, "after");
  assert.equal(next.machine.log.length, 101);
});

test("a leader hands over to the voter that has most of its log, of those that are connected", async (t) => {
  const { running } = await openNodes(t, 5, () => ON_CALL);
  running[0]!.node.campaign();
  const leader = await leaderOf(running);
  // Two that are gone, whatever they had.
  await running[1]!.node.close();
  await running[3]!.node.close();
  await leader.node.propose(Buffer.from("x"));
  await leader.node.close({ timeoutMs: LONG_MS });
  const heirs = [running[2]!, running[4]!];
  assert.ok(heirs.includes(await leaderOf(heirs)));
  assert.match(leader.lines.matching(/asks node \d to lead/).join(), /asks node [35] to lead/);
});

test("a sole voter, and a leader whom nobody hears, close at once; a follower hands nothing over", async (t) => {
  const { node: alone } = await sole(t);
  const written = alone.propose(Buffer.from("x"));
  await alone.close({ timeoutMs: LONG_MS });
  assert.equal((await written).index > 0, true);

  const { running } = await openNodes(t, 3, () => ON_CALL);
  running[0]!.node.campaign();
  const leader = await leaderOf(running);
  for (const { node, lines } of others(running, leader)) {
    await node.close({ timeoutMs: LONG_MS });
    assert.deepEqual(lines.matching(/to lead/), []);
  }
  await until("nobody is connected", WAIT_MS, () => leader.lines.matching(/is not connected/).length === 2);
  await leader.node.close({ timeoutMs: LONG_MS });
});

test("what has no outcome within the bound rejects with a true mayCommit", async (t) => {
  const hands = new Hands();
  const { running } = await openNodes(t, 3, (id) => ({ link: hands.link(id), ...ON_CALL }));
  running[0]!.node.campaign();
  const leader = await leaderOf(running);
  await leader.node.propose(Buffer.from("before"));
  hands.rule = () => "drop";
  const appended = rejection(leader.node.propose(Buffer.from("appended")));
  const read = rejection(leader.node.readBarrier());
  const { lastIndex } = leader.node.status();
  await until("appended", WAIT_MS, () => leader.node.status().lastIndex > lastIndex);
  await leader.node.close({ timeoutMs: 50 });
  assert.deepEqual([(await appended).code, (await appended).mayCommit], ["RAFT_CLOSED", true]);
  assert.deepEqual([(await read).code, (await read).mayCommit], ["RAFT_CLOSED", false]);
  assert.match((await appended).message, /may still commit/);
});

test("a second close with less patience ends the first; a bad bound leaves the node running", async (t) => {
  const hands = new Hands();
  const { running } = await openNodes(t, 3, (id) => ({ link: hands.link(id), ...ON_CALL }));
  running[0]!.node.campaign();
  const { node } = await leaderOf(running);
  for (const options of [
    null,
    5,
    { timeoutMs: -1 },
    { timeoutMs: "1" },
    { timeoutMs: Number.NaN },
    { timeOut: 1 },
  ]) {
    const error = await rejection(node.close(options as { timeoutMs: number }));
    assert.equal(error.code, "RAFT_BAD_OPTION");
  }
  assert.equal(node.status().state, "StateLeader");
  hands.rule = () => "drop";
  const proposal = rejection(node.propose(Buffer.from("x")));
  const patient = node.close({ timeoutMs: LONG_MS });
  await node.close({ timeoutMs: 0 });
  await patient;
  assert.equal((await proposal).code, "RAFT_CLOSED");
});

test("an heir that does not take over in time is not waited for, and another one asked", async (t) => {
  const network = new MemoryNetwork();
  const asked: number[] = [];
  const { running } = await openNodes(t, 3, (id) => {
    const link = network.link(id);
    const send = link.send.bind(link);
    // Who is asked first does not hear of it.
    link.send = (group, messages) => {
      for (const { type, to } of messages) if (type === MsgTimeoutNow && !asked.includes(to)) asked.push(to);
      send(
        group,
        messages.filter(({ type, to }) => type !== MsgTimeoutNow || to !== asked[0]),
      );
    };
    return { link, electionTicks: 10 };
  });
  const leader = await leaderOf(running);
  await leader.node.close({ timeoutMs: LONG_MS });
  assert.equal(asked.length, 2);
  assert.equal((await leaderOf(others(running, leader))).node.status().id, asked[1]);
});

test("a leader whose state machine hangs hands over, whatever it has not taken from its queue", async (t) => {
  let hangs = false;
  const { running } = await openNodes(t, 3, () => ({
    ...ON_CALL,
    maxSizePerMsg: 1 << 10,
    // Else what waits is sent to the heir, and may commit there.
    forwardProposals: false,
    stateMachine: { apply: () => (hangs ? new Promise<void>(() => {}) : undefined) },
  }));
  running[0]!.node.campaign();
  const leader = await leaderOf(running);
  hangs = true;
  const first = rejection(leader.node.propose(Buffer.alloc(4 << 10)));
  const { commit } = leader.node.status();
  await until("it is committed", WAIT_MS, () => leader.node.status().commit > commit);
  const queued = rejection(leader.node.propose(Buffer.from("queued")));
  // It waits for its queue for half of this, and has the other half to hand over in.
  const closing = leader.node.close({ timeoutMs: 8_000 });
  const rest = others(running, leader);
  await leaderOf(rest);
  assert.notEqual(leader.node.status().state, "StateClosed");
  await leader.node.close({ timeoutMs: 0 });
  await closing;
  assert.deepEqual([(await first).code, (await first).mayCommit], ["RAFT_CLOSED", true]);
  assert.equal((await queued).mayCommit, false);
  await Promise.all(rest.map(({ node }) => node.close({ timeoutMs: 0 })));
});

test("who waits for a snapshot behind an apply that hangs is told when the node closes", async (t) => {
  let hangs = false;
  const { node } = await sole(t, {
    stateMachine: {
      apply: () => (hangs ? new Promise<void>(() => {}) : undefined),
      snapshot: () => new Uint8Array(1),
      restore: async () => {},
    },
  });
  await node.propose(Buffer.from("x"));
  hangs = true;
  const proposal = rejection(node.propose(Buffer.from("y")));
  const { commit } = node.status();
  await until("it is committed", WAIT_MS, () => node.status().commit > commit);
  const taken = rejection(node.takeSnapshot());
  await node.close({ timeoutMs: 50 });
  assert.equal((await proposal).code, "RAFT_CLOSED");
  assert.equal((await taken).code, "RAFT_CLOSED");
  assert.match((await taken).message, /apply/);
});

test("a node that fences itself while it closes ends, and says why", async (t) => {
  const hands = new Hands();
  let broken = false;
  const apply = (): undefined => {
    if (broken) throw new Error("broken");
  };
  const { running } = await openNodes(t, 3, (id) => ({
    link: hands.link(id),
    stateMachine: { apply },
    ...ON_CALL,
  }));
  running[0]!.node.campaign();
  const { node } = await leaderOf(running);
  broken = true;
  const proposal = rejection(node.propose(Buffer.from("x")));
  await node.close({ timeoutMs: LONG_MS });
  assert.equal((await proposal).code, "RAFT_FENCED");
  assert.equal(node.status().state, "StateFenced");
});

/** Calls of `node` that nobody will answer. */
function calls(node: RaftNode, timeoutMs: number): Promise<unknown>[] {
  return [node.propose(Buffer.from("x"), { timeoutMs }), node.readBarrier({ timeoutMs })];
}

test("timeoutMs ends a call, and its error says whether it may commit", async (t) => {
  const hands = new Hands();
  const { running } = await openNodes(t, 3, (id) => ({ link: hands.link(id), ...ON_CALL }));
  const nobody = await rejection(running[0]!.node.whenLeader({ timeoutMs: 5 }));
  assert.deepEqual([nobody.code, nobody.mayCommit], ["RAFT_TIMEOUT", false]);
  running[0]!.node.campaign();
  const { node } = await leaderOf(running);
  await Promise.all(calls(node, LONG_MS));
  hands.rule = () => "drop";
  const { lastIndex } = node.status();
  const [write, read] = calls(node, 200).map(rejection);
  await until("appended", WAIT_MS, () => node.status().lastIndex > lastIndex);
  assert.deepEqual([(await write!).code, (await write!).mayCommit], ["RAFT_TIMEOUT", true]);
  assert.deepEqual([(await read!).code, (await read!).mayCommit], ["RAFT_TIMEOUT", false]);
  assert.match((await write!).message, /\(200 ms\)/);
});

test("timeoutMs is a number of milliseconds, and an option that there is not is refused by name", async (t) => {
  const { node } = await openNode(t, tempDir(t), 1, 1, SOLE);
  for (const timeoutMs of [0, -1, "5", null, Number.NaN, Infinity, 2 ** 31]) {
    const options = { timeoutMs } as { timeoutMs: number };
    for (const call of [
      node.propose(Buffer.from("x"), options),
      node.readBarrier(options),
      node.whenLeader(options),
    ]) {
      const error = await rejection(call);
      assert.equal(error.code, "RAFT_BAD_OPTION");
      assert.match(error.message, /^option timeoutMs: must be a number of milliseconds above 0/);
    }
  }
  // As long as a timer of Node's takes.
  await node.propose(Buffer.from("x"), { timeoutMs: 2 ** 31 - 1 });
  const error = await rejection(node.propose(Buffer.from("x"), { timeout: 5 } as object));
  assert.match(error.message, /option timeout: there is no such option\. Did you mean.*timeoutMs/);
});
