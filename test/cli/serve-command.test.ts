// How `raftmark serve` ends where it cannot start: the exit code that a service manager goes by, and the last line.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { listen } from "../listen.js";
import { tempDir } from "../temp-dir.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const dir = tempDir();

async function serve(text: string): Promise<{ code: number; lines: string[] }> {
  writeFileSync(join(dir, "node.yaml"), text);
  const child = spawn(process.execPath, [MAIN, "serve", "--config", "node.yaml"], {
    cwd: dir,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (bytes: Buffer) => {
    said += bytes.toString();
  });
  const [code] = await once(child, "close");
  return { code, lines: said.trim().split("\n") };
}

test("a start that failed: 1 where the cause may pass, 2 where a person must mend it; the last line is JSON as the others", async (t) => {
  const at = await listen(t, createServer());
  const config = (raft: string, http: string, secret: string) =>
    `id: 1\ndataDir: data\ndurability: none\nsecret: ${secret}\npeers: { 1: { raft: "${raft}", http: "${http}" } }\n`;
  const good = "0123456789abcdef";
  const cases: [text: string, code: number, msg: RegExp][] = [
    [config(at, "127.0.0.1:0", good), 1, /is in use.*\(RAFT_ADDRESS_IN_USE\)\.$/],
    [config("127.0.0.1:0", at, good), 1, /^node\.yaml:5:\d+: .*\(RAFT_ADDRESS_IN_USE\)\.$/],
    [config("10.0.0.1:7001", "127.0.0.1:0", "short678"), 2, /^node\.yaml:4:9: secret: .*16 bytes/],
  ];
  for (const [text, expected, msg] of cases) {
    const { code, lines } = await serve(text);
    assert.equal(code, expected, lines.join("\n"));
    const last = JSON.parse(lines.at(-1)!);
    assert.deepEqual([last.level, last.node, last.exitCode], [50, 1, expected]);
    assert.match(last.msg, msg);
  }
});
