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
    // Most of what varies between runs is what a process is born with, so the time goes into many fresh processes and
    // short windows: an interval shrinks with the rounds, not with the window. Chosen by that reasoning and not measured
    // yet: which share of the variance lies between processes (the scatter of 100 ms steps within a run's series against
    // that between runs), and whether the rate of a writer still climbs after a warm-up of 1.2 s.
    full: { warmupMs: 1000, durationMs: 600, rounds: 16, withinMs: 165_000 },
    smoke: { warmupMs: 200, durationMs: 800, rounds: 1 },
  },
};
