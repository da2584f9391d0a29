// An event that comes to no end leaves its run void with the reason, and not the bench ended: what a node refuses, and what
// is waited for in vain. What else fails is thrown on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BenchError } from "../../bench/harness/bench-error.js";
import {
  type EventOutcome,
  type EventPlan,
  EventToItsEnd,
  EventUnderLoad,
  type Measures,
  meanwhileOf,
  sleep,
} from "../../bench/harness/event-parts.js";
import { MemberReplaced } from "../../bench/harness/member-change-event.js";
import { NodeRefusal } from "../../bench/harness/node-process.js";
import type { LoadResult } from "../../bench/harness/protocol.js";

const LOAD = {} as LoadResult;

class Failing extends EventUnderLoad<never> {
  private readonly error: Error;

  constructor(error: Error) {
    super({} as EventPlan);
    this.error = error;
  }

  protected override run(): Promise<never> {
    return Promise.reject(this.error);
  }

  protected override tell(): Measures {
    return {};
  }
}

function outcomeOf(error: Error): Promise<EventOutcome> {
  const event = new Failing(error);
  event.opened();
  return event.finish(LOAD);
}

test("an event that a node refuses measures nothing, and says so", async () => {
  const refusal = new NodeRefusal('node 1 refused "propose"', "RAFT_NOT_LEADER", "node 2 leads", false);
  const { measures, faults } = await outcomeOf(refusal);
  assert.deepEqual(measures, {});
  assert.deepEqual(faults, [
    'what was to befall it came to no end: node 1 refused "propose": node 2 leads. [RAFT_NOT_LEADER]',
  ]);
  await assert.rejects(outcomeOf(new BenchError("failed", "node 2 ended")), { message: "node 2 ended" });
  await assert.rejects(outcomeOf(new TypeError("a bug")), TypeError);
});

class Late extends EventToItsEnd<null> {
  protected override async act(): Promise<null> {
    await sleep(50);
    this.checkUnderLoad("a follower to catch up");
    return null;
  }

  protected override tell(): Measures {
    return {};
  }
}

test("an event that is over after its load was measured without one, which is no measure of it", async () => {
  const plan = { haltLoad: async () => {} } as unknown as EventPlan;
  const late = new Late(plan);
  late.opened();
  late.closed();
  const { faults } = await late.finish(LOAD);
  assert.deepEqual(faults, [
    "what was to befall it came to no end: a follower to catch up: the load was over before.",
  ]);
  const early = new Late(plan);
  early.opened();
  await sleep(100);
  early.closed();
  assert.deepEqual(await early.finish(LOAD), { measures: {}, faults: [] });
});

class Growing extends EventToItsEnd<null> {
  protected override async act(): Promise<null> {
    await this.growth("a log of 5 MB", 100);
    return null;
  }

  protected override tell(): Measures {
    return {};
  }
}

test("an event that waits for the log to grow does so for as long as the load goes on", async () => {
  const cluster = { call: async () => ({ commit: 99 }) };
  const haltLoad = async () => {};
  const event = new Growing({ cluster, leader: 1, durationMs: 10, haltLoad } as unknown as EventPlan);
  event.opened();
  const { faults } = await event.finish(LOAD);
  assert.deepEqual(faults, [
    "what was to befall it came to no end: a log of 5 MB: the load was over before.",
  ]);
});

test("the rate after an event is told by the one before: a share of their mean is no surer than that", () => {
  const series = [100, 100, 40, 40, 120, 120];
  const load = { series, seriesP99Ms: series.map(() => null) } as unknown as LoadResult;
  const words = { rate: "", inside: "", outside: "" };
  const among = (slots: readonly number[]) => (atMs: number) => slots.includes(atMs / 100);
  const of = (inside: readonly number[], outside: readonly number[]) =>
    Object.entries(meanwhileOf(load, among(inside), among(outside), words)).map(([name, { value }]) => [
      name,
      Math.round(value),
    ]);
  assert.deepEqual(of([2, 3], [0, 1, 4, 5]), [
    ["rateAfter", 120],
    ["rateMeanwhile", 36],
  ]);
  assert.deepEqual(of([2, 3], [0, 1]), [["rateMeanwhile", 40]], "nothing is known of the time after");
  assert.deepEqual(of([], [0, 1]), []);
});

class Replaced extends MemberReplaced {
  override tell(...told: Parameters<MemberReplaced["tell"]>): Measures {
    return super.tell(...told);
  }
}

test("the share of commits while a member is replaced stands beside the rate after, once nothing is done to the group", () => {
  const series = [100, 100, 40, 40, 10, 120, 110];
  const load = { series, seriesP99Ms: series.map(() => null) } as unknown as LoadResult;
  const plan = { variant: { settings: { entryBytes: 256 } } } as unknown as EventPlan;
  const times = { addedAt: 200, changedAt: 400, partedAt: 420, addMs: 1, catchUpMs: 1, changeMs: 1 };
  const { rateMeanwhile, rateAfter } = new Replaced(plan).tell({ ...times, behind: 1 }, load);
  assert.deepEqual([rateMeanwhile!.value, rateAfter!.value], [40, 115]);
});
