// Snapshots that a node takes of its own state: when, what they make superfluous, and what becomes of one that fails.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import {
  RaftmarkError,
  RaftNode,
  type RaftNodeOptions,
  type SnapshotSource,
  type StateMachine,
} from "../../src/index.js";
import { MemoryNetwork } from "../../src/link/index.js";
import { Sessions } from "../../src/node/sessions.js";
import { Snapshots } from "../../src/node/snapshots.js";
import type { Wal } from "../../src/wal/index.js";
import { Command, until } from "../process/support.js";
import { atEnd, mountSmall, tempDir } from "../temp-dir.js";
import { meta, snapFiles } from "../wal/helpers.js";
import { Lines, leaderOf, WAIT_MS } from "./nodes.js";
import { SlotMachine } from "./snapshot-machine.js";

const KiB = 1 << 10;

type More = Partial<RaftNodeOptions>;

async function open(
  t: TestContext,
  dir: string,
  stateMachine: StateMachine,
  more: More = {},
): Promise<RaftNode> {
  const node = await RaftNode.open({
    id: 1,
    dir,
    listen: "127.0.0.1:7001",
    peers: { 1: "127.0.0.1:7001" },
    secret: "of the test",
    link: new MemoryNetwork().link(1),
    writer: "inline-wasm",
    durability: "none",
    segmentBytes: 64 * KiB,
    tickMs: 10,
    stateMachine,
    ...more,
  });
  atEnd(t, () => node.close());
  return node;
}

async function lead(node: RaftNode): Promise<void> {
  node.campaign();
  await until("to lead", WAIT_MS, () => node.status().state === "StateLeader");
}

/** Proposals of `bytes`, 32 in flight. */
async function load(node: RaftNode, count: number, bytes = 1000, from = 0): Promise<void> {
  let next = from;
  const end = from + count;
  const client = async (): Promise<void> => {
    while (next < end) {
      const payload = Buffer.alloc(bytes);
      payload.writeUInt32LE(next++);
      await node.propose(payload);
    }
  };
  await Promise.all(Array.from({ length: 32 }, client));
}

function logFileBytes(dir: string): number {
  const wal = path.join(dir, "wal");
  const names = fs.readdirSync(wal);
  // One that is released meanwhile is gone.
  const size = (name: string): number =>
    fs.statSync(path.join(wal, name), { throwIfNoEntry: false })?.size ?? 0;
  return names.reduce((sum, name) => sum + size(name), 0);
}

test("under load the log stays within what the options say; a restart restores and replays what is behind", async (t) => {
  const dir = tempDir(t);
  const machine = new SlotMachine();
  const more = { snapshotEveryBytes: 256 * KiB, snapshotCatchUpBytes: 128 * KiB };
  const node = await open(t, dir, machine, more);
  const events: number[] = [];
  node.on("snapshot", ({ index, error }) => {
    assert.equal(error, null);
    events.push(index);
  });
  await lead(node);
  let most = 0;
  let mostFiles = 0;
  for (let round = 0; round < 40; round++) {
    await load(node, 200, 1000, round * 200);
    most = Math.max(most, node.status().log.bytes);
    mostFiles = Math.max(mostFiles, logFileBytes(dir));
  }
  // Two intervals, and what comes while one is written, which is as much as the machine is slow; of 8 MB.
  assert.ok(most < 2500 * KiB, `${most} bytes of log`);
  assert.ok(mostFiles < 3000 * KiB, `${mostFiles} bytes of files`);
  const { snapshotsTaken, snapshotsFailed, snapshotBytes } = node.metrics;
  assert.ok(snapshotsTaken >= 8 && snapshotsTaken <= 40, `${snapshotsTaken} snapshots`);
  assert.equal(snapshotsFailed, 0);
  // None is under way any more, and something is behind the last.
  let proposals = 8000;
  do {
    await node.propose(Buffer.from("behind it"));
    proposals++;
    await until("the last one", WAIT_MS, () => machine.asked === node.metrics.snapshotsTaken);
  } while (node.status().snapshot!.index === node.status().applied);
  await until("the events", WAIT_MS, () => events.length === machine.asked);
  const { snapshot, commit, log } = node.status();
  assert.equal(snapshot!.bytes, 24 + 64 * 32);
  assert.ok(snapshotBytes >= 8 * snapshot!.bytes);
  assert.ok(log.firstIndex < snapshot!.index);
  assert.deepEqual(snapFiles(dir).length, 2);
  const { hash } = machine;
  await node.close();
  const verify = new Command(dir, "wal", "verify", dir);
  assert.equal(await verify.end(WAIT_MS), 0, verify.stdout);

  const again = new SlotMachine();
  let replayed = 0;
  const apply = again.apply.bind(again);
  again.apply = (entries) => {
    replayed += entries.length;
    return apply(entries);
  };
  const second = await open(t, dir, again, more);
  assert.deepEqual(again.restored, [snapshot!.index]);
  assert.equal(second.status().snapshot!.bytes, snapshot!.bytes);
  await lead(second);
  await second.readBarrier();
  assert.equal(again.hash, hash);
  assert.equal(again.applied, proposals);
  assert.ok(replayed > 0 && replayed <= commit - snapshot!.index, `${replayed} replayed`);
});

test("by count: one every so many entries; by hand: now, or the newest if nothing was applied since", async (t) => {
  const dir = tempDir(t);
  const machine = new SlotMachine();
  const node = await open(t, dir, machine, { snapshotEveryBytes: 0, snapshotEveryEntries: 100 });
  await assert.rejects(node.takeSnapshot(), {
    code: "RAFT_SNAPSHOT_FAILED",
    message: /nothing is applied yet/,
  });
  await lead(node);
  await load(node, 350, 10);
  await until("snapshots", WAIT_MS, () => node.metrics.snapshotsTaken >= 1);
  await node.propose(Buffer.from("one more"));
  const byHand = await node.takeSnapshot();
  assert.equal(byHand.index, node.status().applied);
  assert.equal(byHand.term, node.status().term);
  assert.deepEqual(node.status().snapshot, byHand);
  const { snapshotsTaken } = node.metrics;
  assert.deepEqual(await node.takeSnapshot(), byHand);
  assert.equal(node.metrics.snapshotsTaken, snapshotsTaken);
  // Few bytes a proposal: by size there would have been none.
  assert.ok(snapshotsTaken >= 2 && snapshotsTaken <= 5, `${snapshotsTaken}`);
});

test("one at a time, of the state as it was asked for; those who ask meanwhile share the next", async (t) => {
  const dir = tempDir(t);
  const machine = new SlotMachine();
  const node = await open(t, dir, machine, { snapshotEveryBytes: 64 * KiB });
  await lead(node);
  await load(node, 40, 1000);
  let open_ = (): void => {};
  let reading = 0;
  let most = 0;
  const held = new Promise<void>((resolve) => {
    open_ = resolve;
  });
  machine.gate = async () => {
    most = Math.max(most, ++reading);
    await held;
    reading--;
  };
  const at = { hash: machine.hash, index: node.status().applied };
  const first = node.takeSnapshot();
  await until("it is being read", WAIT_MS, () => reading > 0);
  const others = [node.takeSnapshot(), node.takeSnapshot()];
  // Many times what makes one due: applying goes on, and none begins.
  await load(node, 400, 1000, 40);
  assert.equal(machine.asked, 1);
  open_();
  assert.equal((await first).index, at.index);
  const [a, b] = await Promise.all(others);
  assert.deepEqual(a, b);
  assert.equal(a!.index, node.status().applied);
  assert.equal(machine.asked, 2);
  assert.equal(most, 1);
  await node.close();
  // What was written while the state went on is the state of the call.
  const name = snapFiles(dir)[0]!;
  assert.equal(Number.parseInt(name.slice(17, 33), 16), at.index);
  const copy = path.join(dir, "older");
  fs.mkdirSync(copy);
  fs.cpSync(path.join(dir, "wal"), path.join(copy, "wal"), { recursive: true });
  fs.mkdirSync(path.join(copy, "snap"));
  fs.copyFileSync(path.join(dir, "snap", name), path.join(copy, "snap", name));
  const again = new SlotMachine();
  let restoredHash = "";
  const restore = again.restore.bind(again);
  again.restore = async (stream) => {
    await restore(stream);
    restoredHash = again.hash;
  };
  const older = await open(t, copy, again);
  assert.equal(restoredHash, at.hash);
  await lead(older);
  await older.readBarrier();
  assert.equal(again.hash, machine.hash);
});

test("a state machine that fails: told, the node goes on, and tries again later", async (t) => {
  const dir = tempDir(t);
  const machine = new SlotMachine();
  const lines = new Lines();
  const failures: [string, () => SnapshotSource, RegExp][] = [
    [
      "throws",
      () => {
        throw new Error("no state today");
      },
      /no state today/,
    ],
    [
      "throws what another node told it",
      () => {
        throw new RaftmarkError("RAFT_CLOSED", "node 7 is closed");
      },
      /stateMachine\.snapshot failed: node 7 is closed/,
    ],
    ["a string", () => "state" as never, /must return a Uint8Array.* not "state"/],
    ["a promise", () => Promise.resolve(new Uint8Array(1)) as never, /not a Promise, which comes too late/],
    ["chunks of another kind", () => ["state"] as never, /a chunk must be a Uint8Array, not "state"/],
    [
      "what is no step of it",
      () => ({ [Symbol.asyncIterator]: () => ({ next: () => null }) }) as never,
      /null/,
    ],
    [
      "in the middle",
      async function* () {
        yield new Uint8Array(300 * KiB);
        throw new Error("half way");
      },
      /half way/,
    ],
  ];
  const node = await open(t, dir, machine, {
    logger: lines,
    snapshotEveryBytes: 64 * KiB,
    tickMs: 1,
    electionTicks: 100,
  });
  await lead(node);
  await load(node, 10, 100);
  const sound = machine.snapshot.bind(machine);
  for (const [what, snapshot, text] of failures) {
    machine.snapshot = snapshot;
    await assert.rejects(node.takeSnapshot(), (error: RaftmarkError) => {
      assert.equal(error.code, "RAFT_SNAPSHOT_FAILED", what);
      assert.match(error.message, text);
      return true;
    });
  }
  assert.equal(node.metrics.snapshotsFailed, failures.length);
  assert.deepEqual(fs.readdirSync(path.join(dir, "snap")), []);
  assert.ok(
    lines.matching(/^warn the snapshot at index \d+ failed: .*no state today. The node goes on/).length > 0,
  );
  // By itself it comes when it is due and the wait is over: with ticks of 1 ms and a wait of 160 s that is no time of ours.
  machine.snapshot = sound;
  await load(node, 200, 1000, 10);
  assert.equal(node.metrics.snapshotsTaken, 0);
  assert.equal(node.status().fault, null);
  const { index } = await node.takeSnapshot();
  assert.equal(index, node.status().applied);
  assert.equal(node.metrics.snapshotsTaken, 1);
  // One that succeeded ends the wait.
  await load(node, 200, 1000, 210);
  await until("one by itself", WAIT_MS, () => node.metrics.snapshotsTaken >= 2);
});

test("one that is to replace another and fails waits for its next try, however often it is wanted", async () => {
  const retries: number[] = [];
  let tries = 0;
  const own = new Snapshots({
    wal: {
      saveSnapshot: async () => {
        tries++;
        throw new RaftmarkError("WAL_NO_SPACE", "no space left");
      },
    } as unknown as Wal,
    stateMachine: { apply: () => undefined, snapshot: () => new Uint8Array(1) },
    sessions: new Sessions(),
    policy: { snapshotEveryBytes: 0, snapshotEveryEntries: 0, snapshotCatchUpBytes: 0 },
    tickMs: 1000,
    last: { index: 5, term: 1, bytes: 1 },
    onTaken: () => assert.fail("taken"),
    onFailed: (_metadata, _error, retryMs) => retries.push(retryMs),
    onOwed: () => assert.fail("owed"),
  });
  for (let tick = 0; tick < 16; tick++) {
    own.replace();
    if (own.wanted) own.take(meta(6, 1));
    await new Promise((resolve) => setImmediate(resolve));
    own.tick();
  }
  assert.equal(tries, 3);
  assert.deepEqual(retries, [5_000, 10_000, 20_000]);
  // Nothing was applied since the one that is of no use.
  const byHand = own.ask();
  own.take(meta(5, 1));
  await assert.rejects(byHand, { code: "RAFT_SNAPSHOT_FAILED", message: /at index 5 is of no use/ });
});

/** Taken by hand alone, of `snapshot`; the log takes all that it gives. A failure fails the test. */
function takenByHand(
  snapshot: () => AsyncIterable<Uint8Array>,
  on: Pick<ConstructorParameters<typeof Snapshots>[0], "onTaken" | "onOwed">,
): Snapshots {
  return new Snapshots({
    wal: {
      saveSnapshot: async (_metadata: unknown, chunks: AsyncIterable<Uint8Array>) => {
        for await (const _chunk of chunks);
      },
    } as unknown as Wal,
    stateMachine: { apply: () => undefined, snapshot },
    sessions: new Sessions(),
    policy: { snapshotEveryBytes: 0, snapshotEveryEntries: 0, snapshotCatchUpBytes: 0 },
    tickMs: 1000,
    last: null,
    onFailed: () => assert.fail("failed"),
    ...on,
  });
}

test("a state that comes no further is told, ever more seldom, and anew where it went on", async () => {
  const told: [number, number, number][] = [];
  let give = (): void => {};
  const snapshot = async function* () {
    for (let chunk = 0; chunk < 2; chunk++) {
      yield new Uint8Array(10);
      await new Promise<void>((resolve) => (give = resolve));
    }
  };
  const own = takenByHand(snapshot, {
    onTaken: ({ bytes }) => told.push([bytes, 0, 0]),
    onOwed: (...args) => told.push(args),
  });
  const asked = own.ask();
  own.take(meta(6, 1));
  for (let chunk = 0; chunk < 2; chunk++) {
    await new Promise((resolve) => setImmediate(resolve));
    for (let tick = 0; tick < 130; tick++) own.tick();
    give();
  }
  assert.equal((await asked).bytes, 20);
  assert.deepEqual(told, [
    [6, 10, 60_000],
    [6, 10, 120_000],
    [6, 20, 60_000],
    [6, 20, 120_000],
    [20, 0, 0],
  ]);
});

test("a call that waits behind one that comes no further may give up: it says for what it waited, and none is taken for it", async () => {
  let give = (): void => {};
  let snapshots = 0;
  const snapshot = async function* () {
    snapshots++;
    yield new Uint8Array(10);
    await new Promise<void>((resolve) => (give = resolve));
  };
  const own = takenByHand(snapshot, { onTaken: () => {}, onOwed: () => assert.fail("owed") });
  await assert.rejects(own.ask({ timeoutMs: 1 }), { code: "RAFT_TIMEOUT", message: /apply is not done/ });
  assert.equal(own.wanted, false);
  const first = own.ask();
  const left = own.ask({ timeoutMs: 1 });
  own.take(meta(6, 1));
  await assert.rejects(left, { code: "RAFT_TIMEOUT", message: /is still being taken, and goes on/ });
  const stop = new AbortController();
  const second = own.ask({ signal: stop.signal });
  stop.abort("enough");
  const message = /it waits for the one under way at index 6, of which there are 10 bytes so far/;
  await assert.rejects(second, { code: "RAFT_ABORTED", message, cause: "enough" });
  await assert.rejects(own.ask({ signal: stop.signal }), { code: "RAFT_ABORTED" });
  give();
  assert.equal((await first).bytes, 10);
  assert.deepEqual([own.wanted, snapshots], [false, 1]);
});

test("what was applied before a leader's snapshot was installed does not count against the next one", () => {
  const own = new Snapshots({
    wal: {} as Wal,
    stateMachine: { apply: () => undefined, snapshot: () => new Uint8Array(1) },
    sessions: new Sessions(),
    policy: { snapshotEveryBytes: 100, snapshotEveryEntries: 10, snapshotCatchUpBytes: 0 },
    tickMs: 1000,
    last: null,
    onTaken: () => assert.fail("taken"),
    onFailed: () => assert.fail("failed"),
    onOwed: () => assert.fail("owed"),
  });
  assert.ok(!own.applied(9, 99));
  own.installed({ index: 50, term: 1, bytes: 1 });
  assert.ok(!own.applied(9, 99));
  assert.ok(own.applied(0, 1));
});

test("a full disk while one is taken leaves the node running, and nothing of it behind; with room it goes", async (t) => {
  const small = path.join(tempDir(t), "small");
  if (!mountSmall(t, small, 2)) return;
  const machine = new SlotMachine(64, 4 << 20);
  const dir = path.join(small, "node");
  const node = await open(t, dir, machine, { snapshotEveryBytes: 0 });
  await lead(node);
  await load(node, 50, 1000);
  await assert.rejects(node.takeSnapshot(), { code: "WAL_NO_SPACE" });
  assert.deepEqual(fs.readdirSync(path.join(dir, "snap")), []);
  await load(node, 50, 1000, 50);
  assert.equal(node.status().fault, null);
  // One that would fit, and leave the log no room for its next segments.
  const { bavail, bsize } = fs.statfsSync(small);
  machine.ballast = bavail * bsize - 96 * KiB;
  await assert.rejects(node.takeSnapshot(), { code: "WAL_NO_SPACE", message: /would be left for the log/ });
  assert.deepEqual(fs.readdirSync(path.join(dir, "snap")), []);
  machine.ballast = 0;
  const { index } = await node.takeSnapshot();
  assert.equal(index, node.status().applied);
  const { hash } = machine;
  await node.close();
  const again = new SlotMachine();
  const second = await open(t, dir, again);
  assert.deepEqual(again.restored, [index]);
  assert.equal(again.hash, hash);
  await second.close();
});

test("closing while one is under way ends it; so does a fence; nothing of it is left", async (t) => {
  for (const how of ["close", "fence"] as const) {
    const dir = tempDir(t);
    const machine = new SlotMachine();
    const node = await open(t, dir, machine, { snapshotEveryBytes: 0 });
    await lead(node);
    await load(node, 10, 100);
    let reading = false;
    machine.gate = () => {
      reading = true;
      return new Promise(() => {});
    };
    const taken = node.takeSnapshot();
    const queued = node.takeSnapshot();
    const code = how === "close" ? "RAFT_CLOSED" : "RAFT_FENCED";
    const ended = [assert.rejects(taken, { code }), assert.rejects(queued, { code })];
    await until("it is being read", WAIT_MS, () => reading);
    if (how === "fence") {
      machine.apply = () => {
        throw new Error("broken");
      };
      await assert.rejects(node.propose(Buffer.from("x")), { code: "RAFT_FENCED" });
    }
    await node.close();
    await Promise.all(ended);
    await assert.rejects(node.takeSnapshot(), { code });
    assert.deepEqual(fs.readdirSync(path.join(dir, "snap")), []);
    assert.equal(node.metrics.snapshotsFailed, 0);
  }
});

test("three nodes take theirs each for itself, and have equal states after restarts", async (t) => {
  const dir = tempDir(t);
  const network = new MemoryNetwork();
  const peers = { 1: "127.0.0.1:7001", 2: "127.0.0.1:7002", 3: "127.0.0.1:7003" } as const;
  const start = async (id: 1 | 2 | 3) => {
    const machine = new SlotMachine();
    const lines = new Lines();
    const more = {
      id,
      listen: peers[id],
      peers,
      link: network.link(id),
      snapshotEveryBytes: 128 * KiB,
      tickMs: 40,
    };
    const node = await open(t, path.join(dir, String(id)), machine, { ...more, logger: lines });
    return { node, machine, lines };
  };
  const running = [await start(1), await start(2), await start(3)];
  const leader = await leaderOf(running as never);
  await load(leader.node, 1500, 1000);
  await until("all applied", WAIT_MS, () => running.every(({ machine }) => machine.applied === 1500));
  const { hash } = running[0]!.machine;
  for (const { node, machine } of running) {
    assert.equal(machine.hash, hash);
    await until("snapshots", WAIT_MS, () => node.metrics.snapshotsTaken >= 3);
    await node.close();
  }
  const again = [await start(1), await start(2), await start(3)];
  const second = await leaderOf(again as never);
  await load(second.node, 10, 100);
  await until("all applied again", WAIT_MS, () => again.every(({ machine }) => machine.applied === 1510));
  for (const { machine } of again) {
    assert.equal(machine.hash, again[0]!.machine.hash);
    assert.equal(machine.restored.length, 1);
  }
});

test("a damaged snapshot that is set aside is said, with its file", async (t) => {
  const dir = tempDir(t);
  const node = await open(t, dir, new SlotMachine());
  await lead(node);
  await node.takeSnapshot();
  await load(node, 10);
  await node.takeSnapshot();
  await node.close();
  const newest = path.join(dir, "snap", snapFiles(dir).at(-1)!);
  fs.truncateSync(newest, 10);
  const lines = new Lines();
  await open(t, dir, new SlotMachine(), { logger: lines });
  const [said] = lines.matching(/^warn damaged snapshots are set aside/);
  assert.ok(said?.includes(`${newest}.broken`), lines.all.join("\n"));
});
