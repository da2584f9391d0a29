// Where a node dials its members: as the book has it, as a member that is ahead shows itself, and what of that counts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemberBook } from "../../src/node/member-book.js";
import { encodeMemberRecord } from "../../src/node/member-record.js";
import { Members } from "../../src/node/members.js";
import { Teller } from "../../src/node/teller.js";
import {
  ConfChangeAddNode,
  ConfChangeUpdateNode,
  type ConfChangeV2,
  EMPTY_CONF_STATE,
  Entry,
  EntryConfChangeV2,
  Message,
  MsgApp,
  marshalConfChange,
} from "../../src/raft/index.js";
import { Network } from "../raft/network.js";
import { StubLink } from "./stub-link.js";

/** Keeps whom it was told of. */
class DialledLink extends StubLink {
  readonly dialled: string[] = [];
  override setPeer(peer?: number, address?: string | null): void {
    this.dialled.push(`${peer} ${address}`);
  }
}

/** Node 3 of three, which has applied nothing since it was begun with these addresses. */
function begun(rawNode = new Network({ voters: [1, 2, 3] }).raw(3)): { members: Members; link: DialledLink } {
  const initial: Record<number, string> = { 1: "proxy:7001", 2: "proxy:7002", 3: "here:7003" };
  const members = new Members({
    id: 3,
    rawNode,
    book: new MemberBook(new Map(Object.entries(initial).map(([id, at]) => [Number(id), at])), null),
    teller: new Teller(3, null),
    secret: null,
    lingerTicks: 20,
    isConnected: () => false,
    electionTicks: 10,
    leaderlessTicks: 100,
    timeoutTicks: 100,
    maxFrameBytes: 1 << 20,
    logs: () => new Map(),
    onRemoved: () => {},
    onChanged: () => {},
  });
  const link = new DialledLink();
  members.begin(link, initial);
  return { members, link };
}

test("a member that a change moved is dialled where it says, before that change is applied here", () => {
  const { members, link } = begun();
  members.meet(1, { at: 9, given: true, address: "there:7101" });
  // Started again, it shows what it had applied then.
  members.meet(1, { at: 8, given: true, address: "once:7101" });
  members.meet(2, { at: 1, given: true, address: "long ago:7002" });
  assert.deepEqual(link.dialled, ["1 there:7101"]);
});

test("where a first member thinks that it listens counts for nobody who reaches it elsewhere", () => {
  const { members, link } = begun();
  members.meet(1, { at: 9, given: false, address: "behind-the-proxy:7001" });
  assert.deepEqual(link.dialled, []);
  // Of whom this node knows nothing, that is all there is.
  members.meet(4, { at: 9, given: false, address: "there:7004" });
  assert.deepEqual(link.dialled, ["4 there:7004"]);
});

test("a node that applies many changes in one call looks once for whom its link is to know", () => {
  const network = new Network({ voters: [1, 2, 3] });
  const book = new MemberBook(new Map(), null);
  const changes = [7101, 7102, 7103].map((port) => {
    const context = encodeMemberRecord(book.record(new Map([[2, `there:${port}`]])));
    const change: ConfChangeV2 = {
      transition: 0,
      changes: [{ type: ConfChangeUpdateNode, nodeId: 2 }],
      context,
    };
    return new Entry(EntryConfChangeV2, 1, 0, marshalConfChange(change));
  });
  const { members, link } = begun(network.raw(3));
  for (const change of changes) members.applied(change);
  assert.deepEqual(link.dialled, []);
  members.entriesApplied();
  members.entriesApplied();
  assert.deepEqual(link.dialled, ["2 there:7103"]);
});

test("whom changes in the log make members is dialled, and of thousands of changes the newest alone is read", (t) => {
  const rawNode = new Network({ voters: [1, 2, 3] }).raw(3);
  const given = new Map<number, string>();
  const append = new Message(MsgApp);
  [append.from, append.to, append.term, append.index, append.logTerm] = [1, 3, 1, 1, 1];
  append.entries = [4, 5, 6].map((nodeId, at) => {
    given.set(nodeId, `there:700${nodeId}`);
    const before = { ...EMPTY_CONF_STATE, voters: [1, 2, 3, 4, 5].slice(0, 3 + at) };
    const context = encodeMemberRecord(new MemberBook(new Map(), null).record(given, before));
    const change: ConfChangeV2 = { transition: 0, changes: [{ type: ConfChangeAddNode, nodeId }], context };
    return new Entry(EntryConfChangeV2, 1, 2 + at, marshalConfChange(change));
  });
  const { members, link } = begun(rawNode);
  assert.equal(rawNode.step(append), null);
  const { raftLog } = rawNode.raft;
  const read = t.mock.method(raftLog, "slice");
  members.turn();
  assert.deepEqual(link.dialled.sort(), ["4 there:7004", "5 there:7005", "6 there:7006"]);
  assert.equal(read.mock.callCount(), 1);
});
