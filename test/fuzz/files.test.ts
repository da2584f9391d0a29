// The small files beside a log: the lock that a killed process left, and what is remembered of the peers' logs. Whatever is
// in them, the node opens, or is refused with a code.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { RaftmarkError } from "../../src/base/errors.js";
import type { Prng } from "../../src/base/prng.js";
import { RaftNode } from "../../src/node/raft-node.js";
import { StubLink } from "../node/stub-link.js";
import { chance, changed, pick, randomBytes } from "./bytes.js";
import { fuzz } from "./harness.js";
import { withDir } from "./scratch.js";

const VALUES = [null, true, 0, -1, 1.5, 1e300, "", "x", "1", [], {}, ["a"], { 2: "b" }, { 2: -5 }, { x: 1 }];

async function openNode(dir: string): Promise<{ node: RaftNode; link: StubLink }> {
  const link = new StubLink();
  const node = await RaftNode.open({
    id: 1,
    dir,
    listen: "127.0.0.1:39501",
    peers: { 1: "127.0.0.1:39501", 2: "127.0.0.1:39502" },
    secret: "k",
    stateMachine: { apply: () => undefined },
    writer: "inline-js",
    durability: "none",
    segmentBytes: 65_536,
    tickMs: 60_000,
    link,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
  return { node, link };
}

/** Bytes changed, or a field of what they are as JSON. */
function spoilt(prng: Prng, text: Buffer): Uint8Array {
  if (chance(prng, 0.5)) return changed(prng, text, randomBytes(prng, 40));
  const content = JSON.parse(text.toString()) as Record<string, unknown>;
  const names = Object.keys(content);
  for (let i = 1 + prng.below(2); i > 0; i--) {
    if (chance(prng, 0.2)) delete content[pick(prng, names)];
    else content[pick(prng, names)] = pick(prng, VALUES);
  }
  return Buffer.from(JSON.stringify(chance(prng, 0.1) ? pick(prng, VALUES) : content));
}

async function play(prng: Prng, note: (outcome: string) => void, dir: string): Promise<void> {
  const lock = path.join(dir, "wal.lock");
  const peers = path.join(dir, "peer-logs.json");
  const { node, link } = await openNode(dir);
  const held = fs.readFileSync(lock);
  const hello = link.handler!.hello!.slice();
  // Another log's id, and so a peer to remember.
  hello[3]! ^= 1;
  assert.equal(link.handler!.onHello!(2, hello), null);
  await node.close();
  if (chance(prng, 0.6)) fs.writeFileSync(lock, spoilt(prng, held));
  if (chance(prng, 0.8)) fs.writeFileSync(peers, spoilt(prng, fs.readFileSync(peers)));
  try {
    const again = await openNode(dir);
    const answer = again.link.handler!.onHello!(2, hello);
    assert.ok(answer === null || typeof answer === "string");
    await again.node.close();
    note("opened");
  } catch (error) {
    if (!(error instanceof RaftmarkError)) throw error;
    note(error.code);
  }
}

fuzz({
  url: import.meta.url,
  name: "whatever is in the files beside a log, the node opens or is refused with a code",
  cases: 80,
  reaches: ["opened"],
  run: (prng, note) => withDir((dir) => play(prng, note, dir)),
});
