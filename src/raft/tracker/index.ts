export { Inflights } from "./inflights.js";
export {
  PROGRESS_STATE_NAMES,
  Progress,
  type ProgressInit,
  type ProgressState,
  StateProbe,
  StateReplicate,
  StateSnapshot,
} from "./progress.js";
export {
  describeProgressMap,
  type ProgressMap,
  ProgressTracker,
  type TrackerConfig,
  type VoteTally,
} from "./tracker.js";
