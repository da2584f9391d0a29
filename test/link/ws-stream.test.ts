import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { WebSocketServer } from "ws";
import { Prng } from "../../src/base/prng.js";
import { WsDial } from "../../src/link/ws-dial.js";
import { WsStream } from "../../src/link/ws-stream.js";
import {
  refusalAnswer,
  refusalOfBeginning,
  refusalOfRequest,
  refusalOfUpgrade,
  upgradeAnswer,
} from "../../src/link/ws-upgrade.js";
import { Ear } from "./ear.js";

const MAX = 4 << 20;

/** What a stream tells: messages, and everything else by name. */
class Heard {
  readonly ear = new Ear();
  readonly messages: Uint8Array[] = [];
  readonly told: string[] = [];

  private tell(what: string): void {
    this.told.push(what);
    this.ear.changed();
  }

  readonly events = {
    onOpen: () => this.tell("open"),
    onFailed: (error: Error) => this.tell(`failed: ${error.message}`),
    onMessage: (bytes: Uint8Array) => {
      this.messages.push(bytes);
      this.ear.changed();
    },
    onBroken: (code: number) => this.tell(`broken ${code}`),
    onClose: (code: number) => this.tell(`close ${code}`),
  };
}

async function listen(t: TestContext, onConnection: (socket: Socket) => void): Promise<number> {
  const server = createServer(onConnection).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  return (server.address() as { port: number }).port;
}

/** Two ends of a TCP connection, of which ours is the side that dialled, or the other. */
async function streamOver(t: TestContext, dialled: boolean, payloadBytesMax = MAX) {
  let accept: (socket: Socket) => void = () => {};
  const accepted = new Promise<Socket>((resolve) => {
    accept = resolve;
  });
  const theirs = connect(await listen(t, (socket) => accept(socket)), "127.0.0.1");
  const ours = await accepted;
  for (const socket of [theirs, ours]) {
    socket.on("error", () => {});
    t.after(() => socket.destroy());
  }
  const heard = new Heard();
  const stream = new WsStream(ours, dialled, payloadBytesMax, heard.events);
  ours.on("data", (bytes) => stream.feed(bytes, 0, bytes.length));
  return { stream, heard, theirs };
}

/** One frame by hand. */
function frame(first: number, payload: Uint8Array, masked: boolean): Buffer {
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.of(first, length)
      : length < 65536
        ? Buffer.of(first, 126, length >> 8, length & 255)
        : Buffer.concat([Buffer.of(first, 127, 0, 0, 0, 0), u32(length)]);
  if (!masked) return Buffer.concat([head, payload]);
  head[1]! |= 0x80;
  const mask = Buffer.of(1, 2, 3, 4);
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i & 3]!)]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function randomBytes(random: Prng, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = random.nextU32() & 255;
  return bytes;
}

const LENGTHS = [0, 1, 125, 126, 127, 200, 16_384, 16_385, 65_535, 65_536, 65_537, 300_000, 2_500_000];

for (const dialled of [true, false]) {
  const side = dialled ? "that dialled" : "that accepted";

  test(`messages cut anywhere and in any number of frames come in whole, on the side ${side}`, () => {
    const random = new Prng(7);
    const heard = new Heard();
    const written: Buffer[] = [];
    const socket = { on() {}, write: (bytes: Buffer) => written.push(Buffer.from(bytes)), writable: true };
    const stream = new WsStream(
      Object.assign(socket, { writableLength: 0 }) as unknown as Socket,
      dialled,
      MAX,
      heard.events,
    );
    const sent: Uint8Array[] = [];
    const parts: Buffer[] = [];
    let pings = 0;
    for (let round = 0; round < 4; round++) {
      for (const length of LENGTHS) {
        const message = randomBytes(random, length);
        sent.push(message);
        for (let from = 0, frames = 0; ; frames++) {
          const to = round === 0 ? length : Math.min(length, from + 1 + (random.nextU32() % (length + 1)));
          const first = (to === length ? 0x80 : 0) | (frames === 0 ? 2 : 0);
          parts.push(frame(first, message.subarray(from, to), !dialled));
          if (to === length) break;
          from = to;
          if (random.nextU32() % 4 > 0) continue;
          parts.push(frame(0x89, Uint8Array.of(frames & 255), !dialled));
          pings++;
        }
      }
    }
    const all = Buffer.concat(parts);
    const scratch = new Uint8Array(70_000);
    for (let at = 0; at < all.length; ) {
      // What it is fed lies in memory that is written over at once, as that of the next read is.
      const count = Math.min(
        all.length - at,
        1 + (random.nextU32() % (random.nextU32() % 2 === 0 ? 9 : 69_000)),
      );
      scratch.set(all.subarray(at, at + count), 3 % (70_000 - count));
      stream.feed(scratch, 3 % (70_000 - count), (3 % (70_000 - count)) + count);
      scratch.fill(0xee);
      at += count;
    }
    assert.equal(heard.messages.length, sent.length);
    for (let i = 0; i < sent.length; i++) assert.deepEqual(heard.messages[i], sent[i], `message ${i}`);
    assert.equal(written.length, pings);
    assert.deepEqual(heard.told, []);
  });

  for (const [what, bytes, code] of [
    ["a reserved bit", frame(0xc2, Uint8Array.of(1), !dialled), 1002],
    ["an unknown opcode", frame(0x83, Uint8Array.of(1), !dialled), 1002],
    ["an unknown control frame", frame(0x8b, Uint8Array.of(1), !dialled), 1002],
    ["the wrong mask", frame(0x82, Uint8Array.of(1), dialled), 1002],
    ["a continuation of nothing", frame(0x80, Uint8Array.of(1), !dialled), 1002],
    ["a ping in two frames", frame(0x09, Uint8Array.of(1), !dialled), 1002],
    ["a ping that is too long", frame(0x89, new Uint8Array(126), !dialled), 1002],
    ["a close of one byte", frame(0x88, Uint8Array.of(3), !dialled), 1002],
    ["a close code that none may send", frame(0x88, Uint8Array.of(3, 238), !dialled), 1002],
    ["more than it may", frame(0x82, new Uint8Array(1001), !dialled), 1009],
    [
      "more than it may in two frames",
      Buffer.concat([frame(0x02, new Uint8Array(600), !dialled), frame(0x80, new Uint8Array(401), !dialled)]),
      1009,
    ],
    [
      "a message within a message",
      Buffer.concat([frame(0x02, Uint8Array.of(1), !dialled), frame(0x82, Uint8Array.of(1), !dialled)]),
      1002,
    ],
    ["a length beyond all", Buffer.from([0x82, dialled ? 127 : 255, ...new Array(12).fill(255)]), 1009],
  ] as const) {
    test(`${what} ends the connection with ${code}, on the side ${side}`, async (t) => {
      const { heard, theirs } = await streamOver(t, dialled, 1000);
      const answer: Buffer[] = [];
      theirs.on("data", (chunk: Buffer) => {
        answer.push(chunk);
        theirs.end();
      });
      theirs.write(Buffer.concat([bytes, frame(0x82, Uint8Array.of(7), !dialled)]));
      await heard.ear.until(() => heard.told.includes("close 1006"));
      assert.deepEqual(heard.told, [`broken ${code}`, "close 1006"]);
      assert.deepEqual(heard.messages, []);
      const [first, second] = Buffer.concat(answer);
      assert.deepEqual([first, second], [0x88, dialled ? 0x82 : 2]);
    });
  }

  test(`a close is answered with its code, and none is needed, on the side ${side}`, async (t) => {
    for (const code of [1000, 1005, 4005]) {
      const { heard, theirs } = await streamOver(t, dialled);
      theirs.resume();
      const payload = code === 1005 ? new Uint8Array(0) : Uint8Array.of(code >> 8, code & 255, 97);
      theirs.write(frame(0x88, payload, !dialled));
      await heard.ear.until(() => heard.told.length > 0);
      assert.deepEqual(heard.told, [`close ${code}`]);
    }
    const { heard, stream, theirs } = await streamOver(t, dialled);
    stream.close(4000, "enough");
    assert.ok(!stream.isOpen);
    // What comes behind it is not heard, and who does not answer is cut.
    theirs.write(frame(0x82, Uint8Array.of(1), !dialled));
    await heard.ear.until(() => heard.told.length > 0);
    assert.deepEqual(heard.told, ["close 1006"]);
    assert.deepEqual(heard.messages, []);
  });
}

test("what the kernel does not take at once arrives as it was when it was sent", async (t) => {
  const { stream, theirs } = await streamOver(t, false);
  const random = new Prng(3);
  const sent: Uint8Array[] = [];
  theirs.pause();
  for (let i = 0; i < 400; i++) {
    const message = randomBytes(random, random.nextU32() % 3 === 0 ? 90_000 : 50);
    sent.push(message.slice());
    stream.send(message);
    message.fill(0);
  }
  assert.ok(stream.waitingBytes > 0);
  const heard = new Heard();
  const socket = { on() {}, writable: true, writableLength: 0 } as unknown as Socket;
  const theirStream = new WsStream(socket, true, MAX, heard.events);
  theirs.on("data", (bytes: Buffer) => theirStream.feed(bytes, 0, bytes.length));
  theirs.resume();
  await heard.ear.until(() => heard.messages.length === sent.length);
  for (let i = 0; i < sent.length; i++) assert.deepEqual(heard.messages[i], sent[i], `message ${i}`);
});

test("it understands ws, and ws it: messages, pings, closes", async (t) => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", path: "/way" });
  t.after(() => server.close());
  server.on("connection", (socket) => {
    socket.on("message", (bytes) => socket.send(bytes));
    socket.on("ping", () => socket.close(4321, "pinged"));
  });
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const heard = new Heard();
  const address = { host: "localhost", port };
  const dial = new WsDial({
    address,
    path: "/way",
    payloadBytesMax: MAX,
    tls: null,
    timeoutMs: 5000,
    events: heard.events,
  });
  await heard.ear.until(() => heard.told.includes("open"));
  const sent = LENGTHS.map((length) => randomBytes(new Prng(length), length));
  for (const message of sent) dial.send(message);
  await heard.ear.until(() => heard.messages.length === sent.length);
  assert.deepEqual(heard.messages, sent);
  dial.ping();
  await heard.ear.until(() => heard.told.includes("close 4321"));
});

test("who does not upgrade is left, and why is told", async (t) => {
  for (const [answer, why] of [
    ["HTTP/1.1 404 Not Found\r\n\r\n", /^failed: Unexpected server response: 404$/],
    ["HTTP/1.1 no number\r\n\r\n", /^failed: what answers does not speak HTTP\/1\.1$/],
    // Of another kind: they say no more until they are asked in their own way.
    ["SSH-2.0-OpenSSH_9.6\r\n", /^failed: what .* HTTP\/1\.1: it began with "SSH-2\.0-OpenSSH_9\.6"$/],
    ["HTTP/1.0 400 Bad", /: it began with "HTTP\/1\.0 400 Bad"$/],
    ["\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00", /: it began with the bytes 0000120400000000$/],
    ["\x15\x03\x01\x00\x02\x02\x46", /^failed: what answers wants TLS: give option tls$/],
    ["HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n", /Accept header$/],
    ["HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", /Upgrade header$/],
    [`HTTP/1.1 200 OK\r\nA: ${"b".repeat(20_000)}`, /an answer without an end$/],
    ["", /^failed: closed before it was upgraded \(if it wants TLS/],
  ] as const) {
    const port = await listen(t, (socket) => {
      socket.on("error", () => {});
      socket.once("data", () => (answer === "" ? socket.end() : socket.write(answer)));
    });
    const heard = new Heard();
    const address = { host: "127.0.0.1", port };
    new WsDial({
      address,
      path: "/",
      payloadBytesMax: MAX,
      timeoutMs: 5000,
      tls: null,
      events: heard.events,
    });
    await heard.ear.until(() => heard.told.length === 2);
    assert.match(heard.told[0]!, why);
    assert.equal(heard.told[1], "close 1006");
  }
});

test("an answer may come in parts, and is left at the first byte that is none of it", () => {
  for (const part of ["H", "HTTP/1.1", "HTTP/1.1 1", "HTTP/1.1 101 Switching"])
    assert.equal(refusalOfBeginning(Buffer.from(part)), null, part);
  for (const part of ["h", "HTTP/2", "HTTP/1.10", "\r\n"])
    assert.match(
      refusalOfBeginning(Buffer.from(part)) ?? "",
      /does not speak HTTP\/1\.1: it began with/,
      part,
    );
});

test("what is no request to upgrade is refused", async () => {
  const key = "dGhlIHNhbXBsZSBub25jZQ==";
  const good = { upgrade: "websocket", "sec-websocket-key": key, "sec-websocket-version": "13" };
  assert.equal(refusalOfRequest("GET", good), null);
  const answer = upgradeAnswer(key);
  // RFC 6455, 1.3.
  assert.match(answer, /\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
  assert.equal(refusalOfUpgrade(answer.slice(0, -4), key), null);
  for (const [method, change, status] of [
    ["POST", {}, 400],
    ["GET", { upgrade: "h2c" }, 400],
    ["GET", { "sec-websocket-key": undefined }, 400],
    ["GET", { "sec-websocket-key": "short" }, 400],
    ["GET", { "sec-websocket-version": "12" }, 426],
  ] as const) {
    const refused = refusalOfRequest(method, { ...good, ...change });
    assert.ok(refused !== null);
    assert.ok(refusalAnswer(refused).startsWith(`HTTP/1.1 ${status} `));
  }
});
