// What opening takes for durable is durable: the names above a new log, and what a process that was killed left of an
// old one in the page cache. Found by the simulator (docs/reliability.md).
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { openWal } from "../../../src/wal/index.js";
import { tempDir } from "../../temp-dir.js";
import { durable, open, options, run } from "../helpers.js";
import { type Op, recordings } from "../recording-fs.js";

const RECORDER = new URL("../recording-fs.js", import.meta.url).href;

test("a new log's directories all have durable names before it has one", async (t) => {
  const dir = path.join(tempDir(t), "a", "b");
  fs.mkdirSync(dir, { recursive: true });
  await open(t, options(dir, { writer: "inline-js", walFs: { module: RECORDER, arg: t.name } }));
  const ops = recordings.get(t.name)!;
  const named = ops.findIndex((op) => op.kind === "syncDir" && op.dir === dir);
  for (const above of [path.dirname(dir), path.dirname(path.dirname(dir))]) {
    const at = ops.findIndex((op) => op.kind === "syncDir" && op.dir === above);
    assert.ok(at >= 0 && at < named, `${above} is not synced before ${dir}`);
  }
});

test("an existing log is synced, names and records, before anything is changed in it", async (t) => {
  const dir = tempDir(t);
  const wal = await openWal(options(dir, { writer: "inline-js" }));
  await durable(wal, wal.append(null, run(1, 10)));
  await wal.close();
  const walFs = { module: RECORDER, arg: t.name };
  await open(t, options(dir, { writer: "inline-js", walFs }));
  const ops = recordings.get(t.name)!;
  const changes = ops.findIndex(({ kind }) => kind === "write" || kind === "truncate");
  const before = changes < 0 ? ops : ops.slice(0, changes);
  const segment = before.find(
    (op): op is Op & { kind: "open" } => op.kind === "open" && /\.wal$/.test(op.path),
  );
  assert.ok(before.some((op) => op.kind === "fdatasync" && op.fd === segment?.fd));
  for (const above of [path.join(dir, "wal"), dir]) {
    assert.ok(before.some((op) => op.kind === "syncDir" && op.dir === above));
  }
});
