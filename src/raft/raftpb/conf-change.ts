// Membership changes (raftpb.ConfChange and ConfChangeV2).

/** raftpb.ConfChangeType, by number. */
export const ConfChangeAddNode = 0;
/** Takes a member away. */
export const ConfChangeRemoveNode = 1;
/** Changes nothing but the context. */
export const ConfChangeUpdateNode = 2;
/** Adds a learner, or makes a voter one. */
export const ConfChangeAddLearnerNode = 3;
/** One of the ConfChange constants. */
export type ConfChangeType = 0 | 1 | 2 | 3;

/** raftpb.ConfChangeTransition, by number. */
export const ConfChangeTransitionAuto = 0;
/** Through a joint configuration that is left by itself. */
export const ConfChangeTransitionJointImplicit = 1;
/** Through a joint configuration that stays until it is told to be left. */
export const ConfChangeTransitionJointExplicit = 2;
/** One of the ConfChangeTransition constants. */
export type ConfChangeTransition = 0 | 1 | 2;

/** What happens to one member. */
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

/** Which generation a change is of. */
export function isConfChangeV2(cc: ConfChange | ConfChangeV2): cc is ConfChangeV2 {
  return "changes" in cc;
}

/** A change of either generation as one of the second. */
export function asV2(cc: ConfChange | ConfChangeV2): ConfChangeV2 {
  if (isConfChangeV2(cc)) return cc;
  return {
    transition: ConfChangeTransitionAuto,
    changes: [{ type: cc.type, nodeId: cc.nodeId }],
    context: cc.context,
  };
}

/** True for the change that leaves a joint configuration: nothing in it but a context. */
export function leaveJoint(cc: ConfChangeV2): boolean {
  return cc.transition === ConfChangeTransitionAuto && cc.changes.length === 0;
}

/**
 * Whether the change goes through a joint configuration (§6), and if so whether that is left without being
 * asked: more than one change can't be done in one step, and a transition other than auto asks for it.
 */
export function enterJoint(cc: ConfChangeV2): "no" | "autoLeave" | "explicit" {
  if (cc.transition === ConfChangeTransitionAuto && cc.changes.length <= 1) return "no";
  return cc.transition === ConfChangeTransitionJointExplicit ? "explicit" : "autoLeave";
}
