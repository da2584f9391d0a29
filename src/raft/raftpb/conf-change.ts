// Membership changes (raftpb.ConfChange and ConfChangeV2).

/** raftpb.ConfChangeType, by number. */
export const ConfChangeAddNode = 0;
export const ConfChangeRemoveNode = 1;
export const ConfChangeUpdateNode = 2;
export const ConfChangeAddLearnerNode = 3;
export type ConfChangeType = 0 | 1 | 2 | 3;

/** raftpb.ConfChangeTransition, by number. */
export const ConfChangeTransitionAuto = 0;
export const ConfChangeTransitionJointImplicit = 1;
export const ConfChangeTransitionJointExplicit = 2;
export type ConfChangeTransition = 0 | 1 | 2;

export interface ConfChangeSingle {
  readonly type: ConfChangeType;
  readonly nodeId: number;
}

/** First generation: one change, its own id and context. */
export interface ConfChange {
  readonly id: number;
  readonly type: ConfChangeType;
  readonly nodeId: number;
  readonly context: Uint8Array;
}

/** Second generation: any number of changes, through joint consensus where needed (§6, joint consensus). */
export interface ConfChangeV2 {
  readonly transition: ConfChangeTransition;
  readonly changes: readonly ConfChangeSingle[];
  readonly context: Uint8Array;
}
