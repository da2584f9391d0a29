// The load on a cluster that runs already: against real nodes of the service, through the loss of a leader, and against a
// service that loses what it acknowledged.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { BenchError } from "../../bench/harness/bench-error.js";
import { runTarget, type TargetPlan } from "../../bench/target/run-target.js";
import { parseTarget, TargetClient } from "../../bench/target/target-client.js";
import { targetText } from "../../bench/target/target-text.js";
import { targetPlanOf } from "../../src/cli/bench-target.js";
import { deadAddress, listen } from "../listen.js";
import { ServeCluster } from "../process/serve-cluster.js";
import { childrenOf, PATIENCE_MS, scratchDir, until } from "../process/support.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const scratch = scratchDir("target");
after(() => scratch.remove());
const PAINT = { bold: same, dim: same, red: same, green: same };

function same(text: string): string {
  return text;
}

function planOf(targets: readonly string[], more: Partial<TargetPlan> = {}): TargetPlan {
  return {
    targets: targets.map((target) => parseTarget(target)!),
    rows: [{ inFlight: 8, valueBytes: 64, readsPerWrite: 1 }],
    clients: 2,
    warmupMs: 100,
    durationMs: 600,
    run: "r",
    command: "raftmark bench --target",
    ...more,
  };
}

const never = new AbortController().signal;

test("three nodes of the service, then one of them killed in the middle: nothing acknowledged is missed", async (t) => {
  const cluster = new ServeCluster(join(scratch.path, "three"), 3);
  t.after(() => cluster.stop());
  await cluster.start();
  const targets = cluster.ids.map((id) => cluster.urlOf(id));
  const said: string[] = [];
  const { result } = await runTarget(planOf(targets), (text) => said.push(text), never);
  const [run] = result.runs;
  assert.match(said.join("\n"), /3 nodes of a running cluster; node \d leads term \d+/);
  assert.deepEqual(run!.findings, []);
  assert.equal(run!.keysChecked, 8);
  assert.ok(run!.writes > 0 && run!.reads > 0 && run!.acknowledged >= run!.writes);
  assert.ok(run!.writeMs!.p50 > 0 && run!.writeMs!.p50 <= run!.writeMs!.max);
  const inSeries = run!.series.writes.reduce((sum, count) => sum + count, 0);
  assert.ok(inSeries > 0 && inSeries <= run!.writes);
  // It cleans up behind itself.
  const { kv } = (await cluster.ask(1, "GET", "/status")).json as { kv: { keys: number } };
  await until("no key", 20_000, async () => kv.keys === 0 || (await keysAt(cluster)) === 0);
  const text = targetText(result, PAINT);
  assert.match(text, /writes\/s/);
  assert.match(text, /Checked: [\d,]+ acknowledged writes to 8 keys, read back: every key has what was/);

  const leader = await cluster.leader();
  const over = new AbortController();
  // The first client begins with the leader, and misses it.
  const first = cluster.ids.filter((id) => id !== leader)[0]!;
  const order = [leader, ...cluster.ids.filter((id) => id !== leader)].map((id) => cluster.urlOf(id));
  const endless = planOf(order, { warmupMs: 0, durationMs: 600_000, run: "s" });
  const running = runTarget(endless, () => {}, over.signal);
  await until("it runs", PATIENCE_MS, async () => (await keysAt(cluster, leader)) === 8);
  cluster.node(leader).child.kill("SIGKILL");
  cluster.ids = cluster.ids.filter((id) => id !== leader);
  await until("another to lead", PATIENCE_MS, async () => (await cluster.leader()) !== leader);
  const applied = await appliedAt(cluster, first);
  await until("it goes on", PATIENCE_MS, async () => (await appliedAt(cluster, first)) > applied + 100);
  over.abort(new BenchError("interrupted", "enough"));
  const [through] = (await running).result.runs;
  assert.deepEqual(through!.findings, []);
  assert.equal(through!.keysChecked, 8);
  assert.ok(through!.again > 0, "somebody was refused");
  assert.ok(through!.elections > 0);
  assert.deepEqual(through!.failed, {});
});

async function appliedAt(cluster: ServeCluster, id: number): Promise<number> {
  return ((await cluster.ask(id, "GET", "/status")).json as { applied: number }).applied;
}

async function keysAt(cluster: ServeCluster, id = 1): Promise<number> {
  return ((await cluster.ask(id, "GET", "/status")).json as { kv: { keys: number } }).kv.keys;
}

/** A service that keeps nothing of every `losing`-th write, and never says so. */
async function forgetful(t: TestContext, losing: number): Promise<string> {
  const kept = new Map<string, { value: Buffer; revision: number }>();
  let revision = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const key = request.url!.split("?")[0]!;
      const json = (status: number, value: object) => response.writeHead(status).end(JSON.stringify(value));
      if (key === "/status")
        json(200, { id: 1, state: "StateLeader", term: 2, leader: 1, applied: revision });
      else if (request.method === "PUT") {
        revision++;
        const lost = losing > 0 && revision % losing === 0;
        if (!lost) kept.set(key, { value: Buffer.concat(chunks), revision });
        json(200, { key, revision });
      } else if (request.method === "DELETE") json(200, { key, deleted: kept.delete(key) });
      else if (kept.has(key)) response.writeHead(200).end(kept.get(key)!.value);
      else json(404, { error: { code: "KV_NOT_FOUND" } });
    });
  });
  return listen(t, server);
}

test("a service that loses what it acknowledged is found out", async (t) => {
  const rows = [{ inFlight: 4, valueBytes: 64, readsPerWrite: 1 }];
  const { result: honest } = await runTarget(planOf([await forgetful(t, 0)], { rows }), () => {}, never);
  assert.deepEqual(honest.runs[0]!.findings, []);
  const { result } = await runTarget(planOf([await forgetful(t, 10)], { rows }), () => {}, never);
  const { findings } = result.runs[0]!;
  assert.ok(findings.some((finding) => /write \d+ was acknowledged last, and \d+ sent$/.test(finding)));
  assert.match(targetText(result, PAINT), /NOT AS ACKNOWLEDGED: \/kv\/bench-r-/);
});

test("a node named twice is no two nodes", async (t) => {
  const [one, other] = [await forgetful(t, 0), await forgetful(t, 0)];
  await assert.rejects(
    runTarget(planOf([one, other]), () => {}, never),
    {
      kind: "usage",
      message: `--target: node 1 answers at ${one} and at ${other}: name each node of one cluster once.`,
    },
  );
});

test("where a client fails, the rows before it are told", async (t) => {
  const target = await forgetful(t, 0);
  const row = { inFlight: 2, valueBytes: 64, readsPerWrite: 0 };
  // What cannot be allocated ends the process that wants it.
  const rows = [row, { ...row, valueBytes: 2 ** 53 }, row];
  const { result, cut } = await runTarget(planOf([target], { rows }), () => {}, never);
  assert.deepEqual([result.runs.length, result.interrupted, cut?.kind], [1, true, "failed"]);
});

test("Ctrl-C, which a terminal sends to all, while the clients' processes load: what they did is told", async (t) => {
  const words = ["--target", await forgetful(t, 0), "--quick", "--out", "/dev/null"];
  const child = spawn(process.execPath, [MAIN, "bench", ...words], { detached: true, stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  const ended = once(child, "close");
  await until("a client", PATIENCE_MS, () => childrenOf(child.pid!).length > 0);
  process.kill(-child.pid!, "SIGINT");
  assert.deepEqual(await ended, [130, null]);
});

test("who does not answer, or is no node of the service, is named", async (t) => {
  const dead = await deadAddress();
  await assert.rejects(
    runTarget(planOf([dead]), () => {}, never),
    {
      kind: "environment",
      message: new RegExp(
        `^--target: no answer at ${dead}: .*ECONNREFUSED.* raftmark cluster up`.replace(" raft", ".*raft"),
      ),
    },
  );
  const at = await listen(
    t,
    createServer((_, response) => response.end("hello")),
  );
  await assert.rejects(
    runTarget(planOf([at]), () => {}, never),
    {
      kind: "environment",
      message: new RegExp(`^--target: what answers at ${at} is no node of .raftmark serve.`),
    },
  );
});

test("a client follows the leader that an answer names", async (t) => {
  const asked: string[] = [];
  const http = await listen(
    t,
    createServer((_, response) => response.end("done")),
  );
  const follower = createServer((request, response) => {
    asked.push(request.url!);
    response
      .writeHead(503)
      .end(JSON.stringify({ error: { code: "RAFT_NOT_LEADER", leader: { id: 2, http } } }));
  });
  const client = new TargetClient([parseTarget(await listen(t, follower))!], 2, 0);
  const first = await client.ask("PUT", "/kv/a", Buffer.from("x"), 10_000);
  assert.deepEqual([first.status, first.tries, first.failure], [200, 1, "503 RAFT_NOT_LEADER"]);
  const second = await client.ask("PUT", "/kv/b", Buffer.from("x"), 10_000);
  assert.deepEqual([second.status, second.tries], [200, 0]);
  assert.deepEqual(asked, ["/kv/a"]);
  client.close();
});

test("addresses, and words of the command line", () => {
  assert.deepEqual(parseTarget("[::1]:8081"), { host: "::1", port: 8081 });
  assert.deepEqual(parseTarget("http://node-1:80/"), { host: "node-1", port: 80 });
  for (const text of ["node-1", "node-1:0", "node-1:70000", "::1:80", "https://node:1", ""])
    assert.equal(parseTarget(text), null, text);
  const words = { target: "a:1,b:2", json: false, inFlight: "1,64", readsPerWrite: "0,1" };
  const plan = targetPlanOf(words, "");
  assert.equal(plan.targets.length, 2);
  assert.equal(plan.rows.length, 4);
  const refused = (more: object, message: RegExp): void => {
    assert.throws(() => targetPlanOf({ ...words, ...more }, ""), { kind: "usage", message });
  };
  refused({ target: "a" }, /^--target: "a" is not allowed: .*127\.0\.0\.1:8081/);
  refused({ inFlight: "0" }, /^--in-flight: "0" .* from 1 to 4096/);
  refused({ entryBytes: "15" }, /^--entry-bytes: "15" .* from 16 to/);
  refused({ duration: "5" }, /Did you mean 5s\?/);
});
