// The Changer against a naive model over random sequences of changes, and restore as its inverse.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Changer, type ChangerResult, restore } from "../../src/raft/confchange/index.js";
import { RaftError } from "../../src/raft/errors.js";
import type { ConfChangeSingle, ConfChangeType, ConfState } from "../../src/raft/raftpb/index.js";
import { describeProgressMap, ProgressTracker } from "../../src/raft/tracker/index.js";
import { checkProperty } from "../property.js";

type Action = { readonly kind: "simple" | "enter" | "leave"; readonly changes: readonly ConfChangeSingle[] };

const single: fc.Arbitrary<ConfChangeSingle> = fc.record({
  type: fc.integer({ min: 0, max: 3 }) as fc.Arbitrary<ConfChangeType>,
  nodeId: fc.integer({ min: 0, max: 6 }),
});
const action: fc.Arbitrary<Action> = fc.record({
  kind: fc.constantFrom("simple", "simple", "enter", "leave"),
  changes: fc.array(single, { maxLength: 4 }),
});

/**
 * Roles by id, in words: a member is a voter of either half, or a learner, and a demoted one is to become
 * one.
 */
interface Model {
  readonly incoming: ReadonlySet<number>;
  readonly outgoing: ReadonlySet<number>;
  readonly learners: ReadonlySet<number>;
  readonly next: ReadonlySet<number>;
}

function without(ids: ReadonlySet<number>, id: number): Set<number> {
  return new Set([...ids].filter((other) => other !== id));
}

function change(model: Model, { type, nodeId: id }: ConfChangeSingle): Model {
  if (id === 0 || type === 2) return model;
  const gone: Model = {
    ...model,
    incoming: without(model.incoming, id),
    learners: without(model.learners, id),
    next: without(model.next, id),
  };
  if (type === 0) return { ...gone, incoming: new Set([...gone.incoming, id]) };
  if (type === 1) return gone;
  if (model.learners.has(id)) return model;
  if (model.outgoing.has(id)) return { ...gone, next: new Set([...gone.next, id]) };
  return { ...gone, learners: new Set([...gone.learners, id]) };
}

/** What etcd's rules say follows, or why not. */
function expected(model: Model, { kind, changes }: Action): Model | string {
  const joint = model.outgoing.size > 0;
  if (kind === "leave") {
    if (!joint) return "can't leave a non-joint config";
    const learners = new Set([...model.learners, ...model.next]);
    return { incoming: model.incoming, outgoing: new Set(), learners, next: new Set() };
  }
  if (kind === "enter" && joint) return "config is already joint";
  if (kind === "enter" && model.incoming.size === 0) return "can't make a zero-voter config joint";
  if (kind === "simple" && joint) return "can't apply simple config change in joint config";
  const start = kind === "enter" ? { ...model, outgoing: model.incoming } : model;
  const after = changes.reduce(change, start);
  if (after.incoming.size === 0) return "removed all voters";
  if (kind === "enter") return after;
  const moved = [...model.incoming, ...after.incoming].filter(
    (id) => model.incoming.has(id) !== after.incoming.has(id),
  );
  return moved.length > 1 ? "more than one voter changed without entering joint config" : after;
}

function run(changer: Changer, { kind, changes }: Action): ChangerResult | RaftError {
  if (kind === "simple") return changer.simple(changes);
  return kind === "enter" ? changer.enterJoint(true, changes) : changer.leaveJoint();
}

const sorted = (ids: ReadonlySet<number>) => [...ids].sort((a, b) => a - b);

function confStateOf(model: Model): ConfState {
  return {
    voters: sorted(model.incoming),
    votersOutgoing: sorted(model.outgoing),
    learners: sorted(model.learners),
    learnersNext: sorted(model.next),
    autoLeave: model.outgoing.size > 0,
  };
}

function stateOf(tracker: ProgressTracker): string {
  return `${tracker.configString()}\n${describeProgressMap(tracker.progress)}`;
}

const EMPTY: Model = { incoming: new Set(), outgoing: new Set(), learners: new Set(), next: new Set() };

/** Applies the actions to both; calls `each` with the tracker after every action that was accepted. */
function replay(
  actions: readonly Action[],
  each: (tracker: ProgressTracker, model: Model, step: Action) => void,
): void {
  const tracker = new ProgressTracker(10, 0);
  let model = EMPTY;
  for (const [lastIndex, step] of actions.entries()) {
    const before = stateOf(tracker);
    const want = expected(model, step);
    const got = run(new Changer(tracker, lastIndex), step);
    // Whatever came out, what went in is untouched.
    assert.equal(stateOf(tracker), before);
    if (got instanceof RaftError) {
      assert.equal(got.message, want);
      continue;
    }
    assert.ok(typeof want !== "string", `accepted, expected: ${String(want)}`);
    model = want;
    tracker.install(got.config, got.progress);
    each(tracker, model, step);
  }
}

const actions = fc
  .array(action, { maxLength: 30 })
  .map((list): Action[] => [{ kind: "simple", changes: [{ type: 0, nodeId: 1 }] }, ...list]);

test("changer equals the naive model", (t) => {
  checkProperty(
    t,
    import.meta.url,
    fc.property(actions, (list) => {
      replay(list, (tracker, model) => {
        assert.deepEqual(tracker.confState(), confStateOf(model));
        const members = new Set([...model.incoming, ...model.outgoing, ...model.learners]);
        assert.deepEqual([...tracker.peerIds], sorted(members));
        for (const [id, progress] of tracker.progress) {
          assert.equal(progress.isLearner, model.learners.has(id));
        }
      });
    }),
  );
});

test("a member keeps its progress through promotion and demotion", (t) => {
  checkProperty(
    t,
    import.meta.url,
    fc.property(actions, (list) => {
      let marks = new Map<number, number>();
      let nextMark = 1;
      replay(list, (tracker, _model, step) => {
        // Removed and added again at once is a new member, or the old one if the outgoing half still counts
        // it.
        const removed = new Set(step.changes.filter(({ type }) => type === 1).map(({ nodeId }) => nodeId));
        for (const [id, progress] of tracker.progress) {
          const mark = removed.has(id) ? progress.match : (marks.get(id) ?? 0);
          assert.equal(progress.match, mark);
          if (mark === 0) progress.maybeUpdate(nextMark++);
        }
        marks = new Map([...tracker.progress].map(([id, progress]) => [id, progress.match]));
      });
    }),
  );
});

test("restore rebuilds every reachable config", (t) => {
  checkProperty(
    t,
    import.meta.url,
    fc.property(actions, (list) => {
      replay(list, (tracker) => {
        const fresh = new ProgressTracker(10, 0);
        const result = restore(new Changer(fresh, 20), tracker.confState());
        assert.ok(!(result instanceof RaftError), "restore refused");
        fresh.install(result.config, result.progress);
        assert.deepEqual(fresh.confState(), tracker.confState());
        assert.deepEqual(fresh.peerIds, tracker.peerIds);
      });
    }),
  );
});

test("restore of the empty config is the empty config", () => {
  const tracker = new ProgressTracker(10, 0);
  const result = restore(new Changer(tracker, 0), confStateOf(EMPTY));
  assert.ok(!(result instanceof RaftError));
  assert.deepEqual(result.config.voters.ids(), []);
  assert.equal(result.progress.size, 0);
});
