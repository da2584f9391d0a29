// What nodes lie in memory that is used again: callers' bytes, frames, old entries. Whoever reads it for too long reads
// other bytes, since all of it is written over as soon as it may be used again.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { bytePoolTesting } from "../../src/base/byte-pool.js";
import { Prng } from "../../src/base/prng.js";
import { type Entry, RaftmarkError } from "../../src/index.js";
import { MemoryNetwork } from "../../src/link/memory-link.js";
import { until } from "../process/support.js";
import { seedOf } from "../seed.js";
import { tempDir } from "../temp-dir.js";
import { type Given, leaderOf, openNode, type Running, WAIT_MS } from "./nodes.js";

const SECONDS = Number(process.env["SECONDS"] ?? 3);

/** A payload that tells what it is and whether it is whole: its number, and one byte all through. */
function payload(prng: Prng, number: number): Uint8Array {
  const size = prng.below(10) === 0 ? 8000 + prng.below(40_000) : 8 + prng.below(3000);
  const bytes = new Uint8Array(size).fill(number);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

/** Checks what it applies, now or after a while. */
class Checker {
  readonly numbers: number[] = [];
  private readonly slowly: boolean;

  constructor(slowly: boolean) {
    this.slowly = slowly;
  }

  apply(entries: readonly Entry[]): undefined | Promise<undefined> {
    if (!this.slowly) return this.check(entries);
    return new Promise((done) => setTimeout(done, 5)).then(() => this.check(entries));
  }

  private check(entries: readonly Entry[]): undefined {
    for (const { index, bytes, start, size } of entries) {
      const number = new DataView(bytes.buffer, bytes.byteOffset + start).getUint32(0);
      const data = bytes.subarray(start + 4, start + size);
      assert.ok(
        data.every((byte) => byte === number % 256),
        `entry ${index} is not what was proposed as ${number}`,
      );
      this.numbers.push(number);
    }
  }

  async restore(): Promise<void> {}
}

/** A network on which a node can stand still: what it sends and what is sent to it comes later. */
class Freezing extends MemoryNetwork {
  private frozen = 0;
  private held: [number, number, Uint8Array][] = [];

  override post(from: number, to: number, bytes: Uint8Array): boolean {
    if (from !== this.frozen && to !== this.frozen) return super.post(from, to, bytes);
    this.held.push([from, to, bytes]);
    return true;
  }

  freeze(id: number): void {
    this.frozen = id;
  }

  thaw(): void {
    this.frozen = 0;
    for (const frame of this.held.splice(0)) super.post(...frame);
  }
}

/** Three nodes, of which one applies slowly; `checkers[i]` is nodes[i]'s. */
async function cluster(t: TestContext, more: Given = {}) {
  bytePoolTesting.poison = true;
  t.after(() => {
    bytePoolTesting.poison = false;
  });
  const network = new Freezing();
  const dir = tempDir(t);
  const checkers = [new Checker(false), new Checker(false), new Checker(true)];
  const open = (id: number): Promise<Running> =>
    openNode(t, dir, id, 3, {
      link: network.link(id),
      stateMachine: checkers[id - 1]!,
      logCacheBytes: 1 << 20,
      writer: "pool-wasm",
      ...more,
    });
  const nodes = [await open(1), await open(2), await open(3)];
  await leaderOf(nodes);
  return { network, nodes, checkers };
}

/** All have applied the same, and what was acknowledged is in it. */
async function agree(
  nodes: readonly Running[],
  checkers: readonly Checker[],
  acknowledged: readonly number[],
): Promise<void> {
  await until("all have applied the same", WAIT_MS, () => {
    const applied = nodes.map(({ node }) => node.status().applied);
    return nodes.every(
      ({ node }) => node.status().commit === applied[0] && node.status().applied === applied[0],
    );
  });
  const [first, second, third] = checkers;
  assert.deepEqual(second!.numbers, first!.numbers);
  assert.deepEqual(third!.numbers, first!.numbers);
  const applied = new Set(first!.numbers);
  assert.deepEqual(
    acknowledged.filter((each) => !applied.has(each)),
    [],
  );
}

test("bytes that are used again are nobody's any more, over forwarding, changes of leaders and a slow state machine", async (t) => {
  const seed = seedOf(t, import.meta.url);
  const prng = new Prng(seed);
  const { nodes, checkers } = await cluster(t);
  let loads = true;
  let number = 0;
  const acknowledged: number[] = [];
  const client = async (): Promise<void> => {
    while (loads) {
      const mine = Array.from({ length: prng.below(3) === 0 ? 1 + prng.below(20) : 1 }, () => ++number);
      const batch = mine.map((one) => payload(prng, one));
      const node = nodes[prng.below(3)]!.node;
      const aborts = prng.below(20) === 0 ? { timeoutMs: 1 + prng.below(3) } : {};
      try {
        if (mine.length === 1) await node.propose(batch[0]!, aborts);
        else await node.proposeMany(batch, aborts);
        acknowledged.push(...mine);
      } catch (error) {
        if (!(error instanceof RaftmarkError) || error.code === "RAFT_FENCED") throw error;
        await new Promise((done) => setImmediate(done));
      }
    }
  };
  const clients = Promise.all(Array.from({ length: 64 }, client));
  clients.catch(() => {
    loads = false;
  });
  const end = performance.now() + SECONDS * 1000;
  while (loads && performance.now() < end) {
    await new Promise((done) => setTimeout(done, 200));
    const { leader } = nodes[0]!.node.status();
    const to = 1 + prng.below(3);
    if (nodes[leader - 1]?.node.status().state === "StateLeader")
      nodes[leader - 1]!.node.transferLeadership(to);
  }
  loads = false;
  await clients;
  await agree(nodes, checkers, acknowledged);
  t.diagnostic(`${acknowledged.length} acknowledged`);
});

test("bytes that are used again are nobody's, when a leader stands still and refuses late what it was sent", async (t) => {
  const seed = seedOf(t, import.meta.url);
  const prng = new Prng(seed);
  const { network, nodes, checkers } = await cluster(t, { tickMs: 15, logCacheBytes: 1 << 17 });
  let number = 0;
  const acknowledged: number[] = [];
  const calls = new Set<Promise<void>>();
  // Nobody waits for an answer before the next call: what a new leader takes goes on while the old one stands still.
  const load = setInterval(() => {
    for (const { node } of nodes) {
      const mine = ++number;
      const call = node.propose(payload(prng, mine)).then(
        () => void acknowledged.push(mine),
        (error: RaftmarkError) => assert.notEqual(error.code, "RAFT_FENCED"),
      );
      calls.add(call);
      call.finally(() => calls.delete(call)).catch(() => {});
    }
  }, 2);
  t.after(() => clearInterval(load));
  const end = performance.now() + SECONDS * 1000;
  while (performance.now() < end) {
    await new Promise((done) => setTimeout(done, 100));
    network.freeze((await leaderOf(nodes)).node.status().id);
    await new Promise((done) => setTimeout(done, 300 + prng.below(200)));
    network.thaw();
    await leaderOf(nodes);
  }
  clearInterval(load);
  await Promise.all(calls);
  await agree(nodes, checkers, acknowledged);
  t.diagnostic(`${acknowledged.length} acknowledged`);
});
