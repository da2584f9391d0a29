// The load of one client process against a service of known behaviour, and what is put together of several.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type TestContext, test } from "node:test";
import { LatencyCounts } from "../../bench/harness/latency.js";
import { SERIES_STEP_MS } from "../../bench/harness/load.js";
import { runOf } from "../../bench/target/run-target.js";
import { parseTarget } from "../../bench/target/target-client.js";
import { TargetLoad, type TargetLoadPlan, type TargetLoadResult } from "../../bench/target/target-load.js";
import { listen } from "../listen.js";

const CALLERS = 8;

/** A service that keeps what it is given, and the load for it. `hold(method)`: it answers none of these; "": it answers all. */
async function loadOf(t: TestContext, more: Partial<TargetLoadPlan> = {}) {
  const kept = new Map<string, Buffer>();
  let revision = 0;
  let held = "";
  let waiting: (() => void)[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    const answer = () => {
      const key = request.url!.split("?")[0]!;
      if (request.method === "PUT") {
        kept.set(key, Buffer.concat(chunks));
        response.end(JSON.stringify({ key, revision: ++revision }));
      } else if (request.method === "GET" && kept.has(key)) response.end(kept.get(key));
      else response.writeHead(request.method === "GET" ? 404 : 200).end("{}");
    };
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => (request.method === held ? waiting.push(answer) : answer()));
  });
  const targets = [parseTarget(await listen(t, server))!];
  const plan = { targets, run: "r", client: 0, callers: CALLERS, valueBytes: 32, readsPerWrite: 1 };
  const times = { warmupMs: 20, durationMs: 150, patienceMs: 20_000 };
  const hold = (method: string) => {
    held = method;
    for (const answer of waiting) answer();
    waiting = [];
  };
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { load: new TargetLoad({ ...plan, ...times, ...more }), hold, close };
}

for (const method of ["PUT", "GET"])
  test(`a stall over the window's end is in the latencies of all whom it held up (${method})`, async (t) => {
    const { load, hold } = await loadOf(t);
    const { writes, reads, writesDone, readsDone, series, findings } = await load.run((open) =>
      hold(open ? method : ""),
    );
    assert.equal(writes.total - writesDone + reads.total - readsDone, CALLERS);
    assert.ok(series.reduce((sum, count) => sum + count, 0) <= writesDone);
    assert.deepEqual(findings, []);
  });

test("a rest of a step is no step of the series", async (t) => {
  const whole = await loadOf(t);
  assert.equal((await whole.load.run(() => {})).series.length, 1);
  const { load } = await loadOf(t, { durationMs: 60_000 });
  const cut = await load.run(() => load.stop());
  assert.equal(cut.series.length, Math.floor(cut.windowMs / SERIES_STEP_MS));
});

test("of several clients: throughput is what was answered in the window, and the series has the steps of all", () => {
  const writes = new LatencyCounts();
  for (const ms of [1, 2, 300]) writes.record(ms);
  const nothing = {
    acknowledged: 0,
    again: 0,
    said: {},
    failed: {},
    findings: [],
    keysChecked: 0,
    unread: [],
    gaveUp: 0,
  };
  // As of a timer that came early.
  const one = {
    windowMs: 199.5,
    writesDone: 2,
    readsDone: 0,
    writes,
    reads: new LatencyCounts(),
    ...nothing,
  };
  const results: TargetLoadResult[] = [
    { ...one, series: [1, 1] },
    { ...one, series: [2, 0, 7] },
  ];
  const row = { inFlight: 2, valueBytes: 32, readsPerWrite: 0 };
  const run = runOf({ clients: 2 }, row, results, 0);
  assert.deepEqual([run.writes, run.writesPerS, run.writeMs?.max], [4, 4 / 0.1995, 300]);
  assert.deepEqual(run.series.writes, [3, 1]);
  // Its callers gave up at once: the load was there for the whole window all the same.
  const gone = { ...one, windowMs: 0.5, writesDone: 0, series: [0, 0], gaveUp: 1 };
  const half = runOf({ clients: 2 }, row, [results[0]!, gone], 0);
  assert.deepEqual([half.writesPerS, half.gaveUp], [2 / 0.1995, 1]);
});

test("a key that cannot be read back is not checked, which is not the same as lost", async (t) => {
  const { load, hold, close } = await loadOf(t, { patienceMs: 0, readsPerWrite: 0 });
  const { findings, unread, keysChecked, gaveUp, acknowledged } = await load.run((open) => {
    if (!open) return;
    hold("PUT");
    close();
  });
  assert.ok(acknowledged > 0);
  assert.deepEqual([findings, keysChecked, gaveUp], [[], 0, CALLERS]);
  assert.match(unread[0]!, /could not be read back: nobody answered$/);
});
