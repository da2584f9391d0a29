// Whose answers confirm that a leader leads, for reads and leases: those of the voters, of both halves where there are two.
import assert from "node:assert/strict";
import { test } from "node:test";
import { JointConfig, MajorityConfig } from "../../src/raft/quorum/index.js";
import { ProgressTracker } from "../../src/raft/tracker/index.js";

/** The round that is confirmed for leader 1, which has started round 9: each other answered the round that stands there. */
function confirmed(
  incoming: readonly number[],
  outgoing: readonly number[],
  answered: Record<number, number>,
): number {
  const trk = new ProgressTracker(256, 0);
  const voters = new JointConfig(new MajorityConfig(incoming), new MajorityConfig(outgoing));
  const ids = [...new Set([1, ...incoming, ...outgoing, ...Object.keys(answered).map(Number)])];
  const learners = ids.filter((id) => !incoming.includes(id) && !outgoing.includes(id));
  const progress = new Map(ids.map((id) => [id, trk.newProgress(0, 1, learners.includes(id))]));
  for (const [id, round] of Object.entries(answered)) progress.get(Number(id))!.heartbeatRound = round;
  trk.install({ voters, learners, learnersNext: [], autoLeave: false }, progress);
  return trk.confirmedRound(1, 9);
}

test("learners confirm nothing, however many answer", () => {
  assert.equal(confirmed([1, 2, 3], [], { 2: 4, 3: 0, 4: 9, 5: 9 }), 4);
});

test("in a joint configuration a majority of each half has to answer", () => {
  assert.equal(confirmed([1, 4, 5], [1, 2, 3], { 2: 3, 3: 0, 4: 9, 5: 9 }), 3);
  assert.equal(confirmed([1, 4, 5], [1, 2, 3], { 2: 9, 3: 9, 4: 3, 5: 0 }), 3);
});
