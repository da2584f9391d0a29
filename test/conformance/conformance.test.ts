// The conformance data of etcd raft and our own traces, a test a file. Ours (test/**/testdata) lie in the
// repository and are rewritten with REWRITE=1; etcd's lie beside it, may be missing, and are never written
// to.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { KINDS } from "./kinds.js";
import { describeDifference, findUnits, runUnit, type Unit } from "./runner.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const SHARED = join(dirname(ROOT.replace(/\/$/, "")), "shared", "conformance");
const REWRITE = process.env["REWRITE"] === "1";

async function ownUnits(): Promise<Unit[]> {
  const entries = await readdir(join(ROOT, "test"), { recursive: true, withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory() && entry.name === "testdata");
  const units: Unit[] = [];
  for (const folder of folders) units.push(...(await findUnits(join(folder.parentPath, folder.name), KINDS)));
  return units;
}

async function check(unit: Unit): Promise<void> {
  const difference = await runUnit(unit);
  if (difference !== null) assert.fail(`\n${describeDifference(relative(ROOT, unit.path), difference)}`);
}

const own = await ownUnits();

test("the repository has traces of its own", () => {
  assert.ok(own.length > 0);
});

for (const unit of own) {
  test(`ours: ${relative(ROOT, unit.path)}`, async () => {
    if (REWRITE) await unit.kind.rewrite?.(unit.path);
    await check(unit);
  });
}

if (existsSync(SHARED)) {
  for (const unit of await findUnits(SHARED, KINDS)) {
    const note = unit.kind.note(unit.path);
    const name = `etcd: ${unit.kind.name}/${basename(unit.path)}${note === "" ? "" : ` (${note})`}`;
    test(name, () => check(unit));
  }
} else {
  test(`etcd: ${SHARED}`, (t) => t.skip(`no such directory: ${SHARED}`));
}
