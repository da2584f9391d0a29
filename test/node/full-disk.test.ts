// A node whose disk is full: it fences itself and says so wherever one looks; with room again, a restart has all that was
// acknowledged.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import type { RaftmarkError } from "../../src/base/errors.js";
import { RaftNode } from "../../src/index.js";
import { until } from "../process/support.js";
import { atEnd, mountSmall, tempDir } from "../temp-dir.js";

const WAIT_MS = 30_000;

async function openNode(
  t: TestContext,
  dir: string,
  lines: string[],
): Promise<{ node: RaftNode; applied: string[] }> {
  const applied: string[] = [];
  const line = (fields: object, message: string): void => {
    lines.push(`${(fields as { code?: string }).code} ${message}`);
  };
  const node = await RaftNode.open({
    id: 1,
    dir,
    listen: "127.0.0.1:0",
    peers: { 1: "127.0.0.1:0" },
    secret: "of the test",
    stateMachine: {
      apply(entries) {
        for (const { data } of entries) applied.push(Buffer.from(data.subarray(0, 8)).toString());
        return undefined;
      },
    },
    segmentBytes: 128 << 10,
    tickMs: 10,
    logger: { debug() {}, info() {}, warn: line, error: line },
  });
  atEnd(t, () => node.close());
  node.campaign();
  await until("to lead", WAIT_MS, () => node.status().state === "StateLeader");
  return { node, applied };
}

test("a node on a full disk fences itself and says so; restarted with room it has all it acknowledged", async (t) => {
  const small = path.join(tempDir(t), "small");
  if (!mountSmall(t, small, 1)) return;
  fs.writeFileSync(path.join(small, "ballast"), new Uint8Array(300 << 10));
  const lines: string[] = [];
  const dir = path.join(small, "node");
  const { node } = await openNode(t, dir, lines);
  let fault: RaftmarkError | null = null;
  node.onFault = (error) => {
    fault = error;
  };
  const acknowledged: string[] = [];
  const payload = Buffer.alloc(2000);
  let refusal: RaftmarkError | null = null;
  for (let i = 0; refusal === null; i++) {
    const name = String(i).padStart(8, "0");
    payload.write(name);
    await node.propose(Buffer.from(payload)).then(
      () => acknowledged.push(name),
      (error: RaftmarkError) => {
        refusal = error;
      },
    );
  }
  assert.equal((refusal as RaftmarkError).code, "RAFT_FENCED");
  assert.equal((refusal as RaftmarkError).mayCommit, true);
  assert.equal((fault as RaftmarkError | null)?.code, "WAL_NO_SPACE");
  assert.match(node.status().fault ?? "", /no space left for the log in .*free space or enlarge the volume/);
  assert.ok(node.status().disk.warnings > 0);
  assert.ok(lines.some((line) => /^WAL_NO_SPACE preparing space ahead .* the log goes on/.test(line)));
  assert.ok(lines.some((line) => /^WAL_NO_SPACE no space left for the log/.test(line)));
  await assert.rejects(node.propose(Buffer.from("more")), { code: "RAFT_FENCED" });
  assert.ok(acknowledged.length > 100);
  await node.close();
  fs.rmSync(path.join(small, "ballast"));
  const again = await openNode(t, dir, []);
  assert.equal(again.node.status().fault, null);
  await again.node.propose(Buffer.from("restored"));
  // The last one refused may be there too: it was in the log, and nobody was told.
  assert.deepEqual(again.applied.slice(0, acknowledged.length), acknowledged);
  await again.node.close();
});
