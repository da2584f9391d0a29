export { JointConfig } from "./joint.js";
export {
  type AckedIndexer,
  MajorityConfig,
  VOTE_RESULT_NAMES,
  VoteLost,
  VotePending,
  type VoteResult,
  VoteWon,
} from "./majority.js";
