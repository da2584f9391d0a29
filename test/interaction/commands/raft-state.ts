// raft-state: a line for every node.
import { STATE_NAMES } from "../../../src/raft/ready.js";
import type { CommandError, InteractionEnv } from "../env.js";

export function raftState(env: InteractionEnv): CommandError {
  for (const node of env.nodes) {
    const { hardState, softState } = node.rawNode.basicStatus();
    const role = node.rawNode.raft.trk.voters.has(node.id) ? "(Voter)" : "(Non-Voter)";
    const state = STATE_NAMES[softState.raftState];
    env.output.write(`${node.id}: ${state} ${role} Term:${hardState.term} Lead:${softState.lead}\n`);
  }
  return null;
}
