// State machines that take their time: what they have not applied counts as that nowhere, and they are never hurried.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { bytePoolTesting } from "../../src/base/byte-pool.js";
import type { Entry, RaftmarkError, RaftNodeOptions } from "../../src/index.js";
import { Applier } from "../../src/node/applier.js";
import { Sessions } from "../../src/node/sessions.js";
import { EntryNormal, Entry as LogEntry, Message, MsgStorageApply } from "../../src/raft/index.js";
import { freePeers } from "../listen.js";
import { until } from "../process/support.js";
import { atEnd } from "../temp-dir.js";
import { type Given, leaderOf, openNodes, type Running, rejection, sole, WAIT_MS } from "./nodes.js";

/** One call of apply, and what ends it. */
interface Call {
  readonly entries: readonly Entry[];
  readonly texts: readonly string[];
  resolve(results?: unknown): void;
  reject(cause: unknown): void;
}

/** Applies when told. */
class Patient {
  readonly calls: Call[] = [];

  apply(entries: readonly Entry[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const texts = entries.map(({ data }) => Buffer.from(data).toString());
      this.calls.push({ entries, texts, resolve, reject });
    });
  }

  async called(times: number): Promise<Call> {
    await until(`${times} calls`, WAIT_MS, () => this.calls.length >= times);
    return this.calls[times - 1]!;
  }
}

function soleWith(t: TestContext, stateMachine: object, more: Given = {}): Promise<Running> {
  return sole(t, { stateMachine: stateMachine as RaftNodeOptions["stateMachine"], ...more });
}

for (const storageWrites of ["async", "sync"] as const) {
  test(`a promise of apply: one call at a time, in order, and nothing counts before it resolves (${storageWrites})`, async (t) => {
    const machine = new Patient();
    const { node } = await soleWith(t, machine, { storageWrites });
    const settled: string[] = [];
    const propose = async (text: string): Promise<void> => {
      const { result } = await node.propose(Buffer.from(text));
      settled.push(`${text}=${result}`);
    };
    const all = [propose("a")];
    const first = await machine.called(1);
    const read = node.readBarrier().then(() => settled.push("read"));
    all.push(propose("b"));
    if (storageWrites === "async")
      await until("b is committed", WAIT_MS, () => node.status().commit > first.entries[0]!.index);
    all.push(propose("c"));
    const { index } = first.entries[0]!;
    if (storageWrites === "async")
      await until("c is committed", WAIT_MS, () => node.status().commit > index + 1);
    assert.deepEqual([first.texts, machine.calls.length, settled], [["a"], 1, []]);
    assert.equal(node.status().applied, index - 1);
    first.resolve(["1"]);
    const second = await machine.called(2);
    assert.equal(settled[0], "a=1");
    assert.equal(node.status().applied, index);
    if (storageWrites === "async") assert.deepEqual(second.texts, ["b", "c"]);
    second.resolve(second.texts.map((text) => `for ${text}`));
    if (second.texts.length === 1) (await machine.called(3)).resolve(["for c"]);
    await Promise.all([...all, read]);
    assert.deepEqual(
      settled.filter((one) => one !== "read"),
      ["a=1", "b=for b", "c=for c"],
    );
    assert.equal(node.status().applied, index + 2);
  });
}

test("what waits behind a call is held like what it has, also between two calls; nothing is called after the end", async () => {
  const machine = new Patient();
  const held: number[] = [];
  const applier = new Applier({
    stateMachine: machine as unknown as RaftNodeOptions["stateMachine"],
    plan: (entries) => new Sessions().plan(entries),
    onApplied: () => {},
    guard: (work) => work(),
    onHeld: () => held.push(applier.heldFrom),
  });
  const apply = (index: number): void => {
    const message = new Message(MsgStorageApply);
    message.entries = [new LogEntry(EntryNormal, 1, index, Buffer.from(`${index}`))];
    applier.apply(message);
  };
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  apply(1);
  apply(2);
  machine.calls[0]!.resolve();
  await settle();
  assert.deepEqual(held, [1, 2]);
  applier.resume();
  machine.calls[1]!.resolve();
  await settle();
  assert.deepEqual(held, [1, 2, 2, Infinity]);
  applier.end();
  apply(3);
  applier.resume();
  assert.equal(machine.calls.length, 2);
});

test("no promise, no waiting: what apply returns at once resolves its proposals in the same turn", async (t) => {
  const order: string[] = [];
  const stateMachine = {
    apply: (entries: readonly Entry[]) => {
      for (const { data } of entries) order.push(`apply ${Buffer.from(data)}`);
      queueMicrotask(() => {
        order.push("microtask");
        queueMicrotask(() => order.push("its microtask"));
      });
      return undefined;
    },
  };
  const { node } = await soleWith(t, stateMachine);
  let applied = 0;
  await node.propose(Buffer.from("a")).then(() => {
    applied = node.status().applied;
    order.push("resolved");
  });
  await null;
  // The promise's reaction was queued by the turn that called apply, behind what apply had queued.
  assert.deepEqual(order, ["apply a", "microtask", "resolved", "its microtask"]);
  assert.equal(applied, node.status().applied);
});

test("what apply rejects with fences the node, and is the cause; a late end of it changes nothing", async (t) => {
  const machine = new Patient();
  const { node } = await soleWith(t, machine);
  const proposal = rejection(node.propose(Buffer.from("a")));
  const behind = machine.called(1).then(() => rejection(node.propose(Buffer.from("b"))));
  const cause = new Error("out of cheese");
  await machine.called(1);
  (await machine.called(1)).reject(cause);
  for (const error of [await proposal, await behind]) {
    assert.deepEqual([error.code, error.cause], ["RAFT_FENCED", cause]);
    assert.match(error.message, /stateMachine\.apply rejected on entry 2\. It stays in .*: out of cheese/);
  }
  assert.equal((await proposal).mayCommit, true);
  assert.equal(node.status().state, "StateFenced");
  const other = await soleWith(t, { apply: async () => ["one", "too many"] });
  const wrong = await rejection(other.node.propose(Buffer.from("x")));
  assert.match(wrong.message, /returned what it must not on .*: 2 results for 1 entries/);
});

test("a slow state machine holds no more than the limit, the leader is held back, and then all is applied", async (t) => {
  const machine = new Patient();
  const entryBytes = 1024;
  const maxSizePerMsg = 4096;
  const { node } = await soleWith(t, machine, {
    maxSizePerMsg,
    maxQueuedProposals: 50,
    proposalBatchBytes: 2048,
  });
  const outcomes = new Map<number, string>();
  const all = Array.from({ length: 400 }, async (_, i) => {
    // As fast as they are taken.
    for (let turns = 0; turns < i; turns++) await new Promise((resolve) => setImmediate(resolve));
    await node.propose(Buffer.alloc(entryBytes, `${i} `)).then(
      () => outcomes.set(i, "applied"),
      ({ code }: RaftmarkError) => outcomes.set(i, code),
    );
  });
  await machine.called(1);
  await until("refused", WAIT_MS, () => [...outcomes.values()].includes("RAFT_OVERLOADED"));
  const { commit, applied, lastIndex } = node.status();
  assert.equal(machine.calls.length, 1);
  // Four messages of entries that are handed out, and what was on its way when they were.
  assert.ok(
    (lastIndex - applied) * entryBytes < 16 * maxSizePerMsg,
    `${lastIndex - applied} entries, ${commit}`,
  );
  const held: number[] = [];
  for (let calls = 1; outcomes.size < all.length; calls++) {
    await until("the next", WAIT_MS, () => machine.calls.length >= calls || outcomes.size === all.length);
    if (machine.calls.length < calls) break;
    held.push(machine.calls[calls - 1]!.entries.length * entryBytes);
    machine.calls[calls - 1]!.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(all);
  assert.ok(Math.max(...held) <= 4 * maxSizePerMsg, `${Math.max(...held)} bytes in one call`);
  const count = [...outcomes.values()].filter((outcome) => outcome === "applied").length;
  assert.equal(
    count,
    machine.calls.reduce((sum, { entries }) => sum + entries.length, 0),
  );
  assert.equal(node.status().fault, null);
});

test("close waits for apply, within its bound", async (t) => {
  const machine = new Patient();
  const { node } = await soleWith(t, machine);
  const proposal = node.propose(Buffer.from("a"));
  const call = await machine.called(1);
  let closed = false;
  const closing = node.close({ timeoutMs: 10 * WAIT_MS }).then(() => {
    closed = true;
  });
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(closed, false);
  call.resolve(["done"]);
  assert.equal((await proposal).result, "done");
  await closing;

  const other = new Patient();
  const { node: hasty } = await soleWith(t, other);
  const lost = rejection(hasty.propose(Buffer.from("b")));
  const late = await other.called(1);
  await hasty.close({ timeoutMs: 20 });
  assert.deepEqual([(await lost).code, (await lost).mayCommit], ["RAFT_CLOSED", true]);
  const { applied } = hasty.status();
  late.reject(new Error("nobody hears this"));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([hasty.status().applied, hasty.status().fault], [applied, null]);
});

test("a snapshot is of the state between two calls, whose promises have resolved", async (t) => {
  const machine = new Patient();
  const begun: number[] = [];
  const stateMachine = {
    apply: (entries: readonly Entry[]) => machine.apply(entries),
    snapshot: () => {
      begun.push(machine.calls.length);
      return Buffer.from("state");
    },
    restore: async () => {},
  };
  const { node } = await soleWith(t, stateMachine);
  const first = node.propose(Buffer.from("a"));
  const call = await machine.called(1);
  const second = node.propose(Buffer.from("b"));
  await until("b is committed", WAIT_MS, () => node.status().commit > call.entries[0]!.index);
  const taken = node.takeSnapshot();
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(begun, []);
  call.resolve();
  assert.equal((await taken).index, call.entries[0]!.index);
  assert.deepEqual(begun, [1]);
  (await machine.called(2)).resolve();
  await Promise.all([first, second]);
});

test("with one Ready after the other the log uses no memory of entries again: what is to be sent may wait for long", async (t) => {
  for (const storageWrites of ["async", "sync"] as const) {
    const { node } = await soleWith(t, { apply: async () => undefined }, { storageWrites });
    const { index } = await node.propose(Buffer.from("a"));
    const { storage } = (node as unknown as { wal: { storage: { settled: number } } }).wal;
    await until("a second", WAIT_MS, async () => (await node.propose(Buffer.from("b"))).index > index + 1);
    assert.equal(storage.settled > 0, storageWrites === "async");
  }
});

test("entries stay as they are until the promise resolves, whatever the log does with memory meanwhile", async (t) => {
  bytePoolTesting.poison = true;
  atEnd(t, async () => {
    bytePoolTesting.poison = false;
  });
  const peers = await freePeers(3);
  const slow = new Patient();
  const entryBytes = 100_000;
  const { running } = await openNodes(t, 3, (id) => ({
    link: undefined,
    listen: peers[id],
    peers,
    logCacheBytes: 16 << 20,
    electionTicks: 100,
    ...(id === 3 ? { stateMachine: slow as unknown as RaftNodeOptions["stateMachine"] } : {}),
  }));
  running[0]!.node.campaign();
  const { node } = await leaderOf(running);
  const fill = (i: number): Buffer => Buffer.alloc(entryBytes, 65 + (i % 26));
  await node.propose(fill(0));
  const call = await slow.called(1);
  for (let i = 1; i <= 60; i++) await node.propose(fill(i));
  await until(
    "all in its log",
    WAIT_MS,
    () => running[2]!.node.status().lastIndex === node.status().lastIndex,
  );
  assert.ok(Buffer.from(call.entries[0]!.data).equals(fill(0)), "the entry that it holds was written over");
  let seen = 0;
  for (let calls = 1; seen <= 60; calls++) {
    const { entries, resolve } = await slow.called(calls);
    for (const { data } of entries) assert.ok(Buffer.from(data).equals(fill(seen++)), `entry ${seen - 1}`);
    resolve();
  }
});
