// restore: rebuilds a membership from a stored ConfState by replaying changes that lead to it.
import { RaftError } from "../../base/raft-error.js";
import {
  ConfChangeAddLearnerNode,
  ConfChangeAddNode,
  ConfChangeRemoveNode,
  type ConfChangeSingle,
  type ConfChangeType,
  type ConfState,
} from "../raftpb/index.js";
import type { Changer, ChangerResult } from "./changer.js";

/**
 * The membership of `confState`, from a Changer whose tracker is empty. It goes through the same operations
 * as a live change, so that a restarted node can't reach a state that a running one could not.
 */
export function restore(changer: Changer, confState: ConfState): ChangerResult | RaftError {
  const joint = confState.votersOutgoing.length > 0;
  // For a joint config first build the outgoing half by itself, then enter the joint config from there. All at once:
  // a membership that comes from outside would cost its square one by one.
  const steps = joint ? changes(ConfChangeAddNode, confState.votersOutgoing) : incomingChanges(confState);
  if (steps.length === 0) return changer.unchanged();
  const result = changer.replay(steps);
  if (!joint || result instanceof RaftError) return result;
  return changer.after(result).enterJoint(confState.autoLeave, incomingChanges(confState));
}

/** From the outgoing half (all removed first, as if none stayed) to the incoming one. */
function incomingChanges(confState: ConfState): ConfChangeSingle[] {
  return [
    ...changes(ConfChangeRemoveNode, confState.votersOutgoing),
    ...changes(ConfChangeAddNode, confState.voters),
    ...changes(ConfChangeAddLearnerNode, confState.learners),
    ...changes(ConfChangeAddLearnerNode, confState.learnersNext),
  ];
}

function changes(type: ConfChangeType, ids: readonly number[]): ConfChangeSingle[] {
  return ids.map((nodeId) => ({ type, nodeId }));
}
