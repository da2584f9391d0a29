// What a client asks ahead on one connection: answered in order, and no more of it under way at once than is said.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { Pipelines } from "../../src/serve/pipelines.js";

const REQUESTS = 5_000;

test("thousands of requests on one connection are answered in order, few at a time; also with bodies, and cut off", async (t) => {
  const pipelines = new Pipelines();
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
  const pipelines = new Pipelines();
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
