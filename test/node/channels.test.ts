// What nodes publish on node:diagnostics_channel, and the lines that tell their life.
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import type { DiagnosticsChannels, Logger, RaftNodeOptions } from "../../src/index.js";
import { MemoryNetwork } from "../../src/link/index.js";
import { NodeChannels } from "../../src/node/channels.js";
import { StateCandidate, StateFollower, StateLeader } from "../../src/raft/index.js";
import { until } from "../process/support.js";
import { atEnd, tempDir } from "../temp-dir.js";
import { leaderOf, openNode, openNodes, type Running, sole, WAIT_MS } from "./nodes.js";
import { SlotMachine } from "./snapshot-machine.js";

type Channel = keyof DiagnosticsChannels;

const ALL: Record<Channel, true> = {
  "raftmark:election": true,
  "raftmark:leader": true,
  "raftmark:snapshot": true,
  "raftmark:fenced": true,
  "raftmark:membership": true,
  "raftmark:removed": true,
  "raftmark:link": true,
};

/** What is published while the test runs. */
function listen<C extends Channel>(t: TestContext, channel: C): DiagnosticsChannels[C][] {
  const messages: DiagnosticsChannels[C][] = [];
  const take = (message: unknown): unknown => messages.push(message as DiagnosticsChannels[C]);
  subscribe(channel, take);
  atEnd(t, () => unsubscribe(channel, take));
  return messages;
}

test("each channel says whom it is about, and what happened", async (t) => {
  const elections = listen(t, "raftmark:election");
  const leaders = listen(t, "raftmark:leader");
  const links = listen(t, "raftmark:link");
  const snapshots = listen(t, "raftmark:snapshot");
  const fenced = listen(t, "raftmark:fenced");
  const { running } = await openNodes(t, 3, () => ({ clusterId: 77, stateMachine: new SlotMachine() }));
  const leader = await leaderOf(running);
  const { id, term } = leader.node.status();
  await until("all know", WAIT_MS, () => new Set(leaders.map(({ node }) => node)).size === 3);
  assert.ok(leaders.some((one) => one.node === id && one.leader === id && one.term === term));
  const own = elections.filter((one) => one.node === id && one.term === term);
  assert.deepEqual(own, [
    { node: id, clusterId: 77, term, outcome: "started" },
    { node: id, clusterId: 77, term, outcome: "won" },
  ]);
  const ways = () => new Set(links.flatMap((one) => (one.connected ? [`${one.node} ${one.peer}`] : [])));
  await until("each way between three", WAIT_MS, () => ways().size === 6);
  assert.deepEqual(
    Object.keys(links[0]!).sort(),
    ["clusterId", "connected", "node", "peer", "refusal"].sort(),
  );
  await leader.node.propose(Buffer.from("x"));
  const { index, bytes } = await leader.node.takeSnapshot();
  await until("it is told", WAIT_MS, () => snapshots.length > 0);
  const { term: at } = leader.node.status();
  assert.deepEqual(snapshots, [{ node: id, clusterId: 77, index, term: at, bytes, from: 0, error: null }]);
  assert.deepEqual(fenced, []);
});

test("a change of members is published by every member, with who they are then", async (t) => {
  const changes = listen(t, "raftmark:membership");
  const { running } = await openNodes(t, 3, () => ({ clusterId: 77 }));
  const leader = await leaderOf(running);
  const { index } = await leader.node.changeMembership({
    add: [{ id: 4, address: "127.0.0.1:7004", learner: true }],
  });
  await until("all tell", WAIT_MS, () => changes.length >= 3);
  assert.deepEqual(changes.map(({ node }) => node).sort(), [1, 2, 3]);
  for (const change of changes) {
    assert.deepEqual([change.clusterId, change.index, change.isJoint], [77, index, false]);
    assert.deepEqual(
      change.members.map(({ id, role }) => `${id} ${role}`),
      ["1 voter", "2 voter", "3 voter", "4 learner"],
    );
    assert.equal(change.members[3]!.address, "127.0.0.1:7004");
  }
});

test("a node that fences itself says so, and who subscribed may call it", async (t) => {
  const fenced = listen(t, "raftmark:fenced");
  const states: string[] = [];
  let broken = false;
  const apply = (): undefined => {
    if (broken) throw new Error("cannot apply");
    return undefined;
  };
  const { node } = await sole(t, { stateMachine: { apply }, clusterId: 5 });
  const look = (): unknown => states.push(node.status().state);
  subscribe("raftmark:fenced", look);
  atEnd(t, () => unsubscribe("raftmark:fenced", look));
  broken = true;
  await assert.rejects(node.propose(Buffer.from("x")), { code: "RAFT_FENCED" });
  await until("it is told", WAIT_MS, () => fenced.length > 0);
  assert.equal(fenced.length, 1);
  assert.deepEqual([fenced[0]!.node, fenced[0]!.clusterId, fenced[0]!.error.code], [1, 5, "RAFT_FENCED"]);
  assert.deepEqual(states, ["StateFenced"]);
});

test("nothing is built without a subscriber", (t) => {
  const channels = new NodeChannels(1, 2);
  // Its fields throw when they are read, and so when a message is made of it.
  const event = Object.defineProperty({}, "leader", {
    enumerable: true,
    get: () => assert.fail("it was read"),
  }) as never;
  channels.event("leader", event);
  listen(t, "raftmark:leader");
  assert.throws(() => channels.event("leader", event), /it was read/);
});

test("elections of a node: begun, won, lost to another, and lost to nobody", async (t) => {
  const told = listen(t, "raftmark:election");
  const channels = new NodeChannels(1, 2);
  const look = (electionsStarted: number, electionsWon: number, state: number, term: number): void =>
    channels.elections({ electionsStarted, electionsWon, state, term } as never);
  look(0, 0, StateFollower, 3);
  look(1, 0, StateCandidate, 4);
  look(1, 0, StateCandidate, 4);
  // Its time is up, and it tries again.
  look(2, 0, StateCandidate, 5);
  look(2, 0, StateFollower, 5);
  look(2, 0, StateFollower, 6);
  // Within a turn, as a sole voter may.
  look(3, 1, StateLeader, 7);
  look(3, 1, StateFollower, 8);
  await Promise.resolve();
  assert.deepEqual(
    told.map(({ term, outcome }) => `${outcome} ${term}`),
    ["started 4", "lost 4", "started 5", "lost 5", "started 7", "won 7"],
  );
});

interface Line {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly text: string;
}

/** As pino is called. */
function lines(all: Line[]): Logger {
  const at = (level: string) => (fields: object, text: string) =>
    void all.push({ level, fields: fields as Record<string, unknown>, text });
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

test("the lines of a node tell its life, and are fewer than 20", async (t) => {
  const dir = tempDir(t);
  const network = new MemoryNetwork();
  const logs = new Map<number, Line[]>([1, 2, 3].map((id) => [id, []]));
  const machines = new Map([1, 2, 3].map((id) => [id, new SlotMachine()]));
  const open = (id: number): Promise<Running> => {
    const more: Partial<RaftNodeOptions> = {
      link: network.link(id),
      logger: lines(logs.get(id)!),
      stateMachine: machines.get(id)!,
    };
    return openNode(t, dir, id, 3, more);
  };
  // Three start and elect; one takes a snapshot; a follower restarts; leadership moves; all close.
  const running = await Promise.all([1, 2, 3].map(open));
  const first = await leaderOf(running);
  const leader = first.node.status().id;
  for (let i = 0; i < 20; i++) await first.node.propose(Buffer.from([i]));
  const { index } = await first.node.takeSnapshot();
  const follower = (leader % 3) + 1;
  const heir = (follower % 3) + 1;
  await running[follower - 1]!.node.close();
  machines.set(follower, new SlotMachine());
  running[follower - 1] = await open(follower);
  await leaderOf(running);
  await first.node.propose(Buffer.from([99]));
  await until("it moved", WAIT_MS, () => {
    for (const { node } of running) if (node.status().leader !== heir) node.transferLeadership(heir);
    return running.every(({ node }) => node.status().leader === heir);
  });
  // In the turn behind that.
  const knows = (log: Line[]) =>
    log.some(({ text }) => new RegExp(`^node ${heir}\\b.* leads term`).test(text));
  await until("all tell", WAIT_MS, () => [...logs.values()].every(knows));
  const terms = running[0]!.node.status().term;
  for (const id of [follower, leader, heir]) await running[id - 1]!.node.close({ timeoutMs: 0 });
  for (const [id, log] of logs) {
    const told = log.map(({ level, text }) => `${level} ${text}`);
    const shown = `node ${id}:\n${told.join("\n")}`;
    const lives = id === follower ? 2 : 1;
    assert.ok(told.length < 20 * lives, `${told.length} lines\n${shown}`);
    const has = (pattern: RegExp, times: number): void =>
      assert.equal(told.filter((text) => pattern.test(text)).length, times, `${pattern}\n${shown}`);
    has(/^info node \d starts: /, lives);
    has(/^info this node is closed, in term \d+, with \d+ entries applied$/, lives);
    assert.match(told[0]!, /starts: a new log; it listens at 127\.0\.0\.1:700\d$/, shown);
    assert.match(told.at(-1)!, /is closed/, shown);
    const leads = (who: number): RegExp =>
      new RegExp(`node ${who}${who === id ? ", this one," : ""} leads term`);
    assert.ok(
      told.some((text) => leads(leader).test(text)),
      shown,
    );
    assert.ok(
      told.some((text) => leads(heir).test(text)),
      shown,
    );
    for (const other of [1, 2, 3].filter((one) => one !== id))
      assert.ok(
        told.some((text) => text.includes(`node ${other} is connected`)),
        shown,
      );
    has(new RegExp(`snapshot at index ${index} is taken`), id === leader ? 1 : 0);
    if (id === follower) has(/starts: term \d+, a log up to index \d+; it listens/, 1);
    // Its return within the second may still be held back when this one closes.
    else
      assert.ok(
        told.some((text) => text.includes(`node ${follower} is not connected any more`)),
        shown,
      );
    for (const { fields, level } of log) {
      assert.equal(fields["node"], id);
      assert.notEqual(level, "error", shown);
      assert.doesNotThrow(() => JSON.stringify(fields));
    }
  }
  assert.ok(terms >= 2);
});

test("an error is where pino looks for it", async (t) => {
  const all: Line[] = [];
  const apply = (): never => {
    throw new Error("cannot apply");
  };
  const { node } = await sole(t, { stateMachine: { apply }, logger: lines(all) });
  await assert.rejects(node.propose(Buffer.from("x")), { code: "RAFT_FENCED" });
  await until("it is told", WAIT_MS, () => all.some(({ level }) => level === "error"));
  const { fields } = all.find(({ level }) => level === "error")!;
  assert.ok(fields["err"] instanceof Error && fields["code"] === "RAFT_FENCED");
});

test("every channel is in docs/operate.md", () => {
  const text = readFileSync(new URL("../../../docs/operate.md", import.meta.url), "utf8");
  for (const channel of Object.keys(ALL)) assert.ok(text.includes(`| \`${channel}\` |`), channel);
});
