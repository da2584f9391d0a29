// examples/kv runs as it stands there: one command, three processes, a write through one and a read through another.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePorts } from "../../bench/harness/ports.js";
import { childrenOf, isRunning, scratchDir, until } from "./support.js";

const PROGRAM = fileURLToPath(new URL("../../../examples/kv/kv.mjs", import.meta.url));
const scratch = scratchDir("example-kv");
const started: ChildProcess[] = [];
after(() => {
  for (const child of started) child.kill("SIGTERM");
  scratch.remove();
});

/** Six ports in a row, as the example has them, that were free a moment ago. */
async function firstPort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const [port] = await freePorts(1);
    const row = await Promise.all(Array.from({ length: 6 }, (_, i) => isFree(port + i)));
    if (row.every(Boolean)) return port;
  }
  throw new Error("no six free ports in a row");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

test("examples/kv: three processes from one command; a write through one, a read through another; they end", async () => {
  const port = await firstPort();
  const program = spawn(process.execPath, [PROGRAM], {
    env: { ...process.env, PORT: String(port), DIR: scratch.path },
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.push(program);
  let said = "";
  for (const stream of [program.stdout, program.stderr])
    stream.on("data", (text: Buffer) => {
      said += text.toString();
    });
  await until("all three to know a leader", 60_000, () => said.match(/node \d leads/g)?.length === 3);
  const url = (id: number) => `http://127.0.0.1:${port + 2 + id}/greeting`;
  for (const id of [1, 2, 3]) {
    const put = await fetch(url(id), { method: "PUT", body: `hello ${id}` });
    assert.equal(put.status, 200, said);
    assert.equal(await (await fetch(url((id % 3) + 1))).text(), `hello ${id}`);
  }
  assert.equal((await fetch(url(3), { method: "DELETE" })).status, 200);
  assert.equal((await fetch(url(1))).status, 404);
  const children = childrenOf(program.pid!);
  assert.equal(children.length, 3);
  const ended = new Promise((resolve) => program.once("exit", resolve));
  program.kill("SIGTERM");
  assert.equal(await ended, 0, said);
  assert.deepEqual(children.filter(isRunning), []);
});
