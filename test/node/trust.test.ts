// What a RaftNode does about TLS and the cluster's secret: options, certificates loaded anew, and what it warns of.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { connect } from "node:tls";
import { freePorts } from "../../bench/harness/ports.js";
import type { RaftNode, TlsOptions, TlsSource } from "../../src/index.js";
import { Authority, NO_OPENSSL } from "../link/certificates.js";
import { freePeers } from "../listen.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import { type Given, openNode, type Running, SOLE } from "./nodes.js";

const SECRET = "a secret of the test's, long enough";

function open(t: TestContext, more: Given, id = 1, dir = tempDir(t)): Promise<Running> {
  return openNode(t, dir, id, 1, { ...SOLE, secret: SECRET, ...more });
}

test("three nodes with TLS elect, replicate and take new certificates", { skip: NO_OPENSSL }, async (t) => {
  const authority = new Authority();
  t.after(() => authority.remove());
  const peers = await freePeers(3);
  let asked = 0;
  let failing: Error | null = null;
  let given: TlsOptions | null = null;
  const tls: TlsSource = async () => {
    asked++;
    if (failing !== null) throw failing;
    return given ?? authority.member();
  };
  const nodes: RaftNode[] = [];
  const dir = tempDir(t);
  const start = (id: number) => open(t, { peers, tls, tickMs: 50, listen: peers[id]! }, id, dir);
  for (const id of [1, 2, 3]) nodes.push((await start(id)).node);
  assert.match(nodes[0]!.metrics.link, /^ws on node:tls/);
  const leader = nodes[(await nodes[0]!.whenLeader()) - 1]!;
  await leader.propose(Buffer.from("a"));
  assert.equal(asked, 3);
  await Promise.all(nodes.map((node) => node.reloadTls()));
  assert.equal(asked, 6);
  await leader.propose(Buffer.from("b"));
  failing = new Error("no file there");
  await assert.rejects(leader.reloadTls(), {
    code: "RAFT_BAD_OPTION",
    message: "option tls: the function failed: no file there",
    cause: failing,
  });
  failing = null;
  // Whose certificates nobody here believes.
  const elsewhere = new Authority();
  given = { ...elsewhere.member(), ca: authority.ca };
  elsewhere.remove();
  await assert.rejects(leader.reloadTls(), {
    code: "RAFT_BAD_OPTION",
    message:
      /^option tls\.cert: would be refused by the other members \(\w+\): no authority in tls\.ca vouches/,
  });
  given = null;
  await leader.propose(Buffer.from("c"));
  // A member that starts again is heard by the others' new certificates, and they by it.
  const other = leader === nodes[0] ? 2 : 1;
  await nodes[other - 1]!.close();
  const again = await start(other);
  await leader.propose(Buffer.from("d"));
  await again.node.readBarrier();
});

test("what of option tls is wrong is said by name, and no key is shown", { skip: NO_OPENSSL }, async (t) => {
  const authority = new Authority();
  t.after(() => authority.remove());
  const good = authority.member();
  const refusal = (tls: unknown, more: Given = {}): Promise<string> =>
    open(t, { tls: tls as TlsSource, ...more }).then(
      () => assert.fail("not refused"),
      (error: { code: string; message: string }) => {
        assert.equal(error.code, "RAFT_BAD_OPTION", error.message);
        assert.ok(!error.message.includes("BEGIN"), error.message);
        return error.message;
      },
    );
  assert.match(await refusal("on"), /^option tls: must be an object with ca, cert and key, or a function/);
  assert.equal(
    await refusal({ ...good, certt: good.cert }),
    "option tls.certt: there is no such option. Did you mean cert?",
  );
  assert.match(await refusal({ ...good, key: undefined }), /^option tls\.key: is missing; it must be PEM/);
  assert.match(
    await refusal({ cert: good.cert, key: good.key }),
    /^option tls\.ca: is missing; it must be PEM/,
  );
  assert.equal(
    await refusal({ ...good, key: 7 }),
    "option tls.key: must be PEM, as a string or bytes, not 7",
  );
  assert.match(await refusal({ ...good, cert: "nothing" }), /^option tls\.cert: cannot be used: /);
  assert.match(await refusal(() => null), /^option tls: must be an object, not null/);
  assert.match(await refusal(good, { acceptor: "uws" }), /^option acceptor: "uws" cannot go with tls/);
  const { node } = await open(t, { tls: good });
  await assert.rejects(node.reloadTls(), { code: "RAFT_BAD_OPTION", message: /must be a function/ });
});

test("of two reloads the later counts, however long the first one takes", { skip: NO_OPENSSL }, async (t) => {
  const authority = new Authority();
  t.after(() => authority.remove());
  const [first, second, third] = [authority.member(), authority.member(), authority.member()];
  let answer: (pems: TlsOptions) => void = () => {};
  const late = new Promise<TlsOptions>((resolve) => {
    answer = resolve;
  });
  const given = [first, late, third];
  const peers = await freePeers(1);
  const { node } = await open(t, { tls: async () => given.shift()!, listen: peers[1]!, peers });
  const reloads = [node.reloadTls(), node.reloadTls()];
  for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
  answer(second);
  await Promise.all(reloads);
  const socket = connect({ port: Number(peers[1]!.split(":")[1]), rejectUnauthorized: false });
  t.after(() => socket.destroy());
  await once(socket, "secureConnect");
  const shown = socket.getPeerX509Certificate()!;
  assert.equal(shown.fingerprint256, new X509Certificate(third.cert).fingerprint256);
});

test("a node that others can reach in the clear says so, once", async (t) => {
  const [port] = await freePorts(1);
  const { lines } = await open(t, { listen: `0.0.0.0:${port}`, peers: { 1: `127.0.0.1:${port}` } });
  assert.deepEqual(
    lines.all.filter((line) => line.includes("option tls")),
    [
      "warn what nodes say to each other can be read on the way, if not changed: give option tls (docs/operate.md, Trust)",
    ],
  );
  const here = await open(t, { secret: "short" });
  assert.ok(here.lines.all.every((line) => !line.startsWith("warn")));
  assert.ok(here.lines.all.some((line) => line.includes("openssl rand -hex 32")));
});

test("nodes with different secrets say so without a logger, and in the error of who waits for a leader", async (t) => {
  const written: string[] = [];
  t.mock.method(process.stderr, "write", (text: string) => written.push(text) > 0);
  const peers = await freePeers(2);
  const start = (id: number, secret: string) =>
    open(t, { id, peers, listen: peers[id]!, secret, tickMs: 20, logger: undefined } as never);
  const { node } = await start(1, SECRET);
  await start(2, "another secret of the test's");
  const message =
    /node 2 (is refused|refuses this node): bad key \(the two have different secrets: option secret\)$/;
  await until("they tell", 60_000, () => written.length === 2);
  assert.ok(
    written.every((line) => /^raftmark: node [12]: node [12] .*: bad key \(/.test(line)),
    written.join(""),
  );
  await assert.rejects(node.propose(Buffer.from("x")), { code: "RAFT_NO_LEADER", message });
  await assert.rejects(node.readBarrier(), { code: "RAFT_NO_LEADER", message });
  assert.equal(written.length, 2);
});
