// Writes of the clients of a simulated world that look after several at a time: each is a command with a name of its own,
// begun in the history and known to the checker, and told to both when it is answered or refused.
import type { RaftmarkError } from "../../src/base/errors.js";
import type { Proposed } from "../../src/node/api.js";
import type { Call } from "./checker.js";
import type { Dice } from "./dice.js";
import type { Operation } from "./linearizable.js";
import type { SimProcess } from "./process.js";
import { type Command, type Histories, nameOfCommand, REGISTERS } from "./registers.js";
import type { Stage } from "./stage.js";

export interface Write {
  readonly command: Command;
  readonly name: string;
  readonly data: Uint8Array;
  readonly operation: Operation;
  /** Of the first time it was made. */
  readonly call: Call;
}

export class Writes {
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

  /** To a register, or a swap of what `process` has there; with up to `bytesMax` bytes behind its name. */
  begin(process: SimProcess, bytesMax: number, how: string): Write {
    const { checker, schedule } = this.world;
    const { dice } = this;
    const register = dice.below(REGISTERS);
    const expected = dice.chance(0.3) ? process.registers.values[register]! : null;
    const command: Command = { register, value: this.newName(), expected };
    const name = nameOfCommand(command);
    const data = Buffer.alloc(name.length + 1 + dice.below(bytesMax), `${name} `);
    checker.propose(data);
    const operation = this.histories.begin(command, schedule.now / 1000, `node ${process.id}`);
    return { command, name, data, operation, call: checker.begin(`write of ${name}${how}`, schedule.now) };
  }

  answered({ call, data, operation }: Write, { index, result }: Proposed): void {
    const { checker, schedule } = this.world;
    this.histories.answered(operation, schedule.now / 1000, result as number);
    checker.acknowledge(call, data, index);
  }

  refused({ command, data, operation }: Write, error: RaftmarkError): void {
    if (!error.mayCommit) this.histories.lost(command, operation);
    this.world.checker.reject(data, error);
  }
}
