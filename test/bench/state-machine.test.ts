// Payloads and the rolling hash: what the truth check relies on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Payloads, readHeader } from "../../bench/harness/payload.js";
import { BenchStateMachine, RollingHash } from "../../bench/harness/state-machine.js";
import { Prng } from "../../src/base/prng.js";
import { Entry } from "../../src/raft/raftpb/index.js";

test("payloads name themselves, and differ in nothing else", () => {
  for (const entryBytes of [16, 17, 256, 700_000]) {
    const payloads = new Payloads(0xdeadbeef, 7, entryBytes);
    const rest = payloads.next().slice(16);
    for (let seq = 1; seq < 50; seq++) {
      const bytes = payloads.next();
      assert.equal(bytes.length, entryBytes);
      assert.deepEqual(readHeader(bytes), { runId: 0xdeadbeef, client: 7, seq });
      assert.deepEqual(bytes.slice(16), rest);
    }
  }
  const late = new Payloads(1, 1, 16);
  late.seq = 2 ** 40 + 5;
  assert.equal(readHeader(late.next())?.seq, 2 ** 40 + 5);
  assert.equal(readHeader(new Uint8Array(15)), null);
});

function hashOf(entries: readonly { index: number; data: Uint8Array }[]): string {
  const hash = new RollingHash();
  for (const { index, data } of entries) hash.add(index, data);
  return hash.digest();
}

test("the hash knows the name, end and length of every proposal, every position, every index and every order", () => {
  const prng = new Prng(3);
  const entries = Array.from({ length: 6 }, (_, i) => ({
    index: i + 1,
    data: Uint8Array.from({ length: 16 + i * 5 }, () => prng.below(256)),
  }));
  const seen = new Set([hashOf(entries)]);
  let variants = 1;
  const note = (changed: typeof entries) => {
    seen.add(hashOf(changed));
    variants++;
  };
  entries.forEach((entry, at) => {
    const { length } = entry.data;
    for (let bit = 0; bit < length * 8; bit++) {
      if (length >= 24 && bit >= 16 * 8 && bit < (length - 8) * 8) continue;
      const data = entry.data.slice();
      data[bit >> 3] ^= 1 << (bit & 7);
      note(entries.with(at, { ...entry, data }));
    }
    note(entries.with(at, { ...entry, index: entry.index + 1 }));
    note(entries.with(at, { ...entry, index: entry.index + 2 ** 32 }));
    note(entries.with(at, { ...entry, data: entry.data.subarray(0, -1) }));
    note(entries.filter((_, i) => i !== at));
    if (at > 0) note(entries.with(at, entries[at - 1]).with(at - 1, entry));
  });
  assert.equal(seen.size, variants);
});

test("what the truth check reads of an entry knows every bit", () => {
  const prng = new Prng(4);
  const hash = new RollingHash();
  for (const length of [0, 1, 16, 23, 24, 25, 100]) {
    const data = Uint8Array.from({ length }, () => prng.below(256));
    const seen = new Set<string>();
    for (let bit = -1; bit < length * 8; bit++) {
      const changed = data.slice();
      if (bit >= 0) changed[bit >> 3] ^= 1 << (bit & 7);
      hash.read(changed);
      seen.add(`${hash.wordA} ${hash.wordB}`);
    }
    assert.equal(seen.size, length * 8 + 1, `${length} bytes`);
  }
});

test("the hash does not depend on where the bytes lie", () => {
  const shared = Uint8Array.from({ length: 300 }, (_, i) => (i * 7) & 255);
  const inPlace = [3, 40, 41].map((at, i) => ({ index: i + 1, data: shared.subarray(at, at + 33) }));
  const copies = inPlace.map(({ index, data }) => ({ index, data: data.slice() }));
  assert.equal(hashOf(inPlace), hashOf(copies));
});

test("batches make no difference to a state machine", () => {
  const entries = Array.from({ length: 10 }, (_, i) => new Entry(0, 1, i + 2, Uint8Array.of(i, 1, 2)));
  const whole = new BenchStateMachine();
  whole.apply(entries);
  const parts = new BenchStateMachine();
  parts.apply(entries.slice(0, 3));
  parts.apply([]);
  parts.apply(entries.slice(3));
  assert.deepEqual(whole.report(), parts.report());
  assert.equal(whole.report().applied, 11);
  assert.equal(whole.report().count, 10);
});
