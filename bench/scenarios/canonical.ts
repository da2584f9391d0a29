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
    // Chosen by measuring (2 cores, three minutes): a round costs its starts and warm-ups whatever its windows' length, so
    // that nine rounds of 0.6 s say more than five of 2 s; with visits of 0.2 s in turn the factors of one load scatter by
    // 6 to 17 % between rounds, where single windows scattered by 12 to 31 % and those of lone clusters by 20 to 40 %.
    full: { warmupMs: COMPILED_MS, durationMs: 600, rounds: 16, withinMs: 165_000 },
    smoke: { warmupMs: 200, durationMs: 800, rounds: 1 },
  },
};
