// The closed loop against an engine of known behaviour.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { AckedWriter, readAcked } from "../../bench/harness/acked.js";
import type { Engine } from "../../bench/harness/engine.js";
import { UNITS_PER_MS } from "../../bench/harness/latency.js";
import { ClosedLoop, isStable } from "../../bench/harness/load.js";
import { readHeader } from "../../bench/harness/payload.js";
import { type Proposed, RaftmarkError } from "../../src/index.js";
import { tempDir } from "../temp-dir.js";

const dir = tempDir();
let files = 0;

/** Answers what was proposed in a turn of the event loop all at once, as a group commit does. */
function fakeEngine(answer: (index: number) => "apply" | "refuse" | "nothing") {
  const seen: Uint8Array[] = [];
  let most = 0;
  let queue: { index: number; resolve: (value: Proposed) => void; reject: (error: Error) => void }[] = [];
  const turn = () => {
    const batch = queue;
    queue = [];
    most = Math.max(most, batch.length);
    for (const { index, resolve, reject } of batch) {
      if (answer(index) === "apply") resolve({ index, term: 1, result: undefined });
      else if (answer(index) === "refuse") reject(new RaftmarkError("RAFT_NOT_LEADER", "node 2 leads"));
    }
  };
  const propose = (bytes: Uint8Array) => {
    seen.push(bytes.slice());
    if (queue.length === 0) setImmediate(turn);
    const index = seen.length;
    return new Promise<Proposed>((resolve, reject) => queue.push({ index, resolve, reject }));
  };
  const engine = { propose } as unknown as Engine;
  return { engine, seen, most: () => most };
}

function plan(inFlight: number, durationMs = 60) {
  const closed = { ratePerS: 0, arrivals: "constant" as const, readsPerWrite: 0, ackedMax: 0, seed: 1 };
  return {
    runId: 5,
    client: 1,
    inFlight,
    perCall: 1,
    entryBytes: 32,
    warmupMs: 20,
    primes: false,
    durationMs,
    ...closed,
  };
}

async function run(answer: Parameters<typeof fakeEngine>[0], inFlight: number, warmupMs = 20) {
  const fake = fakeEngine(answer);
  const path = join(dir, `acked-${files++}`);
  const journal = new AckedWriter(path, 5, 1);
  const windows: boolean[] = [];
  const given = { ...plan(inFlight), warmupMs };
  const outcome = await new ClosedLoop(fake.engine, given, journal).run((open) => windows.push(open));
  journal.close();
  return { ...fake, outcome, windows, journal: readAcked(path) };
}

test("priming: many are in flight until the warm-up's middle, and in the window as many as asked for", async () => {
  let inFlight = 0;
  let most = 0;
  const mostBy: number[] = [];
  const propose = () => {
    most = Math.max(most, ++inFlight);
    return new Promise<Proposed>((resolve) =>
      setImmediate(() => {
        inFlight--;
        resolve({ index: 1, term: 1, result: undefined });
      }),
    );
  };
  const journal = new AckedWriter(join(dir, `acked-${files++}`), 5, 1);
  // Priming takes half of it: hardly any time is left for its callers to go.
  const primed = { ...plan(2), warmupMs: 2, primes: true };
  const outcome = await new ClosedLoop({ propose } as unknown as Engine, primed, journal).run(() => {
    mostBy.push(most);
    most = 0;
  });
  journal.close();
  assert.deepEqual(mostBy, [256, 2]);
  assert.equal(outcome.unanswered, 0);
});

test("N are in flight, each proposal is its own, and every acknowledgement is in the journal", async () => {
  const { outcome, seen, most, windows, journal } = await run(() => "apply", 16);
  assert.equal(most(), 16);
  assert.deepEqual(windows, [true, false]);
  seen.forEach((bytes, seq) => {
    assert.deepEqual(readHeader(bytes), { runId: 5, client: 1, seq });
  });
  assert.equal(outcome.acked, seen.length);
  assert.deepEqual(journal.runs, [{ seq: 0, index: 1, term: 1, count: seen.length }]);
  assert.deepEqual(outcome.failed, {});
  assert.equal(outcome.unanswered, 0);
});

/** Takes calls of several only, and answers those of a turn at once; the first answer to be refused is that at `refuseFrom`. */
function engineOfMany(refuseFrom = Number.POSITIVE_INFINITY) {
  const seen: Uint8Array[] = [];
  const waiting: (() => void)[] = [];
  let most = 0;
  const turn = () => {
    most = Math.max(most, waiting.length);
    for (const answer of waiting.splice(0)) answer();
  };
  const proposeMany = (batch: readonly Uint8Array[]) => {
    const first = seen.length + 1;
    seen.push(...batch.map((bytes) => bytes.slice()));
    if (waiting.length === 0) setImmediate(turn);
    return new Promise<Proposed[]>((resolve, reject) => {
      const all = batch.map((_, i) => ({ index: first + i, term: 1, result: undefined }));
      waiting.push(() =>
        first < refuseFrom ? resolve(all) : reject(new RaftmarkError("RAFT_CLOSED", "closed")),
      );
    });
  };
  return {
    target: { proposeMany, readBarrier: async () => {} } as unknown as Engine,
    seen,
    calls: () => most,
  };
}

test("several in each call: as many callers as make up what is in flight, and each proposal is told by itself", async () => {
  const { target, seen, calls } = engineOfMany();
  const path = join(dir, `acked-${files++}`);
  const journal = new AckedWriter(path, 5, 1);
  const given = { ...plan(48), perCall: 16, readsPerWrite: 1 };
  const outcome = await new ClosedLoop(target, given, journal).run(() => {});
  journal.close();
  assert.equal(calls(), 3);
  seen.forEach((bytes, seq) => {
    assert.deepEqual(readHeader(bytes), { runId: 5, client: 1, seq });
  });
  assert.equal(outcome.acked, seen.length);
  assert.deepEqual(readAcked(path).runs, [{ seq: 0, index: 1, term: 1, count: seen.length }]);
  assert.equal(outcome.done % 16, 0);
  const cut = outcome.latencies.total - outcome.done;
  assert.ok(cut >= 0 && cut <= 48 && cut % 16 === 0, `${outcome.latencies.total} of ${outcome.done}`);
  assert.ok(Math.abs(outcome.readsDone - outcome.done) <= 2 * 48, `${outcome.readsDone} reads`);
  assert.deepEqual([outcome.failed, outcome.unanswered], [{}, 0]);
});

test("several in each call: a call that is refused counts as many, and so does one without an answer", async () => {
  const { target, seen } = engineOfMany(161);
  const journal = new AckedWriter(join(dir, `acked-${files++}`), 5, 1);
  const given = { ...plan(64), perCall: 16, warmupMs: 10_000 };
  const outcome = await new ClosedLoop(target, given, journal).run(() => {});
  assert.equal(outcome.acked, 160);
  assert.deepEqual(outcome.failed, { RAFT_CLOSED: 64 });
  assert.equal(seen.length, 160 + 64);
  const silent = { proposeMany: () => new Promise(() => {}) } as unknown as Engine;
  const unheard = await new ClosedLoop(silent, { ...plan(64), perCall: 16 }, journal).run(() => {});
  journal.close();
  assert.equal(unheard.unanswered, 64);
});

test("several in each call: priming has 256 in flight, too, and few are left when the window opens", async () => {
  let inFlight = 0;
  let most = 0;
  const mostBy: number[] = [];
  const proposeMany = (batch: readonly Uint8Array[]) => {
    inFlight += batch.length;
    most = Math.max(most, inFlight);
    return new Promise<Proposed[]>((resolve) =>
      setImmediate(() => {
        inFlight -= batch.length;
        resolve(batch.map(() => ({ index: 1, term: 1, result: undefined })));
      }),
    );
  };
  const journal = new AckedWriter(join(dir, `acked-${files++}`), 5, 1);
  const primed = { ...plan(32), perCall: 16, warmupMs: 2, primes: true };
  await new ClosedLoop({ proposeMany } as unknown as Engine, primed, journal).run(() => {
    mostBy.push(most);
    most = 0;
  });
  journal.close();
  assert.deepEqual(mostBy, [256, 32]);
});

test("only the window is measured, and the series adds up to it", async () => {
  const { outcome } = await run(() => "apply", 4);
  assert.ok(outcome.done > 0);
  assert.ok(outcome.done < outcome.acked, "warm-up and end are not counted");
  // What was under way when it closed is in the latencies too.
  const cut = outcome.latencies.total - outcome.done;
  assert.ok(cut >= 0 && cut <= 4, `${outcome.latencies.total} latencies of ${outcome.done}`);
  assert.ok(outcome.series.reduce((sum, count) => sum + count, 0) <= outcome.done);
  assert.ok(outcome.windowMs >= 59);
});

test("a rest of a step is no step of the series", async () => {
  const journal = new AckedWriter(join(dir, `acked-${files++}`), 5, 1);
  const { engine } = fakeEngine(() => "apply");
  const outcome = await new ClosedLoop(engine, plan(2, 150), journal).run(() => {});
  journal.close();
  assert.equal(outcome.series.length, 1);
  assert.equal(outcome.seriesP99Ms.length, 1);
});

test("a stall over the window's end is in the latencies of all whom it held up", async () => {
  let index = 0;
  let heldBack: (() => void)[] | null = null;
  const propose = () =>
    new Promise<Proposed>((resolve) => {
      const answer = () => resolve({ index: ++index, term: 1, result: undefined });
      setImmediate(() => (heldBack === null ? answer() : heldBack.push(answer)));
    });
  const journal = new AckedWriter(join(dir, `acked-${files++}`), 5, 1);
  const engine = { propose } as unknown as Engine;
  const outcome = await new ClosedLoop(engine, plan(8), journal).run((open) => {
    if (!open) return;
    setTimeout(() => {
      heldBack = [];
    }, 30);
    setTimeout(() => {
      for (const answer of heldBack ?? []) answer();
      heldBack = null;
    }, 200);
  });
  journal.close();
  assert.ok(outcome.latencies.max > 100 * UNITS_PER_MS, `${outcome.latencies.max / UNITS_PER_MS} ms at most`);
  const held = outcome.latencies.total - outcome.done;
  assert.equal(held, 8);
});

test("a refusal ends its caller and is told; with all callers gone the load ends", async () => {
  // A warm-up that a busy machine cannot end before the callers.
  const { outcome, windows } = await run((index) => (index < 50 ? "apply" : "refuse"), 8, 10_000);
  assert.equal(outcome.acked, 49);
  assert.deepEqual(outcome.failed, { RAFT_NOT_LEADER: 8 });
  assert.equal(outcome.firstFailure, "node 2 leads");
  assert.deepEqual(windows, []);
});

test("proposals without an answer are counted, not waited for for ever", async () => {
  const { outcome } = await run((index) => (index < 50 ? "apply" : "nothing"), 8);
  assert.equal(outcome.unanswered, 8);
  assert.equal(outcome.acked, 49);
});

test("a warm-up may end when three rates lie within a tenth of their mean", () => {
  assert.equal(isStable([10, 100, 101]), false);
  assert.equal(isStable([100, 101]), false);
  assert.equal(isStable([10, 100, 105, 95]), true);
  assert.equal(isStable([100, 105, 80]), false);
  assert.equal(isStable([0, 0, 0]), false);
});

test("reads follow each proposal, and their latency is told apart", async () => {
  const fake = fakeEngine(() => "apply");
  const target = { ...fake.engine, readBarrier: async () => {} } as unknown as Engine;
  const journal = new AckedWriter(join(dir, `acked-${files++}`), 5, 1);
  const outcome = await new ClosedLoop(target, { ...plan(4), readsPerWrite: 3 }, journal).run(() => {});
  journal.close();
  assert.ok(outcome.reads.total > 0);
  // At the window's edges a caller may be anywhere between its proposal and its last read.
  assert.ok(Math.abs(outcome.reads.total - outcome.done * 3) <= 2 * 4 * 3);
});

test("a load that is to make a log of a size ends at its number", async () => {
  const fake = fakeEngine(() => "apply");
  const journal = new AckedWriter(join(dir, `acked-${files++}`), 5, 1);
  const until500 = { ...plan(4, 60_000), warmupMs: 0, ackedMax: 500 };
  const outcome = await new ClosedLoop(fake.engine, until500, journal).run(() => {});
  journal.close();
  assert.ok(outcome.acked >= 500 && outcome.acked < 500 + 4);
  assert.ok(outcome.windowMs > 0 && outcome.windowMs < 60_000);
});
