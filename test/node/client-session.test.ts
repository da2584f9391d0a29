// Sessions as callers use them: on three nodes, across leaders, restarts and snapshots.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type CallOptions, type Entry, type Proposed, RaftmarkError } from "../../src/index.js";
import { MemoryNetwork } from "../../src/link/index.js";
import { ClientSession, Pauses } from "../../src/node/client-session.js";
import { sessionBytes } from "../../src/node/session-entry.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import { type Given, leaderOf, openNode, type Running, rejection, sole, WAIT_MS } from "./nodes.js";

/** Counts how often each text was applied; its snapshot has all of it. */
class Counter {
  counts = new Map<string, number>();
  restored = 0;

  apply(entries: readonly Entry[]): number[] {
    return entries.map(({ data }) => {
      const text = Buffer.from(data).toString();
      const count = (this.counts.get(text) ?? 0) + 1;
      this.counts.set(text, count);
      return this.counts.size;
    });
  }

  snapshot(): Uint8Array {
    return Buffer.from(JSON.stringify([...this.counts]));
  }

  async restore(stream: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of stream) parts.push(chunk);
    this.counts = new Map(JSON.parse(Buffer.concat(parts).toString()));
    this.restored++;
  }
}

function bytes(text: string): Buffer {
  return Buffer.from(text);
}

/** A node with a Counter. */
async function counting(open: (more: Given) => Promise<Running>): Promise<Running & { counter: Counter }> {
  const counter = new Counter();
  return { ...(await open({ stateMachine: counter as unknown as Given["stateMachine"] })), counter };
}

async function cluster(t: TestContext, more: Given = {}) {
  const network = new MemoryNetwork();
  const dir = tempDir(t);
  const reopen = (id: number) =>
    counting((machine) => openNode(t, dir, id, 3, { link: network.link(id), ...more, ...machine }));
  const running = [await reopen(1), await reopen(2), await reopen(3)];
  await leaderOf(running);
  return { network, running, reopen };
}

test("a retried proposal resolves with the first outcome, on any member, after a restart and out of a snapshot", async (t) => {
  const { running, reopen } = await cluster(t);
  const session = await running[0].node.openSession();
  const first = await session.propose(bytes("a"));
  await session.propose(bytes("b"));
  assert.deepEqual(await session.propose(bytes("a"), { sequence: 1 }), first);
  for (const { node } of running) {
    assert.deepEqual(await node.session(session.id).propose(bytes("a"), { sequence: 1 }), first);
  }
  const [one] = running;
  const taken = await one.node.takeSnapshot();
  assert.equal(taken.bytes, one.counter.snapshot().length);
  await one.node.close();
  const again = await reopen(1);
  assert.equal(again.counter.restored, 1);
  assert.deepEqual(again.node.status().snapshot, taken);
  assert.deepEqual(await again.node.session(session.id).propose(bytes("a"), { sequence: 1 }), first);
  const { index } = await again.node.session(session.id).propose(bytes("c"), { sequence: 3 });
  await until("all have c", WAIT_MS, () =>
    [again, ...running.slice(1)].every(({ node }) => node.status().applied >= index),
  );
  for (const { counter } of [again, ...running.slice(1)])
    assert.deepEqual(
      [...counter.counts],
      [
        ["a", 1],
        ["b", 1],
        ["c", 1],
      ],
    );
});

test("a session that is taken up again gives no number by itself: what is new would pass for what was proposed first", async (t) => {
  const { node } = await sole(t);
  const session = await node.openSession();
  await session.propose(bytes("a"));
  const again = node.session(session.id);
  const refused = await rejection(again.propose(bytes("b")));
  assert.deepEqual([refused.code, refused.mayCommit], ["RAFT_BAD_OPTION", false]);
  const { index } = await again.propose(bytes("b"), { sequence: 2 });
  assert.equal((await rejection(again.propose(bytes("c")))).code, "RAFT_BAD_OPTION");
  assert.equal((await again.propose(bytes("b"), { sequence: 2 })).index, index);
});

test("a member that is sent a snapshot knows its sessions", async (t) => {
  const { network, running } = await cluster(t, { snapshotCatchUpBytes: 0, segmentBytes: 8192 });
  const leader = (await leaderOf(running)) as Running & { counter: Counter };
  const away = running.find((one) => one !== leader)!;
  const others = running.filter((one) => one !== away).map(({ node }) => node.status().id);
  network.partition([away.node.status().id], others);
  const session = await leader.node.openSession();
  const first = await session.propose(bytes("a"));
  for (let i = 0; i < 300; i++) await leader.node.propose(Buffer.alloc(200, `p${i} `));
  for (let i = 0; i < 2; i++) {
    await leader.node.takeSnapshot();
    await leader.node.propose(bytes("more"));
  }
  await until("the log is cut", WAIT_MS, () => leader.node.status().log.firstIndex > first.index);
  network.heal();
  await until("it has the snapshot", WAIT_MS, () => away.counter.restored > 0);
  assert.deepEqual(await away.node.session(session.id).propose(bytes("a"), { sequence: 1 }), first);
  assert.equal(away.counter.counts.get("a"), 1);
});

test("proposals on all members under changes of leader: each acknowledged once, none applied twice", async (t) => {
  const { running } = await cluster(t);
  const sessions = await Promise.all(running.map(({ node }) => node.openSession()));
  let isOver = false;
  const clients = sessions.flatMap((session, i) =>
    [0, 1, 2, 3].map(async (client) => {
      const done: string[] = [];
      for (let n = 0; !isOver; n++) {
        const text = `${i} ${client} ${n}`;
        await session.propose(bytes(text));
        done.push(text);
      }
      return done;
    }),
  );
  for (let turn = 0; turn < 6; turn++) {
    const leader = await leaderOf(running);
    const heir = running[(running.indexOf(leader as never) + 1) % 3].node;
    leader.node.transferLeadership(heir.status().id);
    await until("the heir leads", WAIT_MS, () => heir.status().state === "StateLeader");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  isOver = true;
  const acknowledged = (await Promise.all(clients)).flat();
  assert.ok(acknowledged.length > 100);
  await until(
    "all level",
    WAIT_MS,
    () => new Set(running.map(({ node }) => node.status().applied)).size === 1,
  );
  for (const { counter } of running) {
    for (const text of acknowledged) assert.equal(counter.counts.get(text), 1, text);
    assert.ok([...counter.counts.values()].every((count) => count === 1));
  }
});

test("committed() tells which proposal of a session an entry is, and nothing of one that opens", async (t) => {
  const { node } = await sole(t);
  const session = await node.openSession();
  await session.propose(bytes("a"));
  await session.propose(bytes("a"), { sequence: 1 });
  await node.propose(bytes("plain"));
  const told: unknown[] = [];
  for await (const { data, session: place } of node.committed({ from: 1 })) {
    told.push([Buffer.from(data).toString(), place]);
    if (told.length === 3) break;
  }
  const place = { id: session.id, sequence: 1 };
  assert.deepEqual(told, [
    ["a", place],
    ["a", place],
    ["plain", undefined],
  ]);
});

test("a length that is not that of the bytes is as good as none, in a session, a result and a snapshot", async (t) => {
  const lying = (of: Uint8Array, length: number) => Object.defineProperty(of, "length", { value: length });
  const seen: string[] = [];
  const stateMachine = {
    apply: (entries: readonly Entry[]) =>
      entries.map(({ data }) => {
        seen.push(Buffer.from(data).toString());
        return lying(bytes("result"), 3);
      }),
    snapshot: () => lying(bytes("state"), 3),
    restore: async () => {},
  };
  const { node } = await sole(t, { stateMachine });
  const session = await node.openSession();
  await session.propose(lying(bytes("shorter"), 2));
  await session.propose(lying(bytes("longer"), 30));
  assert.deepEqual(seen, ["shorter", "longer"]);
  const again = await session.propose(bytes("shorter"), { sequence: 1 });
  assert.equal(Buffer.from(again.result as Uint8Array).toString(), "result");
  assert.equal((await node.takeSnapshot()).bytes, 5);
  const forged = await rejection(node.propose(lying(sessionBytes(session.id, 9, bytes("x")), 3)));
  assert.equal(forged.code, "RAFT_BAD_OPTION");
});

test("bad arguments are refused at the door", async (t) => {
  const { node } = await sole(t);
  const session = await node.openSession();
  for (const sequence of [0, -1, 1.5, 2 ** 53, "1"]) {
    const error = await rejection(session.propose(bytes("a"), { sequence: sequence as number }));
    assert.match(error.message, /option sequence: must be an integer/);
  }
  assert.equal((await rejection(session.propose(bytes("")))).code, "RAFT_BAD_OPTION");
  assert.equal((await rejection(session.propose("a" as never))).code, "RAFT_BAD_OPTION");
  assert.match(
    (await rejection(session.propose(bytes("a"), { sequnce: 1 } as never))).message,
    /Did you mean sequence|sequence/,
  );
  assert.match(
    (await rejection(node.propose(sessionBytes(session.id, 9, bytes("x"))))).message,
    /begin as entries of sessions do/,
  );
  assert.throws(() => node.session(0), { code: "RAFT_BAD_OPTION" });
  const unknown = await rejection(node.session(12345).propose(bytes("a"), { sequence: 1 }));
  assert.deepEqual([unknown.code, unknown.mayCommit], ["RAFT_SESSION_EXPIRED", false]);
  await session.propose(bytes("far"), { sequence: 1000 });
  const behind = await rejection(session.propose(bytes("b"), { sequence: 1 }));
  assert.deepEqual([behind.code, behind.mayCommit], ["RAFT_OUTCOME_FORGOTTEN", true]);
  assert.equal((await session.propose(bytes("next"))).result, undefined);
  await session.propose(bytes("last"), { sequence: Number.MAX_SAFE_INTEGER });
  assert.match(
    (await rejection(session.propose(bytes("none left")))).message,
    /last number, 2\^53-1, was used/,
  );
  const other = await node.openSession();
  await node.close();
  assert.equal((await rejection(other.propose(bytes("a")))).code, "RAFT_CLOSED");
});

test("an unknown outcome is tried again until time is up, and no later refusal takes back that it may be applied", async () => {
  const lost = new RaftmarkError("RAFT_LEADERSHIP_LOST", "lost", { mayCommit: true });
  const none = new RaftmarkError("RAFT_NO_LEADER", "none");
  const outcomes: (RaftmarkError | Proposed)[] = [];
  const given: Uint8Array[] = [];
  const host = {
    requestTimeoutMs: 60_000,
    pauses: new Pauses(),
    propose: async (framed: Uint8Array, { timeoutMs }: CallOptions) => {
      // As a message shows it.
      assert.ok(Number.isInteger(timeoutMs), `${timeoutMs}`);
      given.push(framed);
      const next = outcomes.shift() ?? lost;
      if (next instanceof Error) throw next;
      return next;
    },
  };
  const session = new ClientSession(host, 5, 1);
  outcomes.push(lost, { index: 9, term: 2, result: { kind: "applied", result: "r" } });
  assert.deepEqual(await session.propose(bytes("x")), { index: 9, term: 2, result: "r" });
  assert.deepEqual(given[0], given[1]);
  outcomes.push(lost, none);
  const refused = await rejection(session.propose(bytes("y")));
  assert.deepEqual([refused.code, refused.mayCommit], ["RAFT_NO_LEADER", true]);
  outcomes.push(none);
  assert.equal((await rejection(session.propose(bytes("z")))).mayCommit, false);
  const expired = { index: 9, term: 2, result: { kind: "expired" } };
  outcomes.push(lost, expired);
  const gone = await rejection(session.propose(bytes("z")));
  assert.deepEqual([gone.code, gone.mayCommit], ["RAFT_SESSION_EXPIRED", true]);
  const late = await rejection(session.propose(bytes("z"), { timeoutMs: 100 }));
  assert.deepEqual([late.code, late.mayCommit], ["RAFT_LEADERSHIP_LOST", true]);
});

test("a call that waits for its next try ends with its node, not after it", async () => {
  const pauses = new Pauses();
  let isClosed = false;
  const propose = async (): Promise<never> => {
    if (isClosed) throw new RaftmarkError("RAFT_CLOSED", "closed");
    throw new RaftmarkError("RAFT_LEADERSHIP_LOST", "lost", { mayCommit: true });
  };
  const session = new ClientSession({ requestTimeoutMs: 60_000, pauses, propose }, 5, 1);
  const call = rejection(session.propose(bytes("x")));
  await null;
  isClosed = true;
  pauses.end();
  const first = await Promise.race([call, new Promise((resolve) => setImmediate(resolve))]);
  assert.deepEqual(
    [(first as RaftmarkError)?.code, (first as RaftmarkError)?.mayCommit],
    ["RAFT_CLOSED", true],
  );
});

test("of two calls of one number that end one after the other, the later still counts as under way", async () => {
  const ends: ((value: Proposed) => void)[] = [];
  const propose = (): Promise<Proposed> => new Promise((resolve) => ends.push(resolve));
  const session = new ClientSession({ requestTimeoutMs: 60_000, pauses: new Pauses(), propose }, 5, null);
  const done = { index: 9, term: 2, result: { kind: "applied", result: "r" } };
  const calls = [1, 1].map((sequence) => session.propose(bytes("x"), { sequence }));
  ends[0]!(done);
  await calls[0];
  assert.equal((await rejection(session.propose(bytes("y"), { sequence: 65 }))).code, "RAFT_OVERLOADED");
  ends[1]!(done);
  await calls[1];
  const last = session.propose(bytes("y"), { sequence: 65 });
  ends[2]!(done);
  assert.equal((await last).result, "r");
});
