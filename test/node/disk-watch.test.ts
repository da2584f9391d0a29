// A disk that does not answer: whoever leads gives way, nobody campaigns without a disk, and who gets its disk back
// takes part again, without anyone's help.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DiskWatch } from "../../src/node/disk-watch.js";
import { PiecePace } from "../../src/wal/disk/piece-pace.js";
import type { Wal } from "../../src/wal/index.js";
import { Silence } from "../../src/wal/log/silence.js";
import { until } from "../process/support.js";
import { atEnd, tempDir } from "../temp-dir.js";
import { HANGS, sharedWords } from "../wal/faulty-fs.js";
import { durable, entry, open, options, run, WRITERS } from "../wal/helpers.js";
import { type Member, startMembers } from "./members.js";

const WAIT_MS = 30_000;
const FAULTY = new URL("../wal/faulty-fs.js", import.meta.url).href;
const SLOW = new URL("../wal/slow-fs.js", import.meta.url).href;
const MiB = 1 << 20;

async function leaderOf(members: readonly Member[]): Promise<Member> {
  await until("a leader", WAIT_MS, () => members.some(({ leads }) => leads));
  return members.find(({ leads }) => leads)!;
}

async function allApplied(members: readonly Member[], count: number): Promise<void> {
  await until(`${count} entries applied`, WAIT_MS, () =>
    members.every(({ applied }) => applied.length >= count),
  );
}

for (const writer of WRITERS) {
  test(`${writer}: a leader whose disk hangs gives way, another commits, and it follows once released`, async (t) => {
    const members = await startMembers(t, writer);
    const leader = await leaderOf(members);
    for (let i = 0; i < 20; i++) await leader.propose(`before ${i}`);
    const { term } = leader.node.status();
    leader.hang();
    // Its followers may still make it commit; that it does not write is what counts.
    leader.propose("stuck").catch(() => {});
    await until("the leader to give way", WAIT_MS, () => leader.node.status().disk.silent);
    assert.equal(leader.leads, false);
    const others = members.filter((member) => member !== leader);
    const next = await leaderOf(others);
    assert.ok(next.node.status().term > term);
    for (let i = 0; i < 20; i++) await next.propose(`after ${i}`);
    await allApplied(others, 40);
    assert.equal(leader.node.status().state, "StateFollower");
    leader.release();
    // The last, not so many: the one proposed to the hanging disk may be among them.
    await until("the last entry applied", WAIT_MS, () =>
      members.every(({ applied }) => applied.at(-1) === "after 19"),
    );
    await until(
      "the old leader to follow",
      WAIT_MS,
      () => leader.node.status().leader === next.node.status().id,
    );
    await until("its clock to go on", WAIT_MS, () => !leader.node.status().disk.silent);
    assert.ok(leader.node.status().disk.stalls >= 1);
    assert.match(leader.lines.matching(/disk of the log/).at(-1)!, /answers again/);
    await until("equal logs", WAIT_MS, () => sameLogs(members));
    const counted = (what: string): string[] => Array.from({ length: 20 }, (_, i) => `${what} ${i}`);
    for (const { applied } of members) {
      // The one proposed to the hanging disk may be there or not.
      assert.deepEqual(
        applied.filter((text) => text !== "stuck"),
        [...counted("before"), ...counted("after")],
      );
    }
  });
}

test("a follower whose disk hangs does not campaign; it helps to elect one when it answers", async (t) => {
  const members = await startMembers(t, "pool-wasm");
  const leader = await leaderOf(members);
  const [follower, third] = members.filter((member) => member !== leader);
  await leader.propose("before");
  await allApplied(members, 1);
  follower!.hang();
  await leader.propose("not on the follower's disk");
  await until("the follower's disk to be missed", WAIT_MS, () => follower!.node.status().disk.silent);
  leader.cutOff();
  const { term } = follower!.node.status();
  const from = follower!.ticks;
  // Two election timeouts at the longest.
  await until("time to campaign", WAIT_MS, () => {
    assert.equal(follower!.node.status().state, "StateFollower");
    assert.equal(third!.leads, false, "elected by a vote that is not stored");
    follower!.node.campaign();
    return follower!.ticks > from + 100;
  });
  assert.equal(follower!.node.status().term, term);
  follower!.release();
  const next = await leaderOf([follower!, third!]);
  await next.propose("after");
  assert.deepEqual(next.applied, ["before", "not on the follower's disk", "after"]);
});

test("time in which the process did not run is no silence of the disk; time in which it runs is", async (t) => {
  const dir = tempDir(t);
  const words = sharedWords();
  const arg = { op: "syncDir", from: Infinity, code: "EIO", shared: words };
  const wal = await open(t, options(dir, { writer: "pool-wasm", walFs: { module: FAULTY, arg } }));
  atEnd(t, () => {
    Atomics.store(words, HANGS, 0);
    Atomics.notify(words, HANGS);
  });
  Atomics.store(words, HANGS, 1);
  wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 1));
  assert.ok(wal.silentMs(20) <= 20);
  // As after SIGSTOP: nothing in this thread runs for 300 ms.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  assert.ok(wal.silentMs(20) <= 40);
  await until("the silence to be counted", WAIT_MS, () => wal.silentMs(20) > 200);
});

test("many short suspensions are no silence of the disk", async () => {
  const silence = new Silence();
  let now = 0;
  const wal = { silentMs: (gapMsMax: number) => silence.measure(now, 0, gapMsMax) } as unknown as Wal;
  const parts = { wal, diskTimeoutMs: 1000, tickMs: 100, onDisk: () => {}, hasEnded: () => false };
  const watch = new DiskWatch(parts);
  const ticks = async (count: number, everyMs: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      now += everyMs;
      watch.tick();
      await new Promise(setImmediate);
    }
  };
  // SIGSTOP for 300 ms and 20 ms to run, six times.
  await ticks(6, 320);
  assert.equal(watch.stalls, 0);
  await ticks(5, 100);
  assert.equal(watch.stalls, 1);
});

for (const writer of WRITERS)
  for (const [count, size] of [
    [8, MiB],
    [1, 8 * MiB],
  ] as const)
    test(`${writer}: a disk that is slow answers all the time while it takes ${count} entries of ${size} bytes`, async (t) => {
      const walFs = { module: SLOW, arg: { bytesPerS: 8 * MiB } };
      const wal = await open(t, options(tempDir(t), { writer, durability: "o_dsync", walFs }));
      const entries = Array.from({ length: count }, (_, i) => entry(i + 1, 1, size));
      const begun = performance.now();
      const done = durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, entries));
      let isDone = false;
      let silentMs = 0;
      void done.then(() => {
        isDone = true;
      });
      while (!isDone) {
        silentMs = Math.max(silentMs, wal.silentMs());
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      const ms = performance.now() - begun;
      assert.ok(silentMs < ms / 2, `silent for ${silentMs} of ${ms} ms`);
    });

test("a piece takes a tenth of a second of its disk, within bounds; small ones do not tell how fast that is", () => {
  const pace = new PiecePace(8 * MiB);
  assert.equal(pace.bytes, MiB);
  for (const [bytes, ms, next] of [
    [MiB, 50, 2 * MiB],
    [2 * MiB, 400, MiB / 2],
    [4096, 100, MiB / 2],
    [MiB / 2, 60_000, MiB / 8],
    [MiB / 8, 0, 8 * MiB],
    [MiB + 1, 100, MiB],
  ] as const) {
    pace.took(bytes, ms);
    assert.equal(pace.bytes, next);
  }
});

function sameLogs(members: readonly Member[]): boolean {
  const [first, ...rest] = members.map((member) => member.log().join("\n"));
  return rest.every((log) => log === first);
}
