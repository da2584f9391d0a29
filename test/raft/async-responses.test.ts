import assert from "node:assert/strict";
import { test } from "node:test";
import {
  EMPTY_CONF_STATE,
  Entry,
  MemoryStorage,
  Message,
  MsgApp,
  MsgHeartbeat,
  MsgStorageAppend,
  MsgStorageAppendResp,
  RawNode,
} from "../../src/raft/index.js";

function leaderSays(type: typeof MsgApp | typeof MsgHeartbeat, index: number, entries: Entry[]): Message {
  const message = new Message(type);
  message.from = 2;
  message.to = 1;
  message.term = 1;
  message.index = index;
  message.logTerm = index === 0 ? 0 : 1;
  message.entries = entries;
  return message;
}

function newNode(): RawNode {
  const storage = new MemoryStorage();
  storage.applySnapshot({
    data: new Uint8Array(0),
    metadata: { confState: { ...EMPTY_CONF_STATE, voters: [1, 2, 3] }, index: 1, term: 1 },
  });
  return new RawNode({
    id: 1,
    electionTick: 10,
    heartbeatTick: 1,
    storage,
    random: () => 0,
    maxSizePerMsg: 1 << 20,
    maxInflightMsgs: 256,
    asyncStorageWrites: true,
    applied: 1,
  });
}

function appendOf(node: RawNode, message: Message): Message {
  assert.equal(node.step(message), null);
  const append = node.ready().messages.find(({ type }) => type === MsgStorageAppend);
  assert.ok(append !== undefined, "nothing to append");
  return append;
}

// The list was shared once: the answer to a later append was delivered with an earlier one, before it was durable.
test("async storage writes: an append without responses stays without, whatever comes after it", () => {
  const node = newNode();
  const first = appendOf(node, leaderSays(MsgHeartbeat, 0, []));
  assert.equal(first.responses.length, 0, "a heartbeat's answer waits for no disk");
  const second = appendOf(node, leaderSays(MsgApp, 1, [new Entry(0, 1, 2, Uint8Array.of(1))]));
  assert.ok(second.responses.length > 0);
  assert.equal(first.responses.length, 0);
});

test("a slice is remembered until the storage took entries in, of whatever term its notice is: older ones may be overwritten", () => {
  const node = newNode();
  const { raftLog } = node.raft;
  const append = appendOf(node, leaderSays(MsgApp, 1, [new Entry(0, 1, 2, Uint8Array.of(1))]));
  const election = leaderSays(MsgHeartbeat, 0, []);
  election.term = 2;
  assert.equal(node.step(election), null);
  const slice = raftLog.entries(2, Infinity);
  assert.equal(raftLog.entries(2, Infinity), slice);
  const notice = append.responses.find(({ type }) => type === MsgStorageAppendResp);
  assert.equal(node.step(notice!), null);
  assert.notEqual(raftLog.entries(2, Infinity), slice);
});
