// Members whose directories were emptied: refused by who knew their logs, and both sides say so.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { MemoryNetwork } from "../../src/link/index.js";
import { until } from "../process/support.js";
import { tempDir } from "../wal/helpers.js";
import { allApplied, leaderOf, openNode, type Running, WAIT_MS } from "./nodes.js";

/** Three members with an entry each; then those of `wiped` start anew in an empty directory. */
async function wiping(t: TestContext, wiped: readonly number[]): Promise<Map<number, Running>> {
  const network = new MemoryNetwork();
  const dir = tempDir(t);
  const all = new Map<number, Running>();
  const open = async (id: number) => all.set(id, await openNode(t, dir, id, 3, { link: network.link(id) }));
  for (const id of [1, 2, 3]) await open(id);
  await (await leaderOf([...all.values()])).node.propose(Buffer.from("kept"));
  await allApplied([...all.values()], "kept");
  for (const id of wiped) await all.get(id)!.node.close();
  for (const id of wiped) fs.rmSync(path.join(dir, String(id)), { recursive: true });
  for (const id of wiped) await open(id);
  return all;
}

test("an emptied member is refused by both others, says so itself, and takes part in nothing", async (t) => {
  const all = await wiping(t, [3]);
  const { node, lines, machine } = all.get(3)!;
  await until("it is told", WAIT_MS, () => node.status().lostLogs.some((lost) => lost.node === 3));
  assert.ok(lines.matching(/^error RAFT_LOG_LOST: node \d refuses this node/).length > 0);
  const rest = [all.get(1)!, all.get(2)!];
  for (const other of rest) {
    await until("it says so", WAIT_MS, () => other.node.status().lostLogs.some((lost) => lost.node === 3));
    assert.ok(other.lines.matching(/^error RAFT_LOG_LOST: other log: node 3 had log/).length > 0);
  }
  await (await leaderOf(rest)).node.propose(Buffer.from("after"));
  await allApplied(rest, "after");
  assert.deepEqual([node.status().term, node.status().fault, machine.log], [0, null, []]);
});

test("two emptied members of three make no group of their own: nothing is lost without a word", async (t) => {
  const all = await wiping(t, [2, 3]);
  for (const id of [2, 3]) {
    const { node } = all.get(id)!;
    await until("it is told", WAIT_MS, () => node.status().lostLogs.some((lost) => lost.node === id));
    node.campaign();
  }
  // Several election timeouts.
  await new Promise((resolve) => setTimeout(resolve, 3000));
  for (const id of [2, 3]) {
    assert.equal(all.get(id)!.node.status().commit, 0);
    assert.equal(all.get(id)!.node.status().leader, 0);
  }
  assert.deepEqual(all.get(1)!.machine.log, ["kept"]);
});
