// Clients of a simulated world that write several values in one call (proposeMany), on any node. Each of the writes is
// looked at like all others; of the call as a whole, what it says of them: each has its own outcome, and where the call ends
// with `mayCommit` false none of them is ever applied.
import type { RaftmarkError } from "../../src/base/errors.js";
import type { Proposed } from "../../src/node/api.js";
import type { Call } from "./checker.js";
import type { Dice } from "./dice.js";
import type { SimProcess } from "./process.js";
import type { Stage } from "./stage.js";
import type { Write, Writes } from "./writes.js";

const WRITES_MAX = 14;
/** Bytes behind a payload's name: several of the larger go into no frame together. */
const PAYLOAD_BYTES_MAX = 2_000;

export class BatchClients {
  private readonly world: Stage;
  private readonly dice: Dice;
  private readonly writes: Writes;

  constructor(world: Stage, dice: Dice, writes: Writes) {
    this.world = world;
    this.dice = dice;
    this.writes = writes;
  }

  /** One of them writes, most times on who leads. */
  act(): void {
    const { dice, world } = this;
    const leaders = world.processes.filter(({ leads }) => leads);
    const process = dice.pick(leaders.length > 0 && dice.chance(0.7) ? leaders : world.processes);
    process.enter("client", () => {
      if (process.node !== null && !process.isLame) this.write(process);
    });
  }

  private write(process: SimProcess): void {
    const { dice, world } = this;
    const { checker, schedule } = world;
    const bytesMax = dice.pick([16, PAYLOAD_BYTES_MAX]);
    const writes = Array.from({ length: 2 + dice.below(WRITES_MAX - 1) }, () =>
      this.writes.begin(process, bytesMax, ", one of many"),
    );
    const names = writes.map(({ name }) => name).join(", ");
    const whole = checker.begin(`write of ${names} in one call on node ${process.id}`, schedule.now);
    const { life } = process;
    const calls = world.calls.get(process.id)!;
    calls.add(whole);
    const end = (work: () => void): void => {
      if (life !== process.life || !process.isUp) return;
      calls.delete(whole);
      work();
    };
    const timeoutMs = dice.chance(0.3) ? dice.between(0.1, dice.pick([5, 100, 400])) : undefined;
    if (timeoutMs !== undefined) world.endsWithin(process, whole, timeoutMs);
    const controller = dice.chance(0.2) ? new AbortController() : null;
    if (controller !== null)
      world.after(dice.below(20_000), () => process.enter("client", () => controller.abort()));
    const options = { timeoutMs, signal: controller?.signal };
    const batch = writes.map(({ data }) => data);
    process.node!.proposeMany(batch, options).then(
      (outcomes) => end(() => this.resolved(writes, outcomes)),
      (error: RaftmarkError) => end(() => this.rejected(whole, writes, error)),
    );
  }

  private resolved(writes: readonly Write[], outcomes: readonly Proposed[]): void {
    if (outcomes.length !== writes.length)
      this.world.checker.fail(
        "acknowledged",
        `a call of ${writes.length} writes has ${outcomes.length} outcomes`,
      );
    for (const [i, outcome] of outcomes.entries()) this.writes.answered(writes[i]!, outcome);
  }

  private rejected(whole: Call, writes: readonly Write[], error: RaftmarkError): void {
    this.world.checker.refused(whole, error);
    for (const write of writes) this.writes.refused(write, error);
  }
}
