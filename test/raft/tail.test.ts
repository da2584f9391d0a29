// What a node knows of the end of its log without reading it: conf changes that it must apply before it campaigns, and
// how much an elected leader finds beyond the commit index.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_DATA } from "../../src/base/bytes.js";
import {
  EMPTY_CONF_STATE,
  Entry,
  EntryConfChangeV2,
  EntryNormal,
  ErrProposalDroppedUncommittedLimit,
  MemoryStorage,
  None,
  RawNode,
  StateCandidate,
  StateFollower,
} from "../../src/raft/index.js";
import type { Raft } from "../../src/raft/raft.js";
import { bytes, Network } from "./network.js";

/** A leader without a quorum is elected again, in a later term. */
function elected(raft: Raft): Raft {
  raft.becomeFollower(raft.term, None);
  raft.becomeCandidate();
  raft.becomeLeader();
  return raft;
}

test("the limit of the uncommitted tail counts what the log held when its leader was elected", () => {
  const network = new Network({ voters: [1, 2, 3], config: { maxUncommittedEntriesSize: 100 } });
  network.elect(1);
  network.isolate(1);
  assert.equal(network.raw(1).propose(new Uint8Array(80)), null);
  assert.equal(network.raw(1).propose(new Uint8Array(20)), null);
  network.work(1);
  const raft = elected(network.raw(1).raft);
  assert.equal(raft.inheritedSize, 100);
  assert.equal(network.raw(1).propose(bytes("x")), ErrProposalDroppedUncommittedLimit);
  assert.equal(network.raw(1).propose(NO_DATA), null, "an empty one always passes");
  network.heal();
  network.settle();
  assert.deepEqual([raft.inheritedSize, raft.uncommittedSize], [0, 0]);
  assert.equal(network.raw(1).propose(new Uint8Array(200)), null, "there is room again");
});

test("what an earlier leader left counts until all of it is applied, and not as the new one's own", () => {
  const network = new Network({ voters: [1, 2, 3], config: { maxUncommittedEntriesSize: 100 } });
  network.elect(1);
  network.isolate(1);
  assert.equal(network.raw(1).propose(new Uint8Array(40)), null);
  network.work(1);
  const raft = elected(network.raw(1).raft);
  assert.equal(network.raw(1).propose(new Uint8Array(50)), null);
  const inherited = raft.raftLog.entries(raft.raftLog.committed + 1, 30);
  assert.ok(Array.isArray(inherited) && inherited.length === 1);
  raft.reduceUncommittedSize(inherited);
  assert.deepEqual([raft.inheritedSize, raft.uncommittedSize], [0, 50]);
});

test("a campaign reads nothing of the log, however much of it is not applied", () => {
  const storage = new MemoryStorage();
  const confState = { ...EMPTY_CONF_STATE, voters: [1] };
  storage.applySnapshot({ data: NO_DATA, metadata: { index: 1, term: 1, confState } });
  for (let index = 2; index < 1000; index++) {
    storage.append([new Entry(index === 500 ? EntryConfChangeV2 : EntryNormal, 1, index, bytes("x"))]);
  }
  storage.setHardState({ term: 1, vote: 0, commit: 999 });
  const read = { pages: 0 };
  const counting = Object.assign(Object.create(storage) as MemoryStorage, {
    entries: (lo: number, hi: number, maxSize: number) => {
      read.pages++;
      return storage.entries(lo, hi, maxSize);
    },
  });
  for (const [applied, state] of [
    [499, StateFollower],
    [500, StateCandidate],
  ] as const) {
    const raw = new RawNode({
      id: 1,
      electionTick: 10,
      heartbeatTick: 1,
      maxSizePerMsg: Infinity,
      maxInflightMsgs: 256,
      random: () => 0,
      storage: counting,
      applied,
    });
    read.pages = 0;
    raw.campaign();
    assert.equal(raw.raft.state, state);
    assert.equal(read.pages, 0);
  }
});
