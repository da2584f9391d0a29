// The default comparison: the writers, at three loads.
import type { Scenario } from "../harness/scenario.js";

export const canonical: Scenario = {
  name: "canonical",
  question: "Which writer is fastest, and at which load?",
  compares: "writer",
  axes: {
    full: { writer: ["inline-js", "inline-wasm", "pool-wasm"], inFlight: [1, 64, 1024] },
    smoke: { writer: ["inline-js", "inline-wasm", "pool-wasm"], inFlight: [64, 1024] },
  },
  load: {
    full: { warmupMs: 1000, durationMs: 5000 },
    smoke: { warmupMs: 200, durationMs: 800 },
  },
};
