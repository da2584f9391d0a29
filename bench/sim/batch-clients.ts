// Clients of a simulated world that write several values in one call (proposeMany), on any node. Each of the writes is
// looked at like all others; of the call as a whole, what it says of them: each has its own outcome, and where the call ends
// with `mayCommit` false none of them is ever applied.
import type { RaftmarkError } from "../../src/base/errors.js";
import type { Proposed } from "../../src/node/api.js";
import type { Call } from "./checker.js";
import type { Dice } from "./dice.js";
import type { Operation } from "./linearizable.js";
import type { SimProcess } from "./process.js";
import { type Command, type Histories, nameOfCommand, REGISTERS } from "./registers.js";
import type { Stage } from "./stage.js";

const WRITES_MAX = 14;
/** Bytes behind a payload's name: several of the larger go into no frame together. */
const PAYLOAD_BYTES_MAX = 2_000;

interface Write {
  readonly command: Command;
  readonly data: Uint8Array;
  readonly operation: Operation;
  readonly call: Call;
}

export class BatchClients {
  private readonly world: Stage;
  private readonly dice: Dice;
  private readonly histories: Histories;
  private readonly newName: () => number;

  constructor(world: Stage, dice: Dice, histories: Histories, newName: () => number) {
    this.world = world;
    this.dice = dice;
    this.histories = histories;
    this.newName = newName;
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
      this.begin(process, bytesMax),
    );
    const names = writes.map(({ command }) => nameOfCommand(command)).join(", ");
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

  private begin(process: SimProcess, bytesMax: number): Write {
    const { checker, schedule } = this.world;
    const { dice } = this;
    const register = dice.below(REGISTERS);
    const expected = dice.chance(0.3) ? process.registers.values[register]! : null;
    const command: Command = { register, value: this.newName(), expected };
    const name = nameOfCommand(command);
    const data = Buffer.alloc(name.length + 1 + dice.below(bytesMax), `${name} `);
    checker.propose(data);
    const operation = this.histories.begin(command, schedule.now / 1000, `node ${process.id}`);
    return { command, data, operation, call: checker.begin(`write of ${name}, one of many`, schedule.now) };
  }

  private resolved(writes: readonly Write[], outcomes: readonly Proposed[]): void {
    const { checker, schedule } = this.world;
    if (outcomes.length !== writes.length)
      checker.fail("acknowledged", `a call of ${writes.length} writes has ${outcomes.length} outcomes`);
    for (const [i, { index, result }] of outcomes.entries()) {
      const { call, data, operation } = writes[i]!;
      this.histories.answered(operation, schedule.now / 1000, result as number);
      checker.acknowledge(call, data, index);
    }
  }

  private rejected(whole: Call, writes: readonly Write[], error: RaftmarkError): void {
    const { checker } = this.world;
    checker.refused(whole, error);
    for (const { command, data, operation } of writes) {
      if (!error.mayCommit) this.histories.lost(command, operation);
      checker.reject(data, error);
    }
  }
}
