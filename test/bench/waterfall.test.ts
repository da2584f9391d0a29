// Joining what nodes noted of the same entries: each sample's stages add up to its total, whoever's copy came last.
import assert from "node:assert/strict";
import { test } from "node:test";
import { waterfallOf } from "../../bench/harness/waterfall.js";
import { APPEND_COLUMNS } from "../../src/node/trace.js";

const LEADER = 1;
/** A follower's clock reads so much more than the leader's: it must cancel out. */
const SKEW = 5000;

/** index, proposed, taken, news, committed, by, applied, resolved */
const OWN_LAST = [7, 100, 110, 300, 305, LEADER, 330, 340];
const FOLLOWER_LAST = [8, 100, 110, 400, 405, 2, 430, 440];
/** first, last, received, handed, encoding, encoded, durable, noticed, responded, syncs */
const OWN = [5, 9, 0, 120, 130, 140, 290, 300, 301, 2];
const FOLLOWER = [1, 9, 150, 160, 170, 180, 260, 270, 275, 1].map((us, i) =>
  i >= 2 && i <= 8 ? us + SKEW : us,
);
const UNKNOWN = new Array<number>(APPEND_COLUMNS).fill(0);

function outcomeOf(samples: number[][], own: number[][], follower: number[][], sentUs: number[]) {
  const appends = new Map([
    [LEADER, Float64Array.from(own.flat())],
    [2, Float64Array.from(follower.flat())],
  ]);
  const traced = {
    leader: LEADER,
    samples: Float64Array.from(samples.flat()),
    appends,
    sentUs: Float64Array.from(sentUs),
  };
  return waterfallOf(traced);
}

function means(stages: readonly { name: string; us: { mean: number } }[]): Record<string, number> {
  return Object.fromEntries(stages.map(({ name, us }) => [name, us.mean]));
}

test("the leader's copy last: its log is on the path, the follower's beside", () => {
  const outcome = outcomeOf([OWN_LAST], [OWN], [FOLLOWER], [0]);
  assert.ok(outcome);
  const { waterfall, syncsWaited } = outcome;
  assert.deepEqual(means(waterfall.stages), {
    queued: 10,
    stepped: 10,
    "own ring": 10,
    "own encode": 10,
    "own disk": 150,
    "own notice": 10,
    quorum: 5,
    apply: 25,
    resolve: 10,
  });
  assert.equal(waterfall.totalUs.mean, 240);
  assert.deepEqual(means(waterfall.beside), {
    "follower stepped": 10,
    "follower ring": 10,
    "follower encode": 10,
    "follower disk": 80,
    "follower notice": 15,
  });
  assert.equal(waterfall.followerLast, 0);
  assert.equal(syncsWaited, 2);
});

test("a follower's answer last: its log is on the path, the wire is what remains, the leader's log beside", () => {
  const outcome = outcomeOf([FOLLOWER_LAST], [OWN], [FOLLOWER], [125]);
  assert.ok(outcome);
  const { stages, beside, totalUs, followerLast } = outcome.waterfall;
  assert.deepEqual(means(stages), {
    queued: 10,
    stepped: 10,
    handed: 5,
    wire: 150,
    "follower stepped": 10,
    "follower ring": 10,
    "follower encode": 10,
    "follower disk": 80,
    "follower notice": 15,
    quorum: 5,
    apply: 25,
    resolve: 10,
  });
  assert.equal(totalUs.mean, 340);
  assert.deepEqual(means(beside), { "own ring": 10, "own encode": 10, "own disk": 150, "own notice": 10 });
  assert.equal(followerLast, 1);
});

test("mixed: a sample counts 0 where it did not pass, and the means still add up", () => {
  const outcome = outcomeOf([OWN_LAST, FOLLOWER_LAST], [OWN, OWN], [FOLLOWER, FOLLOWER], [0, 125]);
  assert.ok(outcome);
  const { stages, totalUs, sampled } = outcome.waterfall;
  assert.equal(sampled, 2);
  assert.equal(means(stages)["own disk"], 75);
  assert.equal(means(stages)["follower disk"], 40);
  const sum = stages.reduce((total, { us }) => total + us.mean, 0);
  assert.equal(sum, totalUs.mean);
  assert.equal(stages.find(({ name }) => name === "own disk")?.us.p50, 0);
});

test("what cannot be joined is left out; nothing joined is no waterfall", () => {
  const outcome = outcomeOf([OWN_LAST, FOLLOWER_LAST], [OWN, OWN], [UNKNOWN, UNKNOWN], [0, 125]);
  assert.equal(outcome?.waterfall.sampled, 1);
  assert.deepEqual(outcome?.waterfall.beside, []);
  assert.equal(outcomeOf([OWN_LAST], [UNKNOWN], [UNKNOWN], [0]), null);
  assert.equal(outcomeOf([], [], [], []), null);
});
