import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  CloseBadMessage,
  CloseUnknownPeer,
  type Link,
  type LinkHandler,
  type LinkRefusal,
  MemoryNetwork,
  type MemoryNetworkOptions,
} from "../../src/link/index.js";
import { append, Ear, response } from "./ear.js";

async function start(t: TestContext, options: MemoryNetworkOptions = {}, ids = [1, 2, 3]) {
  const network = new MemoryNetwork(options);
  const links: Record<number, Link> = {};
  const ears: Record<number, Ear> = {};
  for (const id of ids) {
    links[id] = network.link(id);
    ears[id] = new Ear();
    t.after(() => links[id]!.close());
    await links[id]!.start(ears[id]!);
  }
  return { network, links, ears };
}

const indexes = (ear: Ear): number[] => ear.messages.map((message) => message.index);

test("frames arrive in a later turn, in order, and own their bytes", async (t) => {
  const { links, ears } = await start(t);
  const data = new Uint8Array(100).fill(1);
  ears[2]!.insideSend = true;
  for (let i = 0; i < 10; i++) links[1]!.send(3, [append(1, 2, i, data), response(1, 3, i)]);
  ears[2]!.insideSend = false;
  data.fill(2);
  await ears[2]!.until(() => ears[2]!.messages.length === 10);
  assert.deepEqual(indexes(ears[2]!), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(ears[2]!.messages[0]!.entries[0]!.data[50], 1);
  assert.equal(ears[2]!.senders[0], "1/3");
  assert.equal(links[1]!.stats().framesSent, 20);
  assert.equal(links[2]!.stats().messagesReceived, 10);
});

test("a frame that its receiver refuses is told of, and the next one comes", async (t) => {
  const { links, ears } = await start(t);
  const refusals: LinkRefusal[] = [];
  const ear: Ear & Pick<LinkHandler, "onRefused"> = ears[2]!;
  ear.onRefused = (refusal) => refusals.push(refusal);
  ear.refuses = "nobody says that";
  for (let i = 1; i <= 2; i++) {
    links[1]!.send(0, [response(1, 2, i)]);
    await ear.until(() => ear.messages.length === i);
  }
  await new Promise((resolve) => setImmediate(resolve));
  const told = { peer: 1, code: CloseBadMessage, reason: "nobody says that", by: "self" };
  assert.deepEqual(refusals, [told]);
});

test("peers come and go, and what is sent to who is away is reported", async (t) => {
  const { network, links, ears } = await start(t);
  await ears[1]!.until(() => ears[1]!.peers.length === 2);
  await links[2]!.close();
  links[1]!.send(0, [response(1, 2, 1)]);
  await ears[1]!.until(() => ears[1]!.unreachable.includes(2));
  const again = network.link(2);
  t.after(() => again.close());
  const ear = new Ear();
  await again.start(ear);
  await ears[1]!.until(() => ears[1]!.peers.length === 4);
  assert.deepEqual(ears[1]!.peers, ["+2", "+3", "-2", "+2"]);
  links[1]!.send(0, [response(1, 2, 2)]);
  await ear.until(() => ear.messages.length === 1);
});

test("a partition cuts both ways, a cut one way, and heal undoes them", async (t) => {
  const { network, links, ears } = await start(t, { auto: false });
  network.partition([1], [2, 3]);
  network.cut(2, 3);
  const all = [response(1, 2, 1), response(1, 3, 1), response(2, 1, 1), response(2, 3, 1), response(3, 2, 1)];
  const sendAll = (): void => {
    for (const message of all) links[message.from]!.send(0, [message]);
  };
  sendAll();
  assert.equal(network.deliver(), 1);
  assert.deepEqual(indexes(ears[2]!), [1]);
  await ears[1]!.until(() => ears[1]!.unreachable.includes(3));
  network.heal();
  sendAll();
  assert.equal(network.deliver(), all.length);
  await ears[1]!.until(() => ears[1]!.peers.length === 6);
  assert.deepEqual(ears[1]!.peers, ["+2", "+3", "-2", "-3", "+2", "+3"]);
});

for (const ways of ["the way to it", "both ways"]) {
  test(`who is cut off, ${ways}, hears of a refusal when that is healed, and not before`, async (t) => {
    const { network, links, ears } = await start(t, { auto: false }, [1, 2]);
    const told: LinkRefusal[] = [];
    Object.assign(ears[2]!, { onRefused: (refusal: LinkRefusal) => told.push(refusal) });
    network.cut(1, 2);
    if (ways === "both ways") network.cut(2, 1);
    links[1]!.setPeer(2, null);
    network.deliver();
    // Notices come in a turn of their own.
    await new Promise((done) => setImmediate(done));
    assert.deepEqual(told, []);
    network.heal();
    network.deliver();
    await new Promise((done) => setImmediate(done));
    assert.deepEqual(
      told.map(({ peer, code, by }) => [peer, code, by]),
      [[1, CloseUnknownPeer, "peer"]],
    );
  });
}

test("drops and delays repeat from their seed, and keep each pair's order", async (t) => {
  const run = async (seed: number): Promise<number[]> => {
    const { network, links, ears } = await start(t, { auto: false, seed }, [1, 2]);
    network.setDropShare(0.3);
    network.setDelay(5);
    for (let i = 0; i < 100; i++) {
      links[1]!.send(0, [response(1, 2, i)]);
      network.deliver();
    }
    while (network.underWay > 0) network.deliver();
    return indexes(ears[2]!);
  };
  const first = await run(11);
  assert.deepEqual(await run(11), first);
  assert.notDeepEqual(await run(12), first);
  assert.deepEqual(
    first,
    [...first].sort((a, b) => a - b),
  );
  assert.ok(first.length > 50 && first.length < 90, `${first.length} of 100 arrived`);
});
