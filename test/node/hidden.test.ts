// What nodes and sessions show of themselves to loggers and consoles.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { MemoryNetwork } from "../../src/link/memory-link.js";
import { sole } from "./nodes.js";

test("a node and a session show how they stand, and never the secret", async (t) => {
  const { node } = await sole(t, { secret: "nobody may see this", link: new MemoryNetwork().link(1) });
  const session = await node.openSession();
  for (const one of [node, session]) {
    const shown = [JSON.stringify(one), inspect(one), inspect({ in: { one } }, { depth: null })];
    for (const text of shown) assert.doesNotMatch(text, /nobody may see/);
  }
  assert.equal((JSON.parse(JSON.stringify(node)) as { state: string }).state, "StateLeader");
  assert.match(inspect(node), /^RaftNode \{.*state: 'StateLeader'/s);
  assert.equal(inspect(session), `ClientSession { id: ${session.id} }`);
});
