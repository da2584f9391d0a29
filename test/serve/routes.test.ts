// What the service answers over HTTP: a node alone, in this process, with a client on raw sockets where one is needed.
import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { after, before, mock, test } from "node:test";
import { RaftmarkError } from "../../src/index.js";
import { Bodies } from "../../src/serve/bodies.js";
import type { HttpError } from "../../src/serve/http-error.js";
import type { Service } from "../../src/serve/index.js";
import { type Answer, answerOf } from "../process/serve-cluster.js";
import { PATIENCE_MS, scratchDir, until } from "../process/support.js";
import { aloneConfig, openAlone } from "./alone.js";

const scratch = scratchDir("routes");
let service: Service;
let base = "";

const CONFIG = aloneConfig(`
maxValueBytes: 1000
snapshotCatchUpBytes: 0
snapshotEveryBytes: 0
segmentBytes: 20000
`);

const open = (text: string): Promise<Service> => openAlone(scratch.path, text);

before(async () => {
  service = await open(CONFIG);
  base = `http://${service.http}`;
  await service.node.whenLeader();
});
after(async () => {
  await service.close({ timeoutMs: 0 });
  scratch.remove();
});

async function ask(method: string, path: string, body?: string | Uint8Array, headers = {}): Promise<Answer> {
  // A connection each: one that is kept may be closed by the service just when it is used again.
  const init = {
    method,
    headers: { connection: "close", ...headers },
    ...(body === undefined ? {} : { body: body as string }),
  };
  return answerOf(await fetch(base + path, init));
}

/** The error of an answer, checked to be whole. */
function errorOf({ status, json }: Answer): string {
  assert.ok(json !== null && typeof json.error.message === "string" && json.error.message.length > 10);
  assert.equal(typeof json.error.mayCommit, "boolean");
  return `${status} ${json.error.code}`;
}

test("put, get, delete: bytes, revisions, absent keys", async () => {
  const value = Uint8Array.from({ length: 256 }, (_, i) => i);
  const put = await ask("PUT", "/kv/a", value);
  assert.equal(put.status, 200);
  const { revision } = put.json;
  assert.equal(put.headers.get("etag"), `"${revision}"`);
  const response = await fetch(`${base}/kv/a`);
  assert.deepEqual(new Uint8Array(await response.arrayBuffer()), value);
  assert.equal(response.headers.get("etag"), `"${revision}"`);
  assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  assert.ok(Number(response.headers.get("raftmark-index")) >= revision);
  assert.equal((await ask("GET", "/kv/a?stale=1")).headers.get("etag"), `"${revision}"`);
  const head = await ask("HEAD", "/kv/a");
  assert.deepEqual([head.status, head.text, head.headers.get("content-length")], [200, "", "256"]);
  assert.deepEqual((await ask("DELETE", "/kv/a")).json, { key: "a", deleted: true });
  assert.deepEqual((await ask("DELETE", "/kv/a")).json, { key: "a", deleted: false });
  assert.equal(errorOf(await ask("GET", "/kv/a")), "404 KV_NOT_FOUND");
  assert.equal((await ask("PUT", "/kv/empty", "")).status, 200);
  const empty = await ask("GET", "/kv/empty");
  assert.deepEqual([empty.status, empty.text], [200, ""]);
});

test("keys: slashes, dots, percent signs, other scripts", async () => {
  for (const key of ["a/b/../c", ".", "ключ", "a%2Fb?", " ", "%"]) {
    assert.equal((await raw("PUT", `/kv/${encodeURIComponent(key)}`, key)).status, 200);
    assert.equal((await raw("GET", `/kv/${encodeURIComponent(key)}`)).body, key);
  }
  // As it is, without a client that takes dots for a path.
  assert.equal((await raw("GET", "/kv/a/b/../c")).body, "a/b/../c");
  // As it would be sent to a proxy.
  assert.equal((await raw("GET", "http://x:1/kv/a/b/../c?stale=1")).body, "a/b/../c");
});

test("compare-and-set: by revision, for an absent key, as query and as headers", async () => {
  const first = (await ask("PUT", "/kv/c?cas=0", "1")).json.revision;
  const again = await ask("PUT", "/kv/c?cas=0", "2");
  assert.equal(errorOf(again), "412 KV_CONDITION");
  assert.equal(again.json.error.revision, first);
  assert.equal(again.json.error.mayCommit, false);
  const second = (await ask("PUT", `/kv/c?cas=${first}`, "2")).json.revision;
  assert.ok(second > first);
  assert.equal(errorOf(await ask("PUT", "/kv/c", "3", { "if-match": `"${first}"` })), "412 KV_CONDITION");
  assert.equal(errorOf(await ask("PUT", "/kv/c", "3", { "if-none-match": "*" })), "412 KV_CONDITION");
  const third = (await ask("PUT", "/kv/c", "3", { "if-match": `"${second}"` })).json.revision;
  assert.equal(errorOf(await ask("DELETE", `/kv/c?cas=${second}`)), "412 KV_CONDITION");
  assert.equal((await ask("GET", "/kv/c")).text, "3");
  const unchanged = await ask("GET", "/kv/c", undefined, { "if-none-match": `"${second}", W/"${third}"` });
  assert.deepEqual([unchanged.status, unchanged.text], [304, ""]);
  assert.equal((await ask("GET", "/kv/c", undefined, { "if-none-match": `"${second}"` })).text, "3");
  assert.equal((await ask("GET", "/readyz?verbose")).status, 200);
  assert.deepEqual((await ask("DELETE", `/kv/c?cas=${third}`)).json, { key: "c", deleted: true });
  const gone = await ask("PUT", `/kv/c?cas=${third}`, "4");
  assert.equal(errorOf(gone), "412 KV_CONDITION");
  assert.equal(gone.json.error.revision, 0);
  // The condition holds, and there is nothing to delete.
  for (const headers of [{ "if-none-match": "*" }, {}] as Record<string, string>[]) {
    const path = headers["if-none-match"] === undefined ? "/kv/c?cas=0" : "/kv/c";
    assert.deepEqual((await ask("DELETE", path, undefined, headers)).json, { key: "c", deleted: false });
  }
  assert.equal(errorOf(await ask("DELETE", `/kv/c?cas=${third}`)), "412 KV_CONDITION");
});

test("an idle connection stays longer than a proxy in front keeps its side of it", async () => {
  const { headers } = await ask("POST", "/sessions", undefined, { connection: "keep-alive" });
  assert.equal(headers.get("keep-alive"), "timeout=75");
});

test("changes that a page of another site has a browser send are refused; reads, the node's own pages and programs are not", async () => {
  const host = base.slice("http://".length);
  const cases: [headers: Record<string, string>, isTaken: boolean][] = [
    [{}, true],
    [{ origin: `http://${host}` }, true],
    [{ origin: `HTTP://${host.toUpperCase()}` }, true],
    [{ origin: "http://evil.example" }, false],
    [{ origin: `http://${host}0` }, false],
    [{ origin: "http://127.0.0.1" }, false],
    [{ origin: "null" }, false],
    [{ origin: "file://" }, false],
    [{ origin: "https://kv.example", host: "kv.example:443" }, true],
    [{ origin: "https://kv.example", host: "kv.example:80" }, false],
    [{ "sec-fetch-site": "same-origin", origin: "https://kv.example" }, true],
    [{ "sec-fetch-site": "none" }, true],
    [{ "sec-fetch-site": "same-site", origin: `http://${host}` }, false],
    [{ "sec-fetch-site": "cross-site" }, false],
  ];
  for (const [headers, isTaken] of cases) {
    const what = JSON.stringify(headers);
    const answers = [
      await raw("PUT", "/kv/site", "x", headers),
      await raw("DELETE", "/kv/site", undefined, headers),
      await raw("POST", "/sessions", "", { ...headers, "content-type": "text/plain" }),
      await raw("POST", "/members", "{", { ...headers, "content-type": "application/json" }),
      await raw("DELETE", "/members/9", undefined, headers),
    ];
    const codes = answers.map(({ status }) => status);
    assert.deepEqual(codes, isTaken ? [200, 200, 200, 400, 409] : [403, 403, 403, 403, 403], what);
    if (!isTaken) assert.equal(JSON.parse(answers[0].body).error.code, "KV_CROSS_SITE");
    assert.equal((await raw("GET", "/status", undefined, headers)).status, 200, what);
  }
});

test("a body that is too long: told at once where its length is told, and while it comes where it is not", async () => {
  const long = new Uint8Array(1001);
  assert.equal(errorOf(await ask("PUT", "/kv/long", long)), "413 KV_TOO_LARGE");
  const chunked = await raw("PUT", "/kv/long", Buffer.alloc(50_000), { "transfer-encoding": "chunked" });
  assert.equal(chunked.status, 413);
  assert.equal(errorOf(await ask("GET", "/kv/long")), "404 KV_NOT_FOUND");
  assert.equal((await ask("PUT", "/kv/long", new Uint8Array(1000))).status, 200);
});

test("the largest value that can be configured, in the largest command, is taken", async () => {
  const bytes = 8 * 1024 * 1024;
  const other = await open(
    CONFIG.replace("maxValueBytes: 1000", `maxValueBytes: ${bytes}`).replace("data\n", "large\n"),
  );
  const { id } = await other.node.openSession();
  const response = await fetch(`http://${other.http}/kv/${"k".repeat(1024)}?cas=0`, {
    method: "PUT",
    body: new Uint8Array(bytes),
    headers: { "idempotency-key": `${id}-1` },
  });
  const text = await response.text();
  await other.close({ timeoutMs: 0 });
  assert.equal(response.status, 200, text);
});

function bodyOf(pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): ServerResponse {
  return { req: Object.assign(Readable.from(pieces), { headers: {} }) } as unknown as ServerResponse;
}

test("a body that comes in pieces of a byte is whole", async () => {
  const value = Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 7) & 0xff));
  const response = bodyOf(Array.from(value, (byte) => Buffer.of(byte)));
  assert.deepEqual(Buffer.from(await new Bodies(value.length).read(response, value.length)), value);
});

test("bodies that are slow in coming have room together; one more is told to come again, and what ended makes room", async () => {
  const bodies = new Bodies(1, 100_000);
  let end = (): void => {};
  const ending = new Promise<void>((resolve) => {
    end = resolve;
  });
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(60_000);
    await ending;
  }
  const first = bodies.read(bodyOf(slow()), 60_000);
  await new Promise((resolve) => setImmediate(resolve));
  const another = () => bodies.read(bodyOf([new Uint8Array(60_000)]), 60_000);
  await assert.rejects(
    another,
    ({ status, body }: HttpError) => status === 503 && body.code === "KV_OVERLOADED",
  );
  assert.equal((await bodies.read(bodyOf([new Uint8Array(1000)]), 60_000)).length, 1000);
  end();
  assert.equal((await first).length, 60_000);
  assert.equal((await another()).length, 60_000);
});

test("a client that goes away in the middle of a body harms nobody", async () => {
  const socket = connect(Number(base.split(":")[2]), "127.0.0.1");
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.write("PUT /kv/half HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf");
  await new Promise((resolve) => setTimeout(resolve, 20));
  socket.destroy();
  assert.equal((await ask("PUT", "/kv/other", "x")).status, 200);
  assert.equal(errorOf(await ask("GET", "/kv/half")), "404 KV_NOT_FOUND");
});

test("watch: what changed, in order, from an index on, and as it comes; conditions that failed are not in it", async () => {
  const from = (await ask("PUT", "/kv/w/1", "one")).json.revision;
  await ask("PUT", "/kv/w/1?cas=0", "not made");
  await ask("DELETE", "/kv/w/none");
  const watched = watch(`/watch?from=${from}&prefix=w/`);
  await until("the first line", PATIENCE_MS, () => watched.lines.length === 1);
  await ask("PUT", "/kv/elsewhere", "x");
  await ask("PUT", "/kv/w/2", "two");
  await ask("DELETE", "/kv/w/1");
  await until("three lines", PATIENCE_MS, () => watched.lines.length === 3);
  const shown = watched.lines.map(({ type, key, value }) => [
    type,
    key,
    value === undefined ? "" : Buffer.from(value, "base64").toString(),
  ]);
  assert.deepEqual(shown, [
    ["put", "w/1", "one"],
    ["put", "w/2", "two"],
    ["delete", "w/1", ""],
  ]);
  assert.equal(watched.lines[0].index, from);
  watched.stop();
});

test("a change of a session is made once, however often it is asked for, and told once to who watches", async () => {
  const { session } = (await ask("POST", "/sessions")).json;
  const key = (number: number) => ({ "idempotency-key": `${session}-${number}` });
  const first = await ask("PUT", "/kv/once?cas=0", "1", key(1));
  assert.equal(first.status, 200, first.text);
  const watched = watch(`/watch?from=${first.json.revision}&key=once`);
  // Without the session the condition would not hold any more.
  assert.deepEqual((await ask("PUT", "/kv/once?cas=0", "1", key(1))).json, first.json);
  const other = await ask("PUT", "/kv/once", "2", key(2));
  assert.deepEqual((await ask("PUT", "/kv/once", "2", key(2))).json, other.json);
  assert.deepEqual((await ask("DELETE", "/kv/once", undefined, key(3))).json, { key: "once", deleted: true });
  assert.deepEqual((await ask("DELETE", "/kv/once", undefined, key(3))).json, { key: "once", deleted: true });
  for (const [method, key, body] of [
    ["PUT", "once", "3"],
    ["PUT", "unused", "1"],
    ["PUT", "once", "1"],
    ["DELETE", "once", undefined],
  ] as const) {
    assert.equal(
      errorOf(await ask(method, `/kv/${key}`, body, { "idempotency-key": `${session}-1` })),
      "422 KV_IDEMPOTENCY_KEY_USED",
    );
  }
  assert.equal((await ask("GET", "/kv/unused")).status, 404);
  assert.equal((await ask("PUT", "/kv/last", "x")).status, 200);
  await until("three changes", PATIENCE_MS, () => watched.lines.length >= 3);
  const end = await ask("PUT", "/kv/once", "end");
  await until("the last one", PATIENCE_MS, () => watched.lines.at(-1)?.index === end.json.revision);
  assert.deepEqual(
    watched.lines.map(({ type, index }) => [type, index]),
    [
      ["put", first.json.revision],
      ["put", other.json.revision],
      ["delete", watched.lines[2].index],
      ["put", end.json.revision],
    ],
  );
  watched.stop();
  assert.equal(
    errorOf(await ask("PUT", "/kv/once", "x", { "idempotency-key": "abc" })),
    "400 KV_BAD_REQUEST",
  );
  assert.equal(
    errorOf(await ask("PUT", "/kv/once", "x", { "idempotency-key": "999999-1" })),
    "410 RAFT_SESSION_EXPIRED",
  );
});

test("watch: one key, and from now on", async () => {
  const watched = watch("/watch?key=only");
  await until("the watch to stand", PATIENCE_MS, () => watched.begun);
  await ask("PUT", "/kv/only2", "x");
  const { revision } = (await ask("PUT", "/kv/only", "x")).json;
  await until("its line", PATIENCE_MS, () => watched.lines.length === 1);
  assert.deepEqual(watched.lines, [{ index: revision, type: "put", key: "only", value: "eA==" }]);
  watched.stop();
});

/** All that a client gets that says at once that it sends no more, until the connection is closed. */
function halfOpen(host: string, request: string, onText: (text: string) => void = () => {}): Promise<string> {
  const port = Number(host.split(":").at(-1));
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  let text = "";
  socket.setEncoding("latin1").on("data", (piece: string) => {
    text += piece;
    onText(text);
  });
  socket.end(request);
  return new Promise((resolve) => socket.once("close", () => resolve(text)));
}

test("a client that sends no more behind a whole request is answered, and the connection closed", async () => {
  const put = "PUT /kv/half-open HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nhalf";
  const get = "GET /kv/half-open HTTP/1.1\r\nhost: x\r\n\r\n";
  assert.match(await halfOpen(base, put), /^HTTP\/1\.1 200 OK\r\n.*\{"key":"half-open","revision":\d+\}\n$/s);
  assert.match(await halfOpen(base, get), /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nhalf$/s);
  assert.match(await halfOpen(base, put + get), /^HTTP\/1\.1 200 .*HTTP\/1\.1 200 .*\r\n\r\nhalf$/s);
  assert.match(await halfOpen(base, put.slice(0, -2)), /^(HTTP\/1\.1 400 .*)?$/s);
});

test("a client that sends no more may watch; a shutdown tells it, and does not wait for it", async () => {
  const other = await open(CONFIG.replace("dataDir: data", "dataDir: half-open"));
  await other.node.whenLeader();
  let seen = "";
  const all = halfOpen(other.http, "GET /watch HTTP/1.1\r\nhost: x\r\n\r\n", (text) => {
    seen = text;
  });
  await until("the watch to stand", 60_000, () => seen.includes("\r\n\r\n"));
  await fetch(`http://${other.http}/kv/a`, { method: "PUT", body: "x" });
  await until("the change", 60_000, () => seen.includes('"type":"put","key":"a"'));
  await other.close({ timeoutMs: 0 });
  assert.match(await all, /"RAFT_CLOSED"/);
});

test("a request that a shutdown finds on its way, on a connection that seems idle, is answered, and told to be the last", async () => {
  const other = await open(CONFIG.replace("dataDir: data", "dataDir: on-its-way"));
  const [, host, port] = /^(.*):(\d+)$/.exec(other.http)!;
  const socket = connect(Number(port), host);
  let text = "";
  socket.setEncoding("latin1").on("data", (piece: string) => {
    text += piece;
  });
  const put = "PUT /kv/a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n1";
  socket.write(put);
  await until("the first answer", 60_000, () => text.includes('"revision"'));
  text = "";
  socket.write(put);
  await Promise.all([once(socket, "close"), other.close()]);
  assert.match(text, /^HTTP\/1\.1 503 .*\r\nretry-after: 1\r\n.*"RAFT_CLOSED"/is);
  assert.match(text, /\r\nconnection: close\r\n/i);
});

test("watch: HEAD is answered, and ends: the next request on the connection is, too", async () => {
  const socket = connect(Number(base.split(":")[2]), "127.0.0.1");
  let text = "";
  socket.setEncoding("utf8").on("data", (piece: string) => {
    text += piece;
  });
  socket.write("HEAD /watch HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
  await until("both answers", PATIENCE_MS, () => text.includes('{"alive":true}'));
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n.*application\/x-ndjson/s);
  assert.match(text, /\r\nx-accel-buffering: no\r\n/);
  socket.destroy();
});

test("watch: a node that ends by itself, as one that was removed does, says so to whoever watches", async () => {
  const other = await open(CONFIG.replace("dataDir: data", "dataDir: other"));
  await other.node.whenLeader();
  const response = await fetch(`http://${other.http}/watch`);
  await other.node.close({ timeoutMs: 0 });
  assert.equal(JSON.parse(await response.text()).error.code, "RAFT_CLOSED");
  await other.close({ timeoutMs: 0 });
});

test("watch: what a snapshot stands for is told with 410, and from where on to watch", async () => {
  for (let round = 0; round < 3; round++) {
    await Promise.all(Array.from({ length: 60 }, (_, i) => ask("PUT", `/kv/fill${i}`, "x".repeat(900))));
    await service.node.takeSnapshot();
  }
  const refused = await ask("GET", "/watch?from=1");
  assert.equal(errorOf(refused), "410 RAFT_COMPACTED");
  assert.match(refused.json.error.message, /^entry 1 is behind a snapshot: read the keys/);
  const { from } = refused.json.error;
  assert.ok(from > 1, `${from}`);
  const watched = watch(`/watch?from=${from}`);
  await until("lines", PATIENCE_MS, () => watched.lines.length > 0);
  watched.stop();
});

test("watch: from now on, and from behind an answer, where the log begins behind entries that are no changes", async () => {
  await ask("PUT", "/kv/before", "x");
  for (let round = 0; round < 2; round++) {
    await ask("POST", "/sessions");
    await service.node.takeSnapshot();
  }
  const index = Number((await ask("GET", "/kv/before")).headers.get("raftmark-index"));
  const { log, applied } = service.node.status();
  assert.ok(log.firstIndex > index + 1, `${log.firstIndex} ${index}`);
  for (const path of ["/watch", `/watch?from=${index + 1}`]) {
    const got = await ask("HEAD", path);
    assert.deepEqual([got.status, got.headers.get("raftmark-index")], [200, `${applied}`], path);
  }
  assert.equal(errorOf(await ask("GET", `/watch?from=${index}`)), "410 RAFT_COMPACTED");
  const watched = watch(`/watch?from=${index + 1}`);
  const { revision } = (await ask("PUT", "/kv/behind", "x")).json;
  await until("the next change", PATIENCE_MS, () => watched.lines.length === 1);
  assert.equal(watched.lines[0].index, revision);
  watched.stop();
});

test("status, members, metrics, probes", async () => {
  const status = (await ask("GET", "/status?hash=1")).json;
  assert.equal(status.state, "StateLeader");
  assert.match(status.kv.sha256, /^[0-9a-f]{64}$/);
  assert.ok(status.kv.index <= status.applied);
  const { sha256 } = (await ask("GET", "/status?hash=1")).json.kv;
  assert.equal(sha256, status.kv.sha256);
  assert.equal((await ask("GET", "/status")).json.kv.sha256, undefined);
  assert.deepEqual((await ask("GET", "/members")).json.members[0].id, 1);
  const { text, headers } = await ask("GET", "/metrics");
  assert.match(headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  assert.match(text, /^# TYPE raftmark_kv_request_seconds histogram$/m);
  for (const name of ["is_leader", "kv_keys"])
    assert.match(text, new RegExp(`^raftmark_${name}\\{node="1"\\} \\d+$`, "m"));
  for (const line of text.trim().split("\n"))
    assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? (\S+))$/);
  const count = (name: string) =>
    Number(new RegExp(`^${name}\\{node="1",kind="write"[^}]*\\} (\\d+)$`, "m").exec(text)?.[1]);
  assert.ok(count("raftmark_kv_request_seconds_count") > 100);
  assert.equal(
    Number(/_bucket\{node="1",kind="write",le="\+Inf"\} (\d+)/.exec(text)?.[1]),
    count("raftmark_kv_request_seconds_count"),
  );
  assert.equal((await ask("GET", "/livez")).status, 200);
  assert.equal((await ask("GET", "/readyz")).status, 200);
  const { self, members } = (await ask("GET", "/cluster")).json;
  assert.deepEqual([self, members.length, members[0].status.state], [1, 1, "StateLeader"]);
});

test("members: who is one, changes as JSON, and what cannot be", async () => {
  const post = (body: unknown, type = "application/json") =>
    ask("POST", "/members", typeof body === "string" ? body : JSON.stringify(body), { "content-type": type });
  assert.deepEqual((await ask("GET", "/members")).json.members.length, 1);
  // Of two at once one is refused, and what it said of node 4 with it.
  const fours = ["127.0.0.1:2", "127.0.0.1:3"].map((http) => ({
    id: 4,
    raft: "127.0.0.1:1",
    http,
    learner: true,
  }));
  const answers = await Promise.all(fours.map((one) => post({ add: [one] })));
  const won = answers.findIndex(({ status }) => status === 200);
  assert.equal(answers[1 - won]?.status, 409, answers[0].text);
  const [added, four] = [answers[won], fours[won]];
  const { progress, ...shown } = added.json.members[1];
  assert.deepEqual(shown, {
    id: 4,
    raft: "127.0.0.1:1",
    http: four.http,
    role: "learner",
    isLeader: false,
  });
  assert.equal(progress.isLearner, true);
  // Its answer is shared for a moment.
  await until("it to be seen, and found away", PATIENCE_MS, async () =>
    /ECONNREFUSED|fetch failed/.test((await ask("GET", "/cluster")).json.members[1]?.error ?? ""),
  );
  assert.equal(errorOf(await post({ add: [four] })), "409 RAFT_CHANGE_REFUSED");
  assert.equal(errorOf(await post({ promote: [9] })), "409 RAFT_CHANGE_REFUSED");
  // What is refused changes nothing, nor where clients are sent.
  assert.equal(errorOf(await post({ add: [{ ...four, http: "10.9.9.9:1" }] })), "409 RAFT_CHANGE_REFUSED");
  const elsewhere = { id: 1, raft: four.raft, http: "10.9.9.9:1" };
  assert.equal(errorOf(await post({ update: [elsewhere] })), "409 RAFT_CHANGE_REFUSED");
  const { members } = (await ask("GET", "/members")).json;
  assert.deepEqual([members[0].http, members[1].http], ["127.0.0.1:0", four.http]);
  const five = { id: 5, raft: "127.0.0.1:7", http: "127.0.0.1:8", learner: true };
  for (const [change, expected] of [
    [
      { http: four.http },
      /, where clients reach node 5, is where clients reach node 4: each listens at one of its own$/,
    ],
    [{ http: four.raft }, /, where clients reach node 5, is that of node 4: each listens at one of its own$/],
    [
      { raft: four.http },
      /, the address for node 5, is where clients reach node 4: each listens at one of its own$/,
    ],
    [{ http: five.raft }, /, where clients reach node 5, is that of node 5: each listens at one of its own$/],
  ] as const) {
    const got = await post({ add: [{ ...five, ...change }] });
    assert.equal(errorOf(got), "409 RAFT_CHANGE_REFUSED");
    assert.match(got.json.error.message, expected);
  }
  const moved = { id: 4, raft: "127.0.0.1:4", http: "127.0.0.1:5" };
  const there = (await post({ update: [moved] })).json.members[1];
  assert.deepEqual({ id: there.id, raft: there.raft, http: there.http }, moved);
  // The change was made, and what came behind it was not: asked for again it is.
  const dropped = new RaftmarkError("RAFT_PROPOSAL_DROPPED", "it hands over");
  const propose = mock.method(service.node, "propose", () => Promise.reject(dropped));
  const half = await post({ update: [{ ...moved, http: "127.0.0.1:6" }] });
  assert.deepEqual([errorOf(half), half.json.error.mayCommit], ["503 RAFT_PROPOSAL_DROPPED", true]);
  propose.mock.restore();
  const again = await post({ update: [{ ...moved, http: "127.0.0.1:6" }] });
  assert.equal(again.json.members[1].http, "127.0.0.1:6");
  assert.equal(errorOf(await post({ add: [four] }, "text/plain")), "415 KV_NO_JSON");
  assert.equal(errorOf(await post("{")), "400 KV_BAD_REQUEST");
  const { raft, ...fields } = four;
  const wrong: [unknown, RegExp][] = [
    [{ add: [{ ...four, raft: 7 }] }, /^add\.0\.raft: must be text, not 7; as in /],
    [{ add: [{ ...four, raft: "b" }] }, /^add\.0\.raft: must be an address, host:port, .*, not "b"; as in /],
    [
      { promot: [4] },
      /^promot: there is no such field; there is add, promote, remove, update\. Did you mean promote\?; as in /,
    ],
    [{ add: [fields] }, /^add\.0\.raft is missing: it must be an address, host:port; as in /],
    [
      { add: [{ ...fields, address: raft }] },
      /^add\.0\.address: there is no such field; there is id, raft, http, learner\. Did you mean raft\?; as in /,
    ],
    [{ update: [four] }, /^update\.0\.learner: there is no such field; there is id, raft, http\.; as in /],
    [{ add: [{ ...four, learner: "yes" }] }, /^add\.0\.learner: must be true or false, not "yes"; as in /],
    [
      { update: [{ id: 4, raft, http: "0.0.0.0:0" }] },
      /^update\.0\.http: "0\.0\.0\.0:0" has port 0, at which nobody can be reached$/,
    ],
    [{ add: [{ ...four, http: "[::]:80" }] }, /^add\.0\.http: "\[::\]:80" is where to listen, .* of node 4$/],
    [{ remove: 4 }, /^remove: must be a list, not 4; as in /],
    [[1], /^the body: must be a mapping of fields to values, not \[1\]; as in/],
    [{ add: [[4]] }, /^add\.0: must be a mapping of fields to values, not \[4\]; as in/],
    [7, /^the body: must be a mapping of fields to values, not 7; as in /],
  ];
  for (const [body, expected] of wrong) {
    const got = await post(body);
    assert.equal(errorOf(got), "400 KV_BAD_REQUEST");
    assert.match(got.json.error.message, expected);
  }
  for (const id of ["x", "04", "0"])
    assert.equal(errorOf(await ask("DELETE", `/members/${id}`)), "400 KV_BAD_REQUEST");
  const late = new RaftmarkError("RAFT_TIMEOUT", "the read was not answered in time: read again");
  const barrier = mock.method(service.node, "readBarrier", () => Promise.reject(late));
  const unheard = await ask("DELETE", "/members/4");
  const status = service.node.status();
  const disk = mock.method(service.node, "status", () => ({
    ...status,
    disk: { ...status.disk, silent: true },
  }));
  const held = await ask("DELETE", "/members/4");
  for (const mocked of [barrier, disk]) mocked.mock.restore();
  assert.match(held.json.error.message, /; this node leads; the disk of its own log does not answer$/);
  assert.deepEqual([errorOf(unheard), unheard.json.error.mayCommit], ["504 RAFT_TIMEOUT", false]);
  assert.match(
    unheard.json.error.message,
    /^no member was changed: .* no majority of the members answered it in time.*; this node leads; is a majority/,
  );
  assert.equal(errorOf(await ask("DELETE", "/members/9")), "409 RAFT_CHANGE_REFUSED");
  assert.equal((await ask("DELETE", "/members/4")).json.members.length, 1);
});

test("what the engine says of its own options is said in the service's words", async () => {
  const full = new RaftmarkError("RAFT_OVERLOADED", "propose again, or raise maxQueuedBytes");
  const propose = mock.method(service.node, "propose", () => Promise.reject(full));
  const answer = await ask("PUT", "/kv/a", "1");
  propose.mock.restore();
  assert.equal(errorOf(answer), "503 RAFT_OVERLOADED");
  assert.match(answer.json.error.message, /^too many changes wait already/);
});

function raw(
  method: string,
  path: string,
  body?: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: string }> {
  const port = Number(base.split(":")[2]);
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port, method, path, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => {
        text += piece;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    request.once("error", reject);
    request.end(body);
  });
}

interface Line {
  readonly index: number;
  readonly type: string;
  readonly key: string;
  readonly value?: string;
}

function watch(path: string): { lines: Line[]; begun: boolean; stop(): void } {
  const stopped = new AbortController();
  const watched = { lines: [] as Line[], begun: false, stop: () => stopped.abort() };
  const read = async () => {
    const response = await fetch(base + path, { signal: stopped.signal });
    watched.begun = true;
    let rest = "";
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split("\n");
      rest = lines.pop()!;
      for (const line of lines) if (line !== "") watched.lines.push(JSON.parse(line));
    }
  };
  read().catch(() => {});
  return watched;
}
