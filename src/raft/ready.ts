// What RawNode hands out: the soft state, read states, and Ready, the work a turn has to do.
import type { Entry, HardState, Message, Snapshot } from "./raftpb/index.js";
import { EMPTY_HARD_STATE, NO_ENTRIES, NO_MESSAGES } from "./raftpb/index.js";

/** The role of a node, by etcd raft's numbers. */
export const StateFollower = 0;
/** It asks for votes. */
export const StateCandidate = 1;
/** It leads. */
export const StateLeader = 2;
/** It asks whether it would get votes. */
export const StatePreCandidate = 3;
/** One of the State constants. */
export type StateType = 0 | 1 | 2 | 3;

/** Names by number, as etcd prints them. */
export const STATE_NAMES = ["StateFollower", "StateCandidate", "StateLeader", "StatePreCandidate"] as const;

/** Volatile state that is useful to the application: who leads, and what this node is. */
export interface SoftState {
  readonly lead: number;
  readonly raftState: StateType;
}

/**
 * Answer to RawNode.readIndex(requestCtx): once the state machine has applied `index`, a read that came with
 * this context is linearizable (§8).
 */
export interface ReadState {
  readonly index: number;
  readonly requestCtx: Uint8Array;
}

/** Shared empty; never written to. */
export const NO_READ_STATES: ReadState[] = [];

/**
 * One turn's work. The object is reused and borrowed: until advance(), or with async storage writes until the
 * next ready(). The arrays in it are never written to again by the core, and may be kept; nobody else writes
 * to them, because messages and the log share them.
 */
export class Ready {
  /** Null: unchanged since the last Ready. */
  softState: SoftState | null = null;
  /**
   * EMPTY_HARD_STATE: unchanged. Otherwise to be stored before `messages` leave (without async storage
   * writes).
   */
  hardState: HardState = EMPTY_HARD_STATE;
  readStates: ReadState[] = NO_READ_STATES;
  /** To be stored before `messages` leave (without async storage writes). */
  entries: Entry[] = NO_ENTRIES;
  /** To be stored, and to replace the state machine's state; null: none. */
  snapshot: Snapshot | null = null;
  /** To be applied in order. With async storage writes the same entries are in MsgStorageApply. */
  committedEntries: Entry[] = NO_ENTRIES;
  messages: Message[] = NO_MESSAGES;
  /** Entries, term or vote changed: what is stored must be synced. False: a commit index may be lost. */
  mustSync = false;
}
