// How many proposals under way at once are enough.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const inFlight: Scenario = {
  name: "in-flight",
  question: "How many proposals in flight does it take to fill the machine?",
  explains:
    "Closed loop from one caller to 4096. Throughput flattens where the machine is full; from there on only latency grows.",
  compares: "inFlight",
  axes: {
    full: { inFlight: [1, 8, 64, 256, 1024, 4096] },
    smoke: { inFlight: [1, 64] },
  },
  load: STEADY_LOAD,
};
