// One `raftmark serve` process with a configuration of its own: what its lines say at the start.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { freePorts } from "../../bench/harness/ports.js";
import { Command, scratchDir, until } from "./support.js";

const scratch = scratchDir("serve-alone");
after(() => {
  Command.killAll();
  scratch.remove();
});

/** Resolves when it serves. */
async function serve(name: string, more: string): Promise<Command> {
  const [raft, http] = await freePorts(2);
  const text = `id: 1
dataDir: data-${name}
peers: { 1: { raft: "127.0.0.1:${raft}", http: "127.0.0.1:${http}" } }
secret: 0123456789abcdef
${more}`;
  writeFileSync(join(scratch.path, `${name}.yaml`), text);
  const command = new Command(scratch.path, "serve", "--config", `${name}.yaml`);
  await until("it to serve", 20_000, () => {
    assert.equal(command.child.exitCode, null, command.stderr);
    return command.stderr.includes("serves clients at");
  });
  return command;
}

test("durability none is warned of, once", async () => {
  const command = await serve("none", "durability: none\n");
  command.child.kill("SIGTERM");
  assert.equal(await command.end(20_000), 0, command.stderr);
  const warnings = command.stderr.split("\n").filter((line) => /"level":40/.test(line));
  assert.equal(warnings.length, 1, command.stderr);
  assert.match(warnings[0], /durability: none waits for no disk: .* lost with the power/);
});
