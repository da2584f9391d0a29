// Changes of members of running nodes: learners, promotion, removal, replacement, and what is refused and why.
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type TestContext, test } from "node:test";
import type { MembershipChange, RaftNode } from "../../src/index.js";
import { MemoryNetwork } from "../../src/link/index.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import { type Given, leaderOf, openNode, type Running, rejection, WAIT_MS } from "./nodes.js";
import { SlotMachine } from "./snapshot-machine.js";

const addressOf = (id: number): string => `127.0.0.1:${7000 + id}`;
const peersOf = (...ids: number[]): Record<number, string> =>
  Object.fromEntries(ids.map((id) => [id, addressOf(id)]));

/** A cluster whose nodes come and go. */
class Group {
  readonly network = new MemoryNetwork();
  readonly dir: string;
  readonly t: TestContext;
  readonly nodes = new Map<number, Running>();

  constructor(t: TestContext) {
    this.t = t;
    this.dir = tempDir(t);
  }

  async open(id: number, peers: Record<number, string>, more: Given = {}): Promise<Running> {
    const link = this.network.link(id);
    const running = await openNode(this.t, this.dir, id, 1, { link, listen: peers[id]!, peers, ...more });
    this.nodes.set(id, running);
    return running;
  }

  join(id: number, peers: Record<number, string>, more: Given = {}): Promise<Running> {
    return this.open(id, peers, { initialClusterState: "existing", ...more });
  }

  async close(id: number): Promise<void> {
    await this.nodes.get(id)!.node.close();
    this.nodes.delete(id);
  }

  get all(): Running[] {
    return [...this.nodes.values()];
  }

  leader(): Promise<Running> {
    const isMember = ({ node }: Running): boolean => {
      const { state, id, members } = node.status();
      return state !== "StateRemoved" && members.some((one) => one.id === id);
    };
    return leaderOf(this.all.filter(isMember));
  }

  /** Asks whoever leads, again where leadership or an earlier change is in the way. */
  async change(change: MembershipChange): Promise<void> {
    for (;;) {
      try {
        await (await this.leader()).node.changeMembership(change);
        return;
      } catch (error) {
        const { code } = error as { code: string };
        if (code !== "RAFT_NOT_LEADER" && code !== "RAFT_PROPOSAL_DROPPED") throw error;
      }
    }
  }
}

async function three(t: TestContext, more: Given = {}): Promise<Group> {
  const group = new Group(t);
  for (const id of [1, 2, 3]) await group.open(id, peersOf(1, 2, 3), more);
  await group.leader();
  return group;
}

const rolesOf = (node: RaftNode): string =>
  node
    .status()
    .members.map(({ id, role }) => `${id} ${role}`)
    .join(", ");

async function proposed({ node }: Running, text: string): Promise<void> {
  await node.propose(Buffer.from(text));
}

const has = ({ machine }: Running, text: string): boolean => machine.log.includes(text);

async function caughtUp(leader: RaftNode, id: number): Promise<void> {
  await until(`node ${id} has the log`, WAIT_MS, () => {
    const { progress, commit } = leader.status();
    return (progress.find((one) => one.id === id)?.match ?? 0) >= commit;
  });
}

test("a learner gets the log from its first entry, is promoted, and the old member goes: all members agree", async (t) => {
  const group = await three(t);
  const leader = await group.leader();
  for (let i = 0; i < 50; i++) await proposed(leader, `before ${i}`);
  const four = await group.join(4, peersOf(1, 2, 3, 4));
  assert.equal(rolesOf(four.node), "");
  const changed = await leader.node.changeMembership({
    add: [{ id: 4, address: addressOf(4), learner: true }],
  });
  assert.ok(changed.index > 50);
  assert.equal(rolesOf(leader.node), "1 voter, 2 voter, 3 voter, 4 learner");
  await caughtUp(leader.node, 4);
  await until("it has all", WAIT_MS, () => has(four, "before 49"));
  const gone = leader.node.status().id === 3 ? 2 : 3;
  await group.change({ promote: [4], remove: [gone] });
  const left = [1, 2, 3, 4].filter((id) => id !== gone);
  const roles = left.map((id) => `${id} voter`).join(", ");
  await until("all know", WAIT_MS, () =>
    left.every(
      (id) => rolesOf(group.nodes.get(id)!.node) === roles && !group.nodes.get(id)!.node.status().isJoint,
    ),
  );
  const removed = group.nodes.get(gone)!;
  await until("it knows that it is removed", WAIT_MS, () => removed.node.status().state === "StateRemoved");
  const error = await rejection(removed.node.propose(Buffer.from("x")));
  assert.equal(error.code, "RAFT_REMOVED");
  assert.match(error.message, new RegExp(`node ${gone} was removed from the cluster`));
  await proposed(leader, "after");
  await until("the new one applies", WAIT_MS, () => has(four, "after"));
});

test("a leader that removes itself hands over, and stops; the others go on", async (t) => {
  const group = await three(t);
  const leader = await group.leader();
  const { id } = leader.node.status();
  const told: string[] = [];
  leader.node.on("removed", (error) => told.push(error.code));
  await leader.node.changeMembership({ remove: [id] });
  await until("it stops", WAIT_MS, () => leader.node.status().state === "StateRemoved");
  group.nodes.delete(id);
  const next = await group.leader();
  assert.notEqual(next.node.status().id, id);
  await proposed(next, "on");
  await until("both have it", WAIT_MS, () => group.all.every((one) => has(one, "on")));
  await leader.node.close();
  assert.deepEqual(told, ["RAFT_REMOVED"]);
  assert.match(leader.lines.matching(/^warn .*was removed/)[0]!, /new id and an empty directory/);
});

test("of two voters the one that leads removes itself: the other, which did not know, leads", async (t) => {
  const group = new Group(t);
  for (const id of [1, 2]) await group.open(id, peersOf(1, 2));
  const leader = await group.leader();
  const { id } = leader.node.status();
  await leader.node.changeMembership({ remove: [id] });
  group.nodes.delete(id);
  await proposed(await group.leader(), "alone");
});

test("a node restarts from its own log: peers of the options are told, and not followed", async (t) => {
  const group = await three(t);
  const four = await group.join(4, peersOf(1, 2, 3, 4));
  await group.change({ add: [{ id: 4, address: addressOf(4), learner: true }] });
  await caughtUp((await group.leader()).node, 4);
  await group.change({ promote: [4], remove: [1] });
  await until("the new one knows", WAIT_MS, () => rolesOf(four.node) === "2 voter, 3 voter, 4 voter");
  await group.close(4);
  const again = await group.open(4, { ...peersOf(1, 2, 4), 3: "127.0.0.1:9" });
  await until("it has its members", WAIT_MS, () => rolesOf(again.node) === "2 voter, 3 voter, 4 voter");
  const differences = (): string[] => again.lines.matching(/^warn option peers/);
  await until("it tells of both", WAIT_MS, () => differences().length === 2);
  const told = differences();
  assert.match(
    told[0]!,
    /names nodes 1, 2, 3, 4, and by the log in .* the members are nodes 2, 3, 4: the log counts/,
  );
  assert.equal(again.node.status().members.find(({ id }) => id === 3)!.address, addressOf(3));
  assert.match(
    told[1]!,
    /option peers\.3 is 127\.0\.0\.1:9, and by the log in .* node 3 is at 127\.0\.0\.1:7003/,
  );
  await proposed(await group.leader(), "later");
  await until("it applies", WAIT_MS, () => has(again, "later"));
  // It went through all changes within a second.
  const said = (): string[] => again.lines.matching(/the members are .* now/);
  await until("it tells how it stands", WAIT_MS, () => said().at(-1) === "info the members are 2, 3, 4 now");
});

test("a member that starts where a change says that it is, which it has not heard yet, tells of no difference", async (t) => {
  const group = await three(t);
  const moves = (await group.leader()).node.status().id === 3 ? 2 : 3;
  const others = [1, 2, 3].filter((id) => id !== moves);
  group.network.partition([moves], others);
  const moved = "127.0.0.1:8000";
  await (await leaderOf(others.map((id) => group.nodes.get(id)!))).node.changeMembership({
    update: [{ id: moves, address: moved }],
  });
  await group.close(moves);
  group.network.heal();
  const { node, lines } = await group.open(moves, { ...peersOf(1, 2, 3), [moves]: moved });
  await node.readBarrier();
  assert.equal(node.status().members[moves - 1]!.address, moved);
  assert.deepEqual(lines.matching(/option peers/), []);
});

test("a removed node that cannot close says so, and leaves no rejection to nobody", async (t) => {
  const group = new Group(t);
  for (const id of [1, 2]) await group.open(id, peersOf(1, 2));
  const { node, lines } = await group.leader();
  const { wal } = node as unknown as { wal: { close(): Promise<void> } };
  const close = wal.close.bind(wal);
  t.mock.method(wal, "close", async () => {
    await close();
    throw new Error("its disk is gone");
  });
  await node.changeMembership({ remove: [node.status().id] });
  await until("it is told", WAIT_MS, () => lines.matching(/closing failed: its disk is gone/).length > 0);
  await assert.rejects(node.close(), /its disk is gone/);
  node.close = async () => {};
});

test("a node that was down while it was removed is told by the others, and does not start again", async (t) => {
  const group = await three(t);
  const away = (await group.leader()).node.status().id === 3 ? 2 : 3;
  await group.close(away);
  await group.change({ remove: [away] });
  const back = await group.open(away, peersOf(1, 2, 3));
  await until("it is told", WAIT_MS, () => back.node.status().state === "StateRemoved");
  assert.match(
    (await rejection(back.node.readBarrier())).message,
    /was removed from the cluster \(node \d says so\)/,
  );
  await back.node.close();
});

test("a node whose own log says that it was removed knows so when it starts again", async (t) => {
  const group = await three(t);
  const leader = await group.leader();
  const { id } = leader.node.status();
  await leader.node.changeMembership({ remove: [id] });
  await until("it stops", WAIT_MS, () => leader.node.status().state === "StateRemoved");
  await group.close(id);
  const again = await group.open(id, peersOf(1, 2, 3));
  await until("it knows", WAIT_MS, () => again.node.status().state === "StateRemoved");
  assert.equal((await rejection(again.node.propose(Buffer.from("x")))).code, "RAFT_REMOVED");
  await again.node.close();
});

test("removed members who are the only ones to know stay until the others do", async (t) => {
  const group = await three(t);
  const leader = await group.leader();
  const { id } = leader.node.status();
  const [one, other] = [1, 2, 3].filter((each) => each !== id) as [number, number];
  // The one that stays hears of the change, and not that it is committed.
  const changed = leader.node.changeMembership({ remove: [id, one] }, { timeoutMs: 2_000 }).catch(() => null);
  await until("it is in its log", WAIT_MS, () => group.nodes.get(other)!.node.status().lastIndex > 1);
  await Promise.all([id, one].map((each) => group.close(each)));
  await changed;
  for (const each of [id, one]) await group.open(each, peersOf(1, 2, 3));
  const last = group.nodes.get(other)!;
  await until(
    "it leads alone, or the change was lost",
    WAIT_MS,
    () => ["StateLeader"].includes(last.node.status().state) || rolesOf(last.node).split(",").length === 3,
  );
  await until("there is a leader", WAIT_MS, () =>
    group.all.some(({ node }) => node.status().state === "StateLeader"),
  );
});

test("what was removed stays, and its change does not resolve, before a majority of the others knows", async (t) => {
  const group = await three(t, { leaderlessTimeoutMs: 2000 });
  const leader = await group.leader();
  const { id } = leader.node.status();
  const [other, gone] = [1, 2, 3].filter((each) => each !== id) as [number, number];
  // The one that stays hears no more of the leader, as soon as that knows.
  const cut = (event: unknown): void => {
    if ((event as { node: number }).node === id) group.network.partition([id], [other]);
  };
  subscribe("raftmark:membership", cut);
  t.after(() => unsubscribe("raftmark:membership", cut));
  const error = await rejection(leader.node.changeMembership({ remove: [gone] }));
  assert.deepEqual([error.code, error.mayCommit], ["RAFT_LEADERSHIP_LOST", true]);
  assert.match(error.message, /the change is in force, and .*: do not turn off what it removed/);
  const isClosed = (): boolean => group.nodes.get(gone)!.lines.matching(/this node is closed/).length > 0;
  assert.ok(!isClosed());
  unsubscribe("raftmark:membership", cut);
  group.network.heal();
  await until("it may go", WAIT_MS, isClosed);
  group.nodes.delete(gone);
  await proposed(await group.leader(), "without it");
});

test("a new member gets a snapshot, and with it the members and where they listen", async (t) => {
  const machines: SlotMachine[] = [];
  const machine = (): SlotMachine => {
    const one = new SlotMachine();
    machines.push(one);
    return one;
  };
  const group = new Group(t);
  const small = { segmentBytes: 64 << 10, snapshotEveryEntries: 50, snapshotCatchUpBytes: 1 };
  for (const id of [1, 2, 3]) await group.open(id, peersOf(1, 2, 3), { ...small, stateMachine: machine() });
  const leader = await group.leader();
  for (let i = 0; i < 300; i++) await proposed(leader, `entry ${i}`);
  await until("the log begins later", WAIT_MS, () => leader.node.status().log.firstIndex > 1);
  // It knows of one member only.
  const four = await group.join(4, peersOf(1, 2, 3, 4), { ...small, stateMachine: machine() });
  await leader.node.changeMembership({ add: [{ id: 4, address: addressOf(4), learner: true }] });
  await caughtUp(leader.node, 4);
  await until("it knows", WAIT_MS, () => rolesOf(four.node) === "1 voter, 2 voter, 3 voter, 4 learner");
  await until("it came by a snapshot", WAIT_MS, () => four.node.status().snapshot !== null);
  await leader.node.changeMembership({ promote: [4] });
  await four.node.takeSnapshot();
  await group.close(4);
  // Its own snapshot says all that the options do not.
  const again = await group.open(4, peersOf(4), { ...small, stateMachine: machine() });
  assert.deepEqual(
    again.node.status().members.map(({ id, address }) => `${id} ${address}`),
    [1, 2, 3, 4].map((id) => `${id} ${addressOf(id)}`),
  );
  await proposed(leader, "last");
  await until("it applies", WAIT_MS, () => again.node.status().applied >= leader.node.status().commit);
});

test("what cannot be meant is refused by field and value", async (t) => {
  const group = await three(t);
  const { node } = await group.leader();
  const refused: [unknown, RegExp][] = [
    [undefined, /the change: must be an object with add, promote, remove, update, not undefined/],
    [{}, /changes nothing: give one of/],
    [{ ad: [] }, /the change\.ad: there is no such field\. Did you mean add\?/],
    [{ add: 4 }, /add: must be an array, not 4/],
    [
      { add: [{ id: 4, adress: "a:1" }] },
      /add\[0\]\.adress: there is no such field\. Did you mean address\?/,
    ],
    [{ add: [{ id: 4 }] }, /add\[0\]\.address: must be "host:port", not undefined/],
    [{ add: [{ id: 4, address: "a" }] }, /add\[0\]\.address.*"a"/],
    [{ add: [{ id: 4, address: "a:0" }] }, /port 0/],
    [{ add: [{ id: 4, address: "0.0.0.0:1" }] }, /is where to listen/],
    [{ add: [{ id: "4", address: "a:1" }] }, /add\[0\]\.id: must be a node id, .* not "4"/],
    [{ add: [{ id: 4, address: "a:1", learner: 1 }] }, /add\[0\]\.learner: must be a boolean, not 1/],
    [{ promote: [0] }, /promote\[0\]: must be a node id, .* not 0/],
    [{ remove: [2, 2] }, /remove\[1\]: node 2 is named in remove\[0\] already/],
    [{ promote: [2], remove: [2] }, /remove\[0\]: node 2 is named in promote\[0\] already/],
  ];
  for (const [change, pattern] of refused) {
    const error = await rejection(node.changeMembership(change as MembershipChange));
    assert.equal(error.code, "RAFT_BAD_OPTION", JSON.stringify(change));
    assert.match(error.message, pattern);
  }
  const late = await rejection(node.changeMembership({ remove: [2] }, { timeoutMs: -1 }));
  assert.match(late.message, /timeoutMs/);
});

test("what does not fit the members, or would leave a group that cannot commit, is refused; nothing changes", async (t) => {
  const group = await three(t);
  const leader = await group.leader();
  const { id } = leader.node.status();
  const [one, other] = [1, 2, 3].filter((each) => each !== id) as [number, number];
  const refused = async (change: MembershipChange, pattern: RegExp): Promise<void> => {
    const error = await rejection(leader.node.changeMembership(change));
    assert.equal(error.code, "RAFT_CHANGE_REFUSED", error.message);
    assert.equal(error.mayCommit, false);
    assert.match(error.message, pattern);
  };
  await refused({ add: [{ id: one, address: "127.0.0.1:9" }] }, /is a member already/);
  await refused({ add: [{ id: 9, address: addressOf(one) }] }, new RegExp(`is that of node ${one}`));
  await refused({ promote: [one] }, /is a voter already/);
  await refused({ promote: [9] }, /node 9 is no learner.*There are none: add it first/);
  await refused({ remove: [11] }, /node 11 is no member; the members are 1, 2, 3$/);
  await refused({ remove: [1, 2, 3] }, /no voter would be left/);
  await refused(
    { add: [4, 5, 6].map((each) => ({ id: each, address: addressOf(each) })) },
    /leave 6 voters, of which 4 make a quorum, and only 3 .* as learners/,
  );
  await leader.node.changeMembership({ add: [{ id: 7, address: addressOf(7), learner: true }] });
  await refused({ promote: [7] }, /learner 7 is not heard: start it/);
  await refused(
    { add: [{ id: 7, address: "127.0.0.1:9" }] },
    /is a learner already: make it a voter with promote: \[7\]/,
  );
  await leader.node.changeMembership({ remove: [7] });
  await refused({ add: [{ id: 7, address: addressOf(7) }] }, /its id is used up/);
  await refused({ remove: [7] }, /was removed before/);
  await group.close(one);
  await until(
    "it is not connected",
    WAIT_MS,
    () => leader.lines.matching(/not connected any more/).length > 0,
  );
  await refused({ remove: [other] }, new RegExp(`leave 2 voters, .* nodes ${one} are not heard`));
  assert.equal(rolesOf(leader.node), "1 voter, 2 voter, 3 voter");
  // The one that is away may go.
  await leader.node.changeMembership({ remove: [one] });
});

test("only the leader changes members, one change at a time; a caller may stop waiting", async (t) => {
  const group = await three(t);
  const leader = await group.leader();
  const { id } = leader.node.status();
  const follower = group.all.find(({ node }) => node.status().id !== id)!;
  const elsewhere = await rejection(follower.node.changeMembership({ remove: [id] }));
  assert.equal(elsewhere.code, "RAFT_NOT_LEADER");
  assert.equal(elsewhere.leader, id);
  const others = [1, 2, 3].filter((each) => each !== id);
  group.network.partition([id], others);
  const pending = leader.node.changeMembership(
    { add: [{ id: 8, address: addressOf(8), learner: true }] },
    { timeoutMs: 60 },
  );
  const second = await rejection(
    leader.node.changeMembership({ add: [{ id: 9, address: addressOf(9), learner: true }] }),
  );
  assert.equal(second.code, "RAFT_CHANGE_UNDER_WAY");
  const late = await rejection(pending);
  assert.ok(late.code === "RAFT_TIMEOUT" && late.mayCommit, `${late.code}: ${late.message}`);
  group.network.heal();
});

test("the leader dies in the joint state: the next one leaves it, without anybody's proposal", async (t) => {
  const group = await three(t);
  const leader = await group.leader();
  const { id } = leader.node.status();
  const [one, other] = [1, 2, 3].filter((each) => each !== id) as [number, number];
  const four = await group.join(4, peersOf(1, 2, 3, 4));
  await leader.node.changeMembership({ add: [{ id: 4, address: addressOf(4), learner: true }] });
  await caughtUp(leader.node, 4);
  // Every node stops hearing the leader as soon as one is in the joint state.
  const joint = new Promise<void>((resolve) => {
    const look = (): void => {
      const isJoint = group.all.some(({ node }) => node.status().isJoint);
      if (!isJoint) {
        setImmediate(look);
        return;
      }
      group.network.partition([id], [one, other, 4]);
      resolve();
    };
    look();
  });
  const outcome = leader.node
    .changeMembership({ promote: [4], remove: [other] }, { timeoutMs: 5_000 })
    .catch(() => null);
  await joint;
  group.nodes.delete(id);
  const rest = [group.nodes.get(one)!, group.nodes.get(other)!, four];
  await until("somebody else leads", WAIT_MS, () =>
    rest.some(({ node }) => node.status().state === "StateLeader"),
  );
  group.network.heal();
  const want = [id, one, 4]
    .sort((a, b) => a - b)
    .map((each) => `${each} voter`)
    .join(", ");
  const before = "1 voter, 2 voter, 3 voter, 4 learner";
  // The change was committed, or was lost with its leader: in either case nobody stays in between.
  await until(
    "the joint state is left",
    WAIT_MS,
    () =>
      [leader, group.nodes.get(one)!, four].every(({ node }) => [want, before].includes(rolesOf(node))) &&
      new Set([leader, group.nodes.get(one)!, four].map(({ node }) => rolesOf(node))).size === 1,
  );
  await outcome;
});

test("a lost disk: refused under its old id with what to do, and replaced by a new member", async (t) => {
  const group = await three(t);
  const leader = await group.leader();
  const { id } = leader.node.status();
  const lost = [1, 2, 3].find((each) => each !== id)!;
  await group.close(lost);
  const emptied = tempDir(t);
  const link = group.network.link(lost);
  const peers = peersOf(1, 2, 3);
  const again = await openNode(t, emptied, lost, 1, {
    link,
    listen: peers[lost]!,
    peers,
    initialClusterState: "existing",
  });
  await until("it is refused", WAIT_MS, () => again.lines.matching(/RAFT_LOG_LOST/).length > 0);
  assert.match(
    again.lines.matching(/RAFT_LOG_LOST/)[0]!,
    /remove this member and add a new one with a new id/,
  );
  await again.node.close();
  const four = await group.join(4, peersOf(1, 2, 3, 4));
  await leader.node.changeMembership({
    add: [{ id: 4, address: addressOf(4), learner: true }],
    remove: [lost],
  });
  await caughtUp(leader.node, 4);
  await leader.node.changeMembership({ promote: [4] });
  await proposed(leader, "whole again");
  await until("it has it", WAIT_MS, () => has(four, "whole again"));
  assert.equal(leader.node.status().members.length, 3);
});

test("who was begun as a member and is none is found out before it does harm", async (t) => {
  const group = await three(t);
  const leader = await group.leader();
  // Without initialClusterState.
  const four = await group.open(4, peersOf(1, 2, 3, 4));
  await leader.node.changeMembership({ add: [{ id: 4, address: addressOf(4), learner: true }] });
  await until("it is fenced", WAIT_MS, () => four.node.status().state === "StateFenced");
  assert.match(four.node.status().fault!, /begun with other members .* initialClusterState "existing"/);
});

test("an address is changed for all members", async (t) => {
  const group = await three(t);
  await group.change({ update: [{ id: 2, address: "127.0.0.1:7102" }] });
  const at = ({ node }: Running): string => node.status().members.find(({ id }) => id === 2)!.address;
  await until("all know", WAIT_MS, () => group.all.every((one) => at(one) === "127.0.0.1:7102"));
});

test("a change whose addresses no frame carries is refused, and the group commits on", async (t) => {
  const group = await three(t, { maxFrameBytes: 4096 });
  const leader = await group.leader();
  const label = "a".repeat(60);
  const add = Array.from({ length: 20 }, (_, i) => {
    return { id: 10 + i, address: `${label}.${label}.${label}.example:${7000 + i}`, learner: true };
  });
  const error = await rejection(leader.node.changeMembership({ add }));
  assert.equal(error.code, "RAFT_CHANGE_REFUSED");
  assert.match(
    error.message,
    /the change takes \d+ bytes, and frames of maxFrameBytes \(4096\) carry at most 3840/,
  );
  await proposed(leader, "after");
  await group.change({ add: add.slice(0, 2) });
});
