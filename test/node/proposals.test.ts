// What a proposal's promise says of its fate, and when.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { bytePoolTesting } from "../../src/base/byte-pool.js";
import { RaftmarkError } from "../../src/base/errors.js";
import { LeaderWatch } from "../../src/node/leader-watch.js";
import { Proposals } from "../../src/node/proposals.js";
import { Entry, EntryNormal, runEnd } from "../../src/raft/raftpb/index.js";

const LIMITS = {
  maxProposalBytes: 1 << 20,
  maxQueuedProposals: 100_000,
  maxQueuedBytes: 1 << 28,
  leaderlessTicks: 10,
  timeoutTicks: 100,
};

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text));
}

/** Outcomes by payload, as they settle. */
class Caller {
  readonly proposals = new Proposals(LIMITS);
  readonly outcomes: Record<string, string> = {};

  propose(name: string, signal?: AbortSignal): void {
    this.proposals.add(bytes(name), { signal }).then(
      ({ index, term, result }) => {
        this.outcomes[name] = `${term}/${index} ${result}`;
      },
      (error: RaftmarkError) => {
        this.outcomes[name] = `${error.code} ${error.mayCommit}`;
      },
    );
  }

  append(term: number, firstIndex: number, ...names: string[]): void {
    for (const name of names) this.propose(name);
    this.proposals.nextBatch(Infinity, term, firstIndex);
    this.proposals.appendedAt(term, firstIndex, names.length);
  }

  apply(term: number, index: number): void {
    this.proposals.applied(new Entry(EntryNormal, term, index, bytes("x")), "done");
  }

  async settled(): Promise<Record<string, string>> {
    await new Promise((resolve) => setImmediate(resolve));
    return this.outcomes;
  }
}

test("an entry that was passed over breaks an invariant, and its proposal settles all the same", async () => {
  const caller = new Caller();
  caller.append(1, 5, "a", "b");
  assert.throws(() => caller.apply(1, 6), /an entry was passed over/);
  caller.proposals.end(new RaftmarkError("RAFT_FENCED", "fenced"));
  assert.deepEqual(await caller.settled(), { a: "RAFT_FENCED true", b: "RAFT_FENCED true" });
});

test("a proposal that no empty queue could hold is too large, not to be tried again", async () => {
  const proposals = new Proposals({ ...LIMITS, maxQueuedBytes: 10 });
  await assert.rejects(proposals.add(new Uint8Array(11), undefined), {
    code: "RAFT_PROPOSAL_TOO_LARGE",
    message: "a proposal of 11 bytes exceeds maxQueuedBytes (10): split it, or raise that",
  });
});

test("what was aborted takes no room in a queue that nobody takes from", async () => {
  const { proposals } = new Caller();
  const queue = proposals as unknown as { readonly waiting: readonly unknown[] };
  for (let i = 0; i < 1000; i++) {
    if (i % 100 === 0) void proposals.add(bytes("kept"));
    const controller = new AbortController();
    proposals.add(bytes("aborted"), { signal: controller.signal }).catch(() => {});
    controller.abort();
    await null;
  }
  assert.equal(proposals.waitingCount, 10);
  assert.ok(queue.waiting.length <= 20, `${queue.waiting.length} are kept`);
});

test("appending over what was appended in an earlier term settles nothing: the old entry may still win", async () => {
  const caller = new Caller();
  caller.append(1, 5, "a", "b");
  caller.append(3, 5, "c");
  assert.deepEqual(await caller.settled(), {});
  caller.apply(1, 5);
  assert.deepEqual(await caller.settled(), { a: "1/5 done" });
  caller.apply(4, 6);
  assert.deepEqual(await caller.settled(), {
    a: "1/5 done",
    b: "RAFT_PROPOSAL_DROPPED false",
    c: "RAFT_PROPOSAL_DROPPED false",
  });
});

test("an applied entry of a later term settles what was appended behind it, however far", async () => {
  const caller = new Caller();
  caller.append(1, 5, "a", "b", "c");
  caller.apply(2, 4);
  const lost = "RAFT_PROPOSAL_DROPPED false";
  assert.deepEqual(await caller.settled(), { a: lost, b: lost, c: lost });
});

test("a snapshot leaves open what is in front of its end, and excludes what is behind of an earlier term", async () => {
  const caller = new Caller();
  caller.append(1, 5, "a", "b", "c");
  caller.append(3, 7, "d");
  caller.proposals.skippedTo({ index: 6, term: 2 });
  assert.deepEqual(await caller.settled(), {
    a: "RAFT_LEADERSHIP_LOST true",
    b: "RAFT_LEADERSHIP_LOST true",
    c: "RAFT_PROPOSAL_DROPPED false",
  });
  caller.apply(3, 7);
  assert.equal((await caller.settled())["d"], "3/7 done");
});

test("who leads no more gives up after leaderlessTicks: it may still commit", async () => {
  const caller = new Caller();
  caller.append(1, 5, "a");
  for (let i = 0; i < 50; i++) caller.proposals.tick(true);
  for (let i = 0; i < 10; i++) caller.proposals.tick(false);
  assert.deepEqual(await caller.settled(), {});
  caller.proposals.tick(false);
  assert.deepEqual(await caller.settled(), { a: "RAFT_LEADERSHIP_LOST true" });
});

test("nothing waits longer than timeoutTicks, in the log or in front of it", async () => {
  const caller = new Caller();
  caller.append(1, 5, "a");
  caller.propose("b");
  for (let i = 0; i < 100; i++) caller.proposals.tick(true);
  assert.deepEqual(await caller.settled(), {});
  caller.proposals.tick(true);
  assert.deepEqual(await caller.settled(), { a: "RAFT_TIMEOUT true", b: "RAFT_TIMEOUT false" });
  assert.equal(caller.proposals.waitingCount, 0);
});

test("aborted proposals leave the queue, and its bounds, in a microtask; the others keep their order", async () => {
  const caller = new Caller();
  const controllers = new Map<string, AbortController>();
  for (let i = 0; i < 1000; i++) {
    const controller = new AbortController();
    controllers.set(`p${i}`, controller);
    caller.propose(`p${i}`, controller.signal);
  }
  for (let i = 999; i >= 0; i--) if (i % 10 !== 0) controllers.get(`p${i}`)!.abort();
  await null;
  assert.equal(caller.proposals.waitingCount, 100);
  const batch = caller.proposals.nextBatch(Infinity, 1, 1).map(({ data }) => Buffer.from(data).toString());
  assert.deepEqual(
    batch,
    Array.from({ length: 100 }, (_, i) => `p${i * 10}`),
  );
  caller.proposals.appendedAt(1, 1, 100);
  for (let i = 1; i <= 100; i++) caller.apply(1, i);
  const outcomes = await caller.settled();
  assert.equal(outcomes["p10"], "1/2 done");
  assert.equal(outcomes["p11"], "RAFT_ABORTED false");
  for (const { signal } of controllers.values()) assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("a signal that many proposals share has one listener, and none when they are settled", async () => {
  const caller = new Caller();
  const { signal } = new AbortController();
  for (let i = 0; i < 100; i++) caller.propose(`p${i}`, signal);
  assert.equal(getEventListeners(signal, "abort").length, 1);
  caller.proposals.nextBatch(Infinity, 1, 1);
  caller.proposals.appendedAt(1, 1, 100);
  for (let i = 1; i <= 100; i++) caller.apply(1, i);
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("what rejects everything at once takes no stack for each", async () => {
  const errors: RaftmarkError[] = [];
  const proposals = new Proposals(LIMITS);
  const add = (): unknown => proposals.add(bytes("x")).catch((error) => errors.push(error));
  const append = (term: number): void => {
    add();
    proposals.nextBatch(Infinity, term, 5);
    proposals.appendedAt(term, 5, 1);
  };
  append(1);
  proposals.applied(new Entry(EntryNormal, 2, 1, bytes("y")), undefined);
  append(2);
  for (let i = 0; i <= LIMITS.leaderlessTicks; i++) proposals.tick(false);
  append(3);
  add();
  for (let i = 0; i <= LIMITS.timeoutTicks; i++) proposals.tick(true);
  const watch = new LeaderWatch();
  const controller = new AbortController();
  watch.next({ signal: controller.signal }).catch((error) => errors.push(error));
  controller.abort();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(
    errors.map(({ code }) => code),
    ["RAFT_PROPOSAL_DROPPED", "RAFT_LEADERSHIP_LOST", "RAFT_TIMEOUT", "RAFT_TIMEOUT", "RAFT_ABORTED"],
  );
  for (const { stack } of errors) assert.doesNotMatch(stack!, /\n\s+at /);
});

/** The outcome of a call of addMany. */
function many(proposals: Proposals, names: string, signal?: AbortSignal): Promise<unknown> {
  const batch = names.split(" ").map(bytes);
  return proposals.addMany(batch, { signal }).then(
    (all) => all.map(({ index, term, result }) => `${term}/${index} ${result}`),
    ({ code, mayCommit, message }: RaftmarkError) => ({ code, mayCommit, message }),
  );
}

test("many with one promise: entries in order beside others', and what became of each when the last is applied", async () => {
  const caller = new Caller();
  const { proposals } = caller;
  caller.propose("before");
  let outcome: unknown = "none";
  void many(proposals, "a b c").then((value) => {
    outcome = value;
  });
  caller.propose("after");
  // In two turns, of which the second has another term.
  const first = proposals.nextBatch(8, 1, 1);
  proposals.appendedAt(1, 1, first.length);
  assert.equal(first.length, 3);
  const second = proposals.nextBatch(100, 2, 4);
  proposals.appendedAt(2, 4, second.length);
  const payloads = [...first, ...second].map(({ data }) => Buffer.from(data).toString());
  assert.deepEqual(payloads, ["before", "a", "b", "c", "after"]);
  for (let i = 1; i <= 3; i++) caller.apply(1, i);
  await caller.settled();
  assert.equal(outcome, "none");
  assert.equal(proposals.openCount, 2);
  caller.apply(2, 4);
  await caller.settled();
  assert.deepEqual(outcome, ["1/2 done", "1/3 done", "2/4 done"]);
});

test("many, of which some are lost: rejected when each has an outcome, and mayCommit is true if any is applied", async () => {
  const { proposals } = new Caller();
  const apply = (term: number, index: number): void =>
    proposals.applied(new Entry(EntryNormal, term, index, bytes("x")), "done");
  const some = many(proposals, "a b c");
  proposals.appendedAt(1, 5, 3);
  const none = many(proposals, "d e");
  proposals.appendedAt(1, 8, 2);
  apply(1, 5);
  apply(2, 6);
  const lost = "an entry of term 2 is committed at index 6, so that this proposal";
  assert.deepEqual(await some, {
    code: "RAFT_PROPOSAL_DROPPED",
    mayCommit: true,
    message: `${lost} (index 6, term 1) never will be: propose it again; others of the same call are committed, or may be`,
  });
  assert.deepEqual(await none, {
    code: "RAFT_PROPOSAL_DROPPED",
    mayCommit: false,
    message: `${lost} (index 8, term 1) never will be: propose it again`,
  });
});

test("many whose parts a snapshot covers, and that were given up before, settle once", async () => {
  const { proposals } = new Caller();
  const controller = new AbortController();
  const given = many(proposals, "a b c", controller.signal);
  const kept = many(proposals, "d e f");
  proposals.nextBatch(100, 1, 1);
  proposals.appendedAt(1, 1, 6);
  controller.abort();
  assert.equal(((await given) as RaftmarkError).code, "RAFT_ABORTED");
  proposals.skippedTo({ index: 2, term: 1 });
  proposals.skippedTo({ index: 4, term: 1 });
  assert.equal(proposals.openCount, 2);
  for (const index of [5, 6]) proposals.applied(new Entry(EntryNormal, 1, index, bytes("x")), "done");
  const { code, mayCommit } = (await kept) as RaftmarkError;
  assert.deepEqual([code, mayCommit], ["RAFT_LEADERSHIP_LOST", true]);
  assert.equal(proposals.openCount, 0);
});

test("many that the queue cannot hold are refused as a whole", async () => {
  const proposals = new Proposals({ ...LIMITS, maxQueuedProposals: 4, maxQueuedBytes: 20 });
  const code = async (names: string): Promise<unknown> =>
    ((await many(proposals, names)) as RaftmarkError).code;
  assert.equal(await code("a b c d e"), "RAFT_PROPOSAL_TOO_LARGE");
  assert.equal(await code("0123456789 0123456789 0"), "RAFT_PROPOSAL_TOO_LARGE");
  void many(proposals, "a b");
  assert.equal(await code("a b c"), "RAFT_OVERLOADED");
  assert.equal(await code("0123456789 0123456789"), "RAFT_OVERLOADED");
  assert.equal(proposals.waitingCount, 2);
});

test("many are aborted together, by one listener: those in the log may commit, the others are not proposed", async () => {
  const { proposals } = new Caller();
  const controller = new AbortController();
  const { signal } = controller;
  const part = many(proposals, "a b c", signal);
  const queued = many(proposals, "d e", signal);
  assert.equal(getEventListeners(signal, "abort").length, 1);
  proposals.appendedAt(1, 1, 1);
  controller.abort();
  assert.equal(((await part) as RaftmarkError).code, "RAFT_ABORTED");
  assert.equal(((await part) as RaftmarkError).mayCommit, true);
  assert.equal(((await queued) as RaftmarkError).mayCommit, false);
  assert.equal(proposals.waitingCount, 0);
  assert.equal(proposals.openCount, 0);
  assert.equal(proposals.nextBatch(100, 1, 2).length, 0);
});

test("a part of many is a run as it goes over the wire, and its memory is used again once it is applied", async () => {
  const { proposals } = new Caller();
  const slabs = new Set<ArrayBufferLike>();
  let index = 0;
  let batches = 0;
  let runs = 0;
  for (let round = 0; round < 100; round++) {
    const outcome = proposals.addMany(Array.from({ length: 50 }, () => new Uint8Array(1000)));
    while (proposals.waitingCount > 0) {
      const entries = proposals.nextBatch(7500, 1, index + 1);
      proposals.appendedAt(1, index + 1, entries.length);
      index += entries.length;
      batches++;
      for (let at = 0; at < entries.length; at = runEnd(entries, at)) runs++;
      for (const entry of entries) {
        slabs.add(entry.bytes.buffer);
        proposals.applied(entry, null);
      }
    }
    await outcome;
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
  }
  // 5 MB went through, and a slab may end in the middle of a batch.
  assert.ok(slabs.size < 10, `${slabs.size} slabs`);
  assert.ok(runs - batches < 100, `${runs} runs in ${batches} batches`);
});

for (const size of [20, 7000, 20_000]) {
  test(`what was taken for another node and came back disturbs no bytes, its own or those behind it: ${size} bytes each`, async (t) => {
    bytePoolTesting.poison = true;
    t.after(() => {
      bytePoolTesting.poison = false;
    });
    const proposals = new Proposals({ ...LIMITS, maxProposalBytes: 1 << 20, maxQueuedBytes: 1 << 24 });
    let proposed = 0;
    let last = 0;
    const propose = (): void => void proposals.add(new Uint8Array(size).fill(++proposed));
    const append = (): Entry => {
      const [entry] = proposals.nextBatch(1, 1, ++last);
      proposals.appendedAt(1, last, 1);
      return entry;
    };
    const apply = (entry: Entry, number: number): void => {
      const what = `proposal ${number}, now of ${new Set(entry.data)}`;
      assert.ok(
        entry.data.every((byte) => byte === number % 256),
        what,
      );
      proposals.applied(entry, null);
    };
    const someTurns = async (): Promise<void> => {
      for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
    };
    propose();
    apply(append(), proposed);
    propose();
    const taken = proposals.take(1, 0);
    // Two slabs and more, the last of them half full.
    for (let i = 0; i < 150_000 / size; i++) {
      propose();
      apply(append(), proposed);
      await someTurns();
    }
    proposals.giveBack(taken);
    apply(append(), 2);
    await someTurns();
    for (let i = 0; i < 150_000 / size; i++) {
      propose();
      const entry = append();
      const number = proposed;
      propose();
      await someTurns();
      apply(entry, number);
      apply(append(), number + 1);
    }
  });
}

test("parts of one call that come back one after the other wait in its order", async () => {
  const { proposals } = new Caller();
  const outcome = many(proposals, "a b c d e");
  const first = proposals.take(2, 0);
  const second = proposals.take(2, 0);
  assert.equal(proposals.waitingCount, 1);
  proposals.giveBack(first);
  proposals.giveBack(second);
  const entries = proposals.nextBatch(100, 1, 1);
  assert.equal(entries.map(({ data }) => Buffer.from(data).toString()).join(""), "abcde");
  proposals.appendedAt(1, 1, 5);
  for (const entry of entries) proposals.applied(entry, "done");
  assert.deepEqual(await outcome, ["1/1 done", "1/2 done", "1/3 done", "1/4 done", "1/5 done"]);
});

test("requests that come back one after the other wait in the order in which they were made", async () => {
  const proposals = new Proposals(LIMITS);
  const settled: string[] = [];
  const propose = (name: string): void =>
    void proposals.add(bytes(name)).then(() => {
      settled.push(name);
    });
  for (const name of ["a", "b", "c", "d"]) propose(name);
  const first = proposals.take(1, 0);
  const second = proposals.take(2, 0);
  propose("e");
  proposals.giveBack(first);
  proposals.giveBack(second);
  const entries = proposals.nextBatch(100, 1, 1);
  assert.deepEqual(
    entries.map(({ data }) => Buffer.from(data).toString()),
    ["a", "b", "c", "d", "e"],
  );
  proposals.appendedAt(1, 1, 5);
  for (const entry of entries) proposals.applied(entry, null);
  await Promise.resolve();
  assert.deepEqual(settled, ["a", "b", "c", "d", "e"]);
});
