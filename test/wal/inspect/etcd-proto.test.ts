// What etcd's decoders say of lengths that no message can have.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRecord } from "../../../src/wal/inspect/etcd-proto.js";

/** 2^63 - 1, the longest that is not negative to Go. */
const LONGEST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
const UNKNOWN_BYTES = 0x7a; // Field 15.

for (const [what, bytes, says] of [
  ["overflows its place", [UNKNOWN_BYTES, ...LONGEST], "proto: negative length found during unmarshaling"],
  ["is beyond the end", [UNKNOWN_BYTES, 0x10], "unexpected EOF"],
] as const) {
  test(`the length of an unknown field that ${what}: ${says}`, () => {
    assert.throws(() => decodeRecord(Uint8Array.from(bytes)), { message: says });
  });
}
