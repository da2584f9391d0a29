// The sizes that hang together: whatever is given, everything that can be made can be carried, or it is said why not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.js";
import { FRAME_ROOM_BYTES, resolveSizes, type Sizes } from "../../src/node/sizes.js";
import { seedOf } from "../seed.js";

const MiB = 1 << 20;

test("all defaults: a window of 8 MiB, and a buffer that holds it twice", () => {
  const { linkBufferBytes, ...sizes } = resolveSizes({});
  assert.deepEqual(sizes, {
    maxFrameBytes: 64 * MiB,
    maxProposalBytes: 8 * MiB,
    maxSizePerMsg: MiB,
    maxInflightBytes: 8 * MiB,
  });
  assert.ok(linkBufferBytes >= 32 * MiB && linkBufferBytes < 33 * MiB);
});

test("one size alone takes the others along, where they are left out", () => {
  assert.equal(resolveSizes({ maxSizePerMsg: 32 * MiB }).maxInflightBytes, 32 * MiB);
  assert.ok(resolveSizes({ maxInflightBytes: 256 * MiB }).linkBufferBytes > 512 * MiB);
  assert.equal(resolveSizes({ maxInflightBytes: 1000 }).maxSizePerMsg, 1000);
  const small = resolveSizes({ maxFrameBytes: 100_000 });
  assert.equal(small.maxSizePerMsg, 100_000 - FRAME_ROOM_BYTES);
  assert.equal(small.maxProposalBytes, 100_000 - FRAME_ROOM_BYTES);
  const narrow = resolveSizes({ linkBufferBytes: 12 * MiB });
  assert.ok(narrow.maxInflightBytes > 3.9 * MiB && narrow.maxInflightBytes < 4 * MiB);
});

test("sizes that contradict each other are refused, with both and the rule", () => {
  const cases: [Partial<Sizes>, RegExp][] = [
    [
      { maxSizePerMsg: 128 * MiB },
      /^option maxSizePerMsg: .*maxFrameBytes .*\(67108864 - 256\).*not 134217728$/,
    ],
    [
      { maxProposalBytes: MiB, maxFrameBytes: MiB },
      /^option maxProposalBytes: .*maxFrameBytes.*not 1048576$/,
    ],
    [
      { maxInflightBytes: 10, maxSizePerMsg: 11 },
      /^option maxInflightBytes: .*maxSizePerMsg \(11\), not 10$/,
    ],
    [
      { maxInflightBytes: 64 * MiB, linkBufferBytes: 32 * MiB },
      /^option linkBufferBytes: must hold maxInflightBytes \(67108864\) and one message .*, not 33554432$/,
    ],
    [{ linkBufferBytes: 4 * MiB }, /^option linkBufferBytes: .*maxProposalBytes 8388608.*not 4194304$/],
    [{ maxInflightBytes: 2 ** 31 }, /^option maxInflightBytes: .*linkBufferBytes, at most 2147483647$/],
  ];
  for (const [given, message] of cases) {
    assert.throws(() => resolveSizes(given), { code: "RAFT_BAD_OPTION", message }, JSON.stringify(given));
  }
});

test("whatever is given, what is made can be carried (random)", (t) => {
  const seed = seedOf(t, import.meta.url);
  const prng = new Prng(seed);
  const names = [
    "maxFrameBytes",
    "maxProposalBytes",
    "maxSizePerMsg",
    "maxInflightBytes",
    "linkBufferBytes",
  ] as const;
  let taken = 0;
  for (let run = 0; run < 5000; run++) {
    const given: { -readonly [name in keyof Sizes]?: number } = {};
    for (const name of names) {
      if (prng.below(2) === 0) given[name] = 4096 + prng.below(2 ** (13 + prng.below(18)));
    }
    let sizes: Sizes;
    try {
      sizes = resolveSizes(given);
    } catch (error) {
      assert.equal((error as { code: string }).code, "RAFT_BAD_OPTION");
      continue;
    }
    taken++;
    for (const name of names) if (given[name] !== undefined) assert.equal(sizes[name], given[name]);
    const message = Math.max(sizes.maxSizePerMsg, sizes.maxProposalBytes);
    assert.ok(message < sizes.maxFrameBytes, JSON.stringify(given));
    assert.ok(sizes.maxInflightBytes >= sizes.maxSizePerMsg, JSON.stringify(given));
    assert.ok(sizes.linkBufferBytes > sizes.maxInflightBytes + message, JSON.stringify(given));
  }
  assert.ok(taken > 500 && taken < 4500, `${taken} sets were taken`);
});
