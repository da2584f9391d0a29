// A commit index rides with the next append, and leaves by itself when there is none.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Message, MsgApp } from "../../src/raft/index.js";
import { tempDir } from "../temp-dir.js";
import { Hands } from "./hands.js";
import { allApplied, leaderOf, openNode, type Running } from "./nodes.js";

async function group(t: TestContext): Promise<{ all: Running[]; hands: Hands }> {
  const dir = tempDir(t);
  const hands = new Hands();
  // No tick: what a heartbeat would tell does not count.
  const options = { tickMs: 60_000, electionTicks: 10, writer: "inline-js" } as const;
  const ids = [1, 2, 3];
  const all = await Promise.all(
    ids.map((id) => openNode(t, dir, id, 3, { ...options, link: hands.link(id) })),
  );
  all[0].node.campaign();
  await leaderOf(all);
  return { all, hands };
}

/** Counts what only says a commit index. */
function counting(hands: Hands): { alone: number; appends: number } {
  const counted = { alone: 0, appends: 0 };
  hands.rule = (_from, _to, { type, entries }: Message) => {
    if (type === MsgApp && entries.length === 0) counted.alone++;
    if (type === MsgApp && entries.length > 0) counted.appends++;
    return "pass";
  };
  return counted;
}

test("of callers that propose one after the other, no message only says a commit index", async (t) => {
  const { all, hands } = await group(t);
  await all[0].node.propose(Buffer.from("first"));
  await allApplied(all, "first");
  const counted = counting(hands);
  for (let i = 0; i < 100; i++) await all[0].node.propose(Buffer.from(`${i}`));
  await allApplied(all, "99");
  assert.equal(counted.appends, 200);
  // The last one's, to either follower.
  assert.equal(counted.alone, 2);
});

test("without another proposal the commit index leaves by itself, in order and once", async (t) => {
  const { all, hands } = await group(t);
  const counted = counting(hands);
  for (let i = 0; i < 10; i++) {
    await all[0].node.propose(Buffer.from(`${i}`));
    await allApplied(all, `${i}`);
  }
  assert.deepEqual(counted, { alone: 20, appends: 20 });
});
