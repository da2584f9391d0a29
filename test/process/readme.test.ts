// The README's example runs as it stands there: three members, started like a user would.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { freePorts } from "../../bench/harness/ports.js";
import { scratchDir, until } from "./support.js";

const README = new URL("../../../README.md", import.meta.url);
const scratch = scratchDir("readme");
const members: ChildProcess[] = [];
after(() => {
  for (const member of members) member.kill("SIGKILL");
  scratch.remove();
});

test("the README's example", async () => {
  const [, example] = /```js\n(.*?)```/s.exec(readFileSync(README, "utf8")) ?? [];
  assert.ok(example?.includes("RaftNode.open"), "the README has an example");
  // Other tests run beside this one: only the ports are not the README's.
  const ports = await freePorts(3);
  const program = example.replace(
    /127\.0\.0\.1:700(\d)/g,
    (_, id: string) => `127.0.0.1:${ports[Number(id) - 1]}`,
  );
  // Within the package, whose name then is its own.
  writeFileSync(join(scratch.path, "member.mjs"), program);
  const output = [1, 2, 3].map((id) => {
    const env = { ...process.env, CLUSTER_KEY: "a key of the whole cluster's" };
    const member = spawn(process.execPath, ["member.mjs", String(id)], { cwd: scratch.path, env });
    members.push(member);
    const said = { text: "" };
    for (const stream of [member.stdout, member.stderr])
      stream.on("data", (chunk: Buffer) => (said.text += chunk.toString()));
    return said;
  });
  const text = () => output.map((said) => said.text).join("");
  const all = () =>
    (text().match(/reads: \d/g) ?? []).length === 3 && /leads: visit 1, at index \d/.test(text());
  await until("all three to say what they read", 30_000, all);
  assert.match(text(), /node \d leads: visit 1, at index \d/);
  const ended = members.map((member) => new Promise((resolve) => member.once("exit", resolve)));
  for (const member of members) member.kill("SIGTERM");
  assert.deepEqual(await Promise.all(ended), [0, 0, 0], text());
});
