// What npx starts: executable as it is committed, and a sentence where nothing is built.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
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

test("a node whose code is not loaded yet does not end by SIGHUP; another command does", (t) => {
  const preload = join(tempDir(t), "preload.mjs");
  // What the bin asks before it loads anything.
  writeFileSync(
    preload,
    `import fs from "node:fs"; import { syncBuiltinESMExports } from "node:module"; const { existsSync } = fs;
     fs.existsSync = (at) => { if (/main\\.js$/.test(at.href)) process.kill(process.pid, "SIGHUP"); return existsSync(at); };
     syncBuiltinESMExports();`,
  );
  const run = (command: string) =>
    spawnSync(process.execPath, ["--import", preload, join(ROOT, BIN), command]);
  assert.deepEqual([run("serve").status, run("wal").signal], [2, "SIGHUP"]);
});

/** What a script of package.json does with a build that ends with `code`, and a node that says its id. */
function script(t: TestContext, name: string, code: number) {
  const dir = tempDir(t);
  writeFileSync(join(dir, "npm"), `#!/bin/sh\nexit ${code}\n`, { mode: 0o755 });
  writeFileSync(join(dir, "node"), "#!/bin/sh\necho $$\n", { mode: 0o755 });
  const env = { ...process.env, PATH: `${dir}:${process.env["PATH"]}` };
  return spawnSync("sh", ["-c", PACKAGE.scripts[name]], { cwd: dir, env, encoding: "utf8" });
}

test("a head that does not build is no regression: the gate's script ends with 2, whatever the build ended with", (t) => {
  assert.equal(script(t, "bench:ci", 1).status, 2);
});

for (const name of ["bench", "bench:smoke", "bench:ci", "bench:selftest", "test:sim"])
  test(`npm run ${name} hands a signal to the program: no shell in between, which would end and leave it running`, (t) => {
    const { pid, stdout } = script(t, name, 0);
    assert.equal(stdout.trim(), String(pid));
  });
