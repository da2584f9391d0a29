// What peers may not say: refused with the whole frame, before anything is stepped, and counted; and nothing that honest
// nodes say is.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { NO_DATA } from "../../src/base/bytes.js";
import type { Logger } from "../../src/index.js";
import { CloseLostLog } from "../../src/link/index.js";
import { forwardContext, LIFE_BYTES } from "../../src/node/forward-wire.js";
import { refusalOfMessages } from "../../src/node/peer-messages.js";
import { RaftNode } from "../../src/node/raft-node.js";
import {
  type ConfState,
  EMPTY_CONF_STATE,
  Entry,
  EntryConfChange,
  EntryConfChangeV2,
  EntryNormal,
  type EntryType,
  MEMBERS_MAX,
  Message,
  type MessageType,
  MsgApp,
  MsgAppResp,
  MsgBeat,
  MsgForgetLeader,
  MsgHeartbeat,
  MsgHeartbeatResp,
  MsgHup,
  MsgPreVote,
  MsgPreVoteResp,
  MsgProp,
  MsgReadIndex,
  MsgReadIndexResp,
  MsgSnap,
  MsgSnapStatus,
  MsgStorageAppendResp,
  MsgTimeoutNow,
  MsgTransferLeader,
  MsgUnreachable,
  MsgVote,
  MsgVoteResp,
  marshalConfChange,
  TERM_JUMP_MAX,
} from "../../src/raft/index.js";
import { Network } from "../raft/network.js";
import { atEnd, tempDir } from "../temp-dir.js";
import { Lines } from "./nodes.js";
import { StubLink } from "./stub-link.js";

const MAX = Number.MAX_SAFE_INTEGER;

/** A read's context as node `id` makes it. */
function context(id: number): Uint8Array {
  const bytes = new Uint8Array(24).fill(7);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(id));
  return bytes;
}

function entry(
  index: number,
  term: number,
  type: EntryType = EntryNormal,
  data: Uint8Array = NO_DATA,
): Entry {
  return new Entry(type, term, index, data);
}

function message(type: MessageType, fields: Partial<Message>): Message {
  return Object.assign(new Message(type), { from: 2, to: 3, term: 2, ...fields });
}

/** A request to append `entries`, or, without any, an answer to one. */
function forward(fields: Partial<Message>): Message {
  return message(MsgProp, { context: forwardContext(new Uint8Array(LIFE_BYTES), 7), ...fields });
}

const ONE = [entry(0, 0, EntryNormal, Uint8Array.of(1))];

function snapshot(confState: Partial<ConfState>, index = 5): Partial<Message> {
  const metadata = { index, term: 2, confState: { ...EMPTY_CONF_STATE, ...confState } };
  return { snapshot: { data: NO_DATA, metadata } };
}

const MEMBERS = Array.from({ length: MEMBERS_MAX + 1 }, (_, i) => i + 1);
const CC = marshalConfChange({ id: 1, type: 0, nodeId: 4, context: NO_DATA });

/** To node 3, a follower in term 2 whose log ends at index 2; node 2 leads. */
const REFUSED: readonly Message[] = [
  message(MsgReadIndex, { term: 0, entries: [entry(0, 0, EntryNormal, Uint8Array.of(1))] }),
  message(MsgReadIndex, { term: 0, entries: [entry(0, 0, EntryNormal, context(1))] }),
  message(MsgReadIndex, { term: 0, entries: [] }),
  message(MsgReadIndex, { term: 2, entries: [entry(0, 0, EntryNormal, context(2))] }),
  message(MsgReadIndexResp, { index: 2, entries: [entry(0, 0, EntryNormal, Uint8Array.of(1))] }),
  message(MsgReadIndexResp, { index: 2, entries: [entry(0, 0, EntryNormal, context(2))] }),
  message(MsgAppResp, { from: 3, index: 2 }),
  message(MsgHeartbeat, { term: MAX }),
  message(MsgHeartbeat, { term: 2 + TERM_JUMP_MAX + 1 }),
  message(MsgPreVote, { term: MAX }),
  message(MsgVote, { term: MAX }),
  message(MsgApp, { term: MAX }),
  message(MsgAppResp, { term: MAX }),
  message(MsgHeartbeat, { term: 0 }),
  message(MsgHeartbeat, { from: 1 }),
  message(MsgApp, { from: 1 }),
  message(MsgTimeoutNow, { from: 1 }),
  message(MsgApp, { index: 2 ** 50, logTerm: 1 }),
  message(MsgApp, { index: 2, logTerm: 2, commit: 2 ** 50 }),
  message(MsgHeartbeat, { commit: 2 ** 50 }),
  message(MsgSnap, snapshot({ voters: MEMBERS })),
  message(MsgSnap, snapshot({ voters: [1, 2, 3] }, 2 ** 50)),
  message(MsgSnap, {}),
  message(MsgProp, { entries: [entry(0, 0, EntryNormal, Uint8Array.of(1))] }),
  message(MsgProp, { term: 0, entries: [entry(0, 0, EntryConfChange, CC)] }),
  forward({ entries: ONE, term: 0 }),
  forward({ entries: ONE, from: 3 }),
  forward({ entries: ONE, term: MAX }),
  forward({ entries: ONE, context: new Uint8Array(15) }),
  forward({ entries: ONE, context: new Uint8Array(16).fill(255) }),
  forward({ entries: ONE, index: 3 }),
  forward({ entries: ONE, reject: true, rejectHint: 1 }),
  forward({ entries: ONE, commit: 2 }),
  forward({ entries: [...ONE, entry(0, 0)] }),
  forward({ entries: [entry(3, 0, EntryNormal, Uint8Array.of(1))] }),
  forward({ entries: [entry(0, 2, EntryNormal, Uint8Array.of(1))] }),
  forward({ entries: [entry(0, 0, EntryConfChange, CC)] }),
  forward({}),
  forward({ index: 3, reject: true, rejectHint: 1 }),
  forward({ index: 3, rejectHint: 1 }),
  forward({ index: 2 ** 50 }),
  forward({ reject: true }),
  forward({ reject: true, rejectHint: 8 }),
  message(MsgApp, { ...snapshot({ voters: [1, 2, 3] }) }),
  message(MsgHeartbeat, { entries: [entry(3, 2)] }),
  message(MsgAppResp, { entries: [entry(3, 2)] }),
  message(MsgHeartbeat, { context: new Uint8Array(1) }),
  message(MsgHeartbeatResp, { context: new Uint8Array(9000) }),
  message(MsgVote, { term: 3, context: Buffer.from("CampaignTransfe_") }),
  message(MsgPreVote, { term: 3, context: Buffer.from("CampaignTransfer") }),
  message(MsgVoteResp, { vote: 1 }),
  message(MsgVoteResp, { commit: 2, logTerm: 2 }),
  message(MsgPreVoteResp, { reject: true, commit: 2 }),
  message(MsgPreVoteResp, { reject: true, commit: 2, logTerm: 3 }),
  message(MsgApp, { responses: [new Message(MsgAppResp)] }),
  message(MsgApp, { index: 2, logTerm: 2, entries: [entry(4, 2)] }),
  message(MsgApp, { index: 2, logTerm: 2, entries: [entry(3, 3)] }),
  message(MsgApp, { index: 2, logTerm: 2, entries: [entry(3, 2, 3 as EntryType)] }),
  message(MsgApp, { index: 2, logTerm: 2, entries: [entry(3, 2, EntryConfChange, Uint8Array.of(255))] }),
  message(MsgApp, { index: 2, logTerm: 2, entries: [entry(3, 2, EntryConfChangeV2, Uint8Array.of(8, 9))] }),
  message(MsgApp, { entries: [entry(1, 0)] }),
  message(MsgApp, { index: 2, logTerm: 0 }),
  message(MsgApp, { index: 0, logTerm: 1 }),
  message(MsgVote, { term: 3, index: 2, logTerm: 3 }),
  message(MsgVote, { term: 3, index: 0, logTerm: 2 }),
  message(MsgPreVote, { term: 3, index: 2, logTerm: 4 }),
  message(MsgAppResp, { index: 2, logTerm: 2 }),
  message(MsgAppResp, { index: 2, rejectHint: 1 }),
  message(MsgAppResp, { index: 2, reject: true, rejectHint: 2, logTerm: 3 }),
  message(MsgReadIndex, { from: 0, term: 0, entries: [entry(0, 0, EntryNormal, Uint8Array.of(1))] }),
  message(MsgReadIndexResp, { from: 1, index: 2, entries: [entry(0, 0, EntryNormal, context(3))] }),
  message(MsgTransferLeader, { from: 0 }),
  message(MsgSnap, snapshot({ voters: [1, 2, 3] }, 0)),
  message(MsgHup, {}),
  message(MsgBeat, {}),
  message(MsgUnreachable, {}),
  message(MsgSnapStatus, {}),
  message(MsgStorageAppendResp, {}),
  message(MsgForgetLeader, {}),
  message(24 as MessageType, {}),
];

function group(): Network {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(2);
  return network;
}

test("what no peer sends is refused, and the frame that it is in", () => {
  const { raft } = group().raw(3);
  const heartbeat = message(MsgHeartbeat, {});
  assert.equal(refusalOfMessages(raft, [heartbeat, heartbeat]), null);
  for (const [i, bad] of REFUSED.entries()) {
    assert.notEqual(refusalOfMessages(raft, [bad]), null, `message ${i}`);
    assert.notEqual(refusalOfMessages(raft, [heartbeat, bad]), null, `message ${i}`);
  }
});

test("what peers send passes", () => {
  const { raft } = group().raw(3);
  const good = [
    message(MsgApp, {
      index: 2,
      logTerm: 2,
      commit: 2,
      entries: [entry(3, 2), entry(4, 2, EntryConfChange, CC)],
    }),
    message(MsgApp, { term: 3, from: 1 }),
    message(MsgAppResp, { index: 2, reject: true, rejectHint: 1, logTerm: 1 }),
    message(MsgVote, { term: 3, index: 2, logTerm: 2, context: Buffer.from("CampaignTransfer") }),
    message(MsgPreVote, { term: 3, index: 2, logTerm: 2 }),
    message(MsgPreVoteResp, { term: 3, reject: true }),
    message(MsgVoteResp, { reject: true, commit: 2, logTerm: 1 }),
    message(MsgHeartbeatResp, { context: new Uint8Array(8) }),
    message(MsgSnap, snapshot({ voters: [1, 2, 3] })),
    message(MsgSnap, snapshot({ voters: MEMBERS.slice(1) })),
    forward({ entries: [...ONE, ...ONE] }),
    forward({ term: 3, from: 1, entries: ONE }),
    forward({ index: 3 }),
    forward({ reject: true, rejectHint: 7 }),
    message(MsgTransferLeader, { from: 1 }),
    message(MsgTimeoutNow, {}),
    // Passed on by one who no longer leads.
    message(MsgReadIndex, { from: 1, term: 0, entries: [entry(0, 0, EntryNormal, context(1))] }),
    message(MsgReadIndexResp, { index: 2, entries: [entry(0, 0, EntryNormal, context(3))] }),
  ];
  for (const m of good) assert.equal(refusalOfMessages(raft, [m]), null);
});

interface Opened {
  node: RaftNode;
  link: StubLink;
  lines: Lines;
  dir: string;
}

async function openNode(t: TestContext, dir = tempDir(t)): Promise<Opened> {
  const link = new StubLink();
  const lines = new Lines();
  const node = await RaftNode.open({
    id: 3,
    dir,
    listen: "127.0.0.1:39503",
    peers: { 1: "127.0.0.1:39501", 2: "127.0.0.1:39502", 3: "127.0.0.1:39503" },
    secret: "k",
    stateMachine: { apply: () => undefined },
    writer: "inline-js",
    durability: "none",
    tickMs: 10,
    link,
    logger: lines as Logger,
  });
  atEnd(t, () => node.close());
  return { node, link, lines, dir };
}

test("a refused frame changes nothing, is counted, and fences nothing", async (t) => {
  const { node, link } = await openNode(t);
  const handler = link.handler!;
  assert.equal(handler.onMessages(0, 2, [message(MsgHeartbeat, {})]), undefined);
  const before = node.status();
  assert.equal(before.leader, 2);
  for (const bad of REFUSED) {
    const frame = [message(MsgHeartbeat, { term: 3 }), bad];
    assert.equal(typeof handler.onMessages(0, bad.from, frame), "string");
  }
  assert.deepEqual(node.status(), before);
  assert.equal(node.metrics.framesRefused, REFUSED.length);
  // Honest traffic goes on.
  assert.equal(handler.onMessages(0, 2, [message(MsgHeartbeat, { term: 3 })]), undefined);
  assert.equal(node.status().term, 3);
  assert.equal(node.status().fault, null);
});

test("a frame of another group is refused, whatever it says, and counted", async (t) => {
  const { node, link } = await openNode(t);
  const before = node.status();
  assert.match(`${link.handler!.onMessages(1, 2, [message(MsgHeartbeat, { term: 3 })])}`, /^group 1: /);
  assert.deepEqual(node.status(), before);
  assert.equal(node.metrics.framesRefused, 1);
});

test("a snapshot that cannot be taken here is counted and told, and changes nothing stored", async (t) => {
  const { node, link, lines } = await openNode(t);
  assert.equal(
    link.handler!.onMessages(0, 2, [message(MsgSnap, snapshot({ voters: [1, 2, 3] }))]),
    undefined,
  );
  const { term, commit, lastIndex, fault } = node.status();
  assert.deepEqual([term, commit, lastIndex, fault], [0, 0, 0, null]);
  assert.equal(node.metrics.snapshotsRefused, 1);
  assert.equal(lines.matching(/^warn node 2 sends a snapshot, and this node stays behind: option/).length, 1);
});

test("who retires knows no leader any more, and reads there end like those of any node without one", async (t) => {
  const { node, link } = await openNode(t);
  link.handler!.onMessages(0, 2, [message(MsgHeartbeat, {})]);
  assert.equal(await node.whenLeader(), 2);
  const reason = "shorter log: node 3 acknowledged more";
  link.handler!.onRefused!({ peer: 2, code: CloseLostLog, by: "peer", reason });
  await assert.rejects(node.readBarrier(), { code: "RAFT_NO_LEADER" });
  assert.equal(node.status().leader, 0);
});

test("a file of the peers' logs that cannot be read is said with a code", async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, "peer-logs.json"), { recursive: true });
  await assert.rejects(openNode(t, dir), { code: "WAL_IO", message: /peer-logs.json cannot be read/ });
});

test("a heartbeat with a commit index beyond the log fences, and the log counts as lost after a restart, too", async (t) => {
  const { node, link, dir } = await openNode(t);
  assert.equal(link.handler!.onMessages(0, 2, [message(MsgHeartbeat, { commit: 9 })]), undefined);
  assert.equal(node.status().state, "StateFenced");
  assert.match(
    node.status().fault!,
    /its log ends at index 0, and node 2, which leads, has its acknowledgement up to 9/,
  );
  assert.equal(node.status().lostLogs[0]!.node, 3);
  await node.close();
  const again = await openNode(t, dir);
  assert.match(again.node.status().lostLogs[0]!.reason, /acknowledgement up to 9/);
  assert.equal(again.lines.matching(/^error RAFT_LOG_LOST: .*acknowledgement up to 9/).length, 1);
  again.link.handler!.onMessages(0, 2, [message(MsgVote, { term: 3, index: 9, logTerm: 2 })]);
  again.node.campaign();
  // Several turns.
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([again.node.status().term, again.link.sent], [0, []]);
});
