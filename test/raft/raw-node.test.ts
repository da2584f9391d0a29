// RawNode as a driver sees it: Ready and advance, async storage writes, proposals and why they are dropped,
// limits, reads, transfers, membership.
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvariantError } from "../../src/base/assert.js";
import { NO_DATA } from "../../src/base/bytes.js";
import {
  ConfChangeAddLearnerNode,
  ConfChangeAddNode,
  ConfChangeRemoveNode,
  ConfChangeTransitionJointExplicit,
  type ConfChangeV2,
  Entry,
  EntryConfChange,
  EntryConfChangeV2,
  EntryNormal,
  ErrBadConfChange,
  ErrBootstrapNoPeers,
  ErrBootstrapNotEmpty,
  ErrEmptyProposal,
  LocalAppendThread,
  LocalApplyThread,
  MemoryStorage,
  Message,
  MsgApp,
  MsgAppResp,
  MsgHeartbeatResp,
  MsgProp,
  MsgStorageAppendResp,
  MsgTimeoutNow,
  MsgVote,
  ProposalDropped,
  RaftError,
  RawNode,
  ReadOnlyLeaseBased,
  resolveConfig,
  StateFollower,
  StateLeader,
  StateProbe,
  StateReplicate,
} from "../../src/raft/index.js";
import { bytes, type ConfigOverrides, Network, newStorage, text } from "./network.js";

function single(config: ConfigOverrides = {}): RawNode {
  return new RawNode({
    electionTick: 10,
    heartbeatTick: 1,
    maxSizePerMsg: Infinity,
    maxInflightMsgs: 256,
    applied: 1,
    ...config,
    id: 1,
    storage: newStorage([1]),
    random: () => 0,
  });
}

function storageOf(raw: RawNode): MemoryStorage {
  return raw.raft.settings.storage as MemoryStorage;
}

function dropReason(error: RaftError | null): string {
  assert.ok(error instanceof ProposalDropped);
  assert.equal(error.message, "raft proposal dropped");
  assert.equal(error.code, "RAFT_PROPOSAL_DROPPED");
  return error.reason;
}

function change(
  type: 0 | 1 | 3,
  nodeId: number,
): { id: number; type: 0 | 1 | 3; nodeId: number; context: Uint8Array } {
  return { id: 0, type, nodeId, context: NO_DATA };
}

test("resolveConfig says what is wrong, and RawNode does not start with it", () => {
  const good = {
    id: 1,
    electionTick: 10,
    heartbeatTick: 1,
    maxSizePerMsg: 100,
    maxInflightMsgs: 1,
    storage: new MemoryStorage(),
    random: () => 0,
  };
  assert.ok(!(resolveConfig(good) instanceof RaftError));
  const bad: [object, RegExp][] = [
    [{ id: 0 }, /none as id/],
    [{ id: -1 }, /id must be/],
    [{ id: 2 ** 53 }, /id must be/],
    [{ heartbeatTick: 0 }, /heartbeat tick/],
    [{ electionTick: 1 }, /election tick must be greater/],
    [{ maxInflightMsgs: 0 }, /inflight messages/],
    [{ maxInflightBytes: 99 }, /inflight bytes/],
    [{ readOnlyOption: ReadOnlyLeaseBased }, /CheckQuorum must be enabled/],
    [{ applied: -1 }, /applied/],
  ];
  for (const [override, pattern] of bad) {
    const result = resolveConfig({ ...good, ...override });
    assert.ok(result instanceof RaftError);
    assert.match(result.message, pattern);
    assert.throws(() => new RawNode({ ...good, ...override }), TypeError);
  }
});

test("a single node: elects itself, commits what it stored, applies it", () => {
  const raw = single();
  assert.ok(!raw.hasReady());
  raw.campaign();
  const seen: string[] = [];
  while (raw.hasReady()) {
    const rd = raw.ready();
    seen.push(...rd.committedEntries.map((e) => `${e.term}/${e.index}`));
    if (rd.entries.length > 0) assert.ok(rd.mustSync);
    storageOf(raw).append(rd.entries);
    raw.advance();
  }
  assert.deepEqual(seen, ["2/2"]);
  assert.equal(raw.basicStatus().softState.raftState, StateLeader);
  assert.equal(raw.propose(bytes("a")), null);
  assert.deepEqual({ ...raw.lastProposed }, { term: 2, first: 3, last: 3 });
  assert.equal(raw.proposeBatch([bytes("b"), bytes("c")]), null);
  assert.deepEqual({ ...raw.lastProposed }, { term: 2, first: 4, last: 5 });
  const rd = raw.ready();
  assert.deepEqual(
    rd.entries.map((e) => text(e.data)),
    ["a", "b", "c"],
  );
  assert.equal(rd.committedEntries.length, 0);
  storageOf(raw).append(rd.entries);
  raw.advance();
  assert.equal(raw.ready().committedEntries.length, 3);
});

test("a second Ready before advance is none", () => {
  const raw = single();
  raw.campaign();
  raw.ready();
  assert.throws(() => raw.ready(), InvariantError);
});

test("arrays of a Ready stay as they are when the node goes on", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  const raw = network.raw(1);
  network.propose(1, "a");
  const rd = raw.ready();
  const [entries, messages] = [rd.entries, rd.messages];
  const before = [entries.slice(), messages.slice()];
  raw.advance();
  network.propose(1, "b");
  raw.ready();
  raw.advance();
  assert.deepEqual([entries, messages], before);
});

test("async storage writes: advance is refused, responses say what is durable, in order", () => {
  const raw = single({ asyncStorageWrites: true });
  assert.throws(() => raw.advance(), InvariantError);
  raw.campaign();
  const jobs: Message[] = [];
  const applied: number[] = [];
  for (let turn = 0; turn < 20 && (raw.hasReady() || jobs.length > 0); turn++) {
    if (raw.hasReady()) jobs.push(...raw.ready().messages);
    const job = jobs.shift();
    if (job === undefined) continue;
    assert.ok(job.to === LocalAppendThread || job.to === LocalApplyThread);
    if (job.to === LocalApplyThread) applied.push(...job.entries.map((e) => e.index));
    if (job.entries.length > 0 && job.to === LocalAppendThread) {
      assert.equal(job.responses.at(-1)?.type, MsgStorageAppendResp);
      storageOf(raw).append(job.entries);
    }
    for (const response of job.responses) assert.equal(raw.step(response), null);
  }
  assert.deepEqual(applied, [2]);
  assert.equal(raw.basicStatus().applied, 2);
});

test("async storage writes: nobody leads on the votes of others before its own vote is stored, as etcd raft does", () => {
  for (const beyondEtcd of [true, false]) {
    const network = new Network({ voters: [1, 2, 3], config: { asyncStorageWrites: true, beyondEtcd } });
    const candidate = network.get(1);
    candidate.raw.campaign();
    assert.ok(candidate.handleReady());
    while (network.queue.length > 0) network.deliver();
    network.work(2);
    network.work(3);
    while (network.queue.length > 0) network.deliver();
    assert.equal(
      candidate.leads(),
      !beyondEtcd,
      "both others granted, but a crash now would forget the term",
    );
    assert.ok(candidate.doAppend());
    assert.ok(candidate.leads());
  }
});

test("proposals are dropped with a reason", () => {
  const network = new Network({ voters: [1, 2, 3], config: { maxUncommittedEntriesSize: 10 } });
  assert.equal(dropReason(network.raw(1).propose(bytes("x"))), "noLeader");
  network.elect(1);
  assert.equal(network.raw(1).proposeBatch([]), ErrEmptyProposal);
  assert.equal(network.raw(1).propose(bytes("0123456789abcdef")), null, "the first may be of any size");
  assert.equal(dropReason(network.raw(1).propose(bytes("x"))), "uncommittedLimit");
  assert.equal(network.raw(1).propose(NO_DATA), null, "an empty one always passes");
  network.settle();
  assert.equal(network.raw(1).propose(bytes("x")), null, "there is room again");
  network.settle();
  network.isolate(3);
  network.raw(1).propose(bytes("y"));
  network.settle();
  network.raw(1).transferLeader(3);
  assert.equal(dropReason(network.raw(1).propose(bytes("x"))), "transferring");
});

test("proposals are dropped by a follower that must not forward, and by a leader that was removed", () => {
  const quiet = new Network({ voters: [1, 2, 3], config: { disableProposalForwarding: true } });
  quiet.elect(1);
  assert.equal(dropReason(quiet.raw(2).propose(bytes("x"))), "forwardingDisabled");
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  network.raw(1).proposeConfChange(change(ConfChangeRemoveNode, 1));
  network.settle();
  assert.ok(network.get(1).leads());
  assert.equal(dropReason(network.raw(1).propose(bytes("x"))), "removed");
});

test("a dropped proposal leaves no trace", () => {
  const network = new Network({ voters: [1, 2, 3], config: { maxUncommittedEntriesSize: 5 } });
  network.elect(1);
  const raw = network.raw(1);
  raw.propose(bytes("12345"));
  const before = [
    raw.basicStatus(),
    raw.raft.uncommittedSize,
    raw.raft.msgs.length,
    raw.raft.pendingConfIndex,
  ];
  assert.ok(raw.propose(bytes("1")) !== null);
  const m = new Message(MsgProp);
  m.from = 2;
  m.entries = [
    new Entry(EntryConfChange, 0, 0, Uint8Array.of(0x18, 0x04)),
    new Entry(EntryNormal, 0, 0, bytes("1")),
  ];
  assert.ok(raw.step(m) instanceof ProposalDropped);
  assert.deepEqual(
    [raw.basicStatus(), raw.raft.uncommittedSize, raw.raft.msgs.length, raw.raft.pendingConfIndex],
    before,
  );
});

test("a follower forwards, and the leader gives the entry its place, however often the message comes", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  assert.equal(network.raw(2).propose(bytes("fwd")), null);
  assert.deepEqual({ ...network.raw(2).lastProposed }, { term: 0, first: 0, last: 0 });
  network.work(2);
  network.post(network.queue[0]);
  network.settle();
  assert.deepEqual(network.get(3).appliedTexts(), ["fwd", "fwd"]);
  assert.deepEqual(
    network.get(1).applied.map((e) => e.index),
    [2, 3, 4],
  );
});

test("flow control: messages in flight stop at their number, their bytes, and their size", () => {
  const sent = (config: ConfigOverrides): number[] => {
    const network = new Network({ voters: [1, 2], config });
    network.elect(1);
    network.isolate(2);
    for (let i = 0; i < 10; i++) network.propose(1, "0123456789");
    return network
      .raw(1)
      .ready()
      .messages.filter((m) => m.type === MsgApp)
      .map((m) => m.entries.length);
  };
  assert.deepEqual(sent({ maxInflightMsgs: 3 }), [1, 1, 1]);
  assert.deepEqual(sent({ maxInflightMsgs: 20, maxSizePerMsg: 20, maxInflightBytes: 35 }), [1, 1, 1, 1]);
  assert.equal(sent({ maxInflightMsgs: 20 }).length, 10);
});

test("flow control: the window counts what entries and messages cost besides their payload", () => {
  const sent = (config: ConfigOverrides): number => {
    const network = new Network({
      voters: [1, 2],
      config: { maxSizePerMsg: 0, maxInflightMsgs: 100, ...config },
    });
    network.elect(1);
    network.isolate(2);
    for (let i = 0; i < 50; i++) network.propose(1, "0");
    const { messages } = network.raw(1).ready();
    return messages.filter((m) => m.type === MsgApp && m.entries.length > 0).length;
  };
  assert.equal(sent({ maxInflightBytes: 10 }), 10);
  assert.equal(sent({ maxInflightBytes: 10, inflightOverheadPerEntry: 1 }), 5);
  assert.equal(sent({ maxInflightBytes: 10, inflightOverheadPerEntry: 1, inflightOverheadPerMsg: 3 }), 2);
});

test("a probe carries few entries, and none that is large, once for each heartbeat's answer", () => {
  const network = new Network({ voters: [1, 2], config: { maxSizePerProbe: 40 } });
  network.elect(1);
  const raw = network.raw(1);
  /** Entries in the appends to 2 that follow from `call`. */
  const probed = (call: () => void): number[] => {
    network.queue.length = 0;
    call();
    network.work(1);
    return network.queue.filter((m) => m.type === MsgApp).map((m) => m.entries.length);
  };
  const heartbeat = Object.assign(new Message(MsgHeartbeatResp), { from: 2, to: 1, term: raw.raft.term });
  const large = "0123456789".repeat(10);
  network.isolate(2);
  raw.reportUnreachable(2);
  assert.equal(raw.status().progress.get(2)?.state, StateProbe);
  assert.deepEqual(
    probed(() => network.propose(1, large)),
    [0],
  );
  // What is proposed meanwhile, and what the peer says of itself without having got the probe, brings no entry.
  assert.deepEqual(
    probed(() => network.propose(1, large)),
    [],
  );
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(
      probed(() => raw.step(heartbeat)),
      [0],
    );
  }
  network.heal();
  network.tick(2);
  assert.deepEqual(network.get(2).appliedTexts(), [large, large]);
  network.propose(1, "a");
  network.settle();
  raw.reportUnreachable(2);
  assert.deepEqual(
    probed(() => network.propose(1, "b")),
    [1],
  );
});

test("flow control: a window that frees is filled with messages of the greatest size", () => {
  const network = new Network({ voters: [1, 2], config: { maxInflightMsgs: 1, maxSizePerMsg: 40 } });
  network.elect(1);
  for (let i = 0; i < 9; i++) network.propose(1, "0123456789");
  network.work(1);
  assert.equal(network.queue.length, 1);
  network.settle();
  assert.equal(network.get(2).appliedTexts().length, 9);
  assert.equal(network.raw(1).status().progress.get(2)?.state, StateReplicate);
});

test("committed entries are handed out within their limit", () => {
  const network = new Network({ voters: [1], config: { maxCommittedSizePerReady: 30 } });
  network.elect(1);
  for (let i = 0; i < 5; i++) network.propose(1, "0123456789");
  const raw = network.raw(1);
  network.get(1).storage.append(raw.ready().entries);
  raw.advance();
  const sizes: number[] = [];
  while (raw.hasReady()) {
    sizes.push(raw.ready().committedEntries.length);
    raw.advance();
  }
  assert.deepEqual(sizes, [1, 1, 1, 1, 1]);
});

test("readIndex: answered by a quorum, on the leader and through a follower", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  network.raw(1).readIndex(bytes("here"));
  network.raw(3).readIndex(bytes("there"));
  assert.equal(network.get(1).readStates.length, 0);
  network.settle();
  const [here] = network.get(1).readStates;
  const [there] = network.get(3).readStates;
  assert.deepEqual([here.index, text(here.requestCtx)], [2, "here"]);
  assert.deepEqual([there.index, text(there.requestCtx)], [2, "there"]);
});

test("readIndex: without a quorum there is no answer, and before the first commit none yet", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  network.isolate(1);
  network.raw(1).readIndex(bytes("cut"));
  network.settle();
  assert.equal(network.get(1).readStates.length, 0);
  const fresh = new Network({ voters: [1, 2, 3] });
  fresh.drops = (m) => m.type === MsgAppResp;
  fresh.raw(1).campaign();
  fresh.settle();
  fresh.raw(1).readIndex(bytes("early"));
  fresh.settle();
  assert.equal(fresh.get(1).readStates.length, 0);
  fresh.heal();
  fresh.tick();
  assert.deepEqual(
    fresh.get(1).readStates.map((s) => s.index),
    [2],
  );
});

test("readIndex: on the strength of the lease it is answered at once", () => {
  const config = { checkQuorum: true, readOnlyOption: ReadOnlyLeaseBased as 1 };
  const network = new Network({ voters: [1, 2, 3], config });
  network.elect(1);
  network.raw(1).tick();
  network.settle();
  network.raw(1).readIndex(bytes("now"));
  assert.equal(network.raw(1).ready().readStates.length, 1);
});

test("transfer: the target leads after one round; one that fails ends after an election timeout", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  network.raw(1).transferLeader(2);
  network.settle();
  assert.ok(network.get(2).leads());
  assert.ok(!network.get(1).leads());
  network.isolate(3);
  network.raw(2).transferLeader(3);
  assert.equal(network.raw(2).basicStatus().leadTransferee, 3);
  network.tick(10, 2);
  assert.equal(network.raw(2).basicStatus().leadTransferee, 0);
  assert.equal(network.raw(2).propose(bytes("x")), null);
});

test("stepDown: a leader becomes a follower of its term, and whoever has most of its log takes over", () => {
  const network = new Network({ voters: [1, 2, 3], config: { checkQuorum: true, preVote: true } });
  network.elect(1);
  network.isolate(2);
  network.raw(1).propose(bytes("x"));
  network.settle();
  network.heal();
  const { term } = network.raw(1).raft;
  network.raw(1).stepDown();
  assert.equal(network.raw(1).raft.state, StateFollower);
  assert.equal(network.raw(1).raft.lead, 0);
  assert.equal(network.raw(1).raft.term, term);
  network.settle();
  assert.ok(network.get(3).leads());
  assert.equal(network.raw(3).raft.term, term + 1);
  network.raw(1).stepDown();
  assert.equal(network.raw(1).raft.lead, 3, "who does not lead has nothing to give up");
});

test("transfer asked of a follower that another follower passed on: passed on again", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  network.raw(2).transferLeader(3);
  network.work(2);
  const [m] = network.queue;
  m.to = 3;
  network.deliver();
  network.settle();
  assert.ok(network.get(3).leads());
});

test("membership: a learner is caught up, gets no vote, and is promoted", () => {
  const network = new Network({ voters: [1, 2] });
  network.elect(1);
  network.join(3);
  assert.equal(network.raw(1).proposeConfChange(change(ConfChangeAddLearnerNode, 3)), null);
  network.settle();
  // The log begins after a snapshot, so the newcomer needs one, and it must have been heard of.
  network.tick(3);
  assert.deepEqual(network.get(1).confState?.learners, [3]);
  network.raw(1).proposeConfChange(change(ConfChangeAddNode, 3));
  network.tick(3);
  assert.deepEqual(network.get(1).confState?.voters, [1, 2, 3]);
});

test("membership: joint consensus with automatic leave", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  const cc: ConfChangeV2 = {
    transition: 0,
    changes: [
      { type: ConfChangeRemoveNode, nodeId: 2 },
      { type: ConfChangeAddLearnerNode, nodeId: 3 },
    ],
    context: NO_DATA,
  };
  assert.equal(network.raw(1).proposeConfChange(cc), null);
  network.settle();
  network.settle();
  const cs = network.get(1).confState;
  assert.deepEqual([cs?.voters, cs?.votersOutgoing, cs?.learners], [[1], [], [3]]);
});

test("membership: a new leader leaves a joint configuration once its term's first entry is applied, as etcd's", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  const changes = [{ type: ConfChangeAddLearnerNode, nodeId: 4 }] as const;
  assert.equal(network.raw(1).proposeConfChange({ transition: 1, changes, context: NO_DATA }), null);
  // All are in the joint configuration; that it is left reaches nobody.
  network.drops = (m) => m.entries.some(({ type, size }) => type === EntryConfChangeV2 && size === 0);
  network.settle();
  const { storage } = network.get(2);
  const last = storage.lastIndex();
  network.drops = (m) => m.from === 1 || m.to === 1 || m.type === MsgApp;
  network.elect(2);
  network.tick(2, 2);
  assert.equal(storage.lastIndex(), last + 1);
  network.heal();
  network.tick(2, 2);
  assert.equal(storage.lastIndex(), last + 2);
  assert.deepEqual(network.get(3).confState?.votersOutgoing, []);
});

test("membership: leaving a joint configuration, once dropped for a transfer, is tried again with a heartbeat, and not as etcd raft", () => {
  for (const beyondEtcd of [true, false]) {
    // By default.
    const network = new Network({ voters: [1, 2], config: beyondEtcd ? {} : { beyondEtcd } });
    network.elect(1);
    network.drops = (m) => m.type === MsgTimeoutNow;
    const changes = [{ type: ConfChangeAddLearnerNode, nodeId: 3 }] as const;
    network.raw(1).proposeConfChange({ transition: 1, changes, context: NO_DATA });
    network.raw(1).transferLeader(2);
    network.settle();
    assert.equal(network.get(1).confState?.votersOutgoing.length, 2);
    network.tick(11, 1);
    assert.equal(network.get(1).confState?.votersOutgoing.length, beyondEtcd ? 0 : 2);
    network.propose(1, "next");
    network.settle();
    assert.equal(network.get(1).confState?.votersOutgoing.length, 0);
  }
});

test("membership: a change that leaves no voter is refused, proposed or applied; nothing changes", () => {
  const network = new Network({ voters: [1] });
  network.elect(1);
  const raw = network.raw(1);
  const before = raw.status();
  const refused = raw.proposeConfChange(change(ConfChangeRemoveNode, 1));
  assert.equal(refused?.message, "removed all voters");
  assert.equal(refused?.code, "RAFT_CONF_CHANGE_INVALID");
  const applied = raw.applyConfChange(change(ConfChangeRemoveNode, 1));
  assert.ok(applied instanceof RaftError);
  assert.equal(raw.applyConfChange(change(ConfChangeAddNode, 2 ** 53)), ErrBadConfChange);
  assert.deepEqual(raw.status(), before);
  assert.deepEqual(raw.applyConfChange(change(ConfChangeRemoveNode, 0)), raw.raft.trk.confState());
});

test("forgetLeader: a follower does, a leader does not", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  assert.equal(network.raw(2).forgetLeader(), null);
  assert.equal(network.raw(2).basicStatus().softState.lead, 0);
  network.raw(1).forgetLeader();
  assert.equal(network.raw(1).basicStatus().softState.lead, 1);
});

test("a leader that a change removes counts at once what the voters who stay have answered already, and not as etcd raft", () => {
  for (const beyondEtcd of [true, false]) {
    const network = new Network({ voters: [1, 2, 3, 4, 5, 6, 7], config: { beyondEtcd } });
    network.elect(1);
    const leaves = [1, 4, 5, 6, 7].map((nodeId) => ({ type: ConfChangeRemoveNode, nodeId }) as const);
    const joint: ConfChangeV2 = {
      transition: ConfChangeTransitionJointExplicit,
      changes: leaves,
      context: NO_DATA,
    };
    assert.equal(network.raw(1).proposeConfChange(joint), null);
    network.settle();
    // The answers of those who leave are slow.
    const held: Message[] = [];
    network.drops = (m) => m.to === 1 && m.from > 3 && held.push(m) > 0;
    network.raw(1).proposeConfChange({ transition: 0, changes: [], context: NO_DATA });
    network.settle();
    network.propose(1, "y");
    network.raw(1).readIndex(bytes("r"));
    network.settle();
    const { raftLog } = network.raw(1).raft;
    const last = raftLog.lastIndex();
    // They come for the change, and for nothing behind it.
    for (const m of held) if (m.type === MsgAppResp && m.index === last - 1) network.raw(1).step(m);
    network.settle();
    assert.deepEqual(network.get(1).confState?.voters, [2, 3]);
    assert.equal(raftLog.committed, beyondEtcd ? last : last - 1);
    assert.equal(network.get(1).readStates.length, beyondEtcd ? 1 : 0);
  }
});

test("step-down on removal: a removed leader follows", () => {
  const network = new Network({ voters: [1, 2, 3], config: { stepDownOnRemoval: true } });
  network.elect(1);
  network.raw(1).proposeConfChange(change(ConfChangeRemoveNode, 1));
  network.settle();
  assert.equal(network.raw(1).basicStatus().softState.raftState, StateFollower);
});

test("a removed leader's longer log holds up nobody: with its rejection it says what is committed (raft-rs)", () => {
  for (const preVote of [true, false]) {
    const config = { preVote, stepDownOnRemoval: true, beyondEtcd: true };
    const network = new Network({ voters: [1, 2], config });
    network.elect(1);
    const acknowledgements: Message[] = [];
    network.drops = (m) => m.type === MsgAppResp && acknowledgements.push(m) > 0;
    assert.equal(network.raw(1).proposeConfChange(change(ConfChangeRemoveNode, 1)), null);
    network.settle();
    // Of what comes behind the change, and of its commit, 2 hears nothing.
    network.isolate(2);
    network.propose(1, "nobody has it");
    network.settle();
    assert.equal(network.raw(1).step(acknowledgements[0]!), null);
    network.settle();
    assert.deepEqual(network.raw(1).raft.trk.confState().voters, [2]);
    network.heal();
    network.tick(40, 2);
    assert.ok(network.get(2).leads(), `preVote ${preVote}`);
    network.propose(2, "goes on");
    network.settle();
    assert.deepEqual(network.get(2).appliedTexts(), ["goes on"]);
  }
});

test("a follower that is behind the compacted log is caught up by a snapshot", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  network.isolate(3);
  for (let i = 0; i < 20; i++) network.propose(1, `e${i}`);
  network.settle();
  const { storage, applied, confState } = network.get(1);
  const index = applied.length + 1;
  storage.createSnapshot(index, confState, bytes("state"));
  storage.compact(index);
  network.heal();
  network.tick(4);
  assert.equal(network.raw(3).basicStatus().applied, index);
  const own = network.raw(3).raft.trk.progress.get(3)!;
  assert.deepEqual([own.match, own.next], [index - 1, index]);
  assert.equal(network.get(3).storage.firstIndex(), index + 1);
  network.propose(1, "after");
  network.settle();
  assert.equal(network.raw(1).status().progress.get(3)?.match, index + 1);
  assert.equal(network.get(3).storage.lastIndex(), index + 1);
});

test("reportSnapshot and reportUnreachable bring a follower back to probing", () => {
  const network = new Network({ voters: [1, 2] });
  network.elect(1);
  const progress = network.raw(1).status().progress.get(2);
  assert.ok(progress !== undefined);
  network.raw(1).reportUnreachable(2);
  assert.equal(progress.toString(), "StateProbe match=2 next=3");
  progress.becomeSnapshot(9);
  network.raw(1).reportSnapshot(2, true);
  assert.equal(progress.toString(), "StateProbe match=2 next=3 paused");
  network.raw(1).reportUnreachable(77);
});

test("bootstrap: the membership is the first entries of the log, once", () => {
  const build = (storage: MemoryStorage): RawNode =>
    new RawNode({
      id: 1,
      electionTick: 10,
      heartbeatTick: 1,
      storage,
      random: () => 0,
      maxSizePerMsg: Infinity,
      maxInflightMsgs: 8,
    });
  const raw = build(new MemoryStorage());
  assert.equal(raw.bootstrap([]), ErrBootstrapNoPeers);
  assert.equal(raw.bootstrap([{ id: 0, context: NO_DATA }]), ErrBadConfChange);
  assert.equal(
    raw.bootstrap([
      { id: 1, context: NO_DATA },
      { id: 2, context: bytes("b") },
    ]),
    null,
  );
  assert.equal(raw.bootstrap([{ id: 1, context: NO_DATA }]), ErrBootstrapNotEmpty);
  const rd = raw.ready();
  assert.deepEqual(rd.hardState, { term: 1, vote: 0, commit: 2 });
  assert.equal(rd.entries.length, 2);
  assert.equal(rd.committedEntries.length, 2);
  assert.deepEqual(raw.raft.trk.confState().voters, [1, 2]);
  assert.equal(build(newStorage([1])).bootstrap([{ id: 1, context: NO_DATA }]), ErrBootstrapNotEmpty);
});

test("as etcd raft, a learner's refusal of a vote says nothing of what is committed", () => {
  const network = new Network({ voters: [1, 2], learners: [3], config: { beyondEtcd: false } });
  network.elect(1);
  const m = Object.assign(new Message(MsgVote), { from: 2, to: 3, term: 9, index: 1, logTerm: 1 });
  network.raw(3).step(m);
  const [refusal] = network.raw(3).raft.msgsAfterAppend;
  assert.deepEqual([refusal.reject, refusal.commit, refusal.logTerm], [true, 0, 0]);
});

test("withProgress visits all members, ids ascending", () => {
  const network = new Network({ voters: [3, 1], learners: [2] });
  network.elect(1);
  const seen: string[] = [];
  network.raw(1).withProgress((id, type) => void seen.push(`${id}:${type}`));
  assert.deepEqual(seen, ["1:0", "2:1", "3:0"]);
  assert.equal(network.raw(1).status().config, "voters=(1 3) learners=(2)");
});

test("a leader that hears no quorum steps down; one that does stays", () => {
  const network = new Network({ voters: [1, 2, 3], config: { checkQuorum: true } });
  network.elect(1);
  network.tick(30, 1);
  assert.ok(network.get(1).leads());
  network.isolate(1);
  network.tick(20, 1);
  assert.ok(!network.get(1).leads());
});
