// Reads in the core: which answers confirm which request, and how long a lease lasts.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ConfChangeRemoveNode,
  Message,
  MsgAppResp,
  MsgHeartbeat,
  MsgHeartbeatResp,
  MsgPreVote,
  MsgReadIndexResp,
  MsgTimeoutNow,
  MsgVote,
  RawNode,
  ReadOnlyLeaseBased,
  StateFollower,
  StatePreCandidate,
} from "../../src/raft/index.js";
import { bytes, Network, newStorage, text } from "./network.js";

const LEASE = { checkQuorum: true, preVote: true, readOnlyOption: ReadOnlyLeaseBased as 1 };
const ELECTION_TICK = 10;

test("an answer to an earlier request of the same name confirms no later one (etcd#20418)", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  const late: Message[] = [];
  network.drops = (m) => {
    const holds = m.type === MsgHeartbeatResp && m.from === 3 && m.context.length > 0;
    if (holds) late.push(m);
    return holds;
  };
  network.raw(2).readIndex(bytes("A"));
  network.settle();
  assert.equal(network.get(2).readStates.length, 1);
  // Cut off from here on; the same request comes again, another one behind it, and the old answer last.
  network.drops = (m) => m.type === MsgHeartbeat || m.type === MsgHeartbeatResp;
  network.raw(2).readIndex(bytes("A"));
  network.raw(1).readIndex(bytes("B"));
  network.settle();
  network.heal();
  assert.equal(late.length, 1);
  network.raw(1).step(late[0]);
  network.work(1);
  assert.equal(network.get(1).readStates.length, 0);
});

test("requests of two nodes under the same name are both answered (tikv#4764)", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  for (const id of [1, 2, 3]) network.raw(id).readIndex(bytes("same"));
  network.settle();
  for (const id of [1, 2, 3])
    assert.deepEqual(
      network.get(id).readStates.map((s) => text(s.requestCtx)),
      ["same"],
    );
});

test("an answer that finds its reader asking for pre-votes counts: a heartbeat may end that unnoticed", () => {
  const network = new Network({ voters: [1, 2, 3], config: { preVote: true, checkQuorum: true } });
  network.elect(1);
  const late: Message[] = [];
  network.drops = (m) => {
    const holds = m.type === MsgReadIndexResp;
    if (holds) late.push(m);
    return holds || m.type === MsgPreVote;
  };
  network.raw(2).readIndex(bytes("A"));
  network.settle();
  network.raw(2).campaign();
  network.work(2);
  assert.equal(network.raw(2).raft.state, StatePreCandidate);
  network.raw(2).step(late[0]);
  network.raw(1).tick();
  network.settle();
  assert.equal(network.raw(2).raft.lead, 1);
  assert.deepEqual(
    network.get(2).readStates.map((s) => text(s.requestCtx)),
    ["A"],
  );
});

test("a sole voter answers no read before it has committed in its own term", () => {
  const storage = newStorage([1]);
  const raw = new RawNode({
    id: 1,
    electionTick: ELECTION_TICK,
    heartbeatTick: 1,
    maxSizePerMsg: Infinity,
    maxInflightMsgs: 256,
    storage,
    asyncStorageWrites: true,
    random: () => 0,
  });
  const store = (messages: readonly Message[]): void => {
    for (const m of messages) {
      storage.append(m.entries);
      for (const response of m.responses) raw.step(response);
    }
  };
  raw.campaign();
  store(raw.ready().messages);
  const { messages } = raw.ready();
  raw.readIndex(bytes("early"));
  assert.equal(raw.raft.readStates.length, 0);
  store(messages);
  assert.deepEqual(
    raw.ready().readStates.map((s) => s.index),
    [raw.raft.raftLog.lastIndex()],
  );
});

test("a sole voter's reads cost its learners no heartbeat", () => {
  const network = new Network({ voters: [1], learners: [2] });
  network.elect(1);
  network.raw(1).readIndex(bytes("own"));
  network.raw(2).readIndex(bytes("learner's"));
  const seen: Message[] = [];
  network.drops = (m) => {
    seen.push(m);
    return false;
  };
  network.settle();
  assert.ok(seen.every((m) => m.type !== MsgHeartbeat));
  for (const id of [1, 2]) assert.equal(network.get(id).readStates.length, 1);
});

test("a leader that is no member any more does not count as the only voter", () => {
  const network = new Network({ voters: [1, 2] });
  network.elect(1);
  network.raw(1).proposeConfChange({ id: 0, type: ConfChangeRemoveNode, nodeId: 1, context: bytes("") });
  network.settle();
  assert.ok(network.get(1).leads());
  network.isolate(1);
  network.elect(2);
  network.raw(1).readIndex(bytes("stale"));
  network.settle();
  assert.equal(network.get(1).readStates.length, 0);
});

/** A leader whose lease a round of heartbeats just extended. */
function leased(config: object = {}): Network {
  const network = new Network({ voters: [1, 2, 3], config: { ...LEASE, ...config } });
  network.elect(1);
  network.tick(1, 1);
  network.settle();
  return network;
}

test("a lease counts from when the answered heartbeats were sent, and ends before a voter may vote", () => {
  let now = 0;
  const network = leased({ elapsedTicks: () => now });
  const late: Message[] = [];
  network.drops = (m) => {
    if (m.type === MsgHeartbeatResp) late.push(m);
    return m.type === MsgHeartbeatResp || m.type === MsgHeartbeat;
  };
  const answered = (name: string): boolean => {
    network.raw(1).readIndex(bytes(name));
    network.work(1);
    return network.get(1).readStates.some((s) => text(s.requestCtx) === name);
  };
  // (10 - 1) * 0.9 - 1 = 7.1 ticks.
  now = 7;
  assert.ok(answered("within"));
  now = 7.2;
  assert.ok(!answered("beyond"));
  network.heal();
  network.drops = (m) => {
    if (m.type === MsgHeartbeatResp) late.push(m);
    return m.type === MsgHeartbeatResp;
  };
  now = 100;
  network.tick(1, 1);
  network.settle();
  assert.ok(late.length > 0);
  now = 107.5;
  for (const m of late) network.raw(1).step(m);
  // They confirm what waited, but the lease they extend has run out.
  network.drops = () => true;
  assert.ok(!answered("late"));
});

test("a leader that is handing over has no lease, and none in this term once somebody was asked to take over", () => {
  const network = leased();
  network.drops = (m) => m.type === MsgTimeoutNow || m.type === MsgHeartbeat;
  network.raw(1).transferLeader(2);
  network.settle();
  const read = (name: string): number => {
    network.raw(1).readIndex(bytes(name));
    network.settle();
    return network.get(1).readStates.filter((s) => text(s.requestCtx) === name).length;
  };
  assert.equal(read("during"), 0);
  network.drops = (m) => m.type === MsgTimeoutNow;
  network.tick(ELECTION_TICK + 1, 1);
  assert.equal(network.raw(1).basicStatus().leadTransferee, 0);
  network.drops = (m) => m.type === MsgHeartbeat;
  assert.equal(read("after"), 0, "the request to take over may still arrive");
  network.heal();
  assert.equal(read("asked"), 1, "a quorum is asked instead");
});

test("who answered a heartbeat votes for nobody, and does not campaign, for an election timeout", () => {
  const network = leased();
  network.drops = (m) => m.type === MsgHeartbeat || m.type === MsgAppResp;
  const voter = network.raw(2);
  voter.campaign();
  assert.equal(voter.raft.state, StateFollower);
  voter.tick();
  voter.step(voteRequest(3, 2, voter.raft.term + 5, ""));
  network.work(2);
  assert.equal(voter.raft.vote === 3, false);
  voter.step(voteRequest(3, 2, voter.raft.term + 5, "CampaignTransfer"));
  network.work(2);
  assert.equal(voter.raft.vote, 3, "unless the leader asked for it");
});

test("a voter that was restarted keeps what it may have promised before", () => {
  for (const mayHavePromised of [true, false]) {
    const raw = new RawNode({
      ...LEASE,
      id: 2,
      electionTick: ELECTION_TICK,
      heartbeatTick: 1,
      maxSizePerMsg: Infinity,
      maxInflightMsgs: 256,
      storage: newStorage([1, 2, 3]),
      random: () => 0,
      mayHavePromised,
    });
    raw.step(voteRequest(3, 2, 7, ""));
    assert.equal(raw.raft.vote, mayHavePromised ? 0 : 3);
    for (let i = 0; i < ELECTION_TICK; i++) raw.tick();
    raw.step(voteRequest(3, 2, 9, ""));
    assert.equal(raw.raft.vote, 3);
  }
});

function voteRequest(from: number, to: number, term: number, context: string): Message {
  const m = new Message(MsgVote);
  m.from = from;
  m.to = to;
  m.term = term;
  m.index = 100;
  m.logTerm = term - 1;
  m.context = bytes(context);
  return m;
}

test("reads that wait for a leader's first commit share one round", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.drops = (m) => m.type === MsgAppResp;
  network.elect(1);
  for (let i = 0; i < 100; i++) network.raw(1).readIndex(bytes(`r${i}`));
  network.raw(2).readIndex(bytes("of 2"));
  network.settle();
  assert.equal(network.get(1).readStates.length, 0);
  const heartbeats: Message[] = [];
  network.drops = (m) => {
    if (m.type === MsgHeartbeat && m.context.length > 0) heartbeats.push(m);
    return false;
  };
  network.tick(1, 1);
  network.settle();
  assert.deepEqual([network.get(1).readStates.length, network.get(2).readStates.length], [100, 1]);
  assert.deepEqual(heartbeats.map(({ to }) => to).sort(), [2, 3]);
});

test("a read under way is answered when its leader is left as the only voter", () => {
  const network = new Network({ voters: [1, 2] });
  network.elect(1);
  network.drops = (m) => m.type === MsgHeartbeatResp;
  network.raw(1).readIndex(bytes("r"));
  network.raw(1).proposeConfChange({ id: 0, type: ConfChangeRemoveNode, nodeId: 2, context: bytes("") });
  network.settle();
  assert.deepEqual(network.get(1).confState?.voters, [1]);
  assert.equal(network.get(1).readStates.length, 1);
});

test("a change of members that brings a term's first commit lets go the reads that wait for it", () => {
  const network = new Network({ voters: [1, 2] });
  network.drops = (m) => m.type === MsgAppResp;
  network.elect(1);
  network.raw(1).readIndex(bytes("r"));
  network.settle();
  assert.equal(network.get(1).readStates.length, 0);
  // Committed in an earlier term, and applied only now.
  network.raw(1).applyConfChange({ id: 0, type: ConfChangeRemoveNode, nodeId: 2, context: bytes("") });
  network.settle();
  assert.equal(network.get(1).readStates.length, 1);
});

test("a leader that removed itself and leads on answers the reads of those who know", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  network.raw(1).proposeConfChange({ id: 0, type: ConfChangeRemoveNode, nodeId: 1, context: bytes("") });
  network.settle();
  network.tick(1, 1);
  assert.deepEqual(network.raw(2).raft.trk.confState().voters, [2, 3]);
  network.raw(2).readIndex(bytes("r"));
  network.settle();
  assert.equal(network.get(2).readStates.length, 1);
});
