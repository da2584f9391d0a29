// RawNode: the core's public face. (bodies follow)
import type { Config } from "./config.js";
import type { RaftError } from "./errors.js";
import type { ConfChange, ConfChangeV2, ConfState, Message } from "./raftpb/index.js";
import type { Ready } from "./ready.js";
import type { BasicStatus, ProgressType, Status } from "./status.js";
import type { Progress } from "./tracker/index.js";

/** A member of the initial configuration, for RawNode.bootstrap. */
export interface Peer {
  readonly id: number;
  readonly context: Uint8Array;
}

/** Where the entries of the last accepted proposal went; 0 throughout when it was forwarded to the leader. */
export interface Proposed {
  readonly term: number;
  readonly first: number;
  readonly last: number;
}

/** The signatures of RawNode. */
export declare class RawNode {
  constructor(config: Config);
  readonly id: number;
  /** The state machine inside; tests set raft.randomizedElectionTimeout. */
  readonly raft: { randomizedElectionTimeout: number };
  readonly lastProposed: Proposed;
  tick(): void;
  campaign(): RaftError | null;
  propose(data: Uint8Array): RaftError | null;
  proposeBatch(datas: readonly Uint8Array[]): RaftError | null;
  proposeConfChange(cc: ConfChange | ConfChangeV2): RaftError | null;
  applyConfChange(cc: ConfChange | ConfChangeV2): ConfState | RaftError;
  step(m: Message): RaftError | null;
  ready(): Ready;
  readyWithoutAccept(): Ready;
  hasReady(): boolean;
  advance(): void;
  status(): Status;
  basicStatus(): BasicStatus;
  withProgress(visit: (id: number, type: ProgressType, progress: Progress) => void): void;
  reportUnreachable(id: number): void;
  reportSnapshot(id: number, failed: boolean): void;
  transferLeader(transferee: number): void;
  forgetLeader(): RaftError | null;
  readIndex(requestCtx: Uint8Array): void;
  bootstrap(peers: readonly Peer[]): RaftError | null;
}
