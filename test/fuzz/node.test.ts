// Whole nodes, with driver and log, and peers that say whatever the door lets pass, and more: appends that fit, overlap and
// jump, terms and commits ahead, changes of members, answers to nothing, reads and transfers. A node refuses the frame or
// goes on: it never ends, and follows whoever leads the next term. (But for RAFT_LOG_LOST, which is what it should say.)
import assert from "node:assert/strict";
import { NO_DATA } from "../../src/base/bytes.js";
import type { Prng } from "../../src/base/prng.js";
import type { LinkHandler } from "../../src/link/index.js";
import type { Driver } from "../../src/node/driver.js";
import { RaftNode } from "../../src/node/raft-node.js";
import {
  EMPTY_CONF_STATE,
  Entry,
  EntryConfChange,
  EntryConfChangeV2,
  EntryNormal,
  type EntryType,
  Message,
  type MessageType,
  MsgApp,
  MsgAppResp,
  MsgHeartbeat,
  MsgHeartbeatResp,
  MsgPreVote,
  MsgPreVoteResp,
  MsgReadIndex,
  MsgReadIndexResp,
  MsgSnap,
  MsgTimeoutNow,
  MsgTransferLeader,
  MsgVote,
  MsgVoteResp,
  marshalConfChange,
  type RawNode,
  StateCandidate,
  StatePreCandidate,
} from "../../src/raft/index.js";
import { StubLink } from "../node/stub-link.js";
import { randomMessage } from "../raft/forged.js";
import { chance, changed, pick, randomBytes } from "./bytes.js";
import { fuzz } from "./harness.js";
import { withDir } from "./scratch.js";

const SELF = 3;
const PEERS = { 1: "127.0.0.1:39501", 2: "127.0.0.1:39502", 3: "127.0.0.1:39503" };
const STEPS = 80;
const TYPES: readonly MessageType[] = [
  MsgApp,
  MsgApp,
  MsgApp,
  MsgAppResp,
  MsgHeartbeat,
  MsgHeartbeatResp,
  MsgVote,
  MsgVoteResp,
  MsgPreVote,
  MsgPreVoteResp,
  MsgReadIndex,
  MsgReadIndexResp,
  MsgSnap,
  MsgTimeoutNow,
  MsgTransferLeader,
];

interface Parts {
  readonly rawNode: RawNode;
  readonly driver: Driver;
}

function confChange(prng: Prng): Uint8Array {
  const type = pick(prng, [0, 1, 2, 3] as const);
  return marshalConfChange({ id: 1, type, nodeId: prng.below(6), context: NO_DATA });
}

/** Entries behind `index`, as a leader of `term` may have them. */
function entriesFor(prng: Prng, index: number, logTerm: number, term: number): Entry[] {
  let at = logTerm;
  return Array.from({ length: prng.below(5) }, (_, i) => {
    at += prng.below(Math.max(1, Math.min(3, term - at + 1)));
    const type = pick<EntryType>(prng, [
      EntryNormal,
      EntryNormal,
      EntryNormal,
      EntryConfChange,
      EntryConfChangeV2,
    ]);
    const data =
      type === EntryNormal
        ? randomBytes(prng, prng.below(40))
        : chance(prng, 0.7)
          ? confChange(prng)
          : NO_DATA;
    return new Entry(type, at, index + 1 + i, data);
  });
}

/** The vote that a campaign waits for; else a likely message. */
function nextOf(prng: Prng, raw: RawNode): Message {
  const { state, term } = raw.raft;
  const isPre = state === StatePreCandidate;
  if ((!isPre && state !== StateCandidate) || chance(prng, 0.5)) return likely(prng, raw);
  const vote = new Message(isPre ? MsgPreVoteResp : MsgVoteResp);
  return Object.assign(vote, { from: 1 + prng.below(2), to: SELF, term: isPre ? term + 1 : term });
}

/** A message that the door may well let pass. */
function likely(prng: Prng, { raft }: RawNode): Message {
  const { raftLog } = raft;
  const last = raftLog.lastIndex();
  const m = new Message(pick(prng, TYPES));
  m.from = 1 + prng.below(2);
  m.to = SELF;
  m.term = m.type === MsgReadIndex ? 0 : Math.max(1, raft.term + pick(prng, [0, 0, 0, 0, 0, 0, 0, 1, 2, -1]));
  if (chance(prng, 0.02)) m.term += 2 ** (1 + prng.below(31));
  const index = Math.max(0, last - prng.below(4) + (chance(prng, 0.1) ? prng.below(1000) : 0));
  const known = raftLog.term(index);
  const logTerm =
    index === 0 ? 0 : typeof known === "number" && chance(prng, 0.9) ? known : 1 + prng.below(m.term);
  const asksForVote = m.type === MsgVote || m.type === MsgPreVote;
  if (m.type === MsgApp || asksForVote) Object.assign(m, { index, logTerm });
  if (m.type === MsgApp) {
    m.entries = entriesFor(prng, index, logTerm, m.term);
    m.commit = prng.below(index + m.entries.length + 2);
  }
  if (m.type === MsgHeartbeat) m.commit = prng.below(last + 1);
  if (m.type === MsgAppResp) {
    m.index = index;
    m.reject = chance(prng, 0.3);
    if (m.reject) Object.assign(m, { rejectHint: prng.below(last + 3), logTerm });
  }
  if (m.type === MsgVoteResp || m.type === MsgPreVoteResp) {
    m.reject = chance(prng, 0.4);
    if (m.reject && index > 0 && chance(prng, 0.3)) Object.assign(m, { commit: index, logTerm });
  }
  if (m.type === MsgHeartbeat || m.type === MsgHeartbeatResp) {
    m.context = chance(prng, 0.5) ? NO_DATA : randomBytes(prng, 8).fill(0, 0, 7);
  }
  if (m.type === MsgReadIndex || m.type === MsgReadIndexResp) {
    const context = randomBytes(prng, 24);
    new DataView(context.buffer).setBigUint64(0, BigInt(m.type === MsgReadIndex ? m.from : SELF));
    m.entries = [new Entry(EntryNormal, 0, 0, context)];
    if (m.type === MsgReadIndexResp) m.index = prng.below(last + 5);
  }
  if (m.type === MsgSnap) {
    const confState = { ...EMPTY_CONF_STATE, voters: [1, 2, 3] };
    m.snapshot = {
      data: NO_DATA,
      metadata: { index: last + prng.below(5), term: Math.max(1, m.term - 1), confState },
    };
  }
  return m;
}

/** Whether the node would say, rightly, that its log was lost. */
function tellsOfLoss({ type, commit }: Message, { raft }: RawNode): boolean {
  return type === MsgHeartbeat && commit > raft.raftLog.lastIndex();
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** What its users, its clock and new connections do meanwhile. */
function live(prng: Prng, node: RaftNode, driver: Driver, handler: LinkHandler): void {
  const kind = prng.below(12);
  if (kind === 8) {
    const hello = handler.hello!;
    const shown = chance(prng, 0.1) ? hello : changed(prng, hello, randomBytes(prng, 64));
    const answer = handler.onHello!(1 + prng.below(2), shown);
    assert.ok(answer === null || typeof answer === "string");
  }
  if (kind < 5) for (let i = 1 + prng.below(6); i > 0; i--) driver.tick();
  else if (kind === 5) node.campaign();
  else if (kind === 6) node.propose(randomBytes(prng, 1 + prng.below(50))).catch(() => {});
  else if (kind === 7) node.readBarrier().catch(() => {});
}

async function play(prng: Prng, note: (outcome: string) => void, dir: string): Promise<void> {
  const link = new StubLink();
  const node = await RaftNode.open({
    id: SELF,
    dir,
    listen: PEERS[SELF],
    peers: PEERS,
    secret: "k",
    stateMachine: { apply: () => undefined },
    writer: "inline-js",
    durability: "none",
    segmentBytes: 65_536,
    storageWrites: pick(prng, ["async", "sync"] as const),
    readOnly: pick(prng, ["safe", "lease"] as const),
    tickMs: 60_000,
    seed: prng.nextU32(),
    link,
  });
  try {
    const { rawNode, driver } = node as unknown as Parts;
    const handler = link.handler!;
    for (let i = 0; i < STEPS; i++) {
      const m = chance(prng, 0.85) ? nextOf(prng, rawNode) : randomMessage(prng, rawNode);
      if (tellsOfLoss(m, rawNode)) continue;
      const refusal = handler.onMessages(0, m.from, [m]);
      assert.equal(node.status().fault, null, JSON.stringify(m));
      note(typeof refusal === "string" ? "refused" : "taken");
      if (node.status().state === "StateLeader") note("led");
      live(prng, node, driver, handler);
      if (chance(prng, 0.4)) await turns(1 + prng.below(4));
    }
    await turns(20);
    assert.equal(node.status().fault, null);
    // A change of members that got through may have taken it out, and it was told.
    if (node.status().state === "StateRemoved") {
      assert.ok(!node.status().members.some(({ id }) => id === SELF));
      return;
    }
    const term = node.status().term + 1;
    const next = Object.assign(new Message(MsgHeartbeat), { from: 2, to: SELF, term });
    assert.equal(handler.onMessages(0, 2, [next]), undefined);
    assert.equal(node.status().leader, 2, "it follows nobody any more");
  } finally {
    // Its clock stands still: nothing that is under way would end.
    await node.close({ timeoutMs: 0 });
  }
}

fuzz({
  url: import.meta.url,
  name: "no message ends a node",
  cases: 60,
  kept: [1593126956],
  reaches: ["refused", "taken", "led"],
  run: (prng, note) => withDir((dir) => play(prng, note, dir)),
});
