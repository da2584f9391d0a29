// Callers of a simulated world who ask for what is neither a write nor a read: who leads (whenLeader), and a snapshot of
// the state as it is now (takeSnapshot).
import type { RaftmarkError } from "../../src/base/errors.js";
import type { RaftNode } from "../../src/node/raft-node.js";
import type { Dice } from "./dice.js";
import type { SimProcess } from "./process.js";
import type { Stage } from "./stage.js";
import { waitFor } from "./waiting.js";

export class Askers {
  private readonly world: Stage;
  private readonly dice: Dice;

  constructor(world: Stage, dice: Dice) {
    this.world = world;
    this.dice = dice;
  }

  /** One of them asks somebody. */
  act(): void {
    const { dice, world } = this;
    const process = dice.pick(world.processes);
    const timeoutMs = dice.chance(0.5) ? dice.pick([5, 100, 400]) : undefined;
    const isForSnapshot = process.plan.snapshots !== null && dice.chance(0.5);
    process.enter("client", () => {
      const { node } = process;
      if (node === null || process.isLame) return;
      if (isForSnapshot) this.takeSnapshot(process, node, timeoutMs);
      else this.whenLeader(process, node, timeoutMs);
    });
  }

  private whenLeader(process: SimProcess, node: RaftNode, timeoutMs: number | undefined): void {
    const { world } = this;
    const what = `asking node ${process.id} who leads`;
    const done = (leader: number): void => {
      // It may have become the leader in this event.
      world.checker.observe(process);
      if (!world.checker.hasLed(leader))
        world.checker.fail("leader", `node ${process.id} says that node ${leader} leads, which never did`);
    };
    waitFor(world, process, what, timeoutMs, node.whenLeader({ timeoutMs }), done, (error) =>
      this.refused(what, error),
    );
  }

  private takeSnapshot(process: SimProcess, node: RaftNode, timeoutMs: number | undefined): void {
    const { world } = this;
    const what = `a snapshot of node ${process.id}`;
    const { applied } = process;
    const taken = node.takeSnapshot({ timeoutMs });
    waitFor(
      world,
      process,
      what,
      timeoutMs,
      taken,
      ({ index, term }) => world.checker.taken(process, applied, index, term),
      (error) => this.refused(what, error),
    );
  }

  private refused(what: string, { code, message }: RaftmarkError): void {
    if (code === "RAFT_BAD_OPTION") this.world.checker.fail("answer", `${what} is refused: ${message}`);
  }
}
