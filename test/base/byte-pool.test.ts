import assert from "node:assert/strict";
import { test } from "node:test";
import { keepBytes, letGoOfBytes, POOLED_BYTES_MIN, takeBytes } from "../../src/base/byte-pool.js";

const SIZE = 3 * POOLED_BYTES_MIN;

/** Whether `buffer` is among the next that are taken. */
function isNext(buffer: ArrayBufferLike): boolean {
  return Array.from({ length: 5 }, () => takeBytes(SIZE).buffer).includes(buffer as ArrayBuffer);
}

/** The same, now or in one of the next turns of the event loop; not in this one or the next. */
async function comesBack(buffer: ArrayBufferLike): Promise<boolean> {
  for (let turns = 0; turns < 5; turns++) {
    if (isNext(buffer)) {
      assert.ok(turns >= 2, "somebody may still be reading");
      return true;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  return false;
}

test("a buffer is used again when all who kept some of it are done, and not before", async () => {
  const { buffer } = takeBytes(SIZE);
  assert.ok(!(await comesBack(buffer)), "nobody said that it is done");
  keepBytes(buffer);
  keepBytes(buffer);
  letGoOfBytes(buffer);
  assert.ok(!(await comesBack(buffer)), "one still keeps it");
  letGoOfBytes(buffer);
  assert.ok(await comesBack(buffer));
  assert.throws(() => letGoOfBytes(buffer), /let go of twice/);
});

test("what it gives has the length that was asked for; small and very large ones are not its own", () => {
  for (const size of [0, 1, POOLED_BYTES_MIN - 1, POOLED_BYTES_MIN, SIZE, 1 << 20, (1 << 20) + 1, 5 << 20]) {
    const bytes = takeBytes(size);
    assert.equal(bytes.length, size);
    assert.equal(bytes.constructor, Uint8Array);
    keepBytes(bytes.buffer);
    letGoOfBytes(bytes.buffer);
  }
  const { buffer } = takeBytes(100);
  keepBytes(buffer);
  letGoOfBytes(buffer);
  assert.doesNotThrow(() => letGoOfBytes(buffer));
});
