// A run that lost its leader says why, as far as its nodes know.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type LostLead, whyLost } from "../../bench/harness/lost-lead.js";
import type { ReplyOf } from "../../bench/harness/protocol.js";

type Status = ReplyOf<"status">;

const STATUS: Status = {
  id: 1,
  term: 2,
  commit: 9,
  applied: 9,
  lastIndex: 9,
  state: "StateFollower",
  leader: 1,
  fault: null,
  disk: { stalls: 0 },
};

function standing(...given: readonly Partial<Status>[]): ReadonlyMap<number, Status> {
  return new Map(given.map((each, i) => [i + 1, { ...STATUS, id: i + 1, ...each }]));
}

function why(after: LostLead["after"], stillMs = 0): string | null {
  const before = standing({ state: "StateLeader" }, {}, {});
  const samples = new Map([[1, [{ loopDelayMaxMs: stillMs }]]]) as unknown as LostLead["samples"];
  return whyLost({ leader: 1, tickMs: 100, before, after, samples });
}

test("a disk that did not answer, a process that stood still, another that leads", () => {
  const another = standing({ term: 3, disk: { stalls: 1 } }, { term: 3, state: "StateLeader" }, { term: 3 });
  assert.equal(
    why(another),
    "the disk of node 1, which led, did not answer for 1000 ms (once); node 2 leads term 3 now",
  );
  const stopped = standing({ term: 3 }, { term: 3, state: "StateLeader" }, { term: 3 });
  assert.equal(
    why(stopped, 3011.6),
    "the process of node 1, which led, stood still for 3012 ms; node 2 leads term 3 now",
  );
});

test("an election that the same node won, and nobody who leads; nothing is told where nothing changed", () => {
  const again = standing({ term: 4, state: "StateLeader" }, { term: 4 }, { term: 4 });
  assert.equal(why(again), "there was an election: it leads term 4 now");
  assert.equal(why(standing({}, {}, {})), "no node leads now");
  assert.equal(why(standing({ state: "StateLeader" }, {}, {}), 900), null);
});
