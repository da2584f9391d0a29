// kill -9 in a real cluster: what was acknowledged stays, the others go on, who comes back catches up.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { AckedWriter } from "../../bench/harness/acked.js";
import { Cluster } from "../../bench/harness/cluster.js";
import { Payloads } from "../../bench/harness/payload.js";
import type { StateReport } from "../../bench/harness/state-machine.js";
import { runTruthCheck } from "../../bench/harness/truth-process.js";
import { scratchDir, until } from "./support.js";

const scratch = scratchDir("cluster");
after(() => scratch.remove());
const RUN_ID = 4242;
const LEADER_MS = 15_000;
const SETTLE_MS = 30_000;
let clusters = 0;

interface Started {
  readonly cluster: Cluster;
  readonly dir: string;
  readonly leader: number;
}

/** A cluster with a leader, which goes with the test. */
async function startCluster(t: TestContext, nodes = 3, followerDelayMs = 0): Promise<Started> {
  const dir = join(scratch.path, `cluster-${++clusters}`);
  const settings = {
    nodes,
    writer: "pool-wasm",
    durability: "o_dsync",
    batchBytes: 0,
    inFlight: 32,
    followerDelayMs,
  } as const;
  const cluster = await Cluster.start({ dir, settings, basePort: 0, seed: clusters });
  t.after(() => cluster.destroy());
  const leader = await cluster.waitForLeader(LEADER_MS);
  return { cluster, dir, leader };
}

/** Load in the leader's process for as long as the test wants, and how far it is. */
function startLoad(cluster: Cluster, leader: number, dir: string) {
  const ackedPath = join(dir, `acked-${leader}.bin`);
  const load = { acked: 0, ackedPath };
  cluster.node(leader).onProgress = (acked) => {
    load.acked = acked;
  };
  const plan = {
    runId: RUN_ID,
    client: leader,
    inFlight: 32,
    entryBytes: 128,
    warmupMs: 0,
    primes: false,
    durationMs: 60_000,
    ratePerS: 0,
    arrivals: "constant" as const,
    perCall: 1,
    readsPerWrite: 0,
    ackedMax: 0,
    seed: 1,
  };
  const ended = cluster.node(leader).call("load", { plan, ackedPath }, { timeoutMs: 120_000 });
  ended.catch(() => {}); // A killed leader answers nothing; the test looks at its journal.
  return { load, ended };
}

/** Proposals from outside, one after the other, each acknowledged one in a journal of the test's own. */
class Remote {
  private readonly payloads = new Payloads(RUN_ID, 500, 64);
  readonly ackedPath: string;
  private readonly journal: AckedWriter;

  constructor(dir: string) {
    this.ackedPath = join(dir, "acked-remote.bin");
    this.journal = new AckedWriter(this.ackedPath, RUN_ID, 500);
  }

  get acked(): number {
    return this.journal.total;
  }

  async propose(cluster: Cluster, id: number, count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const bytes = this.payloads.next();
      const { index, term } = await cluster.node(id).call("propose", { bytes });
      this.journal.add(this.payloads.seq - 1, index, term);
    }
  }

  close(): void {
    this.journal.close();
  }
}

function truthOf(
  cluster: Cluster,
  states: Map<number, StateReport | null>,
  ackedFiles: string[],
  ackedMin: number,
) {
  const nodes = cluster.logsOf(states);
  return runTruthCheck({ nodes, ackedFiles, ackedMin });
}

/** A cluster under load from inside and outside. */
async function startLoaded(t: TestContext) {
  const { cluster, dir, leader } = await startCluster(t);
  const remote = new Remote(dir);
  const { load } = startLoad(cluster, leader, dir);
  await remote.propose(cluster, leader, 20);
  await until("the load to run", SETTLE_MS, () => load.acked > 200);
  return { cluster, leader, remote, load };
}

/** All that either load was told of is there, on all nodes. */
async function nothingIsLost(cluster: Cluster, remote: Remote, loadPath: string): Promise<void> {
  assert.equal(await cluster.catchUp(SETTLE_MS), true);
  remote.close();
  const files = [loadPath, remote.ackedPath];
  const report = await truthOf(cluster, await cluster.stop(), files, remote.acked + 1);
  assert.deepEqual(report.findings, []);
}

test("kill -9 of a follower: throughput goes on, it comes back and catches up, nothing is lost", async (t) => {
  const { cluster, dir, leader } = await startCluster(t);
  const { load, ended } = startLoad(cluster, leader, dir);
  await until("the load to run", SETTLE_MS, () => load.acked > 200);
  const follower = cluster.ids.find((id) => id !== leader) ?? 0;
  await cluster.kill(follower);
  const atKill = load.acked;
  await until("throughput without the follower", SETTLE_MS, () => load.acked > atKill + 500);
  await cluster.restart(follower);
  const { commit } = await cluster.call(leader, "status", {});
  await until("the follower to have what it missed", SETTLE_MS, async () => {
    return (await cluster.call(follower, "status", {})).applied >= commit;
  });
  await cluster.call(leader, "haltLoad", {});
  const outcome = await ended.catch(() => null);
  // The load's clock is stopped with it: what counts here is that no proposal failed.
  assert.deepEqual(outcome?.failed, {});
  assert.equal(outcome?.unanswered, 0);
  assert.equal((await cluster.call(leader, "status", {})).state, "StateLeader");
  assert.equal(await cluster.catchUp(SETTLE_MS), true);
  const report = await truthOf(cluster, await cluster.stop(), [load.ackedPath], outcome?.acked ?? 1);
  assert.deepEqual(report.findings, []);
  assert.ok(report.ackedChecked > 700);
});

test("kill -9 of the leader: a new leader, no acknowledged proposal lost", async (t) => {
  const { cluster, leader, remote, load } = await startLoaded(t);
  await cluster.kill(leader);
  const killed = performance.now();
  const next = await cluster.waitForLeader(LEADER_MS, false);
  t.diagnostic(`a new leader after ${Math.round(performance.now() - killed)} ms`);
  assert.notEqual(next, leader);
  await remote.propose(cluster, next, 20);
  await cluster.restart(leader);
  await until("the old leader to follow", SETTLE_MS, async () => {
    return (await cluster.call(leader, "status", {})).leader === next;
  });
  await remote.propose(cluster, next, 20);
  await nothingIsLost(cluster, remote, load.ackedPath);
  assert.equal(remote.acked, 60);
});

test("kill -9 of every node: what was acknowledged is there after they come back", async (t) => {
  const { cluster, remote, load } = await startLoaded(t);
  await Promise.all(cluster.ids.map((id) => cluster.kill(id)));
  for (const id of cluster.ids) await cluster.restart(id);
  await remote.propose(cluster, await cluster.waitForLeader(LEADER_MS), 20);
  await nothingIsLost(cluster, remote, load.ackedPath);
});

test("the truth check refuses logs and journals that were changed after the run", async (t) => {
  const { cluster, dir, leader } = await startCluster(t);
  const remote = new Remote(dir);
  await remote.propose(cluster, leader, 50);
  assert.equal(await cluster.catchUp(SETTLE_MS), true);
  remote.close();
  const states = await cluster.stop();
  const check = () => truthOf(cluster, states, [remote.ackedPath], 50);
  assert.deepEqual((await check()).findings, []);

  const wrong = new Map(states).set(2, {
    applied: states.get(2)?.applied ?? 0,
    count: 50,
    hash: "0".repeat(16),
  });
  assert.match(
    (await truthOf(cluster, wrong, [remote.ackedPath], 50)).findings.join("\n"),
    /node 2: its state machine/,
  );

  flipPayloadByte(cluster.dirOf(3));
  const flipped = await check();
  assert.equal(flipped.ok, false);
  assert.match(flipped.findings.join("\n"), /node 3: its log in .* cannot be read: .*\.wal/);

  rmSync(join(cluster.dirOf(1), "wal"), { recursive: true });
  const lost = await check();
  assert.equal(lost.ok, false);
  assert.match(lost.findings.join("\n"), /acknowledged proposal seq 0 of client 500 .* is in 1 log\(s\)/);
});

/** Changes one byte of an entry in the middle of the first segment of a node's log. */
function flipPayloadByte(dir: string): void {
  const wal = join(dir, "wal");
  const name = readdirSync(wal).find((file) => file.endsWith(".wal")) ?? "";
  const bytes = readFileSync(join(wal, name));
  const header = Buffer.alloc(16);
  header.writeUInt32LE(RUN_ID, 0);
  header.writeUInt32LE(500, 4);
  header.writeUInt32LE(10, 8);
  const at = bytes.indexOf(header);
  if (at < 0) throw new Error(`no payload of the test in ${name}`);
  bytes[at + 20] ^= 0x10;
  writeFileSync(join(wal, name), bytes);
}

test("a disk that takes longer than a campaign is waited for: each is given more time than the one before", async (t) => {
  assert.equal((await startCluster(t, 1, 400)).leader, 1);
});
