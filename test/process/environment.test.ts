// What flags, limits and bundlers take away from the engine is said in a sentence, at once: each in a process of its own.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, rmSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { tempDir } from "../temp-dir.js";

const DIST = resolve(fileURLToPath(new URL("../../", import.meta.url)));

/** Opens a node with the engine in `dist`, and prints the code and text of what is thrown. */
function open(t: TestContext, flags: readonly string[], dist = DIST, before = ""): string {
  const program = `
    ${before}
    const at = "127.0.0.1:0";
    const stateMachine = { apply: (entries) => entries.map(() => 1) };
    const options = { id: 1, dir: ${JSON.stringify(tempDir(t))}, listen: at, peers: { 1: at }, secret: "s".repeat(32) };
    try {
      const { RaftNode } = await import(${JSON.stringify(join(dist, "src/index.js"))});
      const node = await RaftNode.open({ ...options, stateMachine });
      await node.close();
      console.log("opened");
    } catch ({ code, message }) {
      console.log(code + ": " + message);
    }
  `;
  const args = [...flags, "--no-warnings", "--input-type=module", "-e", program];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
  return stdout + stderr;
}

const permission = process.allowedNodeEnvironmentFlags.has("--permission")
  ? "--permission"
  : "--experimental-permission";

const canRequireEsm = (process.features as { require_module?: boolean }).require_module === true;

for (const [flags, told] of [
  [["--jitless"], /^RAFT_UNSUPPORTED: .*without it$/m],
  [[permission, "--allow-fs-read=*"], /^RAFT_UNSUPPORTED: .*without --permission$/m],
  [
    [permission, "--allow-fs-read=*", "--allow-fs-write=*", "--allow-worker"],
    /^RAFT_UNSUPPORTED: .*without --permission$/m,
  ],
  // Piscina's threads load a module by require(), and where that takes no ESM by code made of a string.
  [
    ["--disallow-code-generation-from-strings"],
    canRequireEsm ? /^opened$/m : /^RAFT_UNSUPPORTED: .*without --disallow-code/m,
  ],
] as const) {
  test(`with ${flags.join(" ")} it runs, or says why not`, (t) => assert.match(open(t, flags), told));
}

test("an engine that a bundler took out of its package says so", (t) => {
  const dir = tempDir(t);
  const dist = join(dir, "dist");
  cpSync(join(DIST, "src"), join(dist, "src"), { recursive: true });
  symlinkSync(join(DIST, "../node_modules"), join(dir, "node_modules"));
  assert.match(open(t, [], dist), /^RAFT_UNSUPPORTED: .*file wal\.wasm .*as external/m);
  cpSync(join(DIST, "assembly"), join(dist, "assembly"), { recursive: true });
  rmSync(join(dist, "src/wal/pool/wal-worker.js"));
  assert.match(open(t, [], dist), /^RAFT_UNSUPPORTED: .*wal-worker\.js .*as external/m);
});

test("a test's fake clock, under which a node stands still, is told", (t) => {
  // setTimeout and setImmediate stay, so that the node can be opened.
  const fake = 'import { mock } from "node:test"; mock.timers.enable({ apis: ["setInterval"] });';
  const told = open(t, [], DIST, fake);
  assert.match(told, /fake clock/);
  assert.match(told, /^opened$/m);
  assert.doesNotMatch(open(t, []), /fake clock/);
});
