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
  encodeWant,
  GONE,
  PIECE,
  PIECE_HEAD_BYTES,
  sealPiece,
  TAKEN,
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
  const want = decodeSnapshotMessage(encodeWant(NAME, 5, 2 ** 45, true))!;
  assert.deepEqual(
    [want.kind, want.flag, want.index, want.term, want.a, want.b],
    [WANT, 1, NAME.index, 3, 5, 2 ** 45],
  );
  const end = decodeSnapshotMessage(encodeEnd(NAME, TAKEN))!;
  assert.deepEqual([end.kind, end.flag, end.index], [END, TAKEN, NAME.index]);
  assert.equal(decodeSnapshotMessage(encodeGone(NAME))!.kind, GONE);
  const one = decodeSnapshotMessage(piece(100))!;
  assert.deepEqual([one.kind, one.a, one.b, one.isSound], [PIECE, 1000, 500, true]);
  assert.deepEqual([...one.bytes], new Array(100).fill(7));
});

test("what is cut, too long or of another kind is none; a bit of a piece that turned is seen", () => {
  const all = [encodeWant(NAME, 5, 9, false), encodeEnd(NAME, 0), encodeGone(NAME), piece(1)];
  for (const bytes of all) {
    for (let length = 0; length < bytes.length; length++)
      assert.equal(decodeSnapshotMessage(bytes.subarray(0, length)), null);
  }
  for (const bytes of all.slice(0, 3))
    assert.equal(decodeSnapshotMessage(Buffer.concat([bytes, Buffer.alloc(1)])), null);
  for (const kind of [0, 5, 255])
    assert.equal(decodeSnapshotMessage(encodeGone(NAME).fill(kind, 0, 1)), null);
  const seed = Number(process.env.SEED ?? 1);
  const prng = new Prng(seed);
  for (let round = 0; round < 500; round++) {
    const bytes = piece(1 + prng.below(300));
    const at = PIECE_HEAD_BYTES + prng.below(bytes.length - PIECE_HEAD_BYTES);
    bytes[at]! ^= 1 << prng.below(8);
    assert.equal(decodeSnapshotMessage(bytes)!.isSound, false, `SEED=${seed}, round ${round}`);
    // Anything: an answer, and no exception.
    decodeSnapshotMessage(Uint8Array.from({ length: prng.below(80) }, () => prng.below(256)));
  }
  // No index of ours.
  const huge = encodeGone(NAME);
  huge.fill(255, 10, 18);
  assert.equal(decodeSnapshotMessage(huge), null);
});
