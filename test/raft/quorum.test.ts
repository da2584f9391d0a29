// Quorum arithmetic against naive twins, and the laws that joint configs obey (Raft §6).
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  JointConfig,
  MajorityConfig,
  VoteLost,
  VotePending,
  type VoteResult,
  VoteWon,
} from "../../src/raft/quorum/index.js";
import { alternativeCommittedIndex } from "../conformance/quorum-twin.js";
import { checkProperty } from "../property.js";

const ids = fc.uniqueArray(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.maxSafeNat()), { maxLength: 9 });
/** Small indexes collide often; large ones pass 2^31 and 2^32. */
const index = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.maxSafeNat());
const acks = fc.array(fc.option(index), { minLength: 18, maxLength: 18 });
const ballots = fc.array(fc.option(fc.boolean()), { minLength: 18, maxLength: 18 });

function indexer(config: JointConfig, values: readonly (number | null)[]) {
  const known = new Map(config.ids().map((id, i) => [id, values[i]]));
  return { ackedIndex: (id: number) => known.get(id) ?? -1 };
}

function joint(incoming: readonly number[], outgoing: readonly number[]): JointConfig {
  return new JointConfig(new MajorityConfig(incoming), new MajorityConfig(outgoing));
}

function naiveVote(voters: readonly number[], votes: ReadonlyMap<number, boolean>): VoteResult {
  if (voters.length === 0) return VoteWon;
  const yes = voters.filter((id) => votes.get(id) === true).length;
  const no = voters.filter((id) => votes.get(id) === false).length;
  if (yes > voters.length / 2) return VoteWon;
  return voters.length - no > voters.length / 2 ? VotePending : VoteLost;
}

test("committed index equals the naive one", (t) => {
  checkProperty(
    t,
    import.meta.url,
    fc.property(ids, ids, acks, (incoming, outgoing, values) => {
      const config = joint(incoming, outgoing);
      const acked = indexer(config, values);
      const halves = [alternativeCommittedIndex(incoming, acked), alternativeCommittedIndex(outgoing, acked)];
      assert.equal(config.incoming.committedIndex(acked), halves[0]);
      assert.equal(config.committedIndex(acked), Math.min(...halves));
      assert.equal(joint(outgoing, incoming).committedIndex(acked), Math.min(...halves));
    }),
  );
});

test("committed index keeps no memory of earlier calls", (t) => {
  checkProperty(
    t,
    import.meta.url,
    fc.property(ids, acks, acks, (voters, first, second) => {
      const config = joint(voters, []);
      config.committedIndex(indexer(config, first));
      const acked = indexer(config, second);
      assert.equal(config.committedIndex(acked), joint(voters, []).committedIndex(acked));
    }),
  );
});

test("committed index never falls as acknowledgements rise", (t) => {
  checkProperty(
    t,
    import.meta.url,
    fc.property(ids, ids, acks, fc.nat(17), fc.nat(10), (incoming, outgoing, values, place, more) => {
      const config = joint(incoming, outgoing);
      const before = config.committedIndex(indexer(config, values));
      const raised = values.slice();
      raised[place] = Math.min((raised[place] ?? 0) + more, Number.MAX_SAFE_INTEGER);
      assert.ok(config.committedIndex(indexer(config, raised)) >= before);
    }),
  );
});

test("vote result equals the naive one", (t) => {
  checkProperty(
    t,
    import.meta.url,
    fc.property(ids, ids, ballots, (incoming, outgoing, values) => {
      const config = joint(incoming, outgoing);
      const votes = new Map<number, boolean>();
      for (const [i, id] of config.ids().entries()) if (values[i] !== null) votes.set(id, values[i]);
      const halves = [naiveVote(incoming, votes), naiveVote(outgoing, votes)];
      const lost = halves.includes(VoteLost);
      const pending = halves.includes(VotePending);
      assert.equal(config.incoming.voteResult(votes), halves[0]);
      assert.equal(config.voteResult(votes), lost ? VoteLost : pending ? VotePending : VoteWon);
    }),
  );
});

test("a decided vote stays decided whatever votes come", (t) => {
  checkProperty(
    t,
    import.meta.url,
    fc.property(ids, ids, ballots, ballots, (incoming, outgoing, values, late) => {
      const config = joint(incoming, outgoing);
      const votes = new Map<number, boolean>();
      for (const [i, id] of config.ids().entries()) if (values[i] !== null) votes.set(id, values[i]);
      const before = config.voteResult(votes);
      for (const [i, id] of config.ids().entries()) {
        if (late[i] !== null && !votes.has(id)) votes.set(id, late[i]);
      }
      if (before !== VotePending) assert.equal(config.voteResult(votes), before);
    }),
  );
});

test("ids of a joint config are the union, ascending, and shown in hex", () => {
  const config = joint([10, 3, 1], [255, 3]);
  assert.deepEqual(config.ids(), [1, 3, 10, 255]);
  assert.equal(config.toString(), "(1 3 a)&&(3 ff)");
  assert.equal(joint([2], []).toString(), "(2)");
  assert.equal(joint([], []).toString(), "()");
  assert.ok(config.has(255));
  assert.ok(!config.has(2));
});

test("a voter can't be listed twice", () => {
  assert.throws(() => new MajorityConfig([1, 2, 1]), { code: "RAFT_INVARIANT" });
  assert.throws(() => new MajorityConfig([0.5]), { code: "RAFT_INVARIANT" });
});
