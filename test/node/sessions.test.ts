// The table of sessions: what of a log is applied, and what its proposals are answered, however it is cut into calls of
// apply and wherever a snapshot was taken.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.js";
import { isOfSession, SESSION_HEAD_BYTES, sessionBytes } from "../../src/node/session-entry.js";
import { decodeResult, encodeResult, RESULT_BYTES_MAX } from "../../src/node/session-results.js";
import { headOf, restoreWithSessions } from "../../src/node/session-snapshot.js";
import { SESSION_WINDOW, Sessions } from "../../src/node/sessions.js";
import { SnapshotChunks } from "../../src/node/snapshot-source.js";
import {
  EMPTY_CONF_STATE,
  Entry,
  EntryConfChange,
  EntryNormal,
  type EntryType,
} from "../../src/raft/index.js";
import type { SnapshotStream } from "../../src/wal/index.js";

const NOTHING = new Uint8Array(0);

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text));
}

function entry(index: number, data: Uint8Array, type: EntryType = EntryNormal): Entry {
  return new Entry(type, 1, index, data);
}

function open(index: number): Entry {
  return entry(index, sessionBytes(0, 0, NOTHING));
}

function of(index: number, session: number, sequence: number, text = `${session}.${sequence}`): Entry {
  return entry(index, sessionBytes(session, sequence, bytes(text)));
}

/** Applies `entries` in one call; results are what was applied, with its index. */
function apply(sessions: Sessions, ...entries: Entry[]): readonly unknown[] | undefined {
  const plan = sessions.plan(entries);
  return plan.results(plan.toApply.map(({ data, index }) => `${Buffer.from(data)} at ${index}`));
}

function kept(index: number, result: unknown) {
  return { kind: "again", outcome: { index, term: 1, result: encodeResult(result) } };
}

test("a proposal of a session is applied once, and its retries get the first outcome, also in one call", () => {
  const sessions = new Sessions();
  const [opened] = apply(sessions, open(7))!;
  assert.deepEqual(opened, { kind: "opened", session: 7 });
  const again = kept(8, "7.1 at 8");
  assert.deepEqual(apply(sessions, of(8, 7, 1), of(9, 7, 1)), [
    { kind: "applied", result: "7.1 at 8" },
    again,
  ]);
  assert.deepEqual(apply(sessions, of(10, 7, 1)), [again]);
  // In any order.
  assert.deepEqual(apply(sessions, of(11, 7, 3), of(12, 7, 2), of(13, 7, 3)), [
    { kind: "applied", result: "7.3 at 11" },
    { kind: "applied", result: "7.2 at 12" },
    kept(11, "7.3 at 11"),
  ]);
});

test("what is of no session goes by untouched, and answers stand where their entries do", () => {
  const sessions = new Sessions();
  const plain = [
    entry(1, bytes("a")),
    entry(2, NOTHING),
    entry(3, bytes("x"), EntryConfChange),
    entry(4, bytes("b")),
  ];
  assert.deepEqual(sessions.plan(plain).toApply, [plain[0], plain[3]]);
  assert.deepEqual(sessions.plan(plain).results(undefined), undefined);
  assert.deepEqual(apply(sessions, plain[0], open(5), of(6, 5, 1), plain[1], plain[3], of(7, 5, 1)), [
    "a at 1",
    { kind: "opened", session: 5 },
    { kind: "applied", result: "5.1 at 6" },
    "b at 4",
    kept(6, "5.1 at 6"),
  ]);
  const { toApply } = sessions.plan([of(8, 5, 2, "payload")]);
  const [{ data, bytes: all, start, size }] = toApply;
  assert.deepEqual(
    [Buffer.from(data).toString(), Buffer.from(all.subarray(start, start + size)).toString()],
    ["payload", "payload"],
  );
});

test("an entry of a run loses its head in place", () => {
  const sessions = new Sessions();
  apply(sessions, open(1));
  const data = sessionBytes(1, 1, bytes("in a run"));
  const run = new Uint8Array(100);
  run.set(data, 40);
  const { toApply } = sessions.plan([new Entry(EntryNormal, 1, 2, run, 40, data.length, 30)]);
  assert.equal(Buffer.from(toApply[0].data).toString(), "in a run");
});

test("sequences behind the window are refused, and unknown sessions", () => {
  const sessions = new Sessions();
  apply(sessions, open(1), of(2, 1, 1), of(3, 1, SESSION_WINDOW), of(4, 1, SESSION_WINDOW + 1));
  assert.deepEqual(apply(sessions, of(5, 1, 1), of(6, 9, 1)), [{ kind: "behind" }, { kind: "expired" }]);
  assert.deepEqual(apply(sessions, of(7, 1, 2)), [{ kind: "applied", result: "1.2 at 7" }]);
  assert.deepEqual(apply(sessions, of(8, 1, 2 ** 50), of(9, 1, 2)), [
    { kind: "applied", result: `1.${2 ** 50} at 8` },
    { kind: "behind" },
  ]);
});

test("a number that no node gives is of no session: no snapshot that has it would be read again", async () => {
  const sessions = new Sessions();
  apply(sessions, open(7));
  for (const sequence of [2 ** 53, 2 ** 64 - 2 ** 11])
    assert.deepEqual(apply(sessions, of(8, 7, sequence)), [{ kind: "expired" }]);
  assert.notEqual(await new Sessions().decode(sessions.encode()), null);
});

test("the session that proposed the longest ago goes for another; the oldest outcome, too", () => {
  const sessions = new Sessions({ sessions: 2, outcomes: 2, outcomeBytes: 1000 });
  apply(sessions, open(1), open(2), of(3, 1, 1), open(4));
  assert.deepEqual(apply(sessions, of(5, 2, 1)), [{ kind: "expired" }]);
  apply(sessions, of(6, 1, 2), of(7, 4, 1));
  assert.deepEqual(apply(sessions, of(8, 1, 1), of(9, 1, 2)), [
    { kind: "again", outcome: null },
    kept(6, "1.2 at 6"),
  ]);
});

test("who proposed the longest ago is found among many that came and went, in linear time, and is who a dumb twin says", () => {
  const MANY = 140_000;
  const many = new Sessions({ sessions: MANY, outcomes: 2, outcomeBytes: 1000 });
  many.plan(Array.from({ length: MANY }, (_, i) => open(1 + i)));
  const others = Array.from({ length: 120_000 }, (_, i) => open(1 + MANY + i));
  const before = process.cpuUsage();
  many.plan(others);
  // Of the processor, as others may have the machine. Each behind all that went: 3.6 billion moves.
  assert.ok(process.cpuUsage(before).user < 1_000_000);
  const prng = new Prng(1);
  const few = new Sessions({ sessions: 5, outcomes: 2, outcomeBytes: 1000 });
  let twin: number[] = [];
  for (let index = 1; index <= 2000; index++) {
    const id = twin.length < 5 || prng.below(4) === 0 ? index : twin[prng.below(5)]!;
    apply(few, id === index ? open(index) : of(index, id, index));
    twin = [...twin.filter((one) => one !== id), id].slice(-5);
    const table = Buffer.from(few.encode());
    assert.deepEqual(
      twin.map((_, place) => Number(table.readBigUInt64BE(4 + 24 * place))),
      twin,
    );
  }
});

test("random logs come to the same state and answers, however they are cut, and across snapshots", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const prng = new Prng(seed);
    const limits = { sessions: 3, outcomes: 6, outcomeBytes: 120 };
    const ids: number[] = [];
    const log: Entry[] = [];
    for (let index = 1; index <= 300; index++) {
      const kind = prng.below(20);
      if (kind === 0 || ids.length === 0) {
        ids.push(index);
        log.push(open(index));
      } else if (kind === 1) log.push(entry(index, bytes("plain")));
      else if (kind === 2) log.push(entry(index, NOTHING));
      else {
        const id = ids[Math.max(0, ids.length - 1 - prng.below(4))];
        log.push(of(index, id, 1 + prng.below(1 + (index % 90)), "y".repeat(1 + prng.below(40))));
      }
    }
    const one = new Sessions(limits);
    const applied = new Map<string, number>();
    const expected = log.map((each) => apply(one, each)?.[0]);
    for (const [i, answer] of expected.entries()) {
      if ((answer as { kind?: string } | undefined)?.kind !== "applied") continue;
      const key = Buffer.from(log[i].data.subarray(0, SESSION_HEAD_BYTES)).toString("hex");
      assert.equal(applied.get(key), undefined, `seed ${seed}: entry ${i + 1} was applied before`);
      applied.set(key, i);
    }
    let other = new Sessions(limits);
    const answers: unknown[] = [];
    for (let at = 0; at < log.length; ) {
      const count = 1 + prng.below(20);
      const call = log.slice(at, at + count);
      const results = apply(other, ...call);
      let next = 0;
      for (const { size } of call) answers.push(size === 0 ? undefined : results?.[next++]);
      at += count;
      if (prng.below(4) > 0) continue;
      const restarted = new Sessions(limits);
      (await restarted.decode(other.encode()))!();
      other = restarted;
    }
    assert.deepEqual(answers, expected, `seed ${seed}`);
    assert.deepEqual(other.encode(), one.encode(), `seed ${seed}`);
  }
});

test("a table that was cut, lengthened or changed is no table, or another; it never throws", async () => {
  const sessions = new Sessions();
  apply(sessions, open(1), of(2, 1, 1), of(3, 1, 2));
  const table = sessions.encode();
  assert.equal(new Sessions().encode().length, 0);
  for (let end = 1; end < table.length; end++)
    assert.equal(await sessions.decode(table.subarray(0, end)), null);
  assert.equal(await sessions.decode(Buffer.concat([table, Uint8Array.of(0)])), null);
  const prng = new Prng(5);
  for (let i = 0; i < 2000; i++) {
    const changed = Uint8Array.from(table);
    changed[prng.below(changed.length)] = prng.below(256);
    await sessions.decode(changed);
  }
  assert.deepEqual(sessions.encode(), table);
});

test("a large table is read a piece a turn, whatever takes its bytes: sessions, outcomes or results", async () => {
  const sessions = new Sessions();
  for (let id = 1; id <= 3000; id++) apply(sessions, open(id));
  for (let i = 0; i < 2000; i++) apply(sessions, of(4000 + i, 1 + i, 1));
  for (let i = 0; i < 10; i++) apply(sessions, of(7000 + i, 1 + i, 2, "x".repeat(32 << 10)));
  const table = sessions.encode();
  let turns = 0;
  let isRead = false;
  const turn = (): void => {
    turns++;
    if (!isRead) setImmediate(turn);
  };
  setImmediate(turn);
  const read = new Sessions();
  const install = await read.decode(table);
  isRead = true;
  assert.ok(turns >= Math.floor(table.length / (128 << 10)), `${turns} turns for ${table.length} bytes`);
  install!();
  assert.deepEqual(read.encode(), table);
});

test("a table has all 53 bits of its numbers", () => {
  const most = Number.MAX_SAFE_INTEGER;
  const index = 2 ** 52 + 7;
  const sessions = new Sessions();
  const sequence = 2 ** 32 + 5;
  apply(sessions, open(index), of(most, index, sequence));
  const table = Buffer.from(sessions.encode());
  const numbers = [4, 12, 32, 40, 48].map((at) => Number(table.readBigUInt64BE(at)));
  assert.deepEqual(numbers, [index, sequence, index, sequence, most]);
});

test("results that come back as they were are kept, others are not", () => {
  for (const value of [undefined, null, true, 0, 1.5, "", "é", [], [1, [null]], { a: { b: "c" } }]) {
    assert.deepEqual(decodeResult(encodeResult(value)!), value);
  }
  assert.deepEqual(decodeResult(encodeResult(Buffer.from("b"))!), bytes("b"));
  const loop: unknown[] = [];
  loop.push(loop);
  // A text of 2^30 values out of thirty arrays: nobody writes that out to see that it is too long.
  let shared: unknown = 1;
  for (let i = 0; i < 30; i++) shared = [shared, shared];
  const symbol = { [Symbol("s")]: 1 };
  const sparse = [1];
  sparse.length = 3;
  const odd = [
    -0,
    Number.NaN,
    Infinity,
    1n,
    () => 1,
    Symbol("s"),
    new Date(),
    new Map(),
    { a: undefined },
    [undefined],
  ];
  for (const value of [
    ...odd,
    loop,
    shared,
    symbol,
    sparse,
    { toJSON: () => 1 },
    {
      get a() {
        return 1;
      },
    },
    "x".repeat(RESULT_BYTES_MAX),
  ]) {
    assert.equal(encodeResult(value), null);
  }
  for (const bad of [
    NOTHING,
    Uint8Array.of(1),
    Uint8Array.of(1, 123),
    Uint8Array.of(0, 0),
    Uint8Array.of(9),
  ]) {
    assert.throws(() => decodeResult(bad), { code: "WAL_CORRUPT" });
  }
});

// ---- in a snapshot

async function stored(table: Uint8Array, ...chunks: Uint8Array[]): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const chunk of new SnapshotChunks(chunks, table)) all.push(chunk);
  return all;
}

function stream(chunks: readonly Uint8Array[]): SnapshotStream {
  return {
    metadata: { index: 9, term: 1, confState: EMPTY_CONF_STATE },
    size: chunks.reduce((sum, { length }) => sum + length, 0),
    close: async () => {},
    async *[Symbol.asyncIterator]() {
      yield* chunks;
    },
  };
}

async function restored(sessions: Sessions, chunks: readonly Uint8Array[]): Promise<[string, number]> {
  const parts: Uint8Array[] = [];
  let size = -1;
  const resolved = await restoreWithSessions(stream(chunks), sessions, async (state) => {
    size = state.size;
    for await (const chunk of state) parts.push(chunk);
  });
  assert.equal(resolved, size);
  return [Buffer.concat(parts).toString("latin1"), size];
}

test("a state without sessions is stored as it is; one with them has them in front, cut anywhere", async () => {
  assert.deepEqual(await stored(NOTHING, bytes("state")), [bytes("state")]);
  assert.deepEqual(await stored(NOTHING), []);
  const sessions = new Sessions();
  apply(sessions, open(1), of(2, 1, 1));
  const table = sessions.encode();
  // Also of a state that begins as a head does, and of one that is empty.
  for (const [from, state] of [
    [sessions, "state"],
    [sessions, ""],
    [new Sessions(), "\xf4\x2d\x71\x0b\xc8\x5e\x93\x16\0\0\0\x09"],
  ] as const) {
    const whole = Buffer.concat(await stored(from.encode(), NOTHING, Buffer.from(state, "latin1")));
    for (let cut = 0; cut <= whole.length; cut++) {
      const other = new Sessions();
      assert.deepEqual(await restored(other, [whole.subarray(0, cut), whole.subarray(cut)]), [
        state,
        state.length,
      ]);
      assert.deepEqual(other.encode(), from.encode());
    }
  }
  // One from before, and one that takes the place of others.
  assert.deepEqual(await restored(sessions, [bytes("old")]), ["old", 3]);
  assert.equal(sessions.count, 0);
  assert.ok(table.length > 0);
});

test("damaged sessions in a snapshot are told, and a restore that fails changes none", async () => {
  const sessions = new Sessions();
  apply(sessions, open(1));
  const head = headOf(sessions.encode(), NOTHING);
  const damaged = Uint8Array.from(head);
  damaged[11]++;
  for (const chunks of [[damaged], [head.subarray(0, 14)]])
    await assert.rejects(restored(new Sessions(), chunks), { code: "WAL_CORRUPT" });
  const failing = restoreWithSessions(stream([bytes("x")]), sessions, () => Promise.reject(new Error("no")));
  await assert.rejects(failing, /no/);
  assert.equal(sessions.count, 1);
});

test("nothing else is an entry of a session", () => {
  const data = sessionBytes(1, 2, bytes("x"));
  assert.ok(isOfSession(data, 0, data.length));
  assert.ok(!isOfSession(data, 0, SESSION_HEAD_BYTES - 1));
  for (let i = 0; i < 8; i++) {
    const other = Uint8Array.from(data);
    other[i]++;
    assert.ok(!isOfSession(other, 0, other.length));
  }
});
