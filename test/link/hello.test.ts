import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  CloseLostLog,
  createUwsLink,
  HELLO_BYTES_MAX,
  type Link,
  type LinkHandler,
  type LinkRefusal,
  MemoryNetwork,
  type UwsLink,
} from "../../src/link/index.js";
import { Ear, response } from "./ear.js";

/** An ear that shows `hello`, and refuses what it is shown for a reason that a test sets. */
class Host extends Ear implements LinkHandler {
  hello: Uint8Array;
  /** "2:abc": peer 2 showed "abc". */
  readonly shown: string[] = [];
  readonly refusals: LinkRefusal[] = [];
  refusesWith: string | null = null;

  constructor(hello: string) {
    super();
    this.hello = Buffer.from(hello);
  }

  onHello(peer: number, hello: Uint8Array): string | null {
    this.shown.push(`${peer}:${Buffer.from(hello).toString()}`);
    this.changed();
    return this.refusesWith;
  }

  onRefused(refusal: LinkRefusal): void {
    this.refusals.push(refusal);
    this.changed();
  }
}

/** Starts two links that meet, the same over sockets and in memory. */
type Meet = (t: TestContext, one: LinkHandler, two: LinkHandler) => Promise<[Link, Link]>;

const overMemory: Meet = async (t, one, two) => {
  const network = new MemoryNetwork();
  const links: [Link, Link] = [network.link(1), network.link(2)];
  t.after(() => links.map((link) => link.close()));
  await links[0].start(one);
  await links[1].start(two);
  return links;
};

const overSockets =
  (acceptor?: "ws"): Meet =>
  async (t, one, two) => {
    const make = (id: number): UwsLink =>
      createUwsLink({ id, clusterId: 1, listen: "127.0.0.1:0", peers: {}, secret: "s", acceptor });
    const links: [UwsLink, UwsLink] = [make(1), make(2)];
    t.after(() => links.map((link) => link.close()));
    await links[0].start(one);
    await links[1].start(two);
    links[0].setPeer(2, `127.0.0.1:${links[1].port}`);
    links[1].setPeer(1, `127.0.0.1:${links[0].port}`);
    return links;
  };

const ways: Record<string, Meet> = { memory: overMemory, native: overSockets(), ws: overSockets("ws") };
for (const [way, meet] of Object.entries(ways)) {
  test(`each is shown the other's hello before a frame counts (${way})`, async (t) => {
    const largest = "x".repeat(HELLO_BYTES_MAX);
    const one = new Host("first of one");
    const two = new Host(largest);
    const [link, other] = await meet(t, one, two);
    await one.until(() => one.peers.includes("+2"));
    await two.until(() => two.peers.includes("+1"));
    link.send(0, [response(1, 2, 7)]);
    other.send(0, [response(2, 1, 8)]);
    await two.until(() => two.messages.length === 1);
    await one.until(() => one.messages.length === 1);
    assert.equal(two.shown[0], "1:first of one");
    assert.equal(one.shown[0], `2:${largest}`);
    assert.deepEqual([...one.refusals, ...two.refusals], []);
  });

  test(`who refuses a hello hears and tells that peer nothing, both know why, until it changes (${way})`, async (t) => {
    const one = new Host("old");
    const two = new Host("new");
    one.refusesWith = "it acknowledged 17 and shows 3 £";
    const [link, other] = await meet(t, one, two);
    await two.until(() => two.refusals.length > 0);
    await one.until(() => one.refusals.length > 0);
    const refusal = { code: CloseLostLog, reason: one.refusesWith };
    assert.deepEqual(one.refusals[0], { peer: 2, ...refusal, by: "self" });
    assert.deepEqual(two.refusals[0], { peer: 1, ...refusal, by: "peer" });
    const attempts = one.shown.length;
    for (let i = 1; one.shown.length < attempts + 3; i++) {
      link.send(0, [response(1, 2, i)]);
      other.send(0, [response(2, 1, i)]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual([...one.messages, ...two.messages], []);
    assert.deepEqual([...one.peers, ...two.peers], []);
    // Told once, however often it is tried.
    assert.equal(one.refusals.length, 1);
    assert.equal(two.refusals.length, 1);

    one.refusesWith = null;
    two.hello = Buffer.from("changed");
    // Nothing dials in memory but what is sent.
    link.send(0, [response(1, 2, 99)]);
    await one.until(() => one.peers.includes("+2"));
    await two.until(() => two.peers.includes("+1"));
    assert.ok(one.shown.includes("2:changed"));
    link.send(0, [response(1, 2, 100)]);
    other.send(0, [response(2, 1, 100)]);
    await two.until(() => two.messages.length > 0);
    await one.until(() => one.messages.length > 0);
    assert.equal(two.messages.at(-1)!.index, 100);
  });

  test(`who shows nothing shows nothing, and is as welcome as the owner says (${way})`, async (t) => {
    const one = new Host("old");
    const two = new Ear();
    await meet(t, one, two);
    await one.until(() => one.peers.includes("+2"));
    await two.until(() => two.peers.includes("+1"));
    assert.equal(one.shown[0], "2:");
  });
}
