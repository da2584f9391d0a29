// Indexes that need more than 31 bits.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const largeIndex: Scenario = {
  name: "large-index",
  question: "Does a log become slower when its index no longer fits 31 bits?",
  explains:
    "V8 keeps whole numbers below 2^31 in a register and boxes larger ones. The logs begin behind a snapshot: just before 2^31, which the run then crosses, and at 2^40, years into a busy cluster's life.",
  compares: "startIndex",
  axes: {
    full: { startIndex: [0, 2 ** 31 - 1000, 2 ** 40], inFlight: [64, 1024] },
    smoke: { startIndex: [2 ** 31 - 100, 2 ** 40], inFlight: [64], writer: ["inline-js", "pool-wasm"] },
  },
  load: STEADY_LOAD,
};
