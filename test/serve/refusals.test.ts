// What the service does with requests that are not as they should be: each is refused in a sentence, and none is carried out as
// another than was meant. A node alone, in this process.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import type { ErrorBody } from "../../src/serve/http-error.js";
import type { Service } from "../../src/serve/index.js";
import { scratchDir } from "../process/support.js";
import { aloneConfig, openAlone } from "./alone.js";

const scratch = scratchDir("refusals");
let service: Service;

before(async () => {
  service = await openAlone(scratch.path, aloneConfig());
  await service.node.whenLeader();
});
after(async () => {
  await service.close({ timeoutMs: 0 });
  scratch.remove();
});

const REFUSED: [
  what: string,
  method: string,
  path: string,
  expected: string,
  text: RegExp,
  headers?: object,
][] = [
  ["no route", "GET", "/kvs/a", "404 KV_NO_ROUTE", /there is \/kv\/KEY/],
  ["no key", "GET", "/kv/", "400 KV_BAD_REQUEST", /name a key/],
  ["a long key", "GET", `/kv/${"x".repeat(1025)}`, "400 KV_BAD_REQUEST", /has 1025 bytes; 1024 are allowed/],
  ["no UTF-8", "GET", "/kv/%ff", "400 KV_BAD_REQUEST", /no UTF-8/],
  ["another method", "POST", "/kv/a", "405 KV_NO_METHOD", /GET, HEAD, PUT, DELETE/],
  ["a method of a page", "DELETE", "/status", "405 KV_NO_METHOD", /GET, HEAD/],
  ["a query of no UTF-8", "GET", "/watch?key=%ff", "400 KV_BAD_REQUEST", /"%ff" is no UTF-8/],
  ["a watch of what is no key", "GET", "/watch?key=", "400 KV_BAD_REQUEST", /name a key/],
  ["and that begins no key", "GET", `/watch?prefix=${"x".repeat(1025)}`, "400 KV_BAD_REQUEST", /1024 are/],
  ["an unknown parameter", "GET", "/kv/a?stal=1", "400 KV_BAD_REQUEST", /Did you mean stale\?/],
  ["a parameter twice", "GET", "/kv/a?stale=1&stale=0", "400 KV_BAD_REQUEST", /more than once/],
  ["no flag", "GET", "/kv/a?stale=yes", "400 KV_BAD_REQUEST", /1 or 0/],
  ["no revision", "PUT", "/kv/a?cas=-1", "400 KV_BAD_REQUEST", /whole number/],
  ["a revision of two spellings", "PUT", "/kv/a?cas=01", "400 KV_BAD_REQUEST", /whole number/],
  ["the same in quotes", "PUT", "/kv/a", "400 KV_BAD_REQUEST", /one revision/, { "if-match": '"01"' }],
  ["two conditions", "PUT", "/kv/a?cas=1", "400 KV_BAD_REQUEST", /one condition/, { "if-match": '"1"' }],
  ["an odd condition", "PUT", "/kv/a", "400 KV_BAD_REQUEST", /If-Match is one revision/, { "if-match": "*" }],
  ["watch of two kinds", "GET", "/watch?key=a&prefix=b", "400 KV_BAD_REQUEST", /key or prefix, not both/],
  ["a parameter where there is none", "GET", "/members?all", "400 KV_BAD_REQUEST", /takes none/],
  ["a removal that only asks", "DELETE", "/members/9?dry=1", "400 KV_BAD_REQUEST", /takes none/],
  ["a condition of a read", "GET", "/kv/a", "400 KV_BAD_REQUEST", /If-None-Match/, { "if-match": '"1"' }],
  [
    "a revision that no ETag has",
    "PUT",
    "/kv/a",
    "400 KV_BAD_REQUEST",
    /one revision/,
    { "if-match": '"0"' },
  ],
  ["part of a value", "PUT", "/kv/a", "400 KV_BAD_REQUEST", /put whole/, { "content-range": "bytes 0-1/9" }],
  ["watch from nothing", "GET", "/watch?from=0", "400 KV_BAD_REQUEST", /whole number from 1/],
];

for (const [what, method, path, expected, text, headers] of REFUSED) {
  test(`refused: ${what}`, async () => {
    const body = method === "PUT" ? { body: "x" } : {};
    const sent = { method, headers: { connection: "close", ...headers }, ...body };
    const got = await fetch(`http://${service.http}${path}`, sent);
    const { error } = (await got.json()) as { error: ErrorBody };
    assert.deepEqual([`${got.status} ${error.code}`, error.mayCommit], [expected, false]);
    assert.match(error.message, text);
    if (got.status === 405) assert.match(got.headers.get("allow") ?? "", /GET/);
  });
}

const LAST = "Connection: close\r\n";

/** What is answered to `sent`, on a connection of its own: all until it is closed. */
async function raw(sent: string): Promise<string> {
  const [host, port] = service.http.split(":");
  const socket = connect(Number(port), host);
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    answer += text;
  });
  socket.write(sent);
  await once(socket, "close");
  return answer;
}

test("what would change a request's meaning is refused where it is not understood", async () => {
  const put = `PUT /kv/odd HTTP/1.1\r\nHost: x\r\n${LAST}`;
  const expects = await raw(`${put}Expect: more\r\nContent-Length: 1\r\n\r\nx`);
  assert.match(expects, /^HTTP\/1.1 417 [\s\S]*there is 100-continue/);
  const coded = await raw(`${put}Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`);
  assert.match(coded, /^HTTP\/1.1 501 [\s\S]*there is chunked/);
  assert.match(await raw("CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n"), /^HTTP\/1.1 405 /);
  assert.match(await raw(`GET /kv/odd HTTP/1.1\r\nHost: x\r\n${LAST}\r\n`), /^HTTP\/1.1 404 /);
});

test("what another reader of the same request would take for another one is refused", async () => {
  const get = (line: string, more = "") => raw(`GET ${line}\r\nHost: x\r\n${more}${LAST}\r\n`);
  assert.match(await get("/livez HTTP/1.1"), /^HTTP\/1.1 200 /);
  assert.match(await get("/livez HTTP/1.0"), /^HTTP\/1.1 200 /);
  assert.match(await get("/livez HTTP/1.1", "hOST: y\r\n"), /^HTTP\/1.1 400 [\s\S]*Host is there more/);
  assert.match(await get("/livez HTTP/0.9"), /^HTTP\/1.1 505 [\s\S]*there is HTTP\/1.1/);
  assert.match(await get("/livez HTTP/2.0"), /^HTTP\/1.1 505 [\s\S]*there is HTTP\/1.1/);
  assert.match(await get("/kv/a#b HTTP/1.1"), /^HTTP\/1.1 400 [\s\S]*%23/);
  assert.match(await get("/kv/a?stale=1#b HTTP/1.1"), /^HTTP\/1.1 400 [\s\S]*%23/);
});

test("who waits to be told to send a body is told when all else is right; else the answer is the last there", async () => {
  const asks = (line: string, more = "") =>
    `${line} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n${more}\r\n`;
  const refused: [line: string, more: string, status: number][] = [
    ["PUT /nothing", "", 404],
    ["POST /kv/waits", "", 405],
    ["PUT /kv/", "", 400],
    ["PUT /kv/waits?cas=x", "", 400],
    ["PUT /kv/waits", "Idempotency-Key: x\r\n", 400],
    ["POST /members", "", 415],
  ];
  for (const [line, more, status] of refused) {
    const got = await raw(asks(line, more));
    assert.match(got, new RegExp(`^HTTP/1.1 ${status} [\\s\\S]*\r\nconnection: close\r\n`, "i"), line);
  }
  const large = asks("PUT /kv/waits").replace("Length: 1\r", "Length: 99999999\r");
  assert.match(await raw(large), /^HTTP\/1.1 413 /);
  const behind = `GET /livez HTTP/1.1\r\nHost: x\r\n${LAST}\r\n`;
  const told = await raw(`${asks("PUT /kv/waits")}x${behind}`);
  const answers = told.match(/HTTP\/1.1 \d+/g);
  assert.deepEqual(answers, ["HTTP/1.1 100", "HTTP/1.1 200", "HTTP/1.1 200"]);
  // Before HTTP/1.1 there is no such answer.
  const old = await raw(`${asks("PUT /kv/waits").replace("/1.1", "/1.0")}x`);
  assert.match(old, /^HTTP\/1.1 200 /);
});

test("a condition counts behind however many headers", async () => {
  const put = `PUT /kv/behind HTTP/1.1\r\nHost: x\r\n${LAST}Content-Length: 1\r\n`;
  assert.match(await raw(`${put}\r\n1`), /^HTTP\/1.1 200 /);
  const others = "a:\r\n".repeat(2100);
  assert.match(await raw(`${put}${others}If-None-Match: *\r\n\r\n2`), /^HTTP\/1.1 412 /);
  assert.match(await raw(`GET /kv/behind HTTP/1.1\r\nHost: x\r\n${LAST}\r\n`), /\r\n\r\n1$/);
});
