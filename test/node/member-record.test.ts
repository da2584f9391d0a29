// What a change of members and a snapshot say of addresses: there and back, and what is not ours says nothing.
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { decodeMemberRecord, encodeMemberRecord, type MemberRecord } from "../../src/node/member-record.js";
import { openWal } from "../../src/wal/index.js";
import { atEnd, tempDir } from "../temp-dir.js";
import { meta } from "../wal/helpers.js";

const RECORD: MemberRecord = {
  before: {
    voters: [1, 2, 2 ** 53 - 1],
    learners: [4],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  },
  given: { 4: "[::1]:7", 9007199254740991: "host:1" },
  initial: { 1: "a:1", 2: "b:2" },
  at: 12,
  removed: [3, 7],
  logs: { 1: "0123456789abcdef", 4: "fedcba9876543210" },
};

test("a record of members comes back as it was", () => {
  assert.deepEqual(decodeMemberRecord(encodeMemberRecord(RECORD)), RECORD);
});

test("an older version's says nothing of logs", () => {
  const { logs: _, ...older } = RECORD;
  const bytes = new Uint8Array(Buffer.from(JSON.stringify({ version: 1, ...older })));
  assert.deepEqual(decodeMemberRecord(bytes), { ...older, logs: {} });
});

test("bytes of somebody else, of a later version or damaged say nothing", () => {
  const text = Buffer.from(encodeMemberRecord(RECORD)).toString();
  for (const other of [
    "",
    "{",
    '{"id":1,"peerURLs":["http://a:1"]}',
    text.replace('"version":1', '"version":2'),
  ])
    assert.equal(decodeMemberRecord(new Uint8Array(Buffer.from(other))), null);
  assert.equal(decodeMemberRecord(undefined), null);
  for (let cut = 0; cut < text.length; cut++)
    assert.equal(decodeMemberRecord(new Uint8Array(Buffer.from(text.slice(0, cut)))), null);
});

test("a snapshot's file keeps it, through a restart", async (t) => {
  const dir = path.join(tempDir(t), "wal");
  const open = () => openWal({ dir, metadata: new Uint8Array(0), writer: "inline-wasm", durability: "none" });
  const wal = await open();
  const members = encodeMemberRecord(RECORD);
  await wal.saveSnapshot({ ...meta(10, 1, [1, 2]), members }, Buffer.from("state"));
  await wal.close();
  const again = await open();
  atEnd(t, () => again.close());
  const stream = (await again.openSnapshot(10))!;
  assert.deepEqual(decodeMemberRecord(stream.metadata.members), RECORD);
  await stream.close();
});
