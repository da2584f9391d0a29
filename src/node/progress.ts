// The leader's view of the members, as status() shows it. Pure.
import { type RawNode, StateLeader, StateProbe, StateReplicate } from "../raft/index.js";
import type { MemberProgress } from "./api.js";

/** By ascending id; empty unless it leads. */
export function progressOf(raft: RawNode["raft"]): MemberProgress[] {
  if (raft.state !== StateLeader) return [];
  const members: MemberProgress[] = [];
  for (const [id, { isLearner, state, match, next, inflights, recentActive }] of raft.trk.progress) {
    const name =
      state === StateProbe ? "StateProbe" : state === StateReplicate ? "StateReplicate" : "StateSnapshot";
    const [inflightMsgs, inflightBytes] = [inflights.count(), inflights.size()];
    members.push({ id, isLearner, state: name, match, next, inflightMsgs, inflightBytes, recentActive });
  }
  return members.sort((a, b) => a.id - b.id);
}
