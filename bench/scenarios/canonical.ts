// The default comparison: the writers, at three loads.
import type { Scenario } from "../harness/scenario.js";

export const canonical: Scenario = {
  name: "canonical",
  question: "Which writer is fastest, and at which load?",
  explains:
    "Three places to encode and write the log, each at one, 64 and 1024 proposals in flight. The comparison that results/ keeps.",
  compares: "writer",
  axes: {
    full: { writer: ["inline-js", "inline-wasm", "pool-wasm"], inFlight: [1, 64, 1024] },
    smoke: { writer: ["inline-js", "inline-wasm", "pool-wasm"], inFlight: [64, 1024] },
  },
  load: {
    full: { warmupMs: 2000, durationMs: 1000, rounds: 6, withinMs: 165_000 },
    smoke: { warmupMs: 200, durationMs: 800, rounds: 1 },
  },
};
