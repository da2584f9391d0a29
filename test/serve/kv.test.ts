// The replicated state: commands there and back, conditions, what changed nothing, and snapshots that are the same everywhere.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SnapshotStream } from "../../src/index.js";
import { Entry } from "../../src/raft/index.js";
import { type Command, decodeCommand, encodeCommand, markOf } from "../../src/serve/commands.js";
import { KvStore } from "../../src/serve/kv.js";
import { snapshotChunks } from "../../src/serve/kv-snapshot.js";

const key = fc.string({ minLength: 1, maxLength: 4, unit: "grapheme" });
const ifRevision = fc.option(fc.nat({ max: 40 }), { nil: null });
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ op: fc.constant("put" as const), key, ifRevision, value: fc.uint8Array({ maxLength: 20 }) }),
  fc.record({ op: fc.constant("delete" as const), key, ifRevision }),
  fc.record({
    op: fc.constant("member" as const),
    key: fc.constantFrom("1", "2"),
    ifRevision: fc.constant(null),
    value: fc.uint8Array({ maxLength: 20 }),
  }),
);

const entryOf = (index: number, one: Command) => new Entry(0, 1, index, encodeCommand(one));

function streamOf(chunks: Iterable<Uint8Array>, pieceBytes: number): SnapshotStream {
  const all = Buffer.concat([...chunks]);
  const pieces = function* () {
    for (let at = 0; at < all.length; at += pieceBytes) yield all.subarray(at, at + pieceBytes);
  };
  return {
    metadata: {} as SnapshotStream["metadata"],
    size: all.length,
    close: async () => {},
    async *[Symbol.asyncIterator]() {
      yield* pieces();
    },
  };
}

test("a command comes back as it was, and bytes that are none are refused", () => {
  fc.assert(
    fc.property(command, (one) => {
      const back = decodeCommand(encodeCommand(one));
      assert.deepEqual({ ...back }, { ...one, ...("value" in one ? { value: one.value } : {}) });
    }),
  );
  const bytes = encodeCommand({ op: "delete", key: "abc", ifRevision: 7 });
  for (const wrong of [
    new Uint8Array(0),
    bytes.subarray(0, 13),
    Uint8Array.of(9, 0, 0, 0),
    Uint8Array.of(1, 2, 0, 0),
  ])
    assert.throws(() => decodeCommand(wrong), /no command of this service/);
  assert.throws(() => decodeCommand(Buffer.concat([bytes, Buffer.of(1)])), /no command of this service/);
});

test("those who ask for the hash while it is made share one copy of the state; the next ask makes another", async () => {
  const store = new KvStore();
  store.apply([entryOf(1, { op: "put", key: "a", ifRevision: null, value: new Uint8Array(3) })]);
  const asked = store.hash();
  assert.equal(store.hash(), asked);
  assert.equal((await asked).index, 1);
  store.apply([entryOf(2, { op: "delete", key: "a", ifRevision: null })]);
  assert.equal((await store.hash()).index, 2);
});

test("conditions, absent keys, and what changed nothing", () => {
  const store = new KvStore();
  const value = Uint8Array.of(1);
  const run = (index: number, one: Command) => {
    const { changed, revision, mark } = store.apply([entryOf(index, one)])[0]!;
    assert.equal(mark, markOf(encodeCommand(one)));
    return { changed, revision };
  };
  assert.deepEqual(run(5, { op: "put", key: "a", ifRevision: 0, value }), { changed: true, revision: 5 });
  assert.deepEqual(run(6, { op: "put", key: "a", ifRevision: 0, value }), { changed: false, revision: 5 });
  assert.deepEqual(run(7, { op: "put", key: "a", ifRevision: 5, value }), { changed: true, revision: 7 });
  assert.deepEqual(run(8, { op: "delete", key: "a", ifRevision: 5 }), { changed: false, revision: 7 });
  assert.deepEqual(run(9, { op: "delete", key: "a", ifRevision: 7 }), { changed: true, revision: 0 });
  assert.deepEqual(run(10, { op: "delete", key: "a", ifRevision: null }), { changed: false, revision: 0 });
  assert.deepEqual(
    [5, 6, 7, 8, 9, 10].map((index) => store.changedAt(index)),
    [true, false, true, false, true, false],
  );
  assert.deepEqual([store.keys, store.bytes, store.lastIndex], [0, 0, 10]);
});

test("a snapshot taken half-way, restored, and what follows: the same state and bytes as without", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { maxLength: 60 }),
      fc.nat({ max: 60 }),
      fc.integer({ min: 1, max: 100 }),
      async (commands, cut, pieceBytes) => {
        const entries = commands.map((one, i) => entryOf(i + 1, one));
        const whole = new KvStore();
        whole.apply(entries.slice(0, cut));
        const taken = whole.snapshot();
        const first = await whole.hash();
        // The snapshot is read while the state goes on.
        whole.apply(entries.slice(cut));
        const restored = new KvStore();
        restored.apply([entryOf(1, { op: "put", key: "stale", ifRevision: null, value: new Uint8Array(3) })]);
        await restored.restore(streamOf(taken, pieceBytes));
        assert.deepEqual(await restored.hash(), first);
        restored.apply(entries.slice(cut));
        assert.deepEqual(await restored.hash(), await whole.hash());
        assert.equal(restored.bytes, whole.bytes);
        assert.equal(restored.httpOf(1), whole.httpOf(1));
        for (let index = 1; index <= commands.length; index++)
          assert.equal(restored.changedAt(index), whole.changedAt(index));
      },
    ),
    { numRuns: 60 },
  );
});

test("a snapshot that is cut, goes on, or is of something else is refused", async () => {
  const store = new KvStore();
  store.apply([entryOf(1, { op: "put", key: "a", ifRevision: null, value: new Uint8Array(100) })]);
  const bytes = Buffer.concat([...store.snapshot()]);
  const restore = (given: Uint8Array) => new KvStore().restore(streamOf([given], 16));
  await assert.rejects(restore(bytes.subarray(0, bytes.length - 1)), /ends before its state does/);
  await assert.rejects(restore(Buffer.concat([bytes, Buffer.of(0)])), /goes on behind its state/);
  // The process ends with a sentence and exit code 2, by the code.
  await assert.rejects(restore(Buffer.alloc(100)), { code: "WAL_CORRUPT", message: /none of this service/ });
});

test("what changed nothing is forgotten from the oldest on, and then not guessed", () => {
  const store = new KvStore();
  const nothing: Command = { op: "delete", key: "absent", ifRevision: null };
  const count = 100_001;
  for (let index = 1; index <= count; index++) store.apply([entryOf(index, nothing)]);
  assert.equal(store.watchableFrom, 50_001);
  assert.deepEqual(
    [store.changedAt(50_000), store.changedAt(50_001), store.changedAt(count)],
    [null, false, false],
  );
});

test("a snapshot of many keys comes in chunks", () => {
  const stored = Array.from({ length: 1000 }, (_, i) => ({
    key: `k${i}`,
    value: new Uint8Array(1000),
    revision: i + 1,
  }));
  const chunks = [...snapshotChunks({ index: 1000, watchFloor: 0, refused: [], stored, https: [] })];
  assert.ok(chunks.length > 10, `${chunks.length} chunks`);
  assert.ok(chunks.every(({ length }) => length < 70_000));
});
