// When what a change removed may go: by which entry of the log a member knows that a majority of the others knows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_DATA } from "../../src/base/bytes.js";
import { Departures, proposeNothing } from "../../src/node/departures.js";
import { MemberBook } from "../../src/node/member-book.js";
import {
  ConfChangeAddLearnerNode,
  type ConfChangeType,
  Entry,
  EntryNormal,
  RawNode,
} from "../../src/raft/index.js";
import { Network, newStorage } from "../raft/network.js";

test("an empty entry behind the change says so, unless it is the first of a leader's term", () => {
  const storage = newStorage([1, 2]);
  const empty = (term: number, index: number): Entry =>
    new Entry(EntryNormal, term, index, new Uint8Array(0));
  const [before, first, second] = [empty(1, 2), empty(2, 3), empty(2, 4)];
  storage.append([before!, first!, second!]);
  const rawNode = new RawNode({
    id: 1,
    electionTick: 10,
    heartbeatTick: 1,
    storage,
    maxSizePerMsg: 1024,
    maxInflightMsgs: 16,
    random: () => 0,
  });
  const book = new MemberBook(new Map(), null);
  const departures = new Departures({ id: 1, rawNode, book });
  assert.ok(departures.areKnown);
  departures.passed(before!);
  book.removedAt = 3;
  assert.ok(!departures.areKnown);
  departures.passed(first!);
  assert.ok(!departures.areKnown);
  departures.passed(second!);
  assert.ok(departures.areKnown);
});

test("no leader appends one while a change is to be applied: it would say of that, too, that others know", () => {
  const network = new Network({ voters: [1] });
  network.elect(1);
  const rawNode = network.raw(1);
  const { raftLog } = rawNode.raft;
  const change = { type: ConfChangeAddLearnerNode as ConfChangeType, nodeId: 2 };
  assert.equal(rawNode.proposeConfChange({ transition: 0, changes: [change], context: NO_DATA }), null);
  const last = raftLog.lastIndex();
  assert.ok(!proposeNothing(rawNode));
  assert.equal(raftLog.lastIndex(), last);
  network.settle();
  assert.ok(proposeNothing(rawNode));
  assert.equal(raftLog.lastIndex(), last + 1);
});
