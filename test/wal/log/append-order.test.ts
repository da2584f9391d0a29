// What a log refuses to be opened with, and to append: no log with it in it would be opened again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY_CONF_STATE, Entry, EntryNormal, type HardState } from "../../../src/raft/index.js";
import { openWal, type WalOptions } from "../../../src/wal/index.js";
import { tempDir } from "../../temp-dir.js";

const entry = (term: number, index: number): Entry => new Entry(EntryNormal, term, index, Buffer.from("e"));

test("what cannot follow is refused before it is written, and the log goes on", async (t) => {
  const options = { dir: `${tempDir(t)}/wal`, metadata: Buffer.from("m"), writer: "inline-js" } as const;
  const wal = await openWal(options);
  const state = { term: 2, vote: 1, commit: 1 };
  wal.append(state, [entry(1, 1), entry(2, 2)]);
  const cases: [RegExp, HardState | null, Entry[]][] = [
    [/gap between the log/, null, [entry(2, 4)]],
    [/gap between the entries/, null, [entry(2, 3), entry(2, 5)]],
    [/lower term/, null, [entry(1, 3)]],
    [/lower term/, null, [entry(3, 3), entry(2, 4)]],
    [/in place of a committed/, null, [entry(2, 1)]],
    [/no whole number/, null, [entry(2, 2.5)]],
    [/no whole number/, null, [entry(2 ** 53, 3)]],
    [/goes back/, { ...state, term: 1 }, []],
    [/goes back/, { ...state, commit: 0 }, []],
    [/goes back/, { ...state, term: 3, commit: 0 }, []],
    [/other than whole/, { ...state, vote: 2 ** 53 }, []],
  ];
  for (const [message, hardState, entries] of cases)
    assert.throws(() => wal.append(hardState, entries), { code: "RAFT_INVARIANT", message });
  // The uncommitted end is replaced.
  wal.append({ ...state, term: 3, commit: 3 }, [entry(3, 2), entry(3, 3)]);
  await wal.close();
  const again = await openWal(options);
  await again.close();
  const { recovered } = again;
  assert.deepEqual([recovered.lastIndex, recovered.hardState.commit], [3, 3]);
});

for (const written of [true, false]) {
  const when = written ? "durable" : "on their way";
  test(`a snapshot that replaces entries that are ${when}: what cannot follow it is refused, and the log goes on`, async (t) => {
    const options = { dir: `${tempDir(t)}/wal`, metadata: Buffer.from("m"), writer: "inline-js" } as const;
    const wal = await openWal(options);
    const confState = { ...EMPTY_CONF_STATE, voters: [1] };
    const state = { term: 1, vote: 1, commit: 2 };
    await wal.stageSnapshot({ index: 4, term: 3, confState }, Buffer.from("s"));
    const seq = wal.append(
      state,
      [1, 2, 3, 4, 5, 6].map((index) => entry(1, index)),
    );
    if (written) await new Promise<void>((done) => (wal.onDurable = (upTo) => upTo >= seq && done()));
    await wal.recordSnapshot({ index: 4, term: 3, confState });
    const cases: [RegExp, HardState | null, Entry[]][] = [
      [/gap between the log/, null, [entry(3, 7)]],
      [/lower term/, null, [entry(2, 5)]],
    ];
    for (const [message, hardState, entries] of cases)
      assert.throws(() => wal.append(hardState, entries), { code: "RAFT_INVARIANT", message });
    wal.append({ term: 4, vote: 1, commit: 4 }, [entry(3, 5)]);
    await wal.close();
    const again = await openWal(options);
    await again.close();
    assert.equal(again.recovered.lastIndex, 5);
  });
}

test("a commit index may come before its entries, and what it is above of is not replaced", async (t) => {
  const options = { dir: `${tempDir(t)}/wal`, metadata: Buffer.from("m"), writer: "inline-js" } as const;
  const wal = await openWal(options);
  wal.append({ term: 1, vote: 1, commit: 3 }, [entry(1, 1)]);
  assert.throws(() => wal.append(null, [entry(1, 1)]), { message: /committed/ });
  wal.append(null, [entry(1, 2), entry(1, 3)]);
  await wal.close();
  const again = await openWal(options);
  await again.close();
  assert.equal(again.recovered.lastIndex, 3);
});

test("an option that names nothing is refused, before anything is made", async (t) => {
  const options = { dir: `${tempDir(t)}/wal`, metadata: Buffer.from("m"), writer: "inline-js" } as const;
  const wrong = { dir: "a\0b", snapDir: "", metadata: "m", writer: "inline", durability: "fsync" };
  for (const [name, value] of Object.entries(wrong)) {
    const given = { ...options, [name]: value } as unknown as WalOptions;
    await assert.rejects(openWal(given), {
      code: "RAFT_BAD_OPTION",
      message: new RegExp(`^${name} must be`),
    });
  }
});
