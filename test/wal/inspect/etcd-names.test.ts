// Which files etcd takes for segments by their names: what Go's Sscanf said of each, by "%016x-%016x.wal".
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { verdictText, verifyLog } from "../../../src/cli/wal-verify.js";
import { etcdSegments } from "../../../src/wal/inspect/etcd-reader.js";
import { findLog } from "../../../src/wal/inspect/log-place.js";
import { tempDir } from "../../temp-dir.js";
import { open, options } from "../helpers.js";

const SEGMENTS = [
  ["0000000000000001-000000000000000a.wal", 1n, 10n],
  ["0000000000000003-000000000000000A.wal", 3n, 10n],
  ["1-2.wal", 1n, 2n],
  ["1-1.wal.wal", 1n, 1n],
  ["1-2.walx.wal", 1n, 2n],
  [" 1-\t 1.wal", 1n, 1n],
  ["\u00a01-\u00851.wal", 1n, 1n],
] as const;
const OTHERS = [
  "000000000000000g-1.wal",
  "00000000000000010-5.wal",
  "1-00000000000000011.wal",
  "1-1.WAL",
  "0x1-0x1.wal",
  "-1-1.wal",
  "+1-1.wal",
  "2 -1.wal",
  "1-.wal",
  "1-2.tmp.wal",
  "\n1-1.wal",
  "\ufeff1-1.wal",
];

for (const [name, seq, index] of SEGMENTS) {
  test(`etcd takes ${JSON.stringify(name)} for a segment`, (t) => {
    const dir = tempDir(t);
    fs.writeFileSync(path.join(dir, name), "");
    assert.deepEqual(etcdSegments(dir), [{ name, seq, index }]);
  });
}

test("etcd does not take others for segments", (t) => {
  const dir = tempDir(t);
  for (const name of OTHERS) fs.writeFileSync(path.join(dir, name), "");
  assert.deepEqual(etcdSegments(dir), []);
});

test("wal verify: a file that is a segment to etcd alone is no part of the log, and is told", async (t) => {
  const walOptions = options(tempDir(t));
  await (await open(t, walOptions)).close();
  fs.writeFileSync(path.join(walOptions.dir, "1-1.wal"), "none");
  const place = findLog(walOptions.dir);
  assert.equal(place.segments.length, 1);
  const sink = { isTTY: false, write: () => true };
  const text = verdictText(await verifyLog(place, { threads: 1, snap: null }, sink));
  assert.match(text, /note: etcd takes "1-1\.wal" for a segment by its name/);
  assert.match(text, /\nsound\n$/);
});
