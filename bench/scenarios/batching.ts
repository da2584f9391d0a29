// What putting proposals together is worth.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const batching: Scenario = {
  name: "batching",
  question: "What is batching worth?",
  explains:
    "Off means one proposal a turn of the driver, one entry a message to a follower, one entry a group commit: each proposal pays for its own write and its own frame.",
  compares: "batching",
  axes: {
    full: { batching: ["on", "off"], inFlight: [1, 64] },
    smoke: { batching: ["on", "off"], inFlight: [16] },
  },
  load: STEADY_LOAD,
};
