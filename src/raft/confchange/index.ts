export {
  Changer,
  type ChangerResult,
  ErrAlreadyJoint,
  ErrMoreThanOneVoter,
  ErrNotJoint,
  ErrRemovedAllVoters,
  ErrSimpleInJoint,
  ErrZeroVoterJoint,
} from "./changer.js";
export { restore } from "./restore.js";
