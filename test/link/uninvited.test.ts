// Who reaches a link's port and is no member, on each acceptor: what is answered to a request that is none to upgrade,
// how what is no WebSocket is closed, and that the log is told, once.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { LINK_PATH } from "../../src/link/acceptor.js";
import { type AcceptorKind, CloseBadFrame, type TlsOptions } from "../../src/link/index.js";
import { Authority, NO_OPENSSL } from "./certificates.js";
import { startNode } from "./started.js";

async function start(t: TestContext, acceptor: AcceptorKind | undefined, tls?: TlsOptions) {
  const { link, ear, refusals } = await startNode(t, 1, { peers: { 2: "127.0.0.1:1" }, acceptor, tls });
  return { port: link.port, refusals, ear };
}

/** All that comes until the connection is closed; `behind` is sent once something came. */
async function heard(socket: Socket, first: string, behind: Uint8Array | null = null): Promise<Buffer> {
  const pieces: Buffer[] = [];
  socket.on("error", () => {});
  socket.on("data", (piece: Buffer) => {
    if (pieces.push(piece) === 1 && behind !== null) socket.write(behind);
  });
  socket.write(first);
  await once(socket, "close");
  return Buffer.concat(pieces);
}

function upgrade(
  changes: Readonly<Record<string, string | null>> = {},
  path = LINK_PATH,
  method = "GET",
): string {
  const headers: Record<string, string | null> = {
    Host: "x",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    ...changes,
  };
  const lines = Object.entries(headers).filter(([, value]) => value !== null);
  return `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
}

/** A masked frame, under the mask 0. */
function frame(first: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const size = length < 126 ? [length] : [126, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([first, 0x80 | size[0]!, ...size.slice(1), 0, 0, 0, 0]), payload]);
}

const REQUESTS: [what: string, request: string, status: RegExp][] = [
  ["another path", upgrade({}, "/x"), /^404$/],
  ["a query", upgrade({}, `${LINK_PATH}?x=1`), /^404$/],
  ["another method", upgrade({}, LINK_PATH, "POST"), /^40[04]$/],
  ["another version", upgrade({ "Sec-WebSocket-Version": "12" }), /^426$/],
  ["no version", upgrade({ "Sec-WebSocket-Version": null }), /^426$/],
  ["no key", upgrade({ "Sec-WebSocket-Key": null }), /^40[04]$/],
  ["a key that is none", upgrade({ "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAAA!" }), /^400$/],
  ["another protocol", upgrade({ Upgrade: "h2c" }), /^400$/],
  ["no upgrade", upgrade({ Upgrade: null }), /^40[04]$/],
];

for (const acceptor of [undefined, "ws"] as const) {
  const on = acceptor === "ws" ? " (ws)" : "";

  test(`what is no request to upgrade is answered with why${on}`, { timeout: 60_000 }, async (t) => {
    const { port } = await start(t, acceptor);
    for (const [what, request, status] of REQUESTS) {
      const answer = (await heard(connectTcp(port, "127.0.0.1"), request)).toString("latin1");
      assert.match(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? "none", status, what);
    }
  });

  test(`a message above the limit is closed with 1009, and told once${on}`, {
    timeout: 60_000,
  }, async (t) => {
    const { port, refusals, ear } = await start(t, acceptor);
    for (const length of [5000, 60_000, 5000]) {
      const got = await heard(connectTcp(port, "127.0.0.1"), upgrade(), frame(0x82, new Uint8Array(length)));
      // The last frame: 1009, whatever the reason.
      assert.ok(got.includes(Buffer.from([0x03, 0xf1])), `${length} bytes`);
      await ear.until(() => refusals.length > 0);
    }
    assert.deepEqual(
      refusals.map(({ peer, code, reason, by }) => [peer, code, reason, by]),
      [[0, CloseBadFrame, "bad frame (a message that is too long)", "self"]],
    );
  });
}

test("what is no WebSocket is closed with 1002, and told (ws)", { timeout: 60_000 }, async (t) => {
  const { port, refusals, ear } = await start(t, "ws");
  const got = await heard(connectTcp(port, "127.0.0.1"), upgrade(), frame(0xc2, new Uint8Array(1)));
  assert.ok(got.includes(Buffer.from([0x03, 0xea])));
  await ear.until(() => refusals.length > 0);
  assert.equal(refusals[0]!.reason, "bad frame (bytes that are no WebSocket frame)");
});

test("who never asks for an upgrade is told 408, in the clear and behind TLS; CONNECT is refused (ws)", {
  timeout: 60_000,
  skip: NO_OPENSSL,
}, async (t) => {
  const plain = await start(t, "ws");
  const authority = new Authority();
  t.after(() => authority.remove());
  const pems = authority.member();
  const { port } = await start(t, undefined, pems);
  const encrypted = connectTls({ ...pems, host: "127.0.0.1", port });
  // Without a word of TLS there is nothing to be told in.
  const silent = connectTcp(port, "127.0.0.1");
  const answers = await Promise.all([
    heard(connectTcp(plain.port, "127.0.0.1"), ""),
    heard(connectTcp(plain.port, "127.0.0.1"), "GET / HTTP/1.1\r\nHo"),
    heard(encrypted, upgrade().slice(0, -2)),
    heard(silent, ""),
    heard(connectTcp(plain.port, "127.0.0.1"), "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
  ]);
  const statuses = answers.map(
    (answer) => /^HTTP\/1\.1 (\d+)/.exec(answer.toString("latin1"))?.[1] ?? "none",
  );
  assert.deepEqual(statuses, ["408", "408", "408", "none", "405"]);
});
