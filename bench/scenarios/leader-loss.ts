// kill -9 of the leader under load.
import type { Scenario } from "../harness/scenario.js";

export const leaderLoss: Scenario = {
  name: "leader-loss",
  question: "How long is the cluster without a leader when it is killed?",
  explains:
    "A client loads the leader, which is killed a quarter into the window; the client finds the next one and goes on. Told are the time to a new leader and to the first commit there, how long callers had no answer, and that nothing acknowledged is lost. Raft’s clock decides: an election starts after 10 to 19 ticks.",
  compares: "tickMs",
  axes: {
    full: { event: ["kill-leader"], from: ["client"], tickMs: [20, 100], inFlight: [64] },
    smoke: { event: ["kill-leader"], from: ["client"], tickMs: [20, 50], inFlight: [16] },
  },
  load: {
    full: { warmupMs: 500, durationMs: 4000, rounds: 5 },
    smoke: { warmupMs: 100, durationMs: 2000, rounds: 1 },
  },
};
