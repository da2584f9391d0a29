// One follower that stands still for a while.
import { LONE_COMPILED_MS, type Scenario } from "../harness/scenario.js";

export const pausedFollower: Scenario = {
  name: "paused-follower",
  question: "What does the leader notice of a follower that stands still?",
  explains:
    "One follower gets SIGSTOP in the middle of the window and SIGCONT a fifth of the window later. Look at the highest latencies, and at how long it takes to catch up.",
  compares: "event",
  axes: {
    full: { event: ["none", "pause-follower"], inFlight: [64] },
    smoke: { event: ["none", "pause-follower"], inFlight: [16] },
  },
  load: {
    full: { warmupMs: LONE_COMPILED_MS, durationMs: 3000, rounds: 3 },
    smoke: { warmupMs: 100, durationMs: 500, rounds: 1 },
  },
};
