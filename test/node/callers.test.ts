// What callers pass and return: nothing of it damages the group, and what cannot be meant is refused at the door.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import vm from "node:vm";
import { type Entry, type Logger, RaftmarkError, RaftNode, type RaftNodeOptions } from "../../src/index.js";
import { type Link, type LinkHandler, MemoryNetwork } from "../../src/link/index.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import { allApplied, leaderOf, Machine, openNode, openNodes, rejection, sole, WAIT_MS } from "./nodes.js";

/** As a caller in JavaScript passes it. */
function propose(node: RaftNode, bytes: unknown, options?: unknown): Promise<unknown> {
  return node.propose(bytes as Uint8Array, options as { signal?: AbortSignal });
}

test("a buffer is the caller's again when propose() returns: filled anew or transferred, it changes no entry", async (t) => {
  const { node, machine } = await sole(t);
  const sizes = [1, 7, 8, 300, 8191, 8192, 200_000];
  const wanted = sizes.map((size, i) => Buffer.alloc(size, 65 + i).toString());
  const shared = new Uint8Array(sizes.at(-1)!);
  const calls = sizes.map((size, i) => node.propose(shared.subarray(0, size).fill(65 + i)));
  const given = new Uint8Array(100).fill(90);
  calls.push(node.propose(given));
  structuredClone(given.buffer, { transfer: [given.buffer] });
  shared.fill(0);
  await Promise.all(calls);
  assert.deepEqual(machine.log, [...wanted, "Z".repeat(100)]);
});

test("many are proposed in one call: an entry each, in order, copied, with the results of each; or refused as a whole", async (t) => {
  const { node, machine } = await sole(t);
  const batch = Array.from({ length: 500 }, (_, i) => Buffer.from(`p${i}`));
  const wanted = batch.map(String);
  const call = node.proposeMany(batch);
  for (const bytes of batch.splice(0)) bytes.fill(0);
  const all = await call;
  assert.deepEqual(machine.log, wanted);
  assert.deepEqual(
    all.map(({ index }) => index - all[0]!.index),
    wanted.map((_, i) => i),
  );
  const cases: [unknown, RegExp][] = [
    [[], /array of one Uint8Array or more, not an empty one/],
    [Buffer.from("a"), /array of one Uint8Array or more, not a Buffer/],
    [[Buffer.from("a"), "b"], /not "b"$/],
    [[Buffer.from("a"), new Uint8Array(0)], /an empty proposal/],
    [
      new Proxy([], { get: (_, key) => (key === "length" ? 1 : assert.fail("mine")) }),
      /cannot be read: mine$/,
    ],
  ];
  for (const [value, text] of cases) {
    const error = await rejection(node.proposeMany(value as Uint8Array[]));
    assert.equal(error.code, "RAFT_BAD_OPTION");
    assert.match(error.message, text);
  }
  assert.equal(machine.log.length, 500);
  // Read once, and not by an iterator of its own: what was checked is what is queued.
  const given: unknown[] = [Buffer.from("a"), "b"];
  const changing = Object.defineProperty([] as Buffer[], 0, { get: () => given.shift() });
  const iterates = Object.assign([Buffer.from("c")], { [Symbol.iterator]: () => ["d"].values() });
  await node.proposeMany(changing);
  await node.proposeMany(iterates as unknown as Buffer[]);
  assert.deepEqual(machine.log.slice(500), ["a", "c"]);
});

test("only bytes can be proposed, and the refusal says what came", async (t) => {
  const { node, machine } = await sole(t);
  const cases: [unknown, RegExp][] = [
    ["hello", /not "hello"$/],
    [5, /not 5$/],
    [undefined, /not undefined$/],
    [null, /not null$/],
    [[1, 2, 3], /not an Array$/],
    [{ length: 5 }, /not an object$/],
    [new ArrayBuffer(8), /not an ArrayBuffer$/],
    [new DataView(new ArrayBuffer(8)), /not a DataView$/],
    [new Uint16Array(4), /not an? Uint16Array$/],
    [new Int8Array(4), /not an Int8Array$/],
    [new Uint8ClampedArray(4), /not an? Uint8ClampedArray$/],
    [new Float64Array(4), /not a Float64Array$/],
    [new Uint8Array(new SharedArrayBuffer(8)), /shared memory.*pass a copy/],
    [Object.create(Uint8Array.prototype), /not an? Uint8Array$/],
  ];
  for (const [value, text] of cases) {
    const error = await rejection(propose(node, value));
    assert.equal(error.code, "RAFT_BAD_OPTION");
    assert.equal(error.mayCommit, false);
    assert.match(error.message, text);
  }
  // Its memory is gone: what is left of it is empty.
  const gone = new Uint8Array(8);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  assert.equal((await rejection(propose(node, gone))).code, "RAFT_BAD_OPTION");
  await propose(node, Buffer.from("a buffer"));
  await propose(node, vm.runInNewContext("Uint8Array.of(104, 105)"));
  await propose(node, new Uint8Array([0, 97, 98, 0]).subarray(1, 3));
  assert.deepEqual(machine.log, ["a buffer", "hi", "ab"]);
  assert.equal(node.status().fault, null);
});

test("a signal is an AbortSignal, or the call is refused", async (t) => {
  const { node, machine } = await sole(t);
  const bytes = Buffer.from("x");
  for (const signal of [null, 5, {}, new EventTarget(), new AbortController()]) {
    for (const call of [
      propose(node, bytes, { signal }),
      node.readBarrier({ signal } as unknown as { signal: AbortSignal }),
      node.whenLeader({ signal } as unknown as { signal: AbortSignal }),
    ]) {
      const error = await rejection(call);
      assert.equal(error.code, "RAFT_BAD_OPTION");
      assert.match(error.message, /^option signal: must be an AbortSignal, not/);
    }
  }
  const unreadable = {
    get signal() {
      throw new Error("no signal");
    },
  };
  for (const options of [null, 5, "x", unreadable]) {
    assert.equal((await rejection(propose(node, bytes, options))).code, "RAFT_BAD_OPTION");
  }
  for (const id of ["2", 0, -1, 1.5, undefined, Number.NaN]) {
    assert.throws(() => node.transferLeadership(id as number), { code: "RAFT_BAD_OPTION" });
  }
  await propose(node, bytes, { signal: undefined });
  await propose(node, bytes, { signal: new AbortController().signal });
  assert.deepEqual(machine.log, ["x", "x"]);
});

test("a length that is not that of the bytes changes no other proposal, and takes in no memory of the process", async (t) => {
  const { node, machine } = await sole(t);
  const lying = (text: string, length: number) =>
    Object.defineProperty(Buffer.from(text), "length", { value: length });
  const calls = [
    node.propose(Buffer.from("before")),
    node.propose(lying("none", Number.NaN)),
    node.propose(lying("longer", 5000)),
    node.propose(lying("shorter", 2)),
    node.propose(Buffer.from("behind")),
  ];
  assert.equal((await rejection(node.propose(lying("", 8)))).code, "RAFT_BAD_OPTION");
  await Promise.all(calls);
  assert.deepEqual(machine.log, ["before", "none", "longer", "shorter", "behind"]);
});

test("a signal that throws fences nothing: every promise settles", async (t) => {
  const { node, machine } = await sole(t);
  const fail = () => {
    throw new Error("a bad signal");
  };
  const signalOf = (methods: object) =>
    ({
      aborted: false,
      addEventListener() {},
      removeEventListener() {},
      ...methods,
    }) as unknown as AbortSignal;
  const deaf = signalOf({ addEventListener: fail });
  // A second call finds nothing of the first.
  for (const call of [node.propose(Buffer.from("x"), { signal: deaf }), node.readBarrier({ signal: deaf })]) {
    assert.equal((await rejection(call)).code, "RAFT_BAD_OPTION");
    assert.equal((await rejection(node.propose(Buffer.from("x"), { signal: deaf }))).code, "RAFT_BAD_OPTION");
  }
  const signal = signalOf({ removeEventListener: fail });
  await node.propose(Buffer.from("y"), { signal });
  await node.readBarrier({ signal });
  assert.deepEqual(machine.log, ["y"]);
  assert.equal(node.status().fault, null);
});

/** What becomes of the node, and of a proposal, whose state machine's apply is this. */
async function applying(
  t: TestContext,
  apply: (entries: readonly Entry[]) => unknown,
): Promise<{ node: RaftNode; error: RaftmarkError; read: RaftmarkError }> {
  const { node } = await sole(t, { stateMachine: { apply } as RaftNodeOptions["stateMachine"] });
  const read = rejection(
    until("fenced", WAIT_MS, () => node.status().fault !== null).then(() => node.readBarrier()),
  );
  const error = await rejection(node.propose(Buffer.from("x")));
  return { node, error, read: await read };
}

test("a promise among the results fences the node, and says so; nobody is told that it is applied", async (t) => {
  const failing = (entries: readonly Entry[]) =>
    entries.map(async () => Promise.reject(new Error("nobody looks at this")));
  for (const apply of [failing, async (entries: readonly Entry[]) => failing(entries)]) {
    const { node, error } = await applying(t, apply);
    assert.equal(error.code, "RAFT_FENCED");
    assert.match(
      error.message,
      /stateMachine\.apply returned what it must not on .*: promises among its results/,
    );
    assert.equal(node.status().state, "StateFenced");
    await node.close();
  }
});

test("a state machine may empty the array that it is given", async (t) => {
  const log: string[] = [];
  const apply = (entries: readonly Entry[]) => {
    const rest = entries as Entry[];
    for (let entry = rest.shift(); entry !== undefined; entry = rest.shift()) log.push(`${entry.data}`);
    return undefined;
  };
  const { node } = await sole(t, { stateMachine: { apply } });
  await Promise.all(["1", "2", "3"].map((text) => node.propose(Buffer.from(text))));
  await node.propose(Buffer.from("4"));
  assert.deepEqual([log, node.status().fault], [["49", "50", "51", "52"], null]);
});

test("results are one an entry; another number is refused, none at all is fine", async (t) => {
  for (const apply of [() => ["a", "b"], (entries: readonly Entry[]) => [...entries, 1]]) {
    const { error } = await applying(t, apply);
    assert.match(
      error.message,
      /stateMachine\.apply returned what it must not on .*: 2 results for 1 entries/,
    );
  }
  for (const [returned, result] of [
    [["a"], "a"],
    [[], undefined],
    [undefined, undefined],
    [null, undefined],
    [7, undefined],
    [new Map(), undefined],
  ]) {
    const stateMachine = { apply: () => returned } as RaftNodeOptions["stateMachine"];
    const { node } = await sole(t, { stateMachine });
    assert.equal((await node.propose(Buffer.from("x"))).result, result);
    await node.close();
  }
});

test("what apply throws is the cause of every rejection", async (t) => {
  const thrown = new Error("out of cheese");
  const { node, error, read } = await applying(t, () => {
    throw thrown;
  });
  assert.equal(error.code, "RAFT_FENCED");
  assert.equal(error.mayCommit, true);
  assert.match(error.message, /out of cheese/);
  assert.equal(error.cause, thrown);
  assert.equal(read.cause, thrown);
  const later = await rejection(node.propose(Buffer.from("y")));
  assert.equal(later.code, "RAFT_FENCED");
  assert.equal(later.cause, thrown);
});

test("a state machine's error is that, whatever code it has: of another node, it says nothing of this one's log", async (t) => {
  const cause = new RaftmarkError("RAFT_LOG_LOST", "the log of a node of another group is lost");
  const fail = (): never => {
    throw cause;
  };
  const odd = {
    // biome-ignore lint/suspicious/noThenProperty: what the test is about.
    get then() {
      return fail();
    },
  };
  for (const apply of [fail, async () => fail(), () => odd, () => [odd], async () => [odd]]) {
    const dir = tempDir(t);
    const { node } = await sole(t, { stateMachine: { apply } as RaftNodeOptions["stateMachine"] }, dir);
    const faults: RaftmarkError[] = [];
    node.onFault = (error) => faults.push(error);
    await rejection(node.propose(Buffer.from("x")));
    assert.deepEqual([faults[0]!.code, faults[0]!.cause], ["RAFT_FENCED", cause]);
    assert.match(faults[0]!.message, /stopped: stateMachine\.apply .*another group/);
    await node.close();
    const again = await sole(t, {}, dir);
    await again.node.propose(Buffer.from("y"));
    assert.deepEqual(again.node.status().lostLogs, []);
    await again.node.close();
  }
});

test("what is thrown may have no text, and counts all the same: in apply, snapshot, a listener and tls", async (t) => {
  const textless = [
    Object.create(null),
    {
      toString() {
        throw new Error("no text");
      },
    },
    Object.defineProperty(new Error(), "message", {
      get() {
        throw new Error("no message");
      },
    }),
  ];
  for (const thrown of textless) {
    const fail = (): never => {
      throw thrown;
    };
    for (const apply of [fail, async () => fail()]) {
      const { node, error } = await applying(t, apply);
      assert.deepEqual([error.code, error.cause], ["RAFT_FENCED", thrown]);
      await node.close();
    }
    const stateMachine = Object.assign(new Machine(), { snapshot: fail });
    const { node } = await sole(t, { stateMachine });
    const told: string[] = [];
    node.on("snapshot", fail);
    node.on("snapshot", ({ error }) => told.push(error!.code));
    await node.propose(Buffer.from("x"));
    assert.equal((await rejection(node.takeSnapshot())).cause, thrown);
    await until("the listener behind it is told", WAIT_MS, () => told.length > 0);
    assert.equal((await rejection(sole(t, { tls: fail }))).code, "RAFT_BAD_OPTION");
    await node.close();
  }
});

test("a fenced or closed node says so in its state, and leads no more", async (t) => {
  const { node } = await applying(t, () => {
    throw new Error("broken");
  });
  const { state, leader, fault } = node.status();
  assert.deepEqual([state, leader], ["StateFenced", 0]);
  assert.match(fault!, /broken/);
  await node.close();
  assert.equal(node.status().state, "StateFenced");
  const other = await sole(t);
  await other.node.close();
  assert.deepEqual([other.node.status().state, other.node.status().leader], ["StateClosed", 0]);
  for (const call of [other.node.propose(Buffer.from("x")), other.node.whenLeader()]) {
    assert.equal((await rejection(call)).code, "RAFT_CLOSED");
  }
});

test("loggers, handlers and listeners that throw or reject end nothing", async (t) => {
  const boom = (): never => {
    throw new Error("boom");
  };
  const logger = { debug: boom, info: boom, warn: boom, error: async () => boom() } as unknown as Logger;
  let broken = false;
  const apply = (): undefined => {
    if (broken) boom();
  };
  const { running } = await openNodes(t, 3, () => ({ logger, stateMachine: { apply } }));
  const faults: RaftmarkError[] = [];
  for (const { node } of running) {
    for (const event of ["leader", "peer", "fault"] as const) {
      node.on(event, boom);
      node.on(event, async () => boom());
    }
    node.on("fault", (error) => faults.push(error));
    node.onFault = boom;
  }
  const { node } = await leaderOf(running);
  await node.propose(Buffer.from("x"));
  broken = true;
  await rejection(node.propose(Buffer.from("y")));
  // Those behind it may never hear that it is committed.
  await until("whoever applied it is fenced, and told", WAIT_MS, () => faults.length > 0);
  for (const each of running) await each.node.close();
});

/** A link whose calls fail when told. */
class FailingLink implements Link {
  readonly implementation = "failing";
  failing = false;
  private readonly link: Link;

  constructor(link: Link) {
    this.link = link;
  }

  start(handler: LinkHandler): Promise<void> {
    return this.link.start(handler);
  }

  send(...args: Parameters<Link["send"]>): void {
    if (this.failing) throw new Error("no route");
    this.link.send(...args);
  }

  setPeer(): void {}

  stats(): ReturnType<Link["stats"]> {
    return this.link.stats();
  }

  async close(): Promise<void> {
    await this.link.close();
    throw new Error("will not close");
  }
}

test("a link that throws loses messages, and no node", async (t) => {
  const dir = tempDir(t);
  const network = new MemoryNetwork();
  const links = [1, 2, 3].map((id) => new FailingLink(network.link(id)));
  const { running } = await openNodes(t, 3, (id) => ({ link: links[id - 1] }), dir);
  const leader = await leaderOf(running);
  await leader.node.propose(Buffer.from("before"));
  const link = links[leader.node.status().id - 1]!;
  link.failing = true;
  leader.node.propose(Buffer.from("meanwhile")).catch(() => {});
  await until(
    "a line",
    WAIT_MS,
    () => leader.lines.matching(/option link: its send\(\) failed: no route/).length > 0,
  );
  link.failing = false;
  await (await leaderOf(running)).node.propose(Buffer.from("after"));
  await allApplied(running, "after");
  for (const { node } of running) {
    assert.equal(node.status().fault, null);
    await node.close();
  }
  // Each left its log to the next.
  for (const { node } of (await openNodes(t, 3, () => ({}), dir)).running) await node.close();
});

test("RAFT_NOT_LEADER carries the leader's id, or 0", async (t) => {
  const network = new MemoryNetwork();
  const dir = tempDir(t);
  const more = { forwardProposals: false };
  const alone = await openNode(t, dir, 1, 3, { link: network.link(1), ...more });
  const nobody = await rejection(alone.node.propose(Buffer.from("x")));
  assert.deepEqual([nobody.code, nobody.leader], ["RAFT_NOT_LEADER", 0]);
  const running = [alone];
  for (const id of [2, 3]) running.push(await openNode(t, dir, id, 3, { link: network.link(id), ...more }));
  const leader = (await leaderOf(running)).node.status().id;
  for (const { node } of running) {
    if (node.status().id === leader) continue;
    const error = await rejection(node.propose(Buffer.from("x")));
    assert.deepEqual([error.code, error.leader], ["RAFT_NOT_LEADER", leader]);
  }
});

test("without a logger a fault goes to standard error; one of apply names the entries, which stay", async (t) => {
  const written: string[] = [];
  t.mock.method(process.stderr, "write", (text: string) => written.push(text) > 0);
  const apply = (): never => {
    throw new Error("broken");
  };
  const { node } = await sole(t, { logger: undefined, stateMachine: { apply } });
  await rejection(node.proposeMany([Buffer.from("x"), Buffer.from("y")]));
  assert.deepEqual(written, [
    "raftmark: node 1 stopped: stateMachine.apply threw on one of the entries 2 to 3. They stay in the log, and stop the " +
      "node at each start, until apply is mended: broken\n",
  ]);
});

test("the constructor says how a node is opened", () => {
  const make = () => new (RaftNode as unknown as new (options: object) => unknown)({ id: 1 });
  assert.throws(make, { code: "RAFT_BAD_OPTION", message: /RaftNode\.open\(options\)/ });
});
