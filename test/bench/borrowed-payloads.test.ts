// Payloads are given in memory that the next one is written over: nobody of the bench may hand on what is borrowed.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Engine } from "../../bench/harness/engine.js";
import { ENGINE_TREE, engineFrom } from "../../bench/harness/engine-from.js";
import { FailoverEngine } from "../../bench/harness/failover-client.js";
import { NullEngine } from "../../bench/harness/null-engine.js";
import { RemoteServer } from "../../bench/harness/remote.js";
import { RaftmarkError } from "../../src/index.js";
import { tempDir } from "../temp-dir.js";

const SIZES = [16, 300, 16];

/** Proposes in the same memory again and again; what each proposal was then. */
async function proposeAll(engine: Engine): Promise<Uint8Array[]> {
  const memory = new Uint8Array(Math.max(...SIZES));
  const proposals: Promise<unknown>[] = [];
  const expected = SIZES.map((size, i) => {
    memory.fill(i + 1);
    proposals.push(engine.propose(memory.subarray(0, size)));
    return new Uint8Array(size).fill(i + 1);
  });
  memory.fill(0);
  await Promise.all(proposals);
  return expected;
}

async function serve(propose: (bytes: Uint8Array) => void): Promise<{ server: RemoteServer; url: string }> {
  const engine = new NullEngine();
  const answer = engine.propose.bind(engine);
  engine.propose = async (bytes) => {
    propose(bytes);
    return answer(bytes);
  };
  const server = await RemoteServer.listen(engine, "token");
  return { server, url: `ws://127.0.0.1:${server.port}/token` };
}

test("proposals of a client that go out together, and again to another node, are what they were when each was made", async () => {
  const seen: Uint8Array[] = [];
  const follower = await serve(() => {
    throw new RaftmarkError("RAFT_NOT_LEADER", "node 1 does not lead");
  });
  const leader = await serve((bytes) => seen.push(Uint8Array.from(bytes)));
  const client = await FailoverEngine.connect([follower.url, leader.url]);
  try {
    assert.deepEqual(await proposeAll(client), seen);
  } finally {
    await client.close();
    follower.server.close();
    leader.server.close();
  }
});

/** A built tree of another revision, and its one node. */
async function ofOldTree(t: TestContext): Promise<{ engine: Engine; tree: string }> {
  const tree = tempDir(t);
  mkdirSync(join(tree, "dist/src/node"), { recursive: true });
  writeFileSync(join(tree, "package.json"), '{ "type": "module" }');
  writeFileSync(
    join(tree, "dist/src/index.js"),
    `export const kept = [];
      const metrics = { messagesSent: 7, walSyncs: 0, walBytes: NaN };
      class Old { get metrics() { return metrics; } async propose(bytes) { kept.push(bytes); } }
      export const RaftNode = { open: async () => new Old() };
      export { kept as seen };`,
  );
  writeFileSync(
    join(tree, "dist/src/node/options.js"),
    "export const resolveOptions = (options) => options;",
  );
  writeFileSync(join(tree, "dist/src/node/trace.js"), "export class Trace {}");
  const source = await engineFrom({ [ENGINE_TREE]: tree });
  const stateMachine = { apply: () => undefined, restore: async () => {} };
  const peers = { 1: "127.0.0.1:1" };
  const options = { id: 1, dir: tree, listen: "127.0.0.1:1", peers, secret: "secret", stateMachine };
  return { engine: await source.open(options), tree };
}

test("a revision that keeps what it is given gets bytes of its own", async (t) => {
  const { engine, tree } = await ofOldTree(t);
  const expected = await proposeAll(engine);
  const { seen } = (await import(join(tree, "dist/src/index.js"))) as { seen: Uint8Array[] };
  assert.deepEqual(
    seen.map((bytes) => Uint8Array.from(bytes)),
    expected,
  );
});

test("what a revision does not count reads 0 and is named, where what it counts may be 0 itself", async (t) => {
  const { metrics } = (await ofOldTree(t)).engine;
  assert.equal(metrics.messagesSent, 7);
  assert.equal(metrics.walBytes, 0);
  for (const name of ["walBytes", "bytesSent"]) assert.ok(metrics.missing?.includes(name), name);
  for (const name of ["messagesSent", "walSyncs"]) assert.ok(!metrics.missing?.includes(name), name);
});
