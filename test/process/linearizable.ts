// Whether what clients saw of one register can have happened at one moment each (Herlihy and Wing's linearizability).
// Every write has a value of its own, so that a read names its write, and Gibbons and Korach's conditions decide it
// ("Testing Shared Memories", 1997, section 4) without a search. Knows nothing of Raft.
import { assert } from "../../src/base/assert.js";

/** A call on the register, from when it was made to when its answer was there. */
export interface Operation {
  readonly kind: "read" | "write";
  /** Written or read; a read before any write sees 0. */
  readonly value: number;
  readonly from: number;
  /** Infinity: no answer, or one that leaves open what happened. It may have happened at any time, or never. */
  readonly to: number;
  /** Who it was asked of, for the report. */
  readonly at: string;
}

/** A write and the reads that saw it: it happened before `settled`, and was the value still after `used`. */
interface Zone {
  readonly value: number;
  readonly write: Operation;
  /** The first answer among them, and whose. */
  first: Operation;
  /** The last beginning among them, and whose. */
  last: Operation;
}

/** What cannot be: null if the operations of a register are linearizable. */
export function findAnomaly(operations: readonly Operation[]): string | null {
  const zones = new Map<number, Zone>();
  const none: Operation = { kind: "write", value: 0, from: -Infinity, to: -Infinity, at: "nobody" };
  for (const write of [none, ...operations.filter(({ kind }) => kind === "write")]) {
    assert(!zones.has(write.value), "two writes of one value");
    zones.set(write.value, { value: write.value, write, first: write, last: write });
  }
  // A write that nobody answered and nobody saw need not have happened.
  const seen = new Set<number>();
  for (const read of operations) {
    if (read.kind !== "read" || read.to === Infinity) continue;
    const zone = zones.get(read.value);
    if (zone === undefined) return `${describe(read)} saw what nobody wrote`;
    if (read.to < zone.write.from) return `${describe(read)} saw it before ${describe(zone.write)}`;
    if (read.to < zone.first.to) zone.first = read;
    if (read.from > zone.last.from) zone.last = read;
    seen.add(read.value);
  }
  const counted = [...zones.values()].filter(({ value, write }) => write.to < Infinity || seen.has(value));
  return findConflict(counted);
}

/**
 * A zone whose first answer comes before its last beginning is the register's value for sure between them. Two such
 * times must not overlap, and no other write with all that saw it can lie within one.
 */
function findConflict(zones: readonly Zone[]): string | null {
  const held = zones.filter(({ first, last }) => first.to < last.from);
  held.sort((a, b) => a.first.to - b.first.to);
  for (let i = 1; i < held.length; i++) {
    if (held[i].first.to < held[i - 1].last.from) return clash(held[i - 1], held[i]);
  }
  for (const zone of zones) {
    if (zone.first.to < zone.last.from) continue;
    const around = lastBefore(held, zone.last.from);
    if (around !== null && zone.first.to < around.last.from) return clash(around, zone);
  }
  return null;
}

/** Of zones in order that do not overlap, the last that is held before `time`. */
function lastBefore(held: readonly Zone[], time: number): Zone | null {
  let low = 0;
  let high = held.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (held[middle].first.to < time) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? null : held[low - 1];
}

function clash(held: Zone, other: Zone): string {
  return (
    `${held.value} was the value from ${describe(held.first)} to ${describe(held.last)}, ` +
    `and so was ${other.value} meanwhile: ${describe(other.last)} and ${describe(other.first)}`
  );
}

function describe({ kind, value, from, to, at }: Operation): string {
  return `the ${kind} of ${value} at ${at} (${from.toFixed(1)} to ${to.toFixed(1)})`;
}
