// A node whose log begins behind a snapshot: its state machine gets the state first, then the entries that follow.
import assert from "node:assert/strict";
import path from "node:path";
import { type TestContext, test } from "node:test";
import type { RaftmarkError } from "../../src/base/errors.js";
import {
  type Entry,
  RaftNode,
  type RaftNodeOptions,
  type SnapshotStream,
  type StateMachine,
} from "../../src/index.js";
import { encodeMetadata } from "../../src/node/metadata.js";
import { openWal } from "../../src/wal/index.js";
import { until } from "../process/support.js";
import { atEnd, tempDir } from "../temp-dir.js";
import { meta } from "../wal/helpers.js";

const WAIT_MS = 30_000;
/** The last index that fits 31 bits is the snapshot's. */
const INDEX = 2 ** 31 - 1;
const STATE = Buffer.from("the state so far");

/** A data directory whose log has a snapshot at INDEX and nothing else. */
async function begun(t: TestContext): Promise<string> {
  const dir = tempDir(t);
  const metadata = encodeMetadata(1, 1);
  const wal = await openWal({
    dir: path.join(dir, "wal"),
    metadata,
    writer: "inline-wasm",
    durability: "none",
  });
  await wal.saveSnapshot(meta(INDEX, 3), STATE);
  await wal.close();
  return dir;
}

function optionsOf(dir: string, stateMachine: StateMachine): RaftNodeOptions {
  const address = "127.0.0.1:0";
  return {
    id: 1,
    dir,
    listen: address,
    peers: { 1: address },
    secret: "of the test",
    stateMachine,
    tickMs: 10,
  };
}

class Recorder implements StateMachine {
  readonly seen: string[] = [];

  async restore(stream: SnapshotStream): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of stream) chunks.push(Buffer.from(chunk));
    this.seen.push(`${Buffer.concat(chunks)} at ${stream.metadata.index}`);
  }

  apply(entries: readonly Entry[]): undefined {
    for (const { index, data } of entries) this.seen.push(`${Buffer.from(data)} at ${index}`);
  }
}

test("state first, then the entries behind it; the same again after a restart", async (t) => {
  const dir = await begun(t);
  const recorder = new Recorder();
  const node = await RaftNode.open(optionsOf(dir, recorder));
  atEnd(t, () => node.close());
  assert.equal(node.status().applied, INDEX);
  node.campaign();
  await until("to lead", WAIT_MS, () => node.status().state === "StateLeader");
  // One entry of the new leader stands before it.
  const { index } = await node.propose(Buffer.from("one"));
  assert.equal(index, INDEX + 2);
  await node.propose(Buffer.from("two"));
  await node.readBarrier();
  const expected = [`${STATE} at ${INDEX}`, `one at ${INDEX + 2}`, `two at ${INDEX + 3}`];
  assert.deepEqual(recorder.seen, expected);
  await node.close();
  const second = new Recorder();
  const again = await RaftNode.open(optionsOf(dir, second));
  atEnd(t, () => again.close());
  again.campaign();
  await until("all is applied", WAIT_MS, () => second.seen.length === expected.length);
  assert.deepEqual(second.seen, expected);
});

test("a state machine that cannot take a snapshot is refused, and nothing is left open", async (t) => {
  const dir = await begun(t);
  const apply = () => undefined;
  await assert.rejects(RaftNode.open(optionsOf(dir, { apply })), {
    code: "RAFT_BAD_OPTION",
    message: /snapshot at index 2147483647.*restore/s,
  });
  const restore = () => Promise.reject(new Error("not mine"));
  await assert.rejects(RaftNode.open(optionsOf(dir, { apply, restore })), /not mine/);
  const node = await RaftNode.open(optionsOf(dir, new Recorder()));
  await node.close();
});

test("an opening is aborted at each of its steps, a restore that hangs included, and the directory is free again", async (t) => {
  const dir = await begun(t);
  const abort = new AbortController();
  let given = (): void => {};
  const asked = new Promise<void>((resolve) => {
    given = resolve;
  });
  const hangs = { apply: () => undefined, restore: () => new Promise<void>(given) };
  const opening = RaftNode.open({ ...optionsOf(dir, hangs), signal: abort.signal });
  await asked;
  abort.abort(new Error("enough"));
  await assert.rejects(opening, { code: "RAFT_ABORTED", cause: abort.signal.reason });
  let asks = 0;
  for (let last = 1, isOpen = false; !isOpen; last++) {
    let left = last;
    const listeners = { addEventListener: () => {}, removeEventListener: () => {} };
    const signal = Object.defineProperty({ ...listeners }, "aborted", {
      get: () => left-- <= 0,
    }) as unknown as AbortSignal;
    try {
      await (await RaftNode.open({ ...optionsOf(dir, new Recorder()), signal })).close();
      isOpen = true;
    } catch (error) {
      assert.equal((error as RaftmarkError).code, "RAFT_ABORTED");
      asks++;
    }
  }
  assert.ok(asks >= 6, `it was asked ${asks} times`);
  const fails = (): never => assert.fail("mine");
  const deaf = {
    aborted: false,
    addEventListener: fails,
    removeEventListener: fails,
  } as unknown as AbortSignal;
  const refused = RaftNode.open({ ...optionsOf(dir, new Recorder()), signal: deaf });
  await assert.rejects(refused, { code: "RAFT_BAD_OPTION", message: /option signal/ });
});
