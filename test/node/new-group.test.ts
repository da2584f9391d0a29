// A group that lost its majority goes on as another one: what `raftmark wal new-group` makes, opened and used.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { MemoryNetwork } from "../../src/link/index.js";
import { encodeMetadata } from "../../src/node/metadata.js";
import { newGroup } from "../../src/node/new-group.js";
import { Entry, EntryNormal } from "../../src/raft/raftpb/index.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import { durable, meta, open, options } from "../wal/helpers.js";
import { type Given, leaderOf, openNode, type Running, rejection, WAIT_MS } from "./nodes.js";

/** What was applied, in order; a proposal's result is how much that is. */
class Journal {
  texts: string[] = [];

  apply(entries: readonly Entry[]): number[] {
    return entries.map(({ data }) => this.texts.push(Buffer.from(data).toString()));
  }

  snapshot(): Uint8Array {
    return Buffer.from(JSON.stringify(this.texts));
  }

  async restore(stream: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of stream) parts.push(chunk);
    this.texts = JSON.parse(Buffer.concat(parts).toString());
  }
}

type Journaling = Running & { readonly journal: Journal };

async function openJournal(
  t: TestContext,
  dir: string,
  id: number,
  network: MemoryNetwork,
  more: Given = {},
): Promise<Journaling> {
  const journal = new Journal();
  const given = { link: network.link(id), stateMachine: journal, ...more };
  return { ...(await openNode(t, dir, id, 3, given)), journal };
}

const NEW = { id: 7, clusterId: 2, address: "127.0.0.1:7007" };

/** The first member of the new group, leading; it has applied what it began with. */
async function openNew(t: TestContext, dir: string, network = new MemoryNetwork()): Promise<Journaling> {
  const more = { clusterId: 2, listen: NEW.address, peers: { 7: NEW.address } };
  const running = await openJournal(t, dir, 7, network, more);
  running.node.campaign();
  await running.node.readBarrier();
  return running;
}

/** Three members that applied a, b and c, with a snapshot behind b on the third and a change of members; all are stopped. */
async function oldGroup(t: TestContext) {
  const dir = tempDir(t);
  const network = new MemoryNetwork();
  const all: Journaling[] = [];
  for (const id of [1, 2, 3]) all.push(await openJournal(t, dir, id, network));
  const session = await all[2]!.node.openSession();
  const first = await session.propose(Buffer.from("a"));
  await session.propose(Buffer.from("b"));
  await all[2]!.node.takeSnapshot();
  const leader = await leaderOf(all);
  await leader.node.changeMembership({ update: [{ id: 1, address: "127.0.0.1:7101" }] });
  const last = await all[2]!.node.propose(Buffer.from("c"));
  for (const { node } of all) await node.close();
  return { dir, source: path.join(dir, "3"), session: session.id, first, last };
}

test("a group of one goes on with all that a member had, takes others in, and applies a retried proposal once", async (t) => {
  const { source, session, first, last } = await oldGroup(t);
  const dir = tempDir(t);
  const begun = await newGroup(source, path.join(dir, "7"), NEW);
  assert.equal(begun.snapshot?.index, begun.lastIndex - begun.entries);
  assert.ok(begun.entries > 0 && begun.lastIndex >= last.index);
  const network = new MemoryNetwork();
  const one = await openNew(t, dir, network);
  assert.deepEqual(one.journal.texts, ["a", "b", "c"]);
  assert.deepEqual(
    one.node.status().members.map(({ id, address }) => `${id} ${address}`),
    ["7 127.0.0.1:7007"],
  );
  assert.deepEqual(await one.node.session(session).propose(Buffer.from("a"), { sequence: 1 }), first);

  const address = "127.0.0.1:7008";
  const joins = { clusterId: 2, listen: address, peers: { 7: NEW.address, 8: address } };
  const two = await openJournal(t, dir, 8, network, { ...joins, initialClusterState: "existing" });
  await one.node.changeMembership({ add: [{ id: 8, address, learner: true }] });
  await until("it has caught up", WAIT_MS, () => two.journal.texts.join() === "a,b,c");
  await until("it is a voter", WAIT_MS, async () => {
    return await one.node.changeMembership({ promote: [8] }).then(
      () => true,
      () => false,
    );
  });
  assert.equal((await two.node.propose(Buffer.from("d"))).result, 4);
  assert.deepEqual(one.journal.texts, ["a", "b", "c", "d"]);
});

test("a snapshot's file alone is a backup", async (t) => {
  const { source } = await oldGroup(t);
  const dir = tempDir(t);
  const [name] = fs.readdirSync(path.join(source, "snap")).filter((file) => file.endsWith(".snap"));
  const copy = path.join(dir, "backup.snap");
  fs.copyFileSync(path.join(source, "snap", name!), copy);
  const begun = await newGroup(copy, path.join(dir, "7"), NEW);
  assert.deepEqual([begun.entries, begun.isClusterKnown], [0, false]);
  const bad = path.join(dir, "bad.snap");
  const sound = fs.readFileSync(copy);
  const flipped = Uint8Array.from(sound);
  flipped[sound.indexOf('["a"') + 2]! ^= 1;
  // Found before, and while, the state is read.
  for (const bytes of [sound.subarray(1), flipped]) {
    fs.writeFileSync(bad, bytes);
    const { message } = await rejection(newGroup(bad, path.join(dir, "8"), NEW));
    assert.match(message, /bad.snap is damaged: .*\. Take another copy of it, or an older snapshot$/);
  }
  const { journal, node } = await openNew(t, dir);
  assert.deepEqual(journal.texts, ["a", "b"]);
  assert.equal((await node.propose(Buffer.from("e"))).result, 3);
});

test("the source is read and not changed; what is refused leaves nothing", async (t) => {
  const { dir: old, source } = await oldGroup(t);
  const dir = tempDir(t);
  const to = path.join(dir, "7");
  const files = () => fs.readdirSync(old, { recursive: true, encoding: "utf8" }).sort();
  const before = files();
  const refused = async (from: string, group: typeof NEW, pattern: RegExp) => {
    assert.match((await rejection(newGroup(from, to, group))).message, pattern);
    assert.deepEqual(fs.readdirSync(dir), []);
    assert.deepEqual(files(), before);
  };
  await refused(source, { ...NEW, clusterId: 1 }, /1 is the id of the old group/);
  const [snap] = fs.readdirSync(path.join(source, "snap"));
  for (const named of ["", "wal", "snap", `snap/${snap}`])
    for (const inside of ["new", "wal/new/1"]) {
      const { message } = await rejection(newGroup(path.join(source, named), path.join(source, inside), NEW));
      assert.match(message, /lies in .*, which is only read; name a directory elsewhere/, named);
      assert.deepEqual(files(), before);
    }
  await refused(source, { ...NEW, address: "0.0.0.0:7007" }, /is where to listen/);
  await refused(path.join(old, "9"), NEW, /there is no directory/);
  await refused(old, NEW, /there is no log in/);
  const empty = path.join(tempDir(t), "empty");
  const bootstrap = { voters: [], logId: new Uint8Array(8) };
  await (await open(t, { ...options(empty), metadata: encodeMetadata(4, 1, bootstrap) })).close();
  await refused(empty, NEW, /is empty: there is nothing to go on with/);
  const running = await openJournal(t, old, 3, new MemoryNetwork());
  assert.equal((await rejection(newGroup(source, to, NEW))).code, "WAL_LOCKED");
  await running.node.close();

  const [segment] = fs.readdirSync(path.join(source, "wal")).filter((file) => file.endsWith(".wal"));
  const log = path.join(source, "wal", segment!);
  const sound = fs.readFileSync(log);
  const bad = Buffer.from(sound);
  bad[bad.indexOf("a", 100)]! ^= 1;
  fs.writeFileSync(log, bad);
  await refused(source, NEW, /damaged|checksum/);
  fs.writeFileSync(log, sound);

  fs.mkdirSync(to);
  fs.writeFileSync(path.join(to, "precious"), "");
  assert.match((await rejection(newGroup(source, to, NEW))).message, /is there already, and not empty/);
  assert.deepEqual(fs.readdirSync(to), ["precious"]);
});

test("a damaged snapshot is passed over where an older one and the log stand for it, and stays under its name", async (t) => {
  const dir = tempDir(t);
  const bootstrap = { voters: [3], logId: new Uint8Array(8) };
  const log = await open(t, { ...options(path.join(dir, "old")), metadata: encodeMetadata(3, 1, bootstrap) });
  const text = (index: number) => new Entry(EntryNormal, 1, index, Buffer.from(`t${index}`));
  await durable(log, log.append({ term: 1, vote: 3, commit: 2 }, [text(1), text(2)]));
  await log.saveSnapshot(meta(1, 1), Buffer.from(JSON.stringify(["t1"])));
  await log.saveSnapshot(meta(2, 1), Buffer.from(JSON.stringify(["t1", "t2"])));
  await durable(log, log.append(null, [text(3)]));
  await log.close();
  const snapDir = path.join(dir, "old", "snap");
  const newest = path.join(snapDir, fs.readdirSync(snapDir).sort().at(-1)!);
  fs.truncateSync(newest, fs.statSync(newest).size - 1);
  const begun = await newGroup(path.join(dir, "old"), path.join(dir, "7"), NEW);
  assert.deepEqual(begun.damaged, [newest]);
  assert.deepEqual([begun.snapshot?.index, begun.entries, begun.uncertain], [1, 2, 1]);
  assert.ok(fs.existsSync(newest));
  assert.deepEqual((await openNew(t, dir)).journal.texts, ["t1", "t2", "t3"]);
});

test("it is made in the directory itself, whatever lies beside it, one run at a time, and where one was killed", async (t) => {
  const { source } = await oldGroup(t);
  const dir = tempDir(t);
  const [name] = fs.readdirSync(path.join(source, "snap")).filter((file) => file.endsWith(".snap"));
  const backup = path.join(source, "snap", name!);
  const link = path.join(dir, "link");
  const beside = path.join(dir, "link.draft");
  fs.mkdirSync(beside);
  fs.mkdirSync(path.join(dir, "7", "new-group.draft", "snap"), { recursive: true });
  fs.writeFileSync(path.join(dir, "7", "new-group.draft", "snap", "part.snap.1.tmp"), "");
  fs.symlinkSync("7", link);
  const runs = await Promise.allSettled([newGroup(backup, link, NEW), newGroup(backup, link, NEW)]);
  const refused = runs.filter((run) => run.status === "rejected");
  assert.equal(refused.length, 1);
  assert.match(refused[0]!.reason.message, /in use by process|not empty/);
  assert.deepEqual(fs.readdirSync(dir).sort(), ["7", "link", "link.draft"]);
  assert.deepEqual(fs.readdirSync(link).sort(), ["snap", "wal"]);
  assert.deepEqual((await openNew(t, dir)).journal.texts, ["a", "b"]);
});
