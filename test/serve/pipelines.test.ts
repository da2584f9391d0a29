// What a client asks ahead on one connection: answered in order, and no more of it under way at once than is said.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { test } from "node:test";
import { Pipelines } from "../../src/serve/pipelines.js";
import { until } from "../process/support.js";

const REQUESTS = 5_000;

test("thousands of requests on one connection are answered in order, few at a time; also with bodies, and cut off", async (t) => {
  const pipelines = new Pipelines(new AbortController().signal);
  let underWay = 0;
  let most = 0;
  let served = 0;
  const server = createServer((request, response) => {
    pipelines.add(request, response, async () => {
      served++;
      most = Math.max(most, ++underWay);
      let bytes = 0;
      for await (const chunk of request) bytes += (chunk as Buffer).length;
      await new Promise((resolve) => setImmediate(resolve));
      underWay--;
      response.end(`<${request.url} ${bytes}>`);
    });
  });
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const body = "x".repeat(1000);
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    text += chunk;
  });
  for (let i = 0; i < REQUESTS; i++)
    socket.write(
      i % 10 === 0
        ? `PUT /${i} HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`
        : `GET /${i} HTTP/1.1\r\nhost: a\r\n\r\n`,
    );
  while (!text.includes(`</${REQUESTS - 1} `)) await once(socket, "data");
  const answers = [...text.matchAll(/<\/(\d+) (\d+)>/g)].map(([, url, bytes]) => `${url} ${bytes}`);
  assert.deepEqual(
    answers,
    Array.from({ length: REQUESTS }, (_, i) => `${i} ${i % 10 === 0 ? body.length : 0}`),
  );
  assert.ok(most <= 64, `${most} under way`);
  // Who goes away gets nothing served of what waited.
  const before = served;
  for (let i = 0; i < REQUESTS; i++) socket.write(`GET /${i} HTTP/1.1\r\nhost: a\r\n\r\n`);
  while (served === before) await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
  while (underWay > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(served < before + REQUESTS, `${served - before} served`);
});

test("a change begins when all that was asked before is answered, and what is behind it when it is; reads go on at once", async (t) => {
  const pipelines = new Pipelines(new AbortController().signal);
  const methods = ["GET", "HEAD", "PUT", "DELETE", "GET", "GET", "POST", "GET"];
  let underWay: string[] = [];
  const seen: string[] = [];
  const server = createServer((request, response) => {
    response.once("close", () => {
      underWay = underWay.slice(1);
    });
    pipelines.add(request, response, async () => {
      underWay.push(request.method!);
      seen.push(underWay.join("+"));
      // What was begun with it has its turn, and so has what was begun behind it, before it ends.
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
      response.end();
    });
  });
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const last = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
  socket.write(methods.map((method) => `${method} / HTTP/1.1\r\nhost: a\r\n\r\n`).join("") + last);
  socket.resume();
  await once(socket, "close");
  const expected = ["GET", "GET+HEAD", "PUT", "DELETE", "GET", "GET+GET", "POST", "GET", "GET+GET"];
  assert.deepEqual(seen, expected);
});

test("behind what waits no more is read of the connection, and all of it once nothing does", async (t) => {
  const pipelines = new Pipelines(new AbortController().signal);
  const asked: string[] = [];
  let answered = 0;
  let first: ServerResponse | null = null;
  const server = createServer((request, response) => {
    asked.push(request.url!);
    pipelines.add(request, response, () => {
      if (first === null) first = response;
      else response.end(() => answered++);
    });
  });
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.resume();
  const padding = "x".repeat(1000);
  // More than the system keeps of a connection that nobody reads.
  for (let i = 0; i < 20_000; i++)
    socket.write(`DELETE /${i} HTTP/1.1\r\nhost: a\r\npadding: ${padding}\r\n\r\n`);
  await until("the first", 60_000, () => first !== null);
  for (let before = -1, turns = 0; turns < 100; turns++) {
    if (asked.length > before) turns = 0;
    before = asked.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(asked.length < 1000, `${asked.length} were read`);
  (first as ServerResponse | null)!.end();
  await until("all others", 60_000, () => answered === 19_999);
  assert.deepEqual(
    asked,
    Array.from({ length: 20_000 }, (_, i) => `/${i}`),
  );
});

test("a connection that goes ends all that was begun for it: also what is behind an answer that does not end", async (t) => {
  const pipelines = new Pipelines(new AbortController().signal);
  let begun = 0;
  let closed = 0;
  const server = createServer((request, response) => {
    pipelines.add(request, response, () => {
      begun++;
      response.once("close", () => closed++);
      response.write("and so on");
    });
  });
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  // One more would wait, and nothing be read behind it, the end included: the next write tells then.
  socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(64));
  await until("what begins at once", 60_000, () => begun === 64);
  socket.destroy();
  await until("their end", 60_000, () => closed === 64);
  assert.equal(begun, 64);
});

test("on a connection that closing finds in the middle of a request, its answer is told to be the last", async (t) => {
  const closing = new AbortController();
  const pipelines = new Pipelines(closing.signal);
  const server = createServer((request, response) => {
    pipelines.add(request, response, async () => {
      for await (const _ of request);
      response.end(request.url);
    });
    if (request.url === "/last") closing.abort();
  });
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  let text = "";
  socket.setEncoding("latin1").on("data", (piece: string) => {
    text += piece;
  });
  const put = (path: string) => `PUT ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n`;
  socket.write(`${put("/first")}body${put("/last")}`);
  await until("what is told of it", 60_000, () => closing.signal.aborted);
  socket.write("body");
  await until("the answer", 60_000, () => text.includes("\r\n\r\n/last"));
  t.after(() => socket.destroy());
  const told = [...text.matchAll(/^Connection: (.*)\r\n/gim)].map(([, value]) => value);
  assert.deepEqual(told, ["keep-alive", "close"]);
});

test("what is asked behind an answer that is told to be the last is not begun: nobody would hear of it", async (t) => {
  const closing = new AbortController();
  const pipelines = new Pipelines(closing.signal);
  const begun: string[] = [];
  let asked = 0;
  let first: ServerResponse | null = null;
  const server = createServer((request, response) => {
    asked++;
    pipelines.add(request, response, () => {
      begun.push(request.url!);
      if (first === null) first = response;
      else response.end();
    });
  });
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.resume();
  socket.write("PUT /first HTTP/1.1\r\nhost: a\r\n\r\n");
  await until("the first", 60_000, () => asked === 1);
  closing.abort();
  socket.write("PUT /second HTTP/1.1\r\nhost: a\r\n\r\n");
  await until("the second", 60_000, () => asked === 2);
  (first as ServerResponse | null)!.end();
  await once(socket, "close");
  assert.deepEqual(begun, ["/first"]);
});

test("what was asked before something that is no request is answered first; that is told to nobody who waits for another answer", async (t) => {
  const pipelines = new Pipelines(new AbortController().signal);
  const begun: [string, ServerResponse][] = [];
  const server = createServer((request, response) => {
    pipelines.add(request, response, () => begun.push([request.url!, response]));
  });
  let failed = 0;
  server.on("clientError", (error, socket) => {
    failed++;
    pipelines.fail(socket as Socket, error);
  });
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const put = (path: string, length: number) =>
    `PUT ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\n\r\n`;
  const answered = async (sent: string, urls: string[]): Promise<string[]> => {
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    let text = "";
    socket.setEncoding("latin1").on("data", (piece: string) => {
      text += piece;
    });
    const closed = once(socket, "close");
    const before = failed;
    socket.write(sent);
    await until("it is noticed", 60_000, () => failed > before);
    for (const url of urls) {
      await until(url, 60_000, () => begun.length > 0);
      const [asked, response] = begun.shift()!;
      assert.equal(asked, url);
      response.end(url);
    }
    await closed;
    return text.match(/HTTP\/1.1 \d+/g) ?? [];
  };
  const ok = "HTTP/1.1 200";
  assert.deepEqual(await answered(`${put("/a", 0)}${put("/b", 0)}no request\r\n\r\n`, ["/a", "/b"]), [
    ok,
    ok,
  ]);
  assert.deepEqual(await answered("no request\r\n\r\n", []), ["HTTP/1.1 400"]);
  // In the middle of a body.
  const chunked = (path: string) => `PUT ${path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nno`;
  assert.deepEqual(await answered(chunked("/c"), []), ["HTTP/1.1 400"]);
  begun.length = 0;
  assert.deepEqual(await answered(put("/d", 0) + chunked("/e"), ["/d"]), [ok]);
});
