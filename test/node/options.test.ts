// What a node refuses of its options, and in which words.
import assert from "node:assert/strict";
import { test } from "node:test";
import { RaftmarkError } from "../../src/base/errors.js";
import { MemoryNetwork } from "../../src/link/index.js";
import type { RaftNodeOptions } from "../../src/node/api.js";
import { resolveOptions } from "../../src/node/options.js";

const PEERS = { 1: "127.0.0.1:7001", 2: "127.0.0.1:7002", 3: "127.0.0.1:7003" };

function given(more: Record<string, unknown> = {}): RaftNodeOptions {
  const stateMachine = { apply: () => undefined };
  const base = { id: 1, dir: "d", listen: PEERS[1], peers: PEERS, secret: "k".repeat(16), stateMachine };
  return { ...base, ...more } as RaftNodeOptions;
}

/** The text of the refusal. */
function refusal(options: unknown): string {
  try {
    resolveOptions(options as RaftNodeOptions);
  } catch (error) {
    assert.ok(error instanceof RaftmarkError);
    assert.equal(error.code, "RAFT_BAD_OPTION");
    return error.message;
  }
  throw new assert.AssertionError({ message: `not refused: ${JSON.stringify(options)}` });
}

test("what is wrong is said in our words: option, rule, value", () => {
  const cases: [Record<string, unknown>, string][] = [
    [{ id: "1" }, 'option id: must be a number, not "1"'],
    [{ id: 0 }, "option id: must be at least 1, not 0"],
    [{ id: 1.5 }, "option id: must be an integer, not 1.5"],
    [{ id: Number.NaN }, "option id: must be a number, not NaN"],
    [{ id: 2 ** 53 }, "option id: must be at most 9007199254740991, not 9007199254740992"],
    [{ id: 2n }, "option id: must be a number, not 2n"],
    [{ dir: new URL("file:///d") }, "option dir: must be a string, not a URL"],
    [{ trace: {} }, "option trace: must be a Trace, not an object"],
    [{ walFs: {} }, "option walFs.module: is missing"],
    [{ tickMs: -5 }, "option tickMs: must be at least 1, not -5"],
    [{ maxInflightMsgs: 1e12 }, "option maxInflightMsgs: must be at most 2147483647, not 1000000000000"],
    [{ electionTicks: 1 }, "option electionTicks: must be above heartbeatTicks (1), not 1"],
    [{ dir: "" }, 'option dir: must be a string that is not empty, not ""'],
    [{ dir: "d\0" }, 'option dir: must be a path, which has no NUL character, not "d\\u0000"'],
    [{ dir: undefined }, "option dir: is missing; it must be a string"],
    [{ writer: "wasm" }, 'option writer: must be one of "inline-js", "inline-wasm", "pool-wasm", not "wasm"'],
    [{ secret: 5 }, "option secret: must be a string, not 5"],
    [{ secret: "" }, 'option secret: must be a string that is not empty, not ""'],
    [{ stateMachine: {} }, "option stateMachine: must be an object with the method apply, not an object"],
    [
      { stateMachine: () => {} },
      "option stateMachine: must be an object with the method apply, not a function",
    ],
    [
      { stateMachine: class {} },
      "option stateMachine: must be an object with the method apply, not a function",
    ],
    [{ stateMachine: { apply() {}, restore: 1 } }, "option stateMachine.restore: must be a method, not 1"],
    [
      { logger: { info() {} } },
      "option logger: must be an object with the methods info, warn, error, not an object",
    ],
    [{ peers: ["127.0.0.1:7001"] }, "option peers: must be an object, not an Array"],
    [{ peers: new Map([[1, "127.0.0.1:7001"]]) }, "option peers: must be an object, not a Map"],
    [{ peers: { ...PEERS, 2: 7002 } }, "option peers.2: must be a string, not 7002"],
  ];
  for (const [more, text] of cases) assert.equal(refusal(given(more)), text);
  assert.equal(refusal(undefined), "options: must be an object, not undefined");
});

test("snapshots: what says when needs what takes them, and that what opens them", () => {
  const apply = () => undefined;
  const snapshot = () => new Uint8Array(1);
  const restore = async (): Promise<void> => {};
  const cases: [Record<string, unknown>, string][] = [
    [
      { snapshotEveryBytes: 1 },
      "option snapshotEveryBytes: stateMachine has no method snapshot() to take one with: add it, or leave this out",
    ],
    [{ stateMachine: { apply, snapshot: 1 } }, "option stateMachine.snapshot: must be a method, not 1"],
    [
      { stateMachine: { apply, snapshot } },
      "option stateMachine.restore: is missing: without it the node could not open again once stateMachine.snapshot() was called",
    ],
    [{ snapshotEveryEntries: -1 }, "option snapshotEveryEntries: must be at least 0, not -1"],
    [{ snapshotCatchUpBytes: 0.5 }, "option snapshotCatchUpBytes: must be an integer, not 0.5"],
    [
      { snapshotEveryByte: 1 },
      "option snapshotEveryByte: there is no such option. Did you mean snapshotEveryBytes?",
    ],
  ];
  for (const [more, text] of cases) assert.equal(refusal(given(more)), text);
  const stateMachine = { apply, snapshot, restore };
  const resolved = resolveOptions(given({ stateMachine }));
  assert.equal(resolved.snapshotEveryBytes, 128 << 20);
  assert.equal(resolved.snapshotEveryEntries, 0);
  assert.equal(resolved.snapshotCatchUpBytes, 128 << 20);
  assert.equal(resolveOptions(given({ stateMachine, snapshotEveryBytes: 5 })).snapshotCatchUpBytes, 5);
});

test("a secret that could be guessed will do on this machine alone", () => {
  const abroad = { listen: "0.0.0.0:7001", peers: { ...PEERS, 1: "10.0.0.1:7001" } };
  assert.equal(
    refusal(given({ ...abroad, secret: "hunter2" })),
    "option secret: the cluster's shared key must be a string of at least 16 bytes, and this has 7; make one by: openssl rand -hex 32",
  );
  assert.match(
    refusal(given({ secret: "k", peers: { ...PEERS, 3: "node-3:7001" } })),
    /^option secret: .* this has 1;/,
  );
  resolveOptions(given({ ...abroad, secret: "\u00e4".repeat(8) }));
  resolveOptions(given({ secret: "k", peers: { ...PEERS, 3: "localhost:7001" } }));
  // It is not used.
  resolveOptions(given({ ...abroad, secret: "k", link: new MemoryNetwork().link(1) }));
});

test("an acceptor that is not installed is told from the options", () => {
  process.env["UWS_USE_FALLBACK"] = "1";
  try {
    assert.match(
      refusal(given({ acceptor: "uws" })),
      /^option acceptor: "uws" is asked for, and no uWebSock/,
    );
    // It is not used.
    resolveOptions(given({ acceptor: "uws", link: new MemoryNetwork().link(1) }));
  } finally {
    delete process.env["UWS_USE_FALLBACK"];
  }
});

test("an unknown option is named with the nearest that there is", () => {
  assert.equal(refusal(given({ tickMS: 5 })), "option tickMS: there is no such option. Did you mean tickMs?");
  assert.match(refusal(given({ electionTick: 5 })), /Did you mean electionTicks\?$/);
  assert.match(refusal(given({ zzzzzzzz: 5 })), /there is no such option\.$/);
});

test("ids are written in one way, and each member has an address of its own", () => {
  for (const key of ["01", "1.0", "1e0", " 1", "+1", "0", "-1", "0x1", "x", "9007199254740993", ""]) {
    assert.match(refusal(given({ peers: { ...PEERS, [key]: "127.0.0.1:7009" } })), /is no node id/, key);
  }
  assert.equal(refusal(given({ id: 4 })), "option peers: node 4 itself is not in it; add its address");
  const twice = /nodes 1 and 3 have the same address/;
  for (const [a, b] of [
    ["127.0.0.1:7001", "127.0.0.1:7001"],
    ["Host-A:7001", "host-a:7001"],
    ["[::1]:7001", "[0:0:0:0:0:0:0:1]:7001"],
  ]) {
    assert.match(refusal(given({ listen: a, peers: { ...PEERS, 1: a, 3: b } })), twice, a);
  }
  for (const address of ["0.0.0.0:7002", "[::]:7002"])
    assert.match(
      refusal(given({ peers: { ...PEERS, 2: address } })),
      /^option peers\.2: .*give the address of node 2$/,
    );
  for (const address of ["127.0.0.1", "127.0.0.1:70000", "http://127.0.0.1:1", "::1:7001", ""]) {
    assert.match(refusal(given({ peers: { ...PEERS, 2: address } })), /^option peers\.2: .*write host:port/);
    assert.match(refusal(given({ listen: address })), /^option listen: .*write host:port/);
  }
});

test("nobody can be reached at port 0; a sole member need not be", () => {
  const any = "127.0.0.1:0";
  assert.match(refusal(given({ peers: { ...PEERS, 2: any } })), /^option peers\.2: .*port 0/);
  assert.match(refusal(given({ listen: any, peers: { ...PEERS, 1: any } })), /^option peers\.1: .*port 0/);
  assert.deepEqual(resolveOptions(given({ listen: any, peers: { 1: any } })).voters, [1]);
});

test("a node listens at the address that peers gives to itself", () => {
  const of = (listen: string, own: string) => given({ listen, peers: { ...PEERS, 1: own } });
  for (const [listen, own] of [
    ["127.0.0.1:7009", "127.0.0.1:7001"],
    ["127.0.0.2:7001", "127.0.0.1:7001"],
    ["127.0.0.1:0", "127.0.0.1:7001"],
    ["0.0.0.0:7009", "127.0.0.1:7001"],
    ["[::1]:7001", "127.0.0.1:7001"],
  ]) {
    assert.match(
      refusal(of(listen, own)),
      /^option listen: .* is not the address that peers gives to node 1/,
    );
  }
  for (const [listen, own] of [
    ["0.0.0.0:7001", "10.0.0.1:7001"],
    ["[::]:7001", "10.0.0.1:7001"],
    ["localhost:7001", "127.0.0.1:7001"],
    ["10.0.0.1:7001", "node-1.example.org:7001"],
    ["[::1]:7001", "[0:0::1]:7001"],
  ]) {
    assert.deepEqual(resolveOptions(of(listen, own)).voters, [1, 2, 3]);
  }
  // A link of the caller's does not listen there.
  const link = new MemoryNetwork().link(1);
  assert.equal(resolveOptions({ ...of("127.0.0.1:7009", "127.0.0.1:7001"), link }).id, 1);
});
