// The end of some worlds, when all is well: a member is away while much is written, and catches up over narrow paths.
// It must, and what is sent for it is to be little more than what it lacks. Times in microseconds.
import type { RaftLog } from "../../src/raft/log.js";
import { FAIR } from "./network.js";
import { ELECTION_US, type SimProcess } from "./process.js";
import type { Stage } from "./stage.js";

const WRITES = 100;
const WRITE_BYTES = 3_000;
const WRITE_EVERY_US = 1_000;
/** Bytes sent for each byte that it lacks; and for finding out what that is, whatever it is. */
const COST_MAX = 1.2;
const PROBES_BYTES = 32 << 10;

export class CatchUp {
  private readonly world: Stage;

  constructor(world: Stage) {
    this.world = world;
  }

  async run(): Promise<void> {
    const { processes, dice, ruined } = this.world;
    const leader = processes.find(({ leads }) => leads);
    if (leader === undefined || processes.length < 3 || ruined.size > 0) return;
    const member = dice.pick(this.world.others(leader));
    const { term } = leader.parts!.rawNode.raft;
    await this.leaveBehind(leader, member);
    const { network, checker, schedule } = this.world;
    // What it got from another that led meanwhile, the checker does not count as its own.
    if (checker.violation !== null || !leader.leads || leader.parts!.rawNode.raft.term !== term) return;
    const { raftLog } = leader.parts!.rawNode.raft;
    const lacks = sharedWith(raftLog, member.parts!.rawNode.raft.raftLog) + 1;
    const bytes = checker.bytesOf(leader.id, lacks, raftLog.lastIndex() + 1);
    const bytesPerMs = Math.floor(dice.between(200, 2_000));
    network.weather = { ...FAIR, bytesPerMs };
    const before = network.bulkTo(member.id);
    const { overflows } = network;
    network.heal();
    const patience = 20 * ELECTION_US + (3 * bytes * 1000) / bytesPerMs;
    const target = leader.applied;
    const isThere = await this.world.until(() => member.applied >= target, schedule.now + patience);
    if (checker.violation !== null) return;
    const sent = network.bulkTo(member.id) - before;
    const what = `node ${member.id} lacked ${bytes} bytes of log, at ${bytesPerMs} a millisecond`;
    if (!isThere)
      checker.fail("catch-up", `${what}, and is not there after ${Math.round(patience / 1000)} ms`);
    else if (sent > COST_MAX * bytes + PROBES_BYTES)
      checker.fail(
        "catch-up",
        `${what}, and was sent ${sent}, ${network.overflows - overflows} frames dropped`,
      );
  }

  /** Writes much while `member` hears nothing. */
  private async leaveBehind(leader: SimProcess, member: SimProcess): Promise<void> {
    const { world } = this;
    for (const { id } of world.others(member)) {
      world.network.cut(member.id, id, "lose");
      world.network.cut(id, member.id, "lose");
    }
    for (let i = 0; i < WRITES; i++) {
      world.after(i * WRITE_EVERY_US, () => world.writeAt(leader, null, WRITE_BYTES));
    }
    const end = world.schedule.now + WRITES * WRITE_EVERY_US + 2 * ELECTION_US;
    await world.until(() => false, end);
  }
}

/** Up to where `log` is the leader's: behind that it may hold entries that it never committed, and has to lose. */
function sharedWith(leader: RaftLog, log: RaftLog): number {
  let index = Math.min(leader.lastIndex(), log.lastIndex());
  while (index > 0 && leader.term(index) !== log.term(index)) index--;
  return index;
}
