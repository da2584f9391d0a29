// Random schedules: messages lost, doubled and reordered, nodes restarted. The network checks Figure 3 all
// the way.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ConfigOverrides, Network, type NetworkOptions } from "./network.js";
import { SlowStorage } from "./slow-storage.js";

type Storage = NetworkOptions["storage"];

const MODES: readonly [string, ConfigOverrides, Storage?][] = [
  ["plain", {}],
  ["async storage writes", { asyncStorageWrites: true }],
  ["pre-vote and check-quorum", { preVote: true, checkQuorum: true }],
  [
    "async, pre-vote, small windows",
    { asyncStorageWrites: true, preVote: true, maxSizePerMsg: 30, maxInflightMsgs: 2 },
  ],
  [
    "async, little applied at a time",
    { asyncStorageWrites: true, checkQuorum: true, maxCommittedSizePerReady: 20 },
  ],
  ["old entries are read later", {}, () => new SlowStorage(3)],
  [
    "async, old entries are read later",
    { asyncStorageWrites: true, preVote: true, checkQuorum: true, maxInflightMsgs: 3 },
    () => new SlowStorage(),
  ],
  ["one entry at a time", { maxSizePerMsg: 0, maxCommittedSizePerReady: 1, maxInflightMsgs: 1 }],
];

function run(seed: number, config: ConfigOverrides, storage: Storage, steps: number): Network {
  const network = new Network({ voters: [1, 2, 3], seed, config, ...(storage && { storage }) });
  for (let i = 0; i < steps; i++) network.chaos();
  return network;
}

for (const [name, config, storage] of MODES) {
  test(`a random schedule is safe, and ends in agreement once the network heals: ${name}`, () => {
    for (let seed = 1; seed <= 8; seed++) {
      const network = run(seed, config, storage, 4000);
      network.checkLogMatching();
      network.settle();
      for (let i = 0; i < 200 && network.leader() === null; i++) network.tick();
      network.tick(40);
      const leader = network.leader();
      assert.ok(leader !== null, `seed ${seed}: no leader`);
      network.propose(leader.id, "last");
      network.tick(3);
      for (const member of network.members.values()) {
        const state = `seed ${seed}, node ${member.id}`;
        assert.deepEqual(member.appliedTexts(), leader.appliedTexts(), state);
        assert.equal(member.appliedTexts().at(-1), "last", state);
      }
      network.checkLogMatching();
    }
  });

  test(`the same seed gives the same trace: ${name}`, () => {
    const first = run(7, config, storage, 3000);
    assert.equal(first.traceHash, run(7, config, storage, 3000).traceHash);
    assert.notEqual(first.traceHash, run(8, config, storage, 3000).traceHash);
  });
}
