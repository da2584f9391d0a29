// Worlds in which the simulator found something, on the commit before its fix (docs/reliability.md): they hold now.
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeFailure, runWorld, type SimPlan } from "../../../bench/sim/run-sim.js";

/** As `raftmark sim` has it. */
const STEPS_DEFAULT = 30_000;

const FOUND: readonly (SimPlan & { what: string })[] = [
  {
    what: "a lease that does not count its host's short sleeps",
    seed: 4,
    steps: 8_000,
    profile: "naps",
    nodes: 3,
    lease: true,
    tickMs: 5,
    electionTicks: 6,
  },
  {
    what: "a damaged frame that reached a node which had just ended counted as taken (the simulator's own fault)",
    seed: 957267792,
    steps: STEPS_DEFAULT,
    profile: "all",
    snapshots: false,
  },
  {
    what: "a copy that was acknowledged before its node's directory was emptied counted as none (the checker's own fault)",
    seed: 1621625012,
    steps: 8_000,
    profile: "all",
    snapshots: false,
  },
  {
    what: "entries behind a commit index that was on the way were dropped, and sent again and again",
    seed: 110,
    steps: 6_000,
    profile: "feud",
    nodes: 5,
    lease: false,
  },
  {
    what: "a proposal behind a leader's snapshot, which excludes it, waited for the log to grow past it",
    seed: 5010,
    steps: 8_000,
    profile: "snapshots",
  },
  {
    what: "a leader that committed and was deposed in one event counted as a follower (the checker's own fault)",
    seed: 9019,
    steps: 8_000,
    profile: "snapshots",
  },
  {
    what: "a sector of zeros in a large last write, which nobody can tell from a torn one, had to be told (the world's own fault)",
    seed: 644296130,
    steps: STEPS_DEFAULT,
    profile: "all",
  },
  {
    what: "a new member heard only those that its options named, and they were gone: nobody else could reach it",
    seed: 15,
    steps: STEPS_DEFAULT,
    profile: "members",
  },
  {
    what: "two of three were removed, knew it alone, and did not start again: the third waited for them for ever",
    seed: 1102,
    steps: STEPS_DEFAULT,
    profile: "members",
  },
  {
    what: "a removed node that closed by itself, and could not, left a rejection that nobody handled",
    seed: 62,
    steps: STEPS_DEFAULT,
    profile: "members",
  },
  {
    what: "the name of the directory of snapshots stayed unsynced when the first sync of it failed, and a power loss took it",
    seed: 2143072736,
    steps: STEPS_DEFAULT,
    profile: "all",
  },
  {
    what: "a node lost its directory while its operator gave it a list of members of another group (the world's own fault)",
    seed: 1650268533,
    steps: STEPS_DEFAULT,
    profile: "all",
  },
  {
    what: "a leader whose disk died while it read what it had to apply led on, with nothing to write",
    seed: 785912596,
    steps: STEPS_DEFAULT,
    profile: "all",
  },
  {
    what: "a torn write kept an entry of a term whose state, behind it, it lost: the node was back in the term before",
    seed: 1355015348,
    steps: STEPS_DEFAULT,
    profile: "all",
  },
  {
    what: "a crash in a release left as the oldest segment one that was overwritten, and begins behind the snapshot",
    seed: 1331666816,
    steps: STEPS_DEFAULT,
    profile: "all",
  },
  {
    what: "a sole voter that committed, and applied a member's addition in the same event, was to have the new one's copy (the checker's own fault)",
    seed: 875325644,
    steps: STEPS_DEFAULT,
    profile: "members",
  },
  {
    what: "entries of a leader that was deposed counted as large as those that the next one sent (the checker's own fault)",
    seed: 799800918,
    steps: 15_000,
    profile: "feud",
  },
  {
    what: "entries that a member acknowledged and a later leader overwrote, and that another one committed, were held against it (the checker's own fault)",
    seed: 1546652555,
    steps: STEPS_DEFAULT,
    profile: "members",
  },
  {
    what: "turns that a sleep of the host held back came behind those that were asked for later (the simulator's own fault)",
    seed: 1026042424,
    steps: STEPS_DEFAULT,
    profile: "network",
  },
  {
    what: "what a leader got from another that led meanwhile did not count as lacking (the checker's own fault)",
    seed: 1420805518,
    steps: STEPS_DEFAULT,
    profile: "network",
  },
];

for (const { what, ...plan } of FOUND) {
  test(`found once: ${what}`, { timeout: 60_000 }, async () => {
    const outcome = await runWorld(plan);
    assert.equal(outcome.violation, null, outcome.violation === null ? "" : describeFailure(plan, outcome));
  });
}
