// Three `raftmark serve` processes: every operation through every one of them, the leader killed, restarts, and how they end.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { type Answer, ServeCluster } from "./serve-cluster.js";
import { Command, PATIENCE_MS, scratchDir, until } from "./support.js";

const scratch = scratchDir("serve");
const cluster = new ServeCluster(join(scratch.path, "cluster"), 3, {
  snapshotEveryEntries: 50,
  snapshotCatchUpBytes: 0,
  segmentBytes: 40_000,
});
before(() => cluster.start());
after(() => {
  Command.killAll();
  scratch.remove();
});

/** Writes through `id`, and where that is away or cannot, through the next; until there is an answer. */
async function write(id: number, method: "PUT" | "DELETE", path: string, body?: string): Promise<Answer> {
  let at = id;
  let answer: Answer | null = null;
  await until(`${method} ${path} to be answered`, PATIENCE_MS, async () => {
    answer = await cluster.tried(at, method, path, body);
    if (answer !== null && answer.status < 500) return true;
    assert.equal(typeof (answer?.json.error.mayCommit ?? true), "boolean", answer?.text);
    at = (at % 3) + 1;
    return false;
  });
  return answer!;
}

test("every operation through every node, read through every other", async () => {
  for (const id of cluster.ids) {
    const put = await cluster.ask(id, "PUT", `/kv/by-${id}`, `value ${id}`);
    assert.equal(put.status, 200, put.text);
    for (const other of cluster.ids) {
      const got = await cluster.ask(other, "GET", `/kv/by-${id}`);
      assert.deepEqual([got.status, got.text], [200, `value ${id}`]);
      assert.equal(got.headers.get("etag"), put.headers.get("etag"));
    }
    const failed = await cluster.ask(id, "PUT", `/kv/by-${id}?cas=0`, "x");
    assert.equal(failed.status, 412, failed.text);
    const swapped = await cluster.ask(id, "PUT", `/kv/by-${id}?cas=${put.json.revision}`, `value ${id}'`);
    assert.equal(swapped.status, 200, swapped.text);
    const removed = await cluster.ask(id, "DELETE", `/kv/by-${id}?cas=${swapped.json.revision}`);
    assert.deepEqual(removed.json, { key: `by-${id}`, deleted: true });
    for (const other of cluster.ids)
      assert.equal((await cluster.ask(other, "GET", `/kv/by-${id}`)).status, 404);
  }
});

test("a watch on every node tells the same", async () => {
  const from = (await write(1, "PUT", "/kv/watched", "0")).json.revision;
  const told = cluster.ids.map((id) => ({ id, text: "" }));
  const stopped = new AbortController();
  for (const one of told) {
    const response = await fetch(`${cluster.urlOf(one.id)}/watch?from=${from}&key=watched`, {
      signal: stopped.signal,
    });
    const read = async () => {
      for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) one.text += piece;
    };
    read().catch(() => {});
  }
  for (const id of cluster.ids) await write(id, "PUT", "/kv/watched", String(id));
  await write(2, "DELETE", "/kv/watched");
  await until("five lines from each", PATIENCE_MS, () =>
    told.every(({ text }) => text.split("\n").length === 6),
  );
  stopped.abort();
  const [first, ...others] = told.map(({ text }) => text);
  for (const other of others) assert.equal(other, first);
  assert.deepEqual(
    first
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).type),
    ["put", "put", "put", "put", "delete"],
  );
});

interface View {
  readonly id: number;
  /** Null: it did not answer in time. */
  readonly status: { readonly state: string } | null;
}

test("one node sees all of them at /cluster, and says so when one is away", async () => {
  let said: unknown;
  await until("one that leads, and two that follow", PATIENCE_MS, async () => {
    const leader = await cluster.leader();
    const view = (await cluster.ask((leader % 3) + 1, "GET", "/cluster")).json;
    said = view.members.map(({ id, status }: View) => [id, status?.state]);
    return isDeepStrictEqual(
      said,
      cluster.ids.map((id) => [id, id === leader ? "StateLeader" : "StateFollower"]),
    );
  }).catch((error) => assert.fail(`${error.message}: ${JSON.stringify(said)}`));
});

test("the leader is killed under writes: the others go on, nothing acknowledged is lost, and it comes back", async () => {
  const killed = await cluster.leader();
  const acknowledged = new Map<string, number>();
  let isOver = false;
  const writer = async (worker: number) => {
    for (let i = 0; !isOver; i++) {
      const key = `k${worker}-${i}`;
      const { status, json } = await write((worker % 3) + 1, "PUT", `/kv/${key}`, "x".repeat(100));
      if (status === 200) acknowledged.set(key, json.revision);
    }
  };
  const writers = [1, 2, 3, 4].map(writer);
  await until("writes before", PATIENCE_MS, () => acknowledged.size > 100);
  cluster.node(killed).child.kill("SIGKILL");
  const before = acknowledged.size;
  await until("writes after", PATIENCE_MS, () => acknowledged.size > before + 200);
  const view = (await cluster.ask((killed % 3) + 1, "GET", "/cluster")).json;
  assert.equal(view.members[killed - 1].status, null);
  assert.match(view.members[killed - 1].error, /ECONNREFUSED|fetch failed/);
  await cluster.startNode(killed);
  await cluster.ready(killed);
  const more = acknowledged.size;
  await until("writes when it is back", PATIENCE_MS, () => acknowledged.size > more + 50);
  isOver = true;
  await Promise.all(writers);
  for (const [key, revision] of acknowledged) {
    const { headers } = await cluster.ask(killed, "GET", `/kv/${key}`);
    assert.equal(headers.get("etag"), `"${revision}"`, key);
  }
  await cluster.agreed();
  await until("it to have a snapshot", PATIENCE_MS, async () => {
    return (await cluster.ask(killed, "GET", "/status")).json.snapshot !== null;
  });
});

test("SIGTERM: the leader hands over, answers what is under way, and all end with 0; data is there afterwards", async () => {
  const sha256 = await cluster.agreed();
  const leader = await cluster.leader();
  const watched = await fetch(`${cluster.urlOf(leader)}/watch`);
  cluster.node(leader).child.kill("SIGTERM");
  assert.equal(await cluster.node(leader).end(PATIENCE_MS), 0, cluster.node(leader).stderr);
  assert.match(await watched.text(), /"code":"RAFT_CLOSED"/);
  assert.match(cluster.node(leader).stderr, /SIGTERM: node \d ends in order.*has ended/s);
  await until("another leader", PATIENCE_MS, async () => {
    const next = await cluster.leaderAt((leader % 3) + 1);
    return next !== 0 && next !== leader;
  });
  assert.deepEqual(await cluster.stop(), [0, 0]);
  await Promise.all(cluster.ids.map((id) => cluster.startNode(id)));
  for (const id of cluster.ids) await cluster.ready(id);
  assert.equal(await cluster.agreed(), sha256);
});

test("two of three away: reads and writes are answered in time, truly; stale reads go on", async () => {
  const [alive, ...others] = cluster.ids;
  await write(alive, "PUT", "/kv/stays", "here");
  await cluster.agreed();
  for (const id of others) cluster.node(id).child.kill("SIGKILL");
  await until("no leader to be known", PATIENCE_MS, async () => (await cluster.leaderAt(alive)) === 0);
  const [read, put, ready] = await Promise.all([
    cluster.ask(alive, "GET", "/kv/stays"),
    cluster.ask(alive, "PUT", "/kv/stays", "gone"),
    cluster.ask(alive, "GET", "/readyz"),
  ]);
  assert.ok([503, 504].includes(read.status), read.text);
  assert.equal(read.json.error.mayCommit, false);
  assert.ok([503, 504].includes(put.status), put.text);
  assert.equal(put.json.error.mayCommit, false, "nobody took it");
  assert.equal(ready.status, 503);
  assert.equal((await cluster.ask(alive, "GET", "/kv/stays?stale=1")).text, "here");
  assert.deepEqual(await cluster.stop(), [0], cluster.node(alive).stderr);
});

test("what cannot start says why, in one sentence with its place", async () => {
  const broken = join(scratch.path, "broken.yaml");
  writeFileSync(
    broken,
    'id: 1\ndataDir: d\npeers: { 1: { raft: "127.0.0.1:1", http: "127.0.0.1:2" } }\nsecrt: x\n',
  );
  const cases: [string[], RegExp][] = [
    [["serve"], /^raftmark: --config is missing: raftmark serve --print-config > node\.yaml/],
    [
      ["serve", "--config", broken],
      /^raftmark: .*broken\.yaml:4:1: secrt: there is no such field\. Did you mean secret\?/,
    ],
    [["serve", "--config", "none.yaml"], /^raftmark: none\.yaml: .*cannot be read \(ENOENT\)/],
    [["serve", "--config", broken, "--id", "x"], /^raftmark: --id: "x" is no node id/],
  ];
  for (const [args, expected] of cases) {
    const command = new Command(scratch.path, ...args);
    assert.equal(await command.end(PATIENCE_MS), 2);
    assert.match(command.stderr, expected);
    assert.equal(command.stderr.trim().split("\n").length, 1, command.stderr);
  }
  const example = new Command(scratch.path, "serve", "--print-config");
  assert.equal(await example.end(PATIENCE_MS), 0);
  writeFileSync(
    join(scratch.path, "node.yaml"),
    example.stdout.replace(/^secretFile.*$/m, "secret: 0123456789abcdef"),
  );
  const check = new Command(scratch.path, "serve", "--config", "node.yaml", "--id", "3", "--check");
  assert.equal(await check.end(PATIENCE_MS), 0, check.stderr);
  assert.match(
    check.stdout,
    /^node\.yaml is sound: node 3 of 1, 2, 3, clients at 127\.0\.0\.1:8083, data in .*data\/3$/m,
  );
});
