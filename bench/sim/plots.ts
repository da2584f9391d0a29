// Faults that take several steps, in an order that chance alone hardly finds: each leads up to where one rule of Raft
// decides, and leaves to chance what comes of it. One at a time. Times in microseconds.
import { ELECTION_US, type SimProcess } from "./process.js";
import type { Stage } from "./stage.js";

/** So large that no two of them go into one probe, nor into the smallest frames. */
const LARGE_BYTES = 3_000;

export class Plots {
  private readonly world: Stage;
  /** One is under way. */
  private isBusy = false;

  constructor(world: Stage) {
    this.world = world;
  }

  /** Begins `plot` unless one is under way; it calls `end` when it is over. */
  private begin(plot: (end: () => void) => void): void {
    if (this.isBusy) return;
    this.isBusy = true;
    plot(() => {
      this.isBusy = false;
    });
  }

  /**
   * Two or three lead in turn, each deposed by another (Figure 8). Of what the one that leads appends little gets to
   * anybody: to one follower, or the first few frames to each, so that entries of earlier terms may be on a majority
   * before any of the leader's own.
   */
  leadAgain(): void {
    const { world } = this;
    const { dice, network } = world;
    if (world.processes.length < 3) return;
    const rivals = this.draw(dice.pick([2, 2, 3]));
    const turns = 4 + dice.below(8);
    let last: SimProcess | null = null;
    let taken = 0;
    this.begin((end) => {
      const turn = (): void => {
        for (const process of world.processes) this.readmit(process);
        if (taken === turns || !world.trouble) {
          end();
          return;
        }
        const leader = dice.pick(rivals.filter((rival) => rival !== last));
        const deposed = world.processes.filter((one) => one !== leader && (one === last || one.leads));
        for (const one of deposed) this.cutOff(one);
        // Every third time a rival comes back to what it, or another, left behind.
        const isFrugal = taken % 4 !== 2;
        const only = dice.pick(world.others(leader));
        for (const other of world.others(leader)) {
          const frames = isFrugal ? (other === only ? dice.below(4) : 0) : dice.pick([1, 2, 2, 3]);
          network.allowBulk(leader.id, other.id, frames);
        }
        this.takeOver(leader, deposed);
        last = leader;
        taken++;
        world.after(dice.between(1.4, 2.4) * ELECTION_US, turn);
      };
      turn();
    });
  }

  /**
   * What a leader appended and then lost to another's entries lies on a third node still, which leads in the end: it
   * comes back, whatever the first one, which led again meanwhile, has put in its place. In between little may be
   * appended: then what the first one appends when it leads again takes the very indexes of what it lost.
   */
  comeBack(first: SimProcess): void {
    const { world } = this;
    const { dice, network } = world;
    if (!first.leads || world.processes.length < 5) return;
    const [keeper, second] = this.draw(2, world.others(first));
    const electionLong = electionUs(world.processes);
    const turns = [
      { leader: first, heard: [keeper], away: [], writes: 8 },
      { leader: second, heard: [first], away: [first], writes: dice.below(3) },
      { leader: first, heard: [], away: [second], writes: 4 },
      { leader: keeper, heard: world.processes, away: [first, second], writes: 4 },
    ];
    this.begin((end) => {
      const turn = (): void => {
        for (const process of world.processes) this.readmit(process);
        const next = world.trouble ? turns.shift() : undefined;
        if (next === undefined) {
          end();
          return;
        }
        const { leader, heard, away, writes } = next;
        for (const one of world.processes) {
          if (one !== leader && (away.includes(one) || one.leads)) this.cutOff(one);
          for (const other of world.others(one)) {
            network.allowBulk(one.id, other.id, one === leader && heard.includes(other) ? Infinity : 0);
          }
        }
        // By then they vote again, and few have waited so long that they campaign themselves.
        const patience = leader.leads ? 0 : 1.05 * electionLong;
        for (const more of [0, 8_000, 16_000, 24_000, 32_000]) {
          world.after(patience + more, () => {
            if (!leader.leads) leader.enter("client", () => leader.node?.campaign());
            else for (const one of heard) if (away.includes(one)) this.connect(one);
          });
        }
        for (let i = 0; i < writes; i++) {
          world.after(patience + dice.below(30_000), () => world.writeAt(leader));
        }
        world.after(patience + 16_000 + dice.between(0.1, 1) * electionLong, turn);
      };
      turn();
    });
  }

  private draw(count: number, processes = this.world.processes): SimProcess[] {
    const { dice } = this.world;
    const drawn: SimProcess[] = [];
    while (drawn.length < count) {
      drawn.push(dice.pick(processes.filter((process) => !drawn.includes(process))));
    }
    return drawn;
  }

  /** It campaigns when the others have waited long enough for whom they heard, and writes before and after that. */
  private takeOver(leader: SimProcess, deposed: readonly SimProcess[]): void {
    const { world } = this;
    const { dice } = world;
    const patience = dice.between(1.1, 1.3) * ELECTION_US;
    for (const more of [0, 10_000, 20_000]) {
      world.after(patience + more, () => {
        if (!leader.leads) leader.enter("client", () => leader.node?.campaign());
      });
    }
    for (let i = 0; i < 4; i++) {
      world.after(patience + dice.below(40_000), () => world.writeAt(leader, null, LARGE_BYTES));
    }
    // What was cut off hears of it, perhaps.
    for (const one of deposed) {
      if (dice.chance(0.3)) world.after(patience + dice.between(20_000, 60_000), () => this.connect(one));
    }
  }

  private cutOff(process: SimProcess): void {
    const { network } = this.world;
    for (const { id } of this.world.others(process)) {
      network.cut(process.id, id, "lose");
      network.cut(id, process.id, "lose");
    }
  }

  private connect(process: SimProcess): void {
    const { network } = this.world;
    for (const { id } of this.world.others(process)) {
      network.mend(process.id, id);
      network.mend(id, process.id);
    }
  }

  private readmit(rival: SimProcess): void {
    this.connect(rival);
    const { network } = this.world;
    for (const { id } of this.world.others(rival)) network.allowBulk(rival.id, id, Infinity);
  }

  /**
   * A follower asks for reads, and what its leader answers is held up until the follower has started anew, asks again
   * under counts that begin anew, and lags behind what was written meanwhile.
   */
  lateAnswers(leader: SimProcess): void {
    const { world } = this;
    const { dice, network } = world;
    if (!leader.leads || world.processes.length < 3) return;
    const follower = dice.pick(world.others(leader));
    this.begin((end) => {
      for (let i = 0; i < 12; i++) world.readSoon(follower, 6_000);
      world.after(dice.below(4_000), () => network.cut(leader.id, follower.id, "hold"));
      world.after(8_000, () => {
        if (follower.isUp) world.crash(follower, false);
        world.after(100, () => {
          if (!world.ruined.has(follower.id)) world.start(follower);
        });
      });
      for (let i = 0; i < 6; i++) world.after(dice.between(8_000, 40_000), () => world.writeAt(leader));
      for (let i = 0; i < 4; i++) world.after(dice.between(20_000, 50_000), () => world.read(follower));
      world.after(dice.between(40_000, 70_000), () => {
        network.mend(leader.id, follower.id);
        end();
      });
    });
  }

  /**
   * A leader hears nothing and knows nothing of it, while those who follow end, most times, and are back at once. They
   * remember nobody who leads, campaign as soon as they can, and write: what they promised the leader they have to keep.
   */
  startAnew(leader: SimProcess): void {
    const { world } = this;
    const { dice } = world;
    if (!leader.leads || world.processes.length < 3) return;
    const followers = world.others(leader);
    const ending = dice.pick([0, 0.9, 0.9]);
    // A lease of its own would be over by then.
    const long = electionUs([leader]);
    this.begin((end) => {
      this.cutOff(leader);
      for (const one of followers) {
        if (!dice.chance(ending)) continue;
        if (one.isUp) world.crash(one, dice.chance(0.3));
        world.after(dice.below(2_000), () => {
          if (!world.ruined.has(one.id)) world.start(one);
        });
      }
      for (let at = 4_000; at < long; at += 5_000) {
        const heir = dice.pick(followers);
        world.after(at, () => {
          const leaders = followers.filter(({ leads }) => leads);
          if (leaders.length === 0) heir.enter("client", () => heir.node?.campaign());
          for (const one of leaders) world.writeAt(one);
        });
        world.readSoon(leader, long);
      }
      world.after(long, () => {
        this.connect(leader);
        end();
      });
    });
  }

  /**
   * A leader is left with its learners, who answer it; the other voters elect another and write, while those on the first
   * one's side ask to read until it has noticed.
   */
  aside(): void {
    const { world } = this;
    const { dice, network } = world;
    const leader = world.processes.find(({ leads, node }) => leads && node !== null);
    if (leader === undefined) return;
    const others = leader.node!.status().members.filter(({ id }) => id !== leader.id);
    const those = (are: boolean): SimProcess[] =>
      others.filter(({ role }) => (role === "learner") === are).map(({ id }) => world.processes[id - 1]!);
    const [voters, learners] = [those(false), those(true)];
    if (voters.length < 2 || learners.length === 0) return;
    const side = [leader, ...learners];
    const apart = (how: (from: number, to: number) => void): void => {
      for (const one of side) {
        for (const other of voters) {
          how(one.id, other.id);
          how(other.id, one.id);
        }
      }
    };
    const patience = electionUs([leader, ...voters]);
    this.begin((end) => {
      apart((from, to) => network.cut(from, to, "lose"));
      const heir = dice.pick(voters);
      for (let at = patience; at < 2.5 * patience; at += 8_000) {
        world.after(at, () => {
          if (heir.leads) world.writeAt(heir);
          else if (!voters.some(({ leads }) => leads)) heir.enter("client", () => heir.node?.campaign());
        });
        for (const one of side) world.after(at + dice.below(8_000), () => world.read(one));
      }
      world.after(2.5 * patience, () => {
        apart((from, to) => network.mend(from, to));
        end();
      });
    });
  }

  /** Everybody asks whoever leads to hand over, to anybody, again and again, while all write and read. */
  transferStorm(long: number): void {
    const { world } = this;
    const { dice } = world;
    const rounds = 5 + dice.below(20);
    for (let i = 0; i < rounds; i++) {
      const asked = dice.pick(world.processes);
      const heir = dice.pick(world.processes);
      world.after(dice.below(long), () =>
        asked.enter("client", () => asked.node?.transferLeadership(heir.id)),
      );
      world.after(dice.below(long), () => world.write());
      world.after(dice.below(long), () => world.read(dice.pick(world.processes)));
    }
  }
}

/** The longest election timeout that one of them was started with. */
function electionUs(processes: readonly SimProcess[]): number {
  return 1000 * Math.max(...processes.map(({ plan }) => plan.tickMs * plan.electionTicks));
}
