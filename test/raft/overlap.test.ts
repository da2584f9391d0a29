// An append that begins below the follower's commit index and reaches beyond it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_DATA } from "../../src/base/bytes.js";
import { Entry, EntryNormal, Message, MsgApp, type RawNode } from "../../src/raft/index.js";
import { Network } from "./network.js";

/** A follower at term 2 whose log ends with index 2, which is committed. */
function follower(beyondEtcd: boolean): RawNode {
  const network = new Network({ voters: [1, 2, 3], config: { beyondEtcd } });
  network.elect(1);
  assert.equal(network.raw(2).raft.raftLog.committed, 2);
  return network.raw(2);
}

/** From node 1, behind the entry at `index` of term 1. */
function append(index: number, terms: readonly number[]): Message {
  const entries = terms.map((term, i) => new Entry(EntryNormal, term, index + 1 + i, NO_DATA));
  return Object.assign(new Message(MsgApp), {
    from: 1,
    to: 2,
    term: 2,
    index,
    logTerm: 1,
    entries,
    commit: 2,
  });
}

/** What it answers: index and whether it refuses. */
function answers(node: RawNode): unknown {
  const { messages } = node.ready();
  return messages.filter(({ to }) => to === 1).map(({ index, reject }) => [index, reject]);
}

test("what lies beyond the commit index is taken", () => {
  const node = follower(true);
  assert.equal(node.step(append(1, [2, 2, 2])), null);
  assert.equal(node.raft.raftLog.lastIndex(), 4);
  assert.deepEqual(answers(node), [[4, false]]);
});

test("or, unless that was asked for, dropped: the answer is the commit index, as etcd's", () => {
  const node = follower(false);
  assert.equal(node.step(append(1, [2, 2, 2])), null);
  assert.equal(node.raft.raftLog.lastIndex(), 2);
  assert.deepEqual(answers(node), [[2, false]]);
});

test("one that says another term for what is committed changes nothing", () => {
  const node = follower(true);
  assert.equal(node.step(append(1, [1, 2])), null);
  assert.equal(node.raft.raftLog.lastIndex(), 2);
});
