// How many clients the service lets in: they share a process's file descriptors with the log and the other members.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { descriptorLimit } from "../../src/link/descriptors.js";
import { scratchDir } from "../process/support.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const CONFIG = `id: 1
dataDir: data
peers: { 1: { raft: "127.0.0.1:0", http: "127.0.0.1:0" } }
secret: 0123456789abcdef
durability: none
`;

test("clients leave descriptors to log and links: those beyond are closed, which is told once", {
  skip: descriptorLimit() === 0 && "the system does not tell of descriptors",
  timeout: 60_000,
}, async (t) => {
  const scratch = scratchDir("clients");
  t.after(() => scratch.remove());
  writeFileSync(join(scratch.path, "node.yaml"), CONFIG);
  const args = [
    "-c",
    'ulimit -n 256; exec "$0" "$@"',
    process.execPath,
    MAIN,
    "serve",
    "--config",
    "node.yaml",
  ];
  const child = spawn("sh", args, { cwd: scratch.path, stdio: ["ignore", "ignore", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  const lines: string[] = [];
  const port = await new Promise<number>((resolve) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      lines.push((JSON.parse(line) as { msg: string }).msg);
      const at = /serves clients at http:\/\/127\.0\.0\.1:(\d+)/.exec(lines.at(-1)!);
      if (at !== null) resolve(Number(at[1]));
    });
  });
  // Fewer than there are descriptors, so that none is closed for want of one; a watch ends with the node.
  const answers = await Promise.all(
    Array.from({ length: 150 }, () => {
      const socket = connect({ host: "127.0.0.1", port });
      t.after(() => socket.destroy());
      socket.on("error", () => {});
      socket.write("GET /watch HTTP/1.1\r\nhost: x\r\n\r\n");
      return new Promise<string>((resolve) => {
        socket.once("data", (bytes: Buffer) => resolve(bytes.toString().slice(0, 15)));
        socket.once("close", () => resolve("closed"));
      });
    }),
  );
  assert.deepEqual(
    ["HTTP/1.1 200 OK", "closed"].map((what) => answers.filter((answer) => answer === what).length),
    [128, 22],
  );
  child.kill("SIGTERM");
  await once(child, "close");
  const told = lines.filter((line) =>
    line.startsWith("clients have 128 connections, all that a limit of 256 "),
  );
  assert.equal(told.length, 1, lines.join("\n"));
});
