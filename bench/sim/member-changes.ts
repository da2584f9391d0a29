// What an operator of a simulated group changes its members to: learners and voters that are added, promoted, removed and
// replaced, one by one and together, on whoever takes itself for the leader. Times in microseconds.
import type { RaftmarkError } from "../../src/base/errors.js";
import type { MembershipChange } from "../../src/node/api.js";
import { Dice } from "./dice.js";
import { ELECTION_US, type SimProcess } from "./process.js";
import type { Stage } from "./stage.js";

/** What a change may be answered with. */
const REFUSALS = [
  "RAFT_CHANGE_REFUSED",
  "RAFT_CHANGE_UNDER_WAY",
  "RAFT_NOT_LEADER",
  "RAFT_PROPOSAL_DROPPED",
  "RAFT_LEADERSHIP_LOST",
  "RAFT_TIMEOUT",
  "RAFT_FENCED",
  "RAFT_REMOVED",
  "RAFT_CLOSED",
];

export class MemberChanges {
  private readonly world: Stage;
  /** Whom a change that is not known to have failed has named as new. */
  private readonly used = new Set<number>();
  /** Of the learners there are: in some worlds most stay what they are. */
  private readonly promoted: number;

  constructor(world: Stage) {
    this.world = world;
    this.promoted = new Dice((world.plan.seed ^ 0x6c656172) >>> 0).pick([0.05, 0.6]);
  }

  begin(): void {
    const { world } = this;
    const { dice } = world;
    const leaders = world.processes.filter(({ leads, node }) => leads && node !== null);
    if (leaders.length === 0) return;
    const leader = dice.pick(leaders);
    const change = this.draw(leader);
    if (change === null) return;
    for (const { id } of change.add ?? []) {
      const fresh = world.processes[id - 1]!;
      // Its operator starts it before, or after.
      world.after(dice.below(2 * ELECTION_US), () => {
        if (world.trouble) world.start(fresh);
      });
    }
    const timeoutMs = dice.pick([50, 1_000, 10_000]);
    world.trace.note(leader.id, `is asked to change members: ${JSON.stringify(change)}`);
    leader.enter("client", () => {
      const { life } = leader;
      leader.node?.changeMembership(change, { timeoutMs }).then(
        () => world.trace.note(leader.id, "has changed members"),
        (error: RaftmarkError) => {
          if (life !== leader.life) return;
          // Whoever was to be added never was.
          if (!error.mayCommit) for (const { id } of change.add ?? []) this.used.delete(id);
          world.trace.note(leader.id, `did not change members: ${error.code} ${error.message}`);
          if (!REFUSALS.includes(error.code))
            world.checker.fail("members", `a change of members ends with ${error.code}: ${error.message}`);
        },
      );
    });
  }

  /** Null: nothing comes to mind. */
  private draw(leader: SimProcess): MembershipChange | null {
    const { dice, processes } = this.world;
    const { members } = leader.node!.status();
    const learners = members.filter(({ role }) => role === "learner").map(({ id }) => id);
    const ids = members.map(({ id }) => id);
    const spares = processes.filter(
      ({ id, plan }) => plan.joins === true && !this.used.has(id) && !ids.includes(id),
    );
    const add = spares.length > 0 && dice.chance(0.5) ? [dice.pick(spares)] : [];
    const promote = learners.filter(() => dice.chance(this.promoted));
    // A group that gets ever smaller shows little.
    const remove = ids.filter(
      (id) => !promote.includes(id) && ids.length > 2 && dice.chance(0.6 / ids.length),
    );
    if (add.length + promote.length + remove.length === 0) return null;
    for (const { id } of add) this.used.add(id);
    return {
      add: add.map(({ id }) => ({ id, address: `node${id}:1`, learner: dice.chance(0.7) })),
      promote,
      remove,
    };
  }
}
