// Inflights against a naive array, and the transitions of Progress and ProgressTracker that have no trace.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Changer } from "../../src/raft/confchange/changer.js";
import { restore } from "../../src/raft/confchange/restore.js";
import { RaftError } from "../../src/raft/errors.js";
import { VoteLost, VotePending, VoteWon } from "../../src/raft/quorum/index.js";
import { EMPTY_CONF_STATE } from "../../src/raft/raftpb/index.js";
import {
  Inflights,
  Progress,
  ProgressTracker,
  StateProbe,
  StateReplicate,
  StateSnapshot,
} from "../../src/raft/tracker/index.js";
import { checkProperty } from "../property.js";

/** Adds come in bursts, so that windows get wide and grow while they wrap around. */
type Action = { readonly adds: readonly number[] } | { readonly free: number } | "reset";

// Sizes that meet the limits exactly, and miss them by one.
const bytes = fc.constantFrom(0, 1, 9, 10, 20);
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ adds: fc.array(bytes, { minLength: 1, maxLength: 12 }) }) },
  { weight: 6, arbitrary: fc.record({ free: fc.integer({ min: -2, max: 6 }) }) },
  // The whole window is acknowledged at once.
  { weight: 1, arbitrary: fc.constant({ free: 1000 }) },
  { weight: 1, arbitrary: fc.constant<Action>("reset") },
);

/** The same window as an array of [index, bytes]. */
class NaiveInflights {
  messages: [number, number][] = [];

  constructor(
    private readonly maxCount: number,
    private readonly maxBytes: number,
  ) {}

  full(): boolean {
    const total = this.messages.reduce((sum, [, size]) => sum + size, 0);
    return this.messages.length === this.maxCount || (this.maxBytes !== 0 && total >= this.maxBytes);
  }

  freeLE(to: number): void {
    this.messages = this.messages.filter(([index]) => index > to);
  }
}

function compareInflights(
  real: Inflights,
  naive: NaiveInflights,
  first: number,
  actions: readonly Action[],
): void {
  let last = first;
  for (const step of actions) {
    if (step === "reset") {
      real.reset();
      naive.messages = [];
    } else if ("free" in step) {
      const to = (naive.messages[0]?.[0] ?? last) + step.free;
      real.freeLE(to);
      naive.freeLE(to);
    } else {
      for (const size of step.adds) {
        if (naive.full()) {
          assert.throws(() => real.add(last + 1, size), { code: "RAFT_INVARIANT" });
          break;
        }
        last += 2;
        real.add(last, size);
        naive.messages.push([last, size]);
        assert.equal(real.full(), naive.full());
      }
    }
    assert.equal(real.count(), naive.messages.length);
    assert.equal(real.full(), naive.full());
  }
}

test("inflights equals a naive array", (t) => {
  const limits = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.constantFrom(0, Infinity, 10, 60, 150));
  // From beyond 2^32: no index may pass through 32 bits.
  const firsts = fc.constantFrom(1, 2 ** 31 - 5, 2 ** 40);
  checkProperty(
    t,
    import.meta.url,
    fc.property(limits, firsts, fc.array(action, { maxLength: 60 }), ([count, size], first, actions) => {
      compareInflights(new Inflights(count, size), new NaiveInflights(count, size), first, actions);
    }),
  );
});

function newProgress(match: number, next: number, maxInflight = 3): Progress {
  return new Progress({
    match,
    next,
    inflights: new Inflights(maxInflight, 0),
    isLearner: false,
    recentActive: true,
  });
}

test("probe pauses on entries, replicate on a full window, snapshot always", () => {
  const progress = newProgress(5, 6);
  progress.sentEntries(0, 0);
  assert.equal(progress.isPaused(), false);
  progress.sentEntries(2, 10);
  assert.equal(progress.isPaused(), true);
  assert.equal(progress.next, 6, "probing does not run ahead");
  progress.becomeReplicate();
  assert.equal(progress.isPaused(), false);
  for (const expected of [false, false, true]) {
    progress.sentEntries(2, 10);
    assert.equal(progress.isPaused(), expected);
  }
  assert.equal(progress.toString(), "StateReplicate match=5 next=12 paused inflight=3[full]");
  progress.becomeSnapshot(20);
  assert.equal(progress.toString(), "StateSnapshot match=5 next=21 paused pendingSnap=20");
  assert.throws(() => progress.sentEntries(1, 1), { code: "RAFT_INVARIANT" });
});

test("after a snapshot, probing starts behind it", () => {
  const progress = newProgress(1, 2);
  progress.becomeSnapshot(10);
  progress.becomeProbe();
  assert.deepEqual([progress.state, progress.next, progress.pendingSnapshot], [StateProbe, 11, 0]);
  progress.becomeReplicate();
  progress.maybeUpdate(30);
  progress.becomeProbe();
  assert.equal(progress.next, 31);
});

test("a rejection lowers next, and a stale one changes nothing", () => {
  const cases = [
    { state: StateReplicate, match: 5, next: 10, rejected: 5, hint: 5, moved: false, after: 10 },
    { state: StateReplicate, match: 5, next: 10, rejected: 4, hint: 4, moved: false, after: 10 },
    { state: StateReplicate, match: 5, next: 10, rejected: 9, hint: 9, moved: true, after: 6 },
    { state: StateProbe, match: 0, next: 10, rejected: 5, hint: 5, moved: false, after: 10 },
    { state: StateProbe, match: 0, next: 10, rejected: 9, hint: 9, moved: true, after: 9 },
    { state: StateProbe, match: 0, next: 2, rejected: 1, hint: 0, moved: true, after: 1 },
    { state: StateProbe, match: 0, next: 10, rejected: 9, hint: 2, moved: true, after: 3 },
    { state: StateProbe, match: 4, next: 10, rejected: 9, hint: 2, moved: true, after: 5 },
  ] as const;
  for (const c of cases) {
    const progress = newProgress(c.match, c.next);
    progress.state = c.state;
    assert.equal(progress.maybeDecrTo(c.rejected, c.hint), c.moved, JSON.stringify(c));
    assert.equal(progress.next, c.after, JSON.stringify(c));
    assert.equal(progress.match, c.match);
  }
});

test("the commit index sent follows what the follower can have used", () => {
  const progress = newProgress(5, 10);
  assert.equal(progress.canBumpCommit(0), false);
  assert.equal(progress.canBumpCommit(1), true);
  progress.setSentCommit(9);
  assert.equal(progress.canBumpCommit(12), false, "the follower is at next-1 already");
  progress.maybeDecrTo(9, 6);
  assert.deepEqual([progress.next, progress.sentCommit], [7, 6]);
  progress.becomeReplicate();
  progress.sentEntries(3, 30);
  progress.setSentCommit(8);
  progress.becomeProbe();
  assert.deepEqual([progress.next, progress.sentCommit], [6, 5], "what was sent may be lost");
  progress.setSentCommit(2);
  progress.becomeProbe();
  assert.equal(progress.sentCommit, 2, "never raised by probing");
  progress.becomeSnapshot(20);
  assert.equal(progress.sentCommit, 20);
  progress.reset(3, 4);
  assert.deepEqual([progress.sentCommit, progress.match, progress.recentActive], [0, 3, false]);
});

test("maybeUpdate raises match and never lowers next", () => {
  const progress = newProgress(5, 10);
  progress.msgAppFlowPaused = true;
  assert.equal(progress.maybeUpdate(5), false);
  assert.equal(progress.isPaused(), true);
  assert.equal(progress.maybeUpdate(7), true);
  assert.deepEqual([progress.match, progress.next, progress.isPaused()], [7, 10, false]);
  assert.equal(progress.maybeUpdate(12), true);
  assert.deepEqual([progress.match, progress.next], [12, 13]);
  assert.equal(progress.state, StateProbe);
  assert.notEqual(progress.state, StateSnapshot);
});

function trackerOf(voters: number[], learners: number[], votersOutgoing: number[] = []): ProgressTracker {
  const tracker = new ProgressTracker(10, 0);
  const confState = { ...EMPTY_CONF_STATE, voters, learners, votersOutgoing };
  const result = restore(new Changer(tracker, 0), confState);
  assert.ok(!(result instanceof RaftError));
  tracker.install(result.config, result.progress);
  return tracker;
}

test("learners neither vote nor keep a quorum active", () => {
  const tracker = trackerOf([1, 2, 3], [4, 5]);
  for (const progress of tracker.peers) progress.recentActive = false;
  for (const id of [1, 4, 5]) tracker.progress.get(id)!.recentActive = true;
  assert.equal(tracker.quorumActive(), false);
  tracker.progress.get(2)!.recentActive = true;
  assert.equal(tracker.quorumActive(), true);
  for (const id of [4, 5, 1]) tracker.recordVote(id, true);
  assert.deepEqual(tracker.tallyVotes(), { granted: 1, rejected: 0, result: VotePending });
  tracker.recordVote(1, false);
  tracker.recordVote(2, false);
  tracker.recordVote(3, true);
  assert.deepEqual(
    tracker.tallyVotes(),
    { granted: 2, rejected: 1, result: VoteWon },
    "the first vote counts",
  );
  tracker.resetVotes();
  for (const id of [2, 3]) tracker.recordVote(id, false);
  assert.deepEqual(tracker.tallyVotes(), { granted: 0, rejected: 2, result: VoteLost });
});

test("members are visited ascending, and committed is the quorum's match", () => {
  const tracker = trackerOf([30, 2, 10], [20], [2, 5]);
  const visited: number[] = [];
  tracker.visit((id) => visited.push(id));
  assert.deepEqual(visited, [2, 5, 10, 20, 30]);
  assert.deepEqual(tracker.peerIds, visited);
  tracker.progress.get(2)!.maybeUpdate(7);
  tracker.progress.get(30)!.maybeUpdate(9);
  assert.equal(tracker.committed(), 0, "the outgoing half lacks 5");
  tracker.progress.get(5)!.maybeUpdate(8);
  assert.equal(tracker.committed(), 7);
  assert.deepEqual(tracker.voterNodes(), [2, 5, 10, 30]);
});
