// What nodes say of a snapshot's file: what is said is read, and anything else is not taken for it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.js";
import {
  beginPiece,
  decodeSnapshotMessage,
  END,
  encodeEnd,
  encodeGone,
  encodeWait,
  encodeWant,
  GONE,
  PIECE,
  PIECE_HEAD_BYTES,
  type Piece,
  sealPiece,
  TAKEN,
  UNSOUND,
  WAIT,
  WANT,
} from "../../src/node/snapshot-wire.js";

const NAME = { group: 0, index: 2 ** 40 + 7, term: 3 };

function piece(size: number): Uint8Array {
  const bytes = beginPiece(NAME, 1000, 500, size);
  bytes.fill(7, PIECE_HEAD_BYTES);
  sealPiece(bytes);
  return bytes;
}

test("what is said is read", () => {
  assert.deepEqual(decodeSnapshotMessage(encodeWant(NAME, 5, 2 ** 45, true)), {
    kind: WANT,
    ...NAME,
    anew: true,
    from: 5,
    to: 2 ** 45,
  });
  assert.deepEqual(decodeSnapshotMessage(encodeEnd(NAME, TAKEN)), { kind: END, ...NAME, how: TAKEN });
  assert.deepEqual(decodeSnapshotMessage(encodeGone(NAME)), { kind: GONE, ...NAME });
  assert.deepEqual(decodeSnapshotMessage(encodeWait(NAME, 2 ** 45)), {
    kind: WAIT,
    ...NAME,
    received: 2 ** 45,
  });
  assert.deepEqual(decodeSnapshotMessage(piece(100)), {
    kind: PIECE,
    ...NAME,
    fileBytes: 1000,
    at: 500,
    bytes: new Uint8Array(100).fill(7),
    isSound: true,
  });
});

test("the bytes are those that other versions say", () => {
  const name = "0000000000000000" + "0700000000010000" + "0300000000000000";
  const range = "0500000000000000" + "0000000000200000";
  const place = "e803000000000000" + "f401000000000000";
  const all: readonly (readonly [Uint8Array, string])[] = [
    [encodeWant(NAME, 5, 2 ** 45, true), `0101${name}${range}`],
    [encodeWant(NAME, 5, 2 ** 45, false), `0100${name}${range}`],
    [encodeEnd(NAME, UNSOUND), `0202${name}`],
    [piece(3), `0300${name}${place}bd6a33ba070707`],
    [encodeGone(NAME), `0400${name}`],
    [encodeWait(NAME, 2 ** 45), `0500${name}0000000000200000`],
  ];
  for (const [bytes, hex] of all) assert.equal(Buffer.from(bytes).toString("hex"), hex);
});

test("what is cut, too long or of another kind is none; a bit of a piece that turned is seen", () => {
  const all = [
    encodeWant(NAME, 5, 9, false),
    encodeEnd(NAME, 0),
    encodeGone(NAME),
    encodeWait(NAME, 5),
    piece(1),
  ];
  for (const bytes of all) {
    for (let length = 0; length < bytes.length; length++)
      assert.equal(decodeSnapshotMessage(bytes.subarray(0, length)), null);
  }
  for (const bytes of all.slice(0, -1))
    assert.equal(decodeSnapshotMessage(Buffer.concat([bytes, Buffer.alloc(1)])), null);
  for (const kind of [0, 6, 255])
    assert.equal(decodeSnapshotMessage(encodeGone(NAME).fill(kind, 0, 1)), null);
  const seed = Number(process.env.SEED ?? 1);
  const prng = new Prng(seed);
  for (let round = 0; round < 500; round++) {
    const bytes = piece(1 + prng.below(300));
    const at = PIECE_HEAD_BYTES + prng.below(bytes.length - PIECE_HEAD_BYTES);
    bytes[at]! ^= 1 << prng.below(8);
    assert.equal((decodeSnapshotMessage(bytes) as Piece).isSound, false, `SEED=${seed}, round ${round}`);
    // Anything: an answer, and no exception.
    decodeSnapshotMessage(Uint8Array.from({ length: prng.below(80) }, () => prng.below(256)));
  }
  // No number of ours: group, index, term; from or length, to or place.
  for (const bytes of all) {
    const hasRange = bytes[0] === WANT || bytes[0] === PIECE;
    const count = bytes[0] === WAIT ? 4 : hasRange ? 5 : 3;
    for (const at of [2, 10, 18, 26, 34].slice(0, count)) {
      assert.equal(decodeSnapshotMessage(bytes.slice().fill(255, at, at + 8)), null);
    }
  }
});
