// How many messages may be on their way to a follower.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const pipelining: Scenario = {
  name: "pipelining",
  question: "How deep must the pipeline to a follower be?",
  explains:
    "maxInflightMsgs from 1, where the leader waits for each answer, to 256. With the nodes on one machine the wire is short, so little depth is enough; a longer wire needs more.",
  compares: "maxInflightMsgs",
  axes: {
    full: { maxInflightMsgs: [1, 2, 4, 16, 64, 256] },
    smoke: { maxInflightMsgs: [1, 256], inFlight: [64] },
  },
  load: STEADY_LOAD,
};
