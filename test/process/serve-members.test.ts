// Members of a running service are changed over HTTP: one joins, learns, votes; one is removed, and ends by itself.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ServeCluster } from "./serve-cluster.js";
import { Command, PATIENCE_MS, scratchDir, until } from "./support.js";

const scratch = scratchDir("serve-members");
const cluster = new ServeCluster(join(scratch.path, "cluster"), 3, {
  snapshotEveryEntries: 20,
  snapshotCatchUpBytes: 0,
});
before(() => cluster.start());
after(() => {
  Command.killAll();
  scratch.remove();
});

const JSON_TYPE = { "content-type": "application/json" };

/** On whichever node leads, as it says itself. */
async function change(method: string, path: string, body?: unknown): Promise<void> {
  let said = "";
  await until(`${method} ${path}`, PATIENCE_MS, async () => {
    const leader = await cluster.leaderAt(cluster.ids[0]);
    if (leader === 0) return false;
    const response = await fetch(cluster.urlOf(leader) + path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: JSON_TYPE }),
    });
    said = await response.text();
    return response.status === 200;
  }).catch((error) => {
    throw new Error(`${error.message}: ${said}`);
  });
}

test("a member is replaced: a new one joins by a snapshot, learns, votes; the old one is removed and ends with 0", async () => {
  for (let i = 0; i < 60; i++) {
    const put = () => cluster.tried((i % 3) + 1, "PUT", `/kv/k${i}`, `${i}`);
    await until(`key ${i}`, PATIENCE_MS, async () => (await put())?.status === 200);
  }
  const follower = ((await cluster.leader()) % 3) + 1;
  const refused = await fetch(`${cluster.urlOf(follower)}/members`, {
    method: "POST",
    headers: JSON_TYPE,
    body: JSON.stringify({ remove: [follower] }),
  });
  const { error } = (await refused.json()) as {
    error: { code: string; mayCommit: boolean; leader: { http: string } };
  };
  assert.deepEqual([refused.status, error.code, error.mayCommit], [503, "RAFT_NOT_LEADER", false]);
  assert.equal(`http://${error.leader.http}`, cluster.urlOf(await cluster.leader()));

  const fourth = await cluster.startNew(4);
  await change("POST", "/members", { add: [{ ...fourth, learner: true }] });
  await cluster.ready(4);
  await until(
    "it to have everything",
    PATIENCE_MS,
    async () => (await cluster.tried(4, "GET", "/kv/k59?stale=1"))?.text === "59",
  );
  // Promoted when it has caught up; until then that is refused, and asked again.
  await change("POST", "/members", { promote: [4], remove: [follower] });
  const gone = cluster.node(follower);
  assert.equal(await gone.end(PATIENCE_MS), 0, gone.stderr);
  assert.match(gone.stderr, /was removed from the cluster/);
  cluster.ids = cluster.ids.filter((id) => id !== follower).concat(4);
  const { members } = (await cluster.ask(4, "GET", "/members")).json;
  assert.deepEqual(
    members.map(({ id, role, http }: { id: number; role: string; http: string }) => [
      id,
      role,
      `http://${http}`,
    ]),
    [...cluster.ids].sort().map((id) => [id, "voter", cluster.urlOf(id)]),
  );
  assert.equal((await cluster.ask(4, "PUT", "/kv/by-4", "yes")).status, 200);
  await cluster.agreed();
  // Every node knows where the new one serves, through restarts and snapshots.
  await cluster.stop();
  await Promise.all(cluster.ids.map((id) => cluster.startNode(id)));
  for (const id of cluster.ids) await cluster.ready(id);
  const view = (await cluster.ask(cluster.ids[0], "GET", "/cluster")).json;
  assert.ok(
    view.members.every(({ status }: { status: unknown }) => status !== null),
    JSON.stringify(view),
  );
  assert.equal((await cluster.ask(cluster.ids[0], "GET", "/kv/by-4")).text, "yes");
});
