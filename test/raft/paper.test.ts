// One test a rule of "In Search of an Understandable Consensus Algorithm (Extended Version)"; the section is
// in the title. Rules from Ongaro's dissertation say so.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_DATA } from "../../src/base/bytes.js";
import {
  ConfChangeAddNode,
  ConfChangeRemoveNode,
  type ConfChangeV2,
  EMPTY_CONF_STATE,
  Entry,
  EntryNormal,
  Message,
  MsgApp,
  MsgAppResp,
  MsgHeartbeat,
  MsgPreVote,
  MsgPreVoteResp,
  MsgVote,
  MsgVoteResp,
  RaftError,
  StateCandidate,
  StateFollower,
  StateLeader,
} from "../../src/raft/index.js";
import { bytes, type Member, Network } from "./network.js";

function entry(index: number, term: number): Entry {
  return new Entry(EntryNormal, term, index, bytes(`${term}/${index}`));
}

/** Terms of a node's log from index 2 on. */
function terms(member: Member): number[] {
  const log = member.raw.raft.raftLog;
  const out: number[] = [];
  for (let i = 2; i <= log.lastIndex(); i++) out.push(log.termOrZero(i));
  return out;
}

/** A network whose members' logs have these terms from index 2 on; all are at the greatest of them. */
function withLogs(logs: readonly (readonly number[])[]): Network {
  const network = new Network({ voters: logs.map((_, i) => i + 1) });
  const term = Math.max(1, ...logs.flat());
  for (const [i, log] of logs.entries()) {
    const member = network.get(i + 1);
    member.storage.append(log.map((t, at) => entry(at + 2, t)));
    member.storage.setHardState({ term, vote: 0, commit: 1 });
    member.restart();
  }
  return network;
}

function message(type: Message["type"], from: number, term: number, fields: Partial<Message> = {}): Message {
  return Object.assign(new Message(type), { from, term, ...fields });
}

/** What a node answers to one message, once it is stored. */
function answer(member: Member, m: Message): Message | undefined {
  assert.equal(member.raw.step(m), null);
  member.network.queue = [];
  member.network.work(member.id);
  return member.network.queue.at(-1);
}

test("§5.1 a server that sees a later term becomes a follower of that term", () => {
  for (const role of ["follower", "candidate", "leader"]) {
    const network = new Network({ voters: [1, 2, 3] });
    const raw = network.raw(1);
    if (role === "leader") network.elect(1);
    if (role === "candidate") raw.campaign();
    raw.step(message(MsgApp, 2, 9, { index: 1, logTerm: 1 }));
    const { hardState, softState } = raw.basicStatus();
    assert.deepEqual([hardState.term, softState.raftState, softState.lead], [9, StateFollower, 2], role);
  }
});

test("§5.1 requests with an earlier term are rejected", () => {
  const network = withLogs([[1, 5], [1], [1]]);
  const before = terms(network.get(1));
  assert.equal(
    answer(network.get(1), message(MsgApp, 2, 3, { index: 1, logTerm: 1, entries: [entry(2, 3)] })),
    undefined,
  );
  assert.deepEqual(terms(network.get(1)), before);
  assert.equal(network.raw(1).basicStatus().softState.lead, 0);
});

test("§5.2 servers start as followers", () => {
  const network = new Network({ voters: [1, 2, 3] });
  assert.equal(network.raw(1).basicStatus().softState.raftState, StateFollower);
});

test("§5.2 a leader sends heartbeats at its interval", () => {
  const network = new Network({ voters: [1, 2, 3], config: { heartbeatTick: 3 } });
  network.elect(1);
  const beats = (): number => network.queue.filter((m) => m.type === MsgHeartbeat).length;
  for (const want of [0, 0, 2, 2, 2, 4]) {
    network.raw(1).tick();
    network.work(1);
    assert.equal(beats(), want);
  }
});

test("§5.2 a follower that hears no leader for an election timeout starts an election in a new term", () => {
  const network = new Network({ voters: [1, 2, 3] });
  const raw = network.raw(1);
  for (let i = 0; i < 20 && raw.basicStatus().softState.raftState === StateFollower; i++) raw.tick();
  const { hardState, softState } = raw.basicStatus();
  assert.deepEqual([hardState, softState.raftState], [{ term: 2, vote: 1, commit: 1 }, StateCandidate]);
  network.work(1);
  assert.deepEqual(
    network.queue.map((m) => [m.type, m.to]),
    [
      [MsgVote, 2],
      [MsgVote, 3],
    ],
  );
});

test("§5.2 a candidate with the votes of a majority leads; on a majority of rejections it follows", () => {
  const cases: [number, number[], number[], number][] = [
    [3, [2], [], StateLeader],
    [3, [], [2], StateCandidate],
    [3, [], [2, 3], StateFollower],
    [5, [2], [3], StateCandidate],
    [5, [2, 3], [4], StateLeader],
    [5, [2], [3, 4, 5], StateFollower],
  ];
  for (const [size, yes, no, want] of cases) {
    const network = new Network({ voters: Array.from({ length: size }, (_, i) => i + 1) });
    network.raw(1).campaign();
    network.work(1);
    for (const from of yes) network.raw(1).step(message(MsgVoteResp, from, 2));
    for (const from of no) network.raw(1).step(message(MsgVoteResp, from, 2, { reject: true }));
    assert.equal(network.raw(1).basicStatus().softState.raftState, want, `${size}: ${yes} / ${no}`);
  }
});

test("§5.2 each server votes for at most one candidate a term, also after a restart", () => {
  const network = new Network({ voters: [1, 2, 3] });
  const ask = (from: number): boolean | undefined =>
    answer(network.get(1), message(MsgVote, from, 5, { index: 1, logTerm: 1 }))?.reject;
  assert.equal(ask(2), false);
  assert.equal(ask(3), true);
  assert.equal(ask(2), false, "the same one may ask again");
  network.get(1).restart();
  assert.equal(ask(3), true);
  assert.equal(ask(2), false);
});

test("§5.2 a candidate that hears the leader of its term returns to follower", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.raw(1).campaign();
  network.raw(1).step(message(MsgApp, 2, 2, { index: 1, logTerm: 1 }));
  assert.deepEqual(network.raw(1).basicStatus().softState, { lead: 2, raftState: StateFollower });
});

test("§5.2 election timeouts are spread over a whole interval, and drawn anew for each election", () => {
  const network = new Network({ voters: [1, 2, 3] });
  const raw = network.raw(1);
  const seen = new Set<number>();
  for (let i = 0; i < 400; i++) {
    raw.campaign();
    seen.add(raw.raft.randomizedElectionTimeout);
  }
  assert.deepEqual(
    [...seen].sort((a, b) => a - b),
    [10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
  );
});

test("§5.2 Election Safety: of two candidates in one term only one can win", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.raw(1).campaign();
  network.raw(3).campaign();
  network.settle();
  assert.equal([1, 3].filter((id) => network.get(id).leads()).length, 1);
});

test("§5.3 a leader appends a proposal to its log and sends it to all others", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  network.propose(1, "x");
  network.work(1);
  const sent = network.queue.filter((m) => m.type === MsgApp);
  assert.deepEqual(
    sent.map((m) => [m.to, m.index, m.logTerm, m.entries[0].index]),
    [
      [2, 2, 2, 3],
      [3, 2, 2, 3],
    ],
  );
});

test("§5.3 an entry is committed once it is on a majority, and then applied by all in order", () => {
  const network = new Network({ voters: [1, 2, 3, 4, 5] });
  network.elect(1);
  network.isolate(4, 5);
  network.propose(1, "a");
  network.propose(1, "b");
  network.settle();
  assert.deepEqual(network.get(1).appliedTexts(), ["a", "b"]);
  network.isolate(3, 4, 5);
  network.propose(1, "c");
  network.settle();
  assert.deepEqual(network.get(1).appliedTexts(), ["a", "b"]);
  network.heal();
  network.tick(2);
  for (const member of network.members.values()) assert.deepEqual(member.appliedTexts(), ["a", "b", "c"]);
});

test("§5.3 the consistency check: an append that does not follow our log is rejected, with a hint", () => {
  const network = withLogs([[1, 2, 2], [1], [1]]);
  const check = (index: number, logTerm: number): [boolean, number] | undefined => {
    const m = answer(network.get(1), message(MsgApp, 2, 7, { index, logTerm }));
    return m === undefined ? undefined : [m.reject, m.reject ? m.rejectHint : m.index];
  };
  assert.deepEqual(check(4, 2), [false, 4]);
  assert.deepEqual(check(9, 2), [true, 4], "too far: the hint is our last index");
  assert.deepEqual(check(4, 6), [true, 4], "another term: an entry of ours could still match");
  assert.deepEqual(check(4, 1), [true, 2], "our entries of term 2 can't match a log that ends in term 1");
});

test("§5.3 Log Matching: a follower's conflicting entries and all behind them are replaced", () => {
  const network = withLogs([[1, 2, 2, 2], [1], [1]]);
  const m = message(MsgApp, 2, 7, { index: 2, logTerm: 1, entries: [entry(3, 2), entry(4, 7)] });
  assert.equal(answer(network.get(1), m)?.index, 4);
  assert.deepEqual(terms(network.get(1)), [1, 2, 7]);
});

test("§5.3 an append that is late or doubled removes nothing", () => {
  const network = withLogs([[1, 2, 2], [1], [1]]);
  const m = message(MsgApp, 2, 7, { index: 1, logTerm: 1, entries: [entry(2, 1)] });
  assert.equal(answer(network.get(1), m)?.index, 2);
  assert.deepEqual(terms(network.get(1)), [1, 2, 2]);
});

test("§5.3 Figure 7: a new leader brings all the logs in the figure to its own", () => {
  const logs = [
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
    [1, 1, 1, 4, 4, 5, 5, 6, 6],
    [1, 1, 1, 4],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    [1, 1, 1, 4, 4, 4, 4],
    [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
  ];
  const network = withLogs(logs);
  network.elect(1);
  network.tick(3);
  for (const member of network.members.values())
    assert.deepEqual(terms(member), [...logs[0], 8], `${member.id}`);
  network.checkLogMatching();
});

test("§5.4.1 a vote is refused to a candidate whose log is less complete", () => {
  const cases: [number, number, boolean][] = [
    [4, 3, false],
    [3, 3, true],
    [9, 2, true],
    [2, 4, false],
    [5, 3, false],
  ];
  for (const [index, logTerm, reject] of cases) {
    const network = withLogs([[1, 2, 3], [1], [1]]);
    const response = answer(network.get(1), message(MsgVote, 2, 9, { index, logTerm }));
    assert.equal(response?.reject, reject, `last entry ${logTerm}/${index}`);
  }
});

test("§5.4.2 Figure 8: entries of earlier terms do not commit by counting copies", () => {
  // (c) of the figure: S1 leads term 4, the entry of term 2 reaches a majority, but its own does not.
  const network = withLogs([[1, 2], [1, 2], [1], [1], [1, 3]]);
  network.isolate(4, 5);
  network.raw(1).campaign();
  network.drops = (m) =>
    [4, 5].includes(m.to) || [4, 5].includes(m.from) || m.entries.some((e) => e.term === 4);
  network.settle();
  assert.ok(network.get(1).leads());
  // Its entry of term 4 is always lost on the way; the one of term 2 is sent alone.
  const alone = message(MsgApp, 1, 4, { index: 2, logTerm: 1, entries: [entry(3, 2)] });
  network.raw(3).step(alone);
  network.settle();
  assert.deepEqual(terms(network.get(3)), [1, 2]);
  assert.equal(network.raw(1).basicStatus().hardState.commit, 1, "3 of 5 have it, and it is not committed");
  // (d): S5 may still be elected by 3, 4 and overwrite it.
  network.isolate(1, 2);
  network.raw(5).campaign();
  network.settle();
  network.elect(5);
  assert.deepEqual(terms(network.get(3)).slice(0, 2), [1, 3]);
});

test("§5.4.2 Figure 8 (e): committing an entry of its own term commits all before it", () => {
  const network = withLogs([[1, 2], [1, 2], [1], [1], [1, 3]]);
  network.isolate(4, 5);
  network.elect(1);
  assert.equal(network.raw(1).basicStatus().hardState.commit, 4);
  assert.deepEqual(
    network.get(3).applied.map((e) => e.term),
    [1, 2, 4],
  );
  network.isolate(1);
  network.raw(5).campaign();
  network.settle();
  assert.ok(!network.get(5).leads(), "the majority refuses whoever lacks a committed entry");
});

test("§5.4.3 Leader Completeness and State Machine Safety hold while leaders come and go", () => {
  const network = new Network({ voters: [1, 2, 3, 4, 5], seed: 9 });
  for (let round = 0; round < 60; round++) {
    const cut = network.prng.below(5) + 1;
    network.isolate(cut, (cut % 5) + 1);
    network.tick(25);
    const leader = network.leader();
    if (leader !== null) leader.raw.propose(bytes(`r${round}`));
    network.settle();
  }
  network.heal();
  network.tick(40);
  network.checkLogMatching();
});

test("§5.5 requests are idempotent: everything delivered twice changes nothing", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.drops = (m) => {
    if (m.context === NO_DATA) network.raw(m.to).step(m);
    return false;
  };
  network.elect(1);
  for (let i = 0; i < 5; i++) network.propose(1, `${i}`);
  network.settle();
  for (const member of network.members.values())
    assert.deepEqual(member.appliedTexts(), ["0", "1", "2", "3", "4"]);
});

test("§6 joint consensus: decisions need a majority of the old and of the new configuration", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  for (const id of [4, 5]) network.join(id);
  const changes = [
    { type: ConfChangeAddNode, nodeId: 4 },
    { type: ConfChangeAddNode, nodeId: 5 },
    { type: ConfChangeRemoveNode, nodeId: 2 },
    { type: ConfChangeRemoveNode, nodeId: 3 },
  ] as const;
  const cc: ConfChangeV2 = { transition: 2, changes, context: NO_DATA };
  assert.equal(network.raw(1).proposeConfChange(cc), null);
  network.settle();
  // A newcomer starts from a snapshot, which must have it as a member.
  const { applied, confState, storage } = network.get(1);
  storage.createSnapshot(applied.length + 1, confState, NO_DATA);
  for (const id of [4, 5]) network.raw(1).reportSnapshot(id, true);
  network.tick(4);
  assert.deepEqual(network.get(4).raw.raft.trk.confState(), confState);
  assert.deepEqual(network.get(1).confState?.voters, [1, 4, 5]);
  assert.deepEqual(network.get(1).confState?.votersOutgoing, [1, 2, 3]);
  const commits = (cut: number[]): boolean => {
    network.isolate(...cut);
    const before = network.raw(1).basicStatus().hardState.commit;
    network.propose(1, "x");
    network.settle();
    const after = network.raw(1).basicStatus().hardState.commit;
    network.heal();
    network.tick(4);
    return after > before;
  };
  assert.ok(!commits([2, 3]), "a majority of the new one is not enough");
  assert.ok(!commits([4, 5]), "a majority of the old one is not enough");
  assert.ok(commits([2, 4]));
});

test("§6 one change at a time: another is refused while one is not applied", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  const add = (nodeId: number): RaftError | null =>
    network.raw(1).proposeConfChange({ id: 0, type: ConfChangeAddNode, nodeId, context: NO_DATA });
  assert.equal(add(4), null);
  assert.equal(add(5), null, "accepted, but an empty entry takes its place");
  network.settle();
  assert.deepEqual(network.get(1).confState?.voters, [1, 2, 3, 4]);
});

test("§6 a new leader waits with changes until it knows what is committed", () => {
  const network = withLogs([[1], [1], [1]]);
  network.drops = (m) => m.type === MsgAppResp;
  network.raw(1).campaign();
  network.settle();
  network.raw(1).proposeConfChange({ id: 0, type: ConfChangeAddNode, nodeId: 4, context: NO_DATA });
  const { raftLog } = network.raw(1).raft;
  const last = raftLog.slice(raftLog.lastIndex(), raftLog.lastIndex() + 1, Infinity);
  assert.ok(!(last instanceof RaftError));
  assert.equal(last[0].type, EntryNormal);
});

test("§6 and dissertation §4.2.3: a server that hears a leader ignores requests for votes", () => {
  const network = new Network({ voters: [1, 2, 3], config: { checkQuorum: true } });
  network.elect(1);
  const m = message(MsgVote, 3, 9, { index: 9, logTerm: 9 });
  assert.equal(answer(network.get(2), m), undefined);
  assert.equal(network.get(2).term(), 2);
});

test("§7 a snapshot takes a lagging follower past the compacted log, and keeps what follows it", () => {
  const network = withLogs([[1, 2, 2, 3], [1, 2, 2, 3], []]);
  network.isolate(3);
  network.elect(1);
  const { storage } = network.get(1);
  storage.createSnapshot(4, null, NO_DATA);
  storage.compact(4);
  network.heal();
  network.tick(4);
  assert.equal(network.get(3).storage.firstIndex(), 5);
  assert.deepEqual(
    network.raw(3).basicStatus().hardState.commit,
    network.raw(1).basicStatus().hardState.commit,
  );
});

test("§8 a read is answered only by a leader that a quorum still follows", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  network.isolate(1);
  network.elect(2);
  network.raw(1).readIndex(bytes("stale"));
  network.settle();
  assert.equal(network.get(1).readStates.length, 0);
});

test("Dissertation §3.10: a transfer makes the target campaign, and it wins", () => {
  const network = new Network({ voters: [1, 2, 3], config: { checkQuorum: true, preVote: true } });
  network.elect(1);
  network.propose(1, "x");
  network.raw(1).transferLeader(3);
  network.settle();
  assert.ok(network.get(3).leads());
  assert.equal(network.get(3).term(), 3);
});

test("Dissertation §9.6: a pre-vote changes no term, and a node that was cut off disturbs nobody", () => {
  const network = new Network({ voters: [1, 2, 3], config: { preVote: true, checkQuorum: true } });
  network.elect(1);
  network.isolate(3);
  network.tick(60);
  assert.equal(network.get(3).term(), 2);
  network.heal();
  network.tick(15);
  assert.ok(network.get(1).leads());
  assert.equal(network.get(1).term(), 2);
  const response = answer(network.get(2), message(MsgPreVote, 3, 3, { index: 0, logTerm: 0 }));
  assert.notEqual(response?.type, MsgPreVoteResp, "it hears a leader, so it does not even answer");
});

test("Dissertation §10.2.1: a leader's own copy may be stored last", () => {
  const network = new Network({ voters: [1, 2, 3], config: { asyncStorageWrites: true } });
  network.elect(1);
  network.propose(1, "x");
  const leader = network.get(1);
  while (leader.handleReady());
  for (let i = 0; i < 5; i++) {
    while (network.queue.length > 0) network.deliver();
    network.work(2);
    network.work(3);
    while (leader.handleReady());
  }
  assert.equal(leader.raw.basicStatus().hardState.commit, 3);
  assert.equal(leader.storage.lastIndex(), 2);
  assert.deepEqual(network.get(2).appliedTexts(), ["x"]);
  assert.deepEqual(leader.appliedTexts(), [], "it applies what it has stored");
  network.settle();
  assert.deepEqual(leader.appliedTexts(), ["x"]);
});

for (const base of [2 ** 31 - 3, 2 ** 32 - 3, 2 ** 53 - 40]) {
  test(`a group works with terms and indexes around ${base}`, () => {
    const network = new Network({ voters: [1, 2, 3] });
    for (const member of network.members.values()) {
      const confState = { ...EMPTY_CONF_STATE, voters: [1, 2, 3] };
      member.storage.applySnapshot({ data: NO_DATA, metadata: { index: base, term: base, confState } });
      member.storage.setHardState({ term: base, vote: 0, commit: base });
      member.raw = member.build(base);
    }
    network.elect(1);
    for (let i = 0; i < 8; i++) network.propose(1, `${i}`);
    network.settle();
    network.elect(2);
    network.propose(2, "end");
    network.tick(2);
    assert.equal(network.get(2).term(), base + 2);
    for (const member of network.members.values()) {
      assert.equal(member.raw.basicStatus().applied, base + 11);
      assert.equal(member.storage.lastIndex(), base + 11);
    }
  });
}
