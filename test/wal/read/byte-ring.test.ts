import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../../src/base/prng.js";
import { ByteRing } from "../../../src/wal/read/byte-ring.js";

test("what is in the ring stays as it was pushed, and what has no room is refused", () => {
  const prng = new Prng(7);
  const ring = new ByteRing(1000);
  const held: { at: number; bytes: Uint8Array }[] = [];
  let refused = 0;
  for (let i = 0; i < 3000; i++) {
    const bytes = new Uint8Array(1 + prng.below(300)).fill(i);
    const at = ring.push(bytes);
    if (at === -1) refused++;
    else held.push({ at, bytes });
    if (at === -1 || prng.below(10) === 0) {
      const gone = held.splice(0, 1 + prng.below(2));
      for (const { at, bytes } of gone) ring.dropBefore(at + bytes.length);
    }
    if (prng.below(20) === 0 && held.length > 0) ring.dropFrom(held.pop()!.at);
    for (const { at, bytes } of held) assert.deepEqual(ring.copy(at, bytes.length), bytes);
    assert.ok(held.reduce((sum, { bytes }) => sum + bytes.length, 0) <= 1000);
  }
  assert.ok(refused > 100);
  assert.equal(ring.push(new Uint8Array(1001)), -1);
});
