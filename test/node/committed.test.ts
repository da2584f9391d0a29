// node.committed(): every committed entry once and in order, from memory and from segments, as fast as it is asked for.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { type TestContext, test } from "node:test";
import type { CommittedEntry, CommittedOptions, Entry, RaftmarkError, RaftNode } from "../../src/index.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import { type Given, leaderOf, openNodes, type Running, rejection, sole, WAIT_MS } from "./nodes.js";

/** All that it recovered is applied. */
async function ready(t: TestContext, more?: Given, dir?: string): Promise<Running> {
  const running = await sole(t, more, dir);
  await running.node.readBarrier();
  return running;
}

const text = ({ data }: CommittedEntry): string => Buffer.from(data).toString();

/** The next `count` of it. */
async function take(feed: AsyncIterator<CommittedEntry>, count: number): Promise<CommittedEntry[]> {
  const taken: CommittedEntry[] = [];
  while (taken.length < count) {
    const { done, value } = await feed.next();
    assert.equal(done, false);
    taken.push(value);
  }
  return taken;
}

async function propose(node: RaftNode, from: number, to: number, bytes = 0): Promise<void> {
  const calls: Promise<unknown>[] = [];
  for (let i = from; i < to; i++) calls.push(node.propose(Buffer.from(`${i}`.padEnd(bytes))));
  await Promise.all(calls);
}

test("what is committed from now on, on every member, in order, with index and term", async (t) => {
  const { running } = await openNodes(t, 3);
  const { node } = await leaderOf(running);
  await propose(node, 0, 5);
  await until("level", WAIT_MS, () => running.every(({ machine }) => machine.log.length === 5));
  const feeds = running.map((member) => member.node.committed());
  const first = feeds.map((feed) => feed.next());
  const { index, term } = await node.propose(Buffer.from("5"));
  await propose(node, 6, 30);
  for (const [i, feed] of feeds.entries()) {
    const { value } = await first[i]!;
    assert.deepEqual([value!.index, value!.term, text(value!)], [index, term, "5"]);
    const rest = await take(feed, 24);
    assert.deepEqual(
      rest.map((entry) => [entry.index - index, text(entry)]),
      rest.map((_, at) => [at + 1, `${at + 6}`]),
    );
  }
});

test("old entries come from the segments, and what is committed meanwhile behind them, each once", async (t) => {
  const dir = tempDir(t);
  const options = { logCacheBytes: 16 << 10, segmentBytes: 64 << 10 };
  const before = await ready(t, options, dir);
  await propose(before.node, 0, 2000, 200);
  await before.node.close();
  const { node } = await ready(t, options, dir);
  const more = propose(node, 2000, 2500, 200);
  const seen: number[] = [];
  let last = 0;
  for await (const entry of node.committed({ from: 1 })) {
    assert.ok(entry.index > last, "in order");
    last = entry.index;
    seen.push(Number(text(entry)));
    if (seen.length === 2500) break;
  }
  await more;
  assert.deepEqual(
    seen,
    Array.from({ length: 2500 }, (_, i) => i),
  );
  const [middle] = await take(node.committed({ from: last - 100 }), 1);
  assert.equal(middle!.index, last - 100);
});

test("a feed holds a page at most, whatever waits behind it, and entries stay as they were given", async (t) => {
  const { node } = await ready(t);
  const feed = node.committed({ from: 1 });
  await propose(node, 0, 1, 1000);
  const [first] = await take(feed, 1);
  await propose(node, 1, 3000, 1000);
  await take(feed, 1);
  const { page } = feed as unknown as { page: readonly CommittedEntry[] };
  assert.ok(page.length > 1 && page.length * 1000 <= 256 << 10, `${page.length} entries`);
  assert.equal(text(first!), "0".padEnd(1000));
  assert.equal(Number(text((await take(feed, 2997)).at(-1)!)), 2998);
  await take(feed, 1);
  assert.equal((feed as unknown as { page: readonly CommittedEntry[] }).page.length, 0, "all were given");
});

test("many feeds of many small entries share each turn of the event loop, and none is passed over", async (t) => {
  const { node } = await ready(t);
  await propose(node, 0, 3000);
  let given = 0;
  let most = 0;
  const FEEDS = 40;
  let isOver = false;
  const count = (): void => {
    most = Math.max(most, given);
    given = 0;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const read = async (): Promise<number> => {
    let last = -1;
    for await (const entry of node.committed({ from: 1 })) {
      given++;
      last = Number(text(entry));
      if (last === 2999) break;
    }
    return last;
  };
  const all = await Promise.all(Array.from({ length: FEEDS }, read));
  isOver = true;
  assert.deepEqual(new Set(all), new Set([2999]));
  // Two pages, where one is loaded behind the rest of another.
  assert.ok(most <= 512, `${most} entries in a turn`);
});

test("a feed that ends gives up what was read for it", async (t) => {
  const dir = tempDir(t);
  const options = { logCacheBytes: 16 << 10, segmentBytes: 64 << 10 };
  const before = await ready(t, options, dir);
  await propose(before.node, 0, 1000, 200);
  await before.node.close();
  const { node } = await ready(t, options, dir);
  const { storage } = (node as unknown as { wal: { storage: { old: { count: number } } } }).wal;
  await until("what was read to apply it is given up", WAIT_MS, () => storage.old.count === 0);
  for await (const _ of node.committed({ from: 1 })) break;
  assert.equal(storage.old.count, 0);
});

test("calls of next() that are made at once are answered in order", async (t) => {
  const { node } = await ready(t);
  const feed = node.committed();
  const calls = Array.from({ length: 5 }, () => feed.next());
  await propose(node, 0, 5);
  const values = (await Promise.all(calls)).map(({ value }) => text(value!));
  assert.deepEqual(values, ["0", "1", "2", "3", "4"]);
});

test("what a snapshot stands for is refused, at the call and on the way, and the error says where the log begins", async (t) => {
  const machine = { apply: () => undefined, snapshot: () => Buffer.from("s"), restore: async () => {} };
  const options = {
    stateMachine: machine,
    segmentBytes: 64 << 10,
    snapshotEveryBytes: 0,
    snapshotCatchUpBytes: 1,
  };
  const { node } = await ready(t, options);
  await propose(node, 0, 10, 2000);
  const lagging = node.committed({ from: 1 });
  const [first] = await take(lagging, 1);
  for (let i = 1; i <= 4; i++) {
    await propose(node, 500 * i, 500 * (i + 1), 2000);
    await node.takeSnapshot();
  }
  const { firstIndex } = node.status().log;
  assert.ok(firstIndex > first!.index + 500);
  const refused = (error: RaftmarkError): boolean =>
    error.code === "RAFT_COMPACTED" && error.message.includes(`begins with entry ${firstIndex},`);
  assert.throws(() => node.committed({ from: firstIndex - 1 }), refused);
  assert.equal((await take(node.committed({ from: firstIndex }), 1))[0]!.index, firstIndex);
  let thrown: unknown;
  try {
    for (;;) await take(lagging, 1);
  } catch (error) {
    thrown = error;
  }
  assert.ok(refused(thrown as RaftmarkError), String(thrown));
  assert.equal((await lagging.next()).done, true);
});

test("without `from` it begins behind a leader's snapshot that is being restored", async (t) => {
  const opened: unknown[] = [];
  let away: Running | null = null;
  const restore = async (): Promise<void> => {
    try {
      opened.push(away!.node.committed());
    } catch (error) {
      opened.push(error);
    }
  };
  const stateMachine = { apply: () => undefined, snapshot: () => Buffer.from("s"), restore };
  const options = { stateMachine, snapshotCatchUpBytes: 0, segmentBytes: 8192 };
  const { network, running } = await openNodes(t, 3, () => options);
  const leader = await leaderOf(running);
  away = running.find((one) => one !== leader)!;
  // Whichever of them leads when it is back.
  const others = running.filter((one) => one !== away).map(({ node }) => node);
  const ids = others.map((node) => node.status().id);
  network.partition([away.node.status().id], ids);
  const { lastIndex } = away.node.status();
  const firstIndex = (): number => Math.min(...others.map((node) => node.status().log.firstIndex));
  while (firstIndex() <= lastIndex + 1) {
    await propose(leader.node, 0, 100, 200);
    for (const node of others) await node.takeSnapshot();
  }
  network.heal();
  await until("it restores", WAIT_MS, () => opened.length > 0);
  await propose(leader.node, 0, 1);
  const [entry] = await take(opened[0] as AsyncIterator<CommittedEntry>, 1);
  assert.ok(entry!.index >= firstIndex());
});

test("it ends with the loop, the signal and the node; a fenced node throws", async (t) => {
  let broken = false;
  const apply = (_: readonly Entry[]): undefined => {
    if (broken) throw new Error("broken");
  };
  const { node } = await ready(t, { stateMachine: { apply } });
  const stopped = node.committed();
  const waiting = stopped.next();
  assert.equal((await stopped.return!()).done, true);
  assert.equal((await waiting).done, true);
  const controller = new AbortController();
  const aborted = node.committed({ signal: controller.signal });
  const pending = aborted.next();
  controller.abort();
  assert.deepEqual([(await pending).done, (await aborted.next()).done], [true, true]);
  assert.equal((await node.committed({ signal: controller.signal }).next()).done, true);
  await propose(node, 0, 3);
  const between = new AbortController();
  const left = node.committed({ from: 1, signal: between.signal });
  await take(left, 1);
  between.abort();
  assert.equal((await left.next()).done, true);
  for (const options of [null, { from: 0 }, { from: 1.5 }, { from: "1" }, { form: 1 }, { signal: 1 }]) {
    assert.throws(() => node.committed(options as CommittedOptions), { code: "RAFT_BAD_OPTION" });
  }

  const other = await ready(t);
  await propose(other.node, 0, 10);
  const { signal } = new AbortController();
  const late = other.node.committed({ from: 1, signal });
  await take(late, 1);
  // Nobody waits: who drops the iterator now leaves nothing behind.
  assert.equal(getEventListeners(signal, "abort").length, 0);
  const open = other.node.committed().next();
  await other.node.close();
  assert.equal(getEventListeners(signal, "abort").length, 0);
  assert.deepEqual([(await open).done, (await late.next()).done], [true, true]);
  assert.throws(() => other.node.committed(), { code: "RAFT_CLOSED" });

  const idle = node.committed();
  const fenced = node.committed();
  const next = rejection(fenced.next());
  broken = true;
  await rejection(node.propose(Buffer.from("x")));
  for (const error of [await next, await rejection(idle.next())]) assert.equal(error.code, "RAFT_FENCED");
  assert.equal((await fenced.next()).done, true);
});
