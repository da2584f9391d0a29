// What npx starts: executable as it is committed, and a sentence where nothing is built.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { tempDir } from "../temp-dir.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PACKAGE = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
const BIN = PACKAGE.bin.raftmark;

test("the bin runs by itself, whatever was built when npx first looked", () => {
  const { status, stdout } = spawnSync(join(ROOT, BIN), ["--version"], { encoding: "utf8" });
  assert.equal(status, 0);
  assert.equal(stdout, `${PACKAGE.version}\n`);
  assert.doesNotMatch(BIN, /^dist/, "no build replaces it");
});

test("a clone that is not built is told to build", (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, "bin"));
  copyFileSync(join(ROOT, "package.json"), join(dir, "package.json"));
  copyFileSync(join(ROOT, BIN), join(dir, BIN));
  const { status, stderr } = spawnSync(join(dir, BIN), ["bench"], { encoding: "utf8" });
  assert.equal(status, 2);
  assert.match(stderr, /^raftmark: .* not built yet: npm ci && npm run build .*\n$/);
});
