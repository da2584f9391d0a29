// A view of a RawNode from outside: for status pages and tests.
import type { HardState } from "./raftpb/index.js";
import type { SoftState } from "./ready.js";
import type { Progress } from "./tracker/index.js";

/** Cheap: no progress in it. */
export interface BasicStatus {
  readonly id: number;
  readonly hardState: HardState;
  readonly softState: SoftState;
  readonly applied: number;
  readonly lastIndex: number;
  /** 0: no transfer is under way. */
  readonly leadTransferee: number;
}

/** What a peer is to the leader. */
export const ProgressTypePeer = 0;
/** It is sent entries, and does not vote. */
export const ProgressTypeLearner = 1;
/** One of the ProgressType constants. */
export type ProgressType = 0 | 1;

/** With the progress of every member, on the leader. */
export interface Status extends BasicStatus {
  /** The configuration as log lines show it: `voters=(1 2 3)&&(1 2) learners=(4) autoleave`. */
  readonly config: string;
  /** By id, ascending; empty unless this node leads. Borrowed: read it before the next call. */
  readonly progress: ReadonlyMap<number, Progress>;
}
