// What clients that watch and do not read cost, and what they do to others.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { RaftNode } from "../../src/index.js";
import { encodeCommand } from "../../src/serve/commands.js";
import { KvStore } from "../../src/serve/kv.js";
import { LineRoom } from "../../src/serve/line-room.js";
import type { Parts } from "../../src/serve/parts.js";
import { Watches } from "../../src/serve/watch.js";
import { sole } from "../node/nodes.js";
import { until } from "../process/support.js";

const VALUE_BYTES = 1 << 20;
const LINE_BYTES = (VALUE_BYTES * 4) / 3;
const VALUES = 8;

interface Served {
  readonly port: number;
  /** One for each client, in order. */
  readonly responses: ServerResponse[];
  readonly node: RaftNode;
}

/** A node with so many values, and what of the service watches it. */
async function serve(t: TestContext, room: LineRoom): Promise<Served> {
  const store = new KvStore();
  const { node } = await sole(t, { stateMachine: store, maxProposalBytes: 2 * VALUE_BYTES });
  await node.readBarrier();
  const value = Buffer.alloc(VALUE_BYTES, "v");
  for (let i = 0; i < VALUES; i++)
    await node.propose(encodeCommand({ op: "put", key: `${i}`, ifRevision: null, value }));
  const closing = new AbortController();
  const parts = { node, store, closing: closing.signal } as Parts;
  const watches = new Watches(room);
  const responses: ServerResponse[] = [];
  const server = createServer((request, response) => {
    responses.push(response);
    const query = new URLSearchParams(request.url!.split("?")[1]);
    void watches.serve(parts, response, { path: "/watch", query });
  });
  // As the service has it.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    closing.abort();
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, responses, node };
}

/** A client that reads nothing before it is told to. */
async function stalled(t: TestContext, { port, responses }: Served): Promise<Socket> {
  const before = responses.length;
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  t.after(() => socket.destroy());
  socket.pause();
  socket.write("GET /watch?from=1 HTTP/1.1\r\nhost: x\r\n\r\n");
  await until("its request", 60_000, () => responses.length > before);
  return socket;
}

/** The indexes of so many lines; told that there is no room, it asks again from where it was. */
async function read(port: number, count: number): Promise<number[]> {
  const indexes: number[] = [];
  let from = 1;
  while (indexes.length < count) {
    const response = await fetch(`http://127.0.0.1:${port}/watch?from=${from}`);
    let text = "";
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (text + piece).split("\n");
      text = lines.pop()!;
      for (const line of lines.filter((each) => each !== "")) {
        const { index, error } = JSON.parse(line);
        if (index !== undefined) indexes.push(index);
        else assert.equal(error.code, "KV_OVERLOADED");
        from = index === undefined ? error.from : index + 1;
      }
      if (indexes.length === count) break;
    }
  }
  return indexes;
}

test("lines for clients that do not read are few; one that reads gets all of its own, and for that others are cut off", async (t) => {
  const bytesMax = 3 * LINE_BYTES;
  const room = new LineRoom(bytesMax, 50);
  const served = await serve(t, room);
  const { responses } = served;
  let most = 0;
  const look = (): void => {
    const onTheirWay = responses.reduce((sum, { writableLength }) => sum + writableLength, 0);
    most = Math.max(most, onTheirWay, (room as unknown as { held: number }).held);
    if (!isOver) setImmediate(look);
  };
  let isOver = false;
  look();
  for (let i = 0; i < 12; i++) await stalled(t, served);
  const indexes = await read(served.port, VALUES);
  isOver = true;
  assert.equal(new Set(indexes).size, VALUES);
  assert.deepEqual(
    indexes,
    [...indexes].sort((a, b) => a - b),
  );
  assert.ok(most > LINE_BYTES && most <= bytesMax + 2 * LINE_BYTES, `${most} of ${bytesMax}`);
  assert.ok(responses.slice(0, 12).some(({ req }) => req.socket.destroyed));
});

test("a client that does not read keeps nobody from short lines, and one that reads again gets the rest", async (t) => {
  const room = new LineRoom(1, 1 << 30);
  const served = await serve(t, room);
  const slow = await stalled(t, served);
  await until("its line to have the room", 60_000, () => (room as unknown as { held: number }).held > 0);
  const waiting = await stalled(t, served);
  const value = Buffer.from("short");
  const { index } = await served.node.propose(
    encodeCommand({ op: "put", key: "short", ifRevision: null, value }),
  );
  const response = await fetch(`http://127.0.0.1:${served.port}/watch?key=short&from=1`);
  const { value: first } = await response.body!.getReader().read();
  assert.equal(JSON.parse(Buffer.from(first!).toString()).index, index);
  await Promise.all(
    [slow, waiting].map(async (socket) => {
      let text = "";
      socket.setEncoding("latin1").on("data", (piece: string) => {
        text = (text + piece).slice(-200);
      });
      socket.resume();
      await until("all that it watches", 60_000, () => text.includes(`{"index":${index},`));
    }),
  );
});

test("of a client that is gone, or only sends no more, one finds out which before the next idle line of others", async (t) => {
  const served = await serve(t, new LineRoom());
  const ask = async (): Promise<{ socket: Socket; text(): string }> => {
    const socket = connect({ port: served.port, host: "127.0.0.1", allowHalfOpen: true });
    t.after(() => socket.destroy());
    let text = "";
    socket.setEncoding("latin1").on("data", (piece: string) => {
      text += piece;
    });
    socket.write("GET /watch HTTP/1.1\r\nhost: x\r\n\r\n");
    await until("its stream", 60_000, () => text.includes("\r\n\r\n"));
    return { socket, text: () => text };
  };
  const [open, half, gone] = [await ask(), await ask(), await ask()];
  const before = open.text();
  half.socket.end();
  gone.socket.destroy();
  await until("it to be found gone", 60_000, () => served.responses[2].destroyed);
  assert.equal(open.text(), before);
  assert.equal(served.responses[1].destroyed, false);
});
