// Random and mutated messages against nodes in every role, of small groups with learners and joint configurations.
// Whatever comes, nothing is thrown; what is refused changes nothing; and a group to which only refused messages came
// goes on as if none had.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.js";
import { type Message, MsgHeartbeat, None, type RawNode } from "../../src/raft/index.js";
import { checkMessage } from "../../src/raft/validate.js";
import { digest, group, mutated, randomMessage } from "./forged.js";
import type { Member, Network } from "./network.js";

const SEEDS = 60;
const FROM = Number(process.env["FUZZ_SEED"] ?? 1);
const COUNT = process.env["FUZZ_SEED"] === undefined ? SEEDS : 1;
function eachSeed(run: (seed: number, prng: Prng) => void): void {
  for (let seed = FROM; seed < FROM + COUNT; seed++) {
    try {
      run(seed, new Prng(seed));
    } catch (error) {
      console.error(`replay: FUZZ_SEED=${seed} node --test dist/test/raft/fuzz-messages.test.js`);
      throw error;
    }
  }
}

/** Null for what only a node itself says, and for the one fault that stops a node: its log was lost (RAFT_LOG_LOST). */
function nextMessage(prng: Prng, network: Network, raw: RawNode): Message | null {
  const m = prng.below(2) === 0 ? randomMessage(prng, raw) : mutated(prng, network, raw);
  if (m.from < 0 || m.from === None) return null;
  if (m.type === MsgHeartbeat && m.commit > raw.raft.raftLog.lastIndex()) return null;
  return m;
}

function stepAndCheck(raw: RawNode, m: Message): void {
  const before = digest(raw);
  const error = raw.step(m);
  const log = raw.raft.raftLog;
  if (error !== null) assert.deepEqual(digest(raw), before, `refused, yet changed: ${JSON.stringify(m)}`);
  assert.ok(log.applied <= log.applying && log.applying <= log.committed && log.committed <= log.lastIndex());
}

test("no message breaks a node, whatever it is doing", () => {
  eachSeed((seed, prng) => {
    const network = group(seed, prng);
    // What is forged may well be applied by its victim, against what the others chose.
    network.onApplied = () => {};
    const victim: Member = network.get(1 + prng.below(4));
    for (let i = 0; i < 150; i++) {
      const m = nextMessage(prng, network, victim.raw);
      if (m !== null) stepAndCheck(victim.raw, m);
      if (prng.below(3) === 0 && !victim.handleReady() && !victim.doAppend()) victim.doApply();
      if (prng.below(5) === 0) victim.raw.tick();
    }
  });
});

test("a group goes on as before, however much is refused meanwhile", () => {
  eachSeed((seed, prng) => {
    const network = group(seed, prng);
    let refused = 0;
    for (let i = 0; i < 600; i++) {
      network.chaos();
      const { raw } = network.get(1 + prng.below(4));
      const m = nextMessage(prng, network, raw);
      if (m === null || checkMessage(raw.raft, m) === null) continue;
      refused++;
      stepAndCheck(raw, m);
    }
    assert.ok(refused > 100);
    network.checkLogMatching();
    network.settle();
    for (let i = 0; i < 200 && network.leader() === null; i++) network.tick();
    network.tick(40);
    const leader = network.leader();
    assert.ok(leader !== null, "no leader");
    network.propose(leader.id, "last");
    network.tick(3);
    for (const id of leader.raw.raft.trk.voterNodes())
      assert.equal(network.get(id).appliedTexts().at(-1), "last", `node ${id}`);
  });
});
