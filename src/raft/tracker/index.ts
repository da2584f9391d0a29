export { Inflights } from "./inflights.js";
export {
  Progress,
  type ProgressInit,
  type ProgressState,
  StateProbe,
  StateReplicate,
  StateSnapshot,
} from "./progress.js";
export {
  describeProgressMap,
  describeTrackerConfig,
  EMPTY_TRACKER_CONFIG,
  type ProgressMap,
  ProgressTracker,
  type TrackerConfig,
  type VoteTally,
} from "./tracker.js";
