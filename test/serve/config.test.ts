// The configuration of the service: what is filled in, and what is said of what is wrong, with its place.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { RaftmarkError } from "../../src/index.js";
import {
  ConfigError,
  checkConfig,
  EXAMPLE_CONFIG,
  newLogger,
  parseConfig,
  readConfig,
  Service,
} from "../../src/serve/index.js";
import { listen } from "../listen.js";
import { tempDir } from "../temp-dir.js";

const dir = tempDir();
writeFileSync(join(dir, "cluster.key"), "0123456789abcdef0123456789abcdef\n");

const GOOD = `id: 2
dataDir: data
peers:
  1: { raft: "10.0.0.1:7001", http: "10.0.0.1:8080" }
  2: { raft: "10.0.0.2:7001", http: "10.0.0.2:8080" }
secretFile: cluster.key
`;
const FILE = join(dir, "node.yaml");

test("what is not there is filled in, and paths are relative to the file", async () => {
  writeFileSync(FILE, GOOD);
  const config = await readConfig(FILE);
  assert.equal(config.dataDir, join(dir, "data"));
  assert.deepEqual([config.listen, config.http], ["10.0.0.2:7001", "10.0.0.2:8080"]);
  assert.equal(config.secret, "0123456789abcdef0123456789abcdef");
  assert.deepEqual([config.requestTimeoutMs, config.maxValueBytes, config.logLevel], [5000, 1048576, "info"]);
  const other = await readConfig(FILE, 1);
  assert.deepEqual([other.id, other.listen, other.initialClusterState], [1, "10.0.0.1:7001", undefined]);
  assert.equal((await readConfig(FILE, 1, "existing")).initialClusterState, "existing");
});

test("where clients reach a member: alone at any port, and itself at all addresses", async () => {
  const alone = GOOD.replace(/^ {2}1:.*\n/m, "").replace("10.0.0.2:8080", "10.0.0.2:0");
  assert.equal((await parseConfig(alone, FILE)).http, "10.0.0.2:0");
  const everywhere = GOOD.replace("10.0.0.2:8080", "0.0.0.0:8080");
  assert.equal((await parseConfig(everywhere, FILE)).http, "0.0.0.0:8080");
});

test("the example is a configuration, with everything that is commented out as well", async () => {
  const config = await parseConfig(EXAMPLE_CONFIG, FILE);
  assert.deepEqual([...config.peers.keys()], [1, 2, 3]);
  // Also for three nodes on one machine.
  assert.equal((await parseConfig(EXAMPLE_CONFIG, FILE, 3)).dataDir, join(dir, "data/3"));
  writeFileSync(join(dir, "other.key"), "fedcba9876543210\n");
  const all = EXAMPLE_CONFIG.replace(/^secretFile.*$/m, "")
    .replaceAll(/^# ([a-zA-Z]+:)/gm, "$1")
    .replace('secret: "..."', 'secret: "0123456789abcdef"');
  const full = await parseConfig(all, FILE);
  assert.equal(full.listen, "0.0.0.0:7001");
  assert.equal(full.tls?.ca, join(dir, "ca.pem"));
  assert.equal(full.otherSecret, "fedcba9876543210");
  assert.equal(full.snapshotEveryBytes, 128 * 1024 * 1024);
});

const WRONG: [what: string, text: string, expected: RegExp][] = [
  [
    "an unknown field",
    `${GOOD}logLevle: info\n`,
    /^F:7:1: logLevle: there is no such field\. Did you mean logLevel\?$/,
  ],
  [
    "an unknown field of a member",
    GOOD.replace('http: "10.0.0.1', 'htp: "10.0.0.1'),
    /^F:4:\d+: peers\.1\.htp: there is no such field; there is raft, http\. Did you mean http\?$/,
  ],
  [
    "a missing field",
    GOOD.replace("dataDir: data\n", ""),
    /^F:1:1: dataDir is missing: it must be a directory$/,
  ],
  ["a number that is none", GOOD.replace("id: 2", "id: two"), /^F:1:5: id: must be a number, not "two"$/],
  ["one too large", `${GOOD}tickMs: 99999999\n`, /^F:7:9: tickMs: must be at most 60000, not 99999999$/],
  [
    "a segment too small",
    `${GOOD}segmentBytes: 10\n`,
    /^F:7:15: segmentBytes: must be at least 1024, not 10$/,
  ],
  ["another word", `${GOOD}logLevel: loud\n`, /^F:7:11: logLevel: must be one of .*"warn".*, not "loud"$/],
  [
    "a name that is none",
    GOOD.replace("10.0.0.2:7001", "*:7001"),
    /^F:5:\d+: peers\.2\.raft: must be an address, .*0\.0\.0\.0 and \[::\] are all of the machine's\), not "\*:7001"$/,
  ],
  [
    "no address",
    GOOD.replace("10.0.0.2:7001", "10.0.0.2"),
    /^F:5:\d+: peers\.2\.raft: must be an address, host:port, as in .*, not "10\.0\.0\.2"$/,
  ],
  [
    "no member",
    GOOD.replace("id: 2", "id: 7"),
    /^F:4:3: peers: node 7 itself is not among the members \(1, 2\)/,
  ],
  [
    "no id",
    GOOD.replace("id: 2\n", ""),
    /^F:1:1: id is missing: give it here, or on the command line with --id$/,
  ],
  [
    "a list of members",
    GOOD.replace("  1:", "  -").replace("  2:", "  -"),
    /^F:4:3: peers: must be a mapping of fields to values, not \[/,
  ],
  ["an id that is a word", GOOD.replace("  1:", "  one:"), /^F:4:3: peers\.one: is no node id/],
  ["two secrets", `${GOOD}secret: abcdefghijklmnopqrst\n`, /^F:6:1: secretFile: secret is given as well/],
  [
    "two other secrets",
    `${GOOD}otherSecret: abcdefghijklmnopqrst\notherSecretFile: x.key\n`,
    /^F:8:1: otherSecretFile: otherSecret is given as well/,
  ],
  ["no secret", GOOD.replace(/secretFile.*\n/, ""), /^F:1:1: secretFile is missing \(or secret\)/],
  [
    "a secret file that is not there",
    GOOD.replace("cluster.key", "c.key"),
    /^F:6:13: secretFile: cannot read .*c\.key \(ENOENT\)/,
  ],
  [
    "clients where the members are",
    GOOD.replace("10.0.0.2:8080", "10.0.0.2:7001"),
    /^F:5:37: peers\.2\.http: 10\.0\.0\.2:7001 is where the members reach this node/,
  ],
  [
    "clients where the members are, at all addresses",
    `${GOOD}http: "0.0.0.0:7001"\n`,
    /^F:7:7: http: 0\.0\.0\.0:7001 is where the members reach this node \(10\.0\.0\.2:7001\)/,
  ],
  [
    "clients of another member at no port",
    GOOD.replace("10.0.0.1:8080", "10.0.0.1:0"),
    /^F:4:37: peers\.1\.http: "10\.0\.0\.1:0" has port 0, at which nobody can be reached$/,
  ],
  [
    "its own at no port",
    GOOD.replace("10.0.0.2:8080", "10.0.0.2:0"),
    /^F:5:37: peers\.2\.http: .* has port 0/,
  ],
  [
    "clients of another member at all addresses",
    GOOD.replace("10.0.0.1:8080", "[::]:8080"),
    /^F:4:37: peers\.1\.http: "\[::\]:8080" is where to listen, .*; give the address of node 1$/,
  ],
  [
    "one address for clients of two members",
    GOOD.replace("10.0.0.2:8080", "10.0.0.1:8080"),
    /^F:5:37: peers\.2\.http: 10\.0\.0\.1:8080, where clients reach node 2, is where clients reach node 1: each listens at/,
  ],
  [
    "the same in two spellings",
    GOOD.replace("10.0.0.1:8080", "[fd00::1]:8080").replace("10.0.0.2:8080", "[FD00:0::1]:8080"),
    /^F:5:\d+: peers\.2\.http: \[FD00:0::1\]:8080, where clients reach node 2, is where clients reach node 1/,
  ],
  [
    "clients where another member is",
    GOOD.replace("10.0.0.2:8080", "10.0.0.1:7001"),
    /^F:5:37: peers\.2\.http: 10\.0\.0\.1:7001, where clients reach node 2, is that of node 1: each listens at/,
  ],
  ["no YAML", `${GOOD}peers: [\n`, /^F:\d+:\d+: this is no YAML: /],
  [
    "two documents",
    `${GOOD}---\nid: 3\n`,
    /^F:7:1: a second document begins here \(---\): a configuration is one$/,
  ],
  ["an alias of nothing", `${GOOD}tickMs: *none\n`, /^F:1:1: this is no YAML: unresolved alias .*: none$/],
  [
    "a secret that is a number",
    GOOD.replace(/secretFile.*\n/, "secret: 12345678901234567890\n"),
    /^F:6:9: secret: must be text, not this: put it in quotes$/,
  ],
  ["a field twice", `${GOOD}id: 3\n`, /^F:7:1: this is no YAML: map keys must be unique$/],
  ["nothing at all", "", /^F:1:1: dataDir is missing/],
];

for (const [what, text, expected] of WRONG) {
  test(`refused with its place: ${what}`, async () => {
    await assert.rejects(parseConfig(text, FILE), (error) => {
      assert.ok(error instanceof ConfigError, String(error));
      const said = error.message.replace(FILE, "F");
      assert.match(said, expected);
      assert.ok(!said.includes("abcdefghijklmnopqrst"), "a secret does not belong into a message");
      return true;
    });
  });
}

test("a file that is not there", async () => {
  await assert.rejects(
    readConfig(join(dir, "none.yaml")),
    /none\.yaml: the configuration cannot be read \(ENOENT\)/,
  );
});

test("what the start refuses --check refuses, with its place, and touches nothing", async () => {
  const text = GOOD.replace("dataDir: data", "dataDir: untouched");
  const short = text.replace(/secretFile.*\n/, "secret: short\n");
  const clash = text.replace("10.0.0.1:7001", "10.0.0.2:7001");
  writeFileSync(join(dir, "short.key"), "short\n");
  const cases: [string, RegExp][] = [
    [short, /^F:6:9: secret: .*16 bytes/],
    [`${text}otherSecretFile: short.key\n`, /^F:7:18: otherSecretFile: .*16 bytes/],
    [clash, /^F:4:3: peers: nodes 1 and 2 have the same address/],
    [text.replace("10.0.0.1:7001", "10.0.0.1:0"), /^F:4:14: peers\.1\.raft: .* has port 0/],
    [`${text}listen: "127.0.0.1:7999"\n`, /^F:7:9: listen: .* is not the address that peers gives/],
    [
      `${text}tls: { ca: a.pem, cert: b.pem, key: c.pem }\n`,
      /^F:7:12: tls\.ca: cannot read .*\.pem \(ENOENT\)$/,
    ],
    [text.replace("untouched", "node.yaml/x"), /^F:2:10: dataDir: cannot make .*node\.yaml is no directory$/],
    [text.replace("untouched", "node.yaml"), /^F:2:10: dataDir: cannot use .*node\.yaml is no directory$/],
  ];
  if (existsSync("/proc/self"))
    cases.push([
      text.replace("untouched", "/proc/x/y"),
      /^F:2:10: dataDir: cannot make \/proc\/x\/y: \/proc is the kernel's/,
    ]);
  for (const [given, expected] of cases) {
    const config = await parseConfig(given, FILE);
    const isRefusal = (error: Error) => {
      assert.match(error.message.replace(FILE, "F"), expected);
      return error instanceof ConfigError;
    };
    await assert.rejects(checkConfig(config), isRefusal);
    await assert.rejects(Service.open(config, newLogger("error", process.stderr, 2)), isRefusal);
  }
  await checkConfig(await parseConfig(text, FILE));
  assert.equal(existsSync(join(dir, "untouched")), false);
});

test("where clients cannot be served has its place", async (t) => {
  const taken = await listen(t, createServer());
  const text = `id: 1
dataDir: taken
peers:
  1: { raft: "127.0.0.1:0", http: "${taken}" }
secret: 0123456789abcdef
durability: none
`;
  const cases: [string, RegExp][] = [
    [text, /^F:4:35: peers\.1\.http: cannot listen at .*: something listens there already/],
    [`${text}http: "${taken}"\n`, /^F:7:7: http: cannot listen at/],
  ];
  for (const [given, expected] of cases) {
    const config = await parseConfig(given, FILE);
    await assert.rejects(Service.open(config, newLogger("error", process.stderr, 1)), (error: Error) => {
      assert.match(error.message.replace(FILE, "F"), expected);
      return error instanceof RaftmarkError && error.code === "RAFT_ADDRESS_IN_USE";
    });
  }
});
