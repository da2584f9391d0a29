// /readyz: a node is ready when a read through it comes back.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, mock, test } from "node:test";
import { freePorts } from "../../bench/harness/ports.js";
import { newLogger, parseConfig, Service } from "../../src/serve/index.js";
import { PATIENCE_MS, scratchDir, until } from "../process/support.js";

const scratch = scratchDir("readiness");
const services: Service[] = [];
after(async () => {
  await Promise.all(services.map((service) => service.close({ timeoutMs: 0 })));
  scratch.remove();
});

async function open(
  id: number,
  rafts: readonly string[],
  secret = "0123456789abcdef",
  more = "",
): Promise<Service> {
  const peers = rafts
    .map((raft, i) => `${i + 1}: { raft: "${raft}", http: "127.0.0.1:${i + 1}" }`)
    .join(", ");
  const text = `
id: ${id}
dataDir: data-${rafts.length}-${id}
peers: { ${peers} }
http: "127.0.0.1:0"
secret: ${secret}
tickMs: 50
durability: none
logLevel: error
${more}`;
  const config = await parseConfig(text, join(scratch.path, "node.yaml"));
  const service = await Service.open(config, newLogger("error", process.stderr, id));
  services.push(service);
  return service;
}

// biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for.
async function probe(service: Service): Promise<{ status: number; json: any }> {
  const response = await fetch(`http://${service.http}/readyz`);
  return { status: response.status, json: await response.json() };
}

test("a node that the others do not reach knows the leader and is not ready: it says where it should be found", async () => {
  const [one, two, three, elsewhere] = (await freePorts(4)).map((port) => `127.0.0.1:${port}`);
  const rafts = [one, two, three];
  const [first, lone] = await Promise.all([open(1, rafts), open(2, [one, elsewhere, three]), open(3, rafts)]);
  await until("the others to be ready", PATIENCE_MS, async () => (await probe(first)).status === 200);
  await until("it to know the leader", PATIENCE_MS, () => lone.node.status().leader !== 0);
  const { status, json } = await probe(lone);
  assert.equal(status, 503);
  assert.match(json.error.message, new RegExp(`does it reach this node, at ${elsewhere}`));
});

test("what keeps a node from the others is said to probes and clients: here another key", async () => {
  const rafts = (await freePorts(2)).map((port) => `127.0.0.1:${port}`);
  await open(1, rafts);
  const other = await open(2, rafts, "another-secret-0", "requestTimeoutMs: 1000");
  const why = /Last: node 1 (refuses this node|is refused): bad key/;
  await until("it to be said", PATIENCE_MS, async () => why.test((await probe(other)).json.error.message));
  const response = await fetch(`http://${other.http}/kv/a`);
  const { error } = JSON.parse(await response.text());
  assert.equal(`${response.status} ${error.code}`, "503 RAFT_NO_LEADER");
  assert.match(error.message, why);
  assert.doesNotMatch(error.message, /TimeoutMs/, "an option of the engine is none of the configuration");
});

test("probes share a read, while it is under way and for a second after", async () => {
  const alone = await open(1, ["127.0.0.1:0"]);
  await alone.node.whenLeader();
  const read = mock.method(alone.node, "readBarrier");
  const begun = performance.now();
  const all = await Promise.all(Array.from({ length: 5 }, () => probe(alone)));
  assert.deepEqual(all[0], { status: 200, json: { ready: true, leader: 1 } });
  await probe(alone);
  const seconds = (performance.now() - begun) / 1000;
  assert.ok(read.mock.callCount() <= 1 + seconds, `${read.mock.callCount()} reads in ${seconds} s`);
  const reads = read.mock.callCount();
  await until("another read", PATIENCE_MS, async () => {
    await probe(alone);
    return read.mock.callCount() > reads;
  });
});
