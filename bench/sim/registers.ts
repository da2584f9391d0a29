// What the nodes of a world replicate, and what clients saw of it: a few registers that are written, read, and swapped
// if they have the value that is expected. Every value is written by one call only. A payload begins with its name,
// which says what it does, and ends with a space: "12@3", write 12 to register 3; "13@3?12", if 12 is there.
import type { Entry } from "../../src/raft/index.js";
import { findAnomaly, type Operation } from "./linearizable.js";

export const REGISTERS = 4;

export interface Command {
  readonly register: number;
  readonly value: number;
  /** Null: it writes whatever is there. */
  readonly expected: number | null;
}

export function nameOfCommand({ register, value, expected }: Command): string {
  return `${value}@${register}${expected === null ? "" : `?${expected}`}`;
}

/** Payloads begin with a name, which ends with a space. */
export function nameOf(data: Uint8Array): string {
  const end = data.indexOf(32);
  return Buffer.from(data.buffer, data.byteOffset, end < 0 ? data.length : end).toString("latin1");
}

function commandIn(data: Uint8Array): Command {
  const [, value, register, expected] = /^(\d+)@(\d+)(?:\?(\d+))?$/.exec(nameOf(data)) ?? [];
  return {
    register: Number(register),
    value: Number(value),
    expected: expected === undefined ? null : Number(expected),
  };
}

/** The state machine of one life of a node. */
export class Registers {
  readonly values: number[] = new Array(REGISTERS).fill(0);

  /** All of it, as a snapshot has it. */
  get text(): string {
    return this.values.join(",");
  }

  /** Takes the state in place of its own. */
  set text(text: string) {
    for (const [register, value] of text.split(",").map(Number).entries()) this.values[register] = value;
  }

  /** What each entry found. */
  apply(entries: readonly Entry[]): number[] {
    return entries.map(({ data }) => {
      const { register, value, expected } = commandIn(data);
      const found = this.values[register];
      if (expected === null || expected === found) this.values[register] = value;
      return found;
    });
  }
}

type Recorded = { -readonly [name in keyof Operation]: Operation[name] };

/** The calls of all clients in a world, by register. */
export class Histories {
  private readonly calls: Set<Operation>[] = Array.from({ length: REGISTERS }, () => new Set());

  /** Registers that anybody called. */
  get count(): number {
    return this.calls.filter(({ size }) => size > 0).length;
  }

  /** A write or swap begins: until `answered`, it may have happened at any time or never. */
  begin({ register, value, expected }: Command, from: number, at: string): Operation {
    const to = Infinity;
    const operation: Operation =
      expected === null
        ? { kind: "write", value, from, to, at }
        : { kind: "swap", value, expected, from, to, at };
    this.calls[register].add(operation);
    return operation;
  }

  answered(operation: Operation, to: number, found: number): void {
    const recorded = operation as Recorded;
    recorded.to = to;
    if (recorded.kind === "swap") recorded.found = found;
  }

  /** It did not happen, and never will. */
  lost({ register }: Command, operation: Operation): void {
    this.calls[register].delete(operation);
  }

  read(register: number, value: number, from: number, to: number, at: string): void {
    this.calls[register].add({ kind: "read", value, from, to, at });
  }

  /** What cannot be; null: all histories are linearizable. `placeOf`: where a command was applied, to be tried first. */
  findAnomaly(placeOf: (name: string) => number | undefined): string | null {
    for (let register = 0; register < REGISTERS; register++) {
      const calls = [...this.calls[register]].map((operation): Operation => {
        const { kind, value, expected = null } = operation;
        if (kind === "read") return operation;
        return { ...operation, hint: placeOf(nameOfCommand({ register, value, expected })) ?? Infinity };
      });
      const anomaly = findAnomaly(calls);
      if (anomaly !== null) return `register ${register}: ${anomaly}`;
    }
    return null;
  }
}
