import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { LINK_PATH } from "../../src/link/acceptor.js";
import { descriptorLimit } from "../../src/link/descriptors.js";
import { createUwsLink, type UwsLink } from "../../src/link/index.js";
import { type Stranger, Strangers } from "../../src/link/strangers.js";
import { Ear } from "./ear.js";
import { startNode } from "./started.js";

const LINK_MODULE = JSON.stringify(new URL("../../src/link/index.js", import.meta.url).href);
const UPGRADE = [
  `GET ${LINK_PATH} HTTP/1.1`,
  "Host: x",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
  "\r\n",
].join("\r\n");

/** A connection that says `first`, and then one more `drop` each second. */
function stranger(t: TestContext, port: number, first: string, drop: string | Buffer = ""): Socket {
  const socket = connect(port, "127.0.0.1", () => socket.write(first));
  const timer = setInterval(() => socket.write(drop), 1000);
  socket.on("error", () => {});
  socket.on("close", () => clearInterval(timer));
  socket.resume();
  t.after(() => socket.destroy());
  return socket;
}

test("one stranger more than allowed, of an address or in all, takes the place of the oldest", () => {
  const strangers = new Strangers({ max: 4, maxPerAddress: 3 });
  const cut: string[] = [];
  const come = (address: string, name: string): Stranger => {
    const one = { address, expire: () => {}, cut: () => void cut.push(name) };
    strangers.add(one);
    return one;
  };
  come("a", "a1");
  come("b", "b1");
  const a2 = come("a", "a2");
  come("a", "a3");
  assert.deepEqual(cut, []);
  come("a", "a4");
  assert.deepEqual(cut, ["a1"]);
  // Who is proved is no stranger any more.
  strangers.remove(a2);
  come("c", "c1");
  assert.deepEqual(cut, ["a1"]);
  come("d", "d1");
  assert.deepEqual(cut, ["a1", "b1"]);
  strangers.close();
  assert.deepEqual(cut, ["a1", "b1", "a3", "a4", "c1", "d1"]);
  assert.equal(strangers.count, 0);
});

for (const acceptor of [undefined, "ws"] as const) {
  const on = acceptor === "ws" ? " (ws)" : "";

  test(`silent and half-open connections end${on}`, { timeout: 120_000 }, async (t) => {
    const { link, ear } = await startNode(t, 1, { peers: { 2: "127.0.0.1:1" }, acceptor });
    await startNode(t, 2, { peers: { 1: `127.0.0.1:${link.port}` } });
    await ear.until(() => ear.peers.length > 0);
    const ping = Buffer.from([0x89, 0x80, 0, 0, 0, 0]);
    // uWS itself ends what does not upgrade by a clock of 4 s a tick: after 8 to 12.
    const sockets = [
      stranger(t, link.port, UPGRADE),
      stranger(t, link.port, UPGRADE, ping),
      stranger(t, link.port, ""),
      stranger(t, link.port, "GET / HTTP/1.1\r\nHo"),
      stranger(t, link.port, "GET / HTTP/1.1\r\n", "a: b\r\n"),
      stranger(t, link.port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
      stranger(t, link.port, `GET ${LINK_PATH} HTTP/1.1\r\nHost: x\r\n\r\n`),
      stranger(t, link.port, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n", "x"),
    ];
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once("close", resolve))));
    assert.deepEqual(ear.peers, ["+2"], "the peer that came before them stays");
  });

  test(`a flood of strangers takes neither the descriptors nor the peers' places${on}`, {
    skip: descriptorLimit() < 2048 && "there is no telling and no room for a flood here",
    timeout: 60_000,
  }, async (t) => {
    // Node 1, alone in a process that may have 256 descriptors; it says after each line whether it can open a file.
    const script = `
      import { openSync, closeSync } from "node:fs";
      import { createInterface } from "node:readline";
      import { createUwsLink } from ${LINK_MODULE};
      const link = createUwsLink({
        id: 1, clusterId: 1, listen: "127.0.0.1:0", peers: { 2: "127.0.0.1:1", 3: "127.0.0.1:1" }, secret: "s",
        acceptor: ${JSON.stringify(acceptor)},
      });
      await link.start({ onMessages() {}, onUnreachable() {}, onPeer(peer, up) { console.log((up ? "+" : "-") + peer); } });
      console.log(link.port);
      const open = () => {
        try { const fds = Array.from({ length: 20 }, () => openSync("/dev/null")); fds.map(closeSync); return "ok"; }
        catch (error) { return error.code; }
      };
      createInterface({ input: process.stdin }).on("line", () => console.log(open()));
    `;
    const args = ["-c", 'ulimit -n 256; exec "$0" --input-type=module -e "$1"', process.execPath, script];
    const child = spawn("sh", args, { stdio: ["pipe", "pipe", "inherit"] });
    t.after(() => child.kill("SIGKILL"));
    let said = "";
    const ear = new Ear();
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      ear.changed();
    });
    const says = (line: string): Promise<void> => ear.until(() => said.split("\n").includes(line));
    await ear.until(() => said.includes("\n"));
    const port = Number(said.split("\n")[0]);
    const peer = async (id: number): Promise<UwsLink> => {
      const link = createUwsLink({
        id,
        clusterId: 1,
        listen: "127.0.0.1:0",
        peers: { 1: `127.0.0.1:${port}` },
        secret: "s",
      });
      t.after(() => link.close());
      await link.start(new Ear());
      return link;
    };
    await peer(2);
    await says("+2");
    const flood = [...Array(700).keys()].map((i) => stranger(t, port, i % 2 === 0 ? "" : UPGRADE));
    const settled = (socket: Socket) =>
      new Promise((resolve) => {
        socket.once("connect", resolve);
        socket.once("close", resolve);
      });
    await Promise.all(flood.map(settled));
    // Descriptors are counted ten times a second; until then the flood may have them.
    while (!said.includes("ok")) {
      child.stdin.write("?\n");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await peer(3);
    await says("+3");
    assert.ok(!said.includes("-2"), said);
    assert.ok(flood.filter((socket) => !socket.destroyed).length < 256, "the flood stays");
  });
}

test("a link that was closed leaves little behind", { timeout: 60_000 }, async () => {
  const script = `
    import { createUwsLink } from ${LINK_MODULE};
    const cycle = async () => {
      const link = createUwsLink({ id: 1, clusterId: 1, listen: "127.0.0.1:0", peers: {}, secret: "s" });
      const held = new Uint8Array(8 << 20).fill(1);
      await link.start({ onMessages() { return held; }, onUnreachable() {}, onPeer() {} });
      await link.close();
    };
    const held = async () => {
      // What one collection frees lets the next free more.
      for (let i = 0; i < 4; i++) { gc(); await new Promise(setImmediate); }
      return process.memoryUsage().arrayBuffers / 2 ** 20;
    };
    for (let i = 0; i < 10; i++) await cycle();
    const before = await held();
    for (let i = 0; i < 40; i++) await cycle();
    console.log(Math.round(await held() - before));
  `;
  const child = spawn(process.execPath, ["--expose-gc", "--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  await once(child, "close");
  // Of what the owner holds, 320 MiB went through. What the process has of the machine says less: it gives back late.
  assert.match(output, /^-?\d+\n$/);
  assert.ok(Number(output) < 64, `${output.trim()} MiB held`);
});
