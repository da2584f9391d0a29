// What replication costs.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const clusterSize: Scenario = {
  name: "cluster-size",
  question: "What does each further pair of nodes cost?",
  explains:
    "One node, three, five, all on this machine: they share its cores and its disk, so that this is the worst case of what replication costs.",
  compares: "nodes",
  axes: {
    full: { nodes: [1, 3, 5] },
    smoke: { nodes: [1, 3], inFlight: [64] },
  },
  load: STEADY_LOAD,
};
