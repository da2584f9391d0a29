// The protobuf bytes of conf changes: against known bytes, round trips, and damage.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_DATA } from "../../src/base/bytes.js";
import { Prng } from "../../src/base/prng.js";
import {
  type ConfChange,
  ConfChangeAddLearnerNode,
  ConfChangeAddNode,
  ConfChangeRemoveNode,
  type ConfChangeType,
  type ConfChangeV2,
  Entry,
  EntryNormal,
  entrySize,
  marshalConfChange,
  unmarshalConfChange,
  unmarshalConfChangeV2,
} from "../../src/raft/index.js";

function hexOf(data: Uint8Array): string {
  return Buffer.from(data).toString("hex");
}

test("ConfChange: fields that are always emitted, and context only if present", () => {
  const cc: ConfChange = { id: 0, type: ConfChangeAddNode, nodeId: 3, context: NO_DATA };
  assert.equal(hexOf(marshalConfChange(cc)), "080010001803");
  const more = { ...cc, id: 300, type: ConfChangeRemoveNode as ConfChangeType, context: Uint8Array.of(7) };
  assert.equal(hexOf(marshalConfChange(more)), "08ac0210011803220107");
  assert.equal(hexOf(marshalConfChange({ ...cc, context: new Uint8Array(0) })), "0800100018032200");
});

test("ConfChangeV2: nested changes", () => {
  const cc: ConfChangeV2 = {
    transition: 2,
    changes: [
      { type: ConfChangeRemoveNode, nodeId: 1 },
      { type: ConfChangeAddLearnerNode, nodeId: 2 ** 53 - 1 },
    ],
    context: NO_DATA,
  };
  const data = marshalConfChange(cc);
  assert.equal(hexOf(data), "0802120408011001120b080310ffffffffffffff0f");
  assert.deepEqual(unmarshalConfChangeV2(data), cc);
});

test("No bytes are the change that leaves a joint configuration", () => {
  assert.deepEqual(unmarshalConfChangeV2(NO_DATA), { transition: 0, changes: [], context: NO_DATA });
});

test("Fields in any order and unknown fields are read, and fields that are missing are 0", () => {
  const reordered = Buffer.from("1803" + "7801" + "7a03616263" + "1002", "hex");
  assert.deepEqual(unmarshalConfChange(reordered), { id: 0, type: 2, nodeId: 3, context: NO_DATA });
  const unknown64 = Buffer.from("78ffffffffffffffffff01" + "1805", "hex");
  assert.equal(unmarshalConfChange(unknown64)?.nodeId, 5);
});

test("Ids above 2^53-1, unknown kinds and torn bytes are refused", () => {
  for (const bad of [
    "18ffffffffffffffffff01",
    "188080808080808010",
    "1009",
    "18",
    "2205",
    "0c",
    "00",
    "1f",
  ]) {
    assert.equal(unmarshalConfChange(Buffer.from(bad, "hex")), null, bad);
  }
  for (const bad of ["0803", "120210", "12020807", "1205"]) {
    assert.equal(unmarshalConfChangeV2(Buffer.from(bad, "hex")), null, bad);
  }
});

test("Random changes survive a round trip, and random bytes never throw", () => {
  const prng = new Prng(11);
  for (let round = 0; round < 500; round++) {
    const cc: ConfChangeV2 = {
      transition: prng.below(3) as ConfChangeV2["transition"],
      changes: Array.from({ length: prng.below(5) }, () => ({
        type: prng.below(4) as ConfChangeType,
        nodeId: prng.below(2 ** 32) * (prng.below(2) === 0 ? 1 : 2 ** 20),
      })),
      context: prng.below(2) === 0 ? NO_DATA : Uint8Array.of(prng.below(256), 0),
    };
    const data = marshalConfChange(cc);
    assert.deepEqual(unmarshalConfChangeV2(data), cc);
    for (let flips = 0; flips < 3; flips++) data[prng.below(data.length)] = prng.below(256);
    unmarshalConfChange(data);
    unmarshalConfChangeV2(data);
  }
});

test("entrySize is the size of the encoding with all fields that are always emitted", () => {
  const size = (term: number, index: number, data: Uint8Array): number =>
    entrySize(new Entry(EntryNormal, term, index, data));
  assert.equal(size(0, 0, NO_DATA), 6);
  assert.equal(size(1, 127, new Uint8Array(0)), 8);
  assert.equal(size(128, 16383, new Uint8Array(127)), 2 + 3 + 3 + 2 + 127);
  assert.equal(size(2 ** 35, 2 ** 53 - 1, new Uint8Array(128)), 2 + 7 + 9 + 3 + 128);
});
