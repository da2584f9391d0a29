// One follower whose disk is slower by a known time.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const slowFollower: Scenario = {
  name: "slow-follower",
  question: "Does one slow disk slow down the commits?",
  explains:
    "Each write of one follower’s log takes so many milliseconds longer. A quorum goes on without it: the commit latency should stay.",
  compares: "followerDelayMs",
  axes: {
    full: { followerDelayMs: [0, 2, 20], inFlight: [64] },
    smoke: { followerDelayMs: [0, 5], inFlight: [16] },
  },
  load: STEADY_LOAD,
};
