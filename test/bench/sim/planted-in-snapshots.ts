// Planted faults around snapshots: what they say they hold, what is cut behind them, what is taken of a sender.

import { Registers } from "../../../bench/sim/registers.js";
import { Snapshots } from "../../../src/node/snapshots.js";
import { SnapshotKeeper } from "../../../src/wal/snap/snapshot-keeper.js";
import { type Inside, type Planted, patch } from "./planted-fault.js";

export const PLANTED_IN_SNAPSHOTS: readonly Planted[] = [
  {
    name: "a snapshot says that it is of an entry behind what its state holds",
    profile: "snapshots",
    checkers: /snapshot/,
    apply: () =>
      patch(Snapshots, (was) => ({
        take(this: Inside, metadata: Inside) {
          const { storage } = this.parts.wal;
          const index = metadata.index + 1;
          const term = index <= storage.lastIndex() ? storage.term(index) : 0;
          was.take.call(this, term > 0 ? { ...metadata, index, term } : metadata);
        },
      })),
  },
  {
    name: "a log is cut behind its newest snapshot",
    profile: "snapshots",
    checkers: /compaction/,
    apply: () =>
      patch(SnapshotKeeper, (was) => ({
        compact(this: Inside) {
          was.compact.call(this);
          const { storage } = this.log;
          const index = this.kept.at(-1).index + 1;
          if (index <= storage.lastIndex()) storage.compact({ index, term: storage.term(index) });
        },
      })),
  },
  {
    name: "a state machine takes a snapshot's state beside what it has",
    profile: "snapshots",
    checkers: /snapshot/,
    apply: () => {
      const was = Object.getOwnPropertyDescriptor(Registers.prototype, "text")!;
      Object.defineProperty(Registers.prototype, "text", {
        ...was,
        set(this: Registers, text: string) {
          for (const [register, value] of text.split(",").map(Number).entries())
            if (this.values[register] === 0) this.values[register] = value;
        },
      });
      return () => Object.defineProperty(Registers.prototype, "text", was);
    },
  },
];
