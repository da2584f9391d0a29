// One `raftmark serve` process with a configuration of its own: what it says of that, at the start and upon SIGHUP.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { freePorts } from "../../bench/harness/ports.js";
import { Authority, NO_OPENSSL } from "../link/certificates.js";
import { Command, PATIENCE_MS, scratchDir, until } from "./support.js";

const scratch = scratchDir("serve-alone");
after(() => {
  Command.killAll();
  scratch.remove();
});

/** Resolves when it serves. */
async function serve(name: string, more: string, hangUpEarly = false): Promise<Command> {
  const [raft, http] = await freePorts(2);
  const text = `id: 1
dataDir: data-${name}
peers: { 1: { raft: "127.0.0.1:${raft}", http: "127.0.0.1:${http}" } }
secret: 0123456789abcdef
${more}`;
  writeFileSync(join(scratch.path, `${name}.yaml`), text);
  const command = new Command(scratch.path, "serve", "--config", `${name}.yaml`);
  if (hangUpEarly) {
    await until("its first line", PATIENCE_MS, () => command.stderr.includes(" starts: "));
    command.child.kill("SIGHUP");
  }
  await until("it to serve", PATIENCE_MS, () => {
    assert.equal(command.child.exitCode, null, command.stderr);
    return command.stderr.includes("serves clients at");
  });
  return command;
}

test("durability none is warned of, once", async () => {
  const command = await serve("none", "durability: none\n");
  command.child.kill("SIGTERM");
  assert.equal(await command.end(PATIENCE_MS), 0, command.stderr);
  const warnings = command.stderr.split("\n").filter((line) => /"level":40/.test(line));
  assert.equal(warnings.length, 1, command.stderr);
  assert.match(warnings[0], /durability: none waits for no disk: .* lost with the power/);
});

test("SIGHUP without TLS, also while it opens: there is nothing to load anew", async () => {
  const command = await serve("clear", "durability: none\n", true);
  await until("a line", PATIENCE_MS, () =>
    /"level":30.*SIGHUP: .* nothing to load anew/.test(command.stderr),
  );
  command.child.kill("SIGTERM");
  assert.equal(await command.end(PATIENCE_MS), 0, command.stderr);
});

test("SIGHUP with a key that does not fit: which file, and that the certificates in use stay; then with one that does", {
  skip: NO_OPENSSL,
}, async () => {
  const authority = new Authority();
  const [own, other] = [authority.member(), authority.member()];
  authority.remove();
  const files: Readonly<Record<string, string>> = { ca: own.ca, pem: own.cert, key: own.key };
  const write = (name: string, text: string) => writeFileSync(join(scratch.path, name), text);
  for (const [name, text] of Object.entries(files)) write(`tls.${name}`, text);
  const command = await serve("tls", "durability: none\ntls: { ca: tls.ca, cert: tls.pem, key: tls.key }\n");
  write("tls.key", other.key);
  command.child.kill("SIGHUP");
  const kept = /those in use stay: tls\.yaml:6:\d+: tls\.key: .*\/tls\.key does not belong to .*\/tls\.pem"/;
  await until("a line", PATIENCE_MS, () => kept.test(command.stderr)).catch(() =>
    assert.match(command.stderr, kept),
  );
  write("tls.pem", other.cert);
  command.child.kill("SIGHUP");
  // The key of tls is not the cluster's: whoever replaced that one hears so.
  const anew = /files of tls were read again\. .*\(secretFile\) are read at the start alone/;
  await until("another", PATIENCE_MS, () => anew.test(command.stderr));
  command.child.kill("SIGTERM");
  assert.equal(await command.end(PATIENCE_MS), 0, command.stderr);
});

test("--check ends with 2 where the start would", async () => {
  const text = `id: 1
dataDir: data-checked
peers: { 1: { raft: "10.0.0.1:7001", http: "10.0.0.1:8080" } }
secret: abcdefgh
`;
  writeFileSync(join(scratch.path, "checked.yaml"), text);
  for (const more of [["--check"], []]) {
    const command = new Command(scratch.path, "serve", "--config", "checked.yaml", ...more);
    assert.equal(await command.end(PATIENCE_MS), 2, command.stdout);
    assert.match(command.stderr, /(^raftmark: |"msg":")checked\.yaml:4:9: secret: .* at least 16 bytes/);
  }
});
