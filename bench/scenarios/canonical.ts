// The default comparison: the writers, at three loads.
import { COMPILED_MS, type Scenario } from "../harness/scenario.js";

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
    // Chosen by measuring (2 cores, pool-wasm at 1, 64 and 1024 in flight): after 1 s of warm-up a cluster did 470, 25,000 and
    // 108,000 a second, after 4 s 1,090, 63,000 and 206,000, after 8 s 2,010, 94,000 and 338,000. A round costs its starts and
    // warm-ups whatever its windows' length; of the variance between rounds 85 % is common to what runs in turn.
    full: { warmupMs: COMPILED_MS, durationMs: 1000, rounds: 8, withinMs: 285_000 },
    smoke: { warmupMs: 200, durationMs: 800, rounds: 1 },
  },
};
