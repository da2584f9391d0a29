// Read barriers between their callers and the core: identities, asking again, and what is left behind.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { type TestContext, test } from "node:test";
import type { RaftmarkError } from "../../src/base/errors.js";
import { MemoryNetwork } from "../../src/link/index.js";
import { Reads } from "../../src/node/reads.js";
import { Message, MsgHeartbeat, MsgReadIndex, type RawNode } from "../../src/raft/index.js";
import { until } from "../process/support.js";
import { atEnd, tempDir } from "../temp-dir.js";
import { leaderOf, openNode, type Running, WAIT_MS } from "./nodes.js";
import { StubLink } from "./stub-link.js";

const LIMITS = { retryTicks: 3, leaderlessTicks: 10, timeoutTicks: 100 };

/** Notes what is asked of the core. */
class Core {
  readonly asked: Uint8Array[] = [];
  readonly rawNode = {
    readIndex: (context: Uint8Array) => this.asked.push(context),
    raft: { lead: 0 },
  } as unknown as RawNode;

  get names(): string[] {
    return this.asked.map((context) => Buffer.from(context).toString("hex"));
  }
}

async function outcome(promise: Promise<void>): Promise<string> {
  const pending = new Promise<string>((resolve) => setImmediate(resolve, "pending"));
  return Promise.race([
    promise.then(
      () => "done",
      (error: RaftmarkError) => error.code,
    ),
    pending,
  ]);
}

test("no two requests share an identity, of whatever node, incarnation or repetition", () => {
  const core = new Core();
  for (const reads of [new Reads(1, LIMITS), new Reads(1, LIMITS), new Reads(2, LIMITS)]) {
    void reads.add();
    reads.ask(core.rawNode, true);
    for (let i = 0; i < 9; i++) reads.tick(core.rawNode, true);
  }
  assert.equal(core.asked.length, 12);
  assert.equal(new Set(core.names).size, 12);
});

test("an answer to a repetition, or to the first request, lets the waiters go; a foreign one does not", async () => {
  for (const which of [0, 1]) {
    const core = new Core();
    const reads = new Reads(1, LIMITS);
    const read = reads.add();
    reads.ask(core.rawNode, true);
    for (let i = 0; i < 3; i++) reads.tick(core.rawNode, true);
    const later = reads.add();
    reads.ask(core.rawNode, true);
    const foreign = core.asked[2].slice();
    foreign[10] ^= 1;
    reads.confirmed(
      [
        { index: 7, requestCtx: foreign },
        { index: 7, requestCtx: new Uint8Array(1) },
      ],
      7,
    );
    assert.equal(await outcome(read), "pending");
    reads.confirmed([{ index: 7, requestCtx: core.asked[which] }], 6);
    assert.equal(await outcome(read), "pending");
    reads.applied(7);
    assert.equal(await outcome(read), "done");
    assert.equal(await outcome(later), "pending", "it was asked later");
  }
});

test("without a leader nothing is asked; when one is known, at once and for all", async () => {
  const core = new Core();
  const reads = new Reads(1, LIMITS);
  const first = reads.add();
  reads.ask(core.rawNode, false);
  const second = reads.add();
  reads.ask(core.rawNode, false);
  for (let i = 0; i < 5; i++) reads.tick(core.rawNode, false);
  assert.equal(core.asked.length, 0);
  reads.leaderKnown(core.rawNode);
  assert.equal(core.asked.length, 1);
  reads.confirmed([{ index: 1, requestCtx: core.asked[0] }], 1);
  assert.deepEqual([await outcome(first), await outcome(second)], ["done", "done"]);
});

test("a read gives up without a leader after leaderlessTicks, and always after timeoutTicks", async () => {
  const core = new Core();
  const reads = new Reads(1, LIMITS);
  const leaderless = reads.add();
  reads.ask(core.rawNode, false);
  for (let i = 0; i < 10; i++) reads.tick(core.rawNode, false);
  assert.equal(await outcome(leaderless), "pending");
  reads.tick(core.rawNode, false);
  assert.equal(await outcome(leaderless), "RAFT_NO_LEADER");
  const unanswered = reads.add();
  reads.ask(core.rawNode, true);
  for (let i = 0; i < 101; i++) reads.tick(core.rawNode, true);
  assert.equal(await outcome(unanswered), "RAFT_TIMEOUT");
});

test("a read leaves no listener behind, however it ends", async () => {
  const core = new Core();
  const reads = new Reads(1, LIMITS);
  const controller = new AbortController();
  const { signal } = controller;
  const read = reads.add({ signal });
  reads.ask(core.rawNode, true);
  assert.equal(getEventListeners(signal, "abort").length, 1);
  reads.confirmed([{ index: 1, requestCtx: core.asked[0] }], 1);
  assert.equal(await outcome(read), "done");
  assert.equal(getEventListeners(signal, "abort").length, 0);
  const aborted = reads.add({ signal });
  controller.abort();
  assert.equal(await outcome(aborted), "RAFT_ABORTED");
  assert.equal(await outcome(reads.add({ signal })), "RAFT_ABORTED");
});

test("turns that read while nothing is answered make few requests; the next is for all who came since", async () => {
  const core = new Core();
  const reads = new Reads(1, LIMITS);
  const all: Promise<void>[] = [];
  const before = process.cpuUsage();
  for (let i = 0; i < 40_000; i++) {
    all.push(reads.add());
    reads.ask(core.rawNode, true);
    // As many entries are applied meanwhile.
    reads.applied(i);
  }
  assert.equal(core.asked.length, 64);
  // The last answers all that were asked before it, and nobody who came later.
  reads.confirmed([{ index: 7, requestCtx: core.asked[63]! }], 40_000);
  await all[63];
  assert.equal(reads.openCount, 40_000 - 64);
  assert.equal(reads.heldBack, true);
  reads.ask(core.rawNode, true);
  assert.equal(core.asked.length, 65);
  assert.equal(reads.heldBack, false);
  reads.confirmed([{ index: 8, requestCtx: core.asked[64]! }], 40_000);
  // Of the processor, as others may have the machine. Each with each: 1.6 billion steps, of about a nanosecond.
  assert.ok(process.cpuUsage(before).user < 1_000_000);
  await Promise.all(all);
});

test("requests that were lost are not waited for: a leader that is known anew is asked at once, by one for all", async () => {
  const core = new Core();
  const reads = new Reads(1, LIMITS);
  const all: Promise<void>[] = [];
  for (let i = 0; i < 100; i++) {
    all.push(reads.add());
    reads.ask(core.rawNode, true);
  }
  reads.leaderKnown(core.rawNode);
  assert.equal(core.asked.length, 65);
  all.push(reads.add());
  reads.ask(core.rawNode, true);
  assert.equal(core.asked.length, 66);
  reads.confirmed([{ index: 1, requestCtx: core.asked[65]! }], 1);
  await Promise.all(all);
});

/** Node 3, whose ticks are so long that none makes it ask: its link, and of whom it asked a read, oldest first. */
async function follower(t: TestContext) {
  const link = new StubLink();
  const { node } = await openNode(t, tempDir(t), 3, 3, { link, tickMs: WAIT_MS });
  // What waits is not answered.
  atEnd(t, () => node.close({ timeoutMs: 0 }));
  const asked = (): number[] => link.sent.filter(({ type }) => type === MsgReadIndex).map(({ to }) => to);
  const handler = link.handler!;
  const heardFrom = (leader: number, term: number): void => {
    handler.onMessages(0, leader, [Object.assign(new Message(MsgHeartbeat), { from: leader, to: 3, term })]);
  };
  return { node, handler, asked, heardFrom };
}

test("a follower that is connected anew asks its leader again: the request may be lost, or its answer", async (t) => {
  const { node, handler, asked, heardFrom } = await follower(t);
  handler.onPeer(2, true);
  heardFrom(2, 2);
  const read = node.readBarrier();
  read.catch(() => {});
  await until("it asks", WAIT_MS, () => asked().length === 1);
  handler.onPeer(2, false);
  handler.onPeer(2, true);
  await until("it asks again", WAIT_MS, () => asked().length === 2);
  handler.onPath!(2);
  await until("it asks again", WAIT_MS, () => asked().length === 3);
});

test("an election leaves nothing to the timer: whoever leads is asked at once, also what another was asked", async (t) => {
  const { node, asked, heardFrom } = await follower(t);
  node.readBarrier().catch(() => {});
  heardFrom(2, 2);
  await until("it asks", WAIT_MS, () => asked().length > 0);
  heardFrom(1, 3);
  await until("it asks the other", WAIT_MS, () => asked().length > 1);
  assert.deepEqual(asked(), [2, 1]);
});

test("a leader that is heard, and cannot be asked, is none for a read", async (t) => {
  const network = new MemoryNetwork();
  const dir = tempDir(t);
  const open = (id: number) => openNode(t, dir, id, 3, { link: network.link(id), leaderlessTimeoutMs: 200 });
  const nodes = [await open(1), await open(2), await open(3)];
  const leader = await leaderOf(nodes);
  const follower = nodes.find((one) => one !== leader)!;
  const { id } = follower.node.status();
  // Nor another, if one takes over meanwhile.
  for (const one of nodes) if (one !== follower) network.cut(id, one.node.status().id);
  await assert.rejects(follower.node.readBarrier(), {
    code: "RAFT_NO_LEADER",
    message: /leads, and this node could not ask it/,
  });
});

test("a lease ends before a member with shorter ticks elects another leader", async (t) => {
  const network = new MemoryNetwork();
  const dir = tempDir(t);
  const open = (id: number, tickMs: number) =>
    openNode(t, dir, id, 3, { link: network.link(id), tickMs, readOnly: "lease" });
  const old = await open(1, 200);
  const others = [await open(2, 60), await open(3, 60)];
  old.node.campaign();
  await until("node 1 leads", WAIT_MS, () => {
    const leader = others.find(({ node }) => node.status().state === "StateLeader");
    leader?.node.transferLeadership(1);
    return old.node.status().state === "StateLeader";
  });
  await old.node.propose(Buffer.from("before"));
  await old.node.readBarrier();
  network.partition([1], [2, 3]);
  await until("another leads", WAIT_MS, () =>
    others.some(({ node }) => node.status().state === "StateLeader"),
  );
  const leader = others.find(({ node }) => node.status().state === "StateLeader")!;
  await leader.node.propose(Buffer.from("after"));
  // Its lease of its own ticks would still hold, and what it would answer is stale.
  await assert.rejects(old.node.readBarrier({ signal: AbortSignal.timeout(200) }), { code: "RAFT_ABORTED" });
});

test("there is no lease where a member promises nothing: it may vote as soon as it is started again", async (t) => {
  const network = new MemoryNetwork();
  const dir = tempDir(t);
  // One election timeout is ten seconds: the lease would outlive all that follows.
  const open = (id: number, readOnly: "lease" | "safe") =>
    openNode(t, dir, id, 3, { link: network.link(id), tickMs: 1000, readOnly });
  const old = await open(1, "lease");
  const others = [await open(2, "safe"), await open(3, "safe")];
  await leads(old);
  await old.node.propose(Buffer.from("before"));
  await old.node.readBarrier();
  network.partition([1], [2, 3]);
  for (const { node } of others) await node.close({ timeoutMs: 0 });
  const [heir] = [await open(2, "safe"), await open(3, "safe")];
  await leads(heir!);
  await heir!.node.propose(Buffer.from("after"));
  await assert.rejects(old.node.readBarrier({ signal: AbortSignal.timeout(200) }), { code: "RAFT_ABORTED" });
});

async function leads({ node }: Running): Promise<void> {
  await until("it leads", WAIT_MS, () => {
    if (node.status().state === "StateFollower") node.campaign();
    return node.status().state === "StateLeader";
  });
}
