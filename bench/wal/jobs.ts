// What a child process of `raftmark bench wal` can be asked to do, and what it answers: one JSON line each way.
import type { Durability, WriterKind } from "../../src/node/api.js";

/** Appends to a fresh log for `ms`. `inFlight` 1: one batch after another; more: so many batches queued. */
export interface AppendJob {
  readonly kind: "append";
  readonly dir: string;
  readonly writer: WriterKind;
  readonly durability: Durability;
  readonly bytes: number;
  readonly batch: number;
  readonly inFlight: number;
  readonly busyPollUs: number;
  readonly ms: number;
}

export interface AppendAnswer {
  readonly entriesPerS: number;
  readonly appendsPerS: number;
  /** Bytes in the log for one append, frames and states included. */
  readonly bytesPerAppend: number;
  readonly writes: number;
}

/** Bare durable writes of `bytes` over blocks written before, one after the other, in a worker thread. */
export interface LoopJob {
  readonly kind: "loop";
  readonly dir: string;
  readonly bytes: number;
  readonly ms: number;
}

export interface LoopAnswer {
  readonly writesPerS: number;
}

/** Writes a log of about `logBytes` and leaves it there. */
export interface FillJob {
  readonly kind: "fill";
  readonly dir: string;
  readonly bytes: number;
  readonly logBytes: number;
}

export interface FillAnswer {
  readonly entries: number;
  /** At least: seals come on top. */
  readonly recordsMin: number;
  readonly segments: number;
  readonly logBytes: number;
}

/** Opens that log. */
export interface RecoverJob {
  readonly kind: "recover";
  readonly dir: string;
  readonly threads: number;
  readonly written: FillAnswer;
}

export interface RecoverAnswer {
  readonly ms: number;
  /** How late the main thread's event loop was meanwhile, and with nothing to do just before. */
  readonly loopDelayP99Ms: number;
  readonly loopDelayMaxMs: number;
  readonly idleP99Ms: number;
}

export interface Answers {
  append: AppendAnswer;
  loop: LoopAnswer;
  fill: FillAnswer;
  recover: RecoverAnswer;
}

export type Job = AppendJob | LoopJob | FillJob | RecoverJob;
