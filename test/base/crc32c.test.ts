import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32c, crc32cCombine } from "../../src/base/crc32c.js";
import { Prng } from "../../src/base/prng.js";

/** Bit by bit: the dumb twin. */
function slow(seed: number, bytes: Uint8Array): number {
  let crc = ~seed;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

test("the check value of CRC-32C", () => {
  assert.equal(crc32c(0, Buffer.from("123456789")), 0xe3069283);
  assert.equal(crc32c(0, new Uint8Array(0)), 0);
  assert.equal(crc32c(0, new Uint8Array(32)), 0x8a9136aa);
});

test("every length and split agrees with the slow twin, and with combining", () => {
  const prng = new Prng(7);
  const bytes = Uint8Array.from({ length: 300 }, () => prng.below(256));
  for (let length = 0; length <= bytes.length; length++) {
    const part = bytes.subarray(0, length);
    const cut = prng.below(length + 1);
    const whole = slow(0, part);
    assert.equal(crc32c(0, part), whole);
    assert.equal(crc32c(crc32c(0, part.subarray(0, cut)), part.subarray(cut)), whole);
    assert.equal(
      crc32cCombine(crc32c(0, part.subarray(0, cut)), crc32c(0, part.subarray(cut)), length - cut),
      whole,
    );
  }
});

test("combining over long tails", () => {
  const a = Buffer.from("head");
  for (const length of [65536, 1_000_003]) {
    const b = new Uint8Array(length).fill(0xa5);
    assert.equal(crc32cCombine(crc32c(0, a), crc32c(0, b), length), crc32c(crc32c(0, a), b));
  }
});

test("long input, at every alignment and odd lengths", () => {
  const prng = new Prng(9);
  const bytes = Uint8Array.from({ length: 9000 }, () => prng.below(256));
  for (let start = 0; start < 9; start++) {
    for (const length of [4095, 4096, 4097, 4103, 4104, 4111, 4112, 4113, 8191, 8192, 8990]) {
      const part = bytes.subarray(start, start + length);
      assert.equal(crc32c(start * 77, part), slow(start * 77, part), `${length} bytes from ${start}`);
    }
  }
});
