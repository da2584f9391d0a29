// What faults, plots and the last act see of the world that they happen in: the world is made of them, and they know
// nothing of how. Times in microseconds.
import type { Call, Checker } from "./checker.js";
import type { Dice } from "./dice.js";
import type { SimNetwork } from "./network.js";
import type { SimProcess } from "./process.js";
import type { Profile } from "./profiles.js";
import type { Schedule } from "./schedule.js";
import type { Told } from "./told.js";
import type { Trace } from "./trace.js";

export interface WorldPlan {
  readonly seed: number;
  /** Events in which faults come. */
  readonly steps: number;
  readonly profile: Profile;
  /** Keep the last events of each node in words. */
  readonly words: boolean;
  /** Left out: drawn. */
  readonly nodes?: number;
  readonly lease?: boolean;
  /** Whether nodes take snapshots, and send them; left out: drawn as the profile has it. */
  readonly snapshots?: boolean;
  /** Of all members, at first. */
  readonly tickMs?: number;
  readonly electionTicks?: number;
  /** Kinds of faults that are left out. */
  readonly without?: readonly string[];
  /** Numbers of faults that are left out, in the order in which they are drawn, from 0. */
  readonly skip?: readonly number[];
}

export interface Stage {
  readonly plan: WorldPlan;
  readonly dice: Dice;
  readonly schedule: Schedule;
  readonly network: SimNetwork;
  readonly processes: readonly SimProcess[];
  readonly checker: Checker;
  readonly told: Told;
  readonly trace: Trace;
  /** What each process's callers wait for; they end with it. */
  readonly calls: ReadonlyMap<number, Set<Call>>;
  /** Faults may come. */
  readonly trouble: boolean;
  /** Members whose disks were damaged at rest: they may refuse to start for good. A minority. */
  readonly ruined: Set<number>;
  others(of: SimProcess): SimProcess[];
  start(process: SimProcess): void;
  /** Nobody asks anything of it any more, nor waits for an answer. */
  lame(process: SimProcess): void;
  /** Its operator ends it in order; `gone` when its process has ended, which ends of itself then. */
  close(process: SimProcess, timeoutMs: number | undefined, gone: () => void): void;
  /** Its callers hear no more. */
  crash(process: SimProcess, powerLoss: boolean): void;
  /** Calls `work` once in `mean` while there is trouble. */
  each(mean: number, work: () => void): void;
  after(delay: number, work: () => void): void;
  /** Moves on until `done` or something broke. False: time `end` came first. */
  until(done: () => boolean, end?: number): Promise<boolean>;
  /** By then `call` has an answer, unless its process stood still. */
  endsWithin(process: SimProcess, call: Call, timeoutMs: number): void;
  /** A write on somebody who takes itself for the leader; now and then on anybody. */
  write(): void;
  /** `bytes`: of the payload, about; left out: drawn. */
  writeAt(process: SimProcess, controller?: AbortController | null, bytes?: number): void;
  /** A write whose answer nobody waits for. */
  poke(process: SimProcess): void;
  readSoon(process: SimProcess, within: number): void;
  read(process: SimProcess, controller?: AbortController | null): void;
  /** Aborts a write and a read of it soon. */
  abortSoon(process: SimProcess): void;
}
