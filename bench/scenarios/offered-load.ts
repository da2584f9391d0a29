// Latency against offered load: an open loop at rising rates.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const offeredLoad: Scenario = {
  name: "offered-load",
  question: "How does latency grow with the load that is offered?",
  explains:
    "Proposals are due at random at a given mean rate, whether the engine keeps up or not, and latency counts from when they were due. Past what it can do, they queue up and the latency is the length of the queue.",
  compares: "rate",
  axes: {
    full: { rate: [1000, 5000, 20000, 50000, 100000], arrivals: ["poisson"] },
    smoke: { rate: [500, 2000], arrivals: ["poisson"] },
  },
  load: STEADY_LOAD,
};
