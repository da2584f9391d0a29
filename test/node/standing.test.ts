// Where a node dials its members: as the book has it, as a member that is ahead shows itself, and what of that counts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemberBook } from "../../src/node/member-book.js";
import { encodeMemberRecord } from "../../src/node/member-record.js";
import { Members } from "../../src/node/members.js";
import { Teller } from "../../src/node/teller.js";
import {
  ConfChangeUpdateNode,
  type ConfChangeV2,
  Entry,
  EntryConfChangeV2,
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
