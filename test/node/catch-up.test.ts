// What a node reads of its old log while it runs: for a member that was away, and what it has to apply when it opens.
// The main thread waits for none of it, and damage ends the node, with its place.
import assert from "node:assert/strict";
import fs from "node:fs";
import fsPromises from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { bytePoolTesting } from "../../src/base/byte-pool.js";
import { MemoryNetwork } from "../../src/link/index.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import { type Given, leaderOf, openNode, type Running, WAIT_MS } from "./nodes.js";

const KB = 1 << 10;
const DAMAGE = /\d{16}-\w{16}\.wal is damaged at offset \d+ .*wrong checksum/;
const SIZES: Given = { logCacheBytes: 64 * KB, segmentBytes: 256 * KB };

/** What the reader of old segments did, waiting for the disk; but for the descriptor that it keeps to spare. */
function syncReads(t: TestContext): string[] {
  const found: string[] = [];
  const fsSync = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const name of ["openSync", "readSync", "readdirSync"]) {
    const original = fsSync[name]!;
    t.mock.method(fsSync, name, (...args: unknown[]) => {
      const { stack } = new Error();
      if (stack?.includes("segment-reader") === true && !stack.includes("spare-descriptors"))
        found.push(`${name} ${String(args[0])}`);
      return original(...args);
    });
  }
  return found;
}

/** Whoever reads bytes that were given back reads others. */
function poisoned(t: TestContext): void {
  bytePoolTesting.poison = true;
  t.after(() => {
    bytePoolTesting.poison = false;
  });
}

/** Entries of 10 kB each, all acknowledged. */
async function propose({ node }: Running, count: number): Promise<void> {
  for (let i = 0; i < count; i += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, k) => node.propose(Buffer.alloc(10_000, i + k))));
  }
}

/** A leader of three with 4 MB of old log, of which member `away` has nothing. */
async function lagging(t: TestContext, more: Given = {}) {
  const network = new MemoryNetwork();
  const dir = tempDir(t);
  const openIt = (id: number) => openNode(t, dir, id, 3, { link: network.link(id), ...SIZES, ...more });
  const all = [await openIt(1), await openIt(2), await openIt(3)];
  const leader = await leaderOf(all);
  const away = all.find((each) => each !== leader)!;
  const id = away.node.status().id;
  await away.node.close();
  await propose(leader, 400);
  return { leader, dir, comeBack: () => openIt(id) };
}

/** Flips a bit in each old segment of node `id`: all but the newest, and what the cache holds of the one before. */
function damage(dir: string, id: number): void {
  const wal = path.join(dir, String(id), "wal");
  for (const name of fs
    .readdirSync(wal)
    .filter((each) => each.endsWith(".wal"))
    .sort()
    .slice(1, -2)) {
    const fd = fs.openSync(path.join(wal, name), "r+");
    const byte = Buffer.alloc(1);
    fs.readSync(fd, byte, 0, 1, 100_000);
    byte[0]! ^= 1;
    fs.writeSync(fd, byte, 0, 1, 100_000);
    fs.closeSync(fd);
  }
}

test("a member catches up from old segments, and its leader's main thread reads no file for it", async (t) => {
  poisoned(t);
  const { leader, comeBack } = await lagging(t);
  const { term } = leader.node.status();
  const found = syncReads(t);
  const back = await comeBack();
  await propose(leader, 40);
  await until("it is level", WAIT_MS, () => back.node.status().applied === leader.node.status().commit);
  assert.deepEqual(back.machine.log, leader.machine.log);
  assert.equal(leader.node.status().term, term);
  assert.deepEqual(found, []);
});

test("under a load that never ends a member gains on its group at its pace, until it is level; its reads come through", async (t) => {
  poisoned(t);
  const { leader, comeBack } = await lagging(t, { catchUpBytesPerS: 2 << 20 });
  const { term } = leader.node.status();
  let loads = true;
  const client = async (): Promise<void> => {
    while (loads) await leader.node.propose(Buffer.alloc(500, "x"));
  };
  const clients = Array.from({ length: 8 }, client);
  const back = await comeBack();
  await back.node.whenLeader();
  const { commit } = leader.node.status();
  await back.node.readBarrier();
  assert.ok(back.node.status().applied >= commit);
  await until("it is level", WAIT_MS, () => {
    return back.node.status().applied + 16 >= leader.node.status().commit;
  });
  loads = false;
  await Promise.all(clients);
  assert.equal(leader.node.status().term, term);
  await until("all is applied", WAIT_MS, () => back.machine.log.length === leader.machine.log.length);
  assert.deepEqual(back.machine.log, leader.machine.log);
});

test("damage of what a member lacks ends its leader with WAL_CORRUPT and the place", async (t) => {
  const { leader, dir, comeBack } = await lagging(t);
  const { id } = leader.node.status();
  damage(dir, id);
  await comeBack();
  await until("the leader is fenced", WAIT_MS, () => leader.node.status().fault !== null);
  assert.match(leader.node.status().fault!, DAMAGE);
});

test("an opened node applies its old log without waiting for it; damage ends it with WAL_CORRUPT", async (t) => {
  poisoned(t);
  const dir = tempDir(t);
  const openIt = () => openNode(t, dir, 1, 1, { link: new MemoryNetwork().link(1), ...SIZES });
  const before = await openIt();
  await leaderOf([before]);
  await propose(before, 400);
  await before.node.close();

  const found = syncReads(t);
  const again = await openIt();
  await until("all is applied", WAIT_MS, () => again.machine.log.length === 400);
  assert.deepEqual(again.machine.log, before.machine.log);
  assert.deepEqual(found, []);
  await again.node.close();

  // Sound when it was opened.
  const original = fsPromises.open;
  let damaged = false;
  t.mock.method(fsPromises, "open", async (...args: Parameters<typeof original>) => {
    if (!damaged && new Error().stack?.includes("old-entries") === true) {
      damaged = true;
      damage(dir, 1);
    }
    return original(...args);
  });
  const { node, machine } = await openIt();
  await until("it is fenced", WAIT_MS, () => node.status().fault !== null);
  assert.match(node.status().fault!, DAMAGE);
  assert.deepEqual(machine.log, before.machine.log.slice(0, machine.log.length));
});
