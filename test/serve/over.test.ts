// A node that has nothing left to do: whoever opened the service hears of it, whenever that came.
import assert from "node:assert/strict";
import { after, mock, test } from "node:test";
import { RaftNode } from "../../src/index.js";
import { scratchDir } from "../process/support.js";
import { aloneConfig, openAlone } from "./alone.js";

const scratch = scratchDir("over");
after(() => scratch.remove());

test("a member that is told while the service still opens that it was removed is over all the same", {
  timeout: 60_000,
}, async () => {
  const open = RaftNode.open.bind(RaftNode);
  const opening = mock.method(RaftNode, "open", async (options: Parameters<typeof open>[0]) => {
    const node = await open(options);
    // Private, and what the first frame of a member may call.
    node["removed"]("node 2 says so", false);
    return node;
  });
  const service = await openAlone(scratch.path, aloneConfig());
  opening.mock.restore();
  const { why, error } = await service.over;
  assert.equal(why, "removed");
  assert.match(error.message, /was removed from the cluster \(node 2 says so\)/);
  await service.close({ timeoutMs: 0 });
});
