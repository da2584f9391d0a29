// A member that is replaced under load.
import { LONE_COMPILED_MS, type Scenario } from "../harness/scenario.js";

export const memberChange: Scenario = {
  name: "member-change",
  question: "What do callers notice when a member is replaced?",
  explains:
    "When the log has its size, a new and empty node is added as a learner and catches up, while the load goes on; then one joint change gives it a vote and removes a follower. Told are how long each step takes, and how many commits a second there are meanwhile and at which p99, against before. The load ends when it is over.",
  compares: "logMb",
  axes: {
    full: { event: ["replace-member"], logMb: [16, 256], inFlight: [64], entryBytes: [1024] },
    smoke: { event: ["replace-member"], logMb: [1, 4], inFlight: [16], entryBytes: [1024] },
  },
  load: {
    full: { warmupMs: LONE_COMPILED_MS, durationMs: 60_000, rounds: 1 },
    smoke: { warmupMs: 100, durationMs: 20_000, rounds: 1 },
  },
};
