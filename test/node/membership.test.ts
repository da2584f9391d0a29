// Who the members are: the options say it to an empty log, and afterwards the log does.
import assert from "node:assert/strict";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { RaftNode } from "../../src/index.js";
import { MemoryNetwork } from "../../src/link/index.js";
import { decodeMetadata, encodeMetadata } from "../../src/node/metadata.js";
import {
  ConfChangeAddLearnerNode,
  ConfChangeAddNode,
  ConfChangeRemoveNode,
  ConfChangeTransitionAuto,
  type ConfChangeType,
  Entry,
  EntryConfChangeV2,
  marshalConfChange,
} from "../../src/raft/index.js";
import { openWal } from "../../src/wal/index.js";
import { until } from "../process/support.js";
import { atEnd, tempDir } from "../temp-dir.js";
import { durable, meta } from "../wal/helpers.js";
import { openNode, rejection, WAIT_MS } from "./nodes.js";

const LOG_ID = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

/** A log of node 1, begun with `voters` (null: by a version that did not say), with these changes in it. */
async function begun(
  t: TestContext,
  voters: number[] | null,
  changes: readonly [ConfChangeType, number][],
  commit: number,
  snapshotOf: number[] | null = null,
): Promise<string> {
  const dir = tempDir(t);
  const metadata = voters === null ? encodeMetadata(1, 1) : encodeMetadata(1, 1, { voters, logId: LOG_ID });
  const wal = await openWal({
    dir: path.join(dir, "1", "wal"),
    metadata,
    writer: "inline-wasm",
    durability: "none",
  });
  atEnd(t, () => wal.close());
  const first = snapshotOf === null ? 1 : 11;
  if (snapshotOf !== null) await wal.saveSnapshot(meta(10, 1, snapshotOf), Buffer.from("state"));
  const entries = changes.map(([type, nodeId], i) => {
    const data = marshalConfChange({
      transition: ConfChangeTransitionAuto,
      changes: [{ type, nodeId }],
      context: new Uint8Array(0),
    });
    return new Entry(EntryConfChangeV2, 1, first + i, data);
  });
  await durable(wal, wal.append({ term: 1, vote: 0, commit }, entries));
  await wal.close();
  return dir;
}

const peersOf = (ids: readonly number[]): Record<number, string> =>
  Object.fromEntries(ids.map((id) => [id, `127.0.0.1:${7000 + id}`]));

/** Nobody leads who says what is committed, which is soon clear. */
const ALONE = { leaderlessTimeoutMs: 1 };

async function nobodyKnows(node: RaftNode): Promise<void> {
  const { code } = await rejection(node.readBarrier());
  assert.match(code, /^RAFT_(NO_LEADER|REMOVED)$/);
}

/** What node 1, opened with these ids in its options, says of the difference; null: there is none. */
async function told(t: TestContext, dir: string, ids: readonly number[]): Promise<string | null> {
  const link = new MemoryNetwork().link(1);
  const { node, lines } = await openNode(t, dir, 1, 3, { link, peers: peersOf(ids), ...ALONE });
  await nobodyKnows(node);
  await node.close();
  return lines.matching(/^warn option peers names/)[0] ?? null;
}

test("the peers of the options count for an empty log only: a difference is told, and not followed", async (t) => {
  const dir = tempDir(t);
  assert.equal(await told(t, dir, [1, 2, 3]), null);
  assert.match(
    (await told(t, dir, [1]))!,
    /names node 1 alone, and by the log .* are nodes 1, 2, 3: the log/,
  );
  assert.match((await told(t, dir, [1, 2, 3, 4]))!, /names nodes 1, 2, 3, 4,/);
  const link = new MemoryNetwork().link(1);
  const peers = { 1: "127.0.0.1:7001", 2: "10.0.0.2:1", 4: "10.0.0.4:1" };
  const { node, lines } = await openNode(t, dir, 1, 3, { link, peers, ...ALONE });
  await nobodyKnows(node);
  assert.match(lines.matching(/^warn option peers names/)[0]!, /names nodes 1, 2, 4,/);
  assert.match(
    lines.matching(/^warn option peers\.2/)[0]!,
    /is 10\.0\.0\.2:1, and by the log in .* node 2 is at 127\.0\.0\.1:7002\. The log counts: changeMembership\(\{ update/,
  );
  assert.deepEqual(
    node.status().members.map(({ id, address, role }) => `${id} ${address} ${role}`),
    ["1 127.0.0.1:7001 voter", "2 127.0.0.1:7002 voter", "3 127.0.0.1:7003 voter"],
  );
});

test("a node that listens where the others do not dial is told so", async (t) => {
  const dir = tempDir(t);
  assert.equal(await told(t, dir, [1, 2, 3]), null);
  const link = new MemoryNetwork().link(1);
  const peers = { ...peersOf([1, 2, 3]), 1: "127.0.0.1:8001" };
  const { node, lines } = await openNode(t, dir, 1, 3, { link, peers, listen: "127.0.0.1:8001", ...ALONE });
  await nobodyKnows(node);
  assert.match(
    lines.matching(/^warn option peers\.1/)[0]!,
    /The others dial this node at 127\.0\.0\.1:7001, and it listens at 127\.0\.0\.1:8001: changeMembership/,
  );
});

test("a node that nobody dials is told so soon, however long it waits for a leader", async (t) => {
  const dir = tempDir(t);
  assert.equal(await told(t, dir, [1, 2, 3]), null);
  const link = new MemoryNetwork().link(1);
  const peers = { ...peersOf([1, 2, 3]), 1: "127.0.0.1:8001" };
  const listens = { listen: "127.0.0.1:8001", peers, leaderlessTimeoutMs: 10 * WAIT_MS };
  const { lines } = await openNode(t, dir, 1, 3, { link, ...listens });
  await until("it is told", WAIT_MS, () => lines.matching(/^warn option peers\.1/).length === 1);
});

test("committed changes count, whatever the options said at first", async (t) => {
  const changes: [ConfChangeType, number][] = [
    [ConfChangeAddNode, 4],
    [ConfChangeRemoveNode, 2],
    [ConfChangeAddLearnerNode, 5],
  ];
  const dir = await begun(t, [1, 2, 3], changes, 3);
  assert.match((await told(t, dir, [1, 2, 3]))!, /are nodes 1, 3, 4, 5:/);
  assert.equal(await told(t, dir, [1, 3, 4, 5]), null);
});

test("while nobody says whether a change in the log is committed nothing is said", async (t) => {
  const changes: [ConfChangeType, number][] = [
    [ConfChangeAddNode, 4],
    [ConfChangeAddNode, 5],
  ];
  const dir = await begun(t, [1, 2, 3], changes, 1);
  for (const ids of [[1, 2, 3], [1, 2, 3, 4, 5], [1]]) assert.equal(await told(t, dir, ids), null);
});

test("a snapshot's membership counts before what the log was begun with", async (t) => {
  const dir = await begun(t, [1, 2, 3], [[ConfChangeAddNode, 6]], 11, [1, 4, 5]);
  assert.match((await told(t, dir, [1, 2, 3]))!, /are nodes 1, 4, 5, 6:/);
  assert.equal(await told(t, dir, [1, 4, 5, 6]), null);
});

test("to a log that does not say who its members are the options do, and a line says so", async (t) => {
  const dir = await begun(t, null, [], 0);
  const link = new MemoryNetwork().link(1);
  const { node, lines } = await openNode(t, dir, 1, 3, { link });
  assert.equal(lines.matching(/^info the log in .* does not say who its members are/).length, 1);
  assert.deepEqual(node.status().lostLogs, []);
});

test("a node that is no member any more knows so from its log, whatever its options say", async (t) => {
  const dir = await begun(t, [1, 2, 3], [[ConfChangeRemoveNode, 1]], 1);
  const link = new MemoryNetwork().link(1);
  const { node, lines } = await openNode(t, dir, 1, 3, { link, peers: peersOf([1, 2, 3]) });
  await until("it knows", WAIT_MS, () => node.status().state === "StateRemoved");
  assert.equal((await rejection(node.readBarrier())).code, "RAFT_REMOVED");
  assert.match(
    lines.matching(/^warn .*was removed/)[0]!,
    /by the change at index 1.* A member in its place has a new id and an empty directory/,
  );
});

test("the metadata of a log: etcd's two ids, and behind them what etcd skips", () => {
  assert.deepEqual([...encodeMetadata(1, 2)], [8, 1, 16, 2]);
  const voters = [1, 300, 2 ** 53 - 1];
  const whole = encodeMetadata(2 ** 53 - 1, 7, { voters, logId: LOG_ID });
  assert.deepEqual([...whole.subarray(0, 10)], [...encodeMetadata(2 ** 53 - 1, 7).subarray(0, 10)]);
  assert.deepEqual(decodeMetadata(whole), {
    nodeId: BigInt(2 ** 53 - 1),
    clusterId: 7n,
    bootstrap: { voters, logId: LOG_ID },
  });
  const addresses = new Map([
    [1, "[::1]:1"],
    [300, "host:2"],
  ]);
  const addressed = encodeMetadata(1, 7, { voters: [], logId: LOG_ID, addresses });
  assert.deepEqual(decodeMetadata(addressed).bootstrap, { voters: [], logId: LOG_ID, addresses });
  // etcd's ids have all 64 bits.
  const etcd = Uint8Array.of(8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 16, 5);
  assert.deepEqual(decodeMetadata(etcd), { nodeId: 2n ** 64n - 1n, clusterId: 5n, bootstrap: null });
  // Fields of a later version are skipped, wherever they stand; what is cut short says nothing, and nobody fails.
  const later = Uint8Array.of(0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 0x2a, 1, 9, ...whole);
  assert.deepEqual(decodeMetadata(later), decodeMetadata(whole));
  for (let length = 0; length < whole.length; length++) {
    assert.equal(decodeMetadata(whole.subarray(0, length)).bootstrap, null, `cut to ${length}`);
  }
});

test("a directory of another node or cluster is refused before its members are looked at", async (t) => {
  const dir = await begun(t, [1, 2, 3], [], 0);
  const link = new MemoryNetwork().link(1);
  const base = { id: 1, dir: path.join(dir, "1"), listen: "127.0.0.1:7001", secret: "k", link };
  const stateMachine = { apply: () => undefined };
  const open = RaftNode.open({ ...base, clusterId: 2, peers: peersOf([1]), stateMachine });
  await assert.rejects(open, {
    code: "RAFT_BAD_OPTION",
    message: /^option dir: .* belongs to node 1 of cluster 1.* or, if this one is meant, the id/,
  });
});
