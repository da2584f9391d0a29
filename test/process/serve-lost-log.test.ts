// A member whose directory was emptied under its id: it serves, takes no part, and its probes say why.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ServeCluster } from "./serve-cluster.js";
import { Command, PATIENCE_MS, scratchDir, until } from "./support.js";

const scratch = scratchDir("serve-lost-log");
const dir = join(scratch.path, "cluster");
const cluster = new ServeCluster(dir, 3);
before(() => cluster.start());
after(() => {
  Command.killAll();
  scratch.remove();
});

test("a lost log: not ready, with the cause; alive, as no restart would help; the others go on", async () => {
  assert.equal((await cluster.ask(1, "PUT", "/kv/a", "b")).status, 200);
  await cluster.agreed();
  const lost = ((await cluster.leader()) % 3) + 1;
  cluster.node(lost).child.kill("SIGTERM");
  await cluster.node(lost).end(PATIENCE_MS);
  rmSync(join(dir, `data-${lost}`), { recursive: true });
  await cluster.startNode(lost);
  let said = "";
  await until("the cause to be told", PATIENCE_MS, async () => {
    const { status, text, json } = await cluster.ask(lost, "GET", "/readyz");
    said = text;
    return status === 503 && json.error.code === "RAFT_LOG_LOST";
  }).catch((error) => assert.fail(`${error.message}: ${said}`));
  assert.match(said, /log/);
  assert.equal((await cluster.ask(lost, "GET", "/livez")).status, 200);
  assert.equal((await cluster.ask((lost % 3) + 1, "PUT", "/kv/a", "c")).status, 200);
});
