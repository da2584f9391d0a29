import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  CloseBadCertificate,
  CloseBadCluster,
  CloseBadKey,
  CloseDuplicateId,
  CloseReplaced,
  type LinkRefusal,
} from "../../src/link/index.js";
import { PeerLines, refusalLine } from "../../src/node/peer-lines.js";
import { Teller } from "../../src/node/teller.js";

const refusal = (code: number, reason: string, by: "peer" | "us" = "us"): LinkRefusal =>
  ({ peer: 3, code, reason, by }) as LinkRefusal;

test("a refusal names the option to look at", () => {
  const text = (one: LinkRefusal) => refusalLine(one, true).text;
  assert.equal(
    text(refusal(CloseBadKey, "bad key")),
    "node 3 is refused: bad key (the two have different secrets: option secret)",
  );
  assert.equal(
    text(refusal(CloseBadCluster, "another cluster", "peer")),
    "node 3 refuses this node: another cluster (the two are of different clusters: option clusterId)",
  );
  assert.match(
    text(refusal(CloseDuplicateId, "same id")),
    /\(stop one of the two, or give it an id of its own/,
  );
  assert.match(
    text(refusal(CloseReplaced, "replaced", "peer")),
    /another process connects there as this node/,
  );
  assert.match(text(refusal(CloseBadCertificate, "ERR_SSL_WRONG_VERSION_NUMBER: 800C4C2D")), /without TLS/);
  assert.equal(text(refusal(CloseBadCertificate, "expired")), "node 3 is refused: expired");
});

test("another reason of a member's is another kind of line; what changes with each try is not", () => {
  const kind = (reason: string, isMember = true) =>
    refusalLine(refusal(CloseBadCertificate, reason), isMember).kind;
  assert.notEqual(kind("expired"), kind("no certificate for its address"));
  assert.equal(kind("error 800C4C2D6E7F0000: x"), kind("error 80AC4C2D6E7F0000: x"));
  assert.equal(kind("a", false), kind("b", false));
});

/** Those of node 1, which has no logger; `written` is what goes to standard error. */
function unheard(t: TestContext) {
  let now = 0;
  const written: string[] = [];
  t.mock.method(process.stderr, "write", (text: string) => written.push(text.trimEnd()) > 0);
  const connected = new Set<number>();
  const received = new Map<number, number>();
  const lines = new PeerLines({
    teller: new Teller(1, null, () => now),
    isMember: (peer) => peer !== 4,
    isConnected: (peer) => connected.has(peer),
    received: (peer) => received.get(peer) ?? 0,
    now: () => now,
  });
  const connect = (peer: number): void => {
    connected.add(peer);
    lines.changed(peer, true);
  };
  const pass = (ms: number): void => {
    now += ms;
  };
  return { lines, written, connect, received, pass };
}

const REFUSES = "node 3 refuses this node: bad key (the two have different secrets: option secret)";

test("without a logger a member's refusal is told once a reason, until it is connected; a stranger's is not", (t) => {
  const { lines, written, connect, pass } = unheard(t);
  for (const by of ["peer", "us", "peer"] as const) lines.refused(refusal(CloseBadKey, "bad key", by), true);
  lines.refused(refusal(CloseReplaced, "replaced by a newer connection"), true);
  for (let i = 0; i < 100; i++) lines.refused({ ...refusal(CloseBadKey, "bad key"), peer: 100 + i }, false);
  assert.deepEqual(written, [`raftmark: node 1: ${REFUSES}`]);
  connect(3);
  pass(60_000);
  lines.refused(refusal(CloseBadKey, "bad key", "peer"), true);
  assert.equal(written.length, 2);
});

test("who is not there is told to a logger alone, and what is no node, after a while, once without one", (t) => {
  const { lines, written, pass } = unheard(t);
  for (const why of ["connect ECONNREFUSED 1.2.3.4:5", "Opening handshake has timed out"])
    for (let i = 0; i < 5; i++) lines.unreached(2, "host:1", why);
  // A node that ends.
  for (const why of ["closed before it was upgraded", "connect ECONNREFUSED 1.2.3.4:5", "closed before"]) {
    lines.unreached(2, "host:1", why);
    pass(2000);
  }
  assert.deepEqual(written, []);
  for (let i = 0; i < 5; i++) {
    lines.unreached(2, "host:1", "Unexpected server response: 200");
    pass(2000);
  }
  const text =
    "raftmark: node 1: node 2 cannot be reached at host:1, and is not heard: Unexpected server response: 200 " +
    "(what answers there may be another program: option peers)";
  assert.deepEqual(written, [text]);
  for (let i = 0; i < 3; i++) {
    lines.unreached(3, "host:1", "no TLS in time (if ...)");
    pass(2000);
  }
  assert.match(written[1]!, /no TLS in time \(if \.\.\.\)$/);
});

test("what is in the way is known as long as it is", (t) => {
  const { lines, connect, received, pass } = unheard(t);
  assert.deepEqual(lines.obstacles(), []);
  lines.refused(refusal(CloseBadKey, "bad key", "peer"), true);
  lines.unreached(2, "host:1", "no");
  lines.unreached(4, "host:4", "it was removed since");
  const away = "node 2 cannot be reached at host:1, and is not heard: no";
  assert.deepEqual(lines.obstacles(), [REFUSES, away]);
  // Nobody tries any more.
  pass(60_000);
  assert.deepEqual(lines.obstacles(), [REFUSES]);
  // One direction stands, and then both.
  connect(3);
  assert.deepEqual(lines.obstacles(), [REFUSES]);
  received.set(3, 1);
  assert.deepEqual(lines.obstacles(), []);
  lines.changed(3, false);
  assert.deepEqual(lines.obstacles(), []);
});
