// The data directory that a node makes for itself, or cannot.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { RaftNode, type RaftNodeOptions } from "../../src/index.js";
import { MemoryNetwork } from "../../src/link/memory-link.js";
import { newGroup } from "../../src/node/new-group.js";
import { tempDir } from "../temp-dir.js";
import { SOLE } from "./nodes.js";

const options = (dir: string): RaftNodeOptions => ({
  ...SOLE,
  id: 1,
  dir,
  secret: "of the test",
  stateMachine: { apply: () => undefined },
  link: new MemoryNetwork().link(1),
  durability: "none",
});

test("it is made with those above it, and used again", async (t) => {
  const dir = path.join(tempDir(t), "a", "b", "c");
  for (let time = 0; time < 2; time++) await (await RaftNode.open(options(dir))).close();
  assert.equal(fs.statSync(path.dirname(dir)).mode & 0o777, 0o700);
});

test("nodes that are opened at once make those above them together", async (t) => {
  const group = path.join(tempDir(t), "a", "b");
  const opened = ["1", "2", "3"].map((name) => RaftNode.open(options(path.join(group, name))));
  for (const node of await Promise.all(opened)) await node.close();
});

test("a file, a place below one, and one where the kernel lets nothing be made are refused at once", async (t) => {
  const file = path.join(tempDir(t), "file");
  fs.writeFileSync(file, "x");
  const impossible = process.platform === "linux" ? ["/proc/x/y"] : [];
  for (const dir of [file, path.join(file, "x"), ...impossible])
    await assert.rejects(RaftNode.open(options(dir)), { code: "WAL_NOT_WRITABLE" }, dir);
});

test("one that a later version wrote in is refused by its format, here and by new-group, and stays as it was", async (t) => {
  const dir = path.join(tempDir(t), "1");
  await (await RaftNode.open(options(dir))).close();
  const file = path.join(dir, "raftmark.format");
  const other = path.join(tempDir(t), "2");
  const files = () => fs.readdirSync(dir, { recursive: true }).sort();
  for (const format of ["2\n", ""]) {
    fs.writeFileSync(file, format);
    const before = files();
    const refusal = { code: "RAFT_UNSUPPORTED", message: /^a later version of raftmark wrote in .* 1 alone/ };
    await assert.rejects(RaftNode.open(options(dir)), refusal);
    await assert.rejects(newGroup(dir, other, { id: 2, clusterId: 2, address: "127.0.0.1:1" }), refusal);
    assert.deepEqual(files(), before);
  }
  fs.writeFileSync(file, "1\n");
  await (await RaftNode.open(options(dir))).close();
});
