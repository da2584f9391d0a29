import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { scryptSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTcpServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { crc32c } from "../../src/base/crc32c.js";
import { LINK_PATH } from "../../src/link/acceptor.js";
import { clusterKey } from "../../src/link/cluster-key.js";
import { Dialer } from "../../src/link/dialer.js";
import {
  AcceptorHandshake,
  DialerHandshake,
  HANDSHAKE_VERSION,
  type Identity,
} from "../../src/link/handshake.js";
import {
  CloseBadCluster,
  CloseBadFrame,
  CloseBadKey,
  CloseBadMessage,
  CloseBadVersion,
  CloseDuplicateId,
  CloseReplaced,
  CloseTimeout,
  CloseUnknownPeer,
  CloseWrongNode,
  createUwsLink,
  type UwsLink,
  type UwsLinkOptions,
} from "../../src/link/index.js";
import { type Lane, LaneBulk, LaneExpress } from "../../src/link/lanes.js";
import { loadNativeUws } from "../../src/link/native-uws.js";
import { Message, MsgApp, MsgAppResp, MsgHeartbeat, MsgHup, MsgProp } from "../../src/raft/raftpb/index.js";
import { FrameReader, FrameWriter } from "../../src/wire/index.js";
import { deadAddress, listen } from "../listen.js";
import { append, Ear, response } from "./ear.js";
import { CLUSTER, type Node, SECRET, startNode } from "./started.js";

const KEY = await clusterKey(SECRET);
const NOTHING = new Uint8Array(0);

const identity = (id: number) => ({
  id,
  clusterId: CLUSTER,
  key: KEY,
  incarnation: id,
  frameTags: false,
});

/** Plays the acceptor's part towards whoever dials `socket`, and then calls `trusted`. */
function acceptGuest(socket: WebSocket, id: number, trusted: () => void = () => {}): void {
  const handshake = new AcceptorHandshake(identity(id));
  socket.send(handshake.challenge());
  socket.once("message", (proof: Buffer) => {
    assert.equal(handshake.verify(proof).code, 0);
    socket.send(handshake.accept(NOTHING));
    socket.once("message", (welcome: Buffer) => {
      assert.equal(handshake.finish(welcome).code, 0);
      trusted();
    });
  });
}

const addressOf = (link: UwsLink): string => `127.0.0.1:${link.port}`;

async function acquaint(nodes: Record<number, Node>): Promise<void> {
  const ids = Object.keys(nodes).map(Number);
  for (const id of ids) {
    for (const other of ids) if (other !== id) nodes[id]!.link.setPeer(other, addressOf(nodes[other]!.link));
  }
  for (const id of ids) {
    const others = ids.filter((other) => other !== id);
    await nodes[id]!.ear.until(() => others.every((other) => nodes[id]!.ear.peers.includes(`+${other}`)));
  }
}

async function startCluster(t: TestContext, ids: number[], options: Partial<UwsLinkOptions> = {}) {
  const nodes: Record<number, Node> = {};
  for (const id of ids) nodes[id] = await startNode(t, id, options);
  await acquaint(nodes);
  return nodes;
}

/** Dials `link` as peer `id` by hand and proves the key. What comes in then is the test's. */
async function dialAs(
  t: TestContext,
  link: UwsLink,
  id: number,
  to: number,
  lane: Lane = LaneBulk,
): Promise<WebSocket> {
  const socket = new WebSocket(`ws://${addressOf(link)}${LINK_PATH}`, { perMessageDeflate: false });
  t.after(() => socket.terminate());
  const handshake = new DialerHandshake(identity(id), to, lane);
  const [challenge] = (await once(socket, "message")) as [Buffer];
  const step = handshake.answer(challenge, NOTHING);
  assert.equal(step.code, 0);
  socket.send(step.answer);
  const [accept] = (await once(socket, "message")) as [Buffer];
  assert.equal(handshake.verify(accept).code, 0);
  socket.send(handshake.welcome());
  return socket;
}

/** A server of WebSockets at a peer's address: it answers pings if it may, and says what its test has it say. */
async function impostor(
  t: TestContext,
  autoPong = true,
): Promise<{ server: WebSocketServer; address: string }> {
  const http = createServer();
  const server = new WebSocketServer({ server: http, path: LINK_PATH, autoPong });
  return { server, address: await listen(t, http) };
}

/** A peer by hand: accepts whoever dials, as node `id`, and sends `bytes` once it is trusted. */
async function acceptAs(
  t: TestContext,
  id: number,
  bytes: Uint8Array,
): Promise<{ address: string; closed: Promise<number> }> {
  const { server, address } = await impostor(t);
  const closed = new Promise<number>((resolve) => {
    server.on("connection", (socket) => {
      acceptGuest(socket, id, () => socket.send(bytes));
      socket.once("close", resolve);
    });
  });
  return { address, closed };
}

test("the implementation that runs is told", (t) => {
  const options = { id: 1, clusterId: CLUSTER, listen: "127.0.0.1:0", peers: {}, secret: SECRET };
  const { implementation } = createUwsLink(options);
  t.diagnostic(`links accept with ${implementation}`);
  if (loadNativeUws() === null) assert.match(implementation, /^ws on node:net \(/);
  else assert.match(implementation, /^uWebSockets\.js \d+\.\d+\.\d+ \(native\)$/);
  assert.match(createUwsLink({ ...options, acceptor: "ws" }).implementation, /^ws /);
});

for (const acceptor of [undefined, "ws"] as const) {
  const on = acceptor === "ws" ? " (ws)" : "";

  test(`three nodes exchange messages, each pair's in order${on}`, async (t) => {
    const nodes = await startCluster(t, [1, 2, 3], { acceptor });
    const count = 300;
    for (let i = 0; i < count; i++) {
      for (const from of [1, 2, 3]) {
        const others = [1, 2, 3].filter((id) => id !== from);
        const batch = others.flatMap((to) => [response(from, to, 2 * i), response(from, to, 2 * i + 1)]);
        nodes[from]!.ear.insideSend = true;
        nodes[from]!.link.send(7, batch);
        nodes[from]!.ear.insideSend = false;
      }
    }
    for (const id of [1, 2, 3]) {
      const { ear } = nodes[id]!;
      await ear.until(() => ear.messages.length === 4 * count);
      for (const from of [1, 2, 3].filter((other) => other !== id)) {
        const indexes = ear.messages
          .filter((message) => message.from === from)
          .map((message) => message.index);
        assert.deepEqual(indexes, [...Array(2 * count).keys()]);
        assert.ok(ear.senders.includes(`${from}/7`));
      }
      assert.deepEqual(ear.unreachable, []);
    }
    const stats = nodes[1]!.link.stats();
    assert.equal(stats.framesSent, 2 * count);
    assert.equal(stats.messagesSent, 4 * count);
    assert.equal(stats.messagesReceived, 4 * count);
  });

  test(`large messages arrive whole, and a batch above the frame's target in several frames${on}`, async (t) => {
    const nodes = await startCluster(t, [1, 2], { acceptor, frameTargetBytes: 1 << 20 });
    const { link } = nodes[1]!;
    const { ear } = nodes[2]!;
    const large = new Uint8Array(20 << 20).map((_, i) => i * 7 + (i >> 11));
    link.send(0, [append(1, 2, 0, large)]);
    const part = large.subarray(0, 300_000);
    link.send(
      0,
      [...Array(10).keys()].map((i) => append(1, 2, i + 1, part)),
    );
    await ear.until(() => ear.messages.length === 11);
    assert.equal(Buffer.compare(ear.messages[0]!.entries[0]!.data, large), 0);
    assert.deepEqual(
      ear.messages.map((message) => message.index),
      [...Array(11).keys()],
    );
    assert.equal(Buffer.compare(ear.messages[10]!.entries[0]!.data, part), 0);
    assert.equal(link.stats().framesSent, 1 + 4);
  });

  test(`a peer that restarts at its address is heard again${on}`, async (t) => {
    const nodes = await startCluster(t, [1, 2], { acceptor });
    const first = nodes[1]!;
    const port = nodes[2]!.link.port;
    await nodes[2]!.link.close();
    await first.ear.until(() => first.ear.peers.includes("-2"));
    assert.deepEqual(first.ear.unreachable, [2]);
    first.link.send(0, [response(1, 2, 1)]);
    await first.ear.until(() => first.ear.unreachable.length === 2);
    const peers = { 1: addressOf(first.link) };
    const again = await startNode(t, 2, { acceptor, listen: `127.0.0.1:${port}`, peers });
    await first.ear.until(() => first.ear.peers.length === 3);
    await again.ear.until(() => again.ear.peers.length === 1);
    assert.deepEqual(first.ear.peers, ["+2", "-2", "+2"]);
    first.link.send(0, [response(1, 2, 5)]);
    again.link.send(0, [response(2, 1, 6)]);
    await again.ear.until(() => again.ear.messages.length === 1);
    await first.ear.until(() => first.ear.messages.length === 1);
    assert.equal(again.ear.messages[0]!.index, 5);
  });

  test(`the port of another node is refused, with its address${on}`, async (t) => {
    const { link } = await startNode(t, 1, { acceptor });
    const listen = addressOf(link);
    const second = createUwsLink({ id: 2, clusterId: CLUSTER, listen, peers: {}, secret: SECRET, acceptor });
    await assert.rejects(second.start(new Ear()), (error: Error & { code: string }) => {
      assert.equal(error.code, "RAFT_ADDRESS_IN_USE");
      assert.ok(error.message.includes(listen), error.message);
      return true;
    });
  });

  test(`a peer that does not read: frames are dropped, and reported later${on}`, async (t) => {
    const { link, ear } = await startNode(t, 1, {
      acceptor,
      maxBackpressureBytes: 1 << 20,
      peers: { 2: "127.0.0.1:1" },
    });
    const deaf = await dialAs(t, link, 2, 1);
    deaf.pause();
    const data = new Uint8Array(1 << 20);
    ear.insideSend = true;
    for (let i = 0; i < 64; i++) link.send(0, [append(1, 2, i, data)]);
    ear.insideSend = false;
    assert.ok(link.stats().framesDropped > 0, "nothing was dropped");
    assert.ok(link.stats().framesSent < 40);
    await ear.until(() => ear.unreachable.length > 0);
    assert.deepEqual(ear.unreachable, [2]);
    deaf.terminate();
    await ear.until(() => ear.peers.includes("-2"));
  });

  test(`a newer connection of a peer replaces the older${on}`, async (t) => {
    const { link, ear } = await startNode(t, 1, { acceptor, peers: { 2: "127.0.0.1:1" } });
    const older = await dialAs(t, link, 2, 1);
    const closed = once(older, "close") as Promise<[number]>;
    const newer = await dialAs(t, link, 2, 1);
    assert.equal((await closed)[0], CloseReplaced);
    const frame = once(newer, "message");
    link.send(0, [response(1, 2, 9)]);
    await frame;
    // What is lost, before what is sent again because the newer one is there.
    assert.deepEqual(ear.told, ["+2", "lost 2", "-2", "+2"]);
  });
}

/** The types of the messages in a frame. */
function typesIn(frame: Buffer, self: number, from: number): number[] {
  const inbox: Message[] = [];
  const reader = new FrameReader({ clusterId: CLUSTER, self, crc32c });
  assert.equal(reader.read(new Uint8Array(frame), from, inbox), null);
  return inbox.map((message) => message.type);
}

test("what has a timer waiting goes past bulk, on a connection of its own where there is one", async (t) => {
  const { link, ear } = await startNode(t, 1, { peers: { 2: "127.0.0.1:1" }, frameTags: false });
  const bulk = await dialAs(t, link, 2, 1, LaneBulk);
  const heard: string[] = [];
  const listen = (socket: WebSocket, lane: string): void => {
    socket.on("message", (frame: Buffer) => {
      for (const type of typesIn(frame, 2, 1)) heard.push(`${lane} ${type}`);
      ear.changed();
    });
  };
  listen(bulk, "bulk");
  const heartbeat = Object.assign(new Message(MsgHeartbeat), { from: 1, to: 2, term: 1 });
  await ear.until(() => ear.peers.length === 1);
  link.send(0, [append(1, 2, 1, new Uint8Array(9)), heartbeat]);
  await ear.until(() => heard.length === 2);
  assert.deepEqual(heard.sort(), [`bulk ${MsgApp}`, `bulk ${MsgHeartbeat}`]);
  const express = await dialAs(t, link, 2, 1, LaneExpress);
  listen(express, "express");
  while (!heard.includes(`express ${MsgHeartbeat}`)) {
    link.send(0, [heartbeat]);
    await new Promise((done) => setTimeout(done, 5));
  }
  heard.length = 0;
  // The peer stops reading bulk, of which a lot waits.
  bulk.pause();
  const data = new Uint8Array(1 << 20);
  for (let i = 0; i < 20; i++) link.send(0, [append(1, 2, i + 2, data)]);
  link.send(0, [heartbeat, response(1, 2, 3)]);
  await ear.until(() => heard.includes(`express ${MsgAppResp}`));
  // What became of a forwarded proposal is in front of the entries on bulk, and of all that waits there on express.
  link.send(0, [Object.assign(new Message(MsgProp), { from: 1, to: 2, term: 1, index: 9 })]);
  await ear.until(() => heard.includes(`express ${MsgProp}`));
  assert.ok(!heard.includes(`bulk ${MsgApp}`));
  // Losing it loses no append, and what is express has bulk again.
  express.terminate();
  bulk.resume();
  await ear.until(() => heard.filter((what) => what === `bulk ${MsgApp}`).length === 20);
  await ear.until(() => heard.includes(`bulk ${MsgProp}`));
  while (!heard.includes(`bulk ${MsgAppResp}`)) {
    link.send(0, [response(1, 2, 4)]);
    await new Promise((done) => setTimeout(done, 5));
  }
  assert.deepEqual(ear.unreachable, []);
  assert.deepEqual(ear.peers, ["+2"]);
});

/** Node 1 and a node 2 with other `options` dial each other; what each side says of it. */
async function refusalsBetween(
  t: TestContext,
  options: Partial<UwsLinkOptions>,
  id = 2,
): Promise<[Node, Node]> {
  const one = await startNode(t, 1);
  const two = await startNode(t, id, options);
  one.link.setPeer(2, addressOf(two.link));
  two.link.setPeer(1, addressOf(one.link));
  await one.ear.until(() => one.refusals.length >= 2);
  await two.ear.until(() => two.refusals.length >= 2);
  return [one, two];
}

const told = ({ refusals }: Node): string[] =>
  refusals.map(({ peer, code, by }) => `${peer} ${code} ${by}`).sort();

test("another key is refused both ways", async (t) => {
  const [one, two] = await refusalsBetween(t, { secret: "another key" });
  // Both dial, so each refuses the other's proof and is refused.
  assert.deepEqual(told(one), [`2 ${CloseBadKey} peer`, `2 ${CloseBadKey} self`]);
  assert.deepEqual(told(two), [`1 ${CloseBadKey} peer`, `1 ${CloseBadKey} self`]);
  one.link.send(0, [response(1, 2, 1)]);
  await one.ear.until(() => one.ear.unreachable.length === 1);
  assert.deepEqual(one.ear.peers, []);
});

test("a peer that refuses every attempt is dialled on, and told of once", async (t) => {
  const { link, ear, refusals } = await startNode(t, 1);
  const { server, address } = await impostor(t);
  let attempts = 0;
  server.on("connection", (socket) => {
    socket.send(new AcceptorHandshake(identity(2)).challenge());
    socket.once("message", () => socket.close(CloseBadKey));
    socket.once("close", () => {
      attempts++;
      ear.changed();
    });
  });
  link.setPeer(2, address);
  await ear.until(() => attempts === 4);
  assert.deepEqual(refusals, [{ peer: 2, code: CloseBadKey, reason: "bad key", by: "peer" }]);
});

test("a secret is changed member by member: at each step each hears the other, and behind the last the old one is refused", async (t) => {
  const before = "the secret as it was";
  const then = "the secret as it will be";
  const steps = [
    { secret: before },
    { secret: before, otherSecret: then },
    { secret: then, otherSecret: before },
    { secret: then },
  ];
  for (let step = 1; step < steps.length; step++) {
    for (const [one, two] of [
      [steps[step - 1], steps[step]],
      [steps[step], steps[step]],
    ]) {
      const nodes = { 1: await startNode(t, 1, one), 2: await startNode(t, 2, two) };
      await acquaint(nodes);
      nodes[1].link.send(0, [append(1, 2, 1, NOTHING)]);
      await nodes[2].ear.until(() => nodes[2].ear.messages.length > 0);
      assert.deepEqual([...told(nodes[1]), ...told(nodes[2])], []);
    }
  }
  const one = await startNode(t, 1, steps[3]);
  const old = await startNode(t, 2, steps[0]);
  old.link.setPeer(1, addressOf(one.link));
  await one.ear.until(() => one.refusals.length > 0);
  assert.deepEqual(told(one), [`2 ${CloseBadKey} self`]);
});

test("another cluster is refused", async (t) => {
  const one = await startNode(t, 1);
  const two = await startNode(t, 2, { clusterId: CLUSTER + 1 });
  one.link.setPeer(2, addressOf(two.link));
  two.link.setPeer(1, addressOf(one.link));
  // Both have the key, and are told; a stranger would not be.
  await one.ear.until(() => one.refusals.length >= 2);
  await two.ear.until(() => two.refusals.length >= 2);
  assert.deepEqual(told(one), [`2 ${CloseBadCluster} peer`, `2 ${CloseBadCluster} self`]);
  assert.deepEqual(told(two), [`1 ${CloseBadCluster} peer`, `1 ${CloseBadCluster} self`]);
});

test("an unknown peer is refused, also with the right key", async (t) => {
  const one = await startNode(t, 1);
  const three = await startNode(t, 3, { peers: { 1: addressOf(one.link) } });
  await three.ear.until(() => three.refusals.length > 0);
  assert.deepEqual(told(three), [`1 ${CloseUnknownPeer} peer`]);
  assert.deepEqual(told(one), [`3 ${CloseUnknownPeer} self`]);
});

for (const acceptor of [undefined, "ws"] as const) {
  test(`of two nodes with one id the second is refused, and both sides know${acceptor === "ws" ? " (ws)" : ""}`, async (t) => {
    const one = await startNode(t, 1, { peers: { 2: "127.0.0.1:1" }, acceptor });
    const peers = { 1: addressOf(one.link) };
    const first = await startNode(t, 2, { peers, acceptor });
    await one.ear.until(() => one.ear.peers.includes("+2"));
    const second = await startNode(t, 2, { peers, acceptor });
    await one.ear.until(() => told(one).includes(`2 ${CloseDuplicateId} self`));
    await second.ear.until(() => told(second).includes(`1 ${CloseDuplicateId} peer`));
    for (let index = 0; first.ear.messages.length < 5; index++) {
      one.link.send(0, [response(1, 2, index)]);
      await new Promise((done) => setTimeout(done, 5));
    }
    assert.ok(!told(first).includes(`1 ${CloseDuplicateId} peer`));
    // It learns of the other by that.
    assert.ok(told(first).includes(`1 ${CloseReplaced} peer`));
    // The first gone, the second is as good as any.
    await first.link.close();
    const heard = second.ear.messages.length;
    for (let index = 0; second.ear.messages.length === heard; index++) {
      one.link.send(0, [response(1, 2, index)]);
      await new Promise((done) => setTimeout(done, 5));
    }
  });
}

test("a node dialled as another is refused", async (t) => {
  const one = await startNode(t, 1);
  const three = await startNode(t, 3);
  one.link.setPeer(2, addressOf(three.link));
  await one.ear.until(() => one.refusals.length > 0);
  await three.ear.until(() => three.refusals.length > 0);
  assert.deepEqual(told(one), [`2 ${CloseWrongNode} peer`]);
  assert.deepEqual(told(three), [`1 ${CloseWrongNode} self`]);
});

test("who dials without the key learns neither cluster nor node, nor whether it guessed them", async (t) => {
  const { link } = await startNode(t, 1);
  const dial = async (guess: Partial<Identity>, node: number): Promise<[Buffer, number]> => {
    const socket = new WebSocket(`ws://${addressOf(link)}${LINK_PATH}`);
    const [challenge] = (await once(socket, "message")) as [Buffer];
    const key = new Uint8Array(32);
    socket.send(
      new DialerHandshake({ ...identity(2), key, ...guess }, node).answer(challenge, NOTHING).answer,
    );
    const [code] = (await once(socket, "close")) as [number];
    return [challenge, code];
  };
  for (const [guess, node] of [
    [{}, 1],
    [{ clusterId: CLUSTER + 1 }, 1],
    [{}, 3],
  ] as const) {
    const [challenge, code] = await dial(guess, node);
    assert.equal(code, CloseBadKey);
    // Behind magic, version, kind, lane and flags.
    assert.deepEqual(challenge.subarray(8, 32), Buffer.alloc(24));
  }
  // With the key it is told.
  assert.equal((await dial({ key: KEY, clusterId: CLUSTER + 1 }, 1))[1], CloseBadCluster);
  assert.equal((await dial({ key: KEY }, 3))[1], CloseWrongNode);
});

test("a node of an older version at a peer's address is refused, by the version", async (t) => {
  const { server, address } = await impostor(t);
  server.on("connection", (socket) => {
    const challenge = new AcceptorHandshake(identity(2)).challenge();
    challenge[4]--;
    socket.send(challenge);
  });
  const { ear, refusals } = await startNode(t, 1, { peers: { 2: address } });
  await ear.until(() => refusals.length > 0);
  assert.deepEqual(
    refusals.map(({ peer, code, by, reason }) => ({ peer, code, by, reason })),
    [
      {
        peer: 2,
        code: CloseBadVersion,
        by: "self",
        reason:
          `bad version (version ${HANDSHAKE_VERSION - 1} of the protocol between nodes there, ` +
          `${HANDSHAKE_VERSION} here)`,
      },
    ],
  );
});

test("the key that is proved is derived slowly from the secret, once a process", async () => {
  const derived = scryptSync(SECRET, "raftmark link 3", 32, { N: 2 ** 15, r: 8, p: 1, maxmem: 2 ** 26 });
  assert.deepEqual(Buffer.from(KEY), derived);
  assert.equal(clusterKey(SECRET), clusterKey(SECRET));
});

test("another version of the handshake is refused", async (t) => {
  const { link, ear, refusals } = await startNode(t, 1);
  const socket = new WebSocket(`ws://${addressOf(link)}${LINK_PATH}`);
  const [challenge] = (await once(socket, "message")) as [Buffer];
  const proof = new DialerHandshake(identity(2), 1).answer(challenge, NOTHING).answer;
  proof[4]!++;
  // Whatever that version has where ours has a length.
  proof.fill(0xff, 8);
  socket.send(proof);
  const [code] = (await once(socket, "close")) as [number];
  assert.equal(code, CloseBadVersion);
  await ear.until(() => refusals.length === 1);
});

test("garbage instead of a proof is refused, whatever its length", async (t) => {
  const { link } = await startNode(t, 1);
  for (const length of [0, 1, 31, 32, 96, 128, 5000]) {
    const socket = new WebSocket(`ws://${addressOf(link)}${LINK_PATH}`);
    await once(socket, "message");
    socket.send(new Uint8Array(length).fill(length));
    const [code] = (await once(socket, "close")) as [number];
    assert.equal(code, length === 5000 ? 1009 : CloseBadFrame, `${length} bytes`);
  }
});

test("an accept of someone without the key is refused", async (t) => {
  const { link, ear, refusals } = await startNode(t, 1);
  const { server, address } = await impostor(t);
  server.on("connection", (socket) => {
    const handshake = new AcceptorHandshake(identity(2));
    socket.send(handshake.challenge());
    socket.once("message", (proof: Buffer) => {
      handshake.verify(proof);
      const accept = handshake.accept(NOTHING);
      accept[accept.length - 1]! ^= 1;
      socket.send(accept);
    });
  });
  link.setPeer(2, address);
  await ear.until(() => refusals.length > 0);
  assert.equal(refusals[0]!.code, CloseBadKey);
});

test("who answers a dialled connection and does not prove to be the peer is given up, and told", {
  timeout: 30_000,
}, async (t) => {
  const { link, ear, refusals } = await startNode(t, 1);
  const { server, address } = await impostor(t);
  link.setPeer(2, address);
  const [socket] = (await once(server, "connection")) as [WebSocket];
  const [code] = (await once(socket, "close")) as [number];
  assert.equal(code, CloseTimeout);
  await ear.until(() => refusals.length > 0);
  assert.equal(refusals[0]!.code, CloseTimeout);
  await once(server, "connection");
});

test("bad frames of a proved peer close the connection, and reach nobody", async (t) => {
  const writer = new FrameWriter({
    clusterId: CLUSTER,
    from: 2,
    crc32c,
    targetBytes: 1 << 20,
    maxBytes: 1 << 20,
  });
  const frame = (message: Message): Uint8Array => {
    writer.rewind();
    writer.begin(0);
    writer.add(message);
    return writer.finish().slice();
  };
  const flipped = frame(response(2, 1, 1));
  flipped[45]! ^= 4;
  const local = response(2, 1, 1);
  local.type = MsgHup;
  const bad = [
    new Uint8Array(0),
    new Uint8Array(100),
    flipped,
    frame(local),
    frame(response(3, 1, 1)),
    frame(response(2, 3, 1)),
  ];
  for (const bytes of bad) {
    const { link, ear, refusals } = await startNode(t, 1, { frameTags: false });
    const peer = await acceptAs(t, 2, bytes);
    link.setPeer(2, peer.address);
    assert.equal(await peer.closed, CloseBadFrame);
    await ear.until(() => refusals.length > 0);
    assert.equal(refusals[0]!.code, CloseBadFrame);
    assert.equal(ear.messages.length, 0);
    assert.ok(link.stats().framesRefused! > 0);
  }
});

test("what the owner refuses closes the connection with a code and its reason", async (t) => {
  const writer = new FrameWriter({ clusterId: CLUSTER, from: 2, crc32c, targetBytes: 1024, maxBytes: 1024 });
  writer.begin(0);
  writer.add(response(2, 1, 1));
  const peer = await acceptAs(t, 2, writer.finish().slice());
  const { link, ear, refusals } = await startNode(t, 1, { frameTags: false });
  ear.refuses = "nobody says that";
  link.setPeer(2, peer.address);
  assert.equal(await peer.closed, CloseBadMessage);
  await ear.until(() => refusals.length > 0);
  assert.deepEqual(refusals[0], { peer: 2, code: CloseBadMessage, reason: "nobody says that", by: "self" });
});

test("a message above the frame limit is dropped and reported, and the next is sent", async (t) => {
  const nodes = await startCluster(t, [1, 2], { maxFrameBytes: 1 << 20 });
  const { link, ear } = nodes[1]!;
  link.send(0, [append(1, 2, 1, new Uint8Array(1 << 20)), response(1, 2, 2)]);
  await nodes[2]!.ear.until(() => nodes[2]!.ear.messages.length === 1);
  await ear.until(() => ear.unreachable.length === 1);
  assert.equal(nodes[2]!.ear.messages[0]!.index, 2);
});

test("a frame above the receiver's own limit is refused by it", async (t) => {
  const one = await startNode(t, 1);
  const two = await startNode(t, 2, { maxFrameBytes: 1 << 20 });
  await acquaint({ 1: one, 2: two });
  one.link.send(0, [append(1, 2, 1, new Uint8Array(2 << 20))]);
  await two.ear.until(() => two.refusals.length > 0);
  assert.deepEqual(told(two), [`1 ${CloseBadFrame} self`]);
  await one.ear.until(() => one.ear.peers.length >= 3);
  one.link.send(0, [response(1, 2, 2)]);
  await two.ear.until(() => two.ear.messages.length === 1);
});

test("absent and unknown peers are reported once a turn, after send", async (t) => {
  const { link, ear } = await startNode(t, 1, { peers: { 2: "127.0.0.1:1" } });
  ear.insideSend = true;
  for (let i = 0; i < 5; i++) link.send(0, [response(1, 2, i), response(1, 9, i)]);
  ear.insideSend = false;
  await ear.until(() => ear.unreachable.length > 0);
  assert.deepEqual(ear.unreachable.sort(), [2, 9]);
  assert.equal(link.stats().framesDropped, 10);
});

test("a peer that is to move is heard where it is, and then dialled where it will be", async (t) => {
  const one = await startNode(t, 1);
  const two = await startNode(t, 2);
  await acquaint({ 1: one, 2: two });
  const there = await startNode(t, 2);
  one.link.setPeer(2, addressOf(there.link));
  two.link.send(0, [response(2, 1, 1)]);
  await one.ear.until(() => one.ear.messages.length === 1);
  assert.deepEqual(two.ear.peers, ["+1"]);
  await two.link.close();
  there.link.setPeer(1, addressOf(one.link));
  await there.ear.until(() => there.ear.peers.includes("+1"));
});

test("a removed peer is cut off", async (t) => {
  const nodes = await startCluster(t, [1, 2]);
  nodes[1]!.link.setPeer(2, null);
  await nodes[2]!.ear.until(() => nodes[2]!.refusals.length > 0);
  assert.deepEqual(told(nodes[2]!), [`1 ${CloseUnknownPeer} peer`]);
  await nodes[2]!.ear.until(() => nodes[2]!.ear.peers.includes("-1"));
});

/** A dialer of `address`, started; `seen` is what it, or the test, noticed. */
function dialerTo(t: TestContext, address: string) {
  const ear = new Ear();
  const seen: string[] = [];
  const see = (what: string): void => {
    seen.push(what);
    ear.changed();
  };
  const [host, port] = address.split(":") as [string, string];
  const dialer = new Dialer({
    self: identity(1),
    peer: 2,
    lane: LaneBulk,
    address: { host, port: Number(port) },
    tls: () => null,
    maxFrameBytes: 1 << 20,
    random: () => 0,
    events: {
      hello: () => NOTHING,
      onHello: () => null,
      onFrame: (_peer, bytes) => {
        see(`frame of ${bytes.length}`);
        return null;
      },
      onRefused: () => see("refused"),
      onUnreached: (_peer, _at, why) => see(`unreached: ${why}`),
      onConnected: () => see("connected"),
    },
  });
  t.after(() => dialer.stop());
  dialer.start();
  return { dialer, ear, seen, see };
}

/** Its peer proves itself, answers no ping, and sends what the test writes. */
async function dialerToHandmade(t: TestContext) {
  const { server, address } = await impostor(t, false);
  const dialled = dialerTo(t, address);
  const { ear, seen, see } = dialled;
  const streams: Socket[] = [];
  server.on("connection", (socket, request) => {
    acceptGuest(socket, 2);
    socket.on("ping", () => see("ping"));
    streams.push(request.socket);
  });
  await ear.until(() => seen.length === 1);
  return { ...dialled, stream: streams[0]! };
}

test("a path that swallows what is to be a connection is given up by the same sweeps, told, and dialled anew", async (t) => {
  const server = createTcpServer();
  const address = await listen(t, server);
  const { dialer, ear, seen, see } = dialerTo(t, address);
  server.on("connection", (socket) => socket.on("error", () => {}).once("data", () => see("asked")));
  await ear.until(() => seen.length === 1);
  for (let sweep = 1; sweep <= 4; sweep++) dialer.sweep();
  assert.deepEqual(seen, ["asked"]);
  dialer.sweep();
  // At once, and not when the time for an upgrade is over.
  assert.deepEqual(seen, ["asked", "unreached: Opening handshake has timed out"]);
  await ear.until(() => seen.length === 3);
  assert.equal(seen[2], "asked");
});

test("a dialled peer is pinged at each sweep, and given up when not a byte comes", async (t) => {
  const { dialer, ear, seen } = await dialerToHandmade(t);
  for (let sweep = 1; sweep <= 3; sweep++) dialer.sweep();
  await ear.until(() => seen.length === 4);
  assert.deepEqual(seen, ["connected", "ping", "ping", "ping"]);
  for (let sweep = 4; sweep <= 6; sweep++) dialer.sweep();
  await ear.until(() => seen.filter((what) => what === "connected").length === 2);
  assert.ok(!seen.includes("refused"));
});

test("a dialled peer that sends one frame slower than the idle timeout is not given up", async (t) => {
  const { dialer, ear, seen, stream } = await dialerToHandmade(t);
  const length = 60_000;
  // The head of a WebSocket message of `length` bytes; the bytes follow one by one.
  stream.write(Uint8Array.of(0x82, 126, length >> 8, length & 255));
  let sent = 0;
  for (; sent < 12; sent++) {
    await new Promise((done) => stream.write(Uint8Array.of(sent), done));
    // Until the dialer has read it: the answer to a ping would come behind, so there is none to wait for.
    await new Promise((done) => setTimeout(done, 20));
    dialer.sweep();
  }
  stream.write(new Uint8Array(length - sent));
  await ear.until(
    () => seen.includes(`frame of ${length}`) || seen.filter((s) => s === "connected").length > 1,
  );
  assert.deepEqual(
    seen.filter((what) => what !== "ping"),
    ["connected", `frame of ${length}`],
  );
});

test("without the native binary the link says so, and nothing else does", async () => {
  const script = `
    import { createUwsLink } from ${JSON.stringify(new URL("../../src/link/index.js", import.meta.url).href)};
    console.log(createUwsLink({ id: 1, clusterId: 1, listen: "127.0.0.1:0", peers: {}, secret: "s" }).implementation);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    env: { ...process.env, UWS_USE_FALLBACK: "1" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  await once(child, "close");
  assert.match(output, /^ws on node:net \(no uWebSockets\.js loads here\)\n$/);
});

test("uWebSockets.js is refused where it is asked for and none loads", () => {
  const options: UwsLinkOptions = { id: 1, clusterId: 1, listen: "127.0.0.1:0", peers: {}, secret: "s" };
  process.env["UWS_USE_FALLBACK"] = "1";
  try {
    assert.throws(() => createUwsLink({ ...options, acceptor: "uws" }), {
      code: "RAFT_BAD_OPTION",
      message:
        /acceptor: "uws" is asked for, and no uWebSockets\.js that loads on Node\.js v\d+.* install one, or use ws/,
    });
  } finally {
    delete process.env["UWS_USE_FALLBACK"];
  }
});

test("options that cannot work are refused at once", () => {
  const good: UwsLinkOptions = { id: 1, clusterId: 1, listen: "127.0.0.1:0", peers: {}, secret: "s" };
  const bad: Partial<UwsLinkOptions>[] = [
    { id: 0 },
    { id: 2 ** 53 },
    { clusterId: -1 },
    { listen: "127.0.0.1" },
    { listen: "127.0.0.1:65536" },
    { listen: "http://127.0.0.1:1" },
    { listen: ":::1" },
    { peers: { 2: "nowhere" } },
    { peers: { 2: "127.0.0.1:0" } },
    { secret: "" },
    { secret: "fifteen bytes..", listen: "0.0.0.0:7001" },
    { secret: "fifteen bytes..", peers: { 2: "10.0.0.2:7001" } },
    { secret: "\u00e4".repeat(7), listen: "10.0.0.1:7001" },
    { idleTimeoutS: 1 },
    { silenceMs: 99 },
    { silenceMs: 8001 },
    { maxFrameBytes: 5 },
    { maxFrameBytes: 5000, frameTargetBytes: 5001 },
    { maxBackpressureBytes: 0.5 },
  ];
  for (const options of bad) {
    const code = "RAFT_BAD_OPTION";
    assert.throws(() => createUwsLink({ ...good, ...options }), { code }, JSON.stringify(options));
  }
  const secret = "\u00e4".repeat(8);
  createUwsLink({ ...good, secret, listen: "[::1]:7001", peers: { 2: "node-2.example.org:7001" } });
  createUwsLink({ ...good, listen: "[::1]:7001", peers: { 2: "localhost:7001", 3: "127.0.0.9:7001" } });
});

test("an address of another machine cannot be listened at", async () => {
  const link = createUwsLink({ id: 1, clusterId: 1, listen: "192.0.2.1:7001", peers: {}, secret: SECRET });
  await assert.rejects(link.start(new Ear()), { code: "RAFT_LINK" });
});

test("after close the process ends, also with strangers connected", { timeout: 60_000 }, async () => {
  const script = `
    import net from "node:net";
    import { createUwsLink } from ${JSON.stringify(new URL("../../src/link/index.js", import.meta.url).href)};
    const handler = { onMessages() {}, onUnreachable() {}, onPeer() { connected(); } };
    let connected; const both = new Promise((resolve) => { connected = resolve; });
    const make = (id) => createUwsLink({ id, clusterId: 1, listen: "127.0.0.1:0", peers: {}, secret: "s" });
    const one = make(1), two = make(2);
    await one.start(handler); await two.start(handler);
    one.setPeer(2, "127.0.0.1:" + two.port); two.setPeer(1, "127.0.0.1:" + one.port);
    one.setPeer(3, "127.0.0.1:1");
    await both;
    const stranger = net.connect(one.port, "127.0.0.1"); stranger.on("error", () => {}); stranger.unref();
    await new Promise((resolve) => stranger.once("connect", resolve));
    await one.close(); await two.close();
    // Of no effect unless something keeps the process alive for so long.
    setTimeout(() => process.exit(3), 5000).unref();
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [code] = (await once(child, "exit")) as [number];
  assert.equal(code, 0);
});

test("a peer of which nobody listens at its address is told, with the address and why", async (t) => {
  const { link, ear } = await startNode(t, 1);
  const told: string[] = [];
  Object.assign(ear, {
    onUnreached: (peer: number, address: string, why: string) => {
      told.push(`${peer} ${address} ${why}`);
      ear.changed();
    },
  });
  link.setPeer(2, await deadAddress());
  await ear.until(() => told.length > 0);
  assert.match(told[0]!, /^2 127\.0\.0\.1:\d+ connect ECONNREFUSED/);
});
