// What an operator of a simulated group changes its members to: learners and voters that are added, promoted, removed and
// replaced, one by one and together, on whoever takes itself for the leader. Times in microseconds.
import type { RaftmarkError } from "../../src/base/errors.js";
import type { MembershipChange } from "../../src/node/api.js";
import { Dice } from "./dice.js";
import { ELECTION_US, type SimProcess } from "./process.js";
import type { Stage } from "./stage.js";
import { waitFor } from "./waiting.js";

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
  private ports = 1;
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
    const timeoutMs = dice.pick([50, 400, 10_000]);
    const text = JSON.stringify(change);
    const [given] = [...(change.add ?? []), ...(change.update ?? [])];
    const address = given?.address ?? null;
    world.trace.note(leader.id, `is asked to change members: ${text}`);
    leader.enter("client", () => {
      const { node } = leader;
      if (node === null || leader.isLame) return;
      waitFor(
        world,
        leader,
        `the change of members ${text} on node ${leader.id}`,
        timeoutMs,
        node.changeMembership(change, { timeoutMs }),
        (changed) => {
          world.trace.note(leader.id, "has changed members");
          world.told.changed(leader.id, change, address, changed);
        },
        (error) => this.failed(leader, change, address, error),
      );
    });
  }

  private failed(
    leader: SimProcess,
    change: MembershipChange,
    address: string | null,
    error: RaftmarkError,
  ): void {
    const { checker, told, trace } = this.world;
    // Whoever was to be added never was.
    if (!error.mayCommit) for (const { id } of change.add ?? []) this.used.delete(id);
    if (address !== null) told.rejected(address, error);
    trace.note(leader.id, `did not change members: ${error.code} ${error.message}`);
    if (!REFUSALS.includes(error.code))
      checker.fail("members", `a change of members ends with ${error.code}: ${error.message}`);
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
    // One alone goes through no joint state, which another would lead it through.
    const others = ids.filter((id) => !promote.includes(id) && !remove.includes(id));
    const update = add.length === 0 && others.length > 0 && dice.chance(0.3) ? [dice.pick(others)] : [];
    if (add.length + promote.length + remove.length + update.length === 0) return null;
    for (const { id } of add) this.used.add(id);
    return {
      add: add.map(({ id }) => ({ id, address: this.newAddress(id), learner: dice.chance(0.7) })),
      promote,
      remove,
      update: update.map((id) => ({ id, address: this.newAddress(id) })),
    };
  }

  /** By which the change that gives it is known: links here heed no address. */
  private newAddress(id: number): string {
    return `node${id}:${++this.ports}`;
  }
}
